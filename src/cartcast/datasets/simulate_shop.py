"""A shop with known truth: a click log of any size, and what could be known at every click."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from cartcast.arguments import answered
from cartcast.atomic import atomic_path
from cartcast.datasets.missions import Missions
from cartcast.datasets.missions.stream import MissionStream
from cartcast.datasets.simulate_first import Stream
from cartcast.datasets.simulate_model import Shop
from cartcast.datasets.simulate_stream import Arm
from cartcast.datasets.simulate_write import Write, open_writer, suffix_of
from cartcast.errors import UsageError
from cartcast.progress import Progress

__all__ = ["Simulation", "parse_arms", "parse_day", "simulate"]


@dataclass(frozen=True)
class Simulation:
    """A finished simulation: tables or files, and counts of what is in them.

    Attributes:
        out, truth_out: the files written, or None.
        events: canonical columns in time order, or None when written to `out`.
        truth: `p_purchase` (probability that the session will purchase after this event) and
            `expected_revenue` (after this event, in the shop's currency) by session_id and
            event_order, or None. The second shop adds `p_purchase_7d` and `p_later_7d`.
        counts: sessions, visitors, events, purchases, revenue, currency, conversion, start and end
            (UTC), and more.
    """

    out: Path | None
    truth_out: Path | None
    events: pa.Table | None
    truth: pa.Table | None
    counts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "out": None if self.out is None else str(self.out),
            "truth": None if self.truth_out is None else str(self.truth_out),
            **self.counts,
        }


@answered
def simulate(
    sessions: int,
    seed: int = 0,
    out: Path | str | None = None,
    truth: Path | str | bool | None = None,
    experiment: Sequence[Arm] = (),
    *,
    start: date = date(2025, 3, 3),
    days: int = 90,
    late: float = 0.005,
    twice: float = 0.002,
    disorder: bool = False,
    shop: Shop | Missions | None = None,
    chunk: int = 20_000,
    progress: Progress | None = None,
) -> Simulation:
    """Simulate exactly `sessions` visits to a shop whose truth is known.

    Args:
        sessions: number of sessions, at least 1.
        seed: the same seed gives the same log, whatever `chunk` is.
        out: file for the events (.parquet, .csv, .jsonl; the latter two also with .gz), in time
            order; None returns a table.
        truth: file for the truth, True for a table, or None.
        experiment: arms with their known effect; visitors are assigned at random, in `arm`.
        start: first day of the log.
        days: number of days; sessions may last into the night after the last.
        late: share of events that become known hours later (`known_time`).
        twice: share of events that arrive twice, the second time later, with the same `event_id`.
        disorder: write the rows as they became known instead of as they happened.
        shop: the first shop (`Shop`, the default) or the second (`Missions`), with its parameters.
        chunk: visits worked on at once; memory follows it.
        progress: called with a text and the share done.

    Raises:
        UsageError: an argument breaks its rule, or a suffix is unknown.
        StorageError: a file cannot be written.

    >>> made = simulate(100, seed=1, truth=True)
    >>> made.counts["sessions"], made.events.num_rows == made.truth.num_rows
    (100, True)
    """
    shop = shop or Shop()
    _check(sessions=sessions, days=days, chunk=chunk)
    _check_shares(late=late, twice=twice)
    _check_arms(experiment, shop)
    if not 0 <= seed < 2**63:
        raise UsageError(f"seed must fulfil 0 <= seed < 2**63, got {seed}.")
    out_path = None if out is None else Path(out)
    truth_path = None if truth is None or isinstance(truth, bool) else Path(truth)
    kept: list[pa.Table] = []
    known: list[pa.Table] = []
    settings: dict[str, Any] = {
        "sessions": sessions, "seed": seed, "arms": experiment, "start": start, "days": days,
        "late": late, "twice": twice, "disorder": disorder, "chunk": chunk,
    }  # fmt: skip
    stream = (
        MissionStream(shop, **settings) if isinstance(shop, Missions) else Stream(shop, **settings)
    )
    with contextlib.ExitStack() as stack:
        put_events = _target(stack, out_path, stream.schema, kept)
        put_truth = _target(stack, truth_path, stream.truth_schema, known)
        for events, truths in stream.tables(wants_truth=bool(truth)):
            put_events(events)
            if truths is not None:
                put_truth(truths)
            if progress is not None:
                progress("simulating", stream.made / sessions)
    return Simulation(
        out=out_path,
        truth_out=truth_path,
        events=pa.concat_tables(kept) if kept else None,
        truth=pa.concat_tables(known) if known else None,
        counts=stream.counts(),
    )


def _target(
    stack: contextlib.ExitStack, path: Path | None, schema: pa.Schema, tables: list[pa.Table]
) -> Write:
    """Return what takes the tables: the list, or the file, which appears when all is written."""
    if path is None:
        return tables.append
    suffix = suffix_of(path)
    temporary = stack.enter_context(atomic_path(path))
    return stack.enter_context(open_writer(temporary, schema, suffix))


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}.")


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise UsageError(f"{name} must fulfil 0 <= {name} < 1, got {share}.")


def _check_arms(arms: Sequence[Arm], shop: Shop | Missions) -> None:
    if not arms:
        return
    if len(arms) < 2 or len({a.name for a in arms}) < len(arms):
        raise UsageError("an experiment must have two arms or more, each with its own name.")
    if abs(sum(a.share for a in arms) - 1) > 1e-9 or min(a.share for a in arms) <= 0:
        shares = ", ".join(f"{a.name} {a.share}" for a in arms)
        raise UsageError(f"the arms' shares must be positive and add up to 1, got {shares}.")
    most = 1 / shop.paid - 1
    for arm in arms:
        if not -1 <= arm.lift <= most:
            raise UsageError(
                f"arm {arm.name}: lift must fulfil -1 <= lift <= {most:.3f}, got {arm.lift}."
            )


def parse_arms(text: str | None) -> tuple[Arm, ...]:
    """Return the arms of `name:share[:lift]`, with commas between them.

    Raises:
        UsageError: the text has another form.

    >>> parse_arms("a:0.5,b:0.5:0.1")[1]
    Arm(name='b', share=0.5, lift=0.1)
    """
    arms = []
    for word in (text or "").split(",") if text else ():
        name, *numbers = (w.strip() for w in word.split(":"))
        try:
            share, lift = [float(n) for n in numbers] + [0.0] * (2 - len(numbers))
        except ValueError:
            raise UsageError(f"an arm must look like name:share[:lift], got {word!r}.") from None
        if not name or not numbers:
            raise UsageError(f"an arm must look like name:share[:lift], got {word!r}.")
        arms.append(Arm(name, share, lift))
    return tuple(arms)


def parse_day(text: str) -> date:
    """Return the date of `2025-03-03`.

    Raises:
        UsageError: it is no date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"a day must look like 2025-03-03, got {text!r}.") from None
