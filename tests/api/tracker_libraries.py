"""Real tracking libraries, unchanged, pointed at a server; what they sent is kept as they sent it.

    python tests/api/tracker_libraries.py

prints tables: library, version, events sent and kept, and the cells that differ from what the batch
layout reads in a file of the same messages; and the same for generated messages of every form. A
library that is not installed is left out.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["LIBRARIES", "SHOP", "Library", "installed", "measure"]

Json = dict[str, Any]
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
    """A library of PyPI.

    Attributes:
        package: its name there; `module` is what is imported.
        layout: by which its messages are read.
        drive: tracks the shop's events at a URL with the library's own calls.
        lines: body of a request, decoded -> lines of the tool's export.
    """

    package: str
    module: str
    layout: str
    drive: Callable[[str], None]
    lines: Callable[[Any], list[Json]]


def segment(url: str) -> None:
    from segment.analytics import Client

    _calls(Client("k", host=url, max_retries=0, gzip=True))


def rudder(url: str) -> None:
    from rudderstack.analytics.client import Client

    _calls(Client("k", host=url, max_retries=0, gzip=True))


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


def posthog(url: str) -> None:
    from posthog import Posthog

    failed: list[Any] = []
    client = Posthog("k", host=url, gzip=True, on_error=lambda error, _: failed.append(error),
                     disable_geoip=True, max_retries=0)  # fmt: skip
    for event, told in SHOP:
        own = {"$session_id": "s-1", "$device_id": "v-1", "$current_url": "https://shop.example/"}
        client.capture(event, distinct_id="v-1", properties=told | own)
    client.set(distinct_id="ann@shop.example", properties={"plan": "gold"})
    client.capture("Order Completed", distinct_id="ann@shop.example", properties=SHOP[5][1])
    client.shutdown()
    assert not failed, failed


def amplitude(url: str) -> None:
    from amplitude import Amplitude, BaseEvent, EventOptions, Identify, Revenue

    client = Amplitude("k")
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


def mixpanel(url: str) -> None:
    from mixpanel import BufferedConsumer, Consumer, Mixpanel

    places = {name: f"{url}/{path}" for name, path in (
        ("events_url", "track"), ("people_url", "engage"), ("import_url", "import"),
        ("groups_url", "groups"))}  # fmt: skip
    client = Mixpanel("k", Consumer(**places))
    for event, told in SHOP:
        client.track("$device:v-1", event, told | {"$device_id": "v-1"})
    client.people_set("ann@shop.example", {"plan": "gold"})
    client.import_data("k", "ann@shop.example", "Order Completed", 1_777_888_800, SHOP[5][1])
    buffered = BufferedConsumer(max_size=10, **places)
    Mixpanel("k", buffered).track("ann@shop.example", "Product Viewed", SHOP[1][1])
    buffered.flush()


def snowplow(url: str) -> None:
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
            "shop", emitter, subject=subject, app_id="k", encode_base64=method == "get"
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


def _batch(body: Json) -> list[Json]:
    found: list[Json] = body["batch"]
    return found


def _amplitude_lines(body: Json) -> list[Json]:
    return [{("$insert_id" if k == "insert_id" else "event_time" if k == "time" else k): v
             for k, v in one.items()} for one in body["events"]]  # fmt: skip


def _mixpanel_lines(body: Any) -> list[Json]:
    listed = body if isinstance(body, list) else [body]
    return [one for one in listed if "event" in one]


def _snowplow_lines(body: Any) -> list[Json]:
    """Enrich by hand the few fields that the library's events have here."""
    import base64
    import json

    def described(item: Json, plain: str, packed: str) -> Any:
        text = item.get(plain) or base64.urlsafe_b64decode(item.get(packed, "") + "==").decode()
        return json.loads(text)["data"] if text else []

    column, found = "com_snowplowanalytics_snowplow_ecommerce", []
    for item in body.get("data", [body]):
        line: Json = {"domain_userid": item["duid"], "domain_sessionid": item["sid"],
                      "event_id": item["eid"], "page_url": item.get("url"),
                      "derived_tstamp": int(item["dtm"])}  # fmt: skip
        if item["e"] == "pv":
            line |= {"event_name": "page_view", "page_urlpath": "/p", "mkt_medium": "cpc",
                     "mkt_campaign": "spring"}  # fmt: skip
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


LIBRARIES = (
    Library("segment-analytics-python", "segment.analytics", "segment", segment, _batch),
    Library("rudder-sdk-python", "rudderstack.analytics", "segment", rudder, _batch),
    Library("posthog", "posthog", "posthog", posthog, _batch),
    Library("amplitude-analytics", "amplitude", "amplitude", amplitude, _amplitude_lines),
    Library("mixpanel", "mixpanel", "mixpanel", mixpanel, _mixpanel_lines),
    Library("snowplow-tracker", "snowplow_tracker", "snowplow", snowplow, _snowplow_lines),
)


def installed(library: Library) -> bool:
    """Tell whether a library is there."""
    try:
        import_module(library.module)
    except ModuleNotFoundError:
        return False
    return True


@contextmanager
def recorded() -> Iterator[list[Any]]:
    """Keep the body of every request that a service reads, decoded by hand."""
    import base64
    import json
    from urllib.parse import parse_qs

    from cartcast.api import app

    bodies: list[Any] = []
    answer = app.answer_events

    async def keeping(live: Any, request: Any, *rest: Any) -> bytes:
        text = request.body.decode()
        if not text.startswith(("{", "[")):
            fields = {name: values[0] for name, values in parse_qs(text).items()}
            text = fields.get("data") or json.dumps(fields)
            text = text if text[0] in "{[" else base64.b64decode(text).decode()
        bodies.append(json.loads(text))
        return await answer(live, request, *rest)

    app.answer_events = keeping  # type: ignore[attr-defined]
    try:
        yield bodies
    finally:
        app.answer_events = answer  # type: ignore[attr-defined]


def measure(library: Library, serve: Callable[[Any], str], live: Any, folder: Path) -> Any:
    """Drive a library; return its lines, what was taken, and how both compare."""
    import cartcast_test_tracker_parity as parity

    taken = parity.record(live)
    with recorded() as bodies:
        library.drive(serve(live))
    taken.refused = sum(live.metrics.set_aside.values())
    lines = [line for body in bodies for line in library.lines(body)]
    return lines, taken, parity.compare(taken, lines, library.layout, folder)


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
    import conftest

    print("| library | version | events sent | kept | rows | cells that differ |")
    print("|---|---|---|---|---|---|")
    for library in filter(installed, LIBRARIES):
        live = conftest.make_live()
        with tempfile.TemporaryDirectory() as folder, conftest.run(conftest.Service(live)) as url:
            lines, taken, result = measure(library, lambda _, url=url: url, live, Path(folder))
        kept = len(lines) - result.refused[1]
        print(f"| {library.package} | {version(library.package)} | {len(lines)} | {kept} | "
              f"{len(taken.events)} | {len(result.differences)} |")  # fmt: skip
    import cartcast_test_tracker_forms as forms

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
