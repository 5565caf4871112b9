"""Browser libraries, unchanged, in Chromium, on a page of another origin than the service's.

`vendor/` holds files of the npm registry (packed by gzip), so that this needs no network. A page
does what a shop's page does, with the library's own calls, and then leaves, so that what a library
keeps for the end is sent by its beacon.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cartcast_test_tracker_libraries import ORIGIN

__all__ = ["CHROMIUM", "FLAGS", "ORIGIN", "PAGES", "Page", "drive", "script"]

VENDOR = Path(__file__).parent / "vendor"
CHROMIUM = os.environ.get("CARTCAST_CHROMIUM") or shutil.which("chromium")
# A page of the open internet may not call this machine; here the service is on this machine.
LOOPBACK = "BlockInsecurePrivateNetworkRequests,LocalNetworkAccessChecks"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
"""Some libraries say nothing of a browser that names itself headless."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-blink-features=AutomationControlled",
         f"--disable-features={LOOPBACK}"]  # fmt: skip


class Page(NamedTuple):
    """What a shop's page says to a library.

    Attributes:
        package: its name at npm.
        version: which is in `vendor/`.
        scripts: files there, and their SHA-256 unpacked.
        before: script before the library is loaded; `HOST`, `KEY` and `SHOP` are the service's
            URL, the key, and what the visitor does.
        after: script after it.
        elsewhere: what hosts of the tool other than the one changed answer, by a part of the path.
        stays: whether the page is left only when all has come; else once the library has begun.
    """

    package: str
    version: str
    scripts: dict[str, str]
    before: str
    after: str
    elsewhere: dict[str, str] = {}  # noqa: RUF012 - a constant
    stays: bool = False


