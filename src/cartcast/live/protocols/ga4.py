"""GA4 Measurement Protocol: `POST /mp/collect?measurement_id=...&api_secret=KEY`.

https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference. The session
is `params.session_id` of the client; without it, sessions are made by the gap. The protocol has
no event id, so a body sent twice is counted twice unless `params.event_id` is given.
"""

from __future__ import annotations

from collections.abc import Iterator

from cartcast.events.builtin.google import MEASUREMENT
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode
from cartcast.live.protocols.mapped import Mapping

__all__ = ["parse"]

MAX_EVENTS = 25
_MAPPING = Mapping(MEASUREMENT)


def parse(body: bytes, context: Context) -> Parsed:
    """Return the events of a body.

    Raises:
        Problem: 400 for a broken body, 422 naming field and rule when nothing in it is usable.
    """
    whole = decode(body)
    client = whole.text("client_id", "app_instance_id", longest=200)
    if client is None:
        raise whole.refuse("client_id", "must be given")
    base = {
        "user_pseudo_id": client,
        "user_id": whole.data.get("user_id"),
        "device": whole.data.get("device"),
        "geo": {"country": whole.nested("user_location").text("country_id")},
    }
    time = whole.data.get("timestamp_micros")

    def read(item: Fields) -> Iterator[Event | Problem]:
        word = item.text("name", longest=64)
        if word is None:
            raise item.refuse("name", "must be given")
        params = item.nested("params").data
        record = base | {
            "event_name": word,
            "event_timestamp": item.data.get("timestamp_micros") or time,
            "event_params": params,
            "items": params.get("items"),
        }
        return _MAPPING.events(record, item.where)

    return collect(whole.items("events", MAX_EVENTS), read, context, "events")
