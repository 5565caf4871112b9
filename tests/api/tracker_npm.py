"""Libraries of npm, unchanged: those for Node.js by `npm/drive.cjs`, those for browsers in Chromium.

Their lines are as `tracker_libraries` has them: the tool's export, written by hand.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import cartcast_test_tracker_browsers as browsers
from cartcast_test_tracker_libraries import (
    SHOP,
    Library,
    amplitude_lines,
    batch_lines,
    mixpanel_lines,
    snowplow_lines,
)

__all__ = ["BROWSERS", "NODE"]

Json = dict[str, Any]
NPM = Path(__file__).parent / "npm"
_ITEM = ("itemSKU", "itemName", "itemCategory", "price", "quantity")


def _installed(package: str) -> str | None:
    told = NPM / "node_modules" / package / "package.json"
    return str(json.loads(told.read_text())["version"]) if told.is_file() else None


def _node(package: str, url: str, key: str, _: Any) -> None:
    command = ["node", str(NPM / "drive.cjs"), package, url, key, json.dumps(SHOP)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _browser(page: browsers.Page, url: str, key: str, enough: Callable[[], bool]) -> None:
    browsers.drive(page, url, key, SHOP, enough)


def segment_lines(body: Any, _: float) -> list[Json]:
    found: list[Json] = body.get("batch", [body])
    return found


def posthog_lines(body: Any, _: float) -> list[Json]:
    return batch_lines(body) if "batch" in body else []


def matomo_lines(body: Any, received: float) -> list[Json]:
    """Report each request of the library as a visit of one action."""
    asked = body.get("requests") or [body]
    found = []
    for one in asked:
        hit = {k: v[0] for k, v in parse_qs(one[1:]).items()} if isinstance(one, str) else one
        action: Json = {"url": hit["url"], "timestamp": float(hit.get("cdt", received))}
        if hit.get("idgoal") == "0":
            items = []
            for told in json.loads(hit["ec_items"]):
                item = dict(zip(_ITEM, told, strict=True))
                if isinstance(item["itemCategory"], list):
                    item["itemCategory"] = item["itemCategory"][0]
                items.append(item)
            kind = "ecommerceOrder" if "ec_id" in hit else "ecommerceAbandonedCart"
            action |= {"type": kind, "revenue": hit["revenue"], "itemDetails": items}
            if "ec_id" in hit:
                action["orderId"] = hit["ec_id"]
        elif "_pks" in hit:
            action |= {"type": "action", "productViewSku": hit["_pks"],
                       "productViewName": hit["_pkn"], "productViewPrice": hit["_pkp"],
                       "productViewCategories": [hit["_pkc"]]}  # fmt: skip
        else:
            action["type"] = "event" if "e_c" in hit else "action"
        found.append({"visitorId": hit["_id"], "userId": hit.get("uid"), "actionDetails": [action]})
    return found


NODE = tuple(
    Library(package, _installed(package), layout, partial(_node, package), lines)
    for package, layout, lines in (
        ("@segment/analytics-node", "segment", segment_lines),
        ("@rudderstack/rudder-sdk-node", "segment", segment_lines),
        ("posthog-node", "posthog", batch_lines),
        ("@amplitude/analytics-node", "amplitude", amplitude_lines),
        ("mixpanel", "mixpanel", mixpanel_lines),
        ("matomo-tracker", "matomo", matomo_lines),
        ("@snowplow/node-tracker", "snowplow", snowplow_lines),
    )
)
BROWSERS = tuple(
    Library(
        page.package + (", beacon" if "beacon" in name else ""),
        page.version if browsers.CHROMIUM else None,
        layout, partial(_browser, page), lines, events,
    )
    for (name, page), (layout, lines, events) in zip(
        browsers.PAGES.items(),
        (
            ("segment", segment_lines, 13),
            ("rudderstack", segment_lines, 13),
            ("rudderstack", segment_lines, 13),
            ("posthog", posthog_lines, 14),
            ("amplitude", amplitude_lines, 13),
            ("mixpanel", mixpanel_lines, 12),
            ("snowplow", snowplow_lines, 12),
        ),
        strict=True,
    )
)  # fmt: skip
