"""Where the live verbs find the project, its registry and its state."""

from __future__ import annotations

from pathlib import Path

from cartcast.config import STATE_FOLDER, find_project, read_settings

__all__ = ["home", "project_of"]


def project_of() -> tuple[str | None, str | None]:
    """Return the project folder and the URL of its catalogue, each None where there is none."""
    project = find_project()
    if project is None:
        return None, None
    return str(project), read_settings(project).catalogue


def home() -> Path:
    """Return the folder of state and keys: the project's, or one in the current folder."""
    return (find_project() or Path.cwd()) / STATE_FOLDER
