"""Two slices of a log side by side: what differs, and whether by more than chance."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cartcast.evaluate.share import Share
from cartcast.insights.clusters import clustered, sums, visitor_of
from cartcast.insights.sessions import make_sessions
from cartcast.insights.source import Slice, Source, opened

__all__ = ["Difference", "compare", "difference_of_shares", "relative"]

Measure = Literal[
    "sessions", "visitors", "orders", "revenue", "conversion", "average_order",
    "revenue_per_session",
]  # fmt: skip

_RATIOS = {"average_order": ("revenue", "orders"), "revenue_per_session": ("revenue", "sessions")}
_TOTALS = {
    "sessions": "count(*) FILTER ({side})",
    "visitors": "coalesce(bool_or({side}), false)",
    "buying": "count(*) FILTER ({side} AND purchases > 0)",
    "orders": "coalesce(sum(purchases) FILTER ({side}), 0)",
    "revenue": "coalesce(sum(revenue) FILTER ({side}), 0)",
}


class Difference(NamedTuple):
    """One measure in two slices; null where a slice has nothing of it.

    Attributes:
        measure: what is compared: a measure, a step of a funnel, or a value of a column.
        here: its value in the first slice.
        there: its value in the second.
        change: `here / there - 1`; of the conversion `here - there`.
        low: lower end of its interval.
        high: upper end.
    """

    measure: str
    here: float | None
    there: float | None
    change: float | None
    low: float | None
    high: float | None

    @property
    def sure(self) -> bool:
        """Whether the change is more than chance: its interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def compare(
    log: Any,
    here: Slice,
    there: Slice,
    *,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> dict[Measure, Difference]:
    """Return how each measure differs between two slices, which may share visitors and sessions.

    Visitors are the units: one who is in both slices counts in both, and what he has in common
    there is no difference. Totals and ratios are compared by the delta method on logarithms, with
    the number of visitors random too; the shares by their own intervals (Zou and Donner 2008,
    https://doi.org/10.1002/sim.3095, with the correlation of the two).

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        here: the slice that is looked at.
        there: what it is held against.
        sessions: session table written before (`write_sessions`); makes this fast.
        level: confidence of the intervals.

    Raises:
        UsageError: a slice does not exist.
        DataError: the log has not passed the contract.
    """
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        a, first = here.condition(source, columns)
        b, second = there.condition(source, columns)
        sold, priced = source.row(
            "SELECT count(*) FILTER (purchases > 0) > 0, count(revenue) > 0 FROM sessions"
        )
        each = ", ".join(
            f"{sql.format(side=f'in_{side}')}::DOUBLE AS {name}_{side}"
            for side in "ab"
            for name, sql in _TOTALS.items()
        )
        source.connection.execute(
            f"CREATE TEMP TABLE each AS SELECT {each} FROM (SELECT {visitor_of(columns)} AS "
            f"visitor, purchases, revenue, ({a}) AS in_a, ({b}) AS in_b FROM sessions) "
            "WHERE in_a OR in_b GROUP BY visitor",
            [*first, *second],
        )
        names = [f"{name}_{side}" for side in "ab" for name in _TOTALS]
        told = source.row(f"SELECT {', '.join(f'coalesce(sum({n}), 0)' for n in names)} FROM each")
        total = dict(zip(names, map(float, told), strict=True))
        found: dict[Measure, Difference] = {
            "sessions": _relative(source, total, "sessions", level),
            "visitors": _relative(source, total, "visitors", level),
        }
        if sold:
            found["orders"] = _relative(source, total, "orders", level)
            found["conversion"] = difference_of_shares(
                source, "each", "conversion", "buying", "sessions", level
            )
        if priced:
            for money in ("revenue", "average_order", "revenue_per_session"):
                found[money] = _relative(source, total, money, level)
        return found


def _relative(
    source: Source, total: dict[str, float], measure: Measure, level: float
) -> Difference:
    """Compare a total, or a ratio of two, by the logarithm of its quotient."""
    over, under = _RATIOS.get(measure, (measure, None))
    parts, values = list[str](), dict[str, float | None]()
    for side, sign in (("a", "+"), ("b", "-")):
        value: float | None = total[f"{over}_{side}"]
        parts.append(f"{sign} {over}_{side} / {total[f'{over}_{side}']!r}")
        if under is not None:
            base = total[f"{under}_{side}"]
            value = value / base if value is not None and base else None
            parts.append(f"{'-' if sign == '+' else '+'} {under}_{side} / {base!r}")
        values[side] = value
    here, there = values["a"], values["b"]
    if not here or not there:
        return Difference(measure, here, there, None, None, None)
    influence = " ".join(parts)
    square, fourth = source.row(
        f"SELECT sum(d ** 2), sum(d ** 4) FROM (SELECT {influence} AS d FROM each)"
    )
    return relative(measure, here, there, square, fourth, level)


def relative(
    measure: str,
    here: float | None,
    there: float | None,
    square: float | None,
    fourth: float | None,
    level: float,
) -> Difference:
    """Return the relative change of a figure, by the logarithm of the quotient.

    `square` and `fourth` are the sums of the visitors' influence on it, squared and to the fourth.
    """
    if not here or not there or square is None or min(here, there) <= 0:
        return Difference(measure, here, there, None, None, None)
    log = math.log(here / there)
    reach = _quantile(level, square**2 / fourth) * math.sqrt(square) if fourth else 0.0
    ends = [math.expm1(log + sign * reach) for sign in (-1, 0, 1)]
    return Difference(measure, here, there, ends[1], ends[0], ends[2])


def difference_of_shares(
    source: Source, relation: str, measure: str, did: str, of: str, level: float
) -> Difference:
    """Return how a share of one side differs from that of the other.

    `relation` has a row for each visitor, with `did` and `of` (how many did it, how many could) of
    either side: their names end in `_a` and `_b`.
    """
    shares = list[Share]()
    for side in "ab":
        (found,) = source.row(f"SELECT {sums(f'{did}_{side}', f'{of}_{side}')} FROM {relation}")
        shares.append(clustered(found, level))
    p, q = (s.value for s in shares)
    if p is None or q is None:
        return Difference(measure, p, q, None, None, None)
    first, second = f"({did}_a - {p!r} * {of}_a)", f"({did}_b - {q!r} * {of}_b)"
    own, other, both = source.row(
        f"SELECT sum({first} ** 2), sum({second} ** 2), sum({first} * {second}) FROM {relation}"
    )
    together = both / math.sqrt(own * other) if own and other else 0.0
    below = [s.value - s.low for s in shares if s.value is not None and s.low is not None]
    above = [s.high - s.value for s in shares if s.value is not None and s.high is not None]

    def reach(x: float, y: float) -> float:
        return math.sqrt(max(x * x + y * y - 2 * together * x * y, 0.0))

    low, high = p - q - reach(below[0], above[1]), p - q + reach(above[0], below[1])
    return Difference(measure, p, q, p - q, low, high)


def _quantile(level: float, effective: float) -> float:
    """Return Student's quantile for the visitors of equal weight that the variance rests on."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, max(effective - 1, 1.0)))
