"""Real tracking libraries, unchanged, pointed at a server; what they sent is kept as they sent it.

    python tests/api/tracker_libraries.py

prints tables: library, version, events sent and kept, and the cells that differ from what the batch
layout reads in a file of the same messages; and the same for generated messages of every form. A
library that is not installed is left out; those of npm for Node.js are installed by

    npm ci --prefix tests/api/npm --ignore-scripts

and those for browsers are in `vendor/`.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

__all__ = [
    "LIBRARIES",
    "ORIGIN",
    "SHOP",
    "Library",
    "amplitude_lines",
    "batch_lines",
    "measure",
    "mixpanel_lines",
    "snowplow_lines",
]

Json = dict[str, Any]
ORIGIN = "http://shop.test"
"""Of the pages on which libraries for browsers run."""
SHOP: list[tuple[str, Json]] = [
    ("Product List Viewed", {}),
    ("Product Viewed", {"product_id": "sku-7", "category": "hats", "price": "12.50"}),
    ("Product Added", {"product_id": "sku-7", "price": 12.5, "quantity": 2, "currency": "EUR"}),
    ("Product Viewed", {"product_id": "17.0", "category": None, "price": "n/a"}),
    ("Checkout Started", {}),
    ("Order Completed", {"order_id": "o-1", "total": 25.0, "currency": "eur", "products": [
        {"product_id": "sku-7", "price": 12.5, "quantity": 2}, {"sku": "b", "price": "1,299.00"}]}),
    ("Order Completed", {"order_id": "undefined", "revenue": "9.99"}),
    ("Wishlist Shared", {"title": "A page"}),
]  # fmt: skip
"""What one visitor does, in the words of the e-commerce spec."""


class Library(NamedTuple):
    """A library of a registry.

    Attributes:
        package: its name there.
        version: that is installed here; None where it is not.
        layout: by which its messages are read.
        drive: tracks the shop's events at a URL with a key, by the library's own calls; it may
            wait until a function says that enough has come.
        lines: body of a request, decoded, and when it came (seconds) -> lines of the tool's export.
        events: that come, where the library sends in its own time.
    """

    package: str
    version: str | None
    layout: str
    drive: Callable[[str, str, Callable[[], bool]], None]
    lines: Callable[[Any, float], list[Json]]
    events: int = 0


def segment(url: str, key: str, _: Any) -> None:
    from segment.analytics import Client

    _calls(Client(key, host=url, max_retries=0, gzip=True))


def rudder(url: str, key: str, _: Any) -> None:
    from rudderstack.analytics.client import Client

    _calls(Client(key, host=url, max_retries=0, gzip=True))


def _calls(client: Any) -> None:
    """Track with a library of Segment's interface."""
    failed: list[Any] = []
    client.on_error = lambda error, _: failed.append(error)
    client.page(anonymous_id="v-1", name="Home", properties={"url": "https://shop.example/"})
    for event, told in SHOP:
        client.track(anonymous_id="v-1", event=event, properties=told)
    client.identify("ann@shop.example", anonymous_id="v-1")
    client.track("ann@shop.example", "Order Completed", {"order_id": "o-2", "revenue": 5})
    client.flush()
    client.join()
    assert not failed, failed


def posthog(url: str, key: str, _: Any) -> None:
    from posthog import Posthog

    failed: list[Any] = []
    client = Posthog(key, host=url, gzip=True, on_error=lambda error, _: failed.append(error),
                     disable_geoip=True, max_retries=0)  # fmt: skip
    for event, told in SHOP:
        own = {"$session_id": "s-1", "$device_id": "v-1", "$current_url": "https://shop.example/"}
        client.capture(event, distinct_id="v-1", properties=told | own)
    client.set(distinct_id="ann@shop.example", properties={"plan": "gold"})
    client.capture("Order Completed", distinct_id="ann@shop.example", properties=SHOP[5][1])
    client.shutdown()
    assert not failed, failed


def amplitude(url: str, key: str, _: Any) -> None:
    from amplitude import Amplitude, BaseEvent, EventOptions, Identify, Revenue

    client = Amplitude(key)
    client.configuration.server_url = f"{url}/2/httpapi"
    answers: list[int] = []
    client.configuration.callback = lambda _, code, __: answers.append(code)
    for event, told in SHOP:
        client.track(
            BaseEvent(event, device_id="v-1", session_id=1_777_888_800_000, event_properties=told)
        )
    who = EventOptions(device_id="v-1", user_id="ann@shop.example")
    client.identify(Identify().set("plan", "gold"), who)
    client.revenue(Revenue(5.0, quantity=2, product_id="sku-7"), who)
    client.flush()
    client.shutdown()
    assert set(answers) == {200}, answers


