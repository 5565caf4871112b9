"""Layouts that can be chosen: the built-in ones, and those that a project keeps as YAML."""

from __future__ import annotations

from cartcast.app.files import safe_name
from cartcast.app.state import Project
from cartcast.atomic import write_text
from cartcast.errors import UsageError
from cartcast.events.builtin import LAYOUTS
from cartcast.events.layoutfile import to_yaml
from cartcast.events.layouts import Layout

__all__ = ["free_name", "keep", "known"]

_FOLDER = "layouts"


def known(project: Project) -> dict[str, str]:
    """Return what to call each layout -> what `layout` of a reading names it by."""
    own = sorted((project.folder / _FOLDER).glob("*.yaml"))
    return {**{p.stem: str(p) for p in own}, **{name: name for name in sorted(LAYOUTS)}}


def free_name(project: Project, wanted: str) -> str:
    """Return a name for a new layout that no other one has.

    >>> from pathlib import Path
    >>> free_name(Project(Path("/nowhere")), "ga4"), free_name(Project(Path("/nowhere")), "mine")
    ('ga4-2', 'mine')
    """
    taken, base, number = known(project), safe_name(wanted), 1
    while (name := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return name


def keep(project: Project, name: str, layout: Layout) -> str:
    """Keep a layout in the project and return its path.

    Raises:
        UsageError: another layout goes by that name.
    """
    name = safe_name(name)
    path = project.folder / _FOLDER / f"{name}.yaml"
    text = to_yaml(layout)
    # Logs and runs may have been read by what was kept: it is not changed behind them.
    if name in LAYOUTS or (path.is_file() and path.read_text(encoding="utf-8") != text):
        raise UsageError(f"{name}: another layout goes by that name; choose another name.")
    path.parent.mkdir(exist_ok=True)
    write_text(path, text)
    return str(path)
