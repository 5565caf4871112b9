"""Builds the shop's log: simulated clicks, and orders, logins and refunds laid over them by rule.

Orders of several lines, refunds, purchases sent by the shop's server, ties of time and odd ids
follow the number of the order or visitor, so that small logs hold them all.
"""

from __future__ import annotations

import functools
import itertools
import random
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from cartcast.datasets.disguises.shop import GAP, Event, Line, Order, TrueLog
from cartcast.datasets.simulate_shop import simulate

__all__ = ["make_log"]

_LONGEST = 14
_DAY = 86_400


@functools.lru_cache(maxsize=16)
def make_log(
    seed: int = 0, sessions: int = 60, start: date = date(2025, 3, 3), days: int = 14
) -> TrueLog:
    """Return the log of a small shop; the same arguments give the same log.

    About a third of the sessions buy. Orders have 1 to 4 lines, in part two lines of one item at
    another price; in part discount, tax and shipping, so that the total is not the sum of lines.

    >>> log = make_log(seed=1, sessions=40)
    >>> log == make_log.__wrapped__(seed=1, sessions=40)
    True
    >>> sorted({e.event_type for e in log} & {"purchase", "refund"})
    ['purchase', 'refund']
    """
    table = simulate(sessions, seed, start=start, days=days, late=0, twice=0).events
    assert table is not None
    builder = _Builder(random.Random(seed))  # noqa: S311
    rows = sorted(table.to_pylist(), key=lambda r: (r["session_id"], r["event_order"]))
    visits = [list(g) for _, g in itertools.groupby(rows, key=lambda r: r["session_id"])]
    for visit in sorted(visits, key=lambda v: (v[0]["event_time"], v[0]["session_id"])):
        builder.visit(visit)
    builder.send_back()
    return builder.finish()


@dataclass(frozen=True)
class _Sold:
    """A purchase that may come back, with the number of the order."""

    event: Event
    number: int


