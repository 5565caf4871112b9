"""What all verbs share: errors to one line and an exit status, JSON out, progress for people."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cartcast.cli import complaint
from cartcast.errors import CartcastError, UsageError
from cartcast.plaindata import plain
from cartcast.progress import Progress, quiet

if TYPE_CHECKING:
    from cartcast.config import Settings
    from cartcast.events import Log
    from cartcast.insights import Slice
    from cartcast.runs.reading import Reading
    from cartcast.scratch import ScratchFolder
    from cartcast.segments import Segment

__all__ = [
    "Breaks",
    "Gap",
    "Progress",
    "RatesFile",
    "SegmentName",
    "Zone",
    "only_of",
    "print_json",
    "progress",
    "project_here",
    "project_privacy",
    "project_rates",
    "project_reading",
    "read_log",
    "run",
    "show_findings",
    "slice_of",
]

_KEPT: list[ScratchFolder] = []
_INTERRUPTED = "interrupted; nothing half-written was kept."

Zone = Annotated[
    str | None,
    typer.Option("--zone", help="The shop's zone, such as Europe/Berlin; default: the project's."),
]
"""Option of the verbs that read a log as it came."""

RatesFile = Annotated[
    str | None,
    typer.Option("--rates", help="Rates between currencies (.yaml, .csv); else the project's."),
]
"""Option of the same verbs."""

Gap = Annotated[
    str | None,
    typer.Option("--session-gap", help="Silence that ends a session, as 30m; else the project's."),
]
"""Option of the same verbs."""

Breaks = Annotated[
    list[str] | None,
    typer.Option(
        "--session-break",
        help="Also end sessions at: midnight, campaign, purchase.",
    ),
]
"""Option of the same verbs."""

SegmentName = Annotated[
    str | None,
    typer.Option("--segment", help="Only a saved segment; `cartcast segment list` names them."),
]
"""Option of the verbs that can be asked of a part of a log."""


def run(app: typer.Typer, arguments: list[str] | None = None) -> None:
    """Run `app`; turn errors into one line on standard error and the exit status of its class."""
    if arguments is None:
        _speak_utf8()
    # Idle threads of the numeric libraries shall sleep, not spin: other processes run here too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words or os.environ.get("CARTCAST_DEBUG") == "1"
    words = [w for w in words if w != "--debug"]
    stopped = threading.Event()
    try:
        _refuse_unreadable(words)
        with _ended_in_order(stopped), _flushed():
            status = app(args=words, prog_name="cartcast", standalone_mode=True)
    except SystemExit as stop:
        # The parser turns Ctrl-C into this status without a word.
        if stop.code == 130:
            complaint.say(_INTERRUPTED)
        # The parser takes a reader (head, less) that went away for an error; it is none of ours.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        status = 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except Exception as error:
        if debug and not isinstance(error, MemoryError):
            raise
        line, status = complaint.of(error)
        if stopped.is_set() and not isinstance(error, CartcastError):
            # The engine and the compiler turn Ctrl-C into errors of their own.
            line, status = _INTERRUPTED, 130
        complaint.say(line)
    sys.exit(status or 0)


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale is another's; never refuse a character.

    DuckDB and Arrow take names of files as UTF-8 whatever the locale says (PEP 540).
    """
    asked = os.environ.get("PYTHONUTF8") == "1"
    if sys.getfilesystemencoding() != "utf-8" and not asked and sys.executable:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _holds_all(stream):
            stream.reconfigure(errors="backslashreplace")


def _holds_all(stream: Any) -> bool:
    return str(getattr(stream, "encoding", "utf-8")).lower().startswith("utf")


def _refuse_unreadable(words: Sequence[str]) -> None:
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            told = word.encode(errors="backslashreplace").decode()
            raise UsageError(f"{told}: is not UTF-8; rename the file, or convert it.") from None


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
    """Write what waits while a reader that has gone can still be told from an error."""
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


