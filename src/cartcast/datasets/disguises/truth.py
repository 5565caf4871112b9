"""What any right reader must give back: canonical rows and figures, worked out from the shop alone.

Nothing here reads a file or knows the reader; it applies the rules of the contract in plain loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cartcast.datasets.disguises.shop import GAP, Event, TrueLog

__all__ = ["FACTS", "Truth", "truth_of"]

FACTS: dict[str, str] = {
    "visitor_id": "who, by device",
    "user_id": "who, by login",
    "session_id": "which visit; without it a pause of 30 minutes ends one",
    "event_time": "when, to the second",
    "event_order": "the order of ties, by the source's own fields",
    "row_order": "the order of ties, by the order of the rows",
    "event_id": "an id of each event",
    "events": "every event is told once, so that rows can be counted",
    "item_id": "which item",
    "category": "the item's category",
    "brand": "the item's brand",
    "price": "money per unit of an order's lines",
    "shown_price": "money per unit beside other events",
    "line_value": "money of a line, where only that is stated",
    "quantity": "units",
    "order_id": "real ids of orders",
    "order_value": "the order's own total",
    "refund": "money given back",
    "currency": "the currency",
    "country": "the country",
    "shelf": "the shop's own column",
}
"""Each fact that a form may tell, in words."""


@dataclass(frozen=True)
class Truth:
    """The figures that a form can tell; None where it cannot.

    Attributes:
        rows: canonical rows (one per line of a purchase or refund, else one per event), in order;
            facts that the form does not tell are None.
        events: number of rows.
        sessions, visitors, users, items: distinct ones.
        orders: distinct order ids of a visitor.
        purchases: purchase rows.
        purchase_sessions: sessions with a purchase.
        revenue: money of purchases net of refunds.
        refunds: money of refunds, 0 or below.
    """

    rows: tuple[dict[str, Any], ...]
    events: int | None
    sessions: int
    visitors: int | None
    users: int | None
    items: int | None
    orders: int | None
    purchases: int | None
    purchase_sessions: int
    revenue: float | None
    refunds: float | None

    def figures(self) -> dict[str, int | float]:
        """Return the figures that are told, by name."""
        named = {k: v for k, v in vars(self).items() if k != "rows"}
        return {k: v for k, v in named.items() if v is not None}


def truth_of(log: TrueLog, tells: frozenset[str]) -> Truth:
    """Return what a form that tells these facts must give for `log`.

    >>> from cartcast.datasets.disguises.shop import Event, Line, Order
    >>> bought = Event("e", "v", None, "s", 1, 60, 1, "purchase",
    ...                (Line("a", "A", "c", "b", 5.0, 2), Line("b", "B", "c", "b", 1.0)),
    ...                Order("o", 9.0, discount=2.0))
    >>> one = truth_of(TrueLog((bought,)), frozenset(FACTS))
    >>> one.revenue, one.events, [r["revenue"] for r in one.rows]
    (9.0, 2, [9.0, None])
    >>> truth_of(TrueLog((bought,)), frozenset(FACTS) - {"order_value"}).revenue
    11.0
    """
    sessions = {e.event_id: e.session_id for e in log} if "session_id" in tells else _by_gap(log)
    users = _users(log, sessions) if "user_id" in tells else {}
    rows: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    for event in log:
        session = sessions[event.event_id]
        several = event.event_type in ("purchase", "refund")
        for n in range(len(event.lines) if several and event.lines else 1):
            places[session] = places.get(session, 0) + 1
            rows.append(_row(event, n, session, places[session], users.get(session), log, tells))
    return _figures(rows, tells)


def _by_gap(log: TrueLog) -> dict[str, str]:
    """Return the session of each event id by visitor and pause."""
    found: dict[str, str] = {}
    last: dict[str, Event] = {}
    number = 0
    for event in log:
        before = last.get(event.visitor_id)
        if before is None or event.time - before.time > GAP:
            number += 1
            found[event.event_id] = f"gap-{number}"
        else:
            found[event.event_id] = found[before.event_id]
        last[event.visitor_id] = event
    return found


def _users(log: TrueLog, sessions: dict[str, str]) -> dict[str, str]:
    """Return the login of each session: known at one event, it holds for all."""
    return {sessions[e.event_id]: e.user_id for e in log if e.user_id is not None}


def _row(
    event: Event, n: int, session: str, place: int, user: str | None, log: TrueLog,
    tells: frozenset[str],
) -> dict[str, Any]:  # fmt: skip
    line = event.lines[n] if event.lines else None
    order = event.order
    value = order.total if order else None
    money = _money(event, n, tells)
    told = {
        "visitor_id": event.visitor_id,
        "user_id": user,
        "event_time": event.time,
        "event_id": event.event_id,
        "item_id": line and line.item_id,
        "category": line and line.category,
        "brand": line and line.brand,
        "price": line.price if line and (order or "shown_price" in tells) else None,
        "quantity": line and float(line.quantity),
        "line_value": line and line.value,
        "order_id": order and order.order_id,
        "order_value": value,
        "currency": log.currency if line else None,
        "country": None if event.server else event.country,
        "shelf": event.shelf,
    }
    row = {name: fact if name in tells else None for name, fact in told.items()}
    if "quantity" not in tells:
        row["quantity"] = line and 1.0
    return row | {
        "session_id": session,
        "event_order": place,
        "event_type": event.event_type,
        "revenue": money,
    }


def _money(event: Event, n: int, tells: frozenset[str]) -> float | None:
    """Return the row's money that counts: the order's total at its first row, else the line's."""
    if event.order is None or event.again:
        return None
    sign = -1.0 if event.event_type == "refund" else 1.0
    if "order_value" in tells:
        return round(sign * event.order.total, 2) if n == 0 else None
    if not tells & {"price", "line_value"} or not event.lines:
        return None
    line = event.lines[n]
    return round(sign * line.value, 2)


def _figures(rows: list[dict[str, Any]], tells: frozenset[str]) -> Truth:
    bought = [r for r in rows if r["event_type"] == "purchase"]
    back = [r["revenue"] for r in rows if r["event_type"] == "refund" and r["revenue"] is not None]
    money = [r["revenue"] for r in bought if r["revenue"] is not None]
    orders = {(r["visitor_id"], r["order_id"]) for r in bought}

    def distinct(name: str) -> int | None:
        return len({r[name] for r in rows} - {None}) if name in tells else None

    return Truth(
        rows=tuple(rows),
        events=len(rows) if "events" in tells else None,
        sessions=len({r["session_id"] for r in rows}),
        visitors=distinct("visitor_id"),
        users=distinct("user_id"),
        items=distinct("item_id"),
        orders=len(orders) if "order_id" in tells else None,
        purchases=len(bought) if "events" in tells else None,
        purchase_sessions=len({r["session_id"] for r in bought}),
        revenue=round(sum(money) + sum(back), 2) if money else None,
        refunds=round(sum(back), 2) if back else None,
    )
