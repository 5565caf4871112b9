"""The same money, stated per unit, per line or per order, and refunds under either sign."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cartcast.datasets.disguises.accidents.accident import Accident, each_log, has
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, Order, TrueLog

__all__ = ["ACCIDENTS"]

_MONEY = frozenset({"money"})
_OF_ORDER = ("order_value", "tax", "shipping", "discount")
_Row = dict[str, Any]


def _rewrite(names: dict[str, str | None], change: Callable[[_Row], _Row]) -> Any:
    """Return a change of rows, and of which canonical column (or None) lies under which name."""

    def of(sheet: Sheet) -> Sheet:
        kept = {**sheet.names, **names}
        known = {k: v for k, v in kept.items() if v is not None}
        return replace(sheet.with_rows(change(row) for row in sheet.rows), names=known)

    return each_log(of)


def _without(row: _Row, *names: str) -> _Row:
    return {k: v for k, v in row.items() if k not in names}


def _unit_price(row: _Row) -> _Row:
    return _without(row, *_OF_ORDER)


def _line_total(row: _Row) -> _Row:
    """Give the line's money only, on the rows of orders."""
    line = row["price"] * row["quantity"] if row.get("order_id") else None
    return _without(row, *_OF_ORDER, "price") | {"line_total": line and round(line, 2)}


def _order_total(name: str) -> Callable[[_Row], _Row]:
    def change(row: _Row) -> _Row:
        return _without(row, *_OF_ORDER, "price") | {name: row.get("order_value")}

    return change


def _minus(*names: str) -> Callable[[_Row], _Row]:
    def change(row: _Row) -> _Row:
        if row["event_type"] != "refund":
            return row
        return row | {n: -row[n] for n in names if row.get(n)}

    return change


def _told_again(log: TrueLog) -> TrueLog:
    """Tell every third order once more half a minute later: the browser's page, or the server."""
    events: list[Event] = []
    for number, event in enumerate(log):
        events.append(event)
        if event.event_type == "purchase" and number % 3 != 1:
            server = event.server or ("user" if event.user_id and number % 2 else None)
            name = str(uuid.uuid5(uuid.NAMESPACE_URL, event.event_id))
            time = event.time + 25
            events.append(replace(event, event_id=name, time=time, server=server, again=True))
    return replace(log, events=tuple(sorted(events, key=lambda e: e.time)))


def _dear(log: TrueLog) -> TrueLog:
    """Multiply all money by 20, so that some of it has four digits before the mark."""

    def rule(event: Event) -> Event:
        lines = tuple(replace(line, price=round(line.price * 20, 2)) for line in event.lines)
        if event.order is None:
            return replace(event, lines=lines)
        o = event.order
        money = [round(value * 20, 2) for value in (o.total, o.tax, o.shipping, o.discount)]
        return replace(event, lines=lines, order=Order(o.order_id, *money))

    return log.change(rule)


_WITH_TOTALS = ("cartcast", "ga4", "ga360", "segment", "rudderstack", "posthog",
                "amplitude", "mixpanel")  # fmt: skip
"""Layouts of sources that state an order's total, so that a purchase without id has its money."""

_GROUPS = {
    "thousands-dots": (",", "."),
    "thousands-spaces": (",", " "),
    "thousands-commas": (".", ","),
}
"""Marks of fractions and of thousands, by the name of their accident."""


def _no_order_ids(log: TrueLog) -> TrueLog:
    """Write GA4's words where the order's id should be."""
    return log.change(
        lambda e: replace(e, order=e.order and replace(e.order, order_id="(not set)"))
    )


def _no_prices(sheet: Sheet) -> Sheet:
    """Leave only the order's revenue; items keep their quantities."""
    rows = (
        row | {"items": [_without(i, "price", "item_revenue", "item_refund") for i in row["items"]]}
        for row in sheet.rows
    )
    return sheet.with_rows(rows)


def _grouped(decimal: str, thousands: str) -> Any:
    marks = {"separator": ";", "decimal": decimal, "thousands": thousands}
    return each_log(lambda sheet: sheet.speak(**marks))


_NO_ORDER: dict[str, str | None] = dict.fromkeys(_OF_ORDER)
_WHOLE = has("order_value", "price")


def _total_under(accident: str, column: str) -> Accident:
    return Accident(
        accident,
        _MONEY,
        _WHOLE,
        sheets=_rewrite({**_NO_ORDER, "price": None, "order_value": column}, _order_total(column)),
        lacks=frozenset({"price", "shown_price"}),
    )


ACCIDENTS = (
    Accident(
        "orders-told-again",
        frozenset({"repeats"}),
        lambda form: "order_id" in form.tells and len(form.files) == 1,
        _told_again,
    ),
    Accident(
        "order-ids-not-set",
        frozenset({"repeats"}),
        lambda form: "order_id" in form.tells and form.layout in _WITH_TOTALS,
        _no_order_ids,
        lacks=frozenset({"order_id"}),
    ),
    Accident(
        "items-without-prices",
        _MONEY,
        lambda form: form.name in ("ga4", "ga4-jsonl"),
        sheets=each_log(_no_prices),
        lacks=frozenset({"price", "shown_price"}),
    ),
    *(
        Accident(
            name,
            frozenset({"separator", "decimal"}),
            lambda form: form.own and form.flat,
            _dear,
            _grouped(*marks),
        )
        for name, marks in _GROUPS.items()
    ),
    Accident(
        "money-unit-price",
        _MONEY,
        _WHOLE,
        sheets=_rewrite(_NO_ORDER, _unit_price),
        lacks=frozenset({"order_value"}),
    ),
    Accident(
        "money-line-total",
        _MONEY,
        _WHOLE,
        sheets=_rewrite({**_NO_ORDER, "price": None, "line_value": "line_total"}, _line_total),
        lacks=frozenset({"order_value", "price", "shown_price"}),
        adds=frozenset({"line_value"}),
    ),
    _total_under("money-order-total", "order_total"),
    _total_under("money-revenue-on-each-line", "revenue"),
    replace(_total_under("money-amount-on-each-line", "amount"), says=True),
    Accident("refund-money-minus", frozenset({"sign"}), _WHOLE,
             sheets=_rewrite({}, _minus("price", "order_value"))),
    Accident("refund-quantity-minus", frozenset({"sign"}), _WHOLE,
             sheets=_rewrite({}, _minus("quantity", "order_value"))),
)  # fmt: skip
"""Where the money stands, and its sign."""
