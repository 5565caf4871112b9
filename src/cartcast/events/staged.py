"""The stage: every row of every source, typed by the contract, with its reason if it has one.

A Parquet file is read where it lies. Any other source is typed once, in its own order, into a
Parquet file in the work folder. Later steps never change a row: what only the whole log can tell
(which decimal mark, which session, which place) is kept in narrow tables beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from cartcast.events.csvfile import UnreadableTextError
from cartcast.events.engine import keeping_order, translate
from cartcast.events.items import explode
from cartcast.events.mapping import Mapped, Resolved
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.privacy import Privacy, hide_typed
from cartcast.events.read import Source
from cartcast.events.rules import Rule, event_type_sql, typed
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import identifier, literal

__all__ = ["MADE", "TYPED", "Stage", "stage_source"]

TYPED = "typed"
"""View of all rows: canonical columns, extras, then `__` columns of the contract."""

MADE = ("utc_offset", "revenue")
"""Canonical columns that the contract makes; no source gives them."""

_FILE_BITS = 40

_OWN = {
    "__zone": "TINYINT",
    "__date_only": "BOOLEAN",
    "__clock": "TINYINT",
    "__reason": "VARCHAR",
    "__column": "VARCHAR",
    "__value": "VARCHAR",
    "__lines": "BIGINT",
    "__record": "BIGINT",
    "__nothing": "VARCHAR",
    "__event": "UBIGINT",
    **{f"__tie_{i}": "DOUBLE" for i in range(3)},
    **{f"__doubt_{c}": "VARCHAR" for c in NUMBER_COLUMNS},
}

_TOTAL_LINE = r"\s*((grand )?total|sub-?total|sum|summe|gesamt(summe)?|totale?s?)\b.*"


@dataclass
class Stage:
    """The typed rows of all sources.

    Attributes:
        relations: SQL of the rows of each source, numbered in `__at` from 0.
        present: the columns that each of them has.
        extras: the sources' own columns that are kept -> type.
    """

    relations: list[str] = field(default_factory=list)
    present: list[Mapping[str, str]] = field(default_factory=list)
    extras: dict[str, str] = field(default_factory=dict)
    event_ids: bool = False

    def declare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the view of all rows."""
        wanted = {c: COLUMNS[c].type for c in COLUMNS if c not in MADE}
        if self.event_ids:
            wanted["event_id"] = "VARCHAR"
        wanted |= {identifier(n): kind for n, kind in self.extras.items()} | _OWN
        parts = []
        for number, (relation, present) in enumerate(zip(self.relations, self.present, strict=True)):
            columns = ", ".join(
                (f"CAST({name} AS {kind}) AS {name}" if name in present else f"CAST(NULL AS {kind}) AS {name}")
                if present.get(name) != kind else name
                for name, kind in wanted.items()
            )  # fmt: skip
            parts.append(
                f"SELECT ({number}::BIGINT << {_FILE_BITS}) | __at AS __seq, {number} AS __file, "
                f"__at, {columns} FROM {relation}"
            )
        con.execute(f"CREATE OR REPLACE VIEW {TYPED} AS {' UNION ALL '.join(parts)}")


