"""The contract: each row of a source becomes a clean event or a reject with its reason."""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from cartcast.errors import DefinitionError
from cartcast.events import times
from cartcast.events.engine import translate
from cartcast.events.items import explode
from cartcast.events.mapping import Mapped, Resolved
from cartcast.events.read import Source
from cartcast.events.schema import COLUMNS, EVENT_TYPES
from cartcast.events.sql import identifier, literal
from cartcast.events.words import CURRENCIES, EVENT_WORDS

__all__ = ["REASONS", "STAGE", "Rule", "create_stage", "stage"]

STAGE = "stage"
"""Work table of all rows: canonical columns, extras, then `__` columns of the contract."""

REASONS: dict[str, str] = {
    "ragged_row": "more or fewer cells than the header has columns",
    "unreadable_row": "quotes that do not close, or bytes that are not text in the file's encoding",
    "bad_json": "the line is not a JSON object",
    "missing_time": "no time",
    "bad_time": "not a time in the column's form, or a date that does not exist",
    "time_out_of_range": f"before {times.EARLIEST} or after {times.LATEST}: a wrong unit or default",
    "ambiguous_time": "no offset, in a column where other times have one",
    "missing_order": "no position in the session, and the source has no clock",
    "bad_order": "the position in the session is not a whole number",
    "bad_seconds": "seconds since the session began are not a number >= 0",
    "no_visitor_or_session": "neither a visitor nor a session",
    "bad_price": "the price is not a finite number",
    "negative_price": "the price is below zero",
    "bad_quantity": "the quantity is not a finite number",
    "negative_quantity": "the quantity is below zero",
    "unknown_currency": "not an ISO 4217 code",
}
"""Reason code of a reject -> what it means."""

_CONTRACT_COLUMNS = (
    "__seq BIGINT",
    "__file INTEGER",
    "__row BIGINT",
    "__hash UBIGINT",
    "__zone TINYINT",
    "__date_only BOOLEAN",
    "__reason VARCHAR",
    "__column VARCHAR",
    "__value VARCHAR",
)
_PARSED = (
    "event_time",
    "event_order",
    "event_type",
    "source_event",
    "price",
    "quantity",
    "currency",
    "session_seconds",
    "known_time",
    "session_id",
)


class Rule(NamedTuple):
    """A reason to reject: its code, the source column, the SQL condition and the SQL value."""

    reason: str
    column: str
    condition: str
    value: str


def create_stage(con: duckdb.DuckDBPyConnection, resolved: list[Resolved]) -> dict[str, str]:
    """Create the work table for sources resolved so; return the extras' names and types.

    An extra that differs in type between sources becomes text.
    """
    extras: dict[str, str] = {}
    if any("event_id" in r.mapped for r in resolved):
        extras["event_id"] = "VARCHAR"
    for one in resolved:
        for name, (_, _, kind) in one.extras.items():
            extras[name] = kind if extras.get(name, kind) == kind else "VARCHAR"
    columns = [f"{c.name} {c.type}" for c in COLUMNS.values()]
    columns += [f"{identifier(n)} {kind}" for n, kind in extras.items()]
    con.execute(f"CREATE OR REPLACE TABLE {STAGE} ({', '.join((*columns, *_CONTRACT_COLUMNS))})")
    return extras


def stage(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    resolved: Resolved,
    extras: dict[str, str],
    file: int,
) -> None:
    """Append the rows of one source to the work table, each with its reason if it has one.

    Raises:
        DataError: the source cannot be read.
        StorageError: the disk is full.
    """
    sql = _statement(source, resolved, extras, file)
    try:
        con.execute(sql)
        _add_unsplit(con, source, file)
    except duckdb.Error as error:
        raise translate(error, source.name) from error


