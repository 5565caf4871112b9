"""By file: open it with its layout, type its rows, and later cut them by visitor.

A file is one task, so what a file decides (its layout, encoding, decimal mark, whether it runs
backwards) is decided as on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb

from cartcast.events.cleaning import Cleaning, Plan
from cartcast.events.clock import read_clock, resolve_doubled
from cartcast.events.layouts import Layout
from cartcast.events.mapping import Resolved
from cartcast.events.order import Direction, directions
from cartcast.events.privacy import Privacy
from cartcast.events.read import Source
from cartcast.events.reading import Read, read_source
from cartcast.events.rejects import (
    REJECTED_ROWS,
    collect_rejects,
    declare_rejects,
    reject_where,
    rejects_findings,
)
from cartcast.events.rules import Rule
from cartcast.events.spark.keys import Questions, asking
from cartcast.events.spark.links import LINKED, PAIRS, Links
from cartcast.events.spark.pieces import Piece, files_of, object_in, split, working
from cartcast.events.sql import place_literal
from cartcast.events.staged import Stage, Staged
from cartcast.events.summed import Answer, Asked, Part, counted, tallying
from cartcast.findings import Finding
from cartcast.progress import quiet
from cartcast.sessions import USUAL

__all__ = ["CutFile", "Decided", "FileFacts", "LinkFile", "TypeFile", "by_file", "settled"]


@dataclass(frozen=True)
class FileFacts:
    """What one file says of itself, and what its rows answered.

    Attributes:
        number: of the file, from 0.
        source: the file, without what only its own task needs.
        resolved: its layout, resolved.
        findings: what must be said of its layout.
        clock: what its layout says that the clock can tell.
        present: its typed columns.
        rules: the rules that its rows were held to.
        extras: its own columns that are kept -> type.
        event_ids: it has ids of events.
        good: SQL of the condition that a row is a good one.
        answers: what its rows answered.
        questions: those that must be asked by key.
    """

    number: int
    source: Source
    resolved: Resolved
    findings: list[Finding]
    clock: str
    present: Mapping[str, str]
    rules: Sequence[Rule]
    extras: Mapping[str, str]
    event_ids: bool
    good: str
    answers: Mapping[str, Answer]
    questions: Questions


@dataclass(frozen=True)
class TypeFile:
    """Types the rows of each file and asks what files can answer.

    Pieces in: `file`, the path. Pieces out: `facts`, `typed`, `rejects` and rows by key. `kin` are
    the first of all files (`kin_of`).
    """

    layout: Layout | None
    kin: Sequence[Source]
    privacy: Privacy | None
    memory: str | int | None
    parts: int

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Yield what each file says, its typed rows and its rejects."""
        for piece in pieces:
            path = Path(piece.payload.decode())
            with working(str(path), self.memory) as (con, folder):
                yield from self._typed(con, path, piece.key, folder)

    def _typed(
        self, con: duckdb.DuckDBPyConnection, path: Path, number: int, folder: Path
    ) -> Iterator[Piece]:
        read = read_source(con, path, number, self.layout, folder, self.privacy, self.kin)
        read.stage.declare(con)
        part = Part()
        with tallying(part):
            ambiguous = read_clock(con, read.sources, read.clock, number).ambiguous
            collect_rejects(con, read.sources, ambiguous, number)
            rejects_findings(con, {}, 0)
            good = reject_where(ambiguous, con)
            directions(con, good, read.clock)
            Cleaning(con, read, Plan(USUAL, None, None), quiet).settle(good, [], doubled=False)
            counted(
                con,
                "span",
                "SELECT epoch_us(min(event_time)), epoch_us(max(event_time)), count(*) FROM good",
                least=[0],
                most=[1],
            )
        stage, staged = read.stage, read.stage.sources[0]
        facts = FileFacts(
            number, _bare(read.sources[0], read.resolved[0]), _plain(read.resolved[0]),
            read.findings, read.clock, staged.present, staged.rules, stage.extras,
            stage.event_ids, good, part.answers,
            {name: (a.sql, a.whole) for name, a in part.asked.items()},
        )  # fmt: skip
        yield Piece.of(number, "facts", facts)
        assert staged.path is not None
        yield from files_of(staged.path, number, "typed")
        yield from _rejected(con, folder, number)
        yield from asking(con, part.asked, self.parts, folder)


