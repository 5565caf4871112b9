"""The reading of a run: how its logs are read, recorded in `run.json` under one key.

A log is read in one way only for a run: `Reading.load`. What a project asks for becomes a reading
(`from_settings`), training records what that came to on its log (`settled`), and anyone who scores,
explains, replays or serves takes it from the run (`from_run`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cartcast import events
from cartcast.config import DEFAULTS, parse_duration
from cartcast.events import Log, Privacy
from cartcast.events.layoutfile import from_mapping, to_yaml
from cartcast.events.layouts import Layout, find_layout
from cartcast.events.privacy import privacy_of, require_same_key
from cartcast.events.rates import Rates, rates_from
from cartcast.events.schema import Clock
from cartcast.sessions import USUAL, SessionRules

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """How logs are read.

    Attributes:
        layout: the layout that was stated; None guesses it.
        sessions: where sessions end, for events that come without one.
        zone: the shop's clock; None is that of the layout, else UTC.
        rates: what currencies are worth in one of them.
        max_reject_share: share of rejected rows (0 to 1) above which a log is refused.
        pseudonyms: what is replaced by keyed hashes, and the fingerprint of the key.
        clock: what the clock of the log can tell; None before one was read.
        currency: of all money, or None.
        orders: whether the log's outcomes came in a table of their own.
        run_id: whose reading it is, for messages.
    """

    layout: Layout | None = None
    sessions: SessionRules = USUAL
    zone: str | None = None
    rates: Rates | None = None
    max_reject_share: float = DEFAULTS.max_reject_share
    pseudonyms: Mapping[str, Any] | None = None
    clock: Clock | None = None
    currency: str | None = None
    orders: bool = False
    run_id: str | None = None

    @classmethod
    def from_settings(
        cls,
        settings: Any = DEFAULTS,
        *,
        layout: str | Path | Layout | None = None,
        session_gap: str | float | None = None,
        session_breaks: Any = None,
        zone: str | None = None,
        rates: Any = None,
        max_reject_share: float | None = None,
    ) -> Reading:
        """Return the reading that a project asks for; what is given here goes before it.

        `settings` are those of a project, or the options of a training.

        Raises:
            UsageError: a break, the layout or a rate does not exist, or the gap is none.
            NotFoundError: a file of rates or of a layout is not there.
        """
        stated = settings.layout if layout is None else layout
        gap = settings.session_gap if session_gap is None else session_gap
        rules = SessionRules(
            parse_duration(gap) if isinstance(gap, str) else gap,
            tuple(session_breaks or settings.session_breaks),
        )
        share = settings.max_reject_share if max_reject_share is None else max_reject_share
        return cls(
            _found(stated), rules, zone or settings.zone,
            rates_from(rates or settings.rates or None), share,
        )  # fmt: skip

    @classmethod
    def from_run(cls, run: Mapping[str, Any]) -> Reading:
        """Return the reading that a run recorded.

        A run from before there was one key has it among the facts of its source; what it does not
        say is as it was then: half an hour, no breaks, UTC, one row in a hundred rejected.
        """
        source = run.get("source", {})
        told = run.get("reading") or {**source, "layout": source.get("stated_layout")}
        rates, layout = told.get("rates"), told.get("layout")
        return cls(
            layout=_written(layout) if layout else None,
            sessions=SessionRules(
                told.get("session_gap") or DEFAULTS.session_gap,
                tuple(told.get("session_breaks") or ()),
            ),
            zone=told.get("zone"),
            rates=Rates.of(rates) if rates else None,
            max_reject_share=told.get("max_reject_share") or DEFAULTS.max_reject_share,
            pseudonyms=told.get("privacy"),
            clock=told.get("clock"),
            currency=told.get("currency"),
            orders=bool(told.get("orders")),
            run_id=run.get("run_id"),
        )

    def settled(self, log: Log) -> Reading:
        """Return the reading as it came to be on a log: a clean one has rules of its own."""
        made = SessionRules.from_dict(log.sessions_made) if log.sessions_made else self.sessions
        return replace(
            self, sessions=made, zone=log.zone, pseudonyms=log.privacy, clock=log.clock,
            currency=log.currency, orders="from_orders" in log.columns,
            rates=Rates.of(log.rates) if log.rates else None,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as `run.json` keeps it."""
        return {
            "layout": _told(self.layout),
            "session_gap": self.sessions.gap,
            "session_breaks": list(self.sessions.breaks),
            "zone": self.zone,
            "rates": self.rates.as_dict() if self.rates else None,
            "max_reject_share": self.max_reject_share,
            "privacy": self.pseudonyms,
            "clock": self.clock,
            "currency": self.currency,
            "orders": self.orders,
        }

    def privacy(self, asked: Privacy | None = None) -> Privacy | None:
        """Return how ids are replaced: as in the training, else as `asked`.

        Raises:
            UsageError: the ids of the run were replaced, and the key is missing.
            NotTrustedError: the key is not the run's.
        """
        if not self.pseudonyms:
            return asked
        found = privacy_of(self.pseudonyms["columns"])
        shown = f"run {self.run_id}" if self.run_id else "the log"
        require_same_key(shown, self.pseudonyms, found.fingerprint if found else None)
        return found

    def load(
        self,
        *sources: Any,
        layout: str | Path | Layout | None = None,
        rates: Rates | None = None,
        privacy: Privacy | None = None,
        **how: Any,
    ) -> Log:
        """Read a log. `layout` and `rates` are of this log, and go before the reading's own.

        `privacy` holds where the reading has none of its own; `how` is for `events.load`: `orders`,
        `folder`, `out`, `rejects_out`, `report_only`, `memory`, `engine`, `progress`.

        Raises:
            NotFoundError, UsageError, DataError: as `events.load`.
            NotTrustedError: as `privacy`.
        """
        return events.load(
            *sources,
            layout=layout or self.layout,
            session_gap=self.sessions.gap,
            session_breaks=self.sessions.breaks,
            # A run has said what its clock was: a layout of another is not let in.
            zone=self.zone or ("UTC" if self.clock else None),
            rates=rates or self.rates,
            max_reject_share=self.max_reject_share,
            privacy=self.privacy(privacy),
            **how,
        )


def _found(layout: str | Path | Layout | None) -> Layout | None:
    if layout is None or isinstance(layout, Layout):
        return layout
    return find_layout(str(layout))


def _told(layout: Layout | None) -> dict[str, str] | None:
    """Return a layout that was stated, as a run keeps it."""
    from cartcast.events.builtin import LAYOUTS

    if layout is None:
        return None
    return {"name": layout.name} if layout.name in LAYOUTS else {"yaml": to_yaml(layout)}


def _written(told: Mapping[str, str]) -> Layout:
    import yaml

    if "name" in told:
        return find_layout(told["name"])
    return from_mapping(yaml.safe_load(told["yaml"]), "the run's layout")
