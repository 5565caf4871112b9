"""Columns that are kept as they are although they tell who it was: an id inside other text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from cartcast.events.sql import identifier, literal
from cartcast.findings import Finding, declare, finding

__all__ = [
    "TELLING",
    "search_columns",
    "searched",
    "telling_columns",
    "telling_flags",
    "told_columns",
]

TELLING = declare(
    "EV160",
    "warn",
    "Columns that are kept identify the visitor",
    "Their cells hold the visitor's id or login of the same row, which is replaced only in its own "
    "column: anyone who has the log can put names to pseudonyms.",
    "Name these columns under `privacy: pseudonymise:`, or leave them out of the export.",
)

_FLAG = "__tells_"
_SEPARATORS = "-._:;,/|@+~#=&?!$*()[]{}<>%^\\'\"` \t"
_SHORT = 4
"""Ids of fewer characters stand in other text by chance: only a cell that is the id counts."""
CHANCE = 0.05
"""Share of the rows below which short ids and plain numbers may meet by chance."""

_TEXT = ("VARCHAR",)
_WHOLE = ("BIGINT", "INTEGER", "HUGEINT", "UBIGINT", "SMALLINT", "UINTEGER")
_OWN_WORDS = ("event_type", "currency", "session_id", "event_order", "utc_offset")


def searched(sql: str, replaced: Mapping[str, Any]) -> str:
    """Return SQL of the rows with what is looked for beside them, in `WHO` columns, once a row."""
    made = [f"{_bare(f'CAST({p} AS VARCHAR)')} AS {w}" for p, w in _people(replaced)]
    return f"SELECT *{''.join(f', {m}' for m in made)} FROM ({sql})"


def search_columns(replaced: Mapping[str, Any]) -> list[str]:
    """Return the columns that `searched` adds."""
    return [w for _, w in _people(replaced)]


def telling_flags(present: Mapping[str, str], replaced: Mapping[str, Any]) -> dict[str, str]:
    """Return SQL by flag: does the cell of a kept column hold the row's visitor or login?

    2 means surely, 1 that it may be chance, null no. Case, separators and URL encoding do not
    matter. It is to be asked of `searched` rows.

    Args:
        present: the columns with their types, by quoted name.
        replaced: those that are replaced, by quoted name.
    """
    people = _people(replaced)
    found = {}
    for name, kind in present.items():
        plain = name.strip('"').replace('""', '"')
        if plain.startswith("__") or plain in _OWN_WORDS or identifier(plain) in replaced:
            continue
        if people and kind in (*_TEXT, *_WHOLE):
            cell = f"CAST({identifier(plain)} AS VARCHAR)"
            held = ", ".join(_holds(cell, f"CAST({p} AS VARCHAR)", w) for p, w in people)
            found[identifier(_FLAG + plain)] = f"CAST(greatest({held}) AS UTINYINT)"
    return found


def _people(replaced: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the replaced columns of people, each with the column of what is looked for."""
    names = ("visitor_id", "user_id")
    return [(identifier(n), f"__who_{n}") for n in names if identifier(n) in replaced]


def _bare(text: str) -> str:
    """Return SQL of a text without its case and separators."""
    return f"translate(lower({text}), {literal(_SEPARATORS)}, '')"


def _holds(cell: str, who: str, wanted: str) -> str:
    decoded = f"CASE WHEN contains({cell}, '%') THEN try(url_decode({cell})) ELSE {cell} END"
    text = _bare(f"coalesce({decoded}, {cell})")
    numbers = rf"' ' || regexp_replace({cell}, '\D+', ' ', 'g') || ' '"
    return (
        # Most cells are shorter than an id: they are not looked at.
        f"CASE WHEN {cell} IS NULL OR {wanted} IS NULL OR {wanted} = '' "
        f"OR length({cell}) < length({wanted}) THEN NULL "
        f"WHEN length({wanted}) < {_SHORT} THEN CASE WHEN {cell} = {who} THEN 1 END "
        rf"WHEN NOT contains({text}, {wanted}) THEN NULL "
        rf"WHEN regexp_full_match({who}, '\d+') THEN "
        f"CASE WHEN contains({numbers}, ' ' || {who} || ' ') THEN 1 END ELSE 2 END"
    )


def told_columns(con: duckdb.DuckDBPyConnection, relation: str, shown: str) -> list[Finding]:
    """Return what must be said of typed rows that carry the flags."""
    names = [n for n, *_ in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
    flags = {identifier(n): identifier(n) for n in names if n.startswith(_FLAG)}
    return telling_columns(con, relation, flags, shown)


def telling_columns(
    con: duckdb.DuckDBPyConnection, relation: str, flags: Mapping[str, str], shown: str
) -> list[Finding]:
    """Return the finding of the columns whose cells hold their row's visitor or login."""
    if not flags:
        return []
    counted = ", ".join(
        f"count(*) FILTER (({sql}) = 2), count(*) FILTER (({sql}) = 1)" for sql in flags.values()
    )
    row = con.execute(f"SELECT count(*), {counted} FROM {relation}").fetchone()
    assert row is not None
    rows, counts = row[0], row[1:]
    told = {}
    for k, flag in enumerate(flags):
        sure, maybe = counts[2 * k], counts[2 * k + 1]
        count = sure + (maybe if maybe >= max(CHANCE * rows, 1) else 0)
        if count:
            told[flag.strip('"').removeprefix(_FLAG).replace('""', '"')] = count
    if not told:
        return []
    listed = ", ".join(f"{name} ({count} rows)" for name, count in told.items())
    return [
        finding(
            TELLING,
            f"{shown}: ids of people are replaced, but still stand in {listed}.",
            count=max(told.values()),
            columns=told,
        )
    ]
