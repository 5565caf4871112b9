"""Which columns of a file name people: ours, and in an upload those that its layout says."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cartcast.errors import CartcastError
from cartcast.forget.person import PEOPLE

__all__ = ["people_columns"]


def people_columns(path: Path) -> tuple[str, ...]:
    """Return the names of the columns that name people, whether a file has them or not.

    A quantity of 5 is not taken for the visitor 5: only such columns are compared.
    """
    if "uploads" not in path.parts:
        return PEOPLE
    told = path.stat()
    return _of_upload(path, told.st_mtime_ns, told.st_size)


@lru_cache(maxsize=256)
def _of_upload(path: Path, _changed: int, _size: int) -> tuple[str, ...]:
    from cartcast.events import propose

    # In a shop's file a unit is a measure.
    found = dict.fromkeys(name for name in PEOPLE if name != "unit")
    with suppress(CartcastError):
        for name, words in propose(str(path)).columns.items():
            if name in PEOPLE:
                listed = words if isinstance(words, list | tuple) else [words]
                found |= dict.fromkeys(str(word) for word in listed)
    return tuple(found)
