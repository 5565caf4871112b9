"""Who is forgotten, kept without their names: salted hashes that a restore can compare.

Whoever has the list can try an id out, but cannot read one from it. It has to be kept: a backup of
before still holds the person, and what is restored from it must not.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cartcast.atomic import atomic_path
from cartcast.config import STATE_FOLDER
from cartcast.errors import NotTrustedError

__all__ = ["FILE", "Mark", "Marks"]

FILE = "forgotten.json"


@dataclass(frozen=True)
class Mark:
    """One forgotten id.

    Attributes:
        salt: of this list.
        mark: SHA-256 of salt and id, in hex.
        at: when it was asked for, ISO 8601 UTC, microseconds.
        done: whether everything was gone through.
    """

    salt: str
    mark: str
    at: str
    done: bool = False


@dataclass(frozen=True)
class Marks:
    """A list of forgotten ids.

    >>> marks = Marks().adding(["v-1"])
    >>> marks.hold("v-1"), marks.hold("v-2"), marks.hold(None)
    (True, False, False)
    """

    entries: tuple[Mark, ...] = ()

    @classmethod
    def of(cls, project: Path) -> Marks:
        """Return the list of a project."""
        return cls.read(project / STATE_FOLDER)

    @classmethod
    def read(cls, folder: Path) -> Marks:
        """Return the list in a folder; an empty one when there is none.

        Raises:
            NotTrustedError: it is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            told: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(Mark(**one) for one in told))
        except (ValueError, TypeError) as error:
            raise NotTrustedError(f"{path}: damaged ({error}); restore the file.") from error

    def write(self, folder: Path) -> None:
        """Write the list into a folder."""
        with atomic_path(folder / FILE, secret=True) as temporary:
            temporary.write_text(json.dumps([asdict(m) for m in self.entries], indent=1))

    def merge(self, folder: Path) -> None:
        """Add these to the list in another folder."""
        known = Marks.read(folder)
        if (both := known.union(self)) != known:
            both.write(folder)

    def union(self, other: Marks) -> Marks:
        """Return both lists; of one mark that is in both, what is done counts."""
        found = {(m.salt, m.mark): m for m in sorted(self.entries, key=lambda m: m.done)}
        for mark in other.entries:
            if (key := (mark.salt, mark.mark)) not in found or mark.done:
                found[key] = mark
        return Marks(tuple(found.values()))

    def adding(self, values: Iterable[str], *, done: bool = False) -> Marks:
        """Return the list with these ids; those that are in it already get the present time."""
        salt = self.entries[0].salt if self.entries else secrets.token_hex(16)
        at = datetime.now(UTC).isoformat(timespec="microseconds")
        added = {_mark(salt, v): Mark(salt, _mark(salt, v), at, done) for v in values}
        kept = [m for m in self.entries if (m.salt, m.mark) not in {(salt, a) for a in added}]
        return Marks((*kept, *added.values()))

    def finished(self, values: Iterable[str] | None = None) -> Marks:
        """Return the list with these ids, or all, marked as gone through."""
        if values is None:
            return Marks(tuple(replace(m, done=True) for m in self.entries))
        named = {_mark(salt, v) for v in values for salt in {m.salt for m in self.entries}}
        return Marks(tuple(replace(m, done=m.done or m.mark in named) for m in self.entries))

    def after(self, moment: str) -> Marks:
        """Return those asked for after a moment, or never finished."""
        return Marks(tuple(m for m in self.entries if m.at > moment or not m.done))

    def hold(self, value: object) -> bool:
        """Return whether an id is in the list."""
        if not isinstance(value, str):
            return False
        salts = {m.salt for m in self.entries}
        known = {m.mark for m in self.entries}
        return any(_mark(salt, value) in known for salt in salts)


def _mark(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}:{value}".encode("utf-8", "surrogatepass")).hexdigest()