class _Builder:
    """Lays orders, logins and refunds over simulated visits, in time order."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.events: list[Event] = []
        self.last: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.users: dict[str, str] = {}
        self.seen: dict[str, int] = {}
        self.sold: list[_Sold] = []

    def visit(self, rows: list[dict[str, Any]]) -> None:
        """Add one simulated visit, unless it comes within a day of the visitor's last one."""
        visitor = str(1001 + int(rows[0]["visitor_id"][1:]))
        clicks = [r for r in rows if r["event_type"] != "purchase"][:_LONGEST]
        begin = _second(clicks[0]) if clicks else 0
        if not clicks or begin - self.last.get(visitor, 0) < 2 * _LONGEST * 600:
            return
        events = self._clicks(visitor, clicks)
        goods = list({e.line.item_id: e.line for e in events if e.line}.values())
        if goods and self.rng.random() < 0.6:
            events += self._order(events[-1], goods)
        self._add(events, login=events[-1].order is not None and self.rng.random() < 0.7)

    def _clicks(self, visitor: str, rows: list[dict[str, Any]]) -> list[Event]:
        number = self.numbers[visitor] = self.numbers.get(visitor, 0) + 1
        session = str(500_001 + len(self.numbers) + sum(self.numbers.values()))
        events: list[Event] = []
        for row in rows:
            time = _second(row)
            if events:
                tie = self.rng.random() < 0.25 and events[-1].event_type != row["event_type"]
                tie = tie and (len(events) < 2 or events[-2].time < events[-1].time)
                time = events[-1].time if tie else max(time, events[-1].time + 1)
            events.append(self._click(visitor, session, number, time, row))
        return events

    def _click(
        self, visitor: str, session: str, number: int, time: int, row: dict[str, Any]
    ) -> Event:
        line = _line(row) if row["item_id"] else None
        kind = str(row["event_type"])
        term = f"{row['category'] or 'new'}, size 4{number}" if kind == "search" else None
        path = f"search?q={term.replace(' ', '+')}" if term else str(row["page"])
        return Event(
            event_id="", visitor_id=visitor, user_id=None, session_id=session,
            session_number=number, time=time, position=0, event_type=kind,
            lines=(line,) if line else (),
            country="NA" if int(visitor) % 9 == 0 else row["country"],
            device=row["device"], channel=row["channel"], campaign=row["campaign"],
            page=f"https://shop.example/{path}" + (f"/{line.item_id}" if line else ""), term=term,
            shelf=self.rng.choice(("left", "right", None)),
        )  # fmt: skip

    def _order(self, last: Event, goods: list[Line]) -> list[Event]:
        """Return checkout, payment and purchase; what is odd about an order follows its number."""
        number = len(self.sold)
        lines = [
            replace(g, quantity=self.rng.choice((1, 1, 2, 3))) for g in goods[: number % 4 + 1]
        ]
        if number % 3 == 0:
            one = lines[0]
            cheaper = round(one.price * 0.8, 2)
            lines.insert(1, replace(one, price=cheaper, quantity=one.quantity + 1))
        total = round(sum(line.value for line in lines), 2)
        tax, shipping = (round(total * 0.19, 2), 4.9) if number % 4 in (1, 3) else (0.0, 0.0)
        discount = round(total * 0.1, 2) if number % 4 in (2, 3) else 0.0
        order = Order(
            f"A{9001 + number}",
            round(total - discount + tax + shipping, 2),
            tax,
            shipping,
            discount,
        )
        cart = replace(
            last, time=last.time + 31, event_type="begin_checkout", lines=tuple(lines),
            page="https://shop.example/checkout", term=None,
        )  # fmt: skip
        pay = replace(cart, time=cart.time + 17, event_type="add_payment_info", lines=())
        bought = replace(
            pay, time=pay.time + 40, event_type="purchase", lines=tuple(lines), order=order,
            page="https://shop.example/thanks",
        )  # fmt: skip
        return [cart, pay, bought]

    def _add(self, events: list[Event], *, login: bool) -> None:
        """Number a session's events, make the login known from its middle on, and keep them."""
        visitor, half = events[0].visitor_id, len(events) // 2
        user = self._user(events) if login else None
        placed = []
        for position, event in enumerate(events, 1):
            known = user if position > half else None
            named = f"{len(self.events) + position}-{visitor}-{event.time}-{position}"
            event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, named))
            server = None
            if event.order is not None:
                server = (None, "user" if known else None, "client")[len(self.sold) % 3]
            placed.append(
                replace(event, event_id=event_id, position=position, user_id=known, server=server)
            )
            if event.order is not None and event.event_type == "purchase":
                self.sold.append(_Sold(placed[-1], len(self.sold)))
        self.events += placed
        self.last[visitor] = max(self.last.get(visitor, 0), events[-1].time)

    def _user(self, events: list[Event]) -> str:
        """Return the visitor's login; a few logins are those of the device before, if long ago."""
        visitor = events[0].visitor_id
        if visitor not in self.users:
            before = [u for u, at in self.seen.items() if at < events[0].time - _DAY]
            fresh = str(70_001 + len(self.users))
            self.users[visitor] = before[-1] if before and len(self.users) % 4 == 3 else fresh
        user = self.users[visitor]
        if self.seen.get(user, 0) > events[0].time - GAP:
            return str(80_001 + len(self.sold))
        self.seen[user] = events[-1].time
        return user

    def send_back(self) -> None:
        """Add refunds: one order in six later in its session, one in six days later."""
        for event, number in ((s.event, s.number) for s in list(self.sold)):
            if number % 6 not in (1, 4) or event.order is None:
                continue
            whole = number % 12 < 6 or event.lines[0].value >= event.order.total
            lines = event.lines if whole else event.lines[:1]
            total = event.order.total if whole else lines[0].value
            back = replace(
                event, event_type="refund", lines=lines, order=Order(event.order.order_id, total),
                page="https://shop.example/account", server=None,
            )  # fmt: skip
            if number % 6 == 1:
                position = event.position + 1
                name = uuid.uuid5(uuid.NAMESPACE_URL, f"refund-{number}")
                self.events.append(
                    replace(back, time=event.time + 300, position=position, event_id=str(name))
                )
                continue
            visitor = event.visitor_id
            self.numbers[visitor] += 1
            session = str(900_001 + number)
            begin = self.last[visitor] + 2 * _DAY
            visit = replace(
                back, session_id=session, session_number=self.numbers[visitor], time=begin,
                event_type="page_view", lines=(), order=None,
            )  # fmt: skip
            later = replace(
                visit, time=begin + 60, event_type="refund", lines=lines, order=back.order
            )
            self._add([visit, later], login=False)

    def finish(self) -> TrueLog:
        """Return all events in time order."""
        return TrueLog(tuple(sorted(self.events, key=lambda e: (e.time, e.session_id, e.position))))


def _second(row: dict[str, Any]) -> int:
    moment: datetime = row["event_time"]
    return int(moment.replace(tzinfo=UTC).timestamp())


def _line(row: dict[str, Any]) -> Line:
    """Return the item; one id in three begins with zeros, and names need quotes in a CSV."""
    number = int(row["item_id"][1:])
    item = f"{number:05d}" if number % 3 == 0 else str(10_000 + number)
    name = f'{row["brand"]} {number % 40}", {row["color"]}'
    return Line(item, name, row["category"], row["brand"], float(row["price"]))
