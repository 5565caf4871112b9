"""Money: what an order is, what it is worth, and which lines of it were delivered twice.

An order is a real order id of one visitor; without one, a purchase event. It is worth its own total
(`order_value`) once, else its lines: `line_value`, or price times quantity. Two different lines of
one item are two lines; a line is a repeat only when the whole order came again, so that each of its
lines lies there a multiple of times. A refund is negative money of its order, whatever sign its
source uses. `revenue` is a row's money that counts: it sums to the revenue of any whole orders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import duckdb

from cartcast.events.naming import within
from cartcast.events.rules import SALES
from cartcast.events.sql import identifier, literal, snake_case
from cartcast.events.summed import counted, keyed
from cartcast.findings import Finding, declare, finding

__all__ = ["SOLD", "Amount", "Money", "amount_findings", "settle_amounts", "settle_money"]

SOLD = "sold"
"""Table of the rows (seq) of purchases and refunds, with their money and whether they repeat."""

REPEATED_PURCHASES = declare(
    "EV113",
    "warn",
    "Orders that were delivered more than once",
    "All lines of the same order came again (a reloaded page, an event sent twice): as money they "
    "count once.",
    "Nothing to do; `repeat_purchase` marks the rows.",
)
SIMILAR_PURCHASES = declare(
    "EV114",
    "note",
    "Purchases that may be repeats",
    "The same item at the same price was bought again in the session, and there is no order id.",
    "Export an order id, so that a second unit and an event sent twice can be told apart.",
)
NO_ITEM = declare(
    "EV115",
    "note",
    "Purchases without an item",
    "Their money counts; item and category features do not see them.",
    "Export the items of an order.",
)
UNEQUAL = declare(
    "EV138",
    "warn",
    "Orders' totals and their lines differ",
    "The total counts as the order's money, and the tax, shipping and discount that are known do "
    "not account for the difference; figures by item or category add up the lines, so they do not "
    "sum to the revenue.",
    "Check which of them the shop's books show; state the columns in a layout.",
)
SHARED_ORDER = declare(
    "EV139",
    "warn",
    "An order id is used by more than one visitor",
    "Each visitor's rows are an order of their own here; if one person used two devices, the money "
    "counts twice.",
    "Check how order ids are made, and whether the login is exported.",
)
AMOUNT = declare(
    "EV140",
    "note",
    "The log decided what an amount means",
    "The column's name does not say whether it is a unit's price, a line's total or an order's.",
    "State `price`, `line_value` or `order_value` in a layout.",
)
TWO_TOTALS = declare(
    "EV141",
    "warn",
    "Orders with more than one total",
    "An order's rows state different totals; the first counts.",
    "If the column is a line's total, map it as `line_value`.",
)

DISCOUNTS = declare(
    "EV155",
    "warn",
    "Discounts are not taken off the lines",
    "The orders state a discount and no total. Whether their prices hold it already, or whether it "
    "is an amount or a share, nothing tells: price times quantity counts.",
    "Export the orders' totals (`order_value`), or the lines' after the discount (`line_value`).",
)

_LINE_ID = re.compile(
    r"(order|transaction|invoice|sales)_(line_?)?(item|line|detail|product)_(id|no|number|nr|seq)|"
    r"line_?(item_?)?(id|no|number|nr|seq|index)"
)
_FIGURES = ("orders", "revenue", "refunds", "revenue_as_sent", "repeated_purchases")

_SHARE = 0.005
"""Difference between totals and lines above which it is told."""


class Amount(NamedTuple):
    """What a column of unclear money is: `price`, `line_value` or `order_value`, and the reason."""

    meaning: str
    reason: str
    told: bool


class Money(NamedTuple):
    """The money of a log.

    Attributes:
        figures: orders, revenue, refunds, totals, lines, repeated purchases.
        findings: what must be said.
    """

    figures: dict[str, Any]
    findings: list[Finding]


def settle_amounts(con: duckdb.DuckDBPyConnection, rows: str, named: str) -> Amount:
    """Decide what the amount in `price` is, from the purchases.

    An amount that is the same on all rows of an order with several items, while an item's amount
    differs from order to order, is the order's total. One that grows with an item's quantity is
    a line's. Without evidence the column's name decides.

    Args:
        con: engine connection.
        rows: relation of the clean rows, with the amount in `price`.
        named: what the column's name says.
    """
    known = "price IS NOT NULL AND item_id IS NOT NULL"
    ((orders, alike),) = keyed(
        con,
        "amounts of orders",
        f"""
        SELECT coalesce(order_id, session_id || '/' || coalesce(epoch_us(event_time), 0)) AS key,
               item_id, price FROM {rows} WHERE event_type = 'purchase' AND {known}
        """,
        """
        SELECT count(*), count(*) FILTER (alike) FROM (
            SELECT max(price) - min(price) <= 0.005 AS alike FROM {rows}
            GROUP BY key HAVING count(DISTINCT item_id) > 1)
        """,
    )
    ((items, fixed, several, fixed_several, fixed_each),) = keyed(
        con,
        "amounts of items",
        f"""
        SELECT key, min(a) AS low, max(a) AS high, min(a / q) AS low_each, max(a / q) AS high_each,
               min(q) AS few, max(q) AS many, count(*) AS n
        FROM (SELECT item_id AS key, price AS a,
                     CASE WHEN event_type = 'purchase' THEN quantity ELSE 1.0 END AS q
              FROM {rows} WHERE {known}) WHERE q > 0 GROUP BY 1
        """,
        """
        SELECT count(*), count(*) FILTER (fixed), count(*) FILTER (several),
               count(*) FILTER (fixed AND several), count(*) FILTER (fixed_each AND several)
        FROM (SELECT max(high) - min(low) <= 0.01 * max(high) AS fixed,
                     max(high_each) - min(low_each) <= 0.01 * max(high_each) AS fixed_each,
                     max(many) > min(few) AS several
              FROM {rows} GROUP BY key HAVING sum(n) > 1 AND max(high) > 0)
        """,
    )
    constant = alike >= 0.9 * orders
    if orders and constant and fixed < 0.8 * max(items, 1) and named != "price":
        return Amount("order_value", f"it is the same on all rows of {alike} orders", True)
    if orders >= 3 and constant and items >= 3 and fixed < 0.5 * items:
        return Amount("order_value", f"it is the same on all rows of {alike} orders", True)
    if several and fixed_each > fixed_several and fixed_each >= 0.8 * several:
        return Amount("line_value", f"it grows with the quantity of {fixed_each} items", True)
    if several and fixed_several >= 0.8 * several:
        return Amount(
            "price", f"it is the same for one and for more units of {several} items", True
        )
    if orders and not constant and named == "order_value":
        return Amount("line_value", f"it differs between the rows of {orders - alike} orders", True)
    return Amount(named, "the column's name says so", False)


def amount_findings(amount: Amount, column: str, named: str) -> list[Finding]:
    """Return what must be said of a guessed column of money."""
    if amount.meaning == named == "price":
        return []
    what = {
        "price": "a unit's price",
        "line_value": "a line's total",
        "order_value": "an order's total",
    }
    return [
        finding(AMOUNT, f"{column!r} is read as {what[amount.meaning]}: {amount.reason}.",
                column=column, meaning=amount.meaning)
    ]  # fmt: skip


def settle_money(
    con: duckdb.DuckDBPyConnection, rows: str, currency: str | None, own: Iterable[str] = (),
    lists: bool = True,
) -> Money:  # fmt: skip
    """Keep the money of purchases and refunds in the table `sold`, and return the figures.

    Args:
        con: engine connection.
        rows: relation of the clean rows, with `__flat` false where lines came as a list.
        currency: of all money, for messages.
        own: the source's own columns: one that numbers the lines of an order tells them apart.
        lists: whether any lines came as a list.
    """
    own = [identifier(c) for c in own if _LINE_ID.fullmatch(snake_case(within(c)))]
    _lines(con, rows, own, lists)
    _deliveries(con)
    row = counted(
        con,
        "money",
        """
        SELECT count(DISTINCT o) FILTER (named AND event_type = 'purchase'), sum(revenue),
               sum(revenue) FILTER (event_type = 'refund'),
               sum(as_sent) FILTER (event_type = 'purchase'),
               count(*) FILTER (repeat AND event_type = 'purchase')
        FROM sold
        """,
    )
    figures: dict[str, Any] = dict(zip(_FIGURES, row, strict=True))
    for name in ("revenue", "refunds", "revenue_as_sent"):
        # Money is rounded to a hundredth of a cent: the order of summing must not show.
        figures[name] = None if figures[name] is None else round(figures[name], 4)
    figures["orders"] = figures["orders"] or None
    return Money(figures, _findings(con, figures, f" {currency}" if currency else ""))


def _lines(con: duckdb.DuckDBPyConnection, rows: str, told: Sequence[str], lists: bool) -> None:
    # Lines of one list that are alike are several; of flat rows only a number of theirs tells.
    line = ", ".join(("item_id", "price", "quantity", "line_value", *told))
    place = (
        f", CASE WHEN NOT __flat THEN row_number() OVER (PARTITION BY __file, __record, {line} "
        "ORDER BY __seq) END"
    )
    sales = ", ".join(literal(s) for s in SALES)
    who = "coalesce(visitor_id, user_id, session_id)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE line AS
        SELECT __seq AS seq, __place, hash(session_id) AS s, {who} AS who, event_time AS t,
               event_type, order_id, item_id, __made AS made,
               abs(price) AS price, abs(quantity) AS quantity, abs(order_value) AS order_value,
               coalesce(abs(line_value), abs(price) * abs(quantity)) AS worth,
               abs(tax) AS tax, abs(shipping) AS shipping, abs(discount) AS discount,
               order_id IS NOT NULL AS named,
               CASE WHEN order_id IS NOT NULL THEN hash(event_type, order_id, {who})
                    WHEN NOT __flat THEN hash(event_type, __file, __record)
                    ELSE hash(event_type, session_id, event_time, order_value) END AS o,
               hash({line}{place if lists else ""}) AS sort
        FROM {rows} WHERE event_type IN ({sales})
        """
    )


