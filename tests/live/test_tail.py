"""Kept events come back as they were, in their order, and take few bytes."""

from __future__ import annotations

import random
import struct
import sys
from typing import Any

import msgspec

from cartcast.live.event import Event
from cartcast.live.tail import LAST, Tail, mark_of

TEXTS = ("source_event", "item_id", "category", "country", "page", "photo")
WORDS = ("", "a", "ü" * 200, "\U0001f9e2", "x" * 2048, "view_item", None)


def draw(rng: random.Random, number: int) -> Event:
    told: dict[str, Any] = {name: rng.choice(WORDS) for name in TEXTS if rng.random() < 0.4}
    told["visitor_id"] = rng.choice(["v-1", "ä", None])
    told["event_type"] = rng.choice(["view_item", "search", "other"])
    if rng.random() < 0.3:
        told["event_order"] = rng.choice([1, 2**53])
    if rng.random() < 0.3:
        told["extra"] = {"a": rng.choice([None, 1.5, "x"]), "b" * 64: -0.0}
    moment = rng.choice([0, -1, 1_700_000_000_000_000, 2**53])
    price = rng.choice([None, 0.0, 1e12, 0.1])
    return Event(event_time=moment, event_id=f"e{number}", price=price, **told)


def test_what_is_kept_comes_back() -> None:
    rng = random.Random(4)
    for _ in range(50):
        tail, expected = Tail(), []
        for number in range(rng.randint(0, 60)):
            event = draw(rng, number)
            tail.append(event, number)
            expected.append((number, event))
            if rng.random() < 0.05:
                count = rng.randint(0, len(expected))
                tail.drop(count)
                expected = expected[count:]
        for one in (tail, Tail.load(tail.dump())):
            assert len(one) == len(expected)
            assert bool(one) == bool(expected)
            kept = list(one)
            assert [(k.arrival, k.event) for k in kept] == expected
            assert [k.time for k in kept] == [e.event_time or 0 for _, e in expected]
            assert [k.order for k in kept] == [e.event_order or LAST for _, e in expected]
            assert [k.mark for k in kept] == [mark_of(e.event_id) for _, e in expected]
            assert one.first(3) == kept[:3]


def test_an_older_snapshot_is_read() -> None:
    rng = random.Random(5)
    events = [draw(rng, number) for number in range(40)]
    encode = msgspec.msgpack.Encoder().encode
    # As it was stored before: time, order, arrival, mark, the event with the names of its fields.
    old = [[e.event_time, e.event_order or LAST, k, 7, encode(e)] for k, e in enumerate(events)]
    stored = msgspec.msgpack.decode(encode(old))
    # And then: arrival, size, the values of all fields.
    later = b""
    for k, event in enumerate(events):
        data = encode(msgspec.structs.astuple(event))
        later += struct.pack("<II", k, len(data)) + data
    for one in (stored, later):
        assert [(k.arrival, k.event) for k in Tail.load(one)] == list(enumerate(events))


def test_an_event_takes_less_than_its_record() -> None:
    event = Event(
        "view_item", 1_700_000_000_000_000, visitor_id="visitor-00001", event_id="0" * 24,
        item_id="sku-7", category="trousers", price=12.5, device="mobile", country="FR",
    )  # fmt: skip
    tail = Tail()
    for number in range(64):
        tail.append(event, number)
    record = len(msgspec.msgpack.encode(event)) + 33
    assert tail.weight() / 64 < 0.65 * record
    assert tail.weight() == sys.getsizeof(tail._data)
