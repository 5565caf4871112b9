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
from cartcast.events.contract import STAGE
from cartcast.events.sql import identifier

__all__ = [
    "KEY_VARIABLE",
    "Privacy",
    "hide_staged",
    "privacy_from",
    "privacy_of",
    "require_same_key",
    "written_columns",
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


def hide_staged(con: duckdb.DuckDBPyConnection, privacy: Privacy) -> None:
    """Replace ids in all staged rows, orders and rejects included.

    What a reject quotes may be any cell, or a whole line: it keeps its shape (letters become a,
    digits 9), which shows what is wrong with it and nothing else.

    Raises:
        UsageError: the log has no such column.
    """
    types = {c[0]: c[1] for c in con.execute(f"DESCRIBE {STAGE}").fetchall() if c[0][:2] != "__"}
    privacy.declare(con)
    made = written_columns(con, privacy, STAGE, list(types))
    if sql := made.pop('"session_id"', None):
        # First, while the visitor's own id is still there to be found in it.
        con.execute(f"UPDATE {STAGE} SET session_id = {sql}")
    for name in privacy.columns:
        column = identifier(name)
        if column not in made:
            continue
        if types[name] != "VARCHAR":
            con.execute(f"ALTER TABLE {STAGE} ALTER {column} TYPE VARCHAR")
        # A hash takes microseconds, and a visitor has many events: each is hashed once.
        con.execute(
            f"CREATE TEMP TABLE hidden AS SELECT raw, pseudonym(raw) AS made FROM "
            f"(SELECT DISTINCT {column} AS raw FROM {STAGE} WHERE {column} IS NOT NULL)"
        )
        con.execute(f"UPDATE {STAGE} SET {column} = made FROM hidden WHERE {column} = raw")
        con.execute("DROP TABLE hidden")
    shape = r"regexp_replace(regexp_replace(__value, '\d', '9', 'g'), '\pL|\pM', 'a', 'g')"
    con.execute(
        f"UPDATE {STAGE} SET __value = {shape} WHERE __value IS NOT NULL "
        f"AND NOT regexp_full_match(__value, '{_OWN_WORDS}')"
    )


def written_columns(
    con: duckdb.DuckDBPyConnection, privacy: Privacy, relation: str, known: Sequence[str]
) -> dict[str, str]:
    """Return SQL of the pseudonym by quoted column; session ids that hold the visitor's included.

    Raises:
        UsageError: the log has no such column.
    """
    for name in privacy.columns:
        if name not in known:
            raise UsageError(
                f"privacy: the log has no column {name!r} to pseudonymise."
                f"{did_you_mean(name, known)}"
            )
    made = {identifier(c): f"pseudonym({identifier(c)}::VARCHAR)" for c in privacy.columns}
    if "session_id" in privacy.columns or "visitor_id" not in privacy.columns:
        return made
    row = con.execute(
        "SELECT count(*), count(*) FILTER (starts_with(session_id, visitor_id)), "
        f"count(*) FILTER (starts_with(session_id, visitor_id || '-')) FROM {relation} "
        "WHERE visitor_id IS NOT NULL AND session_id IS NOT NULL"
    ).fetchone()
    rows, begin, dashed = row or (0, 0, 0)
    if rows and dashed == rows:
        made['"session_id"'] = (
            "CASE WHEN visitor_id IS NULL THEN session_id ELSE "
            "pseudonym(visitor_id) || substr(session_id, length(visitor_id) + 1) END"
        )
    elif begin * 2 > rows:
        made['"session_id"'] = "pseudonym(session_id)"
    return made
