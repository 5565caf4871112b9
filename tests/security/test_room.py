"""A small file that holds far more than it weighs is refused; the disk and the memory are kept."""

from __future__ import annotations

import bz2
import gzip
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast import events
from cartcast.errors import DataError
from cartcast.events import packed, room
from cartcast.rows import read_table

MB = 1_000_000


def repeated(path, shop, rows, length, kind=None):
    """Write a Parquet file that holds 1,500 long values, each of them many times."""
    few = pa.Table.from_pylist(shop(count=1_500))
    draw = random.Random(1)
    values = [draw.randbytes(length // 2).hex() for _ in range(1_500)]
    few = few.append_column("note", pa.array([[v] for v in values] if kind == "list" else values))
    table = few.take(np.arange(rows) % 1_500)
    if kind == "category":
        table = table.set_column(6, "note", table["note"].dictionary_encode())
    pq.write_table(table, path, compression="zstd", row_group_size=rows)
    return path


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(packed, "FLOOR", 8 * MB)
    monkeypatch.setattr(packed, "RATIO", 20)
    monkeypatch.setattr(room, "EVERY", 0.01)


@pytest.mark.parametrize("kind", [None, "category", "list"])
def test_a_parquet_file_that_repeats_a_value(tmp_path, shop, small, kind):
    path = repeated(tmp_path / "a.parquet", shop, 150_000, 400, kind)
    assert packed.allowed(path.stat().st_size) < 150_000 * 400 / 2
    work = tmp_path / "work"
    with pytest.raises(DataError, match="allowed for files of this size"):
        events.load(path, folder=work)
    assert not [p for p in work.rglob("*") if p.is_file()]
    packings = {"a.parquet": bytes, "a.csv": gzip.compress, "b.csv": bz2.compress}
    for name, pack in packings.items():
        (tmp_path / name).write_bytes(pack(path.read_bytes()))
        with pytest.raises(DataError, match=r"its rows take .* MB allowed"):
            read_table(tmp_path / name)


def test_honest_files_are_read(tmp_path, shop, small):
    path = repeated(tmp_path / "a.parquet", shop, 1_500, 400)
    assert len(read_table(path)) == 1_500
    assert len(events.load(path).table()) == 1_500
