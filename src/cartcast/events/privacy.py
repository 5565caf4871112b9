"""Pseudonyms: ids of people are replaced by a keyed hash on entry, before anything is written.

HMAC-SHA256 of the column and the id, cut to 128 bits, in hex, by a key that scrypt makes of the
one in the environment: names cannot be tried out without it, and trying keys out is slow. With the
same key a visitor has the same pseudonym in every file, so that files and orders still join.
Sources: RFC 2104, https://doi.org/10.17487/RFC2104, truncation as in its section 5; RFC 7914,
https://doi.org/10.17487/RFC7914.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import duckdb

from cartcast.errors import NotTrustedError, UsageError, did_you_mean
from cartcast.events.key_strength import LEAST_KEY, weakness
from cartcast.events.sql import identifier, literal
from cartcast.events.telling import search_columns, searched, telling_flags

__all__ = [
    "KEY_VARIABLE",
    "Privacy",
    "hidden_columns",
    "hide_typed",
    "privacy_from",
    "privacy_of",
    "require_same_key",
]

KEY_VARIABLE = "CARTCAST_PRIVACY_KEY"
"""Environment variable that holds the key; it is read from nowhere else and written nowhere."""

SCHEME = 2
"""How pseudonyms are made; 1 knew neither the column nor the slow key."""

DOMAINS = {"visitor_id": "person", "user_id": "person"}
"""Columns whose pseudonyms join: where no device is known, the login stands for the visitor."""

_BLOCK = 64
_DIGITS = 32
PEOPLE = ("visitor_id", "user_id")
ADVICE = (
    'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))", and keep it '
    "where the data are not."
)
_OWN_WORDS = r"^a quote opened here (takes in \d+ more lines|is not closed)$"


@dataclass(frozen=True)
class Privacy:
    """Which columns are replaced, and the key.

    Attributes:
        columns: names of columns of the log; `visitor_id` unless others are asked for.
        key: never shown.

    >>> p = Privacy(("visitor_id",), b"a key of sixteen bytes or more")
    >>> p.name("u1"), p.name(None), p.name("u1", "order_id") == p.name("u1")
    ('3bd473d6f80248efa312194351ee9c17', None, False)
    """

    columns: tuple[str, ...]
    key: bytes = field(repr=False)

    @property
    def people(self) -> tuple[str, ...]:
        """The columns, the login beside the visitor: both name the same person."""
        beside = ("user_id",) if "visitor_id" in self.columns else ()
        return tuple(dict.fromkeys((*self.columns, *beside)))

    @property
    def root(self) -> bytes:
        """The 32 bytes that ids are hashed with: slow to make, so that keys are slow to try."""
        return _root(self.key)

    @property
    def fingerprint(self) -> str:
        """Tell keys apart without telling the key."""
        return hmac.digest(self.root, b"\0cartcast key", "sha256").hex()[:16]

    def name(self, value: str | None, column: str = "visitor_id") -> str | None:
        """Return the pseudonym of one id of a column; null stays null."""
        if value is None:
            return None
        told = (_prefix(column) + value).encode()
        return hmac.digest(self.root, told, "sha256").hex()[:_DIGITS]

    def as_dict(self) -> dict[str, Any]:
        """Return what a log and a run say of it."""
        return {"columns": list(self.columns), "key": self.fingerprint, "scheme": SCHEME}

    def declare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the function `pseudonym(text)` in the engine, so that no other SQL has the key.

        What is hashed begins with the column (`_prefix`).
        """
        key = self.root.ljust(_BLOCK, b"\0")
        inner, outer = (bytes(b ^ pad for b in key).hex() for pad in (0x36, 0x5C))
        con.execute(
            f"CREATE OR REPLACE TEMP MACRO pseudonym(x) AS substr(sha256(unhex('{outer}') || "
            f"unhex(sha256(unhex('{inner}') || encode(x)))), 1, {_DIGITS})"
        )


@lru_cache(maxsize=8)
def _root(key: bytes) -> bytes:
    return hashlib.scrypt(
        key, salt=b"cartcast pseudonyms 2", n=1 << 15, r=8, p=1, maxmem=1 << 26, dklen=32
    )


def _prefix(column: str) -> str:
    """Return what stands before an id when it is hashed; no prefix begins another."""
    domain = DOMAINS.get(column, column)
    return f"{len(domain)}:{domain}:"


def _pseudonym(column: str, text: str) -> str:
    """Return SQL of the pseudonym of a text in a column."""
    return f"pseudonym({literal(_prefix(column))} || {text})"


