"""Every tracker, unchanged: what it sends live is what its tool's export says in a file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import cartcast_test_tracker_forms as forms
import cartcast_test_tracker_libraries as libraries
import cartcast_test_tracker_npm as npm
import cartcast_test_tracker_parity as parity
import httpx
import pytest

from cartcast.access.keys import KeyFile, Keys
from cartcast.api.trackers import GIF, webhooks
from cartcast.errors import NotFoundError, UsageError
from cartcast.live.service import Live

NAMES = ("SHOPIFY", "WOOCOMMERCE", "TILL")


@pytest.fixture
def till(tmp_path: Path) -> str:
    path = tmp_path / "till.yaml"
    path.write_text(forms.OWN_LAYOUT)
    return str(path)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(f"CARTCAST_WEBHOOK_SECRET_{name}", forms.SECRET)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", forms.FORMS)
@pytest.mark.usefixtures("secrets")
def test_live_and_file_are_equal(
    name: str, seed: int, serve: Callable[..., str], live: Live, till: str, tmp_path: Path
) -> None:
    form = forms.FORMS[name]
    acts = forms.story(seed, form)
    taken = parity.record(live)
    with httpx.Client(base_url=serve(live, webhooks=(("till", till),))) as http:
        parity.send(http, form.send(acts), live, taken)
    layout = till if form.layout == "till.yaml" else form.layout
    result = parity.compare(taken, form.export(acts), layout, tmp_path)
    assert result.differences == []
    assert parity.same_sessions(taken, tmp_path) == 0
    assert result.kept > 5
    assert min(result.refused) > 0
    assert taken.repeats > 0 or not form.repeats


@pytest.mark.parametrize("library", [*libraries.LIBRARIES, *npm.NODE], ids=lambda one: one.package)
def test_real_libraries(
    library: Any, serve: Callable[..., str], live: Live, key_file: KeyFile, tmp_path: Path
) -> None:
    if library.version is None:
        pytest.skip(f"needs the package {library.package}, which is not installed here")
    lines, taken, result = libraries.measure(library, serve, live, key_file, tmp_path)
    assert len(lines) >= 10
    assert result.differences == []
    assert (result.kept, result.refused) == (len(taken.events), (0, 0))
    assert parity.same_sessions(taken, tmp_path) == 0
    assert len(taken.events) > len(lines)  # orders of two products
    assert live.metrics.refused == {}


EVENT = '{"event": "Product Viewed", %s, "properties": {%s"title": @, "price": 5}}'
POSTHOG = EVENT % ('"distinct_id": "ann"', "")
AMPLITUDE = '{"event_type": "Product Viewed", "device_id": "d", "event_properties": {"title": @}}'
MIXPANEL = '{"event": "Product Viewed", "properties": {"$device_id": "d", "title": @}}'
HIT = '{"idsite": 1, "rec": 1, "_id": "d", "action_name": @}'
BULK: dict[str, tuple[str, str, str]] = {
    "/batch": (POSTHOG, '{"api_key": "%s", "batch": [', "]}"),
    "/i/v0/e/": (POSTHOG, '{"token": "%s", "batch": [', "]}"),
    "/2/httpapi": (AMPLITUDE, '{"api_key": "%s", "events": [', "]}"),
    "/track": (MIXPANEL.replace("{\"$", '{"token": "%s", "$'), "[", "]"),
    "/matomo.php": (HIT, '{"token_auth": "%s", "requests": [', "]}"),
}  # fmt: skip
BROKEN = [rb'"a \ud83d"', b'"a \xf0\x9f\x98"', b"NaN", b"1e400", rb'{"\ud83d": 1}', rb'["\udc00"]']


@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.parametrize("path", BULK)
def test_one_broken_value_costs_one_event(
    path: str, value: bytes, serve: Callable[..., str], live: Live
) -> None:
    one, begin, end = BULK[path]
    items = [one.replace("@", '"x"').encode()] * 5
    items[3] = one.encode().replace(b"@", value)
    body = begin.encode() + b",".join(items) + end.encode()
    answer = httpx.post(serve(live) + path, content=body)
    assert answer.status_code == 200
    assert live.metrics.events == {"accepted": 4}
    assert sum(live.metrics.set_aside.values()) == 1


@pytest.mark.parametrize("path", BULK)
def test_the_key_is_where_the_tracker_puts_it(
    path: str, serve: Callable[..., str], key_file: KeyFile, live: Live,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    key = key_file.add("tracker", ["ingest"])
    url = serve(live, Keys(key_file))
    one, begin, end = BULK[path]
    text = begin + one.replace("@", '"x"') + end
    assert httpx.post(url + path, content=text.replace("%s", key)).status_code == 200
    assert live.metrics.events == {"accepted": 1}

    def parsed(*_: Any, **__: Any) -> None:
        raise AssertionError("parsed before the key was known")

    monkeypatch.setattr("cartcast.live.protocols.fields.require_bounded", parsed)
    for body in (text.replace("%s", "cc_no_no"), text.replace("%s", "")):
        assert httpx.post(url + path, content=gzip.compress(body.encode())).status_code == 401


def test_pixels_carry_their_key_in_the_query(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    key = key_file.add("tracker", ["ingest"])
    url = serve(live, Keys(key_file))
    packed = base64.b64encode(
        json.dumps({"event": "x", "properties": {"$device_id": "d", "token": key}}).encode()
    ).decode()
    for path in (
        f"/i?e=pv&duid=d&aid={key}", f"/matomo.php?idsite=1&rec=1&_id=d&token_auth={key}",
        f"/piwik.php?idsite={key}&rec=1&_id=d", f"/track/?img=1&data={quote(packed)}",
    ):  # fmt: skip
        answer = httpx.get(url + path)
        assert (answer.status_code, answer.content) == (200, GIF)
        assert answer.headers["content-type"] == "image/gif"
        assert httpx.get(url + path.replace(key, "wrong").replace(packed, "")).status_code == 401
        assert httpx.head(url + path).status_code == 405
    assert live.metrics.events == {"accepted": 4}
    cut = "/i?e=pv&duid=d&page=%F0%9F%98&aid=" + key
    assert httpx.get(url + cut).json()["field"] == "page"


def test_each_is_answered_as_by_its_own_server(serve: Callable[..., str]) -> None:
    url = serve()

    def ask(path: str, body: Any) -> Any:
        return httpx.post(url + path, content=body).json()

    wrong = {"event_type": "Product Viewed", "device_id": "d", "price": "five"}
    good = {"event_type": "Product Viewed", "device_id": "d"}
    both = json.dumps({"api_key": "k", "events": [wrong, good]})
    assert ask("/2/httpapi", both) == {"code": 200, "events_ingested": 1}
    assert ask("/batch", both)["code"] == 200
    hits = json.dumps({"requests": ["?idsite=1&rec=1&_id=a", "?rec=1", "?idsite=1&ping=1&rec=1"]})
    assert ask("/matomo.php", hits) == {"status": "success", "tracked": 1, "invalid": 1}
    one = json.dumps({"event": "x", "properties": {"$device_id": "d"}})
    assert ask("/track", urlencode({"data": one, "verbose": 1}))["status"] == 1
    assert ask("/track?verbose=1", one)["num_records_imported"] == 1
    assert ask("/track", urlencode({"data": one})) == ask("/track", one) == 1
    assert ask("/import", urlencode({"data": one})) == 1
    assert ask("/import?strict=1", one)["num_records_imported"] == 1
    assert ask("/engage", urlencode({"data": "[]"})) == 1
    for path in ("/track", "/import/", "/engage"):
        assert httpx.get(url + path, params={"data": one}).content == b"1"
    assert httpx.get(url + "/track", params={"data": one, "img": 1}).content == GIF
    assert ask("/flags/?v=2", json.dumps({"token": "k", "distinct_id": "d"}))["featureFlags"] == {}
    assert "gzip-js" in httpx.get(url + "/array/k/config").json()["supportedCompression"]
    assert httpx.get(url + "/array/k/config.js").headers["content-type"].startswith("text/java")
    said = ask("/capture/", json.dumps({"event": "x", "distinct_id": "d", "api_key": "k"}))
    assert said == {"status": 1}
    many = urlencode({f"a{n}": n for n in range(300)})
    assert httpx.post(url + "/matomo.php", content=many).status_code == 413
    assert httpx.post(url + "/track", content="data=%%%").status_code == 400


def test_questions_without_a_key_shut_nobody_out(
    serve: Callable[..., str], key_file: KeyFile, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One wrong key, and then none for long: what is counted shows at once, however slow we are.
    monkeypatch.setattr("cartcast.api.app.FAILED_PER_SECOND", 0.001)
    key = key_file.add("tracker", ["ingest"])
    url = serve(live, Keys(key_file))
    for number in range(30):
        path = ("/array/k/config", "/decide.js", "/static/array.js")[number % 3]
        assert httpx.get(url + path).status_code == (401 if number % 3 else 200)
    body = json.dumps({"api_key": key, "event": "x", "distinct_id": "d"})
    assert httpx.post(url + "/capture/", content=body).status_code == 200
    guesses = [httpx.get(url + "/metrics", headers={"x-api-key": "no"}) for _ in range(2)]
    assert [guess.status_code for guess in guesses] == [401, 429]


def signed(body: bytes, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@pytest.fixture
def shop(serve: Callable[..., str], secrets: None, live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(live)) as http:
        yield http


def test_only_a_signed_webhook_is_read(shop: httpx.Client, live: Live) -> None:
    body = json.dumps({"name": "#1", "email": "ann@shop.example", "total_price": "5.00",
                       "created_at": "2026-05-04T10:15:00Z"}).encode()  # fmt: skip
    name = "x-shopify-hmac-sha256"
    right = signed(body, forms.SECRET)
    for wrong in ("", right[:-2], signed(body, "another"), signed(body + b" ", forms.SECRET),
                  right.lower(), "sha256=" + right, "é"):  # fmt: skip
        headers = {name: wrong.encode("latin-1")} if wrong else {}
        answer = shop.post("/v1/webhook/shopify", content=body, headers=headers)  # type: ignore[arg-type]
        assert answer.status_code in (401, 429)
    assert live.metrics.events == {}
    packed = gzip.compress(body)
    while (
        answer := shop.post("/v1/webhook/shopify", content=body, headers={name: right})
    ).status_code == 429:
        pass
    assert answer.json()["answers"][0]["status"] == "accepted"
    again = shop.post("/v1/webhook/shopify", content=body, headers={name: right})
    assert (again.status_code, again.json()["answers"][0]["status"]) == (200, "duplicate")
    assert shop.post("/v1/webhook/shopify", content=packed).status_code in (401, 429)


def test_woocommerce_pings_unsigned(shop: httpx.Client, live: Live) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = shop.post("/v1/webhook/woocommerce", content=b"webhook_id=12", headers=kind)
    assert (answer.status_code, answer.json()["ignored"]) == (200, 1)
    assert live.metrics.events == {}


def test_without_a_secret_a_webhook_needs_a_key(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    key = key_file.add("shop", ["ingest"])
    url = serve(live, Keys(key_file))
    body = {"number": "5", "billing": {"email": "a@b.c"}, "date_created": "2026-05-04T10:15:00"}
    assert httpx.post(f"{url}/v1/webhook/woocommerce", json=body).status_code == 401
    assert httpx.post(f"{url}/v1/webhook/woocommerce?key={key}", json=body).status_code == 200
    assert httpx.post(f"{url}/v1/webhook/other?key={key}", json=body).status_code in (403, 404)


def test_webhooks_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="letters"):
        webhooks({"a/b": "shopify"}, {})
    with pytest.raises(NotFoundError):
        webhooks({"a": str(tmp_path / "none.yaml")}, {})
    with pytest.raises(UsageError, match="whole files"):
        webhooks({"a": "ga360"}, {})


def test_pixels_of_segment_and_rudderstack(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    key = key_file.add("pixel", ["ingest"])
    url = serve(live, Keys(key_file))
    taken = parity.record(live)
    call = {"anonymousId": "d", "event": "Product Viewed", "properties": {"price": "2.5"}}
    packed = base64.urlsafe_b64encode(json.dumps(call | {"writeKey": key}).encode()).decode()
    plain = urlencode({**call, "properties": json.dumps(call["properties"]), "writeKey": key})
    for path in (f"/v1/pixel/track?data={packed.rstrip('=')}", f"/pixel/v1/track?{plain}",
                 f"/pixel/v1/page?writeKey={key}&anonymousId=d"):  # fmt: skip
        assert httpx.get(url + path).content == GIF
        assert httpx.post(url + path).status_code == 405
    found = [(event.event_type, event.price) for event in taken.events]
    assert found == [("view_item", 2.5), ("view_item", 2.5), ("page_view", None)]


def test_snowplow_posts_to_any_vendor_and_never_to_the_pixel(
    serve: Callable[..., str], key_file: KeyFile, live: Live
) -> None:
    key = key_file.add("tracker", ["ingest"])
    url = serve(live, Keys(key_file))
    schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
    body = {"schema": schema, "data": [{"e": "pv", "duid": "d", "aid": key}]}
    assert httpx.post(f"{url}/com.acme/track", json=body).status_code == 200
    assert httpx.post(f"{url}/i?aid={key}", json={"rows": [{}]}).status_code == 405
    assert httpx.post(f"{url}/nowhere/track", json=body).status_code == 401
    assert live.metrics.requests["/com.snowplowanalytics.snowplow/tp2", 200] == 1


def test_a_webhook_is_named_with_its_layout() -> None:
    from typer.testing import CliRunner

    from cartcast.cli import app

    said = CliRunner().invoke(app, ["serve", "--webhook", "till"])
    assert isinstance(said.exception, UsageError)
    assert "NAME=LAYOUT" in str(said.exception)
