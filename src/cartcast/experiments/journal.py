"""Journal: how often an experiment was looked at, and what was decided, kept beside the project.

A decision can then be compared with what happened afterwards.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from filelock import FileLock

from cartcast.atomic import file_mode, make_folder, write_text
from cartcast.config import STATE_FOLDER
from cartcast.errors import DataError
from cartcast.experiments.plan import Plan
from cartcast.plaindata import plain

__all__ = ["Journal"]


class Journal:
    """The looks at an experiment and its decisions, one JSON line each, oldest first.

    Args:
        path: the file.
        who: who adds to it.
        version: of the plan; looks at another version were looks at other data.
    """

    def __init__(self, path: Path, who: str | None = None, version: int = 0) -> None:
        self.path = path
        self.who = who
        self.version = version

    @classmethod
    def of(cls, project: Path, plan: Plan, who: str | None = None) -> Journal:
        """Return the journal that a project keeps of an experiment; `who` adds to it."""
        # The key is anybody's word: as a file name it must lead nowhere else.
        name = quote(plan.allocation.key, safe=" ")
        return cls(
            project / STATE_FOLDER / "experiments" / f"{name}.jsonl", who, plan.allocation.version
        )

    @property
    def looked(self) -> int:
        """How many times this version of the experiment was looked at."""
        return len(self._looks())

    def looked_below(self, units: int) -> int:
        """Return at how many counts of units below `units` it was looked at."""
        seen = {sum(e.get("units", {}).values()) for e in self._looks()}
        return sum(n < units for n in seen)

    def _looks(self) -> list[dict[str, Any]]:
        same = (e for e in self.entries() if e.get("version", 0) == self.version)
        return [e for e in same if e["kind"] == "look"]

    def decisions(self) -> list[dict[str, Any]]:
        """Return the decisions of all versions."""
        return [e for e in self.entries() if e["kind"] == "decision"]

    def entries(self) -> list[dict[str, Any]]:
        """Return all entries.

        Raises:
            DataError: a line is not JSON.
        """
        if not self.path.is_file():
            return []
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines if line.strip()]
        except ValueError as error:
            raise DataError(f"{self.path}: a line of the journal is not JSON: {error}.") from error

    def add(self, kind: Literal["look", "decision"], entry: Mapping[str, Any]) -> None:
        """Append an entry with the present time."""
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        by = {"who": self.who} if self.who else {}
        told = {"kind": kind, "at": stamp, "version": self.version, **by, **plain(entry)}
        make_folder(self.path.parent)
        # Two looks at a time are two looks.
        with FileLock(f"{self.path}.lock", mode=file_mode(self.path)):
            kept = [*self.entries(), told]
            write_text(self.path, "".join(json.dumps(e, allow_nan=False) + "\n" for e in kept))

    def looks(self) -> tuple[float, ...]:
        """Return the progress at each look, increasing; looks at the same count are one."""
        out: list[float] = []
        for e in self._looks():
            progress = e.get("progress")
            if progress and (not out or progress > out[-1]):
                out.append(float(progress))
        return tuple(out)