def privacy_from(
    settings: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Privacy | None:
    """Return what `privacy:` of a project asks for; None when it asks for nothing.

    Raises:
        UsageError: the setting is wrong, or the key is missing or too weak.
    """
    if not settings:
        return None
    for name in settings:
        if name != "pseudonymise":
            raise UsageError(f"privacy: unknown {name!r}.{did_you_mean(name, ['pseudonymise'])}")
    asked = settings["pseudonymise"]
    columns = [asked] if isinstance(asked, str) else asked
    if not isinstance(columns, list | tuple) or not all(isinstance(c, str) for c in columns):
        raise UsageError(f"privacy: pseudonymise must name columns of the log, got {asked!r}.")
    return privacy_of(columns, environment)


def privacy_of(
    columns: Sequence[str], environment: Mapping[str, str] | None = None
) -> Privacy | None:
    """Return the replacement of `columns` with the key of the environment; None for no column.

    Raises:
        UsageError: the key is missing or too weak.
    """
    if not columns:
        return None
    told = os.environ if environment is None else environment
    key = told.get(KEY_VARIABLE, "")
    if not key:
        raise UsageError(
            f"this project pseudonymises {', '.join(columns)}: set the key in the environment "
            f"variable {KEY_VARIABLE} (at least {LEAST_KEY} characters). {ADVICE}"
        )
    if weak := weakness(key):
        raise UsageError(f"{KEY_VARIABLE}: the key {weak}. {ADVICE}")
    return Privacy(tuple(dict.fromkeys(columns)), key.encode())


def require_same_key(shown: str, told: Mapping[str, Any] | None, key: str | None) -> None:
    """Refuse a log (or run) whose key is another: the same visitor would have two names.

    Raises:
        NotTrustedError: the fingerprints differ, or it was made by another scheme.
    """
    own, scheme = (told or {}).get("key"), (told or {}).get("scheme", 1)
    if own and key and scheme != SCHEME:
        raise NotTrustedError(
            f"{shown}: its pseudonyms are of scheme {scheme}, this version makes scheme {SCHEME} "
            "(the column and a slow key are in the hash); visitors would not be recognised. Read "
            "its sources again, and train on them."
        )
    if own and key and own != key:
        raise NotTrustedError(
            f"{shown}: pseudonymised with key {own}, not with {key}; visitors would not be "
            f"recognised. Set {KEY_VARIABLE} to the key it was made with."
        )


def hidden_columns(privacy: Privacy, known: Sequence[str], *, made: bool = False) -> dict[str, str]:
    """Return SQL of the pseudonym by quoted column.

    Session ids are replaced wherever people are: many shops make them of the visitor's id, in any
    writing, of the login that comes later in the visit, or of another visitor's, so that no look at
    one row can tell. With `made` (a log whose sessions came from our own rules) what is made of a
    visitor's id is made of the pseudonym instead, as from the source.

    Raises:
        UsageError: the log has no such column.
    """
    for name in privacy.columns:
        if name not in known:
            raise UsageError(
                f"privacy: the log has no column {name!r} to pseudonymise."
                f"{did_you_mean(name, known)}"
            )
    held = [c for c in privacy.people if c in known]
    sql = {
        identifier(c): _pseudonym(c, f"CAST({identifier(c)} AS VARCHAR)")
        for c in [*held, *({"session_id"} & set(known) if set(PEOPLE) & set(held) else ())]
    }
    if made and "visitor_id" in held and "session_id" not in held and '"session_id"' in sql:
        rest = "substr(session_id, length(visitor_id) + 1)"
        visitor, session = sql['"visitor_id"'], sql['"session_id"']
        sql['"session_id"'] = (
            f"CASE WHEN starts_with(session_id, visitor_id || '-') AND "
            f"regexp_full_match({rest}, '-(\\d{{12,}}|all)(-\\d+)?') "
            f"THEN {visitor} || {rest} ELSE {session} END"
        )
    return sql


def hide_typed(
    con: duckdb.DuckDBPyConnection, sql: str, present: Mapping[str, str], privacy: Privacy
) -> str:
    """Return SQL of typed rows with their ids replaced, rejects included.

    What a reject quotes may be any cell, or a whole line: it keeps its shape (letters become a,
    digits 9), which shows what is wrong with it and nothing else.
    """
    privacy.declare(con)
    plain = {name.strip('"'): name for name in present}
    held = Privacy(tuple(c for c in privacy.people if c in plain), privacy.key)
    made = hidden_columns(held, list(plain))
    told = "".join(f", {sql} AS {name}" for name, sql in telling_flags(present, made).items())
    shape = r"regexp_replace(regexp_replace(__value, '\d', '9', 'g'), '\pL|\pM', 'a', 'g')"
    made["__value"] = (
        f"CASE WHEN regexp_full_match(__value, '{_OWN_WORDS}') THEN __value ELSE {shape} END"
    )
    replaced = ", ".join(f"{value} AS {column}" for column, value in made.items())
    without = f" EXCLUDE ({', '.join(search_columns(made))})" if search_columns(made) else ""
    return f"SELECT *{without} REPLACE ({replaced}){told} FROM ({searched(sql, made)})"
