"""The reading of a run: how its logs are read, and what a log must be like to be scored by it.

A run remembers the session rules, the shop's clock, a layout that was stated, the rates, the
currency, the words of its events with their shares, and how often the columns that its features
read had a value. Every log that is scored, explained or replayed for it is read the same way. One
in another currency, one whose events the run has never seen, or one that lost a column is refused:
its scores would be numbers without a meaning. Where only a part differs, a finding says so.

A run from before these notes is held to what it has: the kinds of its events, and the columns that
had any value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from cartcast import events
from cartcast.config import DEFAULTS
from cartcast.errors import DataError
from cartcast.events import Log, Privacy
from cartcast.events.layoutfile import from_mapping, to_yaml
from cartcast.events.layouts import Layout, find_layout
from cartcast.events.privacy import privacy_of, require_same_key
from cartcast.events.rates import MONEY, Rates
from cartcast.features import FeatureSet
from cartcast.findings import Finding, by_severity, declare, finding

__all__ = ["privacy_for", "read_as", "reading_of", "reads_money", "recorded",
           "require_currency", "require_same"]  # fmt: skip

NO_CURRENCY = declare(
    "SC101", "warn", "The log's currency cannot be compared with the run's",
    "If it is another one, every price and expected amount is wrong by the exchange rate.",
    "State `currency:` in a layout, or export the column.",
)  # fmt: skip
UNSEEN = declare(
    "SC102", "note", "Events that the run has not seen",
    "They count as events of no known kind, so features see less than they did in training.",
    "Map the words under `events:` in a layout (`cartcast layout FILE`), or train again.",
)  # fmt: skip
FEWER = declare(
    "SC103", "warn", "A column has far fewer values than in training",
    "Features that read it are null, or rest on less, more often than in training.",
    "Check the export and the layout; if it stays so, train on logs like this one.",
)  # fmt: skip
SCALE = declare(
    "SC104", "warn", "Prices lie outside those of training",
    "Another currency, another unit (cents) or another shop: the model has not seen such prices.",
    "Check the currency and the unit; a layout can `divide: 100`.",
)  # fmt: skip
OLD_RUN = declare(
    "SC105", "note", "The run is too old to compare logs in full",
    "Only kinds of events and columns without any value are compared with its training log.",
    "Train again, so that the run keeps the words and shares of its log.",
)  # fmt: skip

_MOST_WORDS: Final = 200
_SHOWN: Final = (0.05, 0.5, 0.95)
"""Quantiles of the prices that a run keeps."""
_HARDLY: Final = 0.05
_MIDDLING: Final = 0.5
_EXPECTED: Final = 3.0
"""Values to be expected of a column from which on none at all is no accident (1 in 20)."""
_FACTOR: Final = 3.0
"""How far the middle price may lie outside the range of 90 % of the training's prices."""


class _PartCounts(NamedTuple):
    """What `_Counts` is made of, of a part of a log; prices with how often each stands there."""

    words: dict[tuple[str, str], int]
    kinds: dict[str, int]
    values: dict[str, dict[str, int]]
    prices: pa.Table


@dataclass(frozen=True)
class _Counts:
    """What is compared of a log.

    Attributes:
        words: (kind, word) -> events.
        kinds: kind -> events.
        values: column -> kind -> events with a value.
        prices: quantiles 5, 50, 95 % of the prices, or None.
    """

    words: Mapping[tuple[str, str], int]
    kinds: Mapping[str, int]
    values: Mapping[str, Mapping[str, int]]
    prices: Sequence[float] | None

    @property
    def events(self) -> int:
        return sum(self.kinds.values())


