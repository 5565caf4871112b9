"""Webhooks: any JSON that a shop system posts, read by a layout; orders count once.

https://shopify.dev/docs/apps/build/webhooks,
https://woocommerce.com/document/webhooks/. A shop posts an order again whenever it changes: of the
events of one order each kind counts once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Final

from cartcast.events.layouts import Layout
from cartcast.live.event import MAX_ID, Event
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Parsed
from cartcast.live.protocols.fields import Fields, collect, decode, decode_list
from cartcast.live.protocols.mapped import Mapping

__all__ = ["PING", "Webhook", "is_signed"]

PING: Final = re.compile(rb"webhook_id=\d{1,20}").fullmatch
"""What WooCommerce posts, unsigned, to see whether anybody answers."""


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Tell whether a body was signed (HMAC of SHA-256, as base64 or `sha256=` and hex digits).

    The comparison takes the same time wherever the difference is.

    >>> is_signed(b"{}", "sha256=" + hmac.digest(b"s", b"{}", "sha256").hex(), "s")
    True
    """
    digest = hmac.digest(secret.encode(), body, hashlib.sha256)
    plain = digest.hex() if signature.startswith("sha256=") else base64.b64encode(digest).decode()
    given = signature.removeprefix("sha256=").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, plain.encode())


class Webhook:
    """Reads what is posted to one webhook: an object, or a list of objects."""

    def __init__(self, name: str, layout: Layout) -> None:
        self.name = name
        self._mapping = Mapping(layout)

    def parse(self, body: bytes, context: Context) -> Parsed:
        """Return the events of a body.

        Raises:
            Problem: 400 for a broken body, 413 for too many, 422 when nothing in it is usable.
        """
        if PING(body):
            return Parsed([], [], ignored=1)
        listed = body.lstrip().startswith(b"[")
        whole = decode_list(body, "records") if listed else decode(body)
        items = whole.items("records", context.max_events) if listed else [whole]
        return collect(items, self._events, context, "records")

    def _events(self, item: Fields) -> Iterator[Event | Problem]:
        for place, found in enumerate(self._mapping.events(item.data, item.where)):
            if isinstance(found, Event) and found.event_id is None and found.order_id:
                told = f"{self.name}:{found.event_type}:{place}:{found.order_id}"
                found.event_id = told[:MAX_ID]
            yield found
