"""Where the live verbs keep their state, and the note of a state that is not in the project."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import urlsplit

from cartcast.atomic import write_text
from cartcast.config import STATE_FOLDER, find_project
from cartcast.errors import StorageError

__all__ = ["home", "note_state", "state_elsewhere"]

_NOTE = "live-elsewhere.txt"


def home() -> Path:
    """Return the folder of state and keys: the project's, or one in the current folder."""
    return (find_project() or Path.cwd()) / STATE_FOLDER


def note_state(project: str | None, state: str) -> None:
    """Note where a service of the project keeps its live state, if that is not the project.

    A backup must not miss it unnoticed. The note holds no user and no password.
    """
    if project is None:
        return
    note = Path(project) / STATE_FOLDER / _NOTE
    # A project that cannot be written to is served all the same.
    with contextlib.suppress(StorageError, OSError):
        if state == "memory":
            note.unlink(missing_ok=True)
        else:
            parts = urlsplit(state)
            write_text(note, f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}")


def state_elsewhere(project: Path) -> str | None:
    """Return where the live state of a project is, if its last service did not keep it there."""
    note = project / STATE_FOLDER / _NOTE
    return note.read_text(encoding="utf-8") if note.is_file() else None
