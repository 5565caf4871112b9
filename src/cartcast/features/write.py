"""Batches to one Parquet file, written while the next batch is made."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["write_batches"]


def write_batches(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    """Write the batches; return the number of rows.

    Texts are dictionary-encoded and read back as plain strings.
    """
    rows = 0
    with (
        pq.ParquetWriter(path, schema, compression="snappy", store_schema=False) as writer,
        ThreadPoolExecutor(1, thread_name_prefix="cartcast-write") as pen,
    ):
        writing = None
        for batch in batches:
            if writing is not None:
                writing.result()
            writing = pen.submit(writer.write_batch, batch)
            rows += batch.num_rows
        if writing is not None:
            writing.result()
    return rows