def recorded(
    log: Log,
    features: FeatureSet,
    *,
    layout: str | Layout | None,
    session_gap: float,
    session_breaks: Sequence[str],
) -> dict[str, Any]:
    """Return what `run.json` keeps of the reading of its log.

    `layout`, `session_gap` and `session_breaks` are as they were asked for; a clean log tells the
    rules by which its sessions were made before.
    """
    readers = _readers(features)
    counts = _count(log, [c for c in readers if c in log.columns])
    total = max(counts.events, 1)
    often = sorted(counts.words.items(), key=lambda w: (-w[1], w[0]))[:_MOST_WORDS]
    made = log.sessions_made or {"gap": session_gap, "breaks": session_breaks}
    return {
        "currency": log.currency,
        "rates": log.rates,
        "zone": log.zone,
        "session_gap": made["gap"],
        "session_breaks": list(made["breaks"]),
        "stated_layout": _stated(layout),
        "kinds": {kind: n / total for kind, n in counts.kinds.items()},
        "words": {word: {"kind": kind, "share": n / total} for (kind, word), n in often},
        "filled": {
            column: {kind: n / counts.kinds[kind] for kind, n in values.items()}
            for column, values in counts.values.items()
            if values
        },
        "read_by": {c: names for c, names in readers.items() if counts.values.get(c)},
        "prices": counts.prices,
    }


def reading_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `events.load` by which a run's own log was read."""
    told = run["source"]
    rates, layout = told.get("rates"), told.get("stated_layout")
    return {
        "session_gap": told.get("session_gap") or DEFAULTS.session_gap,
        "session_breaks": tuple(told.get("session_breaks") or ()),
        "zone": told.get("zone") or "UTC",
        "rates": Rates.of(rates) if rates else None,
        "layout": _layout(layout) if layout else None,
    }


def privacy_for(run: Mapping[str, Any], asked: Privacy | None = None) -> Privacy | None:
    """Return how ids of a log are replaced for a run: as in its training, else as `asked`.

    Raises:
        UsageError: the run is pseudonymised, and the key is missing.
        NotTrustedError: the key is not the run's.
    """
    told = run["source"].get("privacy")
    if not told:
        return asked
    privacy = privacy_of(told["columns"])
    require_same_key(f"run {run['run_id']}", told, privacy.fingerprint if privacy else None)
    return privacy


def read_as(
    run: Mapping[str, Any],
    features: FeatureSet,
    sources: Sequence[Any],
    folder: Path | str,
    *,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | None = None,
    privacy: Privacy | None = None,
    progress: Callable[[str, float | None], None] | None = None,
    engine: str = "duckdb",
) -> Log:
    """Return a log read as the run's own was, with the findings on what differs.

    `layout` and `rates` are of this log, and go before the run's; `privacy` holds where the run
    has none; `engine` is that of `events.load`.

    Raises:
        NotTrustedError: the run's ids were replaced by another key.
        DataError: the log breaks the contract, or the run cannot say anything of it.
    """
    how = reading_of(run)
    how |= {k: v for k, v in (("layout", layout), ("rates", rates)) if v is not None}
    log = events.load(
        *sources,
        orders=orders,
        folder=folder,
        privacy=privacy_for(run, privacy),
        progress=progress,
        engine=engine,
        **how,
    )
    first = sources[0] if isinstance(sources[0], str | Path) else "the log"
    found = require_same(log, run, features, Path(first).name)
    return replace(log, findings=tuple(by_severity([*log.findings, *found])))


def require_same(
    log: Log, run: Mapping[str, Any], features: FeatureSet, shown: str | None = None
) -> list[Finding]:
    """Refuse a log of which the run cannot say anything; return what differs less.

    Raises:
        DataError: other clock, zone, session rules or currency, unknown events, a column lost.
    """
    told, name = run["source"], shown or log.path.name
    _require_rules(log, told, name)
    readers = told.get("read_by") or _readers(features)
    money = reads_money(run, features)
    had = set(told.get("columns") or ()) | set(told.get("filled") or ())
    columns = [c for c in readers if c in log.columns and c in had]
    counts = _count(log, columns)
    found = require_currency(log.currency, told.get("currency"), name, money=money)
    found += _words(counts, run, name)
    found += _columns(counts, told, {c: readers[c] for c in readers if c in had}, name)
    found += _scale(counts, told, log.currency or "")
    if "words" not in told:
        found.append(finding(OLD_RUN, f"run {run['run_id']} keeps no words of its events."))
    return found


