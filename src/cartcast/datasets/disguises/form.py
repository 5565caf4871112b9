"""Forms: in what shape a tracker or an export writes a shop down, and what that shape can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import TrueLog
from cartcast.datasets.disguises.truth import FACTS

__all__ = ["ALL_FACTS", "Form", "dropped", "every", "tells_all_but"]

ALL_FACTS: frozenset[str] = frozenset(FACTS)


def every(log: TrueLog) -> TrueLog:
    """Return the log as it is: the form shows everything."""
    return log


def tells_all_but(*lacks: str) -> frozenset[str]:
    """Return all facts without those that a form cannot tell.

    >>> "price" in tells_all_but("price"), "item_id" in tells_all_but("price")
    (False, True)
    """
    return ALL_FACTS - {*lacks, "line_value"}


@dataclass(frozen=True)
class Form:
    """One shape of a shop's log.

    Attributes:
        name: what `--layout` of `simulate` calls it.
        layout: the layout by which a reader should know it; None where it must guess columns.
        files: names of the files it is written in.
        tells: facts (of FACTS) that the files hold.
        write: log -> sheets, in the order of `files`.
        see: log -> the log as this form can show it (ids in its own style, events that it knows).
        source: where the shape is documented.
        header: whether a flat file names its columns.
        own: a table that a shop wrote by itself, in columns of its own choice.
        nested: a row is an event with structures in it.
    """

    name: str
    layout: str | None
    files: tuple[str, ...]
    tells: frozenset[str]
    write: Callable[[TrueLog], tuple[Sheet, ...]]
    see: Callable[[TrueLog], TrueLog] = every
    source: str = ""
    header: bool = True
    own: bool = False
    nested: bool = False

    @property
    def flat(self) -> bool:
        """Whether a row is a line of text with one value a cell."""
        return self.files[0].endswith((".csv", ".tsv", ".dat"))

    @property
    def lines(self) -> bool:
        """Whether a file is JSON lines."""
        return self.files[0].endswith(".jsonl")


def dropped(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row without its nulls.

    >>> dropped({"a": 1, "b": None})
    {'a': 1}
    """
    return {key: value for key, value in row.items() if value is not None}
