"""Periods that the filters offer, and what they are called in an address."""

from __future__ import annotations

__all__ = ["BEFORE", "NEARLY", "USUAL", "last_days"]

USUAL = (7, 28, 90)
"""Lengths in days of the periods that end with the log."""

BEFORE = "the period before"
"""What a period is held against, where that is another as long."""

NEARLY = 1 / 8
"""Part of a period that may lack at either end when it still counts as whole."""


def last_days(days: int) -> str:
    """Return what the last days are called.

    >>> last_days(7)
    'last 7 days'
    """
    return f"last {days} days"
