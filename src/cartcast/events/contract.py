"""The contract: each row of a source becomes a clean event or a reject with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import duckdb

from cartcast.events.csvfile import UnreadableTextError, open_quote
from cartcast.events.engine import translate
from cartcast.events.items import explode
from cartcast.events.mapping import Mapped, Resolved
from cartcast.events.read import Source
from cartcast.events.rules import Rule, event_type_sql, event_words, typed
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import identifier, literal

__all__ = ["STAGE", "create_stage", "stage"]

STAGE = "stage"
"""Work table of all rows: canonical columns, extras, then `__` columns of the contract."""

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
    "repeat_purchase BOOLEAN",
)


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
        UnreadableTextError: the text must be rewritten first.
    """
    sql = _statement(source, resolved, extras, file)
    try:
        con.execute(sql)
        _add_unsplit(con, source, file)
    except duckdb.Error as error:
        if source.kind == "csv" and "state machine" in str(error):
            raise UnreadableTextError(source.encoding or "utf-8-sig") from error
        raise translate(error, source.name) from error


def _statement(source: Source, resolved: Resolved, extras: dict[str, str], file: int) -> str:
    """Return SQL in four layers: the rows, their cells as text, typed values, events or reasons."""
    unpacked = explode(resolved, event_type_sql(resolved))
    mapped = unpacked.mapped
    values, rules = typed(resolved, mapped)
    broken = source.broken or "false"
    hashed = ", ".join(identifier(c) for c in source.columns)
    lines = "0"
    first = Rule("ragged_row", "", "__broken", _TAKES_IN)
    carried = ["__row", "__part", "__broken", "__lines", "__hash"]
    if source.kind == "json":
        first, hashed = Rule("bad_json", "", "__broken", "__line"), "__line"
        carried.append("__line")
    elif source.kind == "csv":
        cells = [f"coalesce({identifier(n)}, '')" for n in source.columns]
        lines = " + ".join(f"length({c}) - length(replace({c}, chr(10), ''))" for c in cells)
    rows = (
        f"SELECT *, {broken} AS __broken, CASE WHEN {broken} THEN {lines} ELSE 0 END AS __lines, "
        f"hash({hashed}) AS __hash, {unpacked.part} AS __part FROM {source.relation}"
    )
    cells = [f"{m.text} AS {identifier('t_' + target)}" for target, m in mapped.items()]
    cells += [
        f"{m.native[0]} AS {identifier('n_' + target)}"
        for target, m in mapped.items()
        if m.native is not None
    ]
    cells += [f"{part} AS p_{i}" for i, part in enumerate(resolved.parts)]
    cells += [
        f"CAST({resolved.extras[n][1]} AS {kind}) AS {identifier('x_' + n)}"
        for n, kind in extras.items()
        if n in resolved.extras
    ]
    text = f"SELECT {', '.join((*carried, *cells))} FROM ({rows})"
    parsed = ", ".join(f"{sql} AS {identifier('v_' + name)}" for name, sql in values.items())
    if "event_type" in mapped:
        pairs = ", ".join(f"({literal(w)}, {literal(k)})" for w, k in event_words(resolved).items())
        text += f") LEFT JOIN (VALUES {pairs}) AS words(word, kind) ON (word = lower(t_event_type)"
    tried = [first, *rules]
    return (
        f"INSERT INTO {STAGE} SELECT {', '.join(_selected(values, resolved, mapped, extras))}, "
        f"({file}::BIGINT << 44) | (__row << 10) | least(__part, 1023), {file}, __row, __hash, "
        f"v___zone, v___date_only, {_case(tried, lambda r: literal(r.reason))}, "
        f"{_case(tried, lambda r: literal(r.column))}, "
        f"{_case(tried, lambda r: f'substr({r.value}, 1, 200)')}, false "
        f"FROM (SELECT *, {parsed} FROM ({text}))"
    )