def require_currency(
    own: str | None, trained: str | None, shown: str, *, money: bool
) -> list[Finding]:
    """Refuse another currency than the run's, where the run reads or says money."""
    if own == trained or not money:
        return []
    if own is None:
        said = f"{shown} states no currency; it is taken as {trained}, as in training."
        return [finding(NO_CURRENCY, said)]
    if trained is None:
        said = f"{shown} is in {own}; the run's own log stated no currency."
        return [finding(NO_CURRENCY, said)]
    raise DataError(
        f"{shown}: in {own}, but the run was trained in {trained}: its prices and amounts would "
        f"mean something else. Convert it (`--rates FILE` with `into: {trained}` and what one "
        f"{own} is worth, as `{own}: 1.23`), or train on a log in {own}."
    )


def _require_rules(log: Log, told: Mapping[str, Any], shown: str) -> None:
    if log.clock != told["clock"]:
        raise DataError(
            f"{shown}: the log's clock is {log.clock!r}, the model was trained on "
            f"{told['clock']!r}; its time features would mean something else. Train on such a "
            "log."
        )
    own, asked = log.zone or "UTC", told.get("zone") or "UTC"
    if own != asked:
        raise DataError(
            f"{shown}: cleaned by the clock of {own}, the model was trained by that of {asked}: "
            "hours and days would mean something else. Give the log as it was before cleaning."
        )
    if made := log.sessions_made:
        rules = (float(made["gap"]), sorted(made["breaks"]))
        trained = (
            float(told.get("session_gap") or DEFAULTS.session_gap),
            sorted(told.get("session_breaks") or ()),
        )
        if rules != trained:
            raise DataError(
                f"{shown}: its sessions were made by {_rules(*rules)}, the run's by "
                f"{_rules(*trained)}. Give the log as it was before cleaning."
            )


def _rules(gap: float, breaks: Sequence[str]) -> str:
    return f"a pause of {gap:g} s" + (f" and {', '.join(breaks)}" if breaks else "")


def reads_money(run: Mapping[str, Any], features: FeatureSet) -> bool:
    """Return whether money goes into a run (a feature reads it) or comes out (an amount)."""
    said = run["models"][run["champion"]]["kind"] == "regressor" or bool(run.get("revenue"))
    return said or bool({*MONEY, "revenue"} & _readers(features).keys())


def _words(counts: _Counts, run: Mapping[str, Any], shown: str) -> list[Finding]:
    told = run["source"]
    words: Mapping[str, Any] = told.get("words") or {}
    kinds = told.get("kinds") or run.get("data", {}).get("event_types") or {}
    seen = {kind for kind, share in kinds.items() if share}
    if not counts.events or not seen:
        return []
    unknown = Counter[str]()
    for (kind, word), n in counts.words.items():
        same = words.get(word, {}).get("kind") == kind or (not words and kind in seen)
        if not (same or (kind != "other" and kind in seen)):
            unknown[word] += n
    missing = unknown.total()
    if not missing:
        return []
    known = 1 - missing / counts.events
    listed = ", ".join(f"{w!r} ({n:,})" for w, n in unknown.most_common(5))
    if known < _HARDLY:
        raise DataError(
            f"{shown}: the run knows {known:.0%} of its events; it has never seen {listed}. Say "
            "what they mean under `events:` in a layout (`cartcast layout FILE`, then --layout), "
            "or train on logs like this one."
        )
    return [
        finding(
            UNSEEN,
            f"{missing:,} of {counts.events:,} events ({1 - known:.1%}) are of words that the run "
            f"has not seen: {listed}.",
            severity="warn" if known < _MIDDLING else "note",
            count=missing,
            known=known,
            words=dict(unknown.most_common(20)),
        )
    ]


