"""Forget a person: everywhere in the project, in a running service, and in what is restored later.

Each file is whole before and after; a forgetting that was killed is repeated, or finished by
`cartcast forget --finish`, which needs no name: the list of marks tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cartcast.config import STATE_FOLDER, read_settings
from cartcast.errors import UsageError
from cartcast.events import privacy_from
from cartcast.forget import live, tables, texts
from cartcast.forget.databases import clean_database
from cartcast.forget.marks import Marks
from cartcast.forget.person import Person
from cartcast.forget.places import (
    archives,
    clean_archive,
    databases,
    every_file,
    live_states,
)
from cartcast.forget.places import tables as all_tables
from cartcast.forget.places import texts as all_texts
from cartcast.forget.remains import count_in
from cartcast.runs.registry import Registry

__all__ = ["Forgetting", "Place", "apply", "expire", "export", "finish", "forget", "person_of"]


@dataclass(frozen=True)
class Place:
    """A file or folder, relative to the project, and how many records of it are meant."""

    place: str
    what: str
    count: int


@dataclass(frozen=True)
class Forgetting:
    """What went, and what remains.

    Attributes:
        removed: by place.
        remains: places that still hold one of the ids, searched by value.
        ids: how many ids were searched: the one given, and its pseudonym.
        short: an id has under four characters, and was searched in whole cells only.
    """

    removed: tuple[Place, ...]
    remains: tuple[Place, ...]
    ids: int
    short: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast forget --json` prints."""
        return {
            "removed": [asdict(p) for p in self.removed],
            "remains": [asdict(p) for p in self.remains],
            "ids": self.ids,
            "short": self.short,
        }


def person_of(project: Path, visitor: str) -> Person:
    """Return the person with this id, by it and by its pseudonym.

    Raises:
        UsageError: the id is empty, or the project pseudonymises and the key is missing.
    """
    if not visitor.strip():
        raise UsageError("forget needs the id of a visitor or user.")
    privacy = privacy_from(read_settings(project).privacy)
    names = {visitor} | ({str(privacy.name(visitor))} if privacy else set())
    return Person(lambda value: isinstance(value, str) and value in names, frozenset(names))


def forget(
    project: Path, visitor: str, *, wait: float = 60.0, stores: Iterable[Path] = ()
) -> Forgetting:
    """Remove a person from a project, and from what is restored into it later.

    Args:
        project: its folder.
        visitor: id of a visitor or user, as the shop writes it.
        wait: seconds that a running service has to forget.
        stores: folders of backups, whose restores leave the person out from now on.

    Raises:
        UsageError: the project pseudonymises and the key is missing.
        StorageError: the disk is full, or a running service or the team's store does not answer;
            repeat.
    """
    person = person_of(project, visitor)
    marks = Marks.of(project).adding(person.names)
    # First of all: a backup that is restored from now on leaves the person out.
    marks.write(project / STATE_FOLDER)
    for store in stores:
        if store.is_dir():
            marks.merge(store)
    with Registry.of(project).rewritten():
        removed = apply(project, person, wait=wait)
    marks.finished(person.names).write(project / STATE_FOLDER)
    return Forgetting(
        tuple(removed),
        tuple(remains(project, person)),
        len(person.names),
        any(len(name) < 4 for name in person.names),
    )


def finish(project: Path, wait: float = 60.0) -> list[Place]:
    """Continue with a forgetting that was killed, by its marks alone; return what went."""
    marks = Marks.of(project)
    left = Marks(tuple(m for m in marks.entries if m.done is None))
    removed: list[Place] = []
    if left.entries:
        with Registry.of(project).rewritten():
            removed = apply(project, Person(left.hold), wait=wait)
    marks.finished().write(project / STATE_FOLDER)
    return removed


