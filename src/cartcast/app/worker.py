"""The process that does a job of the app, a training or a check: `cartcast.app.worker FOLDER`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from cartcast import system
from cartcast.atomic import file_mode, make_folder, process_umask, write_text
from cartcast.config import PROJECT_FILE
from cartcast.errors import BlockedError, CartcastError

__all__ = ["main", "work"]

AT_ONCE = 2
"""Jobs that run at the same time; further ones wait, so that the machine stays usable."""


class _CancelledError(BaseException):
    """Asked to stop; not an Exception, so that nothing on the way takes it for a failure."""


def _status(
    folder: Path, state: str, message: str, share: float | None = None, **more: Any
) -> None:
    told = {"state": state, "message": message, "share": share, **more}
    write_text(folder / "status.json", json.dumps(told))


def _say(message: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {message}", flush=True)


def work(folder: Path) -> int:
    """Do what `request.json` asks; return the exit status, as the command line would."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    last: list[str] = []

    def progress(what: str, share: float | None = None) -> None:
        if last[-1:] != [what]:
            _say(what)
            last.append(what)
        _status(folder, "running", what, share)

    try:
        with _slot(folder, request["project"]):
            _KINDS[request.get("kind", "train")](request, progress)
    except BlockedError as error:
        findings = [f.as_dict() for f in error.findings]
        return _fail(folder, error, error.exit_status, findings=json.loads(_dump(findings)))
    except CartcastError as error:
        return _fail(folder, error, error.exit_status)
    except _CancelledError:
        _say("cancelled")
        _status(folder, "cancelled", "cancelled", ended=time.time())
        return 130
    except MemoryError:
        return _fail(folder, "out of memory; use fewer rows or fewer models.", 1)
    except Exception as error:  # noqa: BLE001  the page must hear of it, and there is no caller
        import traceback

        traceback.print_exc()
        return _fail(folder, f"unexpected {type(error).__name__}: {error}", 1)
    _say("done")
    _status(folder, "done", "done", 1.0, ended=time.time())
    return 0


def _train(request: dict[str, Any], progress: Any) -> None:
    from cartcast.runs.registry import Registry
    from cartcast.train import train

    project = Path(request["project"])
    known = (project / PROJECT_FILE).is_file()
    options = dict(request["options"])
    for name in ("models", "anchors", "drop"):
        if isinstance(options.get(name), list):
            options[name] = tuple(options[name])
    run = train(
        *request["sources"],
        rows=request["rows"],
        run_dir=request["run_dir"],
        project=project if known else None,
        progress=progress,
        **options,
    )
    if not known:
        Registry.of(project).add(run.dir)


def _watch(request: dict[str, Any], progress: Any) -> None:
    from cartcast import events
    from cartcast.config import DEFAULTS, read_settings
    from cartcast.monitoring.check import check
    from cartcast.monitoring.plan import plan_from
    from cartcast.segments import named_segment

    project = Path(request["project"])
    settings = read_settings(project) if (project / PROJECT_FILE).is_file() else DEFAULTS
    look = check(
        Path(request["run_dir"]),
        request["sources"],
        project=project,
        plan=plan_from(settings.monitoring),
        rates=settings.rates or None,
        privacy=events.privacy_from(settings.privacy),
        targets=settings.targets,
        segments=[named_segment(s) for s in request.get("options", {}).get("segments", ())],
        progress=progress,
    )
    for alarm in look.opened:
        _say(f"alarm {alarm.number}: {alarm.code} {alarm.message}")
    if look.problem:
        _say(f"not sent: {look.problem} It is tried again at the next check.")


_KINDS = {"train": _train, "watch": _watch}


@contextlib.contextmanager
def _slot(folder: Path, project: str) -> Iterator[None]:
    """Wait for one of the `AT_ONCE` places."""
    from filelock import FileLock, Timeout

    places = folder.parent.parent / "places"
    make_folder(places)
    locks = [
        FileLock(path, mode=file_mode(path))
        for path in (places / f"{k}.lock" for k in range(AT_ONCE))
    ]
    while True:
        for lock in locks:
            with contextlib.suppress(Timeout), lock.acquire(blocking=False):
                yield
                return
        _status(folder, "waiting", "waiting for another job to end", 0.0)
        time.sleep(0.5)


def _fail(folder: Path, error: object, status: int, **more: Any) -> int:
    message = " ".join(str(error).split())
    _say(f"error: {message}")
    _status(folder, "failed", message, ended=time.time(), exit_status=status, **more)
    return status


def _dump(value: Any) -> str:
    return json.dumps(value, default=str)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _CancelledError


def main() -> None:
    """Run the job named on the command line."""
    signal.signal(signal.SIGTERM, _stop)
    system.give_way()  # the browser's server comes first on a shared machine
    folder = Path(sys.argv[1]).absolute()
    # .cartcast/app/jobs/NAME: all that this process writes is the project's.
    os.umask(process_umask(folder.parents[3]))
    sys.exit(work(folder))


if __name__ == "__main__":
    main()
