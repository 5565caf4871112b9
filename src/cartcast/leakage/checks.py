"""The list of checks: each is a small function with a question, what it needs, and its codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cartcast.findings import Code, Finding

if TYPE_CHECKING:
    from cartcast.leakage.prepared import Prepared

__all__ = ["CHECKS", "FAMILIES", "Check", "Family", "check"]

Family = Literal["lineage", "time", "split", "evidence", "meaning"]
FAMILIES: tuple[Family, ...] = ("lineage", "time", "split", "evidence", "meaning")
"""The families in the order of a report."""

Examine = Callable[["Prepared"], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """One question that the audit asks.

    Attributes:
        name: the function's name.
        family: the file it lives in.
        question: what is asked, as a sceptical reader would ask it.
        codes: codes of the findings that it can give.
        needs: facts of `Prepared.has` without which it cannot be asked.
        examine: the function.
    """

    name: str
    family: Family
    question: str
    codes: tuple[str, ...]
    needs: tuple[str, ...]
    examine: Examine


CHECKS: list[Check] = []
"""Every question that the audit asks, in the order in which it asks."""


def check(
    family: Family, question: str, *codes: Code, needs: tuple[str, ...] = ()
) -> Callable[[Examine], Examine]:
    """Add a function to `CHECKS`."""

    def add(examine: Examine) -> Examine:
        name = getattr(examine, "__name__", "check")
        CHECKS.append(Check(name, family, question, tuple(c.code for c in codes), needs, examine))
        return examine

    return add