POSTHOG = Page(
    "posthog-js", "1.449.2",
    {"posthog-js-1.449.2/array.js.gz":
        "a7ac3611e9c334c70f034cf254c99a099d45add1f0d3be2fe248531d505e6b29"},
    "",
    """posthog.init(KEY, {api_host: HOST, loaded: (client) => {
      for (const [event, told] of SHOP) client.capture(event, told);
      client.identify("ann@shop.example", {plan: "gold"});
      client.capture("Order Completed", {order_id: "o-2", revenue: 5}, {send_instantly: true});
      client.capture("Product Viewed", {product_id: "b"}, {transport: "sendBeacon"});
      // By then it has heard that gzip is read; what the page's end finds in the queue, its beacon
      // sends.
      setTimeout(() => client.capture("Product Viewed", {product_id: "c"}), 500);
      setTimeout(() => client.capture("Product Viewed", {product_id: "d"}), 3900);
    }});""",
    {}, 4,
)  # fmt: skip
MIXPANEL = Page(
    "mixpanel-browser", "2.83.0",
    {"mixpanel-browser-2.83.0/mixpanel.min.js.gz":
        "1d22709df8fbce95ea14bdc265de468771faa1375f1ea18e0673ad3faa6dce62"},
    """window.mixpanel = Object.assign([], {_i: [[KEY, {api_host: HOST, track_pageview: true,
      loaded: (client) => {
        for (const [event, told] of SHOP) client.track(event, told);
        client.identify("ann@shop.example");
        client.people.set({plan: "gold"});
        client.track("Order Completed", {order_id: "o-2", revenue: 5}, {send_immediately: true});
        client.track("Product Viewed", {product_id: "b"}, {transport: "sendBeacon"});
      }}, "mixpanel"]], __SV: 1.2});""",
    "", {}, 6,
)  # fmt: skip
AMPLITUDE = Page(
    "@amplitude/analytics-browser", "2.48.1",
    {"amplitude-analytics-browser-2.48.1/amplitude-min.js.gz":
        "c9c6e30a66713bb91b41d0a5366ea26017a9bbe40866a68146e65b6ca5596994"},
    "",
    """amplitude.init(KEY, {serverUrl: HOST + "/2/httpapi"});
    for (const [event, told] of SHOP) amplitude.track(event, told);
    amplitude.setUserId("ann@shop.example");
    amplitude.identify(new amplitude.Identify().set("plan", "gold"));
    amplitude.revenue(new amplitude.Revenue().setPrice(5).setQuantity(2).setProductId("sku-7"));""",
    {"/config/": json.dumps({"configs": {}})}, 1.5,
)  # fmt: skip
RUDDERSTACK = Page(
    "@rudderstack/analytics-js", "3.34.1",
    {"rudderstack-analytics-js-3.34.1/bundled.js.gz":
        "0ebffa54477f56fd3b70f168f455642126ed3fb6f8073bc740851513a357c960"},
    "",
    """const client = new rudderanalytics.RudderAnalytics();
    client.load(KEY, HOST, {loadIntegration: false, useBeacon: USE_BEACON});
    client.page("Home", {title: "A page"});
    for (const [event, told] of SHOP) client.track(event, told);
    client.identify("ann@shop.example", {plan: "gold"});
    client.group("g");
    client.alias("ann", "ann@shop.example");
    client.track("Order Completed", {order_id: "o-2", revenue: 5});""",
    {"/sourceConfig": json.dumps({"source": {
        "id": "s", "name": "shop", "writeKey": "KEY", "enabled": True, "workspaceId": "w",
        "updatedAt": "2026-01-01T00:00:00Z", "config": {}, "connections": [], "destinations": [],
        "dataplanes": {}, "sourceDefinition": {"name": "Javascript"}}})},
)  # fmt: skip
SNOWPLOW = Page(
    "@snowplow/browser-tracker", "4.10.1",
    {"snowplow-browser-tracker-4.10.1/index.umd.min.js.gz":
        "80360c5da827e321eaf262d635141a2b241aae8dde82e8b91a2d95fc42b44089",
     "snowplow-browser-plugin-snowplow-ecommerce-4.10.2/index.umd.min.js.gz":
        "7e3058daa8bcb44983570443059265af690665344ed492b82bbeeb02bd9f155c"},
    "",
    """const shop = snowplowEcommerceAccelerator, snow = snowplowBrowserTracking;
    const goods = ["a", "b"].map((id) => ({id, category: "hats", price: 12.5, currency: "EUR",
      quantity: 2}));
    for (const [name, eventMethod] of [["one", "post"], ["two", "get"]]) {
      const to = [name];
      snow.newTracker(name, HOST, {appId: KEY, eventMethod, encodeBase64: eventMethod === "get",
        plugins: [shop.SnowplowEcommercePlugin()]});
      snow.trackPageView({}, to);
      snow.trackStructEvent({category: "hats", action: "add_to_cart", label: "sku-7", value: 3}, to);
      shop.trackProductView(goods[0], to);
      shop.trackAddToCart({products: goods, total_value: 25, currency: "EUR"}, to);
      shop.trackCheckoutStep({step: 1}, to);
      snow.setUserId("ann@shop.example", to);
      shop.trackTransaction({transaction_id: "o-" + name, revenue: 50, currency: "EUR",
        payment_method: "card", products: goods}, to);
    }""",
    {}, 1.5,
)  # fmt: skip
SEGMENT = Page(
    "@segment/analytics-next", "1.84.3",
    {"segment-analytics-next-1.84.3/standalone.js":
        "57df232faf229eaf3a816e0433fc4f03abd2c2052f006ebbcbdba28085c00f09"},
    """window.analytics = Object.assign([], {_writeKey: KEY, _cdn: location.origin,
      _loadOptions: {integrations: {"Segment.io":
        {apiHost: new URL(HOST).host + "/v1", protocol: "http"}}}});
    const say = (...call) => analytics.push(call);
    say("page", "Home", {title: "A page"});
    for (const [event, told] of SHOP) say("track", event, told);
    say("identify", "ann@shop.example", {plan: "gold"});
    say("group", "g");
    say("alias", "ann", "ann@shop.example");
    say("track", "Order Completed", {order_id: "o-2", revenue: 5});""",
    "",
    {"/settings": json.dumps({"integrations": {"Segment.io": {"apiKey": "KEY"}}, "plan": {}})},
    stays=True,
)  # fmt: skip
PAGES = {
    "segment": SEGMENT,
    "rudderstack": RUDDERSTACK._replace(after=RUDDERSTACK.after.replace("USE_BEACON", "false")),
    "rudderstack beacon": RUDDERSTACK._replace(
        after=RUDDERSTACK.after.replace("USE_BEACON", "true")
    ),
    "posthog": POSTHOG,
    "amplitude": AMPLITUDE,
    "mixpanel": MIXPANEL,
    "snowplow": SNOWPLOW,
}


