"""Who is forgotten, kept without their names: salted hashes that a restore can compare.

Anyone who has the list can try an id out, but cannot read one from it. It has to be kept: an older
backup still holds the person, and what is restored from it must not.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
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
        done: when everything had been gone through; None until then.
    """

    salt: str
    mark: str
    at: str
    done: str | None = None


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
        """Return both lists; of a mark that is in both, the one asked for or done last."""
        found: dict[tuple[str, str], Mark] = {}
        for mark in (*self.entries, *other.entries):
            key = (mark.salt, mark.mark)
            if key not in found or _rank(mark) > _rank(found[key]):
                found[key] = mark
        return Marks(tuple(found.values()))

    def adding(self, values: Iterable[str]) -> Marks:
        """Return the list with these ids; those that are in it already are asked for again."""
        salt = self.entries[0].salt if self.entries else secrets.token_hex(16)
        added = {_mark(salt, v): Mark(salt, _mark(salt, v), _now()) for v in values}
        kept = [m for m in self.entries if m.salt != salt or m.mark not in added]
        return Marks((*kept, *added.values()))

    def finished(self, values: Iterable[str] | None = None) -> Marks:
        """Return the list with these ids, or all, marked as gone through."""
        now = _now()
        if values is None:
            return Marks(tuple(replace(m, done=m.done or now) for m in self.entries))
        named = {_mark(salt, v) for v in values for salt in self._salts}
        return Marks(tuple(replace(m, done=now) if m.mark in named else m for m in self.entries))

    def after(self, moment: str) -> Marks:
        """Return those not finished at a moment: a backup of then may hold the person."""
        return Marks(tuple(m for m in self.entries if m.done is None or m.done > moment))

    def hold(self, value: object) -> bool:
        """Return whether an id is in the list."""
        if not isinstance(value, str):
            return False
        return any(_mark(salt, value) in self._known for salt in self._salts)

    @cached_property
    def _salts(self) -> frozenset[str]:
        return frozenset(m.salt for m in self.entries)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(m.mark for m in self.entries)


def _rank(mark: Mark) -> tuple[str, str]:
    return mark.at, mark.done or ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _mark(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}:{value}".encode("utf-8", "surrogatepass")).hexdigest()
