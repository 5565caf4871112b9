"""A log piece by piece, in time order, in memory that follows the chunk and not the log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cartcast.datasets.draws import uniforms
from cartcast.datasets.simulate_calendar import Calendar, pick
from cartcast.datasets.simulate_kernel import Floats, Ints

__all__ = ["Arm", "Columns", "EventStream"]

Columns = dict[str, NDArray[Any]]

PURCHASE = 8
"""The page of a purchase, in both shops."""


@dataclass(frozen=True)
class Arm:
    """One arm of a simulated experiment.

    `share` is its share of visitors; `lift` the relative change it makes to the probability that
    an order with payment details goes through. As every purchase passes there once, it is exactly
    the relative change of a visit's probability of purchase and of its expected revenue.
    """

    name: str
    share: float
    lift: float = 0.0


class Ended(Protocol):
    """How visits ended: lines bought, whether by a bot (1), repeats of events, money."""

    @property
    def bought(self) -> Ints: ...
    @property
    def bot(self) -> Ints: ...
    @property
    def repeated(self) -> Ints: ...
    @property
    def revenue(self) -> Floats: ...


class EventStream(ABC):
    """Simulates visits in the order of their start and gives out events in time order.

    Rows wait until no later visit can come before them. The delay of late events is log-normal
    with a median of four hours.
    """

    schema: pa.Schema
    truth_schema: pa.Schema
    plan: Calendar[Any]
    currency = "EUR"

    def __init__(self, seed: int, arms: Sequence[Arm], *, disorder: bool, chunk: int) -> None:
        self.seed, self.arms = seed, tuple(arms)
        self.by = "known" if disorder else "time"
        self.chunk = chunk
        self.made = 0
        self.totals: dict[str, Any] = dict.fromkeys(
            ("events", "purchases", "purchase_sessions", "bot_sessions", "late_events",
             "repeated_events"), 0,
        )  # fmt: skip
        self.totals["revenue"] = 0.0
        self.times: list[int] = []

    @abstractmethod
    def _simulate(self, part: Any, wants_truth: bool) -> Columns:
        """Return the events of these visits, and plan when their visitors come back."""

    @abstractmethod
    def _events(self, rows: Columns) -> pa.Table:
        """Return the events in canonical columns."""

    @abstractmethod
    def _truth(self, rows: Columns, events: pa.Table) -> pa.Table:
        """Return the truth of `events`, row by row."""

    def counts(self) -> dict[str, Any]:
        """Return what was simulated so far: counts, money in the shop's currency, times in UTC."""
        low, high = (datetime(1970, 1, 1) + timedelta(microseconds=t) for t in self.times)
        return {
            "sessions": self.made,
            "visitors": self.plan.visitors,
            **self.totals,
            "conversion": self.totals["purchase_sessions"] / self.made,
            "start": low,
            "end": high,
            "currency": self.currency,
            "seed": self.seed,
            "arms": {a.name: {"share": a.share, "lift": a.lift} for a in self.arms},
        }

    def tables(self, wants_truth: bool) -> Iterator[tuple[pa.Table, pa.Table | None]]:
        """Yield (events, truth)."""
        waiting: list[Columns] = []
        for day in range(self.plan.days):
            visits = self.plan.day(day)
            for begin in range(0, len(visits), self.chunk):
                part = visits[begin : begin + self.chunk]
                waiting = yield from self._flush(waiting, int(part.start[0]), wants_truth)
                waiting.append(self._simulate(part, wants_truth))
                self.made += len(part)
        yield from self._flush(waiting, None, wants_truth)

    def _flush(
        self, waiting: list[Columns], until: int | None, wants_truth: bool
    ) -> Generator[tuple[pa.Table, pa.Table | None], None, list[Columns]]:
        """Yield the rows before `until`, and return the others."""
        if not waiting:
            return waiting
        rows = {k: np.concatenate([w[k] for w in waiting]) for k in waiting[0]}
        ready = rows[self.by] < (np.iinfo(np.int64).max if until is None else until)
        if ready.any():
            now = {k: v[ready] for k, v in rows.items()}
            # A repeated event has its own order, so that the three keys leave no ties.
            order = np.lexsort((now["order"], now["visitor"], now[self.by]))
            now = {k: v[order] for k, v in now.items()}
            self._count(now)
            events = self._events(now)
            yield events, self._truth(now, events) if wants_truth else None
        return [{k: v[~ready] for k, v in rows.items()}] if not ready.all() else []

    def _assign(self, visitor: Ints) -> Ints:
        if not self.arms:
            return np.zeros(len(visitor), np.int64)
        u = uniforms(self.seed, visitor, np.zeros_like(visitor), 6, 1)[:, 0]
        return pick(np.array([a.share for a in self.arms]), u)

    def _count(self, rows: Columns) -> None:
        self.totals["events"] += len(rows["time"])
        self.totals["purchases"] += int((rows["page"] == PURCHASE).sum())
        self.totals["late_events"] += int((rows["known"] > rows["time"]).sum())
        times = (*self.times, int(rows["time"].min()), int(rows["time"].max()))
        self.times = [min(times), max(times)]

    def _add(self, ends: Ended) -> None:
        totals = self.totals
        totals["purchase_sessions"] += int((ends.bought > 0).sum())
        totals["bot_sessions"] += int(ends.bot.sum())
        totals["repeated_events"] += int(ends.repeated.sum())
        totals["revenue"] += float(ends.revenue.sum())