def mixpanel(url: str, key: str, _: Any) -> None:
    from mixpanel import BufferedConsumer, Consumer, Mixpanel

    places = {name: f"{url}/{path}" for name, path in (
        ("events_url", "track"), ("people_url", "engage"), ("import_url", "import"),
        ("groups_url", "groups"))}  # fmt: skip
    client = Mixpanel(key, Consumer(**places))
    for event, told in SHOP:
        client.track("$device:v-1", event, told | {"$device_id": "v-1"})
    client.people_set("ann@shop.example", {"plan": "gold"})
    client.import_data(key, "ann@shop.example", "Order Completed", 1_777_888_800, SHOP[5][1])
    buffered = BufferedConsumer(max_size=10, **places)
    Mixpanel(key, buffered).track("ann@shop.example", "Product Viewed", SHOP[1][1])
    buffered.flush()


def snowplow(url: str, key: str, _: Any) -> None:
    from snowplow_tracker import (
        Emitter,
        PageView,
        SelfDescribing,
        SelfDescribingJson,
        StructuredEvent,
        Subject,
        Tracker,
    )

    address = urlsplit(url)
    own = "iglu:com.snowplowanalytics.snowplow.ecommerce"
    for method in ("post", "get"):
        emitter = Emitter(str(address.hostname), protocol="http", port=address.port,
                          method=method, batch_size=50)  # fmt: skip
        subject = Subject().set_domain_user_id("v-1").set_domain_session_id("s-1")
        tracker = Tracker(
            "shop", emitter, subject=subject, app_id=key, encode_base64=method == "get"
        )
        tracker.track(
            PageView("https://shop.example/p?utm_campaign=spring&utm_medium=cpc", "A page")
        )
        tracker.track(StructuredEvent("hats", "add_to_cart", label="sku-7", value=3.0))
        for kind in ("product_view", "add_to_cart", "checkout_step", "transaction"):
            action = SelfDescribingJson(
                f"{own}/snowplow_ecommerce_action/jsonschema/1-0-2", {"type": kind}
            )
            goods = [
                SelfDescribingJson(f"{own}/product/jsonschema/1-0-0", {
                    "id": name, "category": "hats", "price": 12.5, "currency": "EUR",
                    "quantity": 2}) for name in ("a", "b")
            ]  # fmt: skip
            if kind == "transaction":
                goods.append(SelfDescribingJson(f"{own}/transaction/jsonschema/1-0-0", {
                    "transaction_id": f"o-{method}", "revenue": 50, "currency": "EUR"}))  # fmt: skip
            tracker.track(SelfDescribing(action, context=goods))
        tracker.flush()


def batch_lines(body: Json, _: float = 0) -> list[Json]:
    found: list[Json] = body["batch"]
    return found


def amplitude_lines(body: Json, _: float = 0) -> list[Json]:
    return [{("$insert_id" if k == "insert_id" else "event_time" if k == "time" else k): v
             for k, v in one.items()} for one in body["events"]]  # fmt: skip


def mixpanel_lines(body: Any, received: float) -> list[Json]:
    listed = body if isinstance(body, list) else [body]
    return [
        one | {"properties": {"time": received} | one["properties"]}
        for one in listed
        if "event" in one
    ]


def snowplow_lines(body: Any, _: float = 0) -> list[Json]:
    """Enrich by hand the few fields that the library's events have here."""

    def described(item: Json, plain: str, packed: str) -> Any:
        text = item.get(plain) or base64.urlsafe_b64decode(item.get(packed, "") + "==").decode()
        return json.loads(text)["data"] if text else []

    column, found = "com_snowplowanalytics_snowplow_ecommerce", []
    for item in body.get("data", [body]):
        line: Json = {"domain_userid": item["duid"], "domain_sessionid": item["sid"],
                      "event_id": item["eid"], "page_url": item.get("url"),
                      "derived_tstamp": int(item["dtm"])}  # fmt: skip
        line["user_id"] = item.get("uid")
        if item.get("url"):
            line |= {"page_urlpath": "/p", "mkt_medium": "cpc", "mkt_campaign": "spring"}
        if item["e"] == "pv":
            line["event_name"] = "page_view"
        elif item["e"] == "se":
            line |= {"se_category": item["se_ca"], "se_action": item["se_ac"],
                     "se_label": item["se_la"], "se_value": item["se_va"]}  # fmt: skip
        else:
            action = described(item, "ue_pr", "ue_px")["data"]
            line |= {"event_name": "snowplow_ecommerce_action",
                     f"unstruct_event_{column}_snowplow_ecommerce_action_1": action}  # fmt: skip
            for entity in described(item, "co", "cx"):
                name = entity["schema"].split("/")[1]
                line.setdefault(f"contexts_{column}_{name}_1", []).append(entity["data"])
        found.append(line)
    return found


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


LIBRARIES = tuple(
    Library(package, _installed(package), *rest)
    for package, *rest in (
        ("segment-analytics-python", "segment", segment, batch_lines),
        ("rudder-sdk-python", "segment", rudder, batch_lines),
        ("posthog", "posthog", posthog, batch_lines),
        ("amplitude-analytics", "amplitude", amplitude, amplitude_lines),
        ("mixpanel", "mixpanel", mixpanel, mixpanel_lines),
        ("snowplow-tracker", "snowplow", snowplow, snowplow_lines),
    )
)


