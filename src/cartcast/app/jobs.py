"""Long work, a training or a check of a run: processes that outlive the browser, with a status.

A job is a folder in `.cartcast/app/jobs/`: `request.json` (what was asked, by whom),
`status.json` (what it is doing, written atomically by the worker), `log.txt`. The run of a
training goes to `.cartcast/runs/`, whole or not at all; what a check finds, to the watch's state.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cartcast import system
from cartcast.app.access import Person
from cartcast.app.state import Project
from cartcast.atomic import opener, write_text
from cartcast.errors import NotFoundError, StorageError, UsageError

__all__ = ["OPEN", "Job", "JobState", "cancel", "get", "jobs", "remove", "start", "watch"]

JobState = Literal["waiting", "running", "done", "failed", "cancelled", "stopped"]
OPEN: tuple[JobState, ...] = ("waiting", "running")
"""States of a job that is not over. `stopped`: the process is gone and said nothing."""

_PROCESSES: dict[int, subprocess.Popen[bytes]] = {}
"""Workers started by this server, so that their exit is noticed; others are found by number."""


@dataclass(frozen=True)
class Job:
    """One training or check that was asked for.

    Attributes:
        id: name of its folder.
        kind: `train`, or `watch` for a check.
        folder: where its files are.
        who: name of the person who asked.
        created: ISO 8601 UTC.
        target: what is to be predicted; of a check, the run.
        options: what was asked, as for `cartcast.train.train`.
        state: see `JobState`.
        message: what it is doing, or why it ended.
        share: how far it is, 0 to 1; None when unknown.
        run_dir: folder of the run; of a training, there when the state is `done`.
        findings: of a training that the audit stopped.
        seconds: since it began, or that it took.
    """

    id: str
    kind: str
    folder: Path
    who: str
    created: str
    target: str
    options: Mapping[str, Any]
    state: JobState
    message: str
    share: float | None
    run_dir: Path
    findings: tuple[dict[str, Any], ...] = field(default=())
    seconds: float = 0.0

    @property
    def log(self) -> str:
        """The last 200 lines of the worker's log."""
        path = self.folder / "log.txt"
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 40_000))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-200:])


