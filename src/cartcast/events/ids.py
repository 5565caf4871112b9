"""Ids: words that stand for nothing are null, and one id is written one way.

Trackers write `(not set)`, `undefined` or `None` where they know nothing; taken for an id, such a
word becomes one person with thousands of sessions. pandas turns whole numbers into floats as soon
as one is missing, so 1001 and 1001.0 are one id, while 007 stays 007. `0` and `-1` are real ids in
some logs and defaults in others: the log itself decides, by the share of rows that they hold.
Source of the words: the ids that PostHog refuses,
https://posthog.com/docs/product-analytics/identify, and the defaults of Google Analytics, pandas,
JavaScript and SQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import duckdb

from cartcast.events.sql import literal
from cartcast.events.summed import counted, decided, grouped, in_a_part, keyed
from cartcast.findings import Finding, declare, finding

__all__ = [
    "ID_COLUMNS",
    "ID_NULLS",
    "NULL_WORDS",
    "PERSON_COLUMNS",
    "PERSON_NULLS",
    "DefaultIds",
    "id_sql",
    "is_nothing",
    "nothing_word_sql",
    "plain",
    "rounded_ids",
    "settle_ids",
    "text_reader",
    "text_sql",
    "words_finding",
]

NULL_WORDS: tuple[str, ...] = ("", "\\N", "NULL", "null")
"""Text that stands for nothing in any column. `NA` is not here: it is Namibia."""

ID_NULLS: tuple[str, ...] = (
    "", "\\n", "null", "none", "nil", "nan", "na", "n/a", "<na>", "#n/a", "nat", "undefined",
    "(not set)", "not set", "(not provided)", "(none)", "(null)", "(other)", "unknown",
    "[object object]",
    "<null>", "<none>", "-", "--", "?", '""', "''",
)  # fmt: skip
"""Words (lower case) that are null in every id column."""

PERSON_NULLS: tuple[str, ...] = (
    "guest", "anonymous", "anon", "not_authenticated", "distinctid", "distinct_id", "user_id",
    "visitor_id", "session_id", "client_id", "id", "email", "true", "false",
)  # fmt: skip
"""Words (lower case) that are null besides, in columns that name a person or a visit."""

ZERO_UUID = "00000000-0000-0000-0000-000000000000"

PERSON_COLUMNS = ("visitor_id", "user_id", "session_id")
ID_COLUMNS = (*PERSON_COLUMNS, "order_id", "item_id")
"""Canonical columns that hold ids."""

WORDS = declare(
    "EV124",
    "note",
    "Ids that stand for nothing",
    "Words such as (not set) or undefined are what a tracker writes when it knows no id; they are "
    "null, so that strangers do not become one person or one order.",
    "Fix the tracker if there are many: nobody can tell who these visitors were.",
)
DEFAULT_ID = declare(
    "EV125",
    "warn",
    "One id holds far more rows than any other",
    "It is more likely a default or a test than a person; 0 and -1 are then read as null.",
    "Find out where the id comes from; leave its rows out if it is not a person.",
)
ROUNDED = declare(
    "EV126",
    "warn",
    "Ids were rounded to floating point",
    "A spreadsheet or a table with gaps has written long ids as numbers such as 1.23457E+18: "
    "different ids became one.",
    "Export ids as text.",
)


def text_sql(column: str, words: tuple[str, ...] = NULL_WORDS) -> str:
    """Return SQL for a text column, trimmed, null where it holds a word for nothing."""
    listed = ", ".join(literal(w) for w in words)
    # Trimming by Unicode rules is slow, and few cells need it.
    return (
        f"CASE WHEN list_contains([{listed}], {column}) THEN NULL "
        f"WHEN starts_with({column}, ' ') OR ends_with({column}, ' ') "
        f"THEN nullif(trim({column}), '') ELSE {column} END"
    )


def id_sql(column: str, kind: str, target: str) -> str:
    """Return SQL for an id in its one form, null where it is a word for nothing.

    Args:
        column: SQL of the source's value.
        kind: its DuckDB type.
        target: the canonical column, one of `ID_COLUMNS`.
    """
    if kind in ("DOUBLE", "FLOAT"):
        # Whole numbers up to 2^53 are exact; their text must not become 1e+15.
        whole = f"{column} = trunc({column}) AND abs({column}) <= 9007199254740992"
        return (
            f"CASE WHEN NOT isfinite({column}) THEN NULL WHEN {whole} "
            f"THEN CAST(CAST({column} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
        )
    if kind.startswith("DECIMAL"):
        return f"regexp_replace(CAST({column} AS VARCHAR), '\\.0+$', '')"
    if kind != "VARCHAR":
        return f"CAST({column} AS VARCHAR)"
    words = _id_words(target)
    # Only words of the same length are compared: an id of ten million rows is looked at fast. A
    # list is searched for the rows that are asked; of `IN` the engine makes a join of all rows.
    lengths: dict[int, list[str]] = {}
    for word in words:
        lengths.setdefault(len(word.encode()), []).append(literal(word))
    branches = " ".join(
        f"WHEN {length} THEN list_contains([{', '.join(same)}], {column})"
        for length, same in lengths.items()
    )
    plain = (
        f"CASE WHEN ends_with({column}, '.0') AND regexp_full_match({column}, "
        f"'\\s*-?(0|[1-9]\\d*)\\.0') THEN trim({column})[:-3] ELSE {column} END"
    )
    # A cell with blanks around it may be a word as well: it is trimmed and asked again.
    bare = f"trim({column})"
    listed = ", ".join(literal(w) for w in words)
    blanks = f"starts_with({column}, ' ') OR ends_with({column}, ' ')"
    return (
        f"CASE WHEN CASE strlen({column}) {branches} ELSE false END THEN NULL "
        f"WHEN {blanks} THEN CASE WHEN list_contains([{listed}], {bare}) THEN NULL "
        f"ELSE regexp_replace({bare}, '^(-?(?:0|[1-9]\\d*))\\.0$', '\\1') END ELSE {plain} END"
    )


def _id_words(target: str) -> list[str]:
    """Return the words that are null in an id column as they are written.

    They are small, capital, with a first capital, of each word.
    """
    words = (*ID_NULLS, *(PERSON_NULLS if target in PERSON_COLUMNS else ()))
    found = {v for w in words for v in (w, w.upper(), w.capitalize(), w.title())}
    return sorted({*found, "NaN", "NaT", "[object Object]", "\\N", ZERO_UUID, "<NA>", "#N/A"})


_BLANKS = "".join(map(chr, (32, 160, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)))
"""What the engine's `trim` takes off."""
_NOTHING = frozenset(ID_NULLS)
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)\.0", re.ASCII).fullmatch


