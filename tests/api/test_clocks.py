"""Clocks that jump, and clients who are ahead: no event is refused, no session is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest

from cartcast.live.clocks import BELIEVED, LEAD, Clock, Leads
from cartcast.live.event import Event
from cartcast.live.service import Live

HOUR = 3_600_000_000
NOW = 1_750_000_000_000_000


class Hands:
    """A wall clock and the time that has passed, moved by hand."""

    def __init__(self) -> None:
        self.wall = self.passed = NOW
        self.clock = Clock(lambda: self.wall, lambda: self.passed)

    def pass_by(self, micros: int) -> None:
        self.wall += micros
        self.passed += micros


@pytest.mark.parametrize("seed", range(30))
def test_the_calendar_never_goes_back_and_comes_to_agree(seed: int) -> None:
    draw, hands = random.Random(seed), Hands()
    before = hands.clock.now()
    for _ in range(200):
        hands.pass_by(draw.randrange(60_000_000))
        if draw.random() < 0.05:
            hands.wall += draw.choice([-HOUR, HOUR, -48 * HOUR, 48 * HOUR, -1, 1_000_000])
        now = hands.clock.now()
        assert now >= before
        assert hands.clock.read()[1] >= hands.wall
        before = now
    behind = max(before - hands.wall, 0)
    for _ in range(100):
        hands.pass_by(behind // 40 + BELIEVED // 20)
        hands.clock.now()
    assert hands.clock.now() == hands.wall


def test_a_jump_ahead_is_believed_only_when_it_stands() -> None:
    hands = Hands()
    hands.wall += 48 * HOUR
    assert hands.clock.now() == NOW
    hands.pass_by(BELIEVED // 2)
    assert hands.clock.now() == NOW + BELIEVED // 2
    hands.wall -= 48 * HOUR
    hands.pass_by(1)
    assert hands.clock.now() == hands.wall
    hands.wall += HOUR
    hands.clock.now()
    hands.pass_by(BELIEVED)
    assert hands.clock.now() == hands.wall


def stamp(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat()


@pytest.mark.parametrize("jump", [-HOUR, -48 * HOUR, 48 * HOUR, HOUR])
def test_a_server_clock_that_jumps_refuses_and_loses_nothing(
    serve: Callable[..., str], live: Live, jump: int
) -> None:
    hands = Hands()
    live.clock = hands.clock
    url, right = serve(live), NOW

    def send(visitor: str, stamped: bool) -> Any:
        event: dict[str, Any] = {"visitor_id": visitor, "event_type": "view_item"}
        if stamped:
            event["event_time"] = stamp(right)
        answer = httpx.post(f"{url}/v1/events", json=event)
        assert answer.status_code == 200, answer.text
        return answer.json()

    store: Any = live.store
    for n in range(5):
        send(f"v{n}", stamped=True)
    clicks = 1
    for moved in (jump, 0, -jump, 0):
        hands.wall += moved
        hands.pass_by(10_000_000)
        right += 10_000_000
        store.sweep(list(store.sessions.index))
        for stamped in (True, False):
            clicks += 1
            said = send("v0", stamped)
            assert (said["status"] in ("accepted", "late_accepted"), said["click"]) == (
                True,
                clicks,
            )
    assert set(store.sessions.index) == {f"vv{n}" for n in range(5)}


def test_a_client_ahead_makes_nobody_late(serve: Callable[..., str], live: Live) -> None:
    hands = Hands()
    live.clock = hands.clock
    url = serve(live)
    ahead = 200_000_000
    click = 0
    for _ in range(10):
        hands.pass_by(3_000_000)
        for lead in (ahead, 0):
            event = {
                "visitor_id": "v", "event_type": "view_item",
                "event_time": stamp(hands.wall + lead),
            }  # fmt: skip
            said = httpx.post(f"{url}/v1/events", json=event).json()
            click += 1
            assert (said["status"] in ("accepted", "late_accepted"), said["click"]) == (True, click)
    session = live.store.sessions.index["vv"]  # type: ignore[attr-defined]
    assert session.last_time <= hands.wall


@pytest.mark.parametrize("seed", range(10))
def test_a_lead_is_estimated_over_the_events_of_its_client(seed: int) -> None:
    """Times come out between when the event was and when it arrived, in order, and so far apart."""
    draw, leads, skew = random.Random(seed), Leads(), 150_000_000
    now, before = NOW, 0
    for _ in range(50):
        now += draw.randrange(5_000_000)
        true = sorted(now - draw.randrange(100_000) for _ in range(3))
        events = [Event("x", event_time=t + skew, visitor_id="v") for t in true]
        other = Event("x", event_time=now - 50_000_000, visitor_id="w")
        leads.put_right([*events, other], now)
        times: list[Any] = [e.event_time for e in events]
        assert all(t <= time <= now for t, time in zip(true, times, strict=True))
        assert [b - a for a, b in pairwise(times)] == [b - a for a, b in pairwise(true)]
        assert (times[0] >= before - 100_000, other.event_time) == (True, now - 50_000_000)
        before = times[-1]


def test_small_leads_are_left_alone() -> None:
    event = Event("x", event_time=NOW + LEAD, visitor_id="v")
    Leads().put_right([event], NOW)
    assert event.event_time == NOW + LEAD
