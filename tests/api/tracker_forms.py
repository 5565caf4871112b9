"""One story of a shop, told in the messages of each tracker and in the exports of its tool.

A form gives each act twice: as the tracker sends it, and as its tool exports what it was sent.
The two are written from the tools' documents and know nothing of each other or of the product.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

__all__ = ["FORMS", "OWN_LAYOUT", "SECRET", "Act", "Form", "Sent", "story"]

SECRET = "a secret of the shop"
ADDRESS = "https://shop.example"
Json = dict[str, Any]


@dataclass
class Act:
    """What somebody did; `kind` is a canonical event type, or `wish`, or `login`."""

    number: int
    time: datetime
    visitor: str | None
    user: str | None
    session: int
    kind: str
    page: str
    goods: list[Json] = field(default_factory=list)
    order: str | None = None
    total: Any = None
    currency: Any = "EUR"
    title: str = "A page"
    campaign: str | None = None

    @property
    def micros(self) -> int:
        return int(self.time.timestamp()) * 1_000_000

    @property
    def iso(self) -> str:
        return self.time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def story(seed: int, form: Form, count: int = 240) -> list[Act]:
    """Return acts of some visitors in the order of time, with what trackers really send.

    Some orders come from the shop's server, with the login alone. Where the form has ids of events,
    some acts are told twice, as by a client that did not hear the answer.
    """
    draw = random.Random(seed)
    now = datetime.now(UTC).replace(microsecond=0)
    visitors: list[dict[str, Any]] = [
        {"id": f"{draw.getrandbits(64):016x}", "user": None, "session": 0, "at": None}
        for _ in range(12)
    ]
    time, acts = now - timedelta(days=2), []
    for number in range(count):
        who = draw.choice(visitors)
        time += timedelta(seconds=draw.choice([1, 7, 40, 300]))
        if who["at"] is None or time - who["at"] > timedelta(seconds=1800):
            who["session"] = int(time.timestamp())
            who["user"] = who["user"] if draw.random() < 0.5 else None
        who["at"] = time
        kind = draw.choice(
            ["page_view", "view_item", "view_item", "view_item_list", "search", "add_to_cart",
             "remove_from_cart", "begin_checkout", "purchase", "purchase", "wish", "login"]
        )  # fmt: skip
        if kind == "login":
            who["user"] = draw.choice(
                [f"ann-{who['id'][:4]}@shop.example"] * 2 + ["guest", "(not set)"]
            )
        act = Act(
            number, time, who["id"], who["user"], who["session"], kind,
            draw.choice([f"{ADDRESS}/p/7?utm_medium=cpc&utm_campaign=spring",
                         f"{ADDRESS}/search?q={'x' * 1800}", f"{ADDRESS}/"]),
            campaign=draw.choice([None, "spring"]),
        )  # fmt: skip
        if kind in ("view_item", "add_to_cart", "remove_from_cart"):
            act.goods = [_good(draw)]
        if kind == "purchase":
            _order(act, draw)
            if act.user and "@" in act.user and draw.random() < 0.3:
                act.visitor = None
        if draw.random() < 0.04:
            act.title = "A hat \U0001f3a9"[:7] + "\ud83c"
        if form.fits(act):
            acts.append(act)
            if form.repeats and draw.random() < 0.05:
                acts.append(act)
    return acts


def _good(draw: random.Random) -> Json:
    price = draw.choice([5, 12.5, "12.50", "1,299.00", 0, None, "n/a", 3.75])
    if draw.random() < 0.06:
        price = draw.choice([10**400, 9e99, "five", -4])
    return {
        "sku": draw.choice(["sku-7", "0815", "17.0", "hat"]),
        "category": draw.choice(["shoes", "hats", None, "Größe"]),
        "brand": draw.choice(["Acme", None]),
        "price": price,
        "quantity": draw.choice([1, 2, "3", None]),
    }


def _order(act: Act, draw: random.Random) -> None:
    act.goods = [_good(draw) for _ in range(draw.choice([0, 1, 2, 3]))]
    act.order = draw.choice([f"o-{act.number}", f"o-{act.number}", "undefined"])
    act.total = draw.choice([25.5, "25.50", 99])
    if draw.random() < 0.1:
        act.currency = draw.choice(["EURO", "eur"])


class Sent(NamedTuple):
    """One request: path, body, headers; `None` as the body means a GET with the query."""

    path: str
    body: bytes | None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


@dataclass(frozen=True)
class Form:
    """A tracker's form.

    Attributes:
        layout: by which its export is read.
        send: acts -> requests.
        export: acts -> lines of the export.
        fits: whether the form can tell an act.
        repeats: whether the tracker gives its events ids.
    """

    layout: str
    send: Callable[[list[Act]], Iterator[Sent]]
    export: Callable[[list[Act]], Iterator[Json]]
    fits: Callable[[Act], bool] = lambda _: True
    repeats: bool = False


def known(data: Json) -> Json:
    """Leave out what is null: trackers send no such keys."""
    return {name: value for name, value in data.items() if value is not None}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def parts(items: list[Any], size: int = 20) -> Iterator[list[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


# Segment's e-commerce spec, which PostHog, Amplitude and Mixpanel recommend too.

SPEC = {
    "view_item": "Product Viewed", "view_item_list": "Product List Viewed",
    "search": "Products Searched", "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed", "begin_checkout": "Checkout Started",
    "purchase": "Order Completed", "wish": "Wishlist Shared", "login": "Signed In",
}  # fmt: skip


def spec_good(good: Json) -> Json:
    names = {"sku": "product_id"}
    return known({names.get(name, name): value for name, value in good.items()})


def spec(act: Act) -> Json:
    told: Json = {"title": act.title}
    if act.kind == "purchase":
        told |= {"order_id": act.order, "currency": act.currency}
        told["revenue" if act.number % 2 else "total"] = act.total
        if act.goods:
            told["products"] = [spec_good(g) for g in act.goods]
    elif act.goods:
        told |= spec_good(act.goods[0]) | {"currency": act.currency}
    return told


def call(act: Act, rudder: bool) -> Json:
    context: Json = {"page": {"url": act.page}, "device": {"type": "mobile"},
                     "location": {"country": "DE"}}  # fmt: skip
    if act.campaign:
        context["campaign"] = {"name": act.campaign, "medium": "cpc"}
    if rudder:
        context["sessionId"] = act.session
    kind = {"page_view": "page", "login": "identify"}.get(act.kind, "track")
    made = known({"type": kind, "anonymousId": act.visitor, "userId": act.user,
                  "messageId": f"m-{act.number}", "timestamp": act.iso, "context": context})  # fmt: skip
    if kind == "track":
        made |= {"event": SPEC[act.kind], "properties": spec(act)}
    elif kind == "page":
        made |= {"name": "Home", "properties": {"title": act.title, "path": "/p/7"}}
    else:
        made["traits"] = {"title": act.title}
    return made


def send_calls(acts: list[Act], rudder: bool) -> Iterator[Sent]:
    for some in parts([call(a, rudder) for a in acts]):
        body = {"batch": some, "sentAt": datetime.now(UTC).isoformat(), "writeKey": "k"}
        yield Sent("/v1/batch", encoded(body))


def export_calls(acts: list[Act], rudder: bool) -> Iterator[Json]:
    for act in acts:
        yield call(act, rudder) | {"receivedAt": act.iso}


# PostHog


def posthog(act: Act) -> Json:
    user = act.user if act.user and "@" in act.user else None
    told = spec(act) | {"$session_id": str(act.session), "$current_url": act.page,
                        "$device_type": "Mobile", "utm_campaign": act.campaign}  # fmt: skip
    if act.visitor:
        told["$device_id"] = act.visitor
    word = {"page_view": "$pageview", "login": "$identify"}.get(act.kind) or SPEC[act.kind]
    return {"uuid": f"0190-{act.number}", "event": word, "distinct_id": user or act.visitor,
            "properties": known(told), "timestamp": act.iso}  # fmt: skip


def send_posthog(acts: list[Act]) -> Iterator[Sent]:
    for place, some in enumerate(parts([posthog(a) for a in acts])):
        now = datetime.now(UTC).isoformat()
        body = encoded({"api_key": "k", "batch": some, "sent_at": now})
        if place % 3 == 0:
            yield Sent("/batch/", body)
        elif place % 3 == 1:
            packed = urlencode({"data": base64.b64encode(body).decode(), "compression": "base64"})
            yield Sent("/e/?compression=base64", packed.encode())
        else:
            for one in some:
                one["properties"]["distinct_id"] = one.pop("distinct_id")
                yield Sent("/i/v0/e/", encoded(one | {"api_key": "k"}))


def export_posthog(acts: list[Act]) -> Iterator[Json]:
    for act in acts:
        one = posthog(act)
        yield one | {"created_at": act.iso, "team_id": 1}


# Amplitude


def amplitude(act: Act) -> Json:
    word = {"page_view": "[Amplitude] Page Viewed", "login": "$identify"}.get(act.kind)
    told = known(spec(act) | {"[Amplitude] Page URL": act.page})
    return known({
        "device_id": act.visitor, "user_id": act.user, "event_type": word or SPEC[act.kind],
        "time": act.micros // 1000, "session_id": act.session * 1000 if act.number % 9 else -1,
        "insert_id": f"i-{act.number}", "event_properties": told, "platform": "Web",
        "country": "Germany", "user_properties": {"utm_medium": "cpc"},
    })  # fmt: skip


def send_amplitude(acts: list[Act]) -> Iterator[Sent]:
    for place, some in enumerate(parts([amplitude(a) for a in acts])):
        path = "/2/httpapi" if place % 2 else "/batch"
        yield Sent(path, encoded({"api_key": "k", "events": some}))


def export_amplitude(acts: list[Act]) -> Iterator[Json]:
    for act in acts:
        one = amplitude(act)
        del one["time"]
        one["$insert_id"] = one.pop("insert_id")
        when = act.time.strftime("%Y-%m-%d %H:%M:%S.000000")
        yield one | {"event_time": when, "server_received_time": when, "amplitude_id": 7}


# Mixpanel


def mixpanel(act: Act) -> Json:
    user = act.user if act.user and "@" in act.user else None
    told = spec(act) | {
        "time": act.micros // 1_000_000, "distinct_id": user or f"$device:{act.visitor}",
        "$insert_id": f"x-{act.number}", "$device_id": act.visitor, "$user_id": user,
        "$current_url": act.page, "mp_country_code": "DE", "$os": "Linux", "token": "k",
        "utm_campaign": act.campaign,
    }  # fmt: skip
    word = {"page_view": "$mp_web_page_view", "login": "$identify"}.get(act.kind)
    return {"event": word or SPEC[act.kind], "properties": known(told)}


def send_mixpanel(acts: list[Act]) -> Iterator[Sent]:
    for place, some in enumerate(parts([mixpanel(a) for a in acts])):
        text = json.dumps(some)
        if place % 4 == 0:
            yield Sent("/track", urlencode({"data": text, "verbose": 1, "ip": 0}).encode())
        elif place % 4 == 1:
            yield Sent("/track/?ip=1", f"data={base64.b64encode(text.encode()).decode()}".encode())
        elif place % 4 == 2:
            yield Sent("/import?strict=1", "\n".join(json.dumps(one) for one in some).encode())
        else:
            for one in some:
                query = urlencode({"data": base64.b64encode(encoded(one)).decode()})
                yield Sent(f"/track?{query}", None if len(query) < 8000 else encoded(one))


def export_mixpanel(acts: list[Act]) -> Iterator[Json]:
    for act in acts:
        one = mixpanel(act)
        one["properties"].pop("token")
        one["properties"]["mp_processing_time_ms"] = act.micros // 1000
        yield one


# GA4

GA4 = {"page_view": "page_view", "view_item": "view_item", "view_item_list": "view_item_list",
       "search": "search", "add_to_cart": "add_to_cart", "remove_from_cart": "remove_from_cart",
       "begin_checkout": "begin_checkout", "purchase": "purchase", "wish": "share",
       "login": "login"}  # fmt: skip


def ga4_items(act: Act) -> list[Json]:
    names = {"sku": "item_id", "category": "item_category", "brand": "item_brand"}
    return [known({names.get(k, k): v for k, v in good.items()}) for good in act.goods]


def ga4_params(act: Act) -> Json:
    told: Json = {"session_id": act.session, "page_location": act.page, "title": act.title,
                  "campaign": act.campaign}  # fmt: skip
    if act.kind == "purchase":
        told |= {"transaction_id": act.order, "value": act.total, "currency": act.currency}
    elif act.goods:
        told["currency"] = act.currency
    return known(told)


def send_ga4(acts: list[Act]) -> Iterator[Sent]:
    for act in acts:
        params = ga4_params(act)
        if act.goods:
            params["items"] = ga4_items(act)
        event = {"name": GA4[act.kind], "params": params, "timestamp_micros": act.micros}
        body = known({"client_id": act.visitor, "user_id": act.user, "events": [event],
                      "device": {"category": "mobile"}, "user_location": {"country_id": "DE"}})  # fmt: skip
        yield Sent("/mp/collect?measurement_id=G-1&api_secret=k", encoded(body))


def export_ga4(acts: list[Act]) -> Iterator[Json]:
    for act in acts:
        told = ga4_params(act)
        told["ga_session_id"] = told.pop("session_id")
        campaign = told.pop("campaign", None)
        pairs = [{"key": k, "value": ga4_value(v)} for k, v in told.items()]
        yield {
            "user_pseudo_id": act.visitor, "user_id": act.user, "event_timestamp": act.micros,
            "event_name": GA4[act.kind], "event_params": pairs, "items": ga4_items(act),
            "geo": {"country": "DE"}, "device": {"category": "mobile"},
            "traffic_source": {"name": campaign, "medium": None},
        }  # fmt: skip


def ga4_value(value: Any) -> Json:
    kind = "int_value" if isinstance(value, int) else "double_value"
    return {"string_value": value} if isinstance(value, str) else {kind: value}


# Snowplow

ACTIONS = {"view_item": "product_view", "view_item_list": "list_view", "add_to_cart": "add_to_cart",
           "remove_from_cart": "remove_from_cart", "begin_checkout": "checkout_step",
           "purchase": "transaction"}  # fmt: skip
OWN = "com.snowplowanalytics.snowplow"


def iglu(vendor: str, name: str, version: str = "1-0-2") -> str:
    return f"iglu:{vendor}/{name}/jsonschema/{version}"


def snow_goods(act: Act) -> list[Json]:
    return [known({"id": g["sku"], **{k: v for k, v in g.items() if k != "sku"},
                   "currency": act.currency}) for g in act.goods]  # fmt: skip


def snow_order(act: Act) -> Json:
    return {"transaction_id": act.order, "revenue": act.total, "currency": act.currency}


def snowplow(act: Act) -> Json:
    one = known({"p": "web", "tv": "js-3", "aid": "k", "eid": f"e-{act.number}",
                 "duid": act.visitor, "sid": f"{act.session}-{act.visitor or 0}", "uid": act.user,
                 "dtm": str(act.micros // 1000), "url": act.page, "page": act.title,
                 "stm": str(int(datetime.now(UTC).timestamp() * 1000))})  # fmt: skip
    if act.kind in ("page_view", "login"):
        return one | {"e": "pv"}
    if act.kind in ("wish", "search"):
        return one | {"e": "se", "se_ca": "shop", "se_ac": act.kind, "se_la": "sku-7"}
    told = {"schema": iglu(OWN, "unstruct_event", "1-0-0"),
            "data": {"schema": iglu(f"{OWN}.ecommerce", "snowplow_ecommerce_action"),
                     "data": {"type": ACTIONS[act.kind]}}}  # fmt: skip
    entities = [{"schema": iglu(f"{OWN}.ecommerce", "product", "1-0-0"), "data": g}
                for g in snow_goods(act)]  # fmt: skip
    if act.kind == "purchase":
        schema = iglu(f"{OWN}.ecommerce", "transaction", "1-0-0")
        entities.append({"schema": schema, "data": snow_order(act)})
    contexts = {"schema": iglu(OWN, "contexts", "1-0-1"), "data": entities}
    if act.number % 2:
        return one | {"e": "ue", "ue_pr": json.dumps(told), "co": json.dumps(contexts)}
    packed = [base64.urlsafe_b64encode(encoded(x)).decode().rstrip("=") for x in (told, contexts)]
    return one | {"e": "ue", "ue_px": packed[0], "cx": packed[1]}


def send_snowplow(acts: list[Act]) -> Iterator[Sent]:
    for place, some in enumerate(parts([snowplow(a) for a in acts])):
        if place % 3 == 2:
            for one in some:
                try:
                    query = urlencode(one)
                except UnicodeEncodeError:
                    query = urlencode(one, errors="surrogatepass")
                yield Sent(f"/i?{query}", None)
            continue
        body = {"schema": iglu(OWN, "payload_data", "1-0-4"), "data": some}
        yield Sent(f"/{OWN}/tp2", encoded(body))


def export_snowplow(acts: list[Act]) -> Iterator[Json]:
    column = "com_snowplowanalytics_snowplow_ecommerce"
    for act in acts:
        when = act.time.strftime("%Y-%m-%d %H:%M:%S.000")
        one: Json = {
            "event_id": f"e-{act.number}", "domain_userid": act.visitor, "user_id": act.user,
            "domain_sessionid": f"{act.session}-{act.visitor or 0}", "derived_tstamp": when,
            "collector_tstamp": when, "page_url": act.page, "page_title": act.title,
            "page_urlpath": act.page.removeprefix(ADDRESS).partition("?")[0],
            "mkt_medium": "cpc" if "cpc" in act.page else None,
            "mkt_campaign": "spring" if "spring" in act.page else None,
        }  # fmt: skip
        if act.kind in ("page_view", "login"):
            one |= {"event": "page_view", "event_name": "page_view"}
        elif act.kind in ("wish", "search"):
            one |= {"event": "struct", "event_name": "event", "se_category": "shop",
                    "se_action": act.kind, "se_label": "sku-7"}  # fmt: skip
        else:
            one |= {"event": "unstruct", "event_name": "snowplow_ecommerce_action",
                    f"unstruct_event_{column}_snowplow_ecommerce_action_1":
                        {"type": ACTIONS[act.kind]}}  # fmt: skip
            if act.goods:
                one[f"contexts_{column}_product_1"] = snow_goods(act)
            if act.kind == "purchase":
                one[f"contexts_{column}_transaction_1"] = [snow_order(act)]
        yield one


# Matomo


def matomo(act: Act) -> Json:
    hit = known({"idsite": 1, "rec": 1, "_id": act.visitor, "uid": act.user, "url": act.page,
                 "action_name": act.title, "cdt": int(act.time.timestamp()), "country": "de",
                 "_rcn": act.campaign})  # fmt: skip
    if act.kind == "view_item":
        good = act.goods[0]
        return hit | known({"_pks": good["sku"], "_pkn": "A thing", "_pkp": good["price"],
                            "_pkc": good["category"]})  # fmt: skip
    if act.kind == "purchase":
        items = [[g["sku"], "A thing", g["category"], g["price"], g["quantity"]] for g in act.goods]
        return hit | {"idgoal": 0, "ec_id": act.order, "revenue": act.total, "ec_tx": 1.5,
                      "ec_items": json.dumps(items)}  # fmt: skip
    if act.kind == "search":
        return hit | {"search": "hats", "search_count": 3}
    if act.kind == "wish":
        return hit | {"e_c": "shop", "e_a": "wish"}
    return hit


def matomo_query(hit: Json) -> str:
    return urlencode(hit, errors="surrogatepass")


def send_matomo(acts: list[Act]) -> Iterator[Sent]:
    for place, some in enumerate(parts([matomo(a) for a in acts])):
        if place % 4 == 0:
            asked = [hit if n % 2 else "?" + matomo_query(hit) for n, hit in enumerate(some)]
            yield Sent("/matomo.php", encoded({"requests": asked, "token_auth": "k"}))
            continue
        for hit in some:
            query = matomo_query(hit)
            get = place % 4 == 1 and len(query) < 8000
            yield Sent(f"/matomo.php?{query}", None) if get else Sent("/piwik.php", query.encode())


def export_matomo(acts: list[Act]) -> Iterator[Json]:
    """Yield visits as Live.getLastVisitsDetails gives them."""
    kinds = {"purchase": "ecommerceOrder", "search": "search", "wish": "event"}
    for act in acts:
        action: Json = {"type": kinds.get(act.kind, "action"), "url": act.page,
                        "pageTitle": act.title, "timestamp": int(act.time.timestamp())}  # fmt: skip
        if act.kind == "view_item":
            good = act.goods[0]
            action |= known({"productViewSku": good["sku"], "productViewName": "A thing",
                             "productViewPrice": good["price"],
                             "productViewCategories": good["category"] and [good["category"]]})  # fmt: skip
        if act.kind == "purchase":
            action |= {"orderId": act.order, "revenue": act.total, "revenueTax": 1.5,
                       "itemDetails": [known({"itemSKU": g["sku"], "itemName": "A thing",
                                              "itemCategory": g["category"], "price": g["price"],
                                              "quantity": g["quantity"]}) for g in act.goods]}  # fmt: skip
        yield {"idVisit": None, "visitorId": act.visitor, "userId": act.user, "countryCode": "de",
               "referrerName": act.campaign, "actionDetails": [action]}  # fmt: skip


# Orders of shop systems, and a webhook of one's own


def shopify(act: Act) -> Json:
    return {
        "id": 9_000_000 + act.number, "name": f"#{act.number}", "email": act.user,
        "created_at": act.iso, "processed_at": act.iso, "financial_status": "paid",
        "total_price": str(act.total), "currency": act.currency, "total_tax": "1.50",
        "note": act.title, "source_name": "web", "billing_address": {"country_code": "DE"},
        "line_items": [known({"sku": g["sku"], "vendor": g["brand"], "price": g["price"],
                              "quantity": g["quantity"], "name": "A thing"}) for g in act.goods],
    }  # fmt: skip


def woocommerce(act: Act) -> Json:
    return {
        "id": act.number, "number": str(act.number), "order_key": f"wc_{act.number}",
        "status": ["processing", "pending", "completed", "failed"][act.number % 4],
        "currency": act.currency, "date_created_gmt": act.iso[:19], "total": act.total,
        "total_tax": "1.50", "customer_id": 0, "customer_note": act.title,
        "billing": {"email": act.user, "country": "DE"},
        "line_items": [known({"sku": g["sku"], "product_id": 5, "price": g["price"],
                              "quantity": g["quantity"], "name": "A thing"}) for g in act.goods],
    }  # fmt: skip


def send_orders(
    acts: list[Act], make: Callable[[Act], Json], name: str, header: str
) -> Iterator[Sent]:
    for act in acts:
        body = encoded(make(act))
        digest = hmac.new(SECRET.encode(), body, hashlib.sha256)
        said = base64.b64encode(digest.digest()).decode()
        if header == "x-hub-signature-256":
            said = f"sha256={digest.hexdigest()}"
        for _ in range(1 + (act.number % 5 == 0 and act.order != "undefined")):
            # A shop posts an order again when it changes.
            yield Sent(f"/v1/webhook/{name}", body, {header: said})


OWN_LAYOUT = """
name: till
columns:
  visitor_id: device.id
  user_id: {columns: member, pattern: ".+@.+"}
  event_time: {columns: at}
  event_type: what
  order_id: receipt
  order_value: {columns: cents, divide: 100}
  currency: {columns: money, constant: EUR}
