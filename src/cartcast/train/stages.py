"""Stages: fitted models of a training are kept, so that a killed run continues where it stopped.

They lie in a folder beside the run (`.NAME.part`), named by a hash of the options and the data;
another question starts again. The folder goes away when the run is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cartcast.atomic import atomic_folder, write_text

__all__ = ["Stages"]


class Stages:
    """Fitted models of one training.

    Args:
        run_dir: where the run will be.
        key: hash of everything that decides the result.
    """

    def __init__(self, run_dir: Path, key: str) -> None:
        self.folder = run_dir.with_name(f".{run_dir.name}.part") / key
        for other in self.folder.parent.glob("*"):
            if other != self.folder and other.is_dir():
                shutil.rmtree(other, ignore_errors=True)

    def model(self, name: str, make: Callable[[], tuple[Any, dict[str, Any]]]) -> tuple[Any, Any]:
        """Return a fitted model and its facts: the kept ones, or new ones, kept."""
        from cartcast.models.persist import load, save

        folder = self.folder / f"model-{name}"
        if not folder.is_dir():
            model, facts = make()
            with atomic_folder(folder) as temporary:
                save(model, temporary / "fitted")
                write_text(temporary / "facts.json", json.dumps(facts, default=str))
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        return load(folder / "fitted"), facts

    def done(self) -> None:
        """Remove the kept steps; the run is whole."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