@contextmanager
def recorded() -> Iterator[list[tuple[Any, float]]]:
    """Keep the body of every request that a service reads, decoded by hand, and when it came."""
    from cartcast.api import app, hot

    bodies: list[tuple[Any, float]] = []
    answer, context = app.answer_events, hot.context

    async def keeping(live: Any, request: Any, *rest: Any) -> bytes:
        body = _decoded(request.body)

        def noting(*given: Any) -> Any:
            where = context(*given)
            bodies.append((body, where.received / 1e6))
            return where

        hot.context = noting
        return await answer(live, request, *rest)

    app.answer_events = keeping  # type: ignore[attr-defined]
    try:
        yield bodies
    finally:
        app.answer_events, hot.context = answer, context  # type: ignore[attr-defined]


def _decoded(body: bytes) -> Any:
    """Return JSON, what a form's `data` holds as JSON or base64, or the fields of a form."""
    text = body.decode()
    if not text.startswith(("{", "[")):
        fields = {name: values[0] for name, values in parse_qs(text).items()}
        text = fields.get("data") or json.dumps(fields)
        text = text if text[0] in "{[" else base64.b64decode(text + "==").decode()
    return json.loads(text)


def measure(library: Library, serve: Callable[..., str], live: Any, keys: Any, folder: Path) -> Any:
    """Drive a library; return its lines, what was taken, and how both compare.

    Args:
        library: to drive.
        serve: starts the service of `live`.
        live: takes the events.
        keys: file of keys, to which one that may only send is added.
        folder: for files.
    """
    import cartcast_test_tracker_parity as parity

    from cartcast.access.keys import Keys

    taken, key = parity.record(live), keys.add("tracker", ["ingest"])
    with recorded() as bodies:
        url = serve(live, Keys(keys), origins=(ORIGIN,), credentials=True)

        def lines() -> list[Json]:
            return [line for one in list(bodies) for line in library.lines(*one)]

        def enough() -> bool:
            return sum(live.metrics.events.values()) >= library.events <= len(lines())

        library.drive(url, key, enough)
    taken.refused = sum(live.metrics.set_aside.values())
    return lines(), taken, parity.compare(taken, lines(), library.layout, folder)


def told(name: str, layout: str, seed: int, folder: Path) -> tuple[int, int, int, int]:
    """Tell a story in one form; return acts, rows kept, rows set aside, and cells that differ."""
    import cartcast_test_tracker_forms as forms
    import cartcast_test_tracker_parity as parity
    import conftest
    import httpx

    own = folder / "till.yaml"
    own.write_text(forms.OWN_LAYOUT)
    form, live = forms.FORMS[name], conftest.make_live()
    acts, taken = forms.story(seed, form), parity.record(live)
    served = conftest.Served(webhooks=(("till", str(own)),))
    with (
        conftest.run(conftest.Service(live, None, served)) as url,
        httpx.Client(base_url=url) as http,
    ):
        parity.send(http, form.send(acts), live, taken)
    layout = str(own) if layout == "till.yaml" else layout
    result = parity.compare(taken, form.export(acts), layout, folder)
    apart = len(result.differences) + parity.same_sessions(taken, folder)
    return len(acts), result.kept, result.refused[0], apart


def main() -> None:
    """Print the tables of the docs."""
    logging.disable()
    sys.path.insert(0, str(Path(__file__).parent))
    # It makes the modules of these tests.
    conftest = import_module("conftest")
    import cartcast_test_tracker_forms as forms
    import cartcast_test_tracker_npm as npm

    from cartcast.access.keys import KeyFile

    print("| library | for | version | events sent | kept | rows | cells that differ |")
    print("|---|---|---|---|---|---|---|")
    groups = (("Python", LIBRARIES), ("Node.js", npm.NODE), ("browsers", npm.BROWSERS))
    for place, library in ((place, one) for place, many in groups for one in many):
        if library.version is None:
            continue
        live = conftest.make_live()
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:

            def serve(live: Any, keys: Any, stack: Any = stack, **served: Any) -> str:
                service = conftest.Service(live, keys, conftest.Served(**served))
                return str(stack.enter_context(conftest.run(service)))

            folder = Path(name)
            keys = KeyFile(folder / "keys.json")
            lines, taken, result = measure(library, serve, live, keys, folder)
        kept = len(lines) - result.refused[1]
        print(f"| {library.package} | {place} | {library.version} | {len(lines)} | {kept} | "
              f"{len(taken.events)} | {len(result.differences)} |", flush=True)  # fmt: skip

    for name in ("SHOPIFY", "WOOCOMMERCE", "TILL"):
        os.environ[f"CARTCAST_WEBHOOK_SECRET_{name}"] = forms.SECRET
    print("\n| generated messages | events | rows kept | rows set aside | cells that differ |")
    print("|---|---|---|---|---|")
    for name, form in forms.FORMS.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {name} | " + " | ".join(map(str, told(name, form.layout, 2, Path(folder)))),
                  "|", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