def _statement(source: Source, resolved: Resolved, extras: dict[str, str], file: int) -> str:
    unpacked = explode(resolved, event_type_sql(resolved))
    mapped = unpacked.mapped
    fields = [f"{m.text} AS {identifier('t_' + target)}" for target, m in mapped.items()]
    fields += [
        f"{m.native[0]} AS {identifier('n_' + target)}"
        for target, m in mapped.items()
        if m.native is not None
    ]
    fields += [f"{part} AS p_{i}" for i, part in enumerate(resolved.parts)]
    fields += [
        f"CAST({resolved.extras[n][1]} AS {kind}) AS {identifier('x_' + n)}"
        for n, kind in extras.items()
        if n in resolved.extras
    ]
    hashed = ", ".join(identifier(c) for c in source.columns)
    broken = source.broken or "false"
    parsed, rules = _parsed(resolved, mapped)
    selected = []
    for name in COLUMNS:
        if name in parsed:
            selected.append(f"{parsed[name]} AS {name}")
        elif name in mapped:
            selected.append(f"{identifier('t_' + name)} AS {name}")
        else:
            selected.append(f"NULL AS {name}")
    for name in extras:
        if name == "event_id" and "event_id" in mapped:
            selected.append("t_event_id")
        elif name in resolved.extras:
            selected.append(identifier("x_" + name))
        else:
            selected.append("NULL")
    whole = [Rule("ragged_row", "", "__broken", "NULL"), *rules]
    carry = list(unpacked.carry)
    if source.kind == "json":
        whole[0] = Rule("bad_json", "", "__broken", "__line")
        hashed = "__line"
        carry.append("__line")
    reason = _case(whole, lambda r: literal(r.reason))
    return (
        f"INSERT INTO {STAGE} SELECT {', '.join(selected)}, "
        f"({file}::BIGINT << 44) | (__row << 10) | least(__part, 1023), {file}, __row, __hash, "
        f"{parsed['__zone']}, {parsed['__date_only']}, {reason} AS reason, "
        f"{_case(whole, lambda r: literal(r.column))}, "
        f"{_case(whole, lambda r: f'substr({r.value}, 1, 200)')} "
        f"FROM (SELECT {', '.join(['__row', '__part', '__broken', '__hash', *carry])}"
        f"{', ' if fields else ''}{', '.join(fields)} FROM (SELECT *, {broken} AS __broken, "
        f"hash({hashed}) AS __hash, {unpacked.part} AS __part FROM {source.relation}))"
    )


def _case(rules: list[Rule], value: object) -> str:
    assert callable(value)
    branches = " ".join(f"WHEN {r.condition} THEN {value(r)}" for r in rules)
    return f"CASE {branches} END"


def event_type_sql(resolved: Resolved) -> str:
    """Return SQL for the canonical event type, over the source's own columns."""
    mapped = resolved.mapped.get("event_type")
    return _event_type(mapped.text, resolved) if mapped else literal(resolved.layout.every_event)


def _event_type(text: str, resolved: Resolved) -> str:
    words = {**{k: k for k in EVENT_TYPES}, **EVENT_WORDS, **resolved.layout.events}
    by_type: dict[str, list[str]] = {}
    for word, kind in words.items():
        if kind != "other":
            by_type.setdefault(kind, []).append(literal(word))
    branches = " ".join(
        f"WHEN lower({text}) IN ({', '.join(found)}) THEN {literal(kind)}"
        for kind, found in by_type.items()
    )
    empty = literal(resolved.layout.every_event or "other")
    return f"CASE {branches} WHEN {text} IS NULL THEN {empty} ELSE 'other' END"


