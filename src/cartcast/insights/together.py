"""Bought together: pairs of items that stand in one order more, or less, often than by chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from cartcast.arguments import answered
from cartcast.errors import UsageError
from cartcast.insights.sessions import keep, sold_lines
from cartcast.insights.source import Slice, opened

__all__ = ["Pair", "bought_together"]


class Pair(NamedTuple):
    """Two values that were in the same orders.

    Attributes:
        first: the value in more orders.
        second: the other.
        orders: orders with both.
        support: their share of all orders, from 0 to 1.
        of_first: share of the orders with the first that hold the second, too.
        of_second: share of the orders with the second that hold the first, too.
        lift: how many times as often as if one told nothing about the other; 1 is by chance.
    """

    first: str
    second: str
    orders: int
    support: float
    of_first: float
    of_second: float
    lift: float


@answered
def bought_together(
    log: Any,
    column: str = "item_id",
    *,
    where: Slice | None = None,
    least: int = 10,
    largest: int = 50,
    sessions: Path | str | None = None,
) -> tuple[Pair, ...]:
    """Return the pairs of values that are bought together, that of the highest lift first.

    Support and lift as in Brin, Motwani, Ullman and Tsur 1997,
    https://doi.org/10.1145/253262.253325. Pairs in fewer than `least` orders are left out: their
    lift is mostly chance.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        column: `item_id`, `brand`, `category` or another column that purchases have.
        where: only the orders of these sessions.
        least: orders that a pair needs.
        largest: pairs to return.
        sessions: session table written before; spares work with `where`.

    Raises:
        UsageError: the log has no such column, or a number is out of range.
        DataError: the log has not passed the contract.
    """
    if least < 1 or largest < 1:
        raise UsageError(f"needs least >= 1 and largest >= 1, got {least} and {largest}.")
    with opened(log) as source:
        source.require(column)
        relation = keep(source, where or Slice(), sessions)
        kept = "" if relation == "events" else "SEMI JOIN kept USING (session_id)"
        # An order id is one of its visitor's; another's may be the same.
        source.connection.execute(
            "CREATE TEMP TABLE lines AS SELECT dense_rank() OVER (ORDER BY CASE WHEN named IS NULL "
            "THEN session_id ELSE visitor END, coalesce(named, lone)) AS basket, value "
            f"FROM ({sold_lines(source, column)}) {kept}"
        )
        (total,) = source.row("SELECT count(DISTINCT basket) FROM lines")
        # A pair in so many orders needs values in as many: all others are left out first.
        found = source.rows(
            "WITH held AS (SELECT DISTINCT basket, value FROM lines WHERE value IS NOT NULL), "
            "often AS (SELECT value, count(*) AS n FROM held GROUP BY value HAVING n >= $least), "
            "kept AS (SELECT basket, value, n FROM held JOIN often USING (value)) "
            "SELECT a.value, b.value, count(*) AS pair, any_value(a.n), any_value(b.n) "
            "FROM kept a JOIN kept b ON a.basket = b.basket AND "
            "(a.n > b.n OR (a.n = b.n AND a.value < b.value)) "
            "GROUP BY a.value, b.value HAVING pair >= $least "
            "ORDER BY pair / (any_value(a.n) * any_value(b.n)) DESC, pair DESC, 1, 2 LIMIT $most",
            {"least": least, "most": largest},
        )
        return tuple(
            Pair(a, b, both, both / total, both / n, both / m, both * total / (n * m))
            for a, b, both, n, m in found
        )
