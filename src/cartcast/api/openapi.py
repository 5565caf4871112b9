"""The OpenAPI document: the hot routes described beside those that FastAPI knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cartcast.activation.ask import Decide, Decided
from cartcast.api.hot import ScoreBody, Scores
from cartcast.api.trackers import Hot
from cartcast.live.arms import Arms, Assign
from cartcast.live.event import Event
from cartcast.live.problems import CONTENT_TYPE
from cartcast.live.protocols import segment
from cartcast.live.protocols.cartcast import Batch
from cartcast.live.service import Answer, Answers

__all__ = ["describe"]

_REFUSALS = {
    "400": "the body cannot be read",
    "401": "a key is needed",
    "403": "the key lacks the scope",
    "408": "the body came too slowly",
    "413": "the body is too large",
    "415": "the content type is not supported",
    "422": "a field breaks its rule; `field` and `rule` name them",
    "429": "too many requests; see Retry-After",
    "503": "the state cannot be kept now; see Retry-After",
}
_PROBLEM = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
        "rule": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
_EVENT = {
    "event_id": "e-1",
    "visitor_id": "v-1",
    "event_type": "view_item",
    "event_time": "2026-05-04T10:15:00Z",
    "item_id": "sku-7",
    "category": "shoes",
    "price": 59.9,
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "/v1/events": {
        "one": {"summary": "One event", "value": _EVENT},
        "batch": {"summary": "Several", "value": {"events": [_EVENT]}},
    },
    "segment": {
        "track": {
            "summary": "A track call",
            "value": {
                "type": "track",
                "event": "Product Viewed",
                "anonymousId": "v-1",
                "messageId": "m-1",
                "timestamp": "2026-05-04T10:15:00Z",
                "properties": {"product_id": "sku-7", "price": 59.9},
            },
        }
    },
    "/mp/collect": {
        "view": {
            "summary": "A product view",
            "value": {
                "client_id": "1.2",
                "events": [
                    {
                        "name": "view_item",
                        "params": {"session_id": "7", "items": [{"item_id": "sku-7"}]},
                    }
                ],
            },
        }
    },
    "/com.snowplowanalytics.snowplow/tp2": {
        "view": {
            "summary": "A page view",
            "value": {
                "schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4",
                "data": [{"e": "pv", "eid": "e-1", "duid": "v-1", "url": "https://shop/p"}],
            },
        }
    },
    "/v1/assign": {
        "all": {"summary": "All that run", "value": {"visitor_id": "v-1"}},
        "one": {
            "summary": "One, looking ahead",
            "value": {"unit": "v-1", "experiments": ["free-shipping"], "expose": False},
        },
        "later": {
            "summary": "Told later",
            "value": {"visitor_id": "v-1", "at": "2026-03-02T08:00:00Z"},
        },
    },
    "/v1/decide": {
        "all": {
            "summary": "All, with who agreed",
            "value": {"visitor_id": "v-1", "columns": {"newsletter": "yes"}},
        },
        "ahead": {
            "summary": "One, looking ahead",
            "value": {"visitor_id": "v-1", "activations": ["rescue-cart"], "keep": False},
        },
    },
    "/v1/score": {"session": {"summary": "A finished session", "value": {"sessions": [[_EVENT]]}}},
}


def describe(document: dict[str, Any], routes: Mapping[str, Hot], secured: bool) -> dict[str, Any]:
    """Return `document` with the hot routes, problems, examples and keys added."""
    types = [Event, Batch, Answer, Answers, ScoreBody, Scores, Assign, Arms, Decide, Decided]
    references, schemas = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(types, references, strict=True))
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update({**schemas, "Problem": _PROBLEM})
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].update(_refusals("401", "403", "404", "422", "429", "503"))
    for path, hot in routes.items():
        if path.endswith("/"):
            continue  # the same without its slash
        methods: dict[str, Any] = {}
        if hot.protocol is not None or hot.pixel is None:
            methods["post"] = _operation(path, hot, by_type)
        if hot.pixel is not None:
            methods["get"] = _pixel(path, hot)
        document["paths"][path] = methods
    if secured:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        }
        document["security"] = [{"bearer": []}, {"header": []}]
    return document


def _refusals(*codes: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    wanted = {"404": "not found", **_REFUSALS}
    return {c: {"description": wanted[c], "content": {CONTENT_TYPE: schema}} for c in codes}


def _operation(path: str, hot: Hot, by_type: dict[Any, Any]) -> dict[str, Any]:
    if path == "/v1/events":
        body: Any = {"anyOf": [by_type[Event], by_type[Batch]]}
    elif path == "/v1/score":
        body = by_type[ScoreBody]
    elif hot.assigns or hot.decides:
        body = by_type[Assign if hot.assigns else Decide]
    else:
        body = {"type": "object"}
    segments = hot.protocol is segment.parse
    examples = _EXAMPLES["segment"] if segments else _EXAMPLES.get(path, {})
    own = {"/v1/score": Scores, "/v1/assign": Arms, "/v1/decide": Decided}
    answer = {"anyOf": [by_type[Answers], by_type[Answer]]}
    if path in own:
        answer = by_type[own[path]]
    tag = path.removeprefix("/v1/") if path in (*own, "/v1/events") else "trackers"
    operation: dict[str, Any] = {
        "summary": hot.title,
        "tags": [tag],
        "operationId": "post" + path.replace("/", "_").replace(".", "_"),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": examples}},
        },
        "responses": {
            "200": {
                "description": "taken, and durable as the server was told",
                "content": {"application/json": {"schema": answer}},
            },
            **_refusals(*_REFUSALS, *(("404",) if hot.assigns or hot.decides else ())),
        },
    }
    if path == "/v1/events":
        operation["parameters"] = [
            _parameter("every", {"type": "boolean"}, "score after every event of a batch"),
            _parameter("features", {"type": "boolean"}, "return the features too"),
            _parameter(
                "reasons",
                {"type": "integer", "minimum": 0, "maximum": 10},
                "return that many reasons",
            ),
            _ARMS,
            _parameter("expose", {"type": "boolean"}, "with arms: they count as seen"),
            _parameter("decide", {"type": "boolean"}, "return what activations say, and count it"),
        ]
    if path == "/v1/score":
        operation["parameters"] = [_ARMS]
    return operation


def _pixel(path: str, hot: Hot) -> dict[str, Any]:
    picture = {"image/gif": {"schema": {"type": "string", "format": "binary"}}}
    return {
        "summary": hot.title,
        "tags": ["trackers"],
        "operationId": "get" + path.replace("/", "_").replace(".", "_"),
        "responses": {"200": {"description": "an empty picture", "content": picture},
                      **_refusals(*_REFUSALS)},
    }  # fmt: skip


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_ARMS = _parameter("arms", {"type": "boolean"}, "return the arms of running experiments")
