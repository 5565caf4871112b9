"""Where a team keeps its runs: one archive a run, in a folder or an S3 bucket.

An archive is a tar of the run's files in the order of their names, without times and owners, so
that the same files always make the same bytes. Its name is their SHA-256, which the catalogue
keeps: an archive that is cut short, changed or another's is noticed before a file of it is used.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

from cartcast.atomic import atomic_folder, atomic_path
from cartcast.errors import NotFoundError, NotTrustedError, StorageError, UsageError, did_you_mean
from cartcast.scratch import scratch

__all__ = ["RunStore", "address", "leave"]

OPTIONS = ("endpoint", "region")
TRIES = 2
SILENCE = 10
"""Seconds without a byte after which a store is taken to be gone."""
GRACE, SLOWEST = 20, 100_000
"""Seconds that an archive may take in S3, and bytes for each of which it may take a second more."""
_BLOCK = 1 << 16
_GIVEN_UP: list[threading.Thread] = []
_AWS = re.compile(r"AWS Error (\w+)")


class _Hash(io.RawIOBase):
    """A file that keeps nothing but the SHA-256 of what is written."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return len(data)


def address(run_dir: Path) -> str:
    """Return the SHA-256 of a run's archive.

    Raises:
        NotFoundError: there is no such folder.
    """
    found = _Hash()
    _pack(run_dir, found)
    return found.sha256.hexdigest()


def _pack(run_dir: Path, to: Any) -> None:
    if not (run_dir / "run.json").is_file():
        raise NotFoundError(f"{run_dir}: not a run (no run.json).")
    files = sorted(p for p in run_dir.rglob("*") if p.is_file() and not p.is_symlink())
    # The format is stated: the default of Python may change, and the name is a hash of it.
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in files:
            member = tarfile.TarInfo(path.relative_to(run_dir).as_posix())
            member.size = path.stat().st_size
            with path.open("rb") as stream:
                archive.addfile(member, stream)


