"""API keys: random, hashed at rest, with scopes and rotation.

A key is `cc_<id>_<secret>` with 256 random bits, so a plain SHA-256 is enough at rest; a stolen
file does not give a key. Comparison takes the same time wherever the difference is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock

from cartcast import atomic
from cartcast.errors import DataError, NotFoundError, UsageError, did_you_mean

__all__ = ["SCOPES", "Key", "KeyFile", "Keys"]

SCOPES: Final = ("ingest", "page", "score", "ask", "admin")
"""`ingest` sends events; `page`, for a key in a shop's pages, also reads the score of the device's
own session; `score` reads all sessions and scores; `ask` puts questions over MCP; `admin` reads
everything, and changes what `cartcast mcp` may change."""

_IMPLIED = {
    "admin": {"admin", "ask", "page", "score"},
    "ask": {"ask"},
    "score": {"page", "score"},
    "page": {"ingest", "page"},
    "ingest": {"ingest"},
}
RELOAD_SECONDS: Final = 1.0


class Key(msgspec.Struct, frozen=True):
    """One key at rest: its name, scopes, SHA-256, and when it ends (seconds since 1970)."""

    id: str
    name: str
    scopes: tuple[str, ...]
    sha256: str
    created: float
    ends: float | None = None

    def allows(self, scope: str) -> bool:
        """Tell whether the key may do what `scope` names."""
        return any(scope in _IMPLIED[own] for own in self.scopes)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class KeyFile:
    """The file of keys; changes are atomic and under a lock, mode 0600.

    >>> import tempfile
    >>> keys = KeyFile(Path(tempfile.mkdtemp()) / "keys.json")
    >>> text = keys.add("shop", ["ingest"])
    >>> [key.name for key in keys.read()], text in keys.path.read_text()
    (['shop'], False)
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Key]:
        """Return all keys; none when there is no file.

        Raises:
            DataError: the file is not what `add` writes.
        """
        if not self.path.is_file():
            return []
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=list[Key])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path}: not a file of keys: {error}") from error

    def add(self, name: str, scopes: Iterable[str], ends: float | None = None) -> str:
        """Make a key and return it; it is shown this once.

        Raises:
            UsageError: a scope does not exist, or the name is taken.
        """
        scopes = tuple(dict.fromkeys(scopes))
        for scope in scopes:
            if scope not in SCOPES:
                raise UsageError(f"unknown scope {scope!r}.{did_you_mean(scope, SCOPES)}")
        if not scopes or not name.strip():
            raise UsageError(f"a key needs a name and a scope of {', '.join(SCOPES)}.")
        with self._locked():
            keys = self.read()
            if any(key.name == name and _lives(key) for key in keys):
                raise UsageError(f"there is a key named {name!r}; rotate or revoke it.")
            text, key = _make(name, scopes, ends)
            self._write([*keys, key])
        return text

    def rotate(self, name: str, keep: float) -> str:
        """Make a successor of a key; the old one stays valid for `keep` seconds.

        Raises:
            NotFoundError: there is no such key.
        """
        with self._locked():
            keys = self.read()
            old = self._find(keys, name)
            text, key = _make(old.name, old.scopes, old.ends)
            ends = time.time() + keep
            changed = msgspec.structs.replace(old, ends=min(ends, old.ends or ends))
            self._write([*(changed if k.id == old.id else k for k in keys), key])
        return text

    def revoke(self, name: str) -> int:
        """End every key of this name at once; return how many.

        Raises:
            NotFoundError: there is no such key.
        """
        with self._locked():
            keys = self.read()
            self._find(keys, name)
            kept = [key for key in keys if key.name != name and key.id != name]
            self._write(kept)
        return len(keys) - len(kept)

    def _find(self, keys: list[Key], name: str) -> Key:
        found = [key for key in keys if name in (key.name, key.id) and _lives(key)]
        if not found:
            known = did_you_mean(name, [key.name for key in keys])
            raise NotFoundError(f"{self.path}: no key named {name!r}.{known}")
        return found[-1]

    def _locked(self) -> FileLock:
        atomic.make_folder(self.path.parent)
        return FileLock(f"{self.path}.lock", timeout=10, mode=0o600)

    def _write(self, keys: list[Key]) -> None:
        with atomic.atomic_path(self.path, secret=True) as temporary:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(keys), indent=2))


def _make(name: str, scopes: tuple[str, ...], ends: float | None) -> tuple[str, Key]:
    identity = secrets.token_hex(4)
    text = f"cc_{identity}_{secrets.token_urlsafe(32)}"
    return text, Key(identity, name, scopes, _digest(text), time.time(), ends)


def _lives(key: Key) -> bool:
    return key.ends is None or key.ends > time.time()


class Keys:
    """The keys in a server's memory; the file is read again when it changes."""

    def __init__(self, file: KeyFile | None) -> None:
        self._file = file
        self._checked = 0.0
        self._stamp: tuple[int, int] | None = None
        self._by_id: dict[str, Key] = {}
        self.refresh()

    def __bool__(self) -> bool:
        return self._file is not None

    def refresh(self) -> None:
        """Read the file again if it has changed; at most once a second."""
        now = time.monotonic()
        if self._file is None or (self._stamp and now - self._checked < RELOAD_SECONDS):
            return
        self._checked = now
        stamp = (0, 0)
        if self._file.path.is_file():
            status = self._file.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._by_id = {key.id: key for key in self._file.read()}
            self._stamp = stamp

    def find(self, text: str) -> Key | None:
        """Return the living key with this text, or None."""
        self.refresh()
        parts = text.split("_", 2)
        key = self._by_id.get(parts[1]) if len(parts) == 3 else None
        recorded = key.sha256 if key is not None else _digest("")
        same = hmac.compare_digest(_digest(text), recorded)
        return key if key is not None and same and _lives(key) else None
