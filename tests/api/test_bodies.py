"""Bodies as clients send them: encodings, lines, broken values, and bodies that are too much."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cartcast_test_stand_in import StandIn

from cartcast.access.keys import KeyFile, Keys
from cartcast.api.requests import MAX_MEMBERS
from cartcast.live.protocols import Context, cartcast, ga4, segment, snowplow, tolerant
from cartcast.live.service import TURN, Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore

PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce"


def ours(count: int) -> list[dict[str, Any]]:
    return [{"event_type": "view_item", "visitor_id": f"v{n}", "page": "@"} for n in range(count)]


def theirs(count: int) -> list[dict[str, Any]]:
    return [
        {"type": "page", "anonymousId": f"v{n}", "properties": {"title": "@"}} for n in range(count)
    ]


def google(count: int) -> list[dict[str, Any]]:
    return [{"name": "view_item", "params": {"session_id": n, "title": "@"}} for n in range(count)]


def snow(count: int) -> list[dict[str, Any]]:
    return [{"e": "pv", "duid": f"v{n}", "page": "@"} for n in range(count)]


FORMS: dict[str, tuple[str, Callable[[int], list[dict[str, Any]]], Callable[[str], str]]] = {
    "cartcast list": ("/v1/events", ours, lambda items: items),
    "cartcast batch": ("/v1/events", ours, lambda items: f'{{"events": {items}}}'),
    "cartcast lines": (
        "/v1/events",
        ours,
        lambda items: "\n".join(json.dumps(one) for one in json.loads(items)),
    ),
    "segment": ("/v1/batch", theirs, lambda items: f'{{"batch": {items}, "writeKey": "k"}}'),
    "beacon": ("/beacon/v1/batch", theirs, lambda items: f'{{"batch": {items}}}'),
    "ga4": ("/mp/collect", google, lambda items: f'{{"client_id": "c", "events": {items}}}'),
    "snowplow": (
        "/com.snowplowanalytics.snowplow/tp2",
        snow,
        lambda items: f'{{"schema": "{PAYLOAD}", "data": {items}}}',
    ),
}
BROKEN = {
    "a high surrogate": rb'"a \ud83d"',
    "a low surrogate": rb'"\ude00 b"',
    "a cut escape pair": rb'"\ud83d\u0041"',
    "bytes cut in an emoji": b'"a \xf0\x9f\x98"',
    "NaN": b"NaN",
    "minus infinity": b"-Infinity",
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "an object with a broken name": rb'{"\ud83d": 1}',
    "a list": rb'[[1, ["\udc00"]]]',
}


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("form", FORMS)
def test_one_broken_value_costs_one_event(
    serve: Callable[..., str], live: Live, form: str, value: str
) -> None:
    path, make, wrap = FORMS[form]
    body = wrap(json.dumps(make(20))).encode()
    at = [i for i in range(len(body)) if body.startswith(b'"@"', i)][7]
    answer = httpx.post(serve(live) + path, content=body[:at] + BROKEN[value] + body[at + 3 :])
    said = answer.json()
    assert (answer.status_code, said["refused"], len(said["answers"])) == (200, 1, 19)
    (problem,) = said["problems"]
    assert problem["position"] == 7
    assert "[7]" in problem["field"]
    assert live.metrics.events == {"accepted": 19}


NUMBERS = {
    "/v1/events": lambda n: (
        '[{"event_type": "x", "visitor_id": "v"}, '
        f'{{"event_type": "x", "visitor_id": "v", "price": {n}}}]'
    ),
    "/v1/batch": lambda n: (
        '{"batch": [{"type": "page", "userId": "v"}, {"event": "Product Viewed", "userId": "v", '
        f'"properties": {{"price": {n}}}}}]}}'
    ),
    "/mp/collect": lambda n: (
        '{"client_id": "c", "events": [{"name": "x"}, {"name": "view_item", "params": {"items": '
        f'[{{"item_id": "i", "price": {n}}}]}}}}]}}'
    ),
    "/com.snowplowanalytics.snowplow/tp2": lambda n: (
        f'{{"schema": "{PAYLOAD}", "data": [{{"e": "pv", "duid": "d"}}, '
        f'{{"e": "se", "duid": "d", "se_ac": "purchase", "se_va": {n}}}]}}'
    ),
}


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "9" * 5000, "1e400", "NaN", "9e99"])
@pytest.mark.parametrize("path", NUMBERS)
def test_a_price_beyond_every_price_costs_one_event(
    serve: Callable[..., str], live: Live, path: str, number: str
) -> None:
    answer = httpx.post(serve(live) + path, content=NUMBERS[path](number).encode())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["refused"], live.metrics.events) == (1, {"accepted": 1})
    assert answer.json()["problems"][0]["position"] == 1


def test_something_that_is_no_event_costs_itself() -> None:
    when = Context(1_700_000_000_000_000)
    for module, text in (
        (segment, '{"batch": [5, {"type": "page", "userId": "v"}]}'),
        (ga4, '{"client_id": "c", "events": [null, {"name": "x"}]}'),
        (snowplow, f'{{"schema": "{PAYLOAD}", "data": ["x", {{"e": "pv", "duid": "d"}}]}}'),
        (cartcast, '[7, {"event_type": "x", "visitor_id": "v"}]'),
        (cartcast, '{"event_type": "x", "visi\n{"event_type": "x", "visitor_id": "v"}'),
    ):
        parsed = module.parse(text.encode(), when)  # type: ignore[attr-defined]
        assert ([at for at, _ in parsed.problems], len(parsed.events)) == ([0], 1)


def test_the_key_of_a_body_with_a_broken_event_is_found(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    key = key_file.add("page", ["ingest"])
    url = serve(live, Keys(key_file))
    for path, body in (
        ("/v1/batch", f'{{"batch": [{{"type": "page", "userId": NaN}}, {{"type": "page", "userId": "v"}}], "writeKey": "{key}"}}'),
        ("/com.snowplowanalytics.snowplow/tp2", f'{{"schema": "{PAYLOAD}", "data": [{{"e": "pv", "duid": "d", "aid": "{key}"}}, {{"duid": NaN}}]}}'),
    ):  # fmt: skip
        assert httpx.post(url + path, content=body).status_code == 200
    assert live.metrics.events == {"accepted": 2}


VIEW = b'{"event_type": "view_item", "visitor_id": "v"}'
PAGE = b'{"type": "page", "anonymousId": "v"}'
TYPES = [
    "application/json; charset=utf-8", "text/plain;charset=UTF-8", "application/x-ndjson",
    "application/x-www-form-urlencoded", "application/octet-stream", "",
]  # fmt: skip


@pytest.mark.parametrize("packed", ["plain", "gzip", "gzip without a word", "x-gzip", "members"])
@pytest.mark.parametrize("kind", TYPES)
def test_bodies_are_read_for_what_they_are(
    serve: Callable[..., str], live: Live, kind: str, packed: str
) -> None:
    url = serve(live)
    for path, body in (("/v1/events", VIEW), ("/v1/track", PAGE)):
        headers = {"content-type": kind}
        if packed in ("gzip", "x-gzip", "members"):
            headers["content-encoding"] = "gzip" if packed == "members" else packed
        if packed == "members":
            body = gzip.compress(body[:9]) + gzip.compress(b"") + gzip.compress(body[9:]) + b"\0\0"
        elif packed != "plain":
            body = gzip.compress(body)
        answer = httpx.post(url + path, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
    assert live.metrics.events == {"accepted": 2}


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_lines_of_events(serve: Callable[..., str], live: Live, end: str) -> None:
    lines = (end or "\n").join(json.dumps(one) for one in ours(5)) + end
    headers = {"content-type": "application/x-ndjson"}
    answer = httpx.post(serve(live) + "/v1/events", content=lines, headers=headers)
    assert [a["status"] for a in answer.json()["answers"]] == ["accepted"] * 5


def test_gzip_is_bounded_while_it_is_unpacked(serve: Callable[..., str]) -> None:
    url = serve(max_body=1_000_000) + "/v1/events"
    bombs = [
        gzip.compress(b" " * 50_000_000),
        b"".join(gzip.compress(b" " * 400_000) for _ in range(10)),
        gzip.compress(b"") * (MAX_MEMBERS + 1),
    ]
    assert [httpx.post(url, content=bomb).status_code for bomb in bombs] == [413] * 3
    broken = [gzip.compress(VIEW)[:-4], gzip.compress(VIEW) + b"rest", gzip.compress(VIEW)[:12]]
    assert [httpx.post(url, content=one).status_code for one in broken] == [400] * 3


def _order(products: int) -> dict[str, Any]:
    items = [{"product_id": "p", "price": 1}] * products
    return {"event": "Order Completed", "userId": "u", "properties": {"products": items}}


def test_products_are_counted_before_they_are_events(serve: Callable[..., str], live: Live) -> None:
    """One message per product: 40 orders of 200 products would be 8,000 events."""
    url = serve(live)
    body = gzip.compress(json.dumps({"batch": [_order(200)] * 40}).encode())
    answer = httpx.post(url + "/v1/batch", content=body)
    assert (answer.status_code, answer.json()["field"]) == (413, "batch")
    assert live.metrics.events == {}
    views = {"event": "Product Viewed", "userId": "u", "properties": {"products": [{}] * 100}}
    body = json.dumps({"batch": [views] * 400}).encode()
    assert httpx.post(url + "/v1/batch", content=body).status_code == 200
    sessions = [[json.loads(VIEW)] * 100] * 51
    scored = httpx.post(url + "/v1/score", content=json.dumps({"sessions": sessions}).encode())
    assert scored.status_code == 422


def test_objects_are_counted_before_they_are_decoded() -> None:
    for module in (cartcast, segment, ga4, snowplow):
        for empty in (b"{}", b"[]"):
            body = b'{"events": [' + b",".join([empty] * (tolerant.MAX_OBJECTS + 1)) + b"]}"
            with pytest.raises(Exception, match="objects and lists"):
                module.parse(body, Context(0))


def test_nothing_is_parsed_for_a_stranger(
    serve: Callable[..., str], key_file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file.add("shop", ["ingest"])
    url = serve(None, Keys(key_file))

    def parsed(*_: Any) -> None:
        raise AssertionError("parsed before the key was known")

    monkeypatch.setattr("cartcast.live.protocols.fields.collect", parsed)
    monkeypatch.setattr("cartcast.live.protocols.segment.decode", parsed)
    monkeypatch.setattr("cartcast.live.protocols.snowplow.decode", parsed)
    batch = {"batch": [_order(200)] * 50, "writeKey": "cc_no_no"}
    data = {"schema": PAYLOAD, "data": [{"e": "pv", "duid": "d", "aid": "cc_no_no"}] * 50}
    for path, body in (("/v1/batch", batch), ("/com.snowplowanalytics.snowplow/tp2", data)):
        packed = gzip.compress(json.dumps(body).encode())
        assert httpx.post(url + path, content=packed).status_code == 401


def test_after_too_many_wrong_keys_no_body_is_read(
    serve: Callable[..., str], key_file: KeyFile
) -> None:
    key_file.add("shop", ["ingest"])
    url = serve(None, Keys(key_file))
    body = gzip.compress(json.dumps({"batch": [_order(200)] * 50, "writeKey": "no"}).encode())
    with httpx.Client() as http:
        while http.post(url + "/v1/batch", content=body).status_code != 429:
            pass
        assert http.post(url + "/v1/batch", content=b"not gzip, not JSON").status_code == 429


def test_a_large_batch_lets_others_go_between() -> None:
    """One event that arrives while a batch is folded is answered before the batch is."""

    async def main() -> list[str]:
        scorer = StandIn()
        live = Live(scorer, MemoryStore(scorer, Rules(), durability="none", sweeps=False))
        done: list[str] = []

        async def send(name: str, count: int) -> None:
            body = json.dumps(ours(count)).encode()
            await live.ingest(cartcast.parse(body, Context(time.time_ns() // 1000)).events)
            done.append(name)

        await asyncio.gather(send("batch", TURN * 10), send("another", TURN * 5), send("one", 1))
        return done

    assert asyncio.run(main()) == ["one", "batch", "another"]


def test_zlib_without_its_head_is_no_gzip(serve: Callable[..., str]) -> None:
    headers = {"content-encoding": "gzip"}
    answer = httpx.post(serve() + "/v1/events", content=zlib.compress(VIEW), headers=headers)
    assert answer.status_code == 400
