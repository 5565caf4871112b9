"""The routes that trackers and shops post to: how each is read, finds its key and is answered."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from cartcast.errors import UsageError
from cartcast.events.layouts import find_layout
from cartcast.live.protocols import (
    Protocol,
    acknowledge,
    amplitude,
    cartcast,
    ga4,
    matomo,
    mixpanel,
    posthog,
    segment,
    snowplow,
    webhook,
)

__all__ = ["GIF", "HOT", "SNOWPLOW", "Hot", "Request", "is_snowplow", "webhooks"]


class Request(NamedTuple):
    """One request to a hot route, after its key and body were read.

    `scores` tells whether the key may see scores; without keys everybody may. `own` tells that it
    may see that of the device's own session. Of a `pixel` (a GET) the body is the query.
    """

    body: bytes
    query: dict[str, str]
    scores: bool
    pixel: bool = False
    own: bool = False


class Hot(NamedTuple):
    """A hot route.

    Attributes:
        scope: what the key must allow.
        protocol: how bodies are read.
        title: one line for people.
        key_in: finds the key in a body.
        pixel: reads the query of a GET, as if it were the body; None where there is only POST.
        reply: what the tool's own server would answer: (request, taken, set aside) -> body.
        secret: by which bodies are signed; then there is no key.
        tool: whose trackers send here, for people.
        assigns: answers with the arms of experiments.
        decides: answers with the decisions of activations.
    """

    scope: str
    protocol: Protocol | None
    title: str
    key_in: Callable[[bytes], str | None] | None = None
    pixel: Protocol | None = None
    reply: Callable[[Request, int, int], bytes] | None = None
    secret: str | None = None
    tool: str = "Cartcast"
    assigns: bool = False
    decides: bool = False


GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""An empty picture, for pixels."""
SNOWPLOW: Final = "/com.snowplowanalytics.snowplow/tp2"
_VERBOSE: Final = re.compile(rb"(?:^|&)verbose=1(?:&|$)").search
_IMAGE: Final = re.compile(rb"(?:^|&)img=1(?:&|$)").search
_VENDOR: Final = re.compile(r"/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+/[A-Za-z0-9_.-]+").fullmatch


def _segment(title: str) -> Hot:
    return Hot("ingest", segment.parse, title, segment.key_in)


def _pixel(kind: str) -> Hot:
    title = f"Take a {kind} call of a pixel of Segment or RudderStack"
    return Hot("ingest", None, title, segment.key_in_pixel, segment.pixel(kind))


def _posthog(title: str) -> Hot:
    return Hot("ingest", posthog.parse, title, posthog.key_in,
               reply=lambda *_: b'{"status":1}')  # fmt: skip


def _amplitude(_: Request, taken: int, __: int) -> bytes:
    return b'{"code":200,"events_ingested":%d}' % taken


def _mixpanel(
    protocol: Protocol, title: str, pixel: Protocol | None = None, detailed: bool = False
) -> Hot:
    """Return a route of Mixpanel, whose server says 1 to a form that does not ask for more."""

    def reply(request: Request, taken: int, _: int) -> bytes:
        body, query = request.body, request.query
        if _IMAGE(body):
            return GIF
        as_form = not detailed or b"data=" in body[:4096]
        if as_form and query.get("verbose") != "1" and not _VERBOSE(body):
            return b"1"
        return b'{"status":1,"error":null,"code":200,"num_records_imported":%d}' % taken

    return Hot("ingest", protocol, title, mixpanel.key_in, pixel, reply)


def _matomo(request: Request, taken: int, bad: int) -> bytes:
    if request.pixel:
        return GIF
    return b'{"status":"success","tracked":%d,"invalid":%d}' % (taken, bad)


_MATOMO = Hot(
    "ingest", matomo.parse, "Take requests of Matomo's trackers", matomo.key_in, matomo.parse,
    _matomo,
)  # fmt: skip
_BATCH = Hot(
    "ingest", amplitude.parse_either, "Take a batch of PostHog or Amplitude", posthog.key_in,
    reply=lambda _, taken, __: b'{"status":1,"code":200,"events_ingested":%d}' % taken,
)  # fmt: skip
_TRACK = _mixpanel(mixpanel.parse, "Take events of Mixpanel", mixpanel.parse)
_IMPORT = _mixpanel(mixpanel.parse, "Take past events of Mixpanel", mixpanel.parse, True)
_PEOPLE = _mixpanel(acknowledge, "Acknowledge profiles and groups of Mixpanel",
                    acknowledge)  # fmt: skip
_CAPTURE = _posthog("Take events of PostHog")
_FLAGS = Hot(
    "ingest", acknowledge, "Tell PostHog's libraries that there are no flags", posthog.key_in,
    reply=lambda *_: b'{"flags":{},"featureFlags":{},"errorsWhileComputingFlags":false}',
)  # fmt: skip

_TOOLS: Final[dict[str, str]] = {
    "/v1/events": "Cartcast", "/v1/score": "Cartcast", "/v1/assign": "Cartcast",
    "/v1/decide": "Cartcast",
    "/mp/collect": "GA4", "/com.snowplowanalytics": "Snowplow", "/i/v0/e": "PostHog",
    "/import": "Mixpanel", "/batch": "PostHog or Amplitude", "/capture": "PostHog",
    "/engage": "Mixpanel", "/e": "PostHog", "/flags": "PostHog", "/decide": "PostHog",
    "/2/": "Amplitude", "/track": "Mixpanel", "/groups": "Mixpanel", "/matomo.php": "Matomo",
    "/piwik.php": "Matomo", "/i": "Snowplow", "/": "Segment or RudderStack",
}  # fmt: skip
"""Beginning of a path -> the tool that it is of; the first that fits."""