def script(name: str, sha256: str) -> bytes:
    """Return a library's file, as its registry has it."""
    packed = (VENDOR / name).read_bytes()
    plain = gzip.decompress(packed) if name.endswith(".gz") else packed
    assert hashlib.sha256(plain).hexdigest() == sha256, name
    return plain


def _html(page: Page, url: str, key: str, shop: Any) -> str:
    own = f"const HOST = {json.dumps(url)}, KEY = {json.dumps(key)}, SHOP = {json.dumps(shop)};"
    tags = "".join(f'<script src="/{name}"></script>' for name in page.scripts)
    return (
        f'<!doctype html><html lang="en"><title>Hat</title><script>{own}{page.before}</script>{tags}'
        f"<script>{page.after}</script></html>"
    )


def _until(tab: Any, true: Callable[[], bool], most: int = 600) -> None:
    """Wait until something is true, at most so many tenths of a second."""
    for _ in range(most):
        if true():
            return
        tab.wait_for_timeout(100)


def drive(
    page: Page, url: str, key: str, shop: Any, enough: Callable[[], bool], seen: Any = None
) -> None:
    """Open the page, leave it, and wait until the service has seen enough."""
    from playwright.sync_api import sync_playwright

    html = _html(page, url, key, shop)
    asked = set()

    def fulfil(route: Any) -> None:
        address = urlsplit(route.request.url)
        name = address.path.lstrip("/")
        parts = [part for part in page.elsewhere if part in address.path]
        told = [page.elsewhere[part] for part in parts]
        if name in page.scripts:
            body = script(name, page.scripts[name])
            route.fulfill(body=body, content_type="text/javascript; charset=utf-8")
        elif told:
            cross = {"access-control-allow-origin": ORIGIN, "access-control-allow-headers": "*"}
            route.fulfill(
                body=told[0].replace("KEY", key), content_type="application/json", headers=cross
            )
            asked.update(parts)
        elif address.hostname == urlsplit(ORIGIN).hostname and name in ("p", "next"):
            route.fulfill(body=html if name == "p" else "<p>", content_type="text/html")
        else:
            route.abort()

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            for _ in range(3):
                # On a busy machine a page may be left before its library has begun to send.
                sent: list[Any] = []
                tab = browser.new_page(user_agent=AGENT + " Safari/537.36")
                tab.route(lambda asked: not asked.startswith(url), fulfil)
                tab.on(
                    "request", lambda r, sent=sent: sent.append(r) if r.url.startswith(url) else 0
                )
                if seen is not None:
                    seen(tab)
                tab.goto(f"{ORIGIN}/p?utm_campaign=spring&utm_medium=cpc")
                _until(tab, lambda: asked >= set(page.elsewhere))
                tab.wait_for_load_state("networkidle")
                if page.stays:
                    _until(tab, enough)
                tab.goto(f"{ORIGIN}/next")
                _until(tab, lambda sent=sent: bool(sent) or enough(), 100)
                if sent or enough():
                    break
            _until(tab, enough)
        finally:
            browser.close()
