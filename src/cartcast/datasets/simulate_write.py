"""Tables to Parquet, CSV or JSON lines, piece by piece; the suffix of the file chooses."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from cartcast.errors import UsageError

__all__ = ["FORMATS", "Write", "json_lines", "open_writer", "suffix_of"]

FORMATS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
"""Suffixes that a simulated log may have."""

Write = Callable[[pa.Table], Any]
"""Takes table after table."""


def suffix_of(path: Path) -> str:
    """Return the format's suffix of `path`.

    Raises:
        UsageError: the suffix is none of FORMATS.

    >>> suffix_of(Path("a.b.csv.gz")), suffix_of(Path("log.parquet"))
    ('.csv.gz', '.parquet')
    """
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    suffix = "".join(suffixes if suffixes[-1:] == [".gz"] else suffixes[-1:])
    if suffix not in FORMATS:
        raise UsageError(f"{path}: the suffix must be one of {', '.join(FORMATS)}, got {suffix!r}.")
    return suffix


@contextlib.contextmanager
def open_writer(path: Path, schema: pa.Schema, suffix: str) -> Iterator[Write]:
    """Yield a function that appends tables of `schema` to the file `path`."""
    if suffix == ".parquet":
        with pq.ParquetWriter(path, schema, compression="zstd") as parquet:
            yield parquet.write_table
        return
    with contextlib.ExitStack() as stack:
        sink: Any = stack.enter_context(pa.OSFile(str(path), "wb"))
        if suffix.endswith(".gz"):
            sink = stack.enter_context(pa.CompressedOutputStream(sink, "gzip"))
        if suffix.startswith(".csv"):
            options = pyarrow.csv.WriteOptions(quoting_style="none")
            csv = stack.enter_context(pyarrow.csv.CSVWriter(sink, schema, write_options=options))
            yield csv.write_table
        else:
            yield lambda table: sink.write(json_lines(table))


def json_lines(table: pa.Table) -> bytes:
    r"""Return `table` as JSON lines, nulls left out; its texts must need no escapes.

    >>> json_lines(pa.table({"a": ["x", None], "b": [1.5, 2.0]}))
    b'{"a":"x","b":1.5}\n{"b":2}\n'
    """
    nothing: Any = pa.scalar("")
    pieces: list[Any] = []
    for name in table.column_names:
        column = table[name]
        number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        mark: Any = pa.scalar("" if number else '"')
        key: Any = pa.scalar(f",{json.dumps(name)}:")
        text: Any = column.cast(pa.string())
        piece: Any = pc.binary_join_element_wise(key, mark, text, mark, nothing)
        pieces.append(pc.fill_null(piece, nothing))
    start: Any = pa.scalar("{")
    end: Any = pa.scalar("}\n")
    body: Any = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*pieces, nothing), 1)
    lines: Any = pc.binary_join_element_wise(start, body, end, nothing)
    return "".join(lines.to_pylist()).encode()
