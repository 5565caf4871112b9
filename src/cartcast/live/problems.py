"""Problem documents (RFC 9457): what a client did wrong, naming the field and the rule.

Every refusal of the live service is one of these, as `application/problem+json`; see
https://www.rfc-editor.org/rfc/rfc9457.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["CONTENT_TYPE", "Problem", "from_decoding"]

CONTENT_TYPE = "application/problem+json"

_TITLES = {
    400: "The body cannot be read",
    401: "A key is needed",
    403: "The key does not allow this",
    404: "Not found",
    405: "Method not allowed",
    408: "The body came too slowly",
    409: "The states do not match",
    411: "The length is needed",
    413: "The body is too large",
    415: "The content type is not supported",
    422: "A field breaks its rule",
    429: "Too many requests",
    431: "The headers are too large",
    500: "Unexpected error",
    503: "Not ready",
}


class Problem(Exception):  # noqa: N818 - the name of RFC 9457
    """One refusal: HTTP status, the rule with the value got, and the field it is about.

    `headers` are added to the answer (for example `Retry-After`).

    >>> Problem(422, "price must be >= 0, got -1.0", field="price").document()["field"]
    'price'
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.rule = rule
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """What happened, without what was got."""
        return _TITLES.get(self.status, "Refused")

    def document(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the problem document as plain data."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        named = {"field": self.field, "rule": self.rule, "request_id": request_id}
        return document | {name: value for name, value in named.items() if value is not None}

    def encode(self, request_id: str | None = None) -> bytes:
        """Return the problem document as JSON."""
        return msgspec.json.encode(self.document(request_id))


_WHERE = re.compile(r"^(?P<rule>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED = re.compile(r"(?:unknown|required) field `([^`]{1,64})`")


def from_decoding(error: Exception, prefix: str = "") -> Problem:
    """Turn an error of the decoder into a problem: 422 naming the field, 400 for a broken body.

    >>> try:
    ...     msgspec.json.decode(b'{"price": "x"}', type=dict[str, float])
    ... except msgspec.ValidationError as error:
    ...     from_decoding(error).status
    422
    """
    if isinstance(error, UnicodeDecodeError):
        detail = f"the body must be UTF-8, got the byte 0x{error.object[error.start]:02x}"
        return Problem(400, detail + f" at position {error.start}", rule="UTF-8")
    if isinstance(error, RecursionError):
        return Problem(400, "the body is nested too deeply", rule="nesting")
    if not isinstance(error, msgspec.ValidationError):
        return Problem(400, f"the body must be valid JSON: {error}", rule="JSON")
    match = _WHERE.match(str(error))
    assert match is not None
    rule = match["rule"]
    path = (match["path"] or "$").removeprefix("$").lstrip(".")
    if named := _NAMED.search(rule):
        path = f"{path}.{named[1]}" if path else named[1]
    field = f"{prefix}{path}".rstrip(".") or "body"
    return Problem(422, f"{field}: {rule}", field=field, rule=rule)
