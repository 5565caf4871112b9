"""A store of backups: chunks named by their hash, and a manifest for each backup, written last.

    TO/store.json            form, salt, whether all is encrypted, check of the passphrase
    TO/chunks/ab/abcd...     4 MiB of a file or less, once however many backups hold it
    TO/backups/ID.backup     the manifest: a line with its SHA-256, then JSON (or JSON sealed)
    TO/forgotten.json        whom a restore leaves out (`cartcast.forget`)

A backup that was cut short leaves chunks that nothing names; the next one removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from cartcast.atomic import atomic_path
from cartcast.backup.manifest import FORMAT, FileEntry, Manifest
from cartcast.backup.vault import PASSPHRASE_VARIABLE, Vault
from cartcast.errors import (
    CartcastError,
    NotFoundError,
    NotTrustedError,
    StorageError,
    UsageError,
    did_you_mean,
)
from cartcast.lock import alone

__all__ = ["CHUNK", "Store"]

CHUNK = 4 * 2**20
"""Bytes of a chunk: a log that only grows shares all but its last with the backup before."""
_HEAD = re.compile(rb"cartcast backup (\d+) sha256:([0-9a-f]{64}) (plain|sealed)\n")


class Store:
    """The backups in one folder.

    Args:
        folder: where they are.
        passphrase: opens what is encrypted; None for none.

    Raises:
        NotFoundError: there are no backups.
        NotTrustedError: they are of a newer version, or damaged.
        UsageError: the passphrase is missing, or another.
    """

    def __init__(self, folder: Path, passphrase: str | None = None) -> None:
        self.folder = folder
        path = folder / "store.json"
        if not path.is_file():
            raise NotFoundError(
                f"{folder}: no backups here; make one with `cartcast backup {folder}`."
            )
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            self.encrypted = bool(told["encrypted"])
            number, check, self._salt = told["format"], told["check"], bytes.fromhex(told["salt"])
        except (ValueError, KeyError, TypeError) as error:
            raise NotTrustedError(f"{path}: damaged ({error}); restore the file.") from error
        _require_format(path, number)
        self.vault: Vault | None = None
        if passphrase is not None and (self.encrypted or check):
            self.vault = Vault(passphrase, self._salt)
            if self.vault.check(self.encrypted) != check:
                raise UsageError(
                    f"{folder}: {PASSPHRASE_VARIABLE} is not the one it was made with."
                )
        if self.encrypted and self.vault is None:
            raise UsageError(f"{folder}: is encrypted; set {PASSPHRASE_VARIABLE}.")
        self.written = 0

    @classmethod
    def make(cls, folder: Path, passphrase: str | None = None, *, encrypt: bool = False) -> Store:
        """Open the store in `folder`, made if there is none.

        Raises:
            UsageError: the folder holds something else, or the passphrase is missing or another.
            StorageError: it cannot be written.
        """
        path = folder / "store.json"
        if path.is_file():
            store = cls(folder, passphrase)
            if encrypt and not store.encrypted:
                raise UsageError(f"{folder}: holds backups that are not encrypted; name another.")
            if passphrase is not None and store.vault is None:
                store.vault = Vault(passphrase, store._salt)
                store._tell()
            return store
        if encrypt and passphrase is None:
            raise UsageError(f"--encrypt needs a passphrase: set {PASSPHRASE_VARIABLE}.")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder}: holds something else; name a new or an empty folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be made ({error.strerror}).") from error
        salt = secrets.token_bytes(16)
        vault = Vault(passphrase, salt) if passphrase is not None else None
        _tell(path, salt, vault, encrypted=encrypt)
        return cls(folder, passphrase)

    def _tell(self) -> None:
        _tell(self.folder / "store.json", self._salt, self.vault, encrypted=self.encrypted)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out.

        Raises:
            StorageError: another backup is being written, or the place is not writable.
        """
        refusal = StorageError(f"{self.folder}: another backup is being written; wait for it.")
        with alone(self.folder / "lock", refusal, wait=2, secret=True):
            yield

    def put(
        self, name: str, stream: BinaryIO, size: int, modified: int, *, sealed: bool = False
    ) -> FileEntry:
        """Keep the first `size` bytes of a stream under a name; chunks that are there are kept.

        Raises:
            StorageError: the disk is full, or the stream ends before.
        """
        whole, chunks, left = hashlib.sha256(), [], size
        while left:
            data = stream.read(min(CHUNK, left))
            if not data:
                raise StorageError(f"{name}: became shorter while it was read; try again.")
            left -= len(data)
            whole.update(data)
            chunks.append(self._keep(data, sealed=sealed or self.encrypted))
        own = sealed and not self.encrypted
        return FileEntry(name, size, modified, whole.hexdigest(), tuple(chunks), own)

    def _keep(self, data: bytes, *, sealed: bool) -> str:
        vault = self._vault() if sealed else None
        name = vault.name(data) if vault else hashlib.sha256(data).hexdigest()
        path = self.path(name)
        kept = vault.seal(name, data) if vault else data
        # A chunk of another length was not written by us; `verify` reads what is in the others.
        if not path.is_file() or path.stat().st_size != len(kept):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_path(path, secret=True) as temporary:
                temporary.write_bytes(kept)
            self.written += len(kept)
        return name

    def path(self, chunk: str) -> Path:
        """Return where a chunk lies."""
        return self.folder / "chunks" / chunk[:2] / chunk

    def chunk(self, name: str, *, sealed: bool = False) -> bytes:
        """Return a chunk after checking it.

        Raises:
            NotTrustedError: it is missing, or was changed.
        """
        try:
            data = self.path(name).read_bytes()
        except FileNotFoundError:
            raise NotTrustedError(
                f"{self.folder}: chunk {name[:12]} is missing; restore an older backup."
            ) from None
        if sealed or self.encrypted:
            try:
                return self._vault().open(name, data)
            except NotTrustedError:
                raise _changed(self.folder, name) from None
        if hashlib.sha256(data).hexdigest() != name:
            raise _changed(self.folder, name)
        return data

    def set_aside(self, chunk: str) -> None:
        """Take a damaged chunk out, so that the next backup writes it again."""
        damaged = self.folder / "damaged"
        damaged.mkdir(exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            self.path(chunk).rename(damaged / chunk)

    def read_into(self, entry: FileEntry, stream: BinaryIO) -> None:
        """Write a kept file to a stream.

        Raises:
            NotTrustedError: it is not what was kept.
        """
        whole = hashlib.sha256()
        for name in entry.chunks:
            data = self.chunk(name, sealed=entry.sealed)
            whole.update(data)
            stream.write(data)
        if whole.hexdigest() != entry.sha256:
            raise NotTrustedError(f"{self.folder}: {entry.name} is not the file that was kept.")

    def write(self, manifest: Manifest) -> None:
        """Write a manifest: from now on there is this backup."""
        body = json.dumps(manifest.as_dict()).encode()
        form = "sealed" if self.encrypted else "plain"
        if self.encrypted:
            body = self._vault().seal(manifest.id, body)
        told = f"cartcast backup {FORMAT} sha256:{hashlib.sha256(body).hexdigest()} {form}\n"
        with atomic_path(self._manifest(manifest.id), secret=True) as temporary:
            temporary.write_bytes(told.encode() + body)

    def ids(self) -> list[str]:
        """Return the names of all backups, oldest first."""
        return sorted(
            p.name.removesuffix(".backup")
            for p in self.folder.glob("backups/*.backup")
            if p.name[0] != "."
        )

    def read(self, name: str | None = None) -> Manifest:
        """Return a backup's manifest, the newest without a name.

        Raises:
            NotFoundError: there is none.
            NotTrustedError: it was cut short or changed, or is of a newer version.
        """
        known = self.ids()
        if not known:
            raise NotFoundError(f"{self.folder}: no finished backup here.")
        if name is not None and name not in known:
            raise NotFoundError(f"{self.folder}: no backup {name!r}.{did_you_mean(name, known)}")
        chosen = name or known[-1]
        path = self._manifest(chosen)
        head, _, body = path.read_bytes().partition(b"\n")
        told = _HEAD.fullmatch(head + b"\n")
        if told is None:
            raise _broken(path)
        _require_format(path, int(told[1]))
        if hashlib.sha256(body).hexdigest() != told[2].decode():
            raise _broken(path)
        try:
            text = self._vault().open(chosen, body) if told[3] == b"sealed" else body
            return Manifest.from_dict(json.loads(text))
        except (NotTrustedError, ValueError) as error:
            raise NotTrustedError(f"{path}: {error}") from error

    def readable(self) -> Iterator[Manifest]:
        """Yield the manifests that can be read, newest first."""
        for name in reversed(self.ids()):
            with contextlib.suppress(NotTrustedError):
                yield self.read(name)

    def keep(self, most: int | None = None, since: datetime | None = None) -> list[str]:
        """Remove older backups, but never the newest; return the names of those removed.

        Args:
            most: how many to keep.
            since: keep those that began then or later.
        """
        every = self.ids()
        gone = every[:-most] if most else []
        if since is not None:
            edge = f"{since:%Y%m%dT%H%M%S}"
            gone = [name for name in every[:-1] if name < edge]
        for name in gone:
            self._manifest(name).unlink()
        return gone

    def tidy(self) -> int:
        """Remove chunks that no backup names; return their bytes. Needs the lock.

        While a manifest cannot be read, nothing is removed: it may name them.
        """
        try:
            named = {chunk for name in self.ids() for chunk, _ in self.read(name).chunks}
        except CartcastError:
            return 0
        freed = 0
        for path in self.folder.glob("chunks/*/*"):
            if path.name not in named:
                freed += path.stat().st_size
                path.unlink()
        return freed

    def _manifest(self, name: str) -> Path:
        return self.folder / "backups" / f"{name}.backup"

    def _vault(self) -> Vault:
        if self.vault is None:
            raise UsageError(
                f"{self.folder}: set {PASSPHRASE_VARIABLE} for what is encrypted in it."
            )
        return self.vault


def _tell(path: Path, salt: bytes, vault: Vault | None, *, encrypted: bool) -> None:
    told: dict[str, Any] = {
        "format": FORMAT,
        "encrypted": encrypted,
        "salt": salt.hex(),
        "check": vault.check(encrypted) if vault else None,
    }
    with atomic_path(path, secret=True) as temporary:
        temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _require_format(path: Path, number: Any) -> None:
    if not isinstance(number, int) or number > FORMAT:
        raise NotTrustedError(
            f"{path}: written by a newer version (form {number}, this one reads {FORMAT}); install "
            "that version of Cartcast."
        )


def _broken(path: Path) -> NotTrustedError:
    return NotTrustedError(f"{path}: cut short or changed; restore an older backup with --backup.")


def _changed(folder: Path, chunk: str) -> NotTrustedError:
    return NotTrustedError(
        f"{folder}: chunk {chunk[:12]} was changed (its hash is not its name); restore an older "
        "backup, and run `cartcast backup verify`."
    )
