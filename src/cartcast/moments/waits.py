"""How a visitor's silence bears on the outcome: the longer nothing comes, the less will.

A model of clicks speaks of the moment of a click. A list is read later, when some of the sessions
that look open have ended. By Bayes' rule the odds of the outcome are those at the click, times

    P(no event for w seconds | outcome) / P(no event for w seconds | none),

and both are counted in the log's past, after every click before the first outcome. What a silence
says beyond what the features say is taken to be alike for all sessions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.events import Log
from cartcast.moments.anchors import outcomes_of
from cartcast.targets import Proxy, Target

__all__ = ["Waits", "waits_of"]

_STEPS: Final = 60


@dataclass(frozen=True)
class Waits:
    """Shares of the clicks that nothing followed for a time, with and without the outcome.

    Attributes:
        seconds: the times, from 0 to the session gap.
        if_outcome: share of the clicks with the outcome ahead whose next event came later.
        if_none: the same of the others.
        share: share of the clicks with the outcome ahead.

    >>> waits = Waits((0.0, 600.0), (1.0, 0.1), (1.0, 0.7), 0.02)
    >>> [round(float(waits.probability(0.5, silent)), 3) for silent in (0.0, 600.0)]
    [0.5, 0.125]
    """

    seconds: tuple[float, ...]
    if_outcome: tuple[float, ...]
    if_none: tuple[float, ...]
    share: float

    def probability(self, said: Any, silent: Any) -> Any:
        """Return the probability after a silence (seconds) of what was `said` at the click."""
        p = np.asarray(said, dtype=np.float64)
        with_, without = self._at(silent)
        return p * with_ / (p * with_ + (1 - p) * without)

    def amount(self, said: Any, silent: Any) -> Any:
        """Return the expected money after a silence of what was `said` at the click.

        Without a probability of its own for each row, a row's silence is taken as likely as that
        of all.
        """
        with_, without = self._at(silent)
        return np.asarray(said) * with_ / (self.share * with_ + (1 - self.share) * without)

    def _at(self, silent: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            np.interp(silent, self.seconds, self.if_outcome),
            np.interp(silent, self.seconds, self.if_none),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as `run.json` keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Waits:
        """Return them from what `as_dict` gave."""
        return cls(
            tuple(told["seconds"]), tuple(told["if_outcome"]), tuple(told["if_none"]),
            told["share"],
        )  # fmt: skip

    @classmethod
    def counted(cls, tables: Sequence[pd.DataFrame], gap: float) -> Waits | None:
        """Return them of what `waits_of` counted in the parts of a log; None without an outcome.

        Half a click is added to either side, so that a silence nobody was seen to break leaves a
        small chance, not none.
        """
        total = pd.concat(tables).groupby(["outcome", "step"])["clicks"].sum()
        curves, seen = [tuple(np.linspace(0.0, gap, _STEPS + 1).tolist())], []
        for outcome in (True, False):
            if outcome not in total.index.get_level_values("outcome"):
                return None
            clicks = total[outcome].reindex(range(_STEPS + 1), fill_value=0).to_numpy(dtype=float)
            # At step k: all clicks whose next event came at or after k steps, or never.
            later = clicks[::-1].cumsum()[::-1]
            curves.append(tuple(((later + 0.5) / (later[0] + 0.5)).round(6).tolist()))
            seen.append(float(later[0]))
        return cls(curves[0], curves[1], curves[2], seen[0] / sum(seen))


def waits_of(
    part: Log, target: Target | Proxy, gap: float, until: datetime | None = None
) -> pd.DataFrame:
    """Count a part's clicks before the first outcome by how long after them nothing came.

    Columns: outcome, step (of 60 to the gap; the last: longer or never), clicks. Sessions that
    began at or after `until` are left out.
    """
    with part.connect() as con:
        con.execute(
            "CREATE TEMP TABLE anchor AS SELECT session_id, visitor_id, event_order, "
            "event_time AS anchor_time, count(*) OVER own AS events, "
            "epoch_us(lead(event_time) OVER (own ORDER BY event_order)) - epoch_us(event_time) "
            "AS wait FROM events WINDOW own AS (PARTITION BY session_id) "
            "QUALIFY min(event_time) OVER own < coalesce($until, 'infinity'::TIMESTAMP)",
            {"until": until},
        )
        found = outcomes_of(con, part, target)
        step = round(gap * 1e6 / _STEPS)
        # A clock may jump back within a session; `greatest` would take a null for 0.
        steps = (
            f"CASE WHEN wait IS NULL THEN {_STEPS} WHEN wait < 0 THEN 0 "
            f"ELSE least({_STEPS}, wait // {step}) END"
        )
        return found.aggregate(
            f"outcome, {steps}::INT AS step, count(*) FILTER "
            "(first_order IS NULL OR event_order < first_order) AS clicks",
            f"outcome, {steps}",
        ).df()
