"""Pseudonyms: ids of people are replaced by a keyed hash on entry, before anything is written.

HMAC-SHA256, cut to 128 bits, in hex: without the key nobody can go back or try names out; with
the same key a visitor has the same pseudonym in every file, so that files and orders still join.
Source: RFC 2104, https://doi.org/10.17487/RFC2104; truncation as in its section 5.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from cartcast.errors import NotTrustedError, UsageError, did_you_mean
from cartcast.events.sql import identifier

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

LEAST_KEY = 16
_BLOCK = 64
_DIGITS = 32
_OWN_WORDS = r"^a quote opened here (takes in \d+ more lines|is not closed)$"


@dataclass(frozen=True)
class Privacy:
    """Which columns are replaced, and the key.

    Attributes:
        columns: names of columns of the log; `visitor_id` unless others are asked for.
        key: never shown.

    >>> p = Privacy(("visitor_id",), b"a key of sixteen bytes or more")
    >>> p.name("u1"), p.name(None)
    ('0f5bfd03a7cd4533227c66392c67260d', None)
    """

    columns: tuple[str, ...]
    key: bytes = field(repr=False)

    @property
    def people(self) -> tuple[str, ...]:
        """The columns, the login beside the visitor: both name the same person."""
        beside = ("user_id",) if "visitor_id" in self.columns else ()
        return tuple(dict.fromkeys((*self.columns, *beside)))

    @property
    def fingerprint(self) -> str:
        """Tell keys apart without telling the key."""
        return hmac.new(self.key, b"\0cartcast key", hashlib.sha256).hexdigest()[:16]

    def name(self, value: str | None) -> str | None:
        """Return the pseudonym of one id; null stays null."""
        if value is None:
            return None
        return hmac.new(self.key, value.encode(), hashlib.sha256).hexdigest()[:_DIGITS]

    def as_dict(self) -> dict[str, Any]:
        """Return what a log and a run say of it."""
        return {"columns": list(self.columns), "key": self.fingerprint}

    def declare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the function `pseudonym(text)` in the engine, so that no other SQL has the key."""
        key = self.key if len(self.key) <= _BLOCK else hashlib.sha256(self.key).digest()
        key = key.ljust(_BLOCK, b"\0")
        inner, outer = (bytes(b ^ pad for b in key).hex() for pad in (0x36, 0x5C))
        con.execute(
            f"CREATE OR REPLACE TEMP MACRO pseudonym(x) AS substr(sha256(unhex('{outer}') || "
            f"unhex(sha256(unhex('{inner}') || encode(x)))), 1, {_DIGITS})"
        )


def privacy_from(
    settings: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Privacy | None:
    """Return what `privacy:` of a project asks for; None when it asks for nothing.

    Raises:
        UsageError: the setting is wrong, or the key is missing or too short.
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
        UsageError: the key is missing or too short.
    """
    if not columns:
        return None
    told = os.environ if environment is None else environment
    key = told.get(KEY_VARIABLE, "")
    if not key:
        raise UsageError(
            f"this project pseudonymises {', '.join(columns)}: set the key in the environment "
            f"variable {KEY_VARIABLE} (at least {LEAST_KEY} characters)."
        )
    if len(key) < LEAST_KEY:
        raise UsageError(
            f"{KEY_VARIABLE} must have at least {LEAST_KEY} characters, got {len(key)}: a short "
            "key can be guessed."
        )
    return Privacy(tuple(dict.fromkeys(columns)), key.encode())


def require_same_key(shown: str, told: Mapping[str, Any] | None, key: str | None) -> None:
    """Refuse a log (or run) whose key is another: the same visitor would have two names.

    Raises:
        NotTrustedError: the fingerprints differ.
    """
    own = (told or {}).get("key")
    if own and key and own != key:
        raise NotTrustedError(
            f"{shown}: pseudonymised with key {own}, not with {key}; visitors would not be "
            f"recognised. Set {KEY_VARIABLE} to the key it was made with."
        )


def hidden_columns(privacy: Privacy, known: Sequence[str]) -> dict[str, str]:
    """Return SQL of the pseudonym by quoted column.

    A session id that holds its visitor's id is replaced with it, row by row.

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
    made = {identifier(c): f"pseudonym(CAST({identifier(c)} AS VARCHAR))" for c in held}
    if "session_id" in held or "session_id" not in known:
        return made
    people = [c for c in ("visitor_id", "user_id") if c in held]
    branches = " ".join(
        f"WHEN {p} IS NOT NULL AND starts_with(session_id, {p} || '-') "
        f"THEN pseudonym({p}) || substr(session_id, length({p}) + 1) "
        f"WHEN {p} IS NOT NULL AND contains(session_id, {p}) THEN pseudonym(session_id)"
        for p in people
    )
    if branches:
        made['"session_id"'] = f"CASE {branches} ELSE session_id END"
    return made


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
    shape = r"regexp_replace(regexp_replace(__value, '\d', '9', 'g'), '\pL|\pM', 'a', 'g')"
    made["__value"] = (
        f"CASE WHEN regexp_full_match(__value, '{_OWN_WORDS}') THEN __value ELSE {shape} END"
    )
    replaced = ", ".join(f"{value} AS {column}" for column, value in made.items())
    return f"SELECT * REPLACE ({replaced}) FROM ({sql})"
