"""Pieces: what tasks hand over, a key, a kind and bytes; Spark moves them by their key."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from cartcast.errors import CartcastError
from cartcast.events.engine import connect, translate
from cartcast.events.sql import place_literal, read_parquet
from cartcast.scratch import scratch

__all__ = ["COLUMNS", "Piece", "Task", "collected", "cut", "files_of", "handed_over",
           "object_in", "parquet", "run", "split", "working", "written"]  # fmt: skip

COLUMNS = "key int, kind string, payload binary"
_FIELDS: list[pa.Field[Any]] = [
    pa.field("key", pa.int32()),
    pa.field("kind", pa.string()),
    pa.field("payload", pa.binary()),
]
_SCHEMA = pa.schema(_FIELDS)
_LARGEST = 1 << 24
"""Bytes of a piece: some lie in a batch, and a batch holds 2 GB at most."""

Task = Callable[[Iterator["Piece"]], Iterator["Piece"]]


class Piece(NamedTuple):
    """What one task hands to another; a file is cut into several pieces of `_LARGEST` bytes.

    Attributes:
        key: which task gets it: the number of a file, or of a part of the visitors.
        kind: what it is; `error` is an error of Cartcast, raised where the pieces are collected.
        payload: Parquet, or a pickled object of our own.
    """

    key: int
    kind: str
    payload: bytes

    @classmethod
    def of(cls, key: int, kind: str, value: Any) -> Piece:
        """Return a piece that holds an object."""
        return cls(key, kind, pickle.dumps(value))


def object_in(piece: Piece) -> Any:
    """Return the object in a piece that `Piece.of` made in another task of the same job."""
    return pickle.loads(piece.payload)  # noqa: S301 (made by our own tasks, never read from a file)


def run(pieces: Any, task: Task) -> Any:
    """Return a Spark DataFrame of the pieces that `task` makes of each partition, lazily."""
    return pieces.mapInArrow(_InArrow(task), COLUMNS)


class _InArrow:
    """A task in the form that Spark wants; a class, so that Spark can send it to the workers."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        pieces = (
            Piece(key.as_py(), kind.as_py(), payload.as_py())
            for batch in batches
            for key, kind, payload in zip(*batch.columns, strict=True)
        )
        yield from handed_over(self.task(pieces))


def handed_over(pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
    """Yield pieces in the form that Spark wants, the columns `COLUMNS`; an error ends them."""
    try:
        for piece in pieces:
            yield pa.RecordBatch.from_pylist([piece._asdict()], schema=_SCHEMA)
    except CartcastError as error:
        failed = Piece.of(-1, "error", error)
        yield pa.RecordBatch.from_pylist([failed._asdict()], schema=_SCHEMA)


def collected(pieces: Any, kind: str, *, large: bool = False) -> Iterator[Piece]:
    """Yield the pieces of a kind; large ones of one partition after the other.

    Spark makes partitions one by one then, so they should be there already.

    Raises:
        CartcastError: a task has raised it.
    """
    from pyspark.sql import functions as fn

    found = pieces.where(fn.col("kind").isin(kind, "error"))
    for row in found.toLocalIterator() if large else found.collect():
        piece = Piece(row.key, row.kind, bytes(row.payload))
        if piece.kind == "error":
            raise object_in(piece)
        yield piece


@contextmanager
def working(
    shown: str, memory: str | int | None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Yield a task's engine, on one core, and its folder."""
    with scratch() as folder, connect(folder, memory) as con:
        con.execute("SET threads = 1")
        try:
            yield con, folder
        except duckdb.Error as error:
            raise translate(error, shown) from error


def cut(data: bytes, key: int, kind: str) -> Iterator[Piece]:
    """Yield the pieces of bytes, in order."""
    for start in range(0, len(data), _LARGEST):
        yield Piece(key, kind, data[start : start + _LARGEST])


def files_of(path: Path, key: int, kind: str) -> Iterator[Piece]:
    """Yield the pieces of a file, in order."""
    with path.open("rb") as data:
        for block in iter(lambda: data.read(_LARGEST), b""):
            yield Piece(key, kind, block)


def split(
    con: duckdb.DuckDBPyConnection, rows: str, key: str, parts: int, folder: Path, kind: str,
    columns: str = "*",
) -> Iterator[Piece]:  # fmt: skip
    """Yield rows cut into parts by a key: SQL of a whole number that is not negative."""
    target = folder / f"split-{len(list(folder.iterdir()))}"
    con.execute(
        f"COPY (SELECT {columns}, CAST({key} % {parts} AS INTEGER) AS __part FROM {rows}) TO "
        f"{place_literal(target)} (FORMAT parquet, COMPRESSION lz4_raw, PARTITION_BY (__part))"
    )
    if target.is_dir():
        for path in sorted(target.rglob("*.parquet")):
            # A part of a file is far smaller than a piece may be: it stays whole.
            yield Piece(int(path.parent.name.split("=")[1]), kind, path.read_bytes())
        shutil.rmtree(target)


def written(pieces: Iterable[Piece], folder: Path) -> list[Path]:
    """Write pieces that are whole Parquet files into a folder; return where they are."""
    paths: list[Path] = []
    for number, piece in enumerate(pieces, len(list(folder.iterdir()))):
        paths.append(folder / f"piece-{number}.parquet")
        paths[-1].write_bytes(piece.payload)
    return paths


def parquet(paths: Iterable[Path]) -> str:
    """Return SQL of the rows of Parquet files."""
    return read_parquet(*paths)