def _parsed(resolved: Resolved, mapped: dict[str, Mapped]) -> tuple[dict[str, str], list[Rule]]:
    """Return SQL of the typed columns, and the rules in the order in which they are tried."""
    layout = resolved.layout
    out: dict[str, str] = {}
    rules: list[Rule] = []
    out["event_time"], out["__zone"], out["__date_only"], found = _time(resolved, mapped)
    rules += found
    out["known_time"] = out["event_time"]
    if "known_time" in mapped:
        known = _native_time(mapped["known_time"], "n_known_time", layout.zone) or times.time_sql(
            "t_known_time", "auto", layout.zone
        )
        out["known_time"] = f"coalesce({known}, {out['event_time']})"
        rules.append(
            Rule(
                "bad_time",
                mapped["known_time"].column,
                f"t_known_time IS NOT NULL AND ({known}) IS NULL",
                "t_known_time",
            )
        )
    out["session_id"], found = _who(layout.session_per_visitor, mapped)
    rules += found
    clocked = bool(resolved.parts) or "event_time" in mapped
    for target, kind, reason in (
        ("event_order", "BIGINT", "bad_order"),
        ("session_seconds", "DOUBLE", "bad_seconds"),
    ):
        if target not in mapped:
            continue
        text = f"t_{target}"
        number = f"TRY_CAST({text} AS {kind})"
        out[target] = number
        good = (
            number if kind == "BIGINT" else f"nullif({number} >= 0 AND isfinite({number}), false)"
        )
        rules.append(
            Rule(reason, mapped[target].column, f"{text} IS NOT NULL AND ({good}) IS NULL", text)
        )
        if not clocked and layout.clock == ("order" if target == "event_order" else "session"):
            rules.append(Rule("missing_order", mapped[target].column, f"{text} IS NULL", "NULL"))
    for target in ("price", "quantity"):
        if target in mapped:
            out[target], found = _number(target, mapped[target], layout.decimal)
            rules += found
    out["quantity"] = f"coalesce({out.get('quantity', 'NULL')}, 1.0)"
    out["event_type"] = (
        _event_type("t_event_type", resolved)
        if "event_type" in mapped
        else literal(layout.every_event)
    )
    if "source_event" not in mapped:
        out["source_event"] = "t_event_type" if "event_type" in mapped else "NULL"
    out["currency"] = literal(layout.currency)
    if "currency" in mapped:
        out["currency"] = f"coalesce(upper(t_currency), {literal(layout.currency)})"
        codes = ", ".join(literal(c) for c in sorted(CURRENCIES))
        rules.append(
            Rule(
                "unknown_currency",
                mapped["currency"].column,
                f"t_currency IS NOT NULL AND upper(t_currency) NOT IN ({codes})",
                "t_currency",
            )
        )
    return out, rules


def _time(resolved: Resolved, mapped: dict[str, Mapped]) -> tuple[str, str, str, list[Rule]]:
    """Return SQL of the time, the kind of its zone, whether it is a date only, and its rules."""
    layout = resolved.layout
    if resolved.parts:
        text = "(p_0 || '-' || lpad(p_1, 2, '0') || '-' || lpad(p_2, 2, '0'))"
        time = f"CAST(TRY_CAST({text} AS DATE) AS TIMESTAMP)"
        column, zone, date_only = "+".join(layout.columns["event_time"].parts), "0", "true"
    elif "event_time" in mapped:
        text = "t_event_time"
        column = mapped["event_time"].column
        native = _native_time(mapped["event_time"], "n_event_time", layout.zone)
        if native is not None:
            kind = mapped["event_time"].native
            aware = kind is not None and kind[1].startswith("TIMESTAMP WITH")
            time, zone = native, "1" if aware else "0"
            date_only = str(kind is not None and kind[1] == "DATE").lower()
        else:
            time = times.time_sql(text, layout.time_format, layout.zone)
            iso = layout.time_format in ("iso", "auto")
            zone = times.zone_sql(text) if iso and layout.zone is None else "NULL"
            date_only = f"length({text}) <= 10 AND contains({text}, '-')"
    else:
        return "CAST(NULL AS TIMESTAMP)", "NULL", "NULL", []
    rules = [
        Rule("missing_time", column, f"{text} IS NULL", "NULL"),
        Rule("bad_time", column, f"({time}) IS NULL", text),
        Rule(
            "time_out_of_range",
            column,
            f"({time}) NOT BETWEEN TIMESTAMP '{times.EARLIEST}' AND TIMESTAMP '{times.LATEST}'",
            text,
        ),
    ]
    if layout.clock == "day":
        time = f"date_trunc('day', {time})"
    return time, zone, date_only, rules


