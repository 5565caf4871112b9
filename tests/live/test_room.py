"""The memory of sessions is bounded: the oldest give way, then new ones are refused and counted."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cartcast.live.event import Event
from cartcast.live.model import load_scorer
from cartcast.live.problems import Problem
from cartcast.live.room import make_room, weigh
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore

T0 = 1_700_000_000_000_000


def _store(scorer: Any, most: int) -> tuple[Live, MemoryStore]:
    store = MemoryStore(
        scorer, Rules(), durability="none", clock=lambda: T0, sweeps=False, most_memory=most
    )
    return Live(scorer, store), store


def _events(visitors: range, clicks: int, seconds: int = 0, page: int = 40) -> list[Event]:
    return [
        Event(
            "view_item", event_time=T0 + seconds * 1_000_000 + c, visitor_id=f"v{v}",
            event_id=f"{v}-{c}-{seconds}", page="p" * page,
        )
        for v in visitors
        for c in range(clicks)
    ]  # fmt: skip


def _weighed_and_taken(scorer: Any, clicks: int, sessions: int, page: int) -> tuple[int, int]:
    async def main() -> tuple[int, int]:
        live, store = _store(scorer, 10**12)
        await live.ingest(_events(range(5), clicks), now=T0)
        gc.collect()
        tracemalloc.start()
        for n in range(100, 100 + sessions):
            await live.ingest(_events(range(n, n + 1), clicks, page=page), now=T0)
        await store.make_room()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return store.memory, taken

    return asyncio.run(main())


SHAPES = [(1, 2000, 40), (20, 200, 40), (300, 10, 40), (20, 50, 1000)]


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_about_what_sessions_take(scorer: Any, shape: tuple[int, int, int]) -> None:
    """Against Python's own count of allocated bytes."""
    weighed, taken = _weighed_and_taken(scorer, *shape)
    assert 0.6 < weighed / taken < 1.8


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_hold_for_a_trained_model(small_run: Path, shape: tuple[int, int, int]) -> None:
    weighed, taken = _weighed_and_taken(load_scorer(small_run), *shape)
    assert 0.6 < weighed / taken < 1.8


def test_the_oldest_give_way_and_then_new_ones_are_refused(scorer: Any) -> None:
    async def main() -> None:
        live, store = _store(scorer, 10**9)
        for n in range(100):
            await live.ingest(_events(range(n, n + 1), 10), now=T0 + n)
        await store.make_room()
        full = store.memory
        assert store.settled == 0
        store.most_memory = full // 2
        await store.make_room()
        assert store.memory <= store.most_memory
        asleep = [isinstance(store.sessions.index[f"vv{n}"], bytes) for n in range(100)]
        assert asleep == sorted(asleep, reverse=True)
        assert store.settled == sum(asleep) > 20
        # A session that was settled early goes on; its clicks are all there.
        (answer,) = await live.ingest(_events(range(1), 1, seconds=5), now=T0 + 200)
        assert (answer.status, answer.click) == ("accepted", 11)
        store.most_memory = 10_000
        await store.make_room()
        assert store.forgotten > 0
        with pytest.raises(Problem) as caught:
            await live.ingest(_events(range(1, 2), 1, 6) + _events(range(500, 501), 1), now=T0)
        assert (caught.value.status, "Retry-After" in caught.value.headers) == (503, True)
        (answer,) = await live.ingest(_events(range(1, 2), 1, seconds=6), now=T0 + 300)
        assert (answer.status, answer.click) == ("accepted", 11)
        told = {s.name: s.value for family in store.collect() for s in family.samples}
        assert told["cartcast_sessions_refused_total"] == 1
        assert told["cartcast_sessions_settled_early_total"] == store.settled >= 100
        store.sessions.index.clear()
        await store.make_room()
        (answer,) = await live.ingest(_events(range(500, 501), 1), now=T0)
        assert answer.status == "accepted"

    asyncio.run(main())


def test_events_go_on_while_room_is_made(scorer: Any) -> None:
    async def main() -> None:
        live, store = _store(scorer, 10**9)
        await live.ingest(_events(range(400), 5), now=T0)
        store.most_memory = 500_000
        making = asyncio.create_task(store.make_room())
        sent = 0
        while not making.done():
            await live.ingest(_events(range(sent, sent + 1), 1, seconds=3), now=T0 + 9)
            sent += 1
            await asyncio.sleep(0)
        assert sent > 3
        clicks = [store.sessions.find((f"vv{n}",)).clicks for n in range(400)]  # type: ignore[union-attr]
        assert clicks == [6] * sent + [5] * (400 - sent)

    asyncio.run(main())


def test_a_long_session_weighs_more_than_a_short_one(scorer: Any) -> None:
    _, store = _store(scorer, 10**9)
    for event in _events(range(1), 3) + _events(range(1, 2), 30):
        store.sessions.apply(event, T0)
    short, long = (store.sessions.index[k] for k in ("vv0", "vv1"))
    assert weigh(long, scorer) - weigh(short, scorer) >= 27 * 90
    assert asyncio.run(make_room(store.sessions, 10**9)).settled == 0
