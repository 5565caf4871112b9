"""Two slices side by side: the steps of a funnel, and the values of a column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cartcast.arguments import answered
from cartcast.insights.breakdown import pick
from cartcast.insights.compare import Difference, difference_of_shares
from cartcast.insights.reach import Unit, check_clock, reach_steps, wanted_steps
from cartcast.insights.sessions import make_sessions
from cartcast.insights.source import Slice, opened

__all__ = ["compare_breakdowns", "compare_funnels"]


@answered
def compare_funnels(
    log: Any,
    here: Slice,
    there: Slice,
    steps: Sequence[str] | None = None,
    *,
    unit: Unit = "session",
    order: Literal["ordered", "any"] = "ordered",
    window: float | None = None,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> tuple[Difference, ...]:
    """Return how the share of the first step's units that reach each step differs.

    As `compare`, by visitors, who may be in both slices; other arguments as for `funnel`.

    Raises:
        UsageError, DataError: as `funnel`.
    """
    with opened(log) as source:
        wanted = wanted_steps(source, steps, order)
        check_clock(source, unit, window)
        places = range(1, len(wanted) + 1)
        for side, where in (("a", here), ("b", there)):
            reach_steps(source, where, sessions, unit, order, window, wanted, None)
            each = ", ".join(f"count(*) FILTER (reach >= {k}) AS c{k}_{side}" for k in places)
            source.connection.execute(
                f"CREATE TEMP TABLE side_{side} AS SELECT visitor, {each} FROM reached "
                "GROUP BY visitor"
            )
        names = ", ".join(
            f"coalesce(c{k}_{s}, 0)::DOUBLE AS c{k}_{s}" for s in "ab" for k in places
        )
        source.connection.execute(
            f"CREATE TEMP TABLE each AS SELECT visitor, {names} FROM side_a FULL JOIN side_b "
            "USING (visitor)"
        )
        return tuple(
            difference_of_shares(source, "each", str(step), f"c{k}", "c1", level)
            for k, step in enumerate(wanted[1:], 2)
        )


def compare_breakdowns(
    log: Any,
    column: str,
    here: Slice,
    there: Slice,
    *,
    largest: int = 15,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> tuple[Difference, ...]:
    """Return how the conversion of each of the `largest` values of a column differs.

    As `compare`, by visitors, who may be in both slices.

    Raises:
        UsageError, DataError: as `breakdown`.
    """
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        for side, where in (("a", here), ("b", there)):
            pick(source, column, where, sessions, columns)
            source.connection.execute(
                f"CREATE TEMP TABLE side_{side} AS SELECT value, visitor, "
                f"count(*) FILTER (counted) AS n_{side}, "
                f"count(*) FILTER (counted AND bought) AS bought_{side} FROM pairs "
                "WHERE value IS NOT NULL GROUP BY value, visitor"
            )
        names = ", ".join(f"coalesce({n}_{s}, 0)::DOUBLE AS {n}_{s}" for s in "ab"
                          for n in ("n", "bought"))  # fmt: skip
        source.connection.execute(
            f"CREATE TEMP TABLE sides AS SELECT value, {names} FROM side_a FULL JOIN side_b "
            "USING (value, visitor)"
        )
        values = source.rows(
            "SELECT value FROM sides GROUP BY value ORDER BY sum(n_a) DESC, value LIMIT ?",
            [largest],
        )
        made = []
        for (value,) in values:
            source.connection.execute(
                "CREATE OR REPLACE TEMP TABLE each AS FROM sides WHERE value = ?", [value]
            )
            made.append(difference_of_shares(source, "each", value, "bought", "n", level))
        return tuple(made)