def apply(project: Path, person: Person, *, wait: float = 60.0) -> list[Place]:
    """Remove a person from every file of a project's state; return what went, by place."""
    removed: list[Place] = []

    def note(path: Path, what: str, count: int) -> None:
        if count:
            removed.append(Place(path.relative_to(project).as_posix(), what, count))

    _find_sessions(project, person)
    for folder in live_states(project):
        logged, kept = live.drop_events(folder, person, wait)
        note(folder, "events in the log", logged)
        note(folder, "sessions and histories", kept)
    steps: tuple[tuple[list[Path], str, Callable[[Path], int]], ...] = (
        (all_tables(project), "rows", lambda p: tables.drop_rows(p, person)),
        (all_texts(project), "records", lambda p: texts.drop_records(p, person)[0]),
        (archives(project), "records", lambda p: clean_archive(p, person)),
        (databases(project), "cells", lambda p: clean_database(p, person)),
    )
    for paths, what, clean in steps:
        for path in paths:
            note(path, what, clean(path))
    return removed


def remains(project: Path, person: Person) -> list[Place]:
    """Return the places that still hold one of the person's ids; the shop's own files too."""
    found = []
    settings = read_settings(project)
    named = [*settings.sources, *([settings.orders] if settings.orders else [])]
    own = [project / word for word in named if "://" not in word]
    for path, what in (
        *((p, "in the project's state") for p in every_file(project)),
        *((p, "the shop's own file: remove it there") for p in own if p.is_file()),
    ):
        count = count_in(path, person)
        if count:
            place = path.relative_to(project) if path.is_relative_to(project) else path
            found.append(Place(place.as_posix(), what, count))
    return found


def export(project: Path, visitor: str) -> dict[str, Any]:
    """Return everything known of a person, by place, and the ids that came with theirs."""
    person = person_of(project, visitor)
    _find_sessions(project, person)
    known: dict[str, list[Any]] = {}
    for path in all_tables(project):
        known[path.relative_to(project).as_posix()] = list(tables.rows_of(path, person))
    for path in all_texts(project):
        told = texts.drop_records(path, person, drop=False)[1]
        known[path.relative_to(project).as_posix()] = told
    for folder in live_states(project):
        name = folder.relative_to(project).as_posix()
        known[f"{name} (events)"] = live.events_of(folder, person)
        known[f"{name} (sessions)"] = [_plain_row(r) for r in live.rows_of(folder, person)]
    found = {place: rows for place, rows in known.items() if rows}
    linked = {
        str(row[column])
        for rows in found.values()
        for row in rows
        for column in ("visitor_id", "user_id")
        if isinstance(row, dict) and row.get(column) is not None
    }
    return {"ids": sorted(person.names), "linked": sorted(linked - person.names), "known": found}


def expire(project: Path, age: float) -> list[Place]:
    """Remove what is older than `age` seconds: rows of logs and predictions, uploads, jobs.

    A live state ends sessions and histories by its own limits.
    """
    edge = datetime.now(UTC) - timedelta(seconds=age)
    removed = []
    with Registry.of(project).rewritten():
        for path in all_tables(project):
            if "uploads" not in path.relative_to(project).parts:
                count = tables.drop_rows(path, None, edge)
                if count:
                    removed.append(Place(path.relative_to(project).as_posix(), "rows", count))
    for path in sorted((project / STATE_FOLDER / "uploads").glob("*/*")):
        if path.stat().st_mtime < edge.timestamp():
            path.unlink()
            removed.append(Place(path.relative_to(project).as_posix(), "upload", 1))
    return removed


def _find_sessions(project: Path, person: Person) -> None:
    for path in all_tables(project):
        tables.find_sessions(path, person)
    for folder in live_states(project):
        live.find_live_sessions(folder, person)
    for path in all_tables(project):
        tables.find_others(path, person)


def _plain_row(row: Any) -> dict[str, Any]:
    if row[0] == "v":
        return {"visitor_id": row[1], "sessions": row[2][0], "events": row[2][1]}
    session = row[1]
    return {"session_id": session[0], "keys": list(session[1]), "clicks": session[4]}
