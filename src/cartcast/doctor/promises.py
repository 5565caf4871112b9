"""What the project promises: runs as registered, aliases, backups in time, people forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cartcast.backup import Store, passphrase_from
from cartcast.backup.restore import ASIDE
from cartcast.config import STATE_FOLDER, Settings, parse_duration
from cartcast.doctor.codes import ALIAS, BACKUP, DATABASE, FORGETTING, KEY, RESTORE, RUN
from cartcast.errors import CartcastError
from cartcast.events.privacy import KEY_VARIABLE
from cartcast.findings import Finding, finding
from cartcast.forget import Marks
from cartcast.runs.registry import Registry

__all__ = ["backups", "forgettings", "key", "registry", "restores"]


def registry(project: Path, settings: Settings) -> Iterator[Finding]:
    """Tell runs that are not as registered, and aliases of runs that are not there."""
    # Asked without making one: a doctor changes nothing.
    if settings.catalogue is None and not (project / STATE_FOLDER / "catalogue.db").is_file():
        return
    catalogue = Registry.of(project)
    try:
        entries, held = catalogue.runs(), catalogue.aliases()
    except CartcastError as error:
        yield finding(DATABASE, str(error))
        return
    broken = {}
    for entry in entries:
        if entry.stored and not entry.path.is_dir():
            continue  # in the team's store: to look at it would pull it
        try:
            catalogue.verify(entry)
        except CartcastError as error:
            broken[entry.run_id] = str(error)
            yield finding(RUN, f"{entry.run_id}: {error}")
    known = {entry.run_id for entry in entries}
    for (target, alias), run_id in sorted(held.items()):
        if run_id not in known:
            yield finding(ALIAS, f"{target}/{alias} names {run_id}, which is not registered.")
        elif run_id in broken:
            yield finding(ALIAS, f"{target}/{alias} names {run_id}, which cannot be used.")


def backups(project: Path, settings: Settings, now: datetime | None = None) -> Iterator[Finding]:
    """Compare the age of the newest backup with `backup: {every: ...}`."""
    every, to = settings.backup.get("every"), settings.backup.get("to")
    if not to:
        return
    where = project / str(to)
    try:
        manifest = Store(where, passphrase_from()).read()
    except CartcastError as error:
        yield finding(BACKUP, f"no backup can be read: {error}")
        return
    age = ((now or datetime.now(UTC)) - datetime.fromisoformat(manifest.created)).total_seconds()
    if every is not None and age > parse_duration(every):
        yield finding(
            BACKUP,
            f"the newest backup in {where} is {age / 3600:,.1f} hours old; promised is one every "
            f"{every}.",
            seconds=round(age),
        )


def forgettings(project: Path) -> Iterator[Finding]:
    """Tell forgettings that were begun and not finished."""
    left = sum(mark.done is None for mark in Marks.of(project).entries)
    if left:
        yield finding(FORGETTING, f"{left} ids are marked, and not gone through.", count=left)


def restores(project: Path) -> Iterator[Finding]:
    """Tell states that a restore has put aside."""
    for path in sorted(project.glob(f"{ASIDE}*")):
        yield finding(RESTORE, f"{path.name} holds the state of before a restore.")


def key(settings: Settings) -> Iterator[Finding]:
    """Tell that ids are to be replaced and the key is missing."""
    if settings.privacy and not os.environ.get(KEY_VARIABLE):
        yield finding(KEY, f"{KEY_VARIABLE} is not set.")
