"""From simulated numbers to canonical tables, and from tables to Parquet, CSV or JSON lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from cartcast.errors import UsageError

__all__ = ["FORMATS", "Writer", "names", "open_writer", "suffix_of"]

FORMATS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
"""Suffixes that a simulated log may have; the suffix chooses the format."""


class Writer(Protocol):
    """Takes table after table."""

    def __call__(self, table: pa.Table) -> None: ...


def suffix_of(path: Path) -> str:
    """Return the format's suffix of `path`.

    Raises:
        UsageError: the suffix is none of FORMATS.
    """
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    suffix = "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])
    if suffix not in FORMATS:
        raise UsageError(f"{path}: the suffix must be one of {', '.join(FORMATS)}, got {suffix!r}.")
    return suffix


@contextlib.contextmanager
def open_writer(path: Path, schema: pa.Schema, suffix: str) -> Iterator[Writer]:
    """Yield a function that appends tables of `schema` to the file `path`."""
    if suffix == ".parquet":
        with pq.ParquetWriter(path, schema, compression="zstd") as parquet:
            yield parquet.write_table
        return
    with pa.output_stream(path, compression="gzip" if suffix.endswith(".gz") else None) as sink:
        if suffix.startswith(".csv"):
            with pyarrow.csv.CSVWriter(
                sink, schema, write_options=pyarrow.csv.WriteOptions(quoting_style="needed")
            ) as csv:
                yield csv.write_table
        else:
            yield lambda table: sink.write(json_lines(table))


def json_lines(table: pa.Table) -> pa.Buffer | bytes:
    """Return `table` as JSON lines, nulls left out; texts must need no escapes."""
    if not table.num_rows:
        return b""
    parts: list[Any] = []
    for name in table.column_names:
        column, key = table[name], json.dumps(name)
        numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        text = column.cast(pa.string())
        mark = "" if numeric else '"'
        piece = pc.binary_join_element_wise(f",{key}:{mark}", text, mark, "")
        parts.append(pc.fill_null(piece, ""))
    body = pc.binary_join_element_wise(*parts, "")
    lines = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(body, 1), "}\n", "")
    return "".join(lines.to_pylist()).encode()


def names(prefix: str, *numbers: Any, width: int = 7) -> pa.Array:
    """Return texts such as `v0000012`, or `e0000012-3-1`, for arrays of numbers.

    >>> names("v", np.array([12])).to_pylist(), names("s", np.array([1]), np.array([0])).to_pylist()
    (['v0000012'], ['s0000001-0'])
    """
    parts = [pa.array(n).cast(pa.string()) for n in numbers]
    parts[0] = pc.utf8_lpad(parts[0], width, "0")
    return pc.binary_join_element_wise(prefix, pc.binary_join_element_wise(*parts, "-"), "")


def take(values: list[str | None], index: np.ndarray) -> pa.Array:
    """Return `values` by index as texts; a negative index is null."""
    rows = pa.array(index, pa.int64(), mask=np.asarray(index) < 0)
    return pa.array(values, pa.string()).take(rows)
