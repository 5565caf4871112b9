"""Packed files, known by content: unpacked layer by layer, counted, and never past a limit."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from cartcast.errors import DataError

__all__ = ["Plain", "allowed", "form_of", "measure", "open_plain", "unpack"]

LAYERS = 3
"""Packings within each other that are opened: a gzip file in a zip file has two."""
FLOOR, RATIO = 1_000_000_000, 200
_MOST_DIRECTORY = 1 << 18
_XZ_MEMORY = 256 << 20
_BLOCK = 1 << 20

_FORMS = {
    "zip": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "gzip": rb"\x1f\x8b",
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "xz": rb"\xfd7zXZ\x00",
    "zstd": rb"(\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)",
    "7z": rb"7z\xbc\xaf\x27\x1c",
    "RAR": rb"Rar!\x1a\x07",
    "compress": rb"\x1f[\x9d\xa0]",
    "tar": rb"(?s:.{257})ustar",
}
_NOT_OPENED = ("7z", "RAR", "compress", "tar")
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError,
    ValueError, OSError,
)  # fmt: skip


class Plain(NamedTuple):
    """What lies inside all packings: its bytes, its name, and the packings, outermost first."""

    stream: BinaryIO
    name: str
    forms: tuple[str, ...]


def allowed(size: int) -> int:
    """Return the most bytes that a packed file of `size` bytes may unpack to.

    Click logs shrink to a tenth or a twentieth; what shrinks two hundred times is no log.

    >>> allowed(1000), allowed(10**9)
    (1000000000, 200000000000)
    """
    return max(FLOOR, RATIO * size)


def form_of(head: bytes) -> str | None:
    """Return how a file that starts with `head` (512 bytes suffice) is packed, whatever its name.

    >>> form_of(gzip.compress(b"a")), form_of(b"a,b")
    ('gzip', None)
    """
    return next((form for form, magic in _FORMS.items() if re.match(magic, head)), None)


def _too_large(where: str, most: int, told: int | None = None) -> DataError:
    size = "more" if told is None else f"{told / 1e6:,.0f} MB, more"
    return DataError(
        f"{where}: unpacks to {size} than the {most / 1e6:,.0f} MB allowed; unpack it yourself, "
        "look at it, and give what is in it."
    )


class _Counted(io.RawIOBase):
    """A stream that stops when all layers together have given more than they may."""

    def __init__(self, inner: Any, budget: list[int], where: str, head: bytes = b"") -> None:
        self.inner, self.budget, self.where = inner, budget, where
        self.head = head

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return not self.head and bool(self.inner.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self.inner.seek(offset, whence))

    def tell(self) -> int:
        return int(self.inner.tell())

    def readinto(self, buffer: Any) -> int:
        most = min(len(buffer), _BLOCK)
        data, self.head = self.head[:most], self.head[most:]
        data = data or self.inner.read(most)
        buffer[: len(data)] = data
        self.budget[0] -= len(data)
        if self.budget[0] < 0:
            raise _too_large(self.where, self.budget[1])
        return len(data)


class _Streams(io.RawIOBase):
    """The content of bzip2 or xz streams, one after the other."""

    def __init__(self, source: BinaryIO, make: Callable[[], Any]) -> None:
        self.source, self.make = source, make
        self.unpacker = make()
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self.unpacker.eof:
                # Zeros may pad the end of a stream.
                self.rest = self.unpacker.unused_data.lstrip(b"\0") or self.source.read(_BLOCK)
                if not self.rest.strip(b"\0"):
                    return 0
                self.unpacker = self.make()
            elif self.unpacker.needs_input and not self.rest:
                self.rest = self.source.read(_BLOCK)
                if not self.rest:
                    raise EOFError("it ends too early")
            data = self.unpacker.decompress(self.rest, min(len(buffer), _BLOCK))
            self.rest = b""
            if data:
                buffer[: len(data)] = data
                return len(data)


def open_plain(stream: BinaryIO, name: str, where: str, most: int) -> Plain:
    """Return what lies inside all packings of a stream; reading it past `most` bytes is refused.

    Raises:
        DataError: it is damaged, protected, holds several files, or is packed too often.
    """
    budget = [most, most]
    forms: list[str] = []
    while True:
        head = stream.read(512)
        form = form_of(head)
        if stream.seekable():
            stream.seek(0)
        else:
            stream = _buffered(_Counted(stream, budget, where, head))
        if form is None:
            return Plain(stream, name, tuple(forms))
        forms.append(form)
        if form in _NOT_OPENED:
            raise DataError(f"{where}: a {form} archive; unpack it and give the file in it.")
        if len(forms) > LAYERS:
            raise DataError(
                f"{where}: packed {len(forms)} times over ({', '.join(forms)}), at most {LAYERS} "
                "are opened; unpack it and give the file in it."
            )
        inner, name = _layer(stream, form, name, where, budget)
        stream = _buffered(_Counted(inner, budget, where))


def _buffered(raw: io.RawIOBase) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(raw, _BLOCK))


def _layer(
    stream: BinaryIO, form: str, name: str, where: str, budget: list[int]
) -> tuple[Any, str]:
    """Return the stream inside one packing, and its name."""
    if form == "zip":
        return _member(stream, where, budget[1])
    name = re.sub(r"\.(gz|gzip|bz2|xz|zst|zstd)$", "", name, flags=re.IGNORECASE)
    if form == "gzip":
        return gzip.GzipFile(fileobj=stream), name
    if form == "zstd":
        import pyarrow as pa

        # Arrow closes what it is given; what it reads counts as well.
        given = io.BufferedReader(_Counted(stream, budget, where), _BLOCK)
        return pa.CompressedInputStream(pa.PythonFile(given, mode="r"), "zstd"), name
    make = bz2.BZ2Decompressor if form == "bzip2" else _xz
    return _Streams(stream, make), name


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _member(stream: BinaryIO, where: str, most: int) -> tuple[Any, str]:
    """Return the one data file of a zip file, and its name."""
    if not stream.seekable():
        raise DataError(f"{where}: a zip file inside another packing; unpack it first.")
    if (size := _directory(stream)) > _MOST_DIRECTORY:
        raise DataError(
            f"{where}: the list of its members takes {size:,} bytes, at most {_MOST_DIRECTORY:,} "
            "are read; unpack it and give the file in it."
        )
    archive = zipfile.ZipFile(stream)
    files = [
        i
        for i in archive.infolist()
        if not i.is_dir()
        and not Path(i.filename).name.startswith((".", "__MACOSX"))
        and "__MACOSX" not in i.filename
    ]
    data = [i for i in files if _is_data(i.filename)] or files
    if len(data) != 1:
        listed = ", ".join(i.filename for i in data[:5]) or "none"
        raise DataError(
            f"{where}: must hold one data file, found {len(data)} ({listed}); unpack it and give "
            "the file."
        )
    if data[0].file_size > most:
        raise _too_large(where, most, data[0].file_size)
    return archive.open(data[0]), data[0].filename


def _is_data(name: str) -> bool:
    """Return whether a name is that of data, and not of a description beside it."""
    from cartcast.events.read import kind_of_name

    return not name.lower().endswith(".txt") and kind_of_name(name) in ("csv", "json", "parquet")


def _directory(stream: BinaryIO) -> int:
    """Return the bytes of a zip file's directory, the largest that any of its ends speaks of."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 98))
    tail = stream.read()
    stream.seek(0)
    ends = re.finditer(rb"(?s)PK\x05\x06.{8}(?!\xff{4})(.{4})|PK\x06\x06.{36}(.{8})", tail)
    return max((int.from_bytes(m[1] or m[2], "little") for m in ends), default=0)