def stage_source(
    con: duckdb.DuckDBPyConnection,
    stage: Stage,
    source: Source,
    resolved: Resolved,
    work: Path,
    privacy: Privacy | None = None,
) -> None:
    """Add the rows of one source to the stage, ids replaced before anything is written.

    Raises:
        DataError: the source cannot be read.
        StorageError: the disk is full.
        UnreadableTextError: the text must be rewritten first.
    """
    selected, sql = _statement(source, resolved)
    columns = {name: kind for name, _, kind in selected}
    if privacy is not None:
        sql = hide_typed(con, sql, columns, privacy)
    try:
        if source.positioned and resolved.items is None and privacy is None:
            relation = f"({sql})"
        else:
            path = work / f"typed-{len(stage.relations)}.parquet"
            with keeping_order(con):
                con.execute(
                    f"COPY ({sql}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION lz4_raw, "
                    "ROW_GROUP_SIZE 122880)"
                )
            # Columns of our own never bear this name: they begin with two underscores.
            relation = (
                "(SELECT * EXCLUDE (file_row_number), file_row_number AS __at FROM "
                f"read_parquet({literal(str(path))}, file_row_number = true))"
            )
    except duckdb.Error as error:
        if source.kind == "csv" and "state machine" in str(error):
            raise UnreadableTextError(source.encoding or "utf-8-sig") from error
        raise translate(error, source.name) from error
    stage.relations.append(relation)
    stage.present.append(columns)
    for name, (_, _, kind) in resolved.extras.items():
        stage.extras[name] = kind if stage.extras.get(name, kind) == kind else "VARCHAR"
    stage.event_ids |= "event_id" in resolved.mapped


def _statement(source: Source, resolved: Resolved) -> tuple[list[tuple[str, str, str]], str]:
    """Return the columns (name, SQL, type), and SQL in layers: rows, cells as text, typed values."""
    part, mapped = explode(resolved, event_type_sql(resolved))
    values, rules = typed(resolved, mapped)
    broken = source.broken or "false"
    rows = source.relation
    if part is not None and not (source.positioned or source.unrolled):
        # Numbered before the row is repeated: the number is that of the source's row.
        rows = f"(SELECT *, row_number() OVER () - 1 AS row_at FROM {rows})"
    if part is not None:
        rows = f"(SELECT *, {part} AS part FROM {rows})"
    in_place = source.positioned and part is None
    record = "row_at" if part is not None or source.positioned or source.unrolled else "NULL"
    carried = [f"{broken} AS broken", f"{record} AS record", f"{source.blank or 'false'} AS blank"]
    carried += _lines(source, broken)
    cells = [*carried, *_cells(source, resolved, mapped)]
    text = f"SELECT {', '.join(cells)} FROM {rows}"
    parsed = ", ".join(f"{sql} AS {identifier('v_' + name)}" for name, sql in values.items())
    # A later layer may read an earlier value, such as the kind of the event.
    selected = _selected(values, mapped, resolved)
    tried = [*_shape_rules(source, resolved), *rules]
    selected += [
        ("__reason", _case(tried, lambda r: literal(r.reason)), "VARCHAR"),
        ("__column", _case(tried, lambda r: literal(r.column) if r.column else "NULL"), "VARCHAR"),
        ("__value", f"substr({_case(tried, lambda r: f'CAST({r.value} AS VARCHAR)')}, 1, 200)", "VARCHAR"),
        ("__lines", "lines", "BIGINT"),
        ("__record", "record", "BIGINT"),
        ("__nothing", "nothing", "VARCHAR"),
    ]
    listed = ", ".join(f"CAST({sql} AS {kind}) AS {name}" for name, sql, kind in selected)
    at = ", record AS __at" if in_place else ""
    # The first rule that a row breaks is found once, and told three times.
    broken_rule = " ".join(f"WHEN {r.condition} THEN {i}" for i, r in enumerate(tried))
    return selected, (
        f"SELECT {listed}{at} FROM (SELECT *, CASE {broken_rule} END AS rule "
        f"FROM (SELECT *, {parsed} FROM ({text})))"
    )


def _lines(source: Source, broken: str) -> list[str]:
    if source.kind != "csv":
        return ["0 AS lines", *(["line"] if source.kind == "json" else [])]
    cells = [f"coalesce({c.sql}, '')" for c in source.cells.values() if c.kind == "VARCHAR"]
    breaks = " + ".join(f"length({c}) - length(replace({c}, chr(10), ''))" for c in cells) or "0"
    return [f"CASE WHEN {broken} THEN {breaks} ELSE 0 END AS lines"]