def _tool_of(path: str) -> str:
    """Return whose trackers send to a hot route.

    >>> _tool_of("/i"), _tool_of("/i/v0/e/"), _tool_of("/v1/t")
    ('Snowplow', 'PostHog', 'Segment or RudderStack')
    """
    return next(tool for start, tool in _TOOLS.items() if path.startswith(start))


_ROUTES: Final[dict[str, Hot]] = {
    "/v1/events": Hot("ingest", cartcast.parse, "Take events in Cartcast's own form"),
    "/v1/batch": _segment("Take a batch of a Segment library"),
    "/v1/import": _segment("Take a batch of past calls"),
    "/v1/track": _segment("Take one Segment track call"),
    "/v1/page": _segment("Take one Segment page call"),
    "/v1/screen": _segment("Take one Segment screen call"),
    "/v1/identify": _segment("Take one Segment identify call"),
    "/v1/alias": _segment("Take one Segment alias call"),
    "/v1/group": _segment("Take one Segment group call"),
    "/v1/b": _segment("Take a batch of Segment's browser library"),
    "/v1/t": _segment("Take a track call of the browser library"),
    "/v1/p": _segment("Take a page call of the browser library"),
    "/v1/s": _segment("Take a screen call of the browser library"),
    "/v1/i": _segment("Take an identify call of the browser library"),
    "/v1/a": _segment("Take an alias call of the browser library"),
    "/v1/g": _segment("Take a group call of the browser library"),
    "/v1/m": _segment("Acknowledge metrics of the browser library"),
    "/beacon/v1/batch": _segment("Take a batch of RudderStack's beacon"),
    "/v1/pixel/track": _pixel("track"),
    "/v1/pixel/page": _pixel("page"),
    "/pixel/v1/track": _pixel("track"),
    "/pixel/v1/page": _pixel("page"),
    "/mp/collect": Hot("ingest", ga4.parse, "Take events of GA4's Measurement Protocol"),
    SNOWPLOW: Hot(
        "ingest", snowplow.parse, "Take events of a Snowplow tracker", snowplow.key_in
    ),
    "/i": Hot(
        "ingest", None, "Take an event of a Snowplow pixel", snowplow.key_in_pixel,
        snowplow.parse_pixel,
    ),
    "/batch": _BATCH,
    "/batch/": _BATCH,
    **dict.fromkeys(
        ("/capture", "/capture/", "/e", "/e/", "/i/v0/e", "/i/v0/e/"), _CAPTURE
    ),
    **dict.fromkeys(("/flags", "/flags/", "/decide", "/decide/"), _FLAGS),
    "/2/httpapi": Hot(
        "ingest", amplitude.parse, "Take events of Amplitude", posthog.key_in, reply=_amplitude
    ),
    **dict.fromkeys(("/track", "/track/"), _TRACK),
    **dict.fromkeys(("/import", "/import/"), _IMPORT),
    **dict.fromkeys(("/engage", "/engage/", "/groups", "/groups/"), _PEOPLE),
    **dict.fromkeys(("/matomo.php", "/piwik.php"), _MATOMO),
    "/v1/assign": Hot(
        "ingest", None, "Tell the arms of an id, and note that they were seen", assigns=True
    ),
    "/v1/decide": Hot(
        "page", None, "Tell what activations say of an open session, and count it", decides=True
    ),
    "/v1/score": Hot("score", None, "Score feature rows or finished sessions, keeping nothing"),
}  # fmt: skip
HOT: Final = {path: hot._replace(tool=_tool_of(path)) for path, hot in _ROUTES.items()}


def is_snowplow(path: str) -> bool:
    """Tell whether a path is one that a Snowplow tracker may be told to post to.

    >>> is_snowplow("/com.acme/track"), is_snowplow("/v1/track")
    (True, False)
    """
    return _VENDOR(path) is not None


def webhooks(named: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Hot]:
    """Return the routes of webhooks: Shopify's and WooCommerce's orders, and those that are named.

    A secret in the environment, `CARTCAST_WEBHOOK_SECRET_` and the name in capitals, signs the
    bodies; without it a key is asked for.

    Args:
        named: name of a webhook -> name or YAML file of its layout.
        environment: variables.

    Raises:
        UsageError: a name has other characters than letters, digits, `_` and `-`, or a layout is
            not for streams.
        NotFoundError: a layout's file is not there.
    """
    found = {}
    for name, layout in {"shopify": "shopify", "woocommerce": "woocommerce", **named}.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise UsageError(f"--webhook: a name has letters, digits, _ and -, got {name!r}.")
        variable = f"CARTCAST_WEBHOOK_SECRET_{name.upper().replace('-', '_')}"
        found[f"/v1/webhook/{name}"] = Hot(
            "ingest", webhook.Webhook(name, find_layout(layout)).parse,
            f"Take what is posted to the webhook {name}", secret=environment.get(variable) or None,
            tool=f"Webhook {name}",
        )  # fmt: skip
    return found
