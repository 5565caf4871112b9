"""Kin: files with the same columns, whose rows tell what one of them alone leaves open.

A log comes in parts: one may hold refunds alone, another only days up to the 12th. Which column is
the total is told by rows of all; how times and numbers are written, by a part's own wherever they
are sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cartcast.events.nested import Cell
from cartcast.events.read import Source

__all__ = ["MOST_KIN", "among", "kin_of"]

MOST_KIN = 20
"""Files whose rows are shared: the first ones."""
_ROWS = 1000
_ALIKE = 0.8
"""Share of names that files must have in common: one may have a column more, or lack empty ones."""


def kin_of(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return what tells of the first sources: their names, columns and first rows."""
    return tuple(
        Source(
            s.name, "", {name: Cell("", cell.kind) for name, cell in s.cells.items()},
            kind=s.kind, sample=s.sample[:_ROWS],
        )
        for s in sources[:MOST_KIN]
        if s.has_header and _rows(s)
    )  # fmt: skip


def among(source: Source, kin: Sequence[Source]) -> Source:
    """Return a source that knows the rows of its kin: the same ones for each of them."""
    if not source.has_header or not _rows(source):
        return source
    alike = [k for k in kin if _alike(source, k)]
    if all(k.name != source.name for k in alike):
        alike.append(source)
    if len(alike) < 2:
        return source
    each = max(_ROWS // len(alike), 50)
    rows: list[tuple[str | None, ...]] = []
    before: set[tuple[str | None, ...]] = set()
    for one in alike:
        # What lies in two files is one row: an order's number must not look like a repeated one.
        more = [row for row in _rows_by(source, one, each) if row not in before]
        rows += more
        before.update(more)
    return replace(source, kin=tuple(rows))


def _rows(source: Source) -> bool:
    """Return whether the sample holds rows: a whole file of JSON may be a single one."""
    return len(source.sample) > (source.kind == "json")


def _alike(source: Source, other: Source) -> bool:
    ours, theirs = ({c.lower() for c in s.columns} for s in (source, other))
    return len(ours & theirs) >= _ALIKE * len(ours | theirs)


def _rows_by(source: Source, other: Source, most: int) -> list[tuple[str | None, ...]]:
    """Return rows of another source by the columns of this one."""
    if other.columns == source.columns:
        return list(other.sample[:most])
    at = {c.lower(): i for i, c in enumerate(other.columns)}
    places = [at.get(c.lower()) for c in source.columns]
    return [
        tuple(row[p] if p is not None and p < len(row) else None for p in places)
        for row in other.sample[:most]
    ]