def start(
    project: Project,
    person: Person,
    sources: Sequence[str],
    *,
    rows: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Job:
    """Start a training of `sources` (or of the ready table `rows`) in a process of its own.

    Raises:
        RefusedError: the person may not train.
        UsageError: there is nothing to train on, or an option does not fit.
        StorageError: the process cannot be started.
    """
    from cartcast.train import Options

    asked = {k: v for k, v in (options or {}).items() if v is not None}
    target = str(asked.get("target") or project.settings.target)
    project.access.require(person, "train", f"{target} on {', '.join(sources) or rows}")
    if not sources and rows is None:
        raise UsageError("nothing to train on: choose a file first.")
    try:
        Options.from_settings(project.settings, **asked)
    except TypeError as error:
        raise UsageError(f"training has no such option: {error}.") from error
    name = _name()
    request: dict[str, Any] = {
        "kind": "train",
        "target": target,
        "sources": list(sources),
        "rows": rows,
        "options": asked,
        "run_dir": str(project.state / "runs" / name),
    }
    return _launch(project, person, name, request)


def watch(
    project: Project, person: Person, run_dir: Path, sources: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> Job:  # fmt: skip
    """Start a check of a run on `sources` in a process of its own; options: `segments`.

    Raises:
        RefusedError: the person may not.
        StorageError: the process cannot be started.
    """
    project.access.require(person, "watch", f"{run_dir.name} on {', '.join(sources)}")
    request: dict[str, Any] = {"kind": "watch", "target": run_dir.name, "sources": list(sources),
               "rows": None, "options": dict(options or {}), "run_dir": str(run_dir)}  # fmt: skip
    return _launch(project, person, _name(), request)


def _name() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _launch(project: Project, person: Person, name: str, request: Mapping[str, Any]) -> Job:
    folder = project.state / "app" / "jobs" / name
    request = {
        **request,
        "who": person.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "project": str(project.folder),
    }
    write_text(folder / "request.json", json.dumps(request, indent=1))
    write_text(
        folder / "status.json", json.dumps({"state": "waiting", "message": "starting", "share": 0})
    )
    try:
        told = folder / "log.txt"
        with open(told, "ab", opener=opener(told)) as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "cartcast.app.worker", str(folder)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=project.folder,
                start_new_session=True,
            )
    except OSError as error:
        raise StorageError(f"the process cannot be started ({error}).") from error
    _PROCESSES[process.pid] = process
    write_text(
        folder / "process.json",
        json.dumps({"pid": process.pid, "born": _born(process.pid), "started": time.time()}),
    )
    return get(project, name)


def jobs(project: Project, kind: str = "train") -> list[Job]:
    """Return all jobs of a kind, newest first."""
    found = sorted(project.state.glob("app/jobs/*/request.json"), reverse=True)
    return [job for path in found if (job := _read(path.parent)).kind == kind]


def get(project: Project, name: str) -> Job:
    """Return the job `name`.

    Raises:
        NotFoundError: there is none.
    """
    folder = project.state / "app" / "jobs" / Path(name).name
    if not (folder / "request.json").is_file():
        raise NotFoundError(f"no job {name!r} here; it may have been deleted.")
    return _read(folder)


def cancel(project: Project, person: Person, name: str, patience: float = 5.0) -> Job:
    """Stop a job and its children; a half-written run is removed. A job that is over stays so.

    Raises:
        RefusedError: the person may not cancel.
        NotFoundError: there is no such job.
    """
    project.access.require(person, "cancel", name)
    job = get(project, name)
    if job.state not in OPEN:
        return job
    told = _process(job.folder)
    pid = told.get("pid")
    if pid and _alive(told):
        _end(pid)
        deadline = time.monotonic() + patience
        while _alive(told) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _alive(told):
            _end(pid, at_once=True)
    if get(project, name).state != "done":
        _finish(job.folder, "cancelled", f"cancelled by {person.name}")
    return get(project, name)


def remove(project: Project, person: Person, name: str) -> None:
    """Delete the record of a job that is over; its run stays.

    Raises:
        RefusedError: the person may not delete.
        UsageError: the job is not over.
    """
    import shutil

    project.access.require(person, "delete", f"record of job {name}")
    job = get(project, name)
    if job.state in OPEN:
        raise UsageError(f"{name} is not over; cancel it first.")
    shutil.rmtree(job.folder)


def _read(folder: Path) -> Job:
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    told = _process(folder)
    # Asked before the status is read: a worker that ends in between has written its last word.
    alive = _alive(told)
    status = _json(folder / "status.json")
    state: JobState = status.get("state", "stopped")
    message = str(status.get("message", ""))
    if state in OPEN and told and not alive:
        state, message = "stopped", "the process ended without a message; the log may say why"
    ended = status.get("ended") or (time.time() if state in OPEN else None)
    seconds = (ended - told["started"]) if ended and told else 0.0
    return Job(
        id=folder.name,
        kind=request.get("kind", "train"),
        folder=folder,
        who=request["who"],
        created=request["created"],
        target=request["target"],
        options=request["options"],
        state=state,
        message=message,
        share=status.get("share"),
        run_dir=Path(request["run_dir"]),
        findings=tuple(status.get("findings", ())),
        seconds=max(seconds, 0.0),
    )


def _finish(folder: Path, state: JobState, message: str) -> None:
    told = {"state": state, "message": message, "share": None, "ended": time.time()}
    write_text(folder / "status.json", json.dumps(told))


def _process(folder: Path) -> dict[str, Any]:
    return _json(folder / "process.json")


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _end(pid: int, *, at_once: bool = False) -> None:
    # The worker leads its own group (start_new_session), so its children end with it.
    with contextlib.suppress(ProcessLookupError):
        system.end(pid, at_once=at_once)


def _alive(told: Mapping[str, Any]) -> bool:
    """Return whether that very process still runs; a reused number is not it."""
    pid = told.get("pid")
    if not pid:
        return False
    if (process := _PROCESSES.get(pid)) is not None:
        return process.poll() is None
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        return stat.is_file() and _born(pid) == told.get("born") and _state(pid) != "Z"
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _born(pid: int) -> str | None:
    fields = _fields(pid)
    return fields[19] if len(fields) > 19 else None


def _state(pid: int) -> str | None:
    fields = _fields(pid)
    return fields[0] if fields else None
