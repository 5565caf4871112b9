"""What is sold: views, carts, purchases and money of items, brands or categories."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cartcast.arguments import answered
from cartcast.errors import UsageError
from cartcast.evaluate.share import Share
from cartcast.evaluate.shrink import Prior, Shrunk, fit_prior, shrunk
from cartcast.findings import Finding
from cartcast.insights.caveats import caveats
from cartcast.insights.clusters import clustered, sums
from cartcast.insights.compare import Difference, relative
from cartcast.insights.sessions import make_sessions, pick_sessions, sold_lines
from cartcast.insights.source import Slice, Source, opened

__all__ = ["ItemRow", "Items", "compare_items", "items", "pick_sold"]


class ItemRow(NamedTuple):
    """What sessions did with one item, brand or category.

    Attributes:
        value: the item, brand or category.
        views: sessions that looked at it.
        to_cart: share of these that put it into the cart.
        bought: share of these that bought it.
        rate: the same, drawn towards that of all values (`evaluate.shrink`); None without views.
        buyers: sessions that bought it, looked at or not.
        revenue: its own money; None when no price is known.
    """

    value: str
    views: int
    to_cart: Share
    bought: Share
    rate: Shrunk | None
    buyers: int
    revenue: float | None


@dataclass(frozen=True)
class Items:
    """Items (or brands, categories), that of most money first; without prices, of most views.

    `values` is how many there are in all, `revenue` the money of all of them, `prior` how their
    purchase rates are spread. `findings` are those of the log that void its rates.
    """

    column: str
    values: int
    sessions: int
    revenue: float | None
    prior: Prior | None
    rows: tuple[ItemRow, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        told = asdict(self)
        told["prior"] = self.prior and self.prior._asdict()
        told["rows"] = [
            {
                **r._asdict(),
                "to_cart": r.to_cart._asdict(),
                "bought": r.bought._asdict(),
                "rate": r.rate and r.rate._asdict(),
            }
            for r in self.rows
        ]
        return told


@answered
def items(
    log: Any,
    column: str = "item_id",
    *,
    where: Slice | None = None,
    largest: int = 50,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> Items:
    """Return what sessions did with each item, or each value of another column.

    A session counts once at a value. Shares are over the sessions that looked at it, their
    intervals over visitors; `rate` takes each of these sessions for a trial of its own.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        column: `item_id`, `brand`, `category` or another column that purchases have.
        where: only these sessions.
        largest: rows to return; the prior is that of all values.
        sessions: session table written before (`write_sessions`); makes this fast.
        level: confidence of the intervals.

    Raises:
        UsageError: the log has no such column.
        DataError: the log has not passed the contract.
    """
    if largest < 1:
        raise UsageError(f"largest must be at least 1, got {largest}.")
    with opened(log) as source:
        count = pick_sold(source, column, where or Slice(), sessions)
        (priced,) = source.row("SELECT count(revenue) > 0 FROM sessions")
        found = source.rows(
            f"SELECT value, {sums('carted', 'viewed')}, {sums('bought', 'viewed')}, sum(buyers), "
            "any_value(own) FROM (SELECT word, visitor, count(*) FILTER (did & 1 > 0) AS viewed, "
            "count(*) FILTER (did & 3 = 3) AS carted, count(*) FILTER (did & 5 = 5) AS bought, "
            "count(*) FILTER (did & 4 > 0) AS buyers FROM touched GROUP BY word, visitor) "
            "JOIN words USING (word) LEFT JOIN (SELECT value, sum(amount) AS own FROM sold "
            "JOIN picked USING (session_id) GROUP BY value) USING (value) GROUP BY value "
            "ORDER BY any_value(own) DESC NULLS LAST, sum(viewed) DESC, value"
        )
        prior = fit_prior([r[2][2] for r in found], [r[2][1] for r in found])
        rows = []
        for value, carts, buys, buyers, own in found[:largest]:
            bought = clustered(buys, level)
            rate = shrunk(bought.did, bought.of, prior, level) if prior and bought.of else None
            money = float(own or 0.0) if priced else None
            to_cart = clustered(carts, level)
            rows.append(ItemRow(value, bought.of, to_cart, bought, rate, int(buyers), money))
        total = sum(float(r[4] or 0.0) for r in found) if priced else None
        told = caveats(source.findings)
        return Items(column, len(found), count, total, prior, tuple(rows), told)


def pick_sold(source: Source, column: str, where: Slice, sessions: Path | str | None) -> int:
    """Make `touched`: what each session of a slice did with each value; return the sessions.

    A row holds code (of the session), visitor, word (the value's number in `words`) and did: 1 for
    looked at it, 2 for put it into the cart, 4 for bought it, added up. `sold` has what was sold.
    """
    name = source.require(column)
    pick_sessions(source, where, make_sessions(source, sessions))
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE words AS SELECT value, row_number() OVER ()::INT AS word "
        f"FROM (SELECT DISTINCT {name}::VARCHAR AS value FROM events WHERE {name} IS NOT NULL)"
    )
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE sold AS SELECT session_id, value, amount "
        f"FROM ({sold_lines(source, column)}) "
        "WHERE value IS NOT NULL"
    )
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE touched AS SELECT code, visitor, word, bit_or(kind) AS did "
        "FROM (SELECT session_id, word, (CASE event_type WHEN 'view_item' THEN 1 ELSE 2 END)::INT "
        f"AS kind FROM events JOIN words ON value = {name}::VARCHAR WHERE event_type IN "
        "('view_item', 'add_to_cart') UNION ALL SELECT session_id, word, 4 FROM sold "
        "JOIN words USING (value)) JOIN picked USING (session_id) GROUP BY code, visitor, word"
    )
    return int(source.row("SELECT count(*) FROM picked")[0])


@answered
def compare_items(
    log: Any,
    here: Slice,
    there: Slice,
    column: str = "item_id",
    *,
    largest: int = 50,
    least: int = 10,
    sessions: Path | str | None = None,
    level: float = 0.95,
) -> tuple[Difference, ...]:
    """Return which items rise and fall: the sessions that buy each, here against there.

    Relative changes with intervals over visitors, as `compare` tells them; those that are surest
    come first. Two slices of unlike length differ for that alone.

    Args:
        log: a `Log`, the path of a canonical Parquet file, or an Arrow table.
        here: the slice that is looked at.
        there: what it is held against, such as the period before.
        column: as for `items`.
        largest: rows to return.
        least: sessions that must have bought it in both slices together.
        sessions: session table written before; makes this fast.
        level: confidence of the intervals.

    Raises:
        UsageError, DataError: as `items`.
    """
    if largest < 1 or least < 1:
        raise UsageError(f"needs largest >= 1 and least >= 1, got {largest} and {least}.")
    with opened(log) as source:
        for side, where in (("a", here), ("b", there)):
            pick_sold(source, column, where, sessions)
            source.connection.execute(
                f"CREATE TEMP TABLE side_{side} AS SELECT value, visitor, count(*)::DOUBLE AS "
                f"n_{side} FROM touched JOIN words USING (word) WHERE did & 4 > 0 "
                "GROUP BY value, visitor"
            )
        found = source.rows(
            "WITH sides AS (SELECT value, visitor, coalesce(n_a, 0) AS a, coalesce(n_b, 0) AS b "
            "FROM side_a FULL JOIN side_b USING (value, visitor)), total AS (SELECT value, "
            "sum(a) AS s, sum(b) AS t FROM sides GROUP BY value HAVING s + t >= ?) "
            "SELECT value, any_value(s), any_value(t), sum(d ** 2), sum(d ** 4) FROM "
            "(SELECT value, s, t, a / nullif(s, 0) - b / nullif(t, 0) AS d FROM sides "
            "JOIN total USING (value)) GROUP BY value",
            [least],
        )
        told = [relative(v, a, b, square, fourth, level) for v, a, b, square, fourth in found]
        return tuple(sorted(told, key=_surest)[:largest])


def _surest(d: Difference) -> tuple[float, str]:
    """Rank by how far the interval lies from no change; new and gone values come last."""
    if d.low is None or d.high is None or d.change is None:
        return (float("inf"), d.measure)
    return (-max(d.low, -d.high / (1 + d.high)), d.measure)