def plain(value: Any) -> str | None:
    """Return a JSON value as the text that a cell holds; an object's cells are its fields.

    >>> plain(True), plain(2.50), plain([1, "a"]), plain({"a": 1})
    ('true', '2.5', '[1,"a"]', None)
    """
    if value is None or isinstance(value, str | dict):
        return value if isinstance(value, str) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def is_nothing(text: str) -> bool:
    """Tell of one text what `nothing_word_sql` tells of a column."""
    return text.strip(_BLANKS).lower() in _NOTHING


def text_reader(target: str, nulls: tuple[str, ...] = ()) -> Callable[[Any], str | None]:
    """Return what reads one JSON value as `text_sql` or `id_sql` reads a cell of `target`.

    >>> read = text_reader("user_id")
    >>> read("guest"), read(" 1001.0 "), read("007"), text_reader("item_id")(" x ")
    (None, '1001', '007', 'x')
    """
    named = target in ID_COLUMNS
    words = frozenset(_id_words(target) if named else NULL_WORDS)
    before = words if named else words | set(nulls)

    def read(value: Any) -> str | None:
        text = value if isinstance(value, str) else plain(value)
        if text is None or text == "" or text in before:
            return None
        if text[0] == " " or text[-1] == " ":
            text = text.strip(_BLANKS)
            if text == "" or (named and text in words):
                return None
        if named:
            if text[-2:] == ".0" and _WHOLE(text):
                text = text[:-2]
            return None if text in nulls else text
        return text

    return read


