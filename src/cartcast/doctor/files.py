"""The project's files: who may read them, locks, what dead processes left, damaged states."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cartcast import system
from cartcast.atomic import file_mode
from cartcast.config import STATE_FOLDER
from cartcast.doctor.codes import DATABASE, LEFTOVER, LIVE, LOCK, MODES
from cartcast.errors import CartcastError
from cartcast.findings import Finding, finding
from cartcast.forget.places import databases, live_states
from cartcast.live.snapshot import newest_snapshot, read_snapshot
from cartcast.statefile import reading

__all__ = ["damaged_databases", "damaged_states", "leftovers", "locks", "modes"]

_WORK = (".cartcast-work-*", ".cartcast-restoring-*")


def modes(project: Path) -> Iterator[Finding]:
    """Tell files and folders of the state that others may read or write, or that are others'."""
    state, loose, strange = project / STATE_FOLDER, [], []
    for path in (state, *state.rglob("*")):
        with contextlib.suppress(OSError):
            told = path.lstat()
            if stat.S_ISLNK(told.st_mode):
                continue
            most = file_mode(path / "x" if path.is_dir() else path)
            most |= (most & 0o444) >> 2 | 0o2000 if path.is_dir() else 0
            if stat.S_IMODE(told.st_mode) & ~most & 0o077:
                loose.append(path)
            if not system.own(told) and not most & 0o060:
                strange.append(path)
    for paths, what in ((loose, "open to other accounts"), (strange, "another account's")):
        if paths:
            first = paths[0].relative_to(project)
            yield finding(MODES, f"{first} is {what}{_more(paths)}.", count=len(paths))


def locks(project: Path) -> Iterator[Finding]:
    """Tell locks that a process holds which is not Cartcast's; one without a holder is no lock."""
    held = _held()
    for path in (project / STATE_FOLDER).rglob("*"):
        if path.name != "lock" and path.suffix != ".lock":
            continue
        with contextlib.suppress(OSError):
            pid = held.get(path.stat().st_ino)
            if pid is None:
                continue
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if not any(Path(word).name.partition(".")[0] == "cartcast" for word in words):
                told = " ".join(words).strip()[:80]
                yield finding(
                    LOCK, f"{path.relative_to(project)} is held by process {pid} ({told})."
                )


def _held() -> dict[int, int]:
    """Return the process that holds each lock, by the number of the file."""
    out = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if len(words) >= 6 and words[1] != "->":
                out[int(words[5].rpartition(":")[2])] = int(words[4])
    return out


def leftovers(project: Path) -> Iterator[Finding]:
    """Tell work folders whose process is gone for certain.

    That is: no Python process of this account is older than the last change in the folder.
    """
    places = [p for pattern in _WORK for p in project.rglob(pattern)]
    places += Path(tempfile.gettempdir()).glob("cartcast-*")
    oldest = min(_begins(), default=float("inf"))
    gone = []
    for path in places:
        with contextlib.suppress(OSError):
            told = path.stat()
            if system.own(told) and path.is_dir() and told.st_mtime < oldest:
                gone.append(path)
    if gone:
        yield finding(LEFTOVER, f"{gone[0]}{_more(gone)}.", count=len(gone))


def _begins() -> Iterator[float]:
    """Yield when each other Python process of this account began, in seconds since 1970."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        yield 0.0  # not to be known here: every folder may be in use
        return
    boot = next(float(line.split()[1]) for line in lines if line.startswith("btime"))
    ticks = os.sysconf("SC_CLK_TCK")
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            other = system.own(path.stat()) and int(path.name) != os.getpid()
            if other and b"python" in (path / "cmdline").read_bytes():
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                yield boot + float(fields[19]) / ticks


def damaged_databases(project: Path) -> Iterator[Finding]:
    """Tell embedded databases that are damaged."""
    catalogue = project / STATE_FOLDER / "catalogue.db"
    for path in (*databases(project), *([catalogue] if catalogue.is_file() else [])):
        try:
            with reading(path) as con:
                said = str(con.execute("PRAGMA quick_check").fetchone()[0])
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            yield finding(DATABASE, f"{path.relative_to(project)}: {said}.")


def damaged_states(project: Path) -> Iterator[Finding]:
    """Tell live states whose snapshot is damaged, and events that were set aside."""
    for folder in live_states(project):
        name = folder.relative_to(project)
        newest = newest_snapshot(folder)
        features = folder / "features"
        fingerprint = features.read_text(encoding="utf-8").strip() if features.is_file() else ""
        try:
            for _ in read_snapshot(newest[1], fingerprint) if newest else ():
                pass
        except CartcastError as error:
            yield finding(LIVE, str(error))
        except FileNotFoundError:
            continue  # a newer one has just taken its place
        aside = sorted(folder.glob("quarantine-*.bin"))
        if aside:
            yield finding(
                LIVE,
                f"{name}: {aside[0].name} holds damaged events{_more(aside)}.",
                severity="note",
            )


def _more(paths: list[Path]) -> str:
    return f" ({len(paths) - 1:,} more)" if len(paths) > 1 else ""
