"""Segments that a project keeps: `segments/NAME.yaml`, written whole, to be read and edited."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from cartcast.atomic import write_text
from cartcast.errors import NotFoundError, UsageError, did_you_mean
from cartcast.segments.segment import Segment, segment_from
from cartcast.yamlfile import read_yaml

__all__ = ["read_segment", "remove_segment", "save_segment", "segment_names"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def segment_names(project: Path) -> list[str]:
    """Return the names of a project's segments, in order."""
    names = (p.stem for p in (project / "segments").glob("*.yaml"))
    return sorted(n for n in names if _NAME.fullmatch(n))


def read_segment(project: Path, name: str) -> Segment:
    """Return a segment of a project.

    Raises:
        NotFoundError: there is none of that name.
        DefinitionError: its file breaks a rule.
    """
    path = _found(project, name)
    return segment_from(read_yaml(path), name, str(path))


def save_segment(project: Path, segment: Segment) -> Segment:
    """Save a segment under its name; return it with its version.

    Another definition of a name gets the next version; the same one changes nothing.

    Raises:
        UsageError: the name does not fit a file.
        StorageError: the project cannot be written.
    """
    import yaml

    path = _place(project, segment.name)
    # What could not be read again is not written.
    segment_from(segment.as_dict(), segment.name)
    if path.is_file():
        before = read_segment(project, segment.name)
        if before.same(segment):
            return before
        segment = replace(segment, version=before.version + 1)
    path.parent.mkdir(exist_ok=True)
    told = yaml.safe_dump(segment.as_dict(), sort_keys=False, allow_unicode=True, width=100)
    # A value may hold a line break; a comment ends there.
    write_text(path, f"# {' '.join(segment.describe().split())}\n{told}")
    return segment


def remove_segment(project: Path, name: str) -> None:
    """Remove a segment; runs keep the definition that they learnt by.

    Raises:
        NotFoundError: there is none of that name.
    """
    _found(project, name).unlink()


def _found(project: Path, name: str) -> Path:
    path = _place(project, name)
    if not path.is_file():
        known = segment_names(project)
        hint = did_you_mean(name, known) or " Make it with `cartcast segment make`."
        raise NotFoundError(f"{path}: no such segment.{hint}")
    return path


def _place(project: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise UsageError(
            "a segment's name has 1 to 64 letters, digits, - and _, and begins with a letter or "
            f"digit, got {name!r:.80}."
        )
    return project / "segments" / f"{name}.yaml"
