"""Addresses as advertising platforms compare them: normalised, then hashed with SHA-256.

E-mail: trimmed, lower case. Phone: E.164; never guessed from a number without its country.
Sources: https://developers.google.com/google-ads/api/docs/remarketing/audience-segments/customer-match/get-started
(phone with its plus), https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences
(digits alone).
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["email_of", "hashed", "phone_of"]

_EMAIL = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_MARKS = re.compile(r"[\s().\-/\u00a0\u2010-\u2015\u200b-\u200f\u202a-\u202e]")


def email_of(value: object) -> str | None:
    """Return an e-mail address in its normal form; None where it is none.

    >>> email_of(" John_Smith@gmail.com "), email_of("john")
    ('john_smith@gmail.com', None)
    """
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if len(text) <= 254 and _EMAIL.fullmatch(text) else None


def phone_of(value: object) -> str | None:
    """Return a phone number as E.164; None where it does not begin with + and a country.

    >>> phone_of("+44 (844) 412-4653"), phone_of("0844 412 4653")
    ('+448444124653', None)
    """
    text = _MARKS.sub("", value) if isinstance(value, str) else ""
    return text if _PHONE.fullmatch(text) else None


def hashed(address: str | None) -> str | None:
    """Return the SHA-256 of an address in lower-case hex digits.

    The example of Meta's documentation:

    >>> hashed("john_smith@gmail.com")
    '62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f'
    """
    return None if address is None else hashlib.sha256(address.encode()).hexdigest()
