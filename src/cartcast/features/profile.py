"""What a log holds and how it is distributed: the ground on which features are proposed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import duckdb

from cartcast.errors import DataError
from cartcast.events import Log
from cartcast.events.schema import COLUMNS, Clock
from cartcast.events.sql import identifier

__all__ = ["NOT_FEATURES", "ColumnProfile", "LogProfile", "Role", "profile_log"]

Role = Literal["constant", "words", "codes", "many", "number"]
"""How a column is used: the same for a whole session; few words; few whole numbers; many words, of
which none is frequent; a number."""

SESSIONS = 20_000
"""A log is looked at in a sample of about this number of sessions."""
MOST_VALUES = 12
"""Values of a column that get features of their own."""
MOST_WORDS = 30
"""Kinds of event that do."""
FEW = 50
"""Up to this number of different words, the last one is itself a feature."""
_LEAST_SHARE = 0.002
"""Values and columns in a smaller share of the events are left out, and those of fewer rows."""
_LEAST_ROWS = 30
_ID = 0.9
"""A word that differs in so large a share of its rows (sessions, if constant there) is an id."""
_SCALES = (2, 10, 40)
"""Time scales, as multiples of the log's middle pause between clicks."""

NOT_FEATURES = frozenset({
    "visitor_id", "user_id", "session_id", "event_time", "utc_offset", "event_order",
    "session_seconds", "known_time", "order_id", "from_orders", "repeat_purchase", "currency",
    # Known of a purchase only, which is the outcome.
    "line_value", "order_value", "revenue", "tax", "shipping", "discount",
})  # fmt: skip
_NUMBERS = ("DOUBLE", "FLOAT", "DECIMAL")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


