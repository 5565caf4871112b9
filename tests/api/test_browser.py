"""Segment's browser library, unmodified, in Chromium: only its host is another.

`vendor/` holds the file `dist/umd/standalone.js` of `@segment/analytics-next` 1.84.3 (MIT), as the
npm registry has it, so that the test needs no network.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cartcast.access.keys import KeyFile, Keys
from cartcast.live.service import Live

LIBRARY = Path(__file__).parent / "vendor" / "segment-analytics-next-1.84.3" / "standalone.js"
SHA256 = "57df232faf229eaf3a816e0433fc4f03abd2c2052f006ebbcbdba28085c00f09"
CHROMIUM = os.environ.get("CARTCAST_CHROMIUM") or shutil.which("chromium")
SHOP = "http://shop.test"
# A page of the open internet may not call this machine; here the service is on this machine.
LOOPBACK = "BlockInsecurePrivateNetworkRequests,LocalNetworkAccessChecks"
FLAGS = ["--no-sandbox", "--disable-gpu", f"--disable-features={LOOPBACK}"]

PAGE = """<!doctype html><title>Hat</title><script>
var analytics = window.analytics = [];
analytics._writeKey = "%(key)s";
analytics._cdn = "http://shop.test";
analytics._loadOptions = {integrations: {"Segment.io": {apiHost: "%(host)s/v1", protocol: "http"}}};
analytics.push(["page"]);
analytics.push(["track", "Product Viewed", {product_id: "sku-1", category: "hats", price: 19.5}]);
analytics.push(["identify", "ann"]);
analytics.push(["track", "Product Added", {product_id: "sku-1", price: 19.5, quantity: 2}]);
</script><script src="/standalone.js"></script>"""

SENT = {"/v1/p", "/v1/t", "/v1/i"}


@pytest.mark.slow
@pytest.mark.chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed here")
def test_segments_browser_library_by_changing_its_host(
    serve: Callable[..., str], live: Live, key_file: KeyFile
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    script = LIBRARY.read_bytes()
    assert hashlib.sha256(script).hexdigest() == SHA256
    key = key_file.add("page", ["ingest"])
    host = urlsplit(serve(live, Keys(key_file), origins=(SHOP,))).netloc
    settings = {"integrations": {"Segment.io": {"apiKey": key}}, "plan": {}}
    answers: list[tuple[str, int]] = []

    def shop(route: Any) -> None:
        path = urlsplit(route.request.url).path
        if path == "/":
            html = PAGE % {"key": key, "host": host}
            route.fulfill(body=html, content_type="text/html")
        elif path == "/standalone.js":
            route.fulfill(body=script, content_type="text/javascript")
        elif path.endswith("/settings"):
            route.fulfill(body=json.dumps(settings), content_type="application/json")
        else:
            route.fulfill(status=404)

    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.route(f"{SHOP}/**", shop)
        page.on("response", lambda r: answers.append((urlsplit(r.url).path, r.status)))
        page.goto(f"{SHOP}/")
        # The page hears of an answer after the server has counted it.
        for _ in range(600):
            if live.metrics.events["accepted"] == 4 and {path for path, _ in answers} >= SENT:
                break
            page.wait_for_timeout(100)
        browser.close()
    # Half a minute later the library would send figures of its own, without the key.
    sent = [(path, status) for path, status in answers if path in SENT]
    assert {path for path, _ in sent} == SENT
    assert {status for _, status in sent} == {200}
    # As in a file of the same calls: the identify is an event too, of the kind `other`.
    # Requests of one page may cross on the way: then one comes late, and is put in its place.
    events = live.metrics.events
    assert events["accepted"] + events["late_accepted"] == events.total() == 4
    sessions = live.store.sessions.index  # type: ignore[attr-defined]
    assert len({id(s) for s in sessions.values()}) == 1
    session = sessions["uann"]
    assert (session.clicks, session.state[1], session.state[2]) == (4, 39.0, "hats")


CALLS = """
const host = "%(host)s", key = "%(key)s", json = {"content-type": "application/json"};
const page = (id) => JSON.stringify({batch: [{type: "page", anonymousId: "v", messageId: id}]});
const snow = JSON.stringify({
  schema: "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
  data: [{e: "pv", duid: "v", eid: "snow", aid: key}]});
async function post(path, body, headers, credentials) {
  try { return (await fetch(host + path, {method: "POST", body, headers, credentials})).status; }
  catch { return 0; }
}
window.answers = (async () => [
  // RudderStack's browser library
  await post("/v1/batch", page("rudder"), {...json, AnonymousId: "v", Authorization: "Basic " + btoa(key + ":")}),
  // Snowplow's: credentials, and a header of its own when it is anonymous
  await post("/com.snowplowanalytics.snowplow/tp2", snow,
             {"content-type": "application/json; charset=UTF-8", "SP-Anonymous": "*"}, "include"),
  // leaving the page
  navigator.sendBeacon(host + "/beacon/v1/batch?writeKey=" + key,
                       new Blob([page("text")], {type: "text/plain"})),
  navigator.sendBeacon(host + "/beacon/v1/batch?writeKey=" + key,
                       new Blob([page("json")], {type: "application/json"})),
])();
"""


@pytest.mark.slow
@pytest.mark.chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed here")
def test_what_browser_libraries_ask_in_preflights_and_beacons(
    serve: Callable[..., str], live: Live, key_file: KeyFile
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    key = key_file.add("page", ["ingest"])
    host = serve(live, Keys(key_file), origins=(SHOP,), credentials=True)
    script = f"<script>{CALLS % {'host': host, 'key': key}}</script>"
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for origin, right in ((SHOP, [200, 200, True, True]), ("http://evil.test", [0, 0])):
            page = browser.new_page()
            page.route(f"{origin}/**", lambda r: r.fulfill(body=script, content_type="text/html"))
            page.goto(f"{origin}/")
            assert page.evaluate("window.answers")[: len(right)] == right
            while right[0] == 200 and live.metrics.events["accepted"] < 4:
                page.wait_for_timeout(20)
        browser.close()