def _rejected(con: duckdb.DuckDBPyConnection, folder: Path, number: int) -> Iterator[Piece]:
    """Yield the rejects of a file, if it has any."""
    path = folder / "rejects.parquet"
    con.execute(f"COPY {REJECTED_ROWS} TO {place_literal(path)} (FORMAT parquet)")
    if con.execute(f"SELECT count(*) FROM {REJECTED_ROWS}").fetchone() != (0,):
        yield from files_of(path, number, "rejects")


def _bare(source: Source, resolved: Resolved) -> Source:
    """Return a source without its rows: enough of the sample is kept to tell what was not read."""
    cells = {
        name: cell if cell.type is None else cell._replace(type=str(cell.type))
        for name, cell in source.cells.items()
    }
    unread = [() if name in resolved.used else source.values(name)[:50] for name in source.columns]
    depth = max(map(len, unread), default=0)
    sample = tuple(tuple(v[i] if i < len(v) else None for v in unread) for i in range(depth))
    return replace(source, cells=cells, sample=sample, kin=(), path=None, rejects_table=None)


def _plain(resolved: Resolved) -> Resolved:
    """Return a resolved layout without types of the engine, which cannot travel."""
    if resolved.items is None:
        return resolved
    listed, column, cell = resolved.items
    return replace(resolved, items=(listed, column, cell._replace(type=str(cell.type))))


@dataclass(frozen=True)
class Decided:
    """What all files together decided.

    Attributes:
        extras: columns that are kept -> type.
        event_ids: some file has ids of events.
        doubled: times lie in an hour that the clock had twice.
        directions: how each file lies in time.
        known: the answers of all files.
        decisions: what was decided by them.
    """

    extras: Mapping[str, str]
    event_ids: bool
    doubled: bool
    directions: Sequence[Direction]
    known: Mapping[str, Answer]
    decisions: Mapping[str, Any]


@contextmanager
def settled(
    facts: FileFacts, typed: Iterator[Piece], decided: Decided, memory: str | int | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path, Part]]:
    """Yield an engine with the good rows of a typed file as the view `settled`."""
    with working(facts.source.name, memory) as (con, folder):
        path = folder / "typed.parquet"
        with path.open("wb") as out:
            out.writelines(piece.payload for piece in typed)
        stage = Stage(
            [Staged(path, facts.present, facts.rules)], dict(decided.extras),
            decided.event_ids, facts.number,
        )  # fmt: skip
        stage.declare(con)
        read = Read([facts.source], [facts.resolved], stage, clock=facts.clock)
        # Rows are rejected again only where the whole log took an id for a default.
        declare_rejects(con)
        part = Part(decided.decisions, decided.known)
        with tallying(part):
            if decided.doubled:
                resolve_doubled(con, facts.good, decided.directions)
            Cleaning(con, read, Plan(USUAL, None, None), quiet).settle(
                facts.good, list(decided.directions), decided.doubled
            )
        yield con, folder, part


def by_file(pieces: Iterator[Piece]) -> Iterator[tuple[FileFacts, Iterator[Piece]]]:
    """Yield each file's facts, and its typed rows, in the order in which its task made them."""
    for _, file in groupby(pieces, key=lambda piece: piece.key):
        facts, *typed = file
        yield object_in(facts), iter(typed)


@dataclass(frozen=True)
class LinkFile:
    """Tells whom the sessions and logins of typed files stand for, as rows by key."""

    decided: Decided
    memory: str | int | None
    parts: int

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Yield the sessions and logins of each file."""
        for facts, typed in by_file(pieces):
            with settled(facts, typed, self.decided, self.memory) as (con, folder, _):
                pairs = Asked(f"({PAIRS})", LINKED, None)
                yield from asking(con, {"links": pairs}, self.parts, folder)


@dataclass(frozen=True)
class CutFile:
    """Cuts the good rows of typed files by visitor.

    Pieces in: `facts`, then `typed`. Pieces out: `rows`, by part, and `told`, what it answered.
    """

    decided: Decided
    links: Links
    memory: str | int | None
    parts: int

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Yield each file's good rows, and what they answered."""
        for facts, typed in by_file(pieces):
            with settled(facts, typed, self.decided, self.memory) as (con, folder, part):
                yield Piece.of(facts.number, "told", part.answers)
                yield from _rejected(con, folder, facts.number)
                rows, key = self.links.joined(con, "settled")
                yield from split(con, rows, key, self.parts, folder, "rows", "r.*")