@dataclass(frozen=True)
class ColumnProfile:
    """One column that features may read.

    Attributes:
        name: the column.
        role: how it is used.
        text: whether it holds text.
        filled: share of the browsing events with a value.
        values: frequent values with their shares of the events, the most frequent first.
        within: for a number: columns of few words whose averages it can be held against, those
            that tell most apart, whatever they are called and wherever they stand.
        why: what it holds, in words.
    """

    name: str
    role: Role
    text: bool
    filled: float
    values: tuple[tuple[str | float, float], ...] = ()
    within: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class LogProfile:
    """A log as far as features are concerned.

    Attributes:
        clock: what its times can tell.
        kinds: event types with their shares of the events.
        pause: middle seconds between two clicks of a session; NaN without a clock.
        scales: half-lives in seconds that suit the pauses.
        returning: share of the sessions whose visitor had one before.
        word: the column that tells what an event is: the source's own words if they tell more.
        columns: those that features may read.
        left_out: why the others are not read, by column.
    """

    clock: Clock
    kinds: Mapping[str, float]
    pause: float
    scales: tuple[float, ...]
    returning: float
    word: str
    columns: tuple[ColumnProfile, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def profile_log(log: Log) -> LogProfile:
    """Return the profile of a log, by a sample of its sessions.

    Raises:
        DataError: it has no event but purchases.
    """
    with log.connect() as con:
        events = _sample(con)
        if not events:
            raise DataError(
                "the log has no event but purchases; there is nothing to tell visits by."
            )
        told = con.execute("DESCRIBE seen").fetchall()
        types = {str(name): str(kind) for name, kind, *_ in told}
        kinds = dict(
            con.execute(
                "SELECT event_type, count(*) / (SELECT count(*) FROM sampled) FROM sampled "
                "GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        )
        word, other = _word(con)
        columns, left_out = _columns(con, {c: k for c, k in types.items() if c != other}, word)
        pause = _pause(con) if log.clock in ("time", "session") else math.nan
        returning = con.execute(
            "SELECT 1 - count(DISTINCT visitor_id) / count(DISTINCT session_id) FROM events "
            "WHERE visitor_id IS NOT NULL"
        ).fetchone()
    scales = tuple(dict.fromkeys(_round(pause * k) for k in _SCALES)) if pause > 0 else ()
    share = float(returning[0]) if returning and returning[0] is not None else 0.0
    return LogProfile(log.clock, kinds, pause, scales, share, word, columns, left_out)


def _sample(con: duckdb.DuckDBPyConnection) -> int:
    """Make the tables `sampled` (all events of some sessions) and `seen` (those of browsing)."""
    row = con.execute("SELECT approx_count_distinct(session_id) FROM events").fetchone()
    step = max(1, int(row[0] if row else 0) // SESSIONS)
    con.execute(
        f"CREATE TEMP TABLE sampled AS SELECT * FROM events WHERE hash(session_id) % {step} = 0"
    )
    con.execute(
        "CREATE TEMP TABLE seen AS SELECT * FROM sampled "
        "WHERE event_type NOT IN ('purchase', 'refund')"
    )
    found = con.execute("SELECT count(*) FROM seen").fetchone()
    return int(found[0]) if found else 0


def _pause(con: duckdb.DuckDBPyConnection) -> float:
    found = con.execute(
        "SELECT median(pause) FROM (SELECT date_diff('microseconds', lag(event_time) OVER "
        "(PARTITION BY session_id ORDER BY event_order), event_time) / 1e6 AS pause FROM seen) "
        "WHERE pause > 0"
    ).fetchone()
    return float(found[0]) if found and found[0] is not None else math.nan


def _round(x: float) -> float:
    """Return the nearest of 1, 2, 3, 5 times a power of ten, in whole seconds from 10 on.

    >>> _round(43.2), _round(0.7), _round(880)
    (50.0, 0.7, 1000.0)
    """
    if x < 1:
        return float(f"{x:.1g}")
    power = 10.0 ** math.floor(math.log10(x))
    steps = (1.0, 2.0, 3.0, 5.0, 10.0)
    return float(power * min(steps, key=lambda s: abs(math.log(s * power / x))))


def _columns(
    con: duckdb.DuckDBPyConnection, types: Mapping[str, str], word: str
) -> tuple[tuple[ColumnProfile, ...], dict[str, str]]:
    asked = [c for c in types if c not in NOT_FEATURES]
    found: list[ColumnProfile] = []
    left_out: dict[str, str] = {}
    for column in asked:
        told = _column(con, column, types[column], column == word)
        if isinstance(told, ColumnProfile):
            found.append(told)
        else:
            left_out[column] = told
    few = tuple(c.name for c in found if c.role in ("words", "constant") and c.text)
    varying = tuple(
        c.name
        for c in sorted(found, key=lambda c: (-_information(c), -c.filled))
        if c.role == "words" and len(c.values) > 1
    )
    return tuple(
        ColumnProfile(c.name, c.role, c.text, c.filled, c.values, varying[:2], c.why)
        if c.role == "number" and few
        else c
        for c in found
    ), left_out


def _information(column: ColumnProfile) -> float:
    """Return how much a column's words tell apart: the entropy of their shares, in nats."""
    return -sum(share * math.log(share) for _, share in column.values)


def _word(con: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """Return the column that tells what an event is, and the other one."""
    row = con.execute(
        "SELECT count(DISTINCT event_type), count(DISTINCT source_event) FROM seen"
    ).fetchone()
    assert row is not None
    found = ("event_type", "source_event")
    return found if int(row[0]) >= int(row[1]) else (found[1], found[0])


def _column(
    con: duckdb.DuckDBPyConnection, name: str, kind: str, word: bool
) -> ColumnProfile | str:
    """Return the profile of one column, or why no feature reads it."""
    text = kind == "VARCHAR"
    if not text and not kind.startswith((*_NUMBERS, *_WHOLE)):
        return f"holds {kind.lower()}, which no feature reads"
    column = identifier(name)
    row = con.execute(
        f"SELECT count(*), count({column}), count(DISTINCT {column}), "
        f"count(DISTINCT CASE WHEN {column} IS NOT NULL THEN session_id END) FROM seen"
    ).fetchone()
    assert row is not None
    rows, filled, distinct, sessions = map(int, row)
    if filled < max(_LEAST_ROWS, _LEAST_SHARE * rows):
        return f"has a value in {filled:,} of {rows:,} events only" if filled else "has no value"
    if distinct == 1 and filled > 0.98 * rows:
        return "has the same value everywhere"
    varying = _varying(con, column)
    share = filled / rows
    if varying < 0.01 and name not in COLUMNS and _numeric(con, column, text):
        return (
            "is a number that stays the same for a whole session, and so may be a total of it that "
            "is known at its end only"
        )
    if distinct > _ID * filled and (text or kind.startswith(_WHOLE)):
        return f"is an id: {distinct:,} values in {filled:,} events"
    if varying < 0.01:
        return _constant(name, text, share, distinct, sessions)
    values = _values(con, column, rows, word)
    covered = sum(s for _, s in values) * rows / filled
    if text:
        role: Role = "words" if distinct <= FEW or covered > 0.5 else "many"
        kept = values if role == "words" else ()
        why = f"{distinct:,} different words"
        return ColumnProfile(name, role, True, share, kept, (), why)
    few = distinct <= MOST_VALUES
    if few and con.execute(f"SELECT bool_and({column} = round({column})) FROM seen").fetchone() == (
        True,
    ):
        return ColumnProfile(name, "codes", False, share, values, (), f"{distinct} whole numbers")
    return ColumnProfile(name, "number", False, share, (), (), f"{distinct:,} different numbers")


def _constant(
    name: str, text: bool, filled: float, distinct: int, sessions: int
) -> ColumnProfile | str:
    if text and distinct > max(FEW, _ID * sessions / 10):
        return f"is an id of visits: {distinct:,} values in {sessions:,} sessions"
    return ColumnProfile(name, "constant", text, filled, (), (), "the same for a whole session")


def _numeric(con: duckdb.DuckDBPyConnection, column: str, text: bool) -> bool:
    """Return whether all values of a column are numbers, be they written as text."""
    if not text:
        return True
    row = con.execute(
        f"SELECT bool_and(TRY_CAST({column} AS DOUBLE) IS NOT NULL) FROM seen "
        f"WHERE {column} IS NOT NULL"
    ).fetchone()
    return bool(row and row[0])


def _varying(con: duckdb.DuckDBPyConnection, column: str) -> float:
    """Return in which share of the sessions with two values they differ."""
    row = con.execute(
        f"SELECT avg((low <> high)::INT) FROM (SELECT min({column}) AS low, max({column}) AS high "
        f"FROM seen GROUP BY session_id HAVING count({column}) > 1)"
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def _values(
    con: duckdb.DuckDBPyConnection, column: str, rows: int, word: bool
) -> tuple[tuple[Any, float], ...]:
    least = max(_LEAST_ROWS, (0.1 if word else 1.0) * _LEAST_SHARE * rows)
    most = MOST_WORDS if word else MOST_VALUES
    found = con.execute(
        f"SELECT {column}, count(*) AS n FROM seen WHERE {column} IS NOT NULL GROUP BY 1 "
        f"HAVING n >= {least} ORDER BY n DESC, 1 LIMIT {most}"
    ).fetchall()
    return tuple((v if isinstance(v, str) else float(v), n / rows) for v, n in found)
