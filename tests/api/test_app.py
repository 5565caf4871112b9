"""The application over a socket: trackers' own libraries, refusals, keys, limits."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from cartcast.access.keys import KeyFile, Keys
from cartcast.api.settings import Served
from cartcast.errors import UsageError
from cartcast.live.service import Live

VIEW = {"visitor_id": "v1", "event_type": "view_item", "price": 10.0, "event_id": "a"}
PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"


def test_one_event_is_answered_with_its_score(serve: Callable[..., str]) -> None:
    with httpx.Client(base_url=serve()) as http:
        first = http.post("/v1/events", json=VIEW)
        again = http.post("/v1/events", json=VIEW)
        second = http.post("/v1/events?features=1&reasons=1", json={**VIEW, "event_id": "b"})
        seen = http.get(f"/v1/sessions/{first.json()['session_id']}").json()
        mine = http.get("/v1/sessions", params={"visitor_id": "v1"}).json()
    assert (first.status_code, first.json()["status"], first.json()["click"]) == (
        200,
        "accepted",
        1,
    )
    assert first.json()["p_buy"] == pytest.approx(0.0198, abs=1e-3)
    assert (again.json()["status"], again.json()["click"]) == ("duplicate", 1)
    assert second.json()["features"]["spend"] == 20.0
    assert second.json()["reasons"][0]["feature"] == "clicks"
    assert seen == mine
    assert (seen["clicks"], seen["features"]["clicks"]) == (2, 2)


def test_a_batch_scores_the_last_event_of_each_session(serve: Callable[..., str]) -> None:
    events = [{**VIEW, "event_id": str(n), "visitor_id": f"v{n % 2}"} for n in range(6)]
    with httpx.Client(base_url=serve()) as http:
        answers = http.post("/v1/events", json={"events": events}).json()["answers"]
        every = http.post(
            "/v1/events?every=1",
            json=[{**e, "event_id": "x" + str(i)} for i, e in enumerate(events)],
        )
    assert ["p_buy" in a for a in answers] == [False] * 4 + [True] * 2
    assert [a["click"] for a in every.json()["answers"]] == [4, 4, 5, 5, 6, 6]


def test_segment_library_by_changing_its_host(serve: Callable[..., str], live: Live) -> None:
    from segment.analytics import Client

    client = Client("any-key", host=serve(live), sync_mode=False, gzip=True, max_retries=0)
    errors: list[Any] = []
    client.on_error = lambda error, items: errors.append(error)
    client.track(anonymous_id="seg", event="Product Viewed", properties={"price": 3.5})
    client.track(anonymous_id="seg", user_id="ann", event="Product Added", properties={"price": 3})
    client.page(anonymous_id="seg", user_id="ann", name="Home")
    client.identify(anonymous_id="seg", user_id="ann")
    client.flush()
    client.join()
    assert not errors
    assert live.metrics.events == {"accepted": 4}
    session = live.store.sessions.index["vseg"]  # type: ignore[attr-defined]
    assert (session.clicks, session is live.store.sessions.index["uann"]) == (4, True)  # type: ignore[attr-defined]


def test_snowplow_library_by_changing_its_host(serve: Callable[..., str], live: Live) -> None:
    from snowplow_tracker import (
        Emitter,
        PageView,
        SelfDescribing,
        SelfDescribingJson,
        StructuredEvent,
        Subject,
        Tracker,
    )

    address = urlsplit(serve(live))
    emitter = Emitter(str(address.hostname), protocol="http", port=address.port, batch_size=10)
    subject = Subject().set_domain_user_id("snow").set_domain_session_id("s-1")
    tracker = Tracker("shop", emitter, subject=subject, app_id="shop")
    action = SelfDescribingJson(
        "iglu:com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
        {"type": "product_view"},
    )
    product = SelfDescribingJson(
        "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0",
        {"id": "sku-8", "category": "hats", "price": 12.5, "currency": "EUR"},
    )
    tracker.track(PageView("https://shop/p", "A page"))
    tracker.track(StructuredEvent("shoes", "add_to_cart", label="sku-7", value=3.0))
    tracker.track(SelfDescribing(action, context=[product]))
    tracker.flush()
    assert live.metrics.events == {"accepted": 3}
    session = live.store.sessions.index["ss-1"]  # type: ignore[attr-defined]
    assert session.state[:3] == [3, 15.5, "hats"]


def test_ga4_measurement_protocol(serve: Callable[..., str], live: Live) -> None:
    params = {"session_id": 9, "items": [{"item_id": "a", "price": 4}]}
    body = {"client_id": "1.2", "events": [{"name": "view_item", "params": params}]}
    url = serve(live)
    assert (
        httpx.post(f"{url}/mp/collect?measurement_id=G-1&api_secret=s", json=body).status_code
        == 200
    )
    assert live.store.sessions.index["s1.2-9"].state[1] == 4.0  # type: ignore[attr-defined]


BAD = [
    ("/v1/events", b"", 400),
    ("/v1/events", b"{", 400),
    ("/v1/events", b"\xff\xfe", 400),
    ("/v1/events", b'{"visitor_id": "v", "event_type": "x", "price": -1}', 422),
    ("/v1/events", b'{"visitor_id": "v", "event_type": "x", "price": NaN}', 400),
    ("/v1/events", b'{"visitor_id": 5, "event_type": "x"}', 422),
    ("/v1/events", b'{"visitor_id": "v", "event_type": "x", "nope": 1}', 422),
    (
        "/v1/events",
        b'{"visitor_id": "v", "event_type": "x", "event_time": "2199-01-01T00:00:00Z"}',
        422,
    ),
    ("/v1/events", b"[" * 90_000, 422),
    ("/v1/events", b'{"visitor_id":"v","event_type":"x","extra":' + b'{"a":' * 90_000, 422),
    ("/v1/events", b" " * 10_000_000, 413),
    ("/v1/events?every=maybe", b'{"visitor_id": "v", "event_type": "x"}', 422),
    ("/v1/batch", b'{"batch": [{"type": "dance"}]}', 422),
    ("/v1/track", b'{"event": {}, "userId": "u"}', 422),
    ("/mp/collect", b'{"client_id": 1, "events": "no"}', 422),
    ("/com.snowplowanalytics.snowplow/tp2", b'{"schema": "x", "data": []}', 422),
    ("/v1/score", b'{"rows": [{"nope": 1}]}', 422),
    ("/v1/score", b"{}", 422),
]


@pytest.mark.parametrize(("path", "body", "status"), BAD)
def test_bad_bodies_get_problem_documents(
    serve: Callable[..., str], path: str, body: bytes, status: int
) -> None:
    answer = httpx.post(serve() + path, content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    if status == 422:
        assert document["field"]


def test_paths_methods_and_types(serve: Callable[..., str]) -> None:
    with httpx.Client(base_url=serve()) as http:
        assert http.get("/v1/events").status_code == 405
        assert http.get("/nowhere").json()["status"] == 404
        assert http.get("/v1/sessions/none").json()["title"] == "Not found"
        assert http.get("/v1/sessions").json()["field"] == "visitor_id"
        assert (
            http.post(
                "/v1/events", content=b"a=1", headers={"content-type": "text/html"}
            ).status_code
            == 415
        )
        assert (
            http.post("/v1/events", content=b"x", headers={"content-encoding": "br"}).status_code
            == 415
        )
        assert (
            http.post("/v1/events", content=b"x", headers={"content-encoding": "gzip"}).status_code
            == 400
        )
        bomb = gzip.compress(b" " * 50_000_000)
        assert (
            http.post("/v1/events", content=bomb, headers={"content-encoding": "gzip"}).status_code
            == 413
        )
        assert (
            http.get("/healthz", headers={"x-request-id": "mine-1"}).headers["x-request-id"]
            == "mine-1"
        )
        assert http.get("/readyz").json()["status"] == "ready"
        http.post("/v1/events", json=VIEW)
        assert 'cartcast_events_total{status="accepted"} 1.0' in http.get("/metrics").text
        assert http.get("/v1/models").json()["champion"]["version"] == "stand-in-1"


def test_a_slow_client_is_let_go(serve: Callable[..., str]) -> None:
    address = urlsplit(serve(body_seconds=0.2))
    with socket.create_connection((address.hostname, address.port), timeout=60) as slow:
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


PROTECTED = [
    ("POST", "/v1/events", VIEW),
    ("POST", "/v1/batch", {"batch": [{"type": "page", "anonymousId": "v"}]}),
    ("POST", "/v1/track", {"type": "page", "anonymousId": "v"}),
    ("POST", "/v1/page", {"type": "page", "anonymousId": "v", "writeKey": "wrong"}),
    ("POST", "/mp/collect", {"client_id": "c", "events": [{"name": "search"}]}),
    ("POST", "/mp/collect?api_secret=wrong", {"client_id": "c", "events": [{"name": "search"}]}),
    ("POST", "/com.snowplowanalytics.snowplow/tp2",
     {"schema": PAYLOAD, "data": [{"e": "pv", "duid": "d"}]}),
    ("POST", "/v1/score", {"rows": [{"clicks": 1}]}),
    ("GET", "/v1/models", None),
    ("GET", "/v1/sessions/x", None),
    ("GET", "/v1/sessions?visitor_id=v", None),
    ("GET", "/metrics", None),
    ("GET", "/docs", None),
    ("GET", "/openapi.json", None),
    ("GET", "/nowhere", None),
]  # fmt: skip


def test_thirty_requests_without_rights_are_refused(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    limited = key_file.add("tracker", ["ingest"])
    ended = key_file.add("old", ["admin", "ingest"], ends=time.time() - 1)
    refused = 0
    with httpx.Client(base_url=serve(live, Keys(key_file))) as http:
        for place, (method, path, body) in enumerate(PROTECTED):
            wrong = {"authorization": "Bearer " + (ended if place % 2 else "cc_no_no")}
            answer = http.request(method, path, json=body, headers=wrong)
            refused += answer.status_code in (401, 429)
            none = http.request(method, path, json=body)
            refused += none.status_code in (401, 429)
        assert refused == 30
        assert live.metrics.events == {}
        own = {"x-api-key": limited}
        while http.get("/metrics", headers=own).status_code == 429:
            time.sleep(0.1)
        assert http.get("/metrics", headers=own).status_code == 403
        assert http.post("/v1/score", json={"rows": []}, headers=own).status_code == 403
        assert http.get("/healthz").status_code == 200
        taken = http.post("/v1/events", json=VIEW, headers=own)
        assert (taken.status_code, "p_buy" in taken.json()) == (200, False)


def test_trackers_carry_their_key_in_their_own_way(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    from segment.analytics import Client

    key = key_file.add("tracker", ["ingest"])
    url = serve(live, Keys(key_file))
    client = Client(key, host=url, max_retries=0)
    client.page(anonymous_id="seg", name="Home")
    client.flush()
    client.join()
    message = {"type": "page", "anonymousId": "js", "writeKey": key}
    plain = {"content-type": "text/plain"}
    assert httpx.post(f"{url}/v1/p", content=json.dumps(message), headers=plain).status_code == 200
    ga4 = {"client_id": "c", "events": [{"name": "search"}]}
    assert httpx.post(f"{url}/mp/collect?api_secret={key}", json=ga4).status_code == 200
    snow = {"schema": PAYLOAD, "data": [{"e": "pv", "duid": "d", "aid": key}]}
    answer = httpx.post(f"{url}/com.snowplowanalytics.snowplow/tp2", json=snow)
    assert answer.status_code == 200
    assert live.metrics.events == {"accepted": 4}


def test_keys_rotate_while_the_server_runs(serve: Callable[..., str], key_file: KeyFile) -> None:
    old = key_file.add("shop", ["ingest", "score"])
    url = serve(None, Keys(key_file))

    def status(key: str) -> int:
        return httpx.post(f"{url}/v1/events", json=VIEW, headers={"x-api-key": key}).status_code

    assert status(old) == 200
    new = key_file.rotate("shop", keep=60)
    while status(new) == 401:
        time.sleep(0.1)
    assert (status(old), status(new)) == (200, 200)
    key_file.revoke("shop")
    while status(new) == 200:
        time.sleep(0.1)
    assert (status(old), status(new)) == (401, 401)


def test_rates_are_limited(serve: Callable[..., str]) -> None:
    with httpx.Client(base_url=serve(rate=0.1)) as http:
        answers = [http.post("/v1/events", json=VIEW) for _ in range(20)]
    refused = [a for a in answers if a.status_code == 429]
    assert len(refused) >= 10
    assert int(refused[0].headers["retry-after"]) >= 1


def test_pages_of_named_origins_may_call(serve: Callable[..., str]) -> None:
    with httpx.Client(base_url=serve(origins=("https://shop",))) as http:
        ask = http.options("/v1/t", headers={"origin": "https://shop"})
        assert (ask.status_code, ask.headers["access-control-allow-origin"]) == (
            204,
            "https://shop",
        )
        other = http.options("/v1/t", headers={"origin": "https://evil"})
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "origin"


@pytest.mark.parametrize("credentials", [False, True])
def test_a_preflight_allows_what_was_asked(serve: Callable[..., str], credentials: bool) -> None:
    """RudderStack asks for headers of its own, Snowplow for SP-Anonymous and credentials."""
    wanted = "anonymousid,authorization,content-type,sp-anonymous"
    ask = {"origin": "https://shop", "access-control-request-method": "POST"}
    with httpx.Client(base_url=serve(origins=("https://shop",), credentials=credentials)) as http:
        for path in ("/v1/batch", "/com.snowplowanalytics.snowplow/tp2", "/v1/models"):
            asked = {**ask, "access-control-request-headers": wanted}
            said = http.options(path, headers=asked).headers
            assert said["access-control-allow-headers"] == wanted
            assert ("access-control-allow-credentials" in said) is credentials
        for odd in ("a\tb", "a:b", "x" * 3000):
            asked = {**ask, "access-control-request-headers": odd}
            assert odd not in http.options("/v1/t", headers=asked).headers.values()
        posted = http.post("/v1/events", json=VIEW, headers={"origin": "https://shop"})
        assert ("access-control-allow-credentials" in posted.headers) is credentials


@pytest.mark.parametrize("origins", [(), ("*",), ("https://shop", "*")])
def test_credentials_are_for_named_origins(origins: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="origins named"):
        Served(origins=origins, credentials=True)


def test_docs_and_metrics_can_be_closed(serve: Callable[..., str]) -> None:
    with httpx.Client(base_url=serve(docs=False, metrics=False)) as http:
        assert [http.get(p).status_code for p in ("/docs", "/openapi.json", "/metrics")] == [
            404
        ] * 3


def test_an_unforeseen_error_is_500_without_its_cause(
    serve: Callable[..., str], live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(state: Any) -> None:
        raise ZeroDivisionError("secret")

    url = serve(live)
    monkeypatch.setattr(live.scorer, "score", broken)
    answer = httpx.post(f"{url}/v1/events", json=VIEW)
    assert (answer.status_code, "secret" in answer.text) == (500, False)


def _raw(body: bytes, path: str = "/v1/events") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_requests_in_parts_and_in_pipelines_are_answered_in_order(
    serve: Callable[..., str],
) -> None:
    address = urlsplit(serve())
    one, two, three = (_raw(json.dumps({**VIEW, "event_id": str(n)}).encode()) for n in range(3))
    with socket.create_connection((address.hostname, address.port), timeout=60) as line:
        for part in (one[:30], one[30:-5], one[-5:] + two + _raw(b"{", "/v1/track") + three):
            line.sendall(part)
            time.sleep(0.05)
        seen = b""
        while seen.count(b'"click":') < 3 or b"HTTP/1.1 400" not in seen:
            got = line.recv(65536)
            assert got
            seen += got
    places = [seen.index(word) for word in (b'"click":1', b'"click":2', b" 400 ", b'"click":3')]
    assert places == sorted(places)


def test_answers_that_wait_for_the_disk_come_in_order(
    serve: Callable[..., str], stand_in_live: Callable[..., Live]
) -> None:
    address = urlsplit(serve(stand_in_live()))
    bodies = [_raw(json.dumps({**VIEW, "event_id": str(n)}).encode()) for n in range(5)]
    with socket.create_connection((address.hostname, address.port), timeout=60) as line:
        line.sendall(b"".join(bodies))
        seen = b""
        while seen.count(b'"click":') < 5:
            got = line.recv(65536)
            assert got
            seen += got
    places = [seen.index(b'"click":%d' % n) for n in range(1, 6)]
    assert places == sorted(places)