def _columns(
    counts: _Counts, told: Mapping[str, Any], readers: Mapping[str, Sequence[str]], shown: str
) -> list[Finding]:
    """Hold the values of each column against those that such events had in training."""
    filled: Mapping[str, Mapping[str, float]] = told.get("filled") or {}
    lost, found = [], []
    for column, names in sorted(readers.items()):
        got = sum(counts.values.get(column, {}).values())
        shares = filled.get(column)
        wanted = _EXPECTED
        if shares is not None:
            wanted = sum(n * shares.get(kind, 0.0) for kind, n in counts.kinds.items())
        if not got and wanted >= _EXPECTED:
            lost.append((column, names))
        elif got < 0.5 * wanted and (wanted >= 10 or not got) and wanted >= 1:
            found.append(
                finding(
                    FEWER,
                    f"{column} has {got:,} values where {wanted:,.0f} were to be expected; it is "
                    f"read by {_some(names)}.",
                    count=round(wanted - got),
                    column=column,
                    features=list(names),
                )
            )
    if lost:
        columns = ", ".join(c for c, _ in lost)
        names = sorted({n for _, own in lost for n in own})
        raise DataError(
            f"{shown}: the log has no values in {columns}, which {_some(names)} read. Give a log "
            "with them, name their columns in a layout (`cartcast layout FILE`, then --layout), "
            "or train on logs like this one."
        )
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more features" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _scale(counts: _Counts, told: Mapping[str, Any], currency: str) -> list[Finding]:
    trained, own = told.get("prices"), counts.prices
    if not trained or not own or "price" not in (told.get("read_by") or {}):
        return []
    low, middle, high = trained
    if low / _FACTOR <= own[1] <= high * _FACTOR:
        return []
    said = (
        f"the middle price is {own[1]:,.6g} {currency}".rstrip()
        + f"; in training it was {middle:,.6g}, and 90 % lay between {low:,.6g} and {high:,.6g}."
    )
    return [finding(SCALE, said, median=own[1], trained=list(trained))]


def _readers(features: FeatureSet) -> dict[str, list[str]]:
    """Return the features that read each column of a log."""
    found: dict[str, list[str]] = {}
    for name, feature in features.features.items():
        for column in sorted(feature.lineage.columns):
            found.setdefault(column, []).append(name)
    return found


def _count(log: Log, columns: Sequence[str]) -> _Counts:
    """Count what is compared of a log, part by part."""
    words: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    values = {c: Counter[str]() for c in columns}
    prices = []
    for part in log.map_parts(partial(_count_part, columns=tuple(columns))):
        words.update(part.words)
        kinds.update(part.kinds)
        for column, found in part.values.items():
            values[column].update(found)
        prices.append(part.prices)
    ordered = {c: dict(sorted(found.items())) for c, found in values.items()}
    return _Counts(
        words, dict(sorted(kinds.items())), ordered, _quantiles(pa.concat_tables(prices))
    )


def _quantiles(prices: pa.Table) -> list[float] | None:
    """Return the quantiles of prices, each counted as often as given; None of no prices."""
    found = prices.group_by("price").aggregate([("n", "sum")]).sort_by("price")
    if not len(found):
        return None
    price, upto = found["price"].to_numpy(), np.cumsum(found["n_sum"].to_numpy())
    place = np.array(_SHOWN) * (upto[-1] - 1)
    low, high = (
        price[np.searchsorted(upto, p, "right")] for p in (np.floor(place), np.ceil(place))
    )
    return [float(q) for q in low + (high - low) * (place % 1)]


def _count_part(log: Log, columns: Sequence[str]) -> _PartCounts:
    counted = "".join(', count("' + c.replace('"', '""') + '")' for c in columns)
    with log.connect() as con:
        words = con.execute(
            "SELECT event_type, coalesce(source_event, event_type), count(*) FROM events "
            "GROUP BY 1, 2"
        ).fetchall()
        rows = con.execute(
            f"SELECT event_type, count(*){counted} FROM events GROUP BY 1 ORDER BY 1"
        ).fetchall()
        prices = con.execute(
            "SELECT price, count(*) AS n FROM events WHERE price > 0 GROUP BY 1"
        ).to_arrow_table()
    values = {
        c: {r[0]: r[place + 2] for r in rows if r[place + 2]} for place, c in enumerate(columns)
    }
    return _PartCounts({(k, w): n for k, w, n in words}, {r[0]: r[1] for r in rows}, values, prices)


def _stated(layout: str | Layout | None) -> dict[str, str] | None:
    """Return a layout that was stated, as a run keeps it; None for one that was guessed."""
    from cartcast.events.builtin import LAYOUTS

    if layout is None:
        return None
    found = layout if isinstance(layout, Layout) else find_layout(str(layout))
    return {"name": found.name} if found.name in LAYOUTS else {"yaml": to_yaml(found)}


def _layout(told: Mapping[str, str]) -> Layout:
    import yaml

    if "name" in told:
        return find_layout(told["name"])
    return from_mapping(yaml.safe_load(told["yaml"]), "the run's layout")
