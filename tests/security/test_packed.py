"""Packed files are known by content, counted while they are unpacked, and leave nothing behind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib

import pyarrow as pa
import pytest

from cartcast import events
from cartcast.app import files
from cartcast.errors import DataError
from cartcast.events import packed
from cartcast.rows import read_table

LIMIT = 200_000


def zipped(data: bytes, name: str = "a.csv", **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        for other, content in more.items():
            archive.writestr(other, content)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


PACKERS = {
    "gzip": gzip.compress,
    "zip": zipped,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "gzip in gzip": lambda d: gzip.compress(gzip.compress(d)),
    "gzip in zip": lambda d: zipped(gzip.compress(d), "a.csv.gz"),
    "zip in zip": lambda d: zipped(zipped(d), "inner.zip"),
    "zip in gzip": lambda d: gzip.compress(zipped(d)),
    "xz in bzip2 in gzip": lambda d: gzip.compress(bz2.compress(lzma.compress(d))),
    "zstd in zip": lambda d: zipped(zstd(d), "a.csv.zst"),
    "members of gzip": lambda d: gzip.compress(d[:99]) + gzip.compress(d[99:]),
    "streams of bzip2": lambda d: bz2.compress(d[:99]) + bz2.compress(d[99:]),
    "streams of xz": lambda d: lzma.compress(d[:99]) + b"\0" * 8 + lzma.compress(d[99:]),
    "frames of zstd": lambda d: zstd(d[:99]) + zstd(d[99:]),
}
NAMES = ["a.csv", "a.zip", "a"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(packed, "FLOOR", LIMIT)


def bomb(pack, lines: int = 150_000) -> bytes:
    """A packed log that goes on too long, with a head that is a true one."""
    line = b"u1,s1,2024-01-01 10:00:00,view,p1,1\n"
    head = b"user_id,session_id,event_time,event_type,product_id,price\n"
    return pack(head + line * lines)


@pytest.mark.parametrize("form", PACKERS)
def test_any_packing_is_read_whatever_its_name(tmp_path, text, form):
    for name in NAMES:
        path = tmp_path / name
        path.write_bytes(PACKERS[form](text().encode()))
        assert len(events.load(path).table()) == 60
        assert len(read_table(path)) == 60
        path.unlink()


@pytest.mark.parametrize("form", PACKERS)
def test_a_bomb_is_refused_and_nothing_is_left(tmp_path, monkeypatch, form):
    content = bomb(PACKERS[form])
    assert len(content) * packed.RATIO < 5_400_000
    most = 0
    copied = packed.shutil.copyfileobj

    def watched(source, target, length):
        nonlocal most
        try:
            copied(source, target, length)
        finally:
            target.flush()
            most = max(most, target.tell())

    monkeypatch.setattr(packed.shutil, "copyfileobj", watched)
    for name in ("a.csv", "a.zip"):
        work = tmp_path / "work"
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match="unpacks to"):
            events.load(path, folder=work)
        with pytest.raises(DataError, match="unpacks to"):
            read_table(path)
        assert not list(work.rglob("*"))
        assert most <= packed.allowed(len(content)) + packed._BLOCK
        path.unlink()


@pytest.mark.parametrize("form", PACKERS)
def test_an_upload_is_counted_before_it_is_kept(tmp_path, monkeypatch, form):
    monkeypatch.setattr(files, "_UNPACKED", 2)
    content = bomb(PACKERS[form], 60_000)
    assert len(content) < 1_000_000
    for name in ("a.csv", "a.zip"):
        with pytest.raises(DataError, match=r"unpacks to .* 2 MB allowed"):
            files.save_upload(tmp_path, name, io.BytesIO(content), 1)
    assert not list(tmp_path.rglob("*"))


def test_the_whole_upload_is_kept(tmp_path, text):
    for form, pack in PACKERS.items():
        content = pack(text().encode())
        path = files.save_upload(tmp_path, "a.csv", io.BytesIO(content), 1)
        assert path.read_bytes() == content, form


def test_what_lies_about_its_size(tmp_path, text):
    honest = zipped(bomb(lambda d: d))
    at = honest.index(b"PK\x01\x02")
    for size in (10, 0, 2**32 - 1):
        lying = bytearray(honest)
        lying[at + 24 : at + 28] = struct.pack("<I", size)
        path = tmp_path / "a.csv"
        path.write_bytes(bytes(lying))
        with pytest.raises(DataError):
            events.load(path)


def test_a_zip_file_of_many_members_is_not_listed(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(12_000):
            archive.writestr(f"{i}.txt", b"")
    for name in ("a.zip", "a.csv"):
        with pytest.raises(DataError, match="list of its members"):
            files.save_upload(tmp_path, name, io.BytesIO(out.getvalue()), 10)
        (tmp_path / name).write_bytes(out.getvalue())
        with pytest.raises(DataError, match="list of its members"):
            events.load(tmp_path / name)


def test_packed_too_often(tmp_path, text):
    content = text().encode()
    for _ in range(packed.LAYERS + 1):
        content = gzip.compress(content)
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="packed 4 times over"):
        events.load(path)


def test_a_file_that_unpacks_to_itself_ends(tmp_path):
    """Layers of layers: each small, all together without end but for the bound."""
    content = b"x"
    for _ in range(50):
        content = zipped(content, "a.zip")
    with pytest.raises(DataError, match="packed 4 times over"):
        files.save_upload(tmp_path, "a.zip", io.BytesIO(content), 1)


@pytest.mark.parametrize("form", [f for f in PACKERS if " " not in f])
def test_cut_and_damaged_files_are_refused_in_one_line(tmp_path, text, form):
    import random

    draw = random.Random(1)
    whole = PACKERS[form](text(count=300).encode())
    for _ in range(12):
        broken = bytearray(whole[: draw.randint(20, len(whole) - 1)])
        if draw.random() < 0.5:
            broken = bytearray(whole)
            broken[draw.randrange(8, len(whole))] ^= 1 << draw.randrange(8)
        path = tmp_path / "a.csv"
        path.write_bytes(bytes(broken))
        told = []
        try:
            told = [len(events.load(path).table())]
        except DataError as error:
            told = [*told, str(error)]
        # Either it is refused in one line, or the change was in a part that says nothing.
        assert told == [300] or "\n" not in str(told[0])


@pytest.mark.parametrize(
    "head", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x00", b"\x1f\x9d", b"a" * 257 + b"ustar\x0000"]
)
def test_archives_that_are_not_opened_say_so(tmp_path, head):
    path = tmp_path / "a.csv"
    for content in (head + b"0" * 600, gzip.compress(head + b"0" * 600)):
        path.write_bytes(content)
        with pytest.raises(DataError, match="archive; unpack it"):
            events.load(path)


def test_memory_of_an_unpacker_is_bounded(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    path = tmp_path / "a.csv"
    path.write_bytes(lzma.compress(b"a,b\n1,2\n", filters=filters))
    with pytest.raises(DataError, match=r"[Mm]emory"):
        events.load(path)


def test_a_parquet_file_in_a_packing(tmp_path, text):
    import pandas as pd

    pd.read_csv(io.StringIO(text())).to_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    for form in ("gzip", "zip", "xz"):
        path = tmp_path / "b.csv"
        path.write_bytes(PACKERS[form](content))
        assert len(events.load(path).table()) == 60


def test_zlib_is_what_gzip_counts():
    # An independent count of what the counter must find.
    data = bomb(lambda d: d)
    content = gzip.compress(data)
    told = packed.measure(io.BytesIO(content), "a", "a", len(data))
    assert told == len(zlib.decompress(content, 31)) == len(data)
    with pytest.raises(DataError):
        packed.measure(io.BytesIO(content), "a", "a", len(data) - 1)
