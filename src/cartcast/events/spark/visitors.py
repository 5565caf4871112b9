"""By visitor: repeats, sessions, order and money of some visitors' rows, as on one machine."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from cartcast.events.cleaning import Cleaning, Plan, Settled
from cartcast.events.reading import Read
from cartcast.events.rejects import declare_rejects
from cartcast.events.spark.keys import Questions, asking
from cartcast.events.spark.pieces import Piece, parquet, working, written
from cartcast.events.sql import place_literal
from cartcast.events.staged import Stage, Staged
from cartcast.events.summed import Answer, Part, tallying
from cartcast.events.write import form
from cartcast.progress import quiet

__all__ = ["CleanVisitors", "PartFacts", "without_rows"]


@dataclass(frozen=True)
class PartFacts:
    """What the rows of some visitors answered.

    Attributes:
        answers: to the questions that add up.
        questions: those that must be asked by key.
        written: name of the file of its clean rows, or None.
    """

    answers: Mapping[str, Answer]
    questions: Questions
    written: str | None


@dataclass(frozen=True)
class CleanVisitors:
    """Cleans the rows of the visitors of one part.

    Pieces in: `rows`. Pieces out: `part`, and rows by key.

    Attributes:
        read: the sources, without rows.
        plan: how the log is cleaned.
        settled: what files and columns decided.
        decisions: what the whole log decides, as far as it is known.
        known: answers of the whole log.
        out: folder for the clean rows, on a disk that all machines share; None writes none.
        memory: limit of the engine.
        parts: into how many parts keys are cut.
    """

    read: Read
    plan: Plan
    settled: Settled
    decisions: Mapping[str, Any]
    known: Mapping[str, Answer]
    out: Path | None
    memory: str | int | None
    parts: int

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """Yield what the rows answered, once they are cleaned and written."""
        with working(self.read.shown, self.memory) as (con, folder):
            files = written(pieces, folder)
            if not files:
                return
            read = without_rows(con, self.read)
            con.execute(f"CREATE VIEW settled AS SELECT * FROM {parquet(files)}")
            cleaning = Cleaning(con, read, self.plan, quiet)
            part = Part(self.decisions, self.known)
            with tallying(part):
                cleaned = cleaning.people(self.settled)
            name = None
            if self.out is not None:
                # A task may run twice: each run writes a file of its own, and one is told of.
                name = f"part-{uuid.uuid4().hex}.parquet"
                con.execute(
                    f"COPY ({cleaning.canonical(cleaned)}) TO "
                    f"{place_literal(self.out / name)} ({form(len(cleaned.metadata['columns']))})"
                )
            questions = {n: (a.sql, a.whole) for n, a in part.asked.items()}
            yield Piece.of(0, "part", PartFacts(part.answers, questions, name))
            yield from asking(con, part.asked, self.parts, folder)


def without_rows(con: duckdb.DuckDBPyConnection, read: Read) -> Read:
    """Return the sources with no typed row and no reject on `con`: what is asked of rows is 0."""
    typed = Stage(
        [Staged(None, {})], read.stage.extras,
        read.stage.event_ids,
    )  # fmt: skip
    typed.declare(con)
    declare_rejects(con)
    return replace(read, findings=list(read.findings))