events: {sold: purchase}
time_format: epoch_s
items:
  - columns: [basket]
    each: [purchase]
    fields: {item_id: sku, category: category, price: price, quantity: quantity}
"""


def till(act: Act) -> Json:
    return known({"device": {"id": act.visitor}, "member": act.user, "at": act.micros // 1_000_000,
                  "what": "sold", "receipt": act.order if act.order != "undefined" else None,
                  "cents": 2550, "money": act.currency, "note": act.title,
                  "basket": [known(g) for g in act.goods] or None})  # fmt: skip


def is_order(act: Act) -> bool:
    return act.kind == "purchase"


def is_from_device(act: Act) -> bool:
    return act.visitor is not None


def orders(make: Callable[[Act], Json], layout: str, name: str, header: str) -> Form:
    """Return the form of a webhook of orders."""
    return Form(layout, lambda a: send_orders(a, make, name, header), lambda a: map(make, a),
                is_order)  # fmt: skip


FORMS = {
    "Segment": Form("segment", lambda a: send_calls(a, False), lambda a: export_calls(a, False),
                    repeats=True),
    "RudderStack": Form("rudderstack", lambda a: send_calls(a, True),
                        lambda a: export_calls(a, True), repeats=True),
    "PostHog": Form("posthog", send_posthog, export_posthog, repeats=True),
    "Amplitude": Form("amplitude", send_amplitude, export_amplitude, repeats=True),
    "Mixpanel": Form("mixpanel", send_mixpanel, export_mixpanel, is_from_device, repeats=True),
    "GA4": Form("ga4", send_ga4, export_ga4, is_from_device),
    "Snowplow": Form("snowplow", send_snowplow, export_snowplow, repeats=True),
    "Matomo": Form("matomo", send_matomo, export_matomo),
    "Shopify": orders(shopify, "shopify", "shopify", "x-shopify-hmac-sha256"),
    "WooCommerce": orders(woocommerce, "woocommerce", "woocommerce", "x-wc-webhook-signature"),
    "own webhook": orders(till, "till.yaml", "till", "x-hub-signature-256"),
}  # fmt: skip
