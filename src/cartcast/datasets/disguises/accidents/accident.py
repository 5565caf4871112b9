"""What can happen to a file on its way, declared: to which forms, and what it makes untellable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from cartcast.datasets.disguises.form import Form, every
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import TrueLog

__all__ = [
    "Accident",
    "Sheets",
    "each_file",
    "each_log",
    "flat",
    "has",
    "untouched",
]

Sheets = tuple[Sheet, ...]


def untouched(sheets: Sheets, rng: Random) -> Sheets:
    """Return the sheets as they are."""
    return sheets


@dataclass(frozen=True)
class Accident:
    """One thing that happens to a log between the shop and the reader.

    Attributes:
        name: in lower case with dashes.
        touches: what it changes (`rows`, `ids`, `separator`, ...); two accidents that touch the
            same thing are never combined, and one that touches `all` stays alone.
        can: whether a form can have it.
        log: what it does to the shop before it is written; the truth follows.
        sheets: what it does to the rows and the dialect; the truth stays.
        lacks: facts that can no longer be told.
        adds: facts that are told in place of those.
        says: a reader must give a finding (or refuse), for the reading rests on an assumption.
        reading: layout keys that the reader must be given (`zone`, ...), for nothing in the file
            tells them.
        days: length of the log that it needs, or None.
    """

    name: str
    touches: frozenset[str]
    can: Callable[[Form], bool]
    log: Callable[[TrueLog], TrueLog] = every
    sheets: Callable[[Sheets, Random], Sheets] = untouched
    lacks: frozenset[str] = frozenset()
    adds: frozenset[str] = frozenset()
    says: bool = False
    reading: tuple[tuple[str, str], ...] = ()
    days: int | None = None

    def fits(self, other: Accident) -> bool:
        """Whether both can happen to one log."""
        return not self.touches & other.touches and "all" not in self.touches | other.touches


def flat(form: Form) -> bool:
    """Whether the form is text with one value a cell."""
    return form.flat


def has(*facts: str) -> Callable[[Form], bool]:
    """Return a check that a form is a plain table of the shop's own which tells all `facts`."""
    return lambda form: form.own and form.tells >= set(facts)


def each_log(change: Callable[[Sheet], Sheet]) -> Callable[[Sheets, Any], Sheets]:
    """Return a change of all sheets that hold events; tables of orders stay."""
    return lambda sheets, _rng: tuple(change(s) if s.role == "log" else s for s in sheets)


def each_file(change: Callable[[Sheet], Sheet]) -> Callable[[Sheets, Any], Sheets]:
    """Return a change of all sheets, tables of orders too."""
    return lambda sheets, _rng: tuple(change(s) for s in sheets)