def _native_time(mapped: Mapped, column: str, zone: str | None) -> str | None:
    """Return SQL for a column that is a date or timestamp already, or None."""
    if mapped.native is None:
        return None
    kind = mapped.native[1]
    if kind.startswith("TIMESTAMP WITH"):
        return f"timezone('UTC', {column})"
    if kind.startswith(("TIMESTAMP", "DATETIME")) or kind == "DATE":
        plain = f"TRY_CAST({column} AS TIMESTAMP)"
        if zone and zone != "UTC":
            return f"timezone('UTC', timezone({literal(zone)}, {plain}))"
        return plain
    return None


def _who(per_visitor: bool, mapped: dict[str, Mapped]) -> tuple[str, list[Rule]]:
    session = "t_session_id" if "session_id" in mapped else None
    visitor = "t_visitor_id" if "visitor_id" in mapped else None
    known = [m for m in (session, visitor) if m]
    if not known:
        raise DefinitionError("a layout must name session_id or visitor_id.")
    column = mapped["session_id" if session else "visitor_id"].column
    missing = " AND ".join(f"{m} IS NULL" for m in known)
    rules = [Rule("no_visitor_or_session", column, missing, "NULL")]
    if session and visitor and per_visitor:
        session = f"({visitor} || '-' || {session})"
    return session or "NULL", rules


def _number(target: str, mapped: Mapped, decimal: str) -> tuple[str, list[Rule]]:
    text = f"t_{target}"
    if mapped.native is not None and mapped.native[1] != "BOOLEAN":
        number = f"TRY_CAST(n_{target} AS DOUBLE)"
    elif decimal == ",":
        number = f"TRY_CAST(replace(replace({text}, '.', ''), ',', '.') AS DOUBLE)"
    else:
        number = f"TRY_CAST({text} AS DOUBLE)"
    if mapped.divide:
        number = f"({number} / {mapped.divide})"
    finite = f"nullif(isfinite({number}), false)"
    return number, [
        Rule(f"bad_{target}", mapped.column, f"{text} IS NOT NULL AND ({finite}) IS NULL", text),
        Rule(f"negative_{target}", mapped.column, f"{number} < 0", text),
    ]


def _add_unsplit(con: duckdb.DuckDBPyConnection, source: Source, file: int) -> None:
    """Add the records that could not be split, and move the row numbers behind them."""
    if source.rejects_table is None:
        return
    table = identifier(source.rejects_table)
    first = 1 if source.header_line else 0
    found = con.execute(
        f"SELECT line - {first}, min(error_type), min(substr(csv_line, 1, 200)) FROM {table} "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    con.execute(f"DROP TABLE {table}; DROP TABLE {identifier(source.rejects_table + '_scan')}")
    if not found:
        return
    con.execute(
        "CREATE OR REPLACE TEMP TABLE unsplit (row BIGINT, before BIGINT, why VARCHAR, "
        "value VARCHAR)"
    )
    con.executemany(
        "INSERT INTO unsplit VALUES (?, ?, ?, ?)",
        [
            (row, row - place, "ragged_row" if "COLUMNS" in str(kind) else "unreadable_row", text)
            for place, (row, kind, text) in enumerate(found)
        ],
    )
    moved = f"(SELECT count(*) FROM unsplit WHERE before <= {STAGE}.__row)"
    con.execute(f"UPDATE {STAGE} SET __row = __row + {moved} WHERE __file = {file}")
    con.execute(
        f"INSERT INTO {STAGE} (__seq, __file, __row, __reason, __value) SELECT "
        f"({file}::BIGINT << 44) | (row << 10), {file}, row, why, value FROM unsplit"
    )
