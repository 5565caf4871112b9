"""Shares over sessions, counted by visitor, so that their intervals know who came often."""

from __future__ import annotations

from collections.abc import Sequence

from cartcast.evaluate.share import Clusters, Share, share

__all__ = ["clustered", "sums", "visitor_of"]


def visitor_of(columns: Sequence[str]) -> str:
    """Return the column of a session table that tells visitors apart.

    A number is counted faster than a name.
    """
    return "visitor_code" if "visitor_code" in columns else "visitor"


def sums(did: str, of: str) -> str:
    """SQL: the fields of `Clusters` as one list, over a relation with a row for each visitor.

    `did` and `of` are expressions for how many of the visitor's units did it, and how many could.

    >>> sums("bought", "n")[:40]
    '[count(*) FILTER (n > 0), sum(n), sum(bo'
    """
    return (
        f"[count(*) FILTER ({of} > 0), sum({of}), sum({did}), sum({of} * {of}), "
        f"sum({did} * {did}), sum({of} * {did})]::DOUBLE[]"
    )


def clustered(found: Sequence[float | None] | None, level: float) -> Share:
    """Return the share and its interval from what `sums` found."""
    known = Clusters(*(value or 0.0 for value in found or [0.0] * 6))
    return share(round(known.x), round(known.n), level, known)