class RunStore:
    """A store by its URL: a folder, `file:///folder` or `s3://bucket/prefix`.

    An S3 store takes `?region=` and `?endpoint=http://host:port` for servers other than Amazon's.
    Keys come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or from where Amazon's
    own tools look for them.

    Raises:
        UsageError: the URL is of another kind, or holds a key.
    """

    def __init__(self, url: str, base: Path) -> None:
        parts = urlsplit(url)
        self.folder: Path | None = None
        if parts.scheme in ("", "file"):
            self.folder = base / (parts.path if parts.scheme else url)
            self.name = str(self.folder)
            return
        if parts.scheme != "s3" or not parts.netloc:
            raise UsageError(f"store: must be a folder or s3://BUCKET/PREFIX, got {parts.scheme}:.")
        if "@" in parts.netloc:
            raise UsageError(
                "store: no keys in the URL, they are read from AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY."
            )
        self.options = dict(parse_qsl(parts.query))
        for name in self.options:
            if name not in OPTIONS:
                raise UsageError(f"store: unknown option {name!r}.{did_you_mean(name, OPTIONS)}")
        self.scheme = urlsplit(self.options.get("endpoint", "https:")).scheme
        if self.scheme not in ("http", "https"):
            raise UsageError("store: endpoint must look like https://HOST:PORT.")
        self.prefix = f"{parts.netloc}{parts.path}".rstrip("/")
        self.name = f"s3://{self.prefix}"

    def put(self, run_dir: Path) -> str:
        """Write a run's archive, whole or not at all, and return its address.

        Raises:
            StorageError: the store refuses or does not answer.
        """
        with scratch() as work:
            # Packed and named here first: what is sent is one whole archive, or none.
            packed = Path(work) / "archive"
            with packed.open("wb") as out:
                _pack(run_dir, out)
            with packed.open("rb") as archive:
                found = hashlib.file_digest(archive, "sha256").hexdigest()
            if address(run_dir) != found:
                raise StorageError(f"{run_dir}: was changed while it was read; repeat.")

            def send(count: Callable[[int], None]) -> None:
                with packed.open("rb") as archive, self._written(found) as stream:
                    while block := archive.read(_BLOCK):
                        _send(stream, block)
                        count(len(block))

            self._within(send)
        return found

    def pull(self, found: str, to: Path) -> None:
        """Unpack the archive of an address into the new folder `to`, once its bytes are as named.

        Raises:
            NotFoundError: there is none.
            NotTrustedError: its bytes are others.
            StorageError: the store refuses or does not answer, or the disk is full.
        """
        with scratch() as work:
            copy, sha256 = Path(work) / "archive", hashlib.sha256()

            def receive(count: Callable[[int], None]) -> None:
                with copy.open("wb") as out, self._read(found) as stream:
                    while block := stream.read(_BLOCK):
                        sha256.update(block)
                        out.write(block)
                        count(len(block))

            self._within(receive)
            if sha256.hexdigest() != found:
                raise NotTrustedError(
                    f"{self.name}: the archive {found[:12]} is damaged or was changed; push it "
                    "again from a host that has the run (`cartcast models push`)."
                )
            with atomic_folder(to) as folder:
                _unpack(copy, folder)

    def delete(self, found: str) -> None:
        """Remove an archive, if it is there.

        Raises:
            StorageError: the store refuses or does not answer.
        """

        def remove(_count: object) -> None:
            with contextlib.suppress(FileNotFoundError):
                if self.folder is not None:
                    self._file(found).unlink()
                else:
                    self._s3().delete_file(self._key(found))

        self._within(remove, "The archive may lie there still, named by nothing.")

    def _within(
        self, work: Callable[[Callable[[int], None]], None], so: str = "Nothing was changed."
    ) -> None:
        """Do what asks the store; give up on one in S3 that answers, but drips.

        `work` is given what counts the bytes that it moved; `so` ends what a refusal says. What is
        given up continues in a thread until the store is silent or done, and the process does not
        end before it but by `leave`: an archive is whole there, or is not there.
        """
        moved: list[int] = []
        if self.folder is not None:
            with self._refusals(so):
                work(moved.append)
            return
        raised: list[BaseException] = []

        def run() -> None:
            try:
                with self._refusals(so):
                    work(moved.append)
            except BaseException as error:  # noqa: BLE001 - raised below, by the thread that waits
                raised.append(error)

        thread, begun = threading.Thread(target=run, daemon=True), time.monotonic()
        thread.start()
        while thread.is_alive():
            left = begun + GRACE + sum(moved) / SLOWEST - time.monotonic()
            if left <= 0:
                _GIVEN_UP.append(thread)
                raise StorageError(
                    f"{self.name}: the store is too slow ({sum(moved):,} bytes in "
                    f"{time.monotonic() - begun:.0f} s); try again later. {so}"
                )
            thread.join(left)
        if raised:
            raise raised[0]

    def _file(self, found: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{found}.tar"

    def _key(self, found: str) -> str:
        return f"{self.prefix}/{found}.tar"

    def _s3(self) -> Any:
        from pyarrow import fs

        return fs.S3FileSystem(
            region=self.options.get("region"),
            endpoint_override=urlsplit(self.options.get("endpoint", "")).netloc or None,
            scheme="http" if self.scheme == "http" else "https",
            connect_timeout=SILENCE,
            request_timeout=SILENCE,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
        )

    def _written(self, found: str) -> Any:
        if self.folder is not None:
            return _opened(self._file(found))
        # An upload of S3 is seen when its last part has come, and not at all before.
        return self._s3().open_output_stream(self._key(found))

    def _read(self, found: str) -> Any:
        if self.folder is not None:
            return self._file(found).open("rb")
        return self._s3().open_input_stream(self._key(found))

    @contextlib.contextmanager
    def _refusals(self, so: str) -> Iterator[None]:
        """Turn what a store says into one line, without addresses and ids of requests."""
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{self.name}: an archive that the catalogue names is not there; push it again "
                "from a host that has the run (`cartcast models push`)."
            ) from error
        except OSError as error:
            told = _AWS.search(str(error))
            reason = told[1] if told else error.strerror or type(error).__name__
            raise StorageError(
                f"{self.name}: the store refused or does not answer ({reason}); check its URL, "
                f"keys and server. {so}"
            ) from error


def leave(status: int) -> None:
    """Let this process end with `status` now, though a store that was given up still drips.

    The S3 client would wait for it at exit. Other exit handlers are skipped then: it is for a
    process that has nothing left to do.
    """
    if any(thread.is_alive() for thread in _GIVEN_UP):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _send(stream: Any, block: bytes) -> None:
    stream.write(block)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        yield stream


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:") as opened:
            for member in opened:
                parts = PurePosixPath(member.name).parts
                data = opened.extractfile(member) if member.isreg() else None
                if data is None or ".." in parts or member.name.startswith("/") or not parts:
                    raise NotTrustedError(f"{archive.name}: holds {member.name[:80]!r}, no file.")
                path = folder.joinpath(*parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as out:
                    while block := data.read(_BLOCK):
                        out.write(block)
    except tarfile.TarError as error:
        raise NotTrustedError(f"an archive of the store is no tar ({error}).") from error