def _selected(
    values: Mapping[str, str],
    resolved: Resolved,
    mapped: Mapping[str, Mapped],
    extras: Mapping[str, str],
) -> list[str]:
    """Return SQL of the stage's columns up to the contract's own."""
    found = [f"v_{n}" if n in values else f"t_{n}" if n in mapped else "NULL" for n in COLUMNS]
    places = {name: i for i, name in enumerate(COLUMNS)}
    # A row is known when it happened, and one unit, unless the source says otherwise.
    if "known_time" in values:
        found[places["known_time"]] = "coalesce(v_known_time, v_event_time)"
    else:
        found[places["known_time"]] = "v_event_time"
    quantity = found[places["quantity"]]
    found[places["quantity"]] = f"coalesce({quantity}, 1.0)"
    for name in extras:
        if name == "event_id" and "event_id" in mapped:
            found.append("t_event_id")
        else:
            found.append(identifier("x_" + name) if name in resolved.extras else "NULL")
    return found


def _case(rules: Sequence[Rule], value: Callable[[Rule], str]) -> str:
    branches = " ".join(f"WHEN {r.condition} THEN {value(r)}" for r in rules)
    return f"CASE {branches} END"


def _add_unsplit(con: duckdb.DuckDBPyConnection, source: Source, file: int) -> None:
    """Add the records that could not be split, and move the row numbers behind them."""
    if source.rejects_table is None:
        return
    table = identifier(source.rejects_table)
    first = 1 if source.header_line else 0
    _mark_open_quote(con, source, file)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE unsplit AS
        SELECT *, row - row_number() OVER (ORDER BY row) + 1 AS before,
               row_number() OVER (ORDER BY row) AS place
        FROM (SELECT line - {first} AS row, min(error_type::VARCHAR) AS kind,
                     min(substr(csv_line, 1, 200)) AS value,
                     max(length(csv_line) - length(replace(csv_line, chr(10), ''))) AS lines
              FROM {table} GROUP BY 1)
        """
    )
    con.execute(f"DROP TABLE {table}; DROP TABLE {identifier(source.rejects_table + '_scan')}")
    found = con.execute(
        "SELECT count(*), count(*) FILTER (contains(upper(kind), 'ENCODING')) FROM unsplit"
    ).fetchone()
    if not found or not found[0]:
        return
    if source.encoding is None and found[1]:
        raise UnreadableTextError("cp1252")
    con.execute(
        f"""
        UPDATE {STAGE} SET __row = moved.row + moved.place FROM (
            SELECT s.__seq AS seq, s.__row AS row, u.place
            FROM (SELECT __seq, __row FROM {STAGE} WHERE __file = {file}) s
            ASOF JOIN unsplit u ON s.__row >= u.before) AS moved
        WHERE moved.seq = {STAGE}.__seq
        """
    )
    con.execute(
        f"INSERT INTO {STAGE} (__seq, __file, __row, __reason, __value) SELECT "
        f"({file}::BIGINT << 44) | (row << 10), {file}, row, "
        f"CASE WHEN contains(kind, 'COLUMNS') THEN 'ragged_row' ELSE 'unreadable_row' END, "
        f"CASE WHEN lines > 0 THEN {_takes_in('lines')} ELSE value END FROM unsplit"
    )


def _takes_in(lines: str) -> str:
    """Return SQL for what a reject says whose quote took in the lines after it."""
    return f"'a quote opened here takes in ' || {lines} || ' more lines'"


_TAKES_IN = f"CASE WHEN __lines > 0 THEN {_takes_in('__lines')} END"


def _mark_open_quote(con: duckdb.DuckDBPyConnection, source: Source, file: int) -> None:
    """Reject the row of a quote that is never closed, with the number of lines that it took in.

    The engine reads such a quote to the end of the file without a word: in the first cell it
    drops the row, in the last one it takes the row for whole, between them the row is too short.
    """
    quote = open_quote(source.path, source.separator or ",") if source.path else None
    if quote is None:
        return
    says = _takes_in(str(quote.lines)) if quote.lines else "'a quote opened here is not closed'"
    if quote.cells > 1:
        con.execute(
            f"UPDATE {STAGE} SET __reason = coalesce(__reason, 'unreadable_row'), __value = {says} "
            f"WHERE __seq = (SELECT max(__seq) FROM {STAGE} WHERE __file = {file})"
        )
        return
    con.execute(
        f"INSERT INTO {STAGE} (__seq, __file, __row, __reason, __value) "
        f"SELECT ({file}::BIGINT << 44) | (row << 10), {file}, row, 'unreadable_row', {says} "
        f"FROM (SELECT coalesce(max(__row), 0) + 1 AS row FROM {STAGE} WHERE __file = {file})"
    )