def _deliveries(con: duckdb.DuckDBPyConnection) -> None:
    """Count an order's lines once, however often the whole of it came."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {SOLD} AS
        WITH sorts AS (SELECT o, sort, count(*) AS n FROM line GROUP BY ALL),
        -- An order came k times when each of its lines lies there a multiple of k times.
        times AS (SELECT o, list_reduce(list(n), lambda a, b: gcd(a, b)) AS k
                  FROM sorts GROUP BY o HAVING min(n) > 1),
        placed AS (
            SELECT line.*, coalesce(k, 1) AS k,
                   row_number() OVER (PARTITION BY o, sort ORDER BY t, __place) AS copy,
                   count(*) OVER (PARTITION BY o, sort) AS copies,
                   row_number() OVER (PARTITION BY o ORDER BY t, __place) AS first,
                   first_value(order_value IGNORE NULLS) OVER (
                       PARTITION BY o ORDER BY t, __place
                       ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS total
            FROM line LEFT JOIN times USING (o))
        SELECT seq, o, s, t, who, order_id, item_id, event_type, named, made, price, quantity,
               worth, tax, shipping, discount,
               order_value, total, copy > copies // k AS repeat,
               coalesce(worth, CASE WHEN first = 1 THEN total END) AS as_sent,
               CASE WHEN event_type = 'refund' THEN -1.0 ELSE 1.0 END * CASE
                    WHEN copy > copies // k THEN 0.0
                    WHEN total IS NULL THEN worth WHEN first = 1 THEN total ELSE 0.0 END AS revenue
        FROM placed
        """
    )
    con.execute("DROP TABLE line")


