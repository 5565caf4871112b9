"""The stage: every row of every source, typed by the contract, with its reason if it has one.

Each source is typed once, in its own order, into a Parquet file in the work folder. Later steps
never change a row: what only the whole log can tell
(which decimal mark, which session, which place) is kept in narrow tables beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import duckdb

from cartcast.events.csvfile import UnreadableTextError
from cartcast.events.engine import keeping_order, translate
from cartcast.events.ids import NULL_WORDS
from cartcast.events.items import explode
from cartcast.events.mapping import Resolved
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.privacy import Privacy, hide_typed
from cartcast.events.read import Source
from cartcast.events.rules import Rule, as_it_is, event_type_sql, first_values, typed
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import (
    identifier,
    literal,
    place_literal,
    read_parquet,
    unbound,
    worked_out,
)
from cartcast.events.values import Mapped

__all__ = ["FILE_BITS", "FROM_SOURCES", "MADE", "TYPED", "Stage", "Staged", "stage_source"]

TYPED = "typed"
"""View of all rows: canonical columns, extras, then `__` columns of the contract."""

MADE = ("utc_offset", "revenue")
"""Canonical columns that the contract makes; no source gives them."""

FROM_SOURCES = (
    "item_id", "category", "brand", "tax", "shipping", "discount", "session_seconds", "country",
    "device", "channel", "campaign", "page", "color", "location", "photo",
    "experiment", "arm",
)  # fmt: skip
"""Canonical columns that have a value only where a source gives one."""

FILE_BITS = 40
"""A row's number in all sources is its source's number, then its place in as many bits."""

_OWN = {
    "__zone": "TINYINT",
    "__date_only": "BOOLEAN",
    "__clock": "TINYINT",
    "__rule": "TINYINT",
    "__value": "VARCHAR",
    "__record": "BIGINT",
    "__nothing": "VARCHAR",
    "__event": "UBIGINT",
    **{f"__tie_{i}": "DOUBLE" for i in range(3)},
    **{f"__doubt_{c}": "VARCHAR" for c in NUMBER_COLUMNS},
}

_TOTAL_LINE = r"\s*((grand )?total|sub-?total|sum|summe|gesamt(summe)?|totale?s?)\b.*"


class Staged(NamedTuple):
    """The typed rows of one source.

    Attributes:
        path: the file that holds them; None where the rows lie elsewhere.
        present: the columns that it has -> type.
        rules: what its rows were held to, in the order in which it was tried.
    """

    path: Path | None
    present: Mapping[str, str]
    rules: Sequence[Rule] = ()

    @property
    def relation(self) -> str:
        """SQL of the rows, numbered in `__at` from 0."""
        return _scan([self.path], "") if self.path else "(SELECT 0::BIGINT AS __at WHERE false)"

    @property
    def form(self) -> tuple[object, ...]:
        """What sources must share to be read in one scan."""
        return dict(self.present), [(r.reason, r.column) for r in self.rules]


@dataclass
class Stage:
    """The typed rows of all sources.

    Attributes:
        sources: the rows of each.
        extras: the sources' own columns that are kept -> type.
        event_ids: some source has ids of events.
        first: number of the first source.
    """

    sources: list[Staged] = field(default_factory=list)
    extras: dict[str, str] = field(default_factory=dict)
    event_ids: bool = False
    first: int = 0

    def declare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the view of all rows."""
        wanted = {c: COLUMNS[c].type for c in COLUMNS if c not in MADE}
        if self.event_ids:
            wanted["event_id"] = "VARCHAR"
        wanted |= {identifier(n): kind for n, kind in self.extras.items()} | _OWN
        parts = []
        for places in self._alike():
            staged = self.sources[places[0]]
            listed = ", ".join(_column(n, kind, staged.present) for n, kind in wanted.items())
            parts.append(
                f"SELECT (__file::BIGINT << {FILE_BITS}) | __at AS __seq, __file, __at, {listed}, "
                f"{_told(staged.rules, 'reason')} AS __reason, "
                f"{_told(staged.rules, 'column')} AS __column FROM {self._rows(places)}"
            )
        con.execute(f"CREATE OR REPLACE VIEW {TYPED} AS {' UNION ALL '.join(parts)}")

    @property
    def in_one_scan(self) -> bool:
        """Whether all rows come from one scan, in the order of the sources."""
        return len(self._alike()) == 1

    def _alike(self) -> list[list[int]]:
        """Return the places of successive sources of one form, which are read in one scan.

        Of a union of many scans the engine holds the rows of each when it sorts, and spills none.
        """
        groups: list[list[int]] = []
        before: Staged | None = None
        for place, staged in enumerate(self.sources):
            if before and staged.form == before.form:
                groups[-1].append(place)
            else:
                groups.append([place])
            before = staged
        return groups

    def _rows(self, places: Sequence[int]) -> str:
        """Return SQL of the rows of sources of one form, with the number of each in `__file`."""
        if len(places) == 1:
            number = places[0] + self.first
            return f"(SELECT *, {number} AS __file FROM {self.sources[places[0]].relation})"
        files = [path for p in places if (path := self.sources[p].path) is not None]
        numbers = " ".join(
            f"WHEN {literal(str(path))} THEN {place + self.first}"
            for place, path in zip(places, files, strict=True)
        )
        return _scan(files, f", CASE filename {numbers} END AS __file")


