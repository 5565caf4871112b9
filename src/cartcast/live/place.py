"""Where the live verbs keep their state."""

from __future__ import annotations

from pathlib import Path

from cartcast.config import STATE_FOLDER, find_project

__all__ = ["home"]


def home() -> Path:
    """Return the folder of state and keys: the project's, or one in the current folder."""
    return (find_project() or Path.cwd()) / STATE_FOLDER
