"""Examine an installation and a project; nothing is changed."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartcast import __version__
from cartcast.config import DEFAULTS, PROJECT_FILE, Settings, read_settings
from cartcast.doctor import files, machine, promises
from cartcast.doctor.codes import SETTINGS
from cartcast.errors import CartcastError, DataError
from cartcast.findings import Finding, by_severity, finding

__all__ = ["PORTS", "Examined", "examine"]

PORTS = (8000, 8501)
"""Of the live service and of the app, unless another is given."""


@dataclass(frozen=True)
class Examined:
    """What was found.

    Attributes:
        findings: `block` first.
        checks: names of what was looked at.
        python: version of Python.
        cartcast: version of Cartcast.
    """

    findings: tuple[Finding, ...]
    checks: tuple[str, ...]
    python: str = platform.python_version()
    cartcast: str = __version__

    @property
    def well(self) -> bool:
        """Whether there is nothing to do; notes may be left."""
        return all(f.severity == "note" for f in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return what `cartcast doctor --json` prints."""
        return {
            "well": self.well,
            "cartcast": self.cartcast,
            "python": self.python,
            "checks": list(self.checks),
            "findings": [f.as_dict() for f in self.findings],
        }

    def require(self) -> None:
        """Stop when there is something to do.

        Raises:
            DataError: with the first finding and what to do.
        """
        todo = [f for f in self.findings if f.severity != "note"]
        if todo:
            more = f" ({len(todo) - 1} more)" if len(todo) > 1 else ""
            raise DataError(f"{todo[0].code}: {todo[0].message} {todo[0].advice}{more}")


def examine(project: Path, ports: Sequence[int] = PORTS) -> Examined:
    """Look at everything that a verb, the service or the app would stumble over."""
    found: list[Finding] = []
    settings = DEFAULTS
    if (project / PROJECT_FILE).is_file():
        try:
            settings = read_settings(project)
        except CartcastError as error:
            found.append(finding(SETTINGS, str(error)))
    checks = _checks(project, settings, ports)
    for name, check in checks.items():
        try:
            found += check()
        except CartcastError as error:
            # What stops a check is itself what is wrong.
            found.append(finding(SETTINGS, f"{name} cannot be looked at: {error}"))
    return Examined(tuple(by_severity(found)), ("settings", *checks))


def _checks(
    project: Path, settings: Settings, ports: Sequence[int]
) -> dict[str, Callable[[], Iterator[Finding]]]:
    return {
        "versions": machine.versions,
        "clock": lambda: machine.clock(project),
        "disk": lambda: machine.disk(project),
        "ports": lambda: machine.ports(ports),
        "permissions": lambda: files.modes(project),
        "locks": lambda: files.locks(project),
        "work folders": lambda: files.leftovers(project),
        "databases": lambda: files.damaged_databases(project),
        "live states": lambda: files.damaged_states(project),
        "runs and aliases": lambda: promises.registry(project, settings),
        "backups": lambda: promises.backups(project, settings),
        "people": lambda: itertools.chain(promises.forgettings(project), promises.key(settings)),
        "restores": lambda: promises.restores(project),
    }