def _findings(con: duckdb.DuckDBPyConnection, figures: dict[str, Any], unit: str) -> list[Finding]:
    found: list[Finding] = []
    row = counted(
        con,
        "repeated purchases",
        "SELECT count(*), sum(worth) FROM sold WHERE repeat AND event_type = 'purchase'",
    )
    if row[0]:
        less = f", lines worth {row[1]:,.2f}{unit}" if row[1] is not None else ""
        found.append(
            finding(
                REPEATED_PURCHASES,
                f"{row[0]:,} purchase rows{less} repeat an order that was delivered before.",
                count=row[0],
                removed=None if row[1] is None else round(row[1], 4),
            )
        )
    row = counted(
        con,
        "similar purchases",
        """
        SELECT coalesce(sum(n - 1), 0), coalesce(sum((n - 1) * worth), 0) FROM (
            SELECT any_value(worth) AS worth, count(*) AS n FROM sold
            WHERE event_type = 'purchase' AND NOT repeat AND NOT named AND item_id IS NOT NULL
            GROUP BY s, item_id, price, quantity HAVING count(*) > 1)
        """,
    )
    if row[0]:
        found.append(
            finding(
                SIMILAR_PURCHASES,
                f"{row[0]} purchases ({row[1]:,.2f}{unit}) repeat the item and price of another in "
                "their session at another time; without an order id they are kept as money.",
                count=int(row[0]),
                money=round(row[1], 4),
            )
        )
    row = counted(
        con,
        "purchases without item",
        "SELECT count(*) FROM sold WHERE event_type = 'purchase' AND item_id IS NULL",
    )
    if row[0]:
        found.append(finding(NO_ITEM, f"{row[0]} purchases name no item.", count=row[0]))
    return found + _discounts(con) + _reconciled(con, figures, unit) + _shared(con, unit)


