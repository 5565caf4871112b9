"""What the service says of itself: counts that can be told by hand, and nothing of a visitor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from cartcast.access.keys import KeyFile, Keys
from cartcast.app import service
from cartcast.live.event import Event
from cartcast.live.metrics import Metrics
from cartcast.live.recent import BINS, KEPT, Recent
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore


def test_a_score_key_reads_it_and_it_names_nobody(
    serve: Callable[..., str], live: Live, key_file: KeyFile
) -> None:
    keys = {scope: key_file.add(scope, [scope]) for scope in ("ingest", "score", "admin", "ask")}
    keys["both"] = key_file.add("both", ["ingest", "score"])
    url = serve(live, Keys(key_file))

    def ask(key: str) -> int:
        return httpx.get(f"{url}/v1/status", headers={"X-Api-Key": keys.get(key, key)}).status_code

    assert [ask(key) for key in ("score", "admin", "ingest", "ask", "none")] == [
        200, 200, 403, 403, 401,
    ]  # fmt: skip
    head = {"Authorization": f"Bearer {keys['both']}"}
    for number in range(6):
        event = {"visitor_id": f"ann-{number % 3}", "event_type": "view_item", "price": 5}
        assert httpx.post(f"{url}/v1/events", json=event, headers=head).status_code == 200
    bad = {"visitor_id": "ann-secret", "event_type": "view_item", "price": -77.5}
    assert httpx.post(f"{url}/v1/events", json=bad, headers=head).status_code == 422
    hits = {"writeKey": keys["ingest"], "batch": [
        {"type": "page", "anonymousId": "ann-9"},
        {"type": "track", "event": "Product Viewed", "anonymousId": "ann-9",
         "properties": {"price": -1}}]}  # fmt: skip
    assert httpx.post(f"{url}/v1/batch", json=hits).status_code == 200

    told = service.status(url, keys["score"])
    assert told["events"] == {"accepted": 7}
    assert sum(told["scores"]["counts"]) == 6
    sent = {one["tool"]: (one["events"], one["set_aside"]) for one in told["trackers"]}
    assert sent == {"Cartcast": (6, 0), "Segment or RudderStack": (1, 1)}
    assert list(told["set_aside"].values()) == [1]
    assert told["refused"] == {"401": 1, "403": 2, "422": 1}
    assert sum(one["count"] for one in told["reasons"]) == 4
    newest = told["errors"][0]
    assert (newest["path"], newest["status"], newest["field"]) == ("/v1/events", 422, "price")
    assert {one["path"] for one in told["slowest"]} == {"/v1/events", "/v1/batch"}
    assert told["model"]["version"] == live.scorer.version
    text = json.dumps(told)
    assert "ann-" not in text
    assert "77.5" not in text
    assert not any(key in text for key in keys.values())


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_differences_over_their_time() -> None:
    metrics, clock = Metrics(), Hands()
    recent = Recent(metrics, clock)
    for accepted, seconds in ((50, 5.0), (0, 5.0), (30, 10.0)):
        metrics.events["accepted"] += accepted
        metrics.events["late_accepted"] += accepted // 10
        metrics.events["duplicate"] += 3
        clock.now += seconds
        recent.sample()
    rates = [one["accepted"] for one in recent.document()["per_second"]]
    assert rates == pytest.approx([11.0, 0.0, 3.3])
    clock.now += 4
    metrics.refused["401"] += 8
    last = recent.document()["per_second"][-1]
    assert (last["accepted"], last["refused"]) == (0.0, 2.0)


def test_ten_minutes_are_kept_and_no_more() -> None:
    clock = Hands()
    recent = Recent(Metrics(), clock)
    recent.scored(1.0)
    recent.scored(0.0)
    recent.answered("/slow", 200, 9.0)
    assert recent.document()["scores"]["counts"] == [1, *[0] * (BINS - 2), 1]
    for number in range(2 * KEPT):
        clock.now += 5
        recent.answered("/quick", 200, 0.001 * number)
        recent.failed("/v1/events", 422, "f" * 999, f"rule {number}" * 99, "id")
        recent.sample()
    told = recent.document()
    assert len(told["per_second"]) == KEPT - 1
    assert sum(told["scores"]["counts"]) == 0
    assert [one["seconds"] for one in told["slowest"]] == pytest.approx(
        [0.001 * n for n in range(2 * KEPT - 1, 2 * KEPT - 11, -1)]
    )
    assert len(told["errors"]) == 20
    assert len(told["reasons"]) == 50
    assert len(json.dumps(told)) < 60_000


def test_after_slow_minutes_quick_answers_are_the_slowest() -> None:
    clock = Hands()
    recent = Recent(Metrics(), clock)
    for _ in range(10):
        recent.answered("/slow", 200, 9.0)
    recent.answered("/quick", 200, 0.1)
    assert {one["path"] for one in recent.document()["slowest"]} == {"/slow"}
    for _ in range(KEPT + 1):
        clock.now += 5
        recent.sample()
    recent.answered("/quick", 200, 0.1)
    assert [one["path"] for one in recent.document()["slowest"]] == ["/quick"]


def test_open_sessions_are_counted_once_awake_and_at_rest(live: Live) -> None:
    now = 1_700_000_000_000_000
    clock = [now]
    store = MemoryStore(
        live.scorer, Rules(), durability="none", sweeps=False, clock=lambda: clock[0]
    )

    async def main() -> tuple[int, int]:
        other = Live(live.scorer, store)
        for number in range(40):
            user = f"u{number}" if number % 2 else None
            event = Event("view_item", now, f"v{number}", user_id=user, event_id=f"e{number}")
            await other.ingest([event], now=now)
        await store.make_room()
        awake = store.status()["open"]
        clock[0] += 600_000_000
        store.sweep(list(store.sessions.index))
        await store.make_room()
        return awake, store.status()["open"]

    assert asyncio.run(main()) == (40, 40)
    assert store.counts()["sessions"] == 60
    assert all(isinstance(one, bytes) for one in store.sessions.index.values())