_LEAST_ROWS, _LEAST_SHARE = 10, 0.05
_TIMES_LONE, _TIMES_ZERO, _TIMES_ANY = 1.5, 3.0, 20.0
_FREQUENT = "SELECT key, sum(n)::BIGINT AS n FROM {rows} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 2"


class DefaultIds(NamedTuple):
    """Values that stand for nothing in this log (`column -> values`), and what must be said."""

    null: dict[str, tuple[str, ...]]
    findings: list[Finding]


def settle_ids(con: duckdb.DuckDBPyConnection, rows: str, present: Iterable[str]) -> DefaultIds:
    """Find ids that hold an implausible share of the rows: a default, not a person or an order.

    `0` and `-1` are null then; any other is only told.
    """
    null: dict[str, tuple[str, ...]] = {}
    found: list[Finding] = []
    for column in present:
        if column == "item_id":
            continue
        where = "WHERE event_type IN ('purchase', 'refund')" if column == "order_id" else ""
        counts = keyed(
            con,
            f"frequent {column}",
            f"SELECT {column} AS key, count(*) AS n FROM {rows} {where} GROUP BY 1 "
            f"HAVING {column} IS NOT NULL",
            _FREQUENT,
            whole=_FREQUENT,
        )
        (total,) = counted(con, f"rows of {column}", f"SELECT count(*) FROM {rows} {where}")
        if in_a_part():
            _counted(con, rows, column)
        if len(counts) < 2:
            continue
        (value, most), second = counts[0], counts[1][1]
        zero = value in ("0", "-1")
        times = _TIMES_ANY
        if zero:
            times = _TIMES_ZERO if _counted(con, rows, column) else _TIMES_LONE
        if most < _LEAST_ROWS or most < _LEAST_SHARE * total or most < times * second:
            continue
        if zero:
            null[column] = (value,)
        what = "null" if zero else "kept"
        found.append(
            finding(
                DEFAULT_ID,
                f"{column} {value!r} stands on {most:,} of {total:,} rows "
                f"({most / total:.1%}), the next on {second:,}: {what}.",
                count=most,
                column=column,
                value=value,
            )
        )
    return DefaultIds(decided("default ids", null), found)


def _counted(con: duckdb.DuckDBPyConnection, rows: str, column: str) -> bool:
    """Return whether ids are numbers from 0 on, so that 0 is one like any other."""
    firsts = grouped(
        con,
        f"first numbers of {column}",
        f"SELECT {column}, count(*) FROM {rows} WHERE {column} IN ('1', '2', '3') "
        "GROUP BY 1 ORDER BY 1",
    )
    return len(firsts) >= 2


def rounded_ids(con: duckdb.DuckDBPyConnection, rows: str, present: Iterable[str]) -> list[Finding]:
    """Return the finding of ids in floating point notation, such as 1.23457E+18."""
    found: list[Finding] = []
    for column in present:
        row = counted(
            con,
            f"rounded {column}",
            f"SELECT count(*), min({column}) FROM {rows} WHERE contains({column}, '+') "
            f"AND strlen({column}) BETWEEN 5 AND 24 "
            f"AND regexp_full_match({column}, '-?\\d(\\.\\d+)?[eE]\\+\\d+')",
        )
        if row[0]:
            found.append(
                finding(ROUNDED, f"{column}: {row[0]:,} values such as {row[1]!r}.", count=row[0],
                        column=column)
            )  # fmt: skip
    return found


def nothing_word_sql(text: str) -> str:
    """Return SQL: does a cell of a number, time or currency hold a word that stands for nothing?"""
    # A list is searched only for the rows that are asked; `IN` would look at every row.
    listed = ", ".join(literal(w) for w in ID_NULLS)
    return f"list_contains([{listed}], lower(trim({text})))"


def words_finding(listed: str, count: int, words: dict[str, int]) -> Finding:
    """Return what must be said of ids that were words for nothing."""
    return finding(
        WORDS, f"{count:,} ids are words for nothing: {listed}.", count=count, words=words
    )
