"""Bodies that are no JSON: queries, forms, and JSON in a field of a form, plain or as base64."""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import parse_qs

from cartcast.live.problems import Problem

__all__ = ["MAX_FIELDS", "fields_of", "json_in"]

MAX_FIELDS: Final = 200
"""Fields of one form or query."""


def fields_of(form: bytes) -> dict[str, str]:
    """Return a form's (or a query's) last value of each name.

    Raises:
        Problem: 413 for too many fields.

    >>> fields_of(b"e=pv&page=a+b%20c")
    {'e': 'pv', 'page': 'a b c'}
    """
    try:
        # Bytes that are no text stay apart from all text, and cost their event alone.
        text, how = form.decode("utf-8", "surrogateescape"), "surrogateescape"
        found = parse_qs(text, errors=how, max_num_fields=MAX_FIELDS)
    except ValueError:
        rule = f"at most {MAX_FIELDS} fields"
        raise Problem(413, f"a form must have {rule}", field="body", rule=rule) from None
    return {name: values[-1] for name, values in found.items()}


def json_in(body: bytes, name: str = "data") -> bytes:
    """Return the JSON of a body: itself, or what a form's field holds, plain or as base64.

    Raises:
        Problem: 400 when the field holds neither.

    >>> json_in(b'{"a": 1}'), json_in(b"data=eyJhIjogMX0%3D&verbose=1"), json_in(b"eyJhIjogMX0")
    (b'{"a": 1}', b'{"a": 1}', b'{"a": 1}')
    """
    if body[:1] in (b"{", b"["):
        return body
    if b"=" in body and (f"{name}=".encode() in body[:4096]):
        text = fields_of(body).get(name, "").encode("utf-8", "surrogateescape")
    else:
        text = body.strip()
    if not text or text[:1] in (b"{", b"["):
        return text
    try:
        return base64.b64decode(text.replace(b"-", b"+").replace(b"_", b"/") + b"==")
    except binascii.Error as error:
        raise Problem(400, f"{name} must be JSON, or its base64", field=name) from error
