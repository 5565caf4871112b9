"""Outcomes kept apart from the clicks: a table of orders or labels becomes purchase events.

Real shops often have clicks in one place and orders in another (YooChoose's clicks and buys are
the public example). A row joins by session id; else by visitor and time, to the session of that
visitor that had begun, and ended no longer ago than the session gap. A customer known by a login is
the visitor on whose device that login was seen last (else next).
"""

from __future__ import annotations

from dataclasses import replace

import duckdb

from cartcast.errors import DataError
from cartcast.events.guess import known_layout, with_times
from cartcast.events.identity import MOST_DEVICES
from cartcast.events.layouts import Layout, Value
from cartcast.events.mapping import Resolved, resolve
from cartcast.events.naming import named
from cartcast.events.read import Source
from cartcast.events.statuses import status_of
from cartcast.events.words import COLUMN_WORDS
from cartcast.findings import Finding, declare, finding
from cartcast.sessions import SessionRules

__all__ = ["ORDER_WORDS", "match_orders", "orders_layout", "resolve_orders"]

UNMATCHED = declare(
    "EV117",
    "warn",
    "Orders that met no session",
    "Their money is in no figure, and a session that bought may look as if it did not.",
    "Check that both tables cover the same days, ids and time zone.",
)
MISPLACED = declare(
    "EV118",
    "warn",
    "Orders far from the clicks of their session",
    "An order before its session began, or long after, points to another clock or a wrong join.",
    "Check the time zones of both tables.",
)

_PER_UNIT = ("price", "unit_price", "item_price", "sale_price")
_TOTAL = (
    "amount", "order_amount", "order_value", "order_total", "total", "total_price", "revenue",
    "value", "spend", "purchase_amount", "payment", "sum",
)  # fmt: skip
_LABEL = (
    "label", "purchase", "purchased", "bought", "buy", "converted", "conversion", "is_purchase",
    "is_buyer", "buyer", "outcome", "target",
)  # fmt: skip
_YES = ("1", "1.0", "true", "t", "yes", "y", "purchase", "buy", "bought", "converted")
_TAKEN = ("session_id", "visitor_id", "user_id", "event_time", "order_id", "item_id", "quantity",
          "currency")  # fmt: skip

_CONTEXT = ("country", "device", "channel", "campaign", "page")
"""What an order says of the customer is known only after the outcome: the clicks' own stands."""

ORDER_WORDS: dict[str, tuple[str, ...]] = {
    **{name: COLUMN_WORDS[name] for name in _TAKEN},
    "event_time": (
        "order_time", "purchase_time", "ordered_at", "purchased_at", "paid_at", "order_date",
        *COLUMN_WORDS["event_time"],
    ),
    "price": _PER_UNIT,
    "order_value": tuple(dict.fromkeys((*_TOTAL, *COLUMN_WORDS["order_value"]))),
    "event_type": _LABEL,
}  # fmt: skip
"""Canonical column -> names by which a column of an orders table is known."""


def orders_layout(source: Source, clock: str) -> Layout:
    """Return the layout of an orders table from the names of its columns.

    Raises:
        DataError: it names neither a session nor a visitor with a time.
    """
    known = known_layout(source) if source.header_line else None
    if known is not None and known.every_event == "purchase":
        told = {k: v for k, v in known.columns.items() if k not in _CONTEXT}
        return replace(known, columns=told, clock=clock)
    if not source.header_line and len(source.columns) == 5:
        names = dict(zip(("session_id", "event_time", "item_id", "price", "quantity"),
                         source.columns, strict=True))  # fmt: skip
    else:
        names = _by_words(source)
    who = {"visitor_id", "user_id"} & set(names)
    if "session_id" not in names and not (who and "event_time" in names):
        raise DataError(
            f"{source.name}: an orders table needs session_id, or visitor_id with a time, got "
            f"{source.some_columns}; rename its columns."
        )
    return Layout(
        name="orders",
        columns={target: Value(columns=(column,)) for target, column in names.items()},
        events=dict.fromkeys(_YES, "purchase"),
        status=status_of(source) if "event_type" not in names else (),
        every_event="purchase",
        clock=clock,
    )


def _by_words(source: Source) -> dict[str, str]:
    known = named(source.columns)
    names: dict[str, str] = {}
    for target, words in ORDER_WORDS.items():
        found = next((known[w] for w in words if w in known and known[w] not in names.values()), "")
        if found:
            names[target] = found
    return names


def resolve_orders(source: Source, clock: str) -> Resolved:
    """Return the orders table's columns, resolved; its other columns are left out.

    They are known only after the outcome, so no feature may read them.
    """
    layout = orders_layout(source, clock)
    if clock in ("order", "session"):
        layout = replace(
            layout, columns={k: v for k, v in layout.columns.items() if k != "event_time"}
        )
    resolved = resolve(with_times(source, layout), source, timeless=True)
    return replace(resolved, extras={})


