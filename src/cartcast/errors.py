"""The error tree: what a user can cause, each with the exit status of the command line.

    CartcastError            1   unexpected, or the machine's fault
    ├── StorageError         1   a disk is full, a lock is held, a file cannot be written
    ├── UsageError           2   an option, a name or a combination that does not exist
    │   └── DefinitionError  2   a feature, target or layout is declared wrongly
    ├── DataError            3   the data break the contract
    ├── BlockedError         4   the leakage audit, or a parity check, stopped the work
    └── NotFoundError        5   a file, run, model or table is not there
        └── NotTrustedError  5   it is there, but its hash, types or features do not match

Every message is one line: what, where, the rule and the value got, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartcast.findings import Finding

__all__ = [
    "BlockedError",
    "CartcastError",
    "DataError",
    "DefinitionError",
    "NotFoundError",
    "NotTrustedError",
    "StorageError",
    "UsageError",
    "did_you_mean",
]


class CartcastError(Exception):
    """Base of every error that Cartcast raises on purpose."""

    exit_status: int = 1


class StorageError(CartcastError):
    """The machine refused: a disk is full, a lock is held, a place is not writable."""


class UsageError(CartcastError):
    """The call asks for something that does not exist or does not fit together."""

    exit_status = 2


class DefinitionError(UsageError):
    """A feature, feature set, target or layout is declared wrongly; raised before data are read."""


class DataError(CartcastError):
    """The data break the contract."""

    exit_status = 3


class BlockedError(CartcastError):
    """The audit stopped the work; `findings` says why."""

    exit_status = 4

    def __init__(self, message: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class NotFoundError(CartcastError):
    """A file, run, model or table is not there."""

    exit_status = 5


class NotTrustedError(NotFoundError):
    """It is there, but its hash, its types or its feature set are not the recorded ones."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for a near miss, or the known names, ready to append.

    >>> did_you_mean("prise", ["price", "item_id"])
    " Did you mean 'price'?"
    >>> did_you_mean("zzz", ["price", "item_id"])
    ' Known: item_id, price.'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1)
    if not near:
        folded = {n.lower(): n for n in names}
        near = [folded[m] for m in difflib.get_close_matches(name.lower(), folded, n=1)]
    if near:
        return f" Did you mean {near[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f" Known: {shown}."
