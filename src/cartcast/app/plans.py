"""Plans of experiments that a project holds: files of its own, and those kept through the app."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cartcast.app.files import safe_name
from cartcast.app.state import Project
from cartcast.atomic import write_text
from cartcast.errors import CartcastError, DataError, DefinitionError, UsageError
from cartcast.experiments import Plan, plan_from, read_plan
from cartcast.yamlfile import parse_yaml, read_yaml

__all__ = ["Place", "activations", "keep", "places", "read"]

_MOST = 200
_LARGEST = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where a plan is: its file, and the experiment's name where the file holds several."""

    path: Path
    name: str | None

    @property
    def title(self) -> str:
        """What to call it."""
        return self.name or self.path.stem


def places(project: Project) -> dict[str, Place]:
    """Return the experiments of a project by title; those kept through the app come first.

    YAML files that hold no experiment are passed over; one that holds a wrong plan is listed, and
    `read` says what is wrong.
    """
    found: dict[str, Place] = {}
    for path in [*sorted(_folder(project).glob("*.yaml")), *islice(_own(project.folder), _MOST)]:
        try:
            names = _names(read_yaml(path))
        except CartcastError:
            continue
        for name in names:
            place = Place(path, name)
            title = place.title
            if title in found:
                title = f"{title} ({path.name})"
            found.setdefault(title, place)
    return found


def activations(project: Project) -> dict[str, Place]:
    """Return the activations that the YAML files of a project declare, by title."""
    found: dict[str, Place] = {}
    for path in islice(_own(project.folder), _MOST):
        try:
            data = read_yaml(path)
        except CartcastError:
            continue
        named = data.get("activations") if isinstance(data, Mapping) else None
        for name in map(str, named) if isinstance(named, Mapping) else ():
            title = name if name not in found else f"{name} ({path.name})"
            found.setdefault(title, Place(path, name))
    return found


def read(place: Place) -> Plan:
    """Return a plan, ready to be measured on a log.

    Raises:
        NotFoundError, DefinitionError: it is gone, or wrong.
        UsageError: it is of a ready table of units.
    """
    plan = read_plan(place.path, place.name)
    if not plan.quantities:
        raise UsageError(
            f"{place.title}: this plan reads a ready table of units, and this page the loaded log. "
            "Add `quantities` to the plan: which events of the log make its columns."
        )
    return plan


def keep(project: Project, name: str, text: str) -> Place:
    """Keep the text of a plan under a name and return its place.

    Raises:
        DataError: it is too large.
        DefinitionError: it is no plan.
        UsageError: another plan goes by that name.
    """
    if len(text) > _LARGEST:
        raise DataError(f"{name}: a plan has at most {_LARGEST:,} characters.")
    data = parse_yaml(text, name)
    names = _names(data)
    if not names:
        raise DefinitionError(f"{name}: holds no experiment: it needs `arms` and `metrics`.")
    for one in names:
        plan_from(data if one is None else {"key": one, **(data["experiments"][one] or {})})
    path = _folder(project) / f"{safe_name(Path(name).stem)}.yaml"
    # A plan is declared before the start: what was kept is not changed under way.
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise UsageError(f"{path.stem}: another plan goes by that name; choose another name.")
    write_text(path, text)
    return Place(path, names[0])


def _own(folder: Path) -> Iterator[Path]:
    """Yield the YAML files of a project; hidden folders, its state among them, are not entered."""
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (
            Path(place, n) for n in sorted(names) if n[0] != "." and n.endswith((".yaml", ".yml"))
        )


def _folder(project: Project) -> Path:
    return project.state / "experiments" / "plans"


def _names(data: Any) -> list[str | None]:
    if not isinstance(data, Mapping):
        return []
    several = data.get("experiments")
    if isinstance(several, Mapping):
        return [str(name) for name in several]
    return [None] if {"arms", "metrics"} <= set(data) else []
