"""Progress: what long work tells while it runs."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "quiet"]

Progress = Callable[[str, float | None], None]
"""Called with what is being done and, when known, the share done (0 to 1)."""


def quiet(what: str, share: float | None = None) -> None:
    """Tell nobody."""