def _scan(files: Sequence[Path], more: str) -> str:
    # Columns of our own never bear these names: they begin with two underscores.
    return (
        f"(SELECT * EXCLUDE (file_row_number, filename), file_row_number AS __at{more} "
        f"FROM {read_parquet(*files, numbered=True, named=True)})"
    )


_DERIVED = {"known_time": "event_time", "quantity": "1.0"}
"""What a column is where its source has none: known when it happened, one unit."""


def _column(name: str, kind: str, present: Mapping[str, str]) -> str:
    if present.get(name) == kind:
        return name
    if name in present:
        return f"CAST({name} AS {kind}) AS {name}"
    return f"CAST({_DERIVED.get(name, 'NULL')} AS {kind}) AS {name}"


def _told(rules: Sequence[Rule], what: str) -> str:
    """Return SQL of a rule's reason or column, by its number."""
    branches = " ".join(
        f"WHEN {i} THEN {literal(getattr(r, what))}"
        for i, r in enumerate(rules)
        if getattr(r, what)
    )
    return f"CASE __rule {branches} END" if branches else "CAST(NULL AS VARCHAR)"


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
    selected, rules, sql = _statement(source, resolved)
    columns = {name: kind for name, _, kind in selected}
    if privacy is not None:
        sql = hide_typed(con, sql, columns, privacy)
    path = work / f"typed-{len(stage.sources)}.parquet"
    try:
        with keeping_order(con):
            con.execute(
                f"COPY ({sql}) TO {place_literal(path)} (FORMAT parquet, COMPRESSION lz4_raw, "
                # Ids fill any dictionary in vain; only short ones are worth the trying.
                "ROW_GROUP_SIZE 122880, DICTIONARY_SIZE_LIMIT 1000)"
            )
    except duckdb.Error as error:
        if source.kind == "csv" and "state machine" in str(error):
            raise UnreadableTextError(source.encoding or "utf-8-sig") from error
        raise translate(error, source.name) from error
    stage.sources.append(Staged(path, columns, rules))
    for name, (_, _, kind) in resolved.extras.items():
        stage.extras[name] = kind if stage.extras.get(name, kind) == kind else "VARCHAR"
    stage.event_ids |= "event_id" in resolved.mapped


def _statement(
    source: Source, resolved: Resolved
) -> tuple[list[tuple[str, str, str]], list[Rule], str]:
    """Return the columns (name, SQL, type), the rules, and SQL in layers.

    The layers are: the source's rows, their cells as text, what several values need, typed values,
    and the first rule that a row breaks.
    """
    word = resolved.mapped.get("event_type")
    every = literal(resolved.layout.every_event)
    part, mapped = explode(resolved, event_type_sql(resolved, word.text) if word else every)
    values, own_rules = typed(resolved, mapped)
    rules = [*_shape_rules(source, resolved), *own_rules]
    broken = source.broken or "false"
    rows = source.relation
    if part is not None and not (source.positioned or source.unrolled):
        # Numbered before the row is repeated: the number is that of the source's row.
        rows = f"(SELECT *, row_number() OVER () - 1 AS row_at FROM {rows})"
    if part is not None:
        rows = f"(SELECT *, {unbound(part)} AS part FROM {rows})"
    record = "row_at" if part is not None or source.unrolled else "NULL"
    carried = [f"{broken} AS broken", f"{record} AS record", f"{source.blank or 'false'} AS blank"]
    if source.kind == "json":
        carried.append("line")
    # A cell in a record is worked out once, however often its text is looked at.
    held, cells = worked_out(_cells(source, resolved, mapped))
    if held:
        rows = f"(SELECT *, {', '.join(held)} FROM {rows})"
    text = f"SELECT {', '.join([*carried, *cells])} FROM {rows}"
    parsed = [f"{sql} AS {identifier('v_' + name)}" for name, sql in values.items()]
    parsed.append(f"{_nothing(mapped)} AS nothing")
    first = "".join(f", {sql} AS {name}" for name, sql in first_values(resolved, mapped).items())
    # A later layer may read an earlier value, such as the kind of the event.
    selected = _selected(values, mapped, resolved)
    selected += [("__rule", "rule", "TINYINT"), ("__value", _value(rules), "VARCHAR")]
    if record != "NULL":
        selected.append(("__record", "record", "BIGINT"))
    if any(m.raw for m in mapped.values()):
        selected.append(("__nothing", "nothing", "VARCHAR"))
    listed = ", ".join(f"CAST({sql} AS {kind}) AS {name}" for name, sql, kind in selected)
    broken_rule = " ".join(f"WHEN {r.condition} THEN {i}" for i, r in enumerate(rules))
    return (
        selected,
        rules,
        (
            f"SELECT {listed} FROM (SELECT *, CASE {broken_rule} END AS rule "
            f"FROM (SELECT *, {', '.join(parsed)} FROM (SELECT *{first} FROM ({text}))))"
        ),
    )


