"""Questions by key: rows of one key are brought together by Spark, and asked there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cartcast.events.spark.pieces import (
    Piece,
    collected,
    object_in,
    parquet,
    run,
    split,
    working,
    written,
)
from cartcast.events.summed import ROWS, Answer, Asked, add_answers

__all__ = ["Questions", "answered", "asking"]

Questions = Mapping[str, tuple[str, str | None]]
"""Question -> its SQL, and that which makes one result of several (`summed.keyed`)."""

_KIND = "asked "


def asking(
    con: duckdb.DuckDBPyConnection, asked: Mapping[str, Asked], parts: int, folder: Path
) -> Iterator[Piece]:
    """Yield a task's rows for the questions, cut by their keys."""
    for name, question in asked.items():
        yield from split(con, question.rows, "hash(key)", parts, folder, _KIND + name)


def answered(pieces: Any, questions: Questions, parts: int) -> dict[str, Answer]:
    """Return the answers to questions whose rows are among the pieces."""
    if not questions:
        return {}
    from pyspark.sql import functions as fn

    rows = pieces.where(fn.col("kind").startswith(_KIND)).repartitionById(parts, fn.col("key"))
    found: dict[str, list[pa.Table]] = {}
    for piece in collected(run(rows, _Answering(questions)), "found"):
        name, table = object_in(piece)
        found.setdefault(name, []).append(table)
    answers = {}
    for name, tables in found.items():
        whole = questions[name][1]
        if whole is not None:
            with duckdb.connect() as con:
                con.register("results", pa.concat_tables(tables))
                answers[name] = Answer(con.execute(whole.replace(ROWS, "results")).fetchall())
        else:
            answers |= add_answers({name: Answer(_rows(t))} for t in tables)
    return answers


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(c.to_pylist() for c in table.columns), strict=True))


class _Answering:
    """Asks the questions of the rows of a part of the keys."""

    def __init__(self, questions: Questions) -> None:
        self.questions = dict(questions)

    def __call__(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        with working("the keys of a log", None) as (con, folder):
            paths: dict[str, list[Path]] = {}
            for piece in pieces:
                paths.setdefault(piece.kind, []).extend(written([piece], folder))
            for kind, files in paths.items():
                name = kind.removeprefix(_KIND)
                sql = self.questions[name][0].replace(ROWS, parquet(files))
                yield Piece.of(0, "found", (name, con.execute(sql).to_arrow_table()))
