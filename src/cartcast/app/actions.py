"""What people do to a project through the app: every action checks the role and is logged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from cartcast import segments
from cartcast.app import files, layouts, plans, saved_views, warehouse
from cartcast.app.access import Person
from cartcast.app.state import Data, Progress, Project, shown
from cartcast.runs.registry import Entry
from cartcast.runs.run import Run

if TYPE_CHECKING:
    from cartcast.events.draft import Draft
    from cartcast.events.layouts import Layout
    from cartcast.experiments import Analysis, Decision, Measured, Plan
    from cartcast.monitoring.alarms import Alarm, Silence, State
    from cartcast.segments import Segment

__all__ = [
    "Moved",
    "add_upload",
    "change_alarm",
    "delete_data",
    "draft_of",
    "keep_layout",
    "keep_plan",
    "keep_segment",
    "keep_view",
    "look",
    "move_view",
    "pick_file",
    "pick_table",
    "promote",
    "read_log",
    "record",
    "remove_segment",
    "remove_view",
    "rollback",
    "silence",
]


def add_upload(project: Project, person: Person, name: str, content: BinaryIO) -> Path:
    """Keep an uploaded file and return its path.

    Raises:
        RefusedError: the person may not upload.
        DataError, UsageError: the file is empty, too large, or of an unknown kind.
    """
    project.access.require(person, "upload", files.safe_name(name))
    return files.save_upload(project.folder, name, content, project.settings.upload_megabytes)


def pick_file(project: Project, person: Person, name: str) -> Path:
    """Return the path of a file of the project.

    Raises:
        RefusedError: the person may not bring data in.
        NotFoundError: it is not there, or lies outside the project.
    """
    project.access.require(person, "upload", f"project file {name}")
    return files.resolve_inside(project.folder, name)


def pick_table(project: Project, person: Person, database: str, table: str) -> str:
    """Return a table of a database of the project as a source.

    Raises:
        RefusedError: the person may not bring data in.
        NotFoundError: there is no such database or table.
    """
    project.access.require(person, "upload", f"table {table} of {database}")
    return warehouse.source(warehouse.find(project, database), table)


def read_log(
    project: Project,
    person: Person,
    sources: Sequence[str],
    *,
    layout: str | None = None,
    orders: str | None = None,
    max_reject_share: float | None = None,
    progress: Progress | None = None,
    run: Run | None = None,
) -> Data:
    """Clean sources by the contract and keep the log, to be looked at, or to be scored by `run`.

    Raises:
        RefusedError: the person may not bring data in.
        DataError, UsageError, NotFoundError: as `cartcast validate`.
    """
    project.access.require(person, "upload", "read " + ", ".join(map(shown, sources)))
    try:
        return project.read(
            sources,
            layout=layout,
            orders=orders,
            max_reject_share=max_reject_share,
            progress=progress,
            run=run,
        )
    finally:
        if project.settings.privacy:
            _forget_uploads(project, sources)


def draft_of(project: Project, person: Person, sources: Sequence[str]) -> Draft:
    """Return what the columns of the first source are taken for.

    Raises:
        RefusedError: the person may not bring data in.
        DataError, NotFoundError: it is empty, no table, or not there.
    """
    from cartcast.events.draft import draft

    project.access.require(person, "upload", f"look at the columns of {shown(sources[0])}")
    try:
        return draft(sources[0], project.state)
    finally:
        if project.settings.privacy:
            _forget_uploads(project, sources)


def keep_layout(project: Project, person: Person, name: str, layout: Layout) -> str:
    """Keep a layout in the project and return its path.

    Raises:
        RefusedError: the person may not bring data in.
        UsageError: another layout goes by that name.
    """
    project.access.require(person, "upload", f"layout {files.safe_name(name)}")
    return layouts.keep(project, name, layout)


def _forget_uploads(project: Project, sources: Sequence[str]) -> None:
    """Delete uploads: where ids are replaced on entry, what was sent does not stay either."""
    uploads = files.uploads(project.folder)
    for source in sources:
        if uploads in Path(source).parents:
            shutil.rmtree(Path(source).parent, ignore_errors=True)


def delete_data(project: Project, person: Person, data: Data) -> None:
    """Delete a clean log that the app keeps; its source stays.

    Raises:
        RefusedError: the person may not delete.
    """
    project.access.require(person, "delete", f"log {data.key} ({data.name})")
    shutil.rmtree(data.folder, ignore_errors=True)


class Moved(NamedTuple):
    """The run that an alias names now, and what is to be said of the telling, if anything."""

    entry: Entry
    told: str | None


def promote(project: Project, person: Person, run_id: str, alias: str, reason: str) -> Moved:
    """Give a run an alias, and tell those who are told of a new champion.

    Raises:
        RefusedError: the person may not promote.
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
    """
    project.access.require(person, "promote", f"{run_id} to {alias}: {reason}")
    entry = project.registry.promote(run_id, alias, reason, person.name)
    return _moved(project, entry, alias)


def rollback(project: Project, person: Person, alias: str, target: str) -> Moved:
    """Give an alias back to the run that held it before, and tell as `promote` does.

    Raises:
        RefusedError: the person may not roll back.
        NotFoundError: no earlier run held it.
    """
    project.access.require(person, "rollback", f"{target}/{alias}")
    return _moved(project, project.registry.rollback(alias, target, person.name), alias)


def _moved(project: Project, entry: Entry, alias: str) -> Moved:
    from cartcast.monitoring.changes import announce

    return Moved(entry, announce(project.registry, entry.target, alias))


def keep_plan(project: Project, person: Person, name: str, text: str) -> plans.Place:
    """Keep the plan of an experiment.

    Raises:
        RefusedError: the person may not.
        DataError, DefinitionError, UsageError: it is no plan, or its name is taken.
    """
    project.access.require(person, "experiment", f"plan {files.safe_name(name)}")
    return plans.keep(project, name, text)


def keep_segment(project: Project, person: Person, segment: Segment) -> Segment:
    """Save a segment under its name and return it with its version.

    Raises:
        RefusedError: the person may not.
        UsageError: the name does not fit a file.
    """
    project.access.require(person, "segment", f"save {files.safe_name(segment.name)}")
    return segments.save_segment(project.folder, segment)


def remove_segment(project: Project, person: Person, name: str) -> None:
    """Remove a saved segment.

    Raises:
        RefusedError: the person may not.
        NotFoundError: it is gone.
    """
    project.access.require(person, "segment", f"remove {files.safe_name(name)}")
    segments.remove_segment(project.folder, name)


def keep_view(project: Project, person: Person, view: saved_views.SavedView) -> None:
    """Save a view for everybody who may read the project.

    Raises:
        RefusedError: the person may not.
        UsageError: there are too many.
    """
    project.access.require(person, "board", f"save view {view.name}")
    saved_views.save_view(project.folder, view)


def move_view(project: Project, person: Person, name: str, by: int) -> None:
    """Move a saved view up (by < 0) or down.

    Raises:
        RefusedError: the person may not.
        NotFoundError: it is gone.
    """
    project.access.require(person, "board", f"move view {name}")
    saved_views.move_view(project.folder, name, by)


def remove_view(project: Project, person: Person, name: str) -> None:
    """Remove a saved view.

    Raises:
        RefusedError: the person may not.
        NotFoundError: it is gone.
    """
    project.access.require(person, "board", f"remove view {name}")
    saved_views.remove_view(project.folder, name)


def look(project: Project, person: Person, plan: Plan, measured: Measured) -> Analysis:
    """Look at an experiment; that somebody looked is kept, since each look may mislead.

    Raises:
        RefusedError: the person may not.
        DataError: the units cannot be analysed.
    """
    from cartcast import experiments

    project.access.require(person, "experiment", f"look at {plan.allocation.key}")
    journal = experiments.Journal.of(project.folder, plan, person.name)
    return experiments.look(measured, plan, journal=journal)


def record(project: Project, person: Person, plan: Plan, decision: Decision) -> None:
    """Keep a decision beside the looks before it.

    Raises:
        RefusedError: the person may not.
    """
    from cartcast.experiments import Journal

    detail = f"decision on {decision.experiment}: {decision.action} {decision.arm}"
    project.access.require(person, "experiment", detail)
    Journal.of(project.folder, plan, person.name).add("decision", decision.as_dict())


def change_alarm(project: Project, person: Person, number: int, state: State, why: str) -> Alarm:
    """Acknowledge or resolve an alarm.

    Raises:
        RefusedError: the person may not.
        NotFoundError, UsageError: there is no such alarm, or it is resolved.
    """
    from cartcast.monitoring.store import open_store

    project.access.require(person, "alarm", f"{number} {state}: {why}")
    return open_store(project.folder).change(number, state, why, person.name)


def silence(project: Project, person: Person, code: str, hours: float, why: str) -> Silence:
    """Hold back the sending of a kind of alarm for some hours; it is still raised and kept.

    Raises:
        RefusedError: the person may not.
        UsageError: there is no reason.
    """
    from cartcast.monitoring.store import open_store

    project.access.require(person, "silence", f"{code} for {hours:g} hours: {why}")
    until = datetime.now(UTC) + timedelta(hours=hours)
    return open_store(project.folder).silence(code, until, why, person.name)
