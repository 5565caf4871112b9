"""Snowplow's tracker protocol: `POST /com.snowplowanalytics.snowplow/tp2`, and the pixel `GET /i`.

https://docs.snowplow.io/docs/events/going-deeper/http-requests/. An event is given the names of the
canonical event, as the enrichment does, and the batch layout reads it. What enrichment adds from
elsewhere (country, device, kind of referrer) is not on the wire. The key may be the tracker's
application id (`aid`), since its emitters cannot send headers.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from cartcast.events.builtin import LAYOUTS
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode
from cartcast.live.protocols.forms import fields_of
from cartcast.live.protocols.mapped import Mapping

__all__ = ["key_in", "key_in_pixel", "parse", "parse_pixel"]

_MAPPING = Mapping(LAYOUTS["snowplow"])
_EVENTS: Final = {"pv": "page_view", "pp": "page_ping", "se": "struct", "tr": "transaction",
                  "ti": "transaction_item"}  # fmt: skip
_NAMES: Final = {
    "eid": "event_id", "uid": "user_id", "sid": "domain_sessionid", "url": "page_url",
    "se_ca": "se_category", "se_ac": "se_action", "se_la": "se_label", "se_pr": "se_property",
    "se_va": "se_value", "tr_id": "tr_orderid", "tr_tt": "tr_total", "tr_tx": "tr_tax",
    "tr_sh": "tr_shipping", "tr_cu": "tr_currency", "ti_id": "ti_orderid", "ti_sk": "ti_sku",
    "ti_nm": "ti_name", "ti_ca": "ti_category", "ti_pr": "ti_price", "ti_qu": "ti_quantity",
    "ti_cu": "ti_currency",
}  # fmt: skip
"""Name on the wire -> name in the canonical event."""
_MARKS: Final = {"utm_medium": "mkt_medium", "utm_campaign": "mkt_campaign"}
_SCHEMA = re.compile(r"iglu:([\w.-]+)/([\w.-]+)/jsonschema/(\d+)").match


class _Aid(msgspec.Struct):
    aid: str | None = None


class _Keyed(msgspec.Struct):
    data: list[_Aid] = []


_KEYED = msgspec.json.Decoder(_Keyed)
_KEY = re.compile(rb'"aid"\s*:\s*"([^"\\]{1,256})"').search


def key_in(body: bytes) -> str | None:
    """Return the first event's application id, reading nothing else.

    >>> key_in(b'{"data": [{"e": "pv", "aid": "k"}]}')
    'k'
    """
    try:
        data = _KEYED.decode(body).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # One broken event must not cost the others their key.
        found = _KEY(body)
        return found[1].decode("latin-1") if found else None
    return data[0].aid if data else None


def key_in_pixel(query: bytes) -> str | None:
    """Return the application id of a pixel's query.

    >>> key_in_pixel(b"e=pv&aid=k")
    'k'
    """
    return fields_of(query).get("aid")


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a payload.

    Raises:
        Problem: 400 for a broken body, 422 naming field and rule when nothing in it is usable.
    """
    whole = decode(body)
    schema = whole.text("schema") or ""
    if "/payload_data/" not in schema:
        raise whole.refuse("schema", "must be an iglu payload_data schema", schema)
    items = whole.items("data", context.max_events)
    return collect(items, lambda item: _events(item, context.received), context, "data")


def parse_pixel(query: bytes, context: Context) -> Parsed:
    """Return the event of a pixel's query.

    Raises:
        Problem: 422 naming field and rule.
    """
    item = Fields(fields_of(query), doubtful=True)
    return collect([item], lambda item: _events(item, context.received), context, "i", True)


def _events(item: Fields, received: int) -> Iterator[Event | Problem]:
    kind = item.text("e", longest=8)
    data = item.data
    record: dict[str, Any] = {known: data[name] for name, known in _NAMES.items() if name in data}
    record["domain_userid"] = data.get("duid") or data.get("nuid") or data.get("tnuid")
    record["dvce_created_tstamp"] = data.get("ttm") or data.get("dtm")
    record["event_name"] = _EVENTS.get(kind or "")
    _add_page(record)
    if kind == "ue":
        schema, told = _described(_json(item, "ue_pr", "ue_px").data.get("data"))
        record["event_name"] = schema.partition("/")[0]
        record[f"unstruct_event_{schema.partition('/')[2]}"] = told
    elif kind not in _EVENTS:
        raise item.refuse("e", "must be one of pv, pp, se, ue, tr, ti", kind)
    if item.has("co", "cx"):
        contexts = _json(item, "co", "cx").data.get("data")
        for entity in contexts if isinstance(contexts, list) else ():
            schema, told = _described(entity)
            record.setdefault(f"contexts_{schema.partition('/')[2]}", []).append(told)
    return _MAPPING.events(record, item.where, item.moment("stm"), received)


def _add_page(record: dict[str, Any]) -> None:
    """Add what enrichment reads in the page's address: its path, and its campaign."""
    try:
        address = urlsplit(record.get("page_url") or "")
        marks = parse_qs(address.query, max_num_fields=100)
    except (ValueError, AttributeError, TypeError):
        return
    record["page_urlpath"] = address.path
    record |= {known: marks[name][0] for name, known in _MARKS.items() if name in marks}


def _described(value: Any) -> tuple[str, Any]:
    """Return a self-describing object's name, a slash and its column, and what it says."""
    schema, told = (value.get("schema"), value.get("data")) if isinstance(value, dict) else ("", {})
    found = _SCHEMA(schema) if isinstance(schema, str) else None
    if found is None:
        return "self_describing/unknown", told
    vendor, name, model = found.groups()
    plain = re.sub(r"[.-]|(?<=[a-z])(?=[A-Z])", "_", f"{vendor}_{name}").lower()
    return f"{name}/{plain}_{model}", told


def _json(item: Fields, plain: str, encoded: str) -> Fields:
    """Return the JSON object under `plain`, or base64url-encoded under `encoded`."""
    text = item.text(plain, longest=65_536)
    name = plain
    data: Any
    try:
        if text is None:
            name = encoded
            text = item.text(encoded, longest=65_536)
            if text is None:
                raise item.refuse(plain, f"or {encoded} must be given")
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        else:
            raw = text.encode()
        data = msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError, binascii.Error) as error:
        raise item.refuse(name, "must be a JSON object") from error
    return Fields(data, f"{item.where}{name}.")
