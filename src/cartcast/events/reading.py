"""Reading: open each source, choose its layout, and type its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.events.csvfile import UnreadableTextError, rewritten
from cartcast.events.guess import bare_names, choose
from cartcast.events.kin import among, kin_of
from cartcast.events.layouts import Layout
from cartcast.events.mapping import Resolved, resolve, unrolled
from cartcast.events.numbers import NUMBER_COLUMNS, votes_sql
from cartcast.events.orders import resolve_orders
from cartcast.events.privacy import Privacy
from cartcast.events.read import Source, expand, open_source
from cartcast.events.rejects import declare_unsplit, read_unsplit
from cartcast.events.staged import Stage, stage_source
from cartcast.events.telling import told_columns
from cartcast.findings import Finding
from cartcast.progress import Progress

__all__ = ["Read", "one_clock", "open_by", "read_source", "read_sources", "require_columns"]


MOST_COLUMNS = 2000
"""Columns of a log: an export of GA4 opens into some 200."""


@dataclass
class Read:
    """Every source, opened and typed.

    Attributes:
        sources: in the order in which they were given; the orders table last.
        resolved: their layouts, resolved.
        stage: their typed rows.
        findings: what must be said of the layouts.
        clock: what the layouts say that the clock can tell.
        orders_file: number of the orders table among the sources, or None.
    """

    sources: list[Source] = field(default_factory=list)
    resolved: list[Resolved] = field(default_factory=list)
    stage: Stage = field(default_factory=Stage)
    findings: list[Finding] = field(default_factory=list)
    clock: str = "time"
    orders_file: int | None = None

    @property
    def first(self) -> int:
        """Number of the first source: not 0 where another machine reads those before."""
        return self.stage.first

    @property
    def shown(self) -> str:
        """The sources, for messages."""
        first = self.sources[0].name
        return first if len(self.sources) == 1 else f"{first} and {len(self.sources) - 1} more"


def read_sources(
    con: duckdb.DuckDBPyConnection,
    found: Sequence[Any],
    layout: Layout | None,
    orders: Any,
    work: Path,
    say: Progress,
    privacy: Privacy | None,
) -> Read:
    """Open every source with its layout and type its rows on `con`.

    Raises:
        DataError: a source cannot be read, or clocks differ.
        UsageError: the orders are not one table.
    """
    read = Read()
    opened = [open_by(con, file, layout, work) for file in found]
    kin = kin_of(opened)
    for one in opened:
        source, resolved, findings = _fitted(one, layout, kin)
        read.sources.append(source)
        read.resolved.append(resolved)
        read.findings += findings
    read.clock = one_clock(read)
    if orders is not None:
        files = list(expand(orders))
        if len(files) != 1:
            raise UsageError(f"orders must be one table, got {len(files)} files in {orders}.")
        source = bare_names(open_source(con, files[0], work))
        read.orders_file = len(read.sources)
        read.sources.append(source)
        read.resolved.append(resolve_orders(source, read.clock))
    for number in range(len(read.sources)):
        say(f"reading {Path(read.sources[number].name).name}", number / len(read.sources))
        _typed(con, read, number, work, privacy)
    if privacy is not None:
        require_columns(read, privacy)
    read.stage.declare(con)
    return read


def read_source(
    con: duckdb.DuckDBPyConnection,
    file: Any,
    number: int,
    layout: Layout | None,
    work: Path,
    privacy: Privacy | None,
    kin: Sequence[Source],
) -> Read:
    """Open and type one of several sources, where others read the rest; `number` is its place.

    `kin` are the first of all sources (`kin_of`).

    Raises:
        DataError: it cannot be read.
    """
    source, resolved, findings = _fitted(open_by(con, file, layout, work), layout, kin)
    read = Read([source], [resolved], Stage(first=number), findings, resolved.clock)
    _typed(con, read, 0, work, privacy)
    return read


def one_clock(read: Read) -> str:
    """Return what the layouts say that the clock can tell.

    Raises:
        DataError: they say different things.
    """
    clocks = {r.clock for r in read.resolved}
    if len(clocks) > 1:
        raise DataError(
            f"{read.shown}: the sources have different clocks ({', '.join(sorted(clocks))}); read "
            "them apart."
        )
    return clocks.pop()


def open_by(con: duckdb.DuckDBPyConnection, file: Any, layout: Layout | None, work: Path) -> Source:
    """Open a source as its layout says that it is written.

    Raises:
        DataError: it cannot be read, or has too many columns.
    """
    header = [v.header for v in (layout, *layout.variants)] if layout else []
    source = open_source(
        con,
        file,
        work,
        separator=layout.separator if layout else None,
        header=[h for h in header if h],
        skip=layout.skip if layout else None,
    )
    if len(source.cells) > MOST_COLUMNS:
        raise DataError(
            f"{source.name}: has {len(source.cells):,} columns, at most {MOST_COLUMNS:,} are read; "
            "give those that a log needs."
        )
    return source


def _fitted(
    source: Source, layout: Layout | None, kin: Sequence[Source]
) -> tuple[Source, Resolved, list[Finding]]:
    source, chosen, findings = choose(among(source, kin), layout)
    source = unrolled(chosen, source)
    return source, resolve(chosen, source), findings


def require_columns(read: Read, privacy: Privacy) -> None:
    """Refuse to leave a column as it is because no source has it by that name."""
    known = sorted(
        {c.strip('"') for s in read.stage.sources for c in s.present if not c.startswith("__")}
    )
    for name in privacy.columns:
        if name not in known:
            raise UsageError(
                f"privacy: the log has no column {name!r} to pseudonymise."
                f"{did_you_mean(name, known)}"
            )


def _typed(
    con: duckdb.DuckDBPyConnection, read: Read, number: int, work: Path, privacy: Privacy | None
) -> None:
    """Type the rows of one source; again, if its text or its decimal mark was taken wrongly."""
    source = read.sources[number]
    for _ in range(3):
        try:
            stage_source(con, read.stage, source, read.resolved[number], work, privacy)
            read_unsplit(con, source, read.first + number)
        except UnreadableTextError as error:
            _forget(con, read.stage, number)
            source = read.sources[number] = rewritten(con, source, error.encoding, work)
            read.resolved[number] = resolve(read.resolved[number].layout, source)
            continue
        mark = _decided(con, read, number)
        if mark == read.resolved[number].mark:
            if privacy is not None:
                read.findings += told_columns(
                    con, read.stage.sources[number].relation, source.short
                )
            return
        _forget(con, read.stage, number)
        layout = replace(read.resolved[number].layout, decimal=mark)
        read.resolved[number] = resolve(layout, source)
    raise DataError(f"{source.name}: cannot be split into rows; export it as UTF-8 CSV.")


def _forget(con: duckdb.DuckDBPyConnection, stage: Stage, number: int) -> None:
    del stage.sources[number:]
    declare_unsplit(con)
    con.execute("DELETE FROM unsplit WHERE file = ?", [stage.first + number])


def _decided(con: duckdb.DuckDBPyConnection, read: Read, number: int) -> str:
    """Return the decimal mark that all values of a source speak for.

    Raises:
        DataError: none is sure, and some number depends on it.
    """
    resolved = read.resolved[number]
    doubts = [c for c in NUMBER_COLUMNS if f"__doubt_{c}" in read.stage.sources[number].present]
    if not doubts:
        return resolved.mark
    relation = read.stage.sources[number].relation
    point = comma = either = 0
    example, column = None, ""
    for name in doubts:
        votes = votes_sql(f"__doubt_{name}")
        plain = f"count(*) FILTER (__doubt_{name} IS NULL AND {name} <> trunc({name}))"
        row = con.execute(
            f"SELECT {votes['point']} + {plain}, {votes['comma']}, {votes['either']}, "
            f"any_value(__doubt_{name}) FROM {relation}"
        ).fetchone()
        assert row is not None
        point, comma, either = point + row[0], comma + row[1], either + row[2]
        if row[2] and example is None:
            example, column = row[3], resolved.mapped[name].column
    if resolved.mark == ",":
        # Fractions of a comma file are its commas; a point in it would be one of thousands.
        return ","
    if comma > point:
        return ","
    if either and not point and not comma:
        raise DataError(
            f"{read.sources[number].name}: numbers in {column!r} such as {example!r} may have a "
            "decimal mark or a thousands mark, and no other number tells; state `decimal: '.'` or "
            "`decimal: ','` in a layout (`cartcast layout FILE`)."
        )
    return resolved.mark