def _discounts(con: duckdb.DuckDBPyConnection) -> list[Finding]:
    (orders,) = counted(
        con,
        "discounts",
        "SELECT count(DISTINCT o) FROM sold WHERE event_type = 'purchase' AND NOT repeat "
        "AND total IS NULL AND discount > 0 AND abs(worth - price * quantity) <= 0.005",
    )
    if not orders:
        return []
    text = f"{orders:,} orders without a total state a discount; it is not taken off their lines."
    return [finding(DISCOUNTS, text, count=orders)]


def _reconciled(
    con: duckdb.DuckDBPyConnection, figures: dict[str, Any], unit: str
) -> list[Finding]:
    """Hold orders' totals against their lines, where both are known for every line.

    A total may hold the tax, the shipping and the discount that the order states, or not: what any
    of these accounts for is no difference.
    """
    orders, totals, lines, unlike, apart = counted(
        con,
        "totals and lines",
        f"""
        SELECT count(*), sum(total), sum(worth), count(*) FILTER (apart > 0.005), sum(apart)
        FROM (SELECT *, list_min([{_accounted()}]) AS apart
              FROM (SELECT any_value(total) AS total,
                           CASE WHEN count(worth) = count(*) THEN sum(worth) END AS worth,
                           coalesce(max(tax), 0) AS tax, coalesce(max(shipping), 0) AS shipping,
                           coalesce(max(discount), 0) AS discount
                    FROM sold WHERE event_type = 'purchase' AND NOT repeat GROUP BY o)
              WHERE total IS NOT NULL AND worth IS NOT NULL)
        """,
    )
    figures["order_totals"] = None if totals is None else round(totals, 4)
    figures["order_lines"] = None if lines is None else round(lines, 4)
    found: list[Finding] = []
    if orders and apart > _SHARE * max(abs(totals), abs(lines)):
        found.append(
            finding(
                UNEQUAL,
                f"{orders:,} orders total {totals:,.2f}{unit}, their lines {lines:,.2f}{unit} "
                f"({unlike:,} orders differ by more than their tax, shipping and discount); the "
                "totals count.",
                count=unlike,
                totals=round(totals, 4),
                lines=round(lines, 4),
                apart=round(apart, 4),
            )
        )
    row = counted(
        con,
        "two totals",
        "SELECT count(*) FROM (SELECT 1 FROM sold WHERE event_type = 'purchase' "
        "GROUP BY o HAVING count(DISTINCT order_value) > 1)",
    )
    if row[0]:
        found.append(
            finding(TWO_TOTALS, f"{row[0]:,} orders state more than one total.", count=row[0])
        )
    return found


def _accounted() -> str:
    """Return SQL of how far a total lies from its lines, with and without each stated part."""
    return ", ".join(
        f"abs(total - worth - {tax} - {shipping} + {discount})"
        for tax in ("0", "tax")
        for shipping in ("0", "shipping")
        for discount in ("0", "discount")
    )


def _shared(con: duckdb.DuckDBPyConnection, unit: str) -> list[Finding]:
    (row,) = keyed(
        con,
        "shared orders",
        """
        SELECT order_id AS key, who, sum(revenue) AS revenue FROM sold
        WHERE event_type = 'purchase' AND named GROUP BY ALL
        """,
        """
        SELECT count(*), sum(money) FROM (
            SELECT sum(revenue) - max(revenue) AS money FROM {rows} GROUP BY key
            HAVING count(*) > 1)
        """,
    )
    if not row[0]:
        return []
    money = f" ({row[1]:,.2f}{unit} beside the largest)" if row[1] is not None else ""
    return [
        finding(SHARED_ORDER, f"{row[0]:,} order ids are used by several visitors{money}.",
                count=row[0])
    ]  # fmt: skip