def match_orders(
    con: duckdb.DuckDBPyConnection, rows: str, file: int, rules: SessionRules, shown: str
) -> tuple[int, list[Finding]]:
    """Make the view `with_orders`: the rows, and the orders table's purchases in their sessions.

    Returns how many orders met no session, and findings. An order without a time stands at its
    session's last event.
    """
    gap = f"to_microseconds({rules.microseconds})"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE outcomes AS SELECT * FROM settled WHERE __file = {file} "
        "AND event_type IN ('purchase', 'refund')"
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE visits_met AS
        SELECT session_id, min(visitor_id) AS visitor_id, min(event_time) AS start,
               max(event_time) AS last, max(event_order) AS steps,
               max(session_seconds) AS seconds
        FROM {rows} GROUP BY session_id
        """
    )
    _customers(con, rows)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE matched AS
        SELECT o.__seq AS seq, v.* FROM outcomes o JOIN visits_met v ON o.session_id = v.session_id
        UNION ALL
        SELECT c.seq, v.* FROM customer c
        ASOF JOIN (SELECT * FROM visits_met WHERE visitor_id IS NOT NULL) v
          ON c.visitor_id = v.visitor_id AND c.t >= v.start
        WHERE c.t <= v.last + {gap}
        """
    )
    row = con.execute(
        """
        WITH sums AS (
            SELECT coalesce(max(order_value), sum(coalesce(line_value, price * quantity))) AS money,
                   bool_or(__seq IN (SELECT seq FROM matched)) AS met
            FROM outcomes GROUP BY coalesce(order_id, __seq::VARCHAR))
        SELECT count(*), count(*) FILTER (met), sum(money) FILTER (NOT met),
               (SELECT count(*) FROM outcomes o JOIN matched m ON o.__seq = m.seq
                WHERE o.event_time < m.start OR o.event_time > m.last + INTERVAL 1 DAY)
        FROM sums
        """
    ).fetchone()
    assert row is not None
    orders, met, lost, misplaced = row
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE placed_orders AS
        SELECT o.* REPLACE (
            m.session_id AS session_id, coalesce(o.visitor_id, m.visitor_id) AS visitor_id,
            coalesce(o.event_time, m.last) AS event_time,
            coalesce(o.known_time, m.last) AS known_time, m.seconds AS session_seconds,
            m.steps + row_number() OVER (PARTITION BY m.session_id
                                         ORDER BY o.event_time, o.__seq) AS event_order)
        FROM outcomes o JOIN matched m ON o.__seq = m.seq
        """
    )
    con.execute(
        f"CREATE OR REPLACE VIEW with_orders AS SELECT * FROM {rows} UNION ALL BY NAME "
        "SELECT *, false AS __made FROM placed_orders"
    )
    found = []
    if orders > met:
        money = f" worth {lost:,.2f}" if lost is not None else ""
        found.append(
            finding(
                UNMATCHED,
                f"{shown}: {orders - met} of {orders} orders{money} met no session.",
                count=orders - met,
                orders=orders,
                money=lost,
            )
        )
    if misplaced:
        found.append(
            finding(
                MISPLACED,
                f"{shown}: {misplaced} orders lie before their session or over a day after it.",
                count=misplaced,
            )
        )
    for table in ("visits_met", "matched", "outcomes", "customer"):
        con.execute(f"DROP TABLE {table}")
    return orders - met, found


def _customers(con: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Keep in the table `customer` the visitor of each order without a session."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE customer AS
        WITH lone AS (SELECT __seq AS seq, visitor_id, user_id AS u, event_time AS t
                      FROM outcomes WHERE session_id IS NULL),
        link AS (SELECT user_id AS u, visitor_id AS v, event_time AS t FROM {rows}
                 WHERE user_id IN (SELECT u FROM lone) AND visitor_id IS NOT NULL),
        -- A login of implausibly many devices (a default) is nobody's.
        own AS (SELECT * FROM link WHERE u NOT IN (
                    SELECT u FROM link GROUP BY u HAVING count(DISTINCT v) > {MOST_DEVICES})),
        before AS (SELECT lone.seq, own.v FROM lone
                   ASOF JOIN own ON lone.u = own.u AND lone.t >= own.t),
        after AS (SELECT lone.seq, arg_min(own.v, own.t) AS v FROM lone JOIN own USING (u)
                  GROUP BY lone.seq)
        SELECT lone.seq, coalesce(visitor_id, before.v, after.v, u) AS visitor_id, t
        FROM lone LEFT JOIN before USING (seq) LEFT JOIN after USING (seq)
        """
    )