def _cells(
    source: Source, resolved: Resolved, mapped: Mapping[str, Mapped]
) -> list[str]:
    """Return SQL of the cells as text (`t_`), of native values (`n_`), extras and flags."""
    found = [f"{m.text} AS {identifier('t_' + target)}" for target, m in mapped.items()]
    found += [
        f"{m.native[0]} AS {identifier('n_' + target)}"
        for target, m in mapped.items()
        if m.native is not None
    ]
    found += [f"{p} AS p_{i}" for i, p in enumerate(resolved.parts)]
    words = [
        f"({m.nothing} || {literal(' in ' + target)})" for target, m in mapped.items() if m.nothing
    ]
    found.append(f"{f'coalesce({chr(44).join(words)})' if words else 'NULL'} AS nothing")
    time = mapped.get("event_time")
    if time is not None and time.plus:
        found.append(f"{time.plus} AS n_plus")
    found += [f"{sql} AS x_{i}" for i, (_, sql, _) in enumerate(resolved.extras.values())]
    found += [f"{sql} AS tie_{i}" for i, sql in enumerate(resolved.ties[:3])]
    if resolved.event:
        named = " AND ".join(f"{sql} IS NOT NULL" for sql in resolved.event)
        found.append(f"CASE WHEN {named} THEN hash({', '.join(resolved.event)}) END AS event_key")
    if source.kind == "csv":
        first = next(iter(source.cells.values())).sql
        found.append(
            f"CASE WHEN strlen({first}) < 40 AND regexp_full_match(lower({first}), "
            f"'{_TOTAL_LINE}') THEN {first} END AS total"
        )
    return found


def _selected(
    values: Mapping[str, str], mapped: Mapping[str, Mapped], resolved: Resolved
) -> list[tuple[str, str, str]]:
    """Return (name, SQL, type) of the typed columns."""
    found: list[tuple[str, str, str]] = []
    for name, column in COLUMNS.items():
        if name in MADE:
            continue
        sql = f"v_{name}" if name in values else f"t_{name}" if name in mapped else None
        # A row is known when it happened, and one unit, unless the source says otherwise.
        if name == "known_time":
            sql = "coalesce(v_known_time, v_event_time)" if name in values else "v_event_time"
        elif name == "quantity":
            sql = f"coalesce({sql}, 1.0)" if sql else "1.0"
        if sql is not None:
            found.append((name, sql, column.type))
    if "event_id" in mapped:
        found.append(("event_id", "t_event_id", "VARCHAR"))
    found += [
        (identifier(name), f"x_{i}", kind)
        for i, (name, (_, _, kind)) in enumerate(resolved.extras.items())
    ]
    found += [(name, f"v_{name}", kind) for name, kind in _OWN.items() if name in values]
    found += [(f"__tie_{i}", f"tie_{i}", "DOUBLE") for i, _ in enumerate(resolved.ties[:3])]
    if resolved.event:
        found.append(("__event", "event_key", "UBIGINT"))
    return found


def _shape_rules(source: Source, resolved: Resolved) -> list[Rule]:
    """Return the reasons that come before all others: a row that is none."""
    takes_in = "CASE WHEN lines > 0 THEN 'a quote opened here takes in ' || lines || ' more lines' END"
    rules = [Rule("blank", "", "blank", "NULL")] if source.blank else []
    if source.kind == "csv":
        if resolved.parts or "event_time" in resolved.mapped:
            rules.append(Rule("total_line", "", "total IS NOT NULL AND v_event_time IS NULL", "total"))
        rules.append(Rule("ragged_row", "", "broken", takes_in))
    elif source.kind == "json":
        rules.append(Rule("bad_json", "", "broken", "line"))
    return rules


NO_ROWS = ("blank", "total_line")
"""Reasons of lines that are no rows: neither events nor rejects."""


def _case(rules: Sequence[Rule], value: Callable[[Rule], str]) -> str:
    branches = " ".join(f"WHEN {i} THEN {value(r)}" for i, r in enumerate(rules))
    return f"CASE rule {branches} END"