@contextlib.contextmanager
def _ended_in_order(stopped: threading.Event) -> Iterator[None]:
    """Let a request to end be one that cleans up; servers have a handling of their own.

    `stopped` is set when Ctrl-C came.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    told = sys.unraisablehook

    def stop(*_: object) -> None:
        stopped.set()
        raise KeyboardInterrupt

    def unraised(seen: Any) -> None:
        # Callbacks of compiled code and finalizers swallow what rises in them: ask once more.
        if isinstance(seen.exc_value, KeyboardInterrupt):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        elif not stopped.is_set():
            told(seen)
        # What is half-built when Ctrl-C comes may fail to be taken down: nothing to tell.

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, stop)
        sys.unraisablehook = unraised
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if ours:
            # Once stopped they stay: what is half-built is taken down after this.
            again = stopped.is_set()
            signal.signal(signal.SIGINT, signal.SIG_IGN if again else signal.default_int_handler)
            sys.unraisablehook = unraised if again else told


def print_json(value: Any, *, line: bool = False) -> None:
    """Print one JSON document to standard output, for people, or in one `line`."""
    ascii_only = not _holds_all(sys.stdout)
    typer.echo(
        json.dumps(
            plain(value), indent=None if line else 2, ensure_ascii=ascii_only, allow_nan=False
        )
    )


def show_findings(findings: Sequence[Any], *, err: bool = False) -> None:
    """Print findings, a line each: code, severity, message, and the waiver if there is one."""
    for f in findings:
        waived = f" [waived: {f.waived}]" if f.waived else ""
        typer.echo(f"  {f.code} {f.severity:<5} {f.message}{waived}", err=err)


def project_privacy() -> Any:
    """Return how the project here or above has ids replaced; None without one.

    Raises:
        UsageError: it asks for pseudonyms, and the key is missing.
    """
    asked = _settings().privacy
    if not asked:
        return None
    from cartcast.events import privacy_from

    return privacy_from(asked)


def project_rates(given: str | None) -> Any:
    """Return the rates between currencies: those `given`, else the project's; None without."""
    from cartcast.events.rates import rates_from

    return rates_from(given or _settings().rates or None)


def project_reading(**given: Any) -> Reading:
    """Return how logs are read: as `given` (see `Reading.from_settings`), else by the project."""
    from cartcast.runs.reading import Reading

    return Reading.from_settings(_settings(), **given)


def read_log(files: Sequence[str], progress: Progress, **given: Any) -> Log:
    """Return the log of `files`, read as the project here or above reads; `given` goes before."""
    return project_reading(**given).load(*files, privacy=project_privacy(), progress=progress)


def slice_of(segment: str | None, log: Log) -> Slice | None:
    """Return the slice of `log` that the project's segment of this name is; None without a name.

    Raises:
        NotFoundError: the project, the segment, or a run that it asks is not there.
        DefinitionError: its file breaks a rule.
    """
    if segment is None:
        return None
    from cartcast.segments import read_segment

    return _slice(read_segment(project_here()[0], segment), log)


def _slice(segment: Segment, log: Log) -> Slice:
    from cartcast.insights import Slice
    from cartcast.insights.scored import with_scores
    from cartcast.scratch import ScratchFolder

    # Removed with the process: the scores are asked until then.
    _KEPT.append(ScratchFolder())
    return Slice(segments=(with_scores(segment, log, _KEPT[-1]),))


def only_of(segment: str | None, *, at_start: bool = False) -> Callable[[Log], set[str]] | None:
    """Return what tells the sessions of a segment in a log; None without a name.

    With `at_start` a segment that is known only later is refused: it is to judge a model by.

    Raises:
        NotFoundError, DefinitionError: as `slice_of`.
        UsageError: the segment is not known at a session's first event.
    """
    if segment is None:
        return None
    from cartcast.insights.listing import session_ids
    from cartcast.segments import read_segment

    found = read_segment(project_here()[0], segment)
    if at_start:
        found.require_at_start()
    return lambda log: session_ids(log, _slice(found, log))


def project_here(given: Path | None = None) -> tuple[Path, Settings]:
    """Return the project folder, the one given or here or above, and its settings.

    Raises:
        NotFoundError: there is none.
        UsageError: `cartcast.yaml` is wrong.
    """
    from cartcast.config import PROJECT_FILE, find_project, read_settings
    from cartcast.errors import NotFoundError

    folder = given or find_project()
    if folder is None:
        raise NotFoundError(
            f"no {PROJECT_FILE} here or above; make a project with `cartcast init`, or name one "
            "with --project."
        )
    return folder.absolute(), read_settings(folder)


def _settings() -> Settings:
    from cartcast.config import DEFAULTS, find_project, read_settings

    project = find_project()
    return read_settings(project) if project else DEFAULTS


@contextlib.contextmanager
def progress(enabled: bool = True) -> Iterator[Progress]:
    """Yield a callback that draws progress on standard error when a person is watching."""
    if not (enabled and sys.stderr.isatty()):
        yield quiet
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, share: float | None = None) -> None:
            total = None if share is None else 1.0
            bar.update(task, description=what, total=total, completed=share or 0.0)

        yield show