def _nothing(mapped: Mapping[str, Mapped]) -> str:
    """Return SQL of the word for nothing that a row holds in an id, with the column's name."""
    plain = ", ".join(literal(w) for w in NULL_WORDS)
    words = [
        f"CASE WHEN t_{target} IS NULL AND w_{target} NOT IN ({plain}) "
        f"THEN w_{target} || {literal(' in ' + target)} END"
        for target, m in mapped.items()
        if m.raw
    ]
    return f"coalesce({', '.join(words)})" if words else "CAST(NULL AS VARCHAR)"


def _value(rules: Sequence[Rule]) -> str:
    branches = " ".join(
        f"WHEN {i} THEN CAST({r.value} AS VARCHAR)"
        for i, r in enumerate(rules)
        if r.value != "NULL"
    )
    return (
        f"CASE WHEN rule IS NOT NULL THEN substr(CASE rule {branches} END, 1, 200) END"
        if branches
        else "CAST(NULL AS VARCHAR)"
    )


def _cells(source: Source, resolved: Resolved, mapped: Mapping[str, Mapped]) -> list[str]:
    """Return SQL of the cells as text (`t_`), of native values (`n_`), extras and flags."""
    found = [
        f"{m.native[0] if m.native and as_it_is(target, m) else m.text} "
        f"AS {identifier('t_' + target)}"
        for target, m in mapped.items()
    ]
    found += [
        f"{m.native[0]} AS {identifier('n_' + target)}"
        for target, m in mapped.items()
        if m.native is not None
    ]
    found += [f"{p} AS p_{i}" for i, p in enumerate(resolved.parts)]
    found += [f"{m.raw} AS {identifier('w_' + t)}" for t, m in mapped.items() if m.raw]
    time = mapped.get("event_time")
    if time is not None and time.plus:
        found.append(f"{time.plus} AS n_plus")
    found += [f"{sql} AS x_{i}" for i, (_, sql, _) in enumerate(resolved.extras.values())]
    found += [f"{sql} AS tie_{i}" for i, sql in enumerate(resolved.ties[:3])]
    if resolved.event:
        named = " AND ".join(f"{sql} IS NOT NULL" for sql in resolved.event)
        found.append(f"CASE WHEN {named} THEN hash({', '.join(resolved.event)}) END AS event_key")
    if source.kind == "csv":
        texts = [c.sql for c in source.cells.values() if c.kind == "VARCHAR"]
        found.append(f"{texts[0]} AS first_cell")
        # Only a ragged row is asked how many lines a quote took in.
        found += [f"{sql} AS r_{i}" for i, sql in enumerate(texts)]
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
        if name == "arm" and sql is not None and resolved.layout.arm_of_experiment:
            sql = f"if(t_experiment IS NULL, NULL, {sql})" if "experiment" in mapped else None
        if name in _DERIVED and sql is not None:
            derived = "v_event_time" if name == "known_time" else _DERIVED[name]
            sql = f"coalesce({sql}, {derived})"
        if sql is not None:
            found.append((name, sql, column.type))
    if "event_id" in mapped:
        found.append(("event_id", "t_event_id", "VARCHAR"))
    found += [
        (identifier(name), f"x_{i}", kind)
        for i, (name, (_, _, kind)) in enumerate(resolved.extras.items())
    ]
    found += [
        (name, f"v_{name}", kind)
        for name, kind in _OWN.items()
        if values.get(name) not in (None, "NULL", "0")
    ]
    found += [(f"__tie_{i}", f"tie_{i}", "DOUBLE") for i, _ in enumerate(resolved.ties[:3])]
    if resolved.event:
        found.append(("__event", "event_key", "UBIGINT"))
    return found


def _shape_rules(source: Source, resolved: Resolved) -> list[Rule]:
    """Return the reasons that come before all others: a row that is none."""
    cells = [
        f"r_{i}" for i, c in enumerate(c for c in source.cells.values() if c.kind == "VARCHAR")
    ]
    record = f"concat({', '.join(cells)})"
    lines = f"length({record}) - length(replace({record}, chr(10), ''))"
    takes_in = f"'a quote opened here takes in ' || nullif({lines}, 0) || ' more lines'"
    rules = [Rule("blank", "", "blank", "NULL")] if source.blank else []
    if source.kind == "csv":
        if resolved.parts or "event_time" in resolved.mapped:
            sums = f"v_event_time IS NULL AND regexp_full_match(lower(first_cell), '{_TOTAL_LINE}')"
            rules.append(Rule("total_line", "", sums, "first_cell"))
        rules.append(Rule("ragged_row", "", "broken", takes_in))
    elif source.kind == "json":
        rules.append(Rule("bad_json", "", "broken", "line"))
    return rules


NO_ROWS = ("blank", "total_line")
"""Reasons of lines that are no rows: neither events nor rejects."""
