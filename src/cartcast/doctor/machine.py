"""What the machine gives: libraries, clock, room on the disk, free ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from cartcast.config import STATE_FOLDER
from cartcast.doctor.codes import CLOCK, DISK, PORT, VERSION
from cartcast.findings import Finding, finding

__all__ = ["clock", "disk", "ports", "versions"]

LEAST_FREE = 10**9
"""Bytes: enough for a segment of the live log, a snapshot and a run."""
FULL = 10**8
AHEAD = 120.0
"""Seconds that a file may lie in the future: file servers have clocks of their own."""
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)


def versions(wanted: Sequence[str] | None = None) -> Iterator[Finding]:
    """Compare what is installed with what Cartcast asks for; extras count where installed."""
    from packaging.requirements import Requirement

    for text in requires("cartcast") or () if wanted is None else wanted:
        asked = Requirement(text)
        extra = asked.marker is not None and "extra" in str(asked.marker)
        if asked.marker is not None and not extra and not asked.marker.evaluate():
            continue
        try:
            found = version(asked.name)
        except PackageNotFoundError:
            if not extra:
                yield finding(VERSION, f"{asked.name}{asked.specifier} is not installed.")
            continue
        if not asked.specifier.contains(found, prereleases=True):
            yield finding(
                VERSION, f"{asked.name} is {found}, required is {asked.specifier}.", found=found
            )


def clock(project: Path, now: float | None = None) -> Iterator[Finding]:
    """Compare the clock with the files of the project: none of them can be of the future."""
    now = time.time() if now is None else now
    if now < _BUILT.timestamp():
        yield finding(
            CLOCK, f"the clock says {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC."
        )
        return
    newest, path = 0.0, None
    for one in (project / STATE_FOLDER).rglob("*"):
        with contextlib.suppress(OSError):
            changed = one.lstat().st_mtime
            if changed > newest:
                newest, path = changed, one
    if path is not None and newest > now + AHEAD:
        yield finding(
            CLOCK,
            f"{path.relative_to(project)} was changed {newest - now:,.0f} s from now: the clock "
            "was put back, or another host has another.",
            seconds=round(newest - now),
        )


def disk(project: Path, free: int | None = None) -> Iterator[Finding]:
    """Compare the room that is left with what the project may need."""
    left = shutil.disk_usage(project).free if free is None else free
    if left < LEAST_FREE:
        yield finding(
            DISK,
            f"{project}: {left / 1e6:,.0f} MB are free.",
            severity="block" if left < FULL else "warn",
            free=left,
        )
    with contextlib.suppress(AttributeError):
        told = os.statvfs(project)
        if told.f_files and told.f_favail < 1000:
            yield finding(DISK, f"{project}: {told.f_favail} files can still be made.")


def ports(numbers: Sequence[int], host: str = "127.0.0.1") -> Iterator[Finding]:
    """Tell ports that something else than Cartcast listens on."""
    for port in numbers:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((host, port)) != 0:
                continue
        if not _is_ours(host, port):
            yield finding(PORT, f"port {port} is taken, and not by Cartcast.", port=port)


def _is_ours(host: str, port: int) -> bool:
    for path, told in (("/healthz", b"ok"), ("/_stcore/health", b"ok")):
        with (
            contextlib.suppress(URLError, OSError, ValueError),
            urlopen(f"http://{host}:{port}{path}", timeout=2) as answer,
        ):
            if told in answer.read(200).lower():
                return True
    return False
