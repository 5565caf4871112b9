"""Target lists: whom somebody can still act on at a time, and whether such a list kept its word.

A list holds one row a visitor. What it promises is checked on lists that would have been due
earlier, of which the log shows what came after: as many outcomes should have come as were expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from cartcast.evaluate.share import Clusters, share
from cartcast.events import Log
from cartcast.features import FeatureSet
from cartcast.findings import Finding, declare, finding
from cartcast.moments.anchors import after_outcome
from cartcast.moments.dates import Due, dated
from cartcast.moments.machines import without_machines
from cartcast.moments.moment import SO_FAR
from cartcast.moments.rows import known_at, within
from cartcast.segments import Segment
from cartcast.targets import Proxy, Target

__all__ = ["Check", "check_of", "listed", "older", "told"]

KEPT = declare(
    "TL101", "note", "Lists due earlier came out as expected",
    "The same model made the same list at earlier dates, and the log shows what came after.",
    "Count on the sum as far as the interval goes.",
)  # fmt: skip
NOT_KEPT = declare(
    "TL102", "warn", "Lists due earlier did not come out as expected",
    "What is expected of a list is wrong by about as much, though its order may be right.",
    "Read the list as an order, not as a forecast; train on more and on newer data.",
)  # fmt: skip
UNCHECKED = declare(
    "TL103", "warn", "No list due earlier can be checked",
    "Nobody has seen whether a list of this kind comes out as expected.",
    "Give a log that is longer than the horizon, or a shorter horizon.",
)  # fmt: skip
OLD = declare(
    "TL106", "warn", "The list is older than what the run learnt from",
    "Nobody can act on it, and the model has seen what came after it: its figures look too good.",
    "Give a log that ends when the run's own did, or later.",
)  # fmt: skip

LEVEL: Final = 0.95
_BEST: Final = 0.1


def listed(
    part: Log, target: Target | Proxy, features: FeatureSet, due: Due, draw: str | None = None,
    segment: Segment | None = None, machines: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Return whom lists of a part of a log hold, and row by row the features known then.

    The first table has the columns of `dated`. A session that has had its outcome is on no list,
    and no machine is but where `machines` are wanted.
    `draw` is a condition on `visitor`; the sessions are those of `segment`.
    """
    found = within(dated(part, target, due, draw), part, segment)
    if not due.moment.dated:
        found = found[~after_outcome(found)].reset_index(drop=True)
    if not machines:
        found = without_machines(found, part)
    # What a visitor did last ends a session.
    known = known_at(features, part, found, "end" if due.last == 0 else None)
    if due.moment.dated:
        known = known.assign(**{name: found[name] for name in SO_FAR})
    return found, known


@dataclass(frozen=True)
class Check:
    """What lists due earlier promised, and what came.

    Attributes:
        lists: how many lists.
        rows: rows on them together; a visitor may be on several.
        first, last: when the first and the last of them was due.
        expected: outcomes expected of a row, the mean of the scores (or of money).
        happened: outcomes of a row, as they came; `low` and `high` are its 95 % interval, by
            visitor.
        best_expected, best_happened, best_low, best_high: the same of the tenth scored highest.
    """

    lists: int
    rows: int
    first: str
    last: str
    expected: float
    happened: float
    low: float
    high: float
    best_expected: float
    best_happened: float
    best_low: float
    best_high: float

    @property
    def agrees(self) -> bool:
        """Whether what was expected lies within the interval of what happened."""
        return self.low <= self.expected <= self.high

    def describe(self, money: bool) -> str:
        """Return it in words; scores are `money` or shares."""

        def said(value: float) -> str:
            return f"{value:,.2f}" if money else f"{value:.2%}"

        lists = "1 list" if self.lists == 1 else f"{self.lists:,} lists"
        return (
            f"on {lists} due {self.first[:10]} to {self.last[:10]} ({self.rows:,} rows), "
            f"{said(self.expected)} a row was expected and {said(self.happened)} came "
            f"({said(self.low)} to {said(self.high)}); in the tenth scored highest "
            f"{said(self.best_expected)} and {said(self.best_happened)} ({said(self.best_low)} to "
            f"{said(self.best_high)})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as `run.json` keeps it."""
        return {**asdict(self), "agrees": self.agrees}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Check:
        """Return it from what `as_dict` gave."""
        return cls(**{name: value for name, value in told.items() if name != "agrees"})


def check_of(rows: pd.DataFrame, said: Any, money: bool) -> Check | None:
    """Return what lists promised (`said`, one score a row) and what came; None without rows.

    `rows` has visitor_id, session_id, anchor_time, outcome, amount; rows without a score
    (NaN) do not count.
    """
    said = np.asarray(said, dtype=np.float64)
    known = np.isfinite(said)
    rows, said = rows[known], said[known]
    if rows.empty:
        return None
    came = (rows["amount"].fillna(0.0) if money else rows["outcome"]).to_numpy(dtype=np.float64)
    who = rows["visitor_id"].fillna("session:" + rows["session_id"].astype(str)).to_numpy()
    best = said >= np.quantile(said, 1 - _BEST)
    dates = rows["anchor_time"]
    return Check(
        int(dates.nunique()), len(rows), str(dates.min()), str(dates.max()), float(said.mean()),
        *_mean(came, who, money), float(said[best].mean()), *_mean(came[best], who[best], money),
    )  # fmt: skip


def _mean(came: Any, who: Any, money: bool) -> tuple[float, float, float]:
    """Return the mean of the rows with its interval, visitors being the independent units."""
    if not money:
        units = Clusters.of(came, np.ones(len(came)), pd.factorize(who)[0])
        found = share(int(came.sum()), len(came), LEVEL, units)
        return tuple(float(x) for x in (found.value, found.low, found.high))  # type: ignore
    from scipy.stats import t

    mean = float(came.mean())
    sums = pd.Series(came - mean).groupby(who).sum()
    n = len(sums)
    if n < 2:
        return mean, 0.0, float("inf")
    error = float(np.sqrt(n / (n - 1) * (sums**2).sum())) / len(came)
    side = float(t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return mean, max(mean - side, 0.0), mean + side


def told(check: Check | None, outcome: str, money: bool) -> Finding:
    """Return what to say of a check; `outcome` in words, `money` for an amount of it."""
    if check is None:
        return finding(UNCHECKED, f"{outcome}: of no list due earlier does the log show the end.")
    text = f"{outcome}: {check.describe(money)}."
    return finding(KEPT if check.agrees else NOT_KEPT, text, **check.as_dict())


def older(end: datetime, learnt: datetime) -> list[Finding]:
    """Return what to say of a list due at `end` by a run that learnt from events until `learnt`."""
    if end >= learnt:
        return []
    then, until = f"{end:%Y-%m-%d %H:%M}", f"{learnt:%Y-%m-%d %H:%M}"
    return [finding(OLD, f"the list is of {then}; the run learnt from events until {until}.")]