def measure(stream: BinaryIO, name: str, where: str, most: int) -> int:
    """Return the bytes that a stream unpacks to, writing nothing; it is left at its start.

    Raises:
        DataError: it is damaged, unpacks to more than `most`, or holds no single file.
    """
    with _damage(stream, where):
        plain = open_plain(stream, name, where, most)
        size = sum(len(block) for block in iter(lambda: plain.stream.read(_BLOCK), b""))
    stream.seek(0)
    return size


def unpack(path: Path, target: Path, most: int | None = None) -> tuple[Path, str]:
    """Write what lies inside all packings of a file into a folder; return its path and own name.

    Nothing is left where it is refused.

    Raises:
        DataError: it is damaged, unpacks to more than `most` (None: `allowed`), or holds no single
            file.
    """
    most = allowed(path.stat().st_size) if most is None else most
    out = target / f"{len(list(target.iterdir()))}-unpacked"
    try:
        with path.open("rb") as file, _damage(file, str(path)):
            plain = open_plain(file, path.name, str(path), most)
            with out.open("wb") as copy:
                shutil.copyfileobj(plain.stream, copy, _BLOCK)
        if out.stat().st_size == 0:
            raise DataError(f"{path}:{plain.name}: the file is empty; give one with rows.")
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    return out, plain.name


@contextlib.contextmanager
def _damage(stream: BinaryIO, where: str) -> Iterator[None]:
    """Give what the unpackers raise as one line."""
    form = form_of(stream.read(512))
    stream.seek(0)
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = "damaged or protected zip" if form == "zip" else f"damaged {form}"
        raise DataError(f"{where}: {what} file ({error}); get it again.") from error
