"""Checkpoints: what a training has done is kept, so that a killed one continues where it stopped.

They lie in a folder beside the run (`.NAME.part`), named by a hash of the options and the data;
another task starts from the beginning. The folder goes away when the run is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from cartcast.atomic import atomic_folder, write_text
from cartcast.models.declaration import Declaration
from cartcast.train.fit import Fitted, declared

__all__ = ["Checkpoint"]

T = TypeVar("T")
WORTH_KEEPING = 5.0
"""Seconds of a fit below which it is done again after a kill: to write it would take as long."""


class Checkpoint:
    """Fitted models and decisions of one training.

    Args:
        run_dir: where the run will be.
        key: hash of everything that decides the result.
        own: models of the user's own, by name.
    """

    def __init__(
        self, run_dir: Path, key: str, own: Mapping[str, Declaration] | None = None
    ) -> None:
        self.own = own or {}
        self.folder = self.place(run_dir) / key
        for other in self.folder.parent.glob("*"):
            if other != self.folder and other.is_dir():
                shutil.rmtree(other, ignore_errors=True)

    @staticmethod
    def place(run_dir: Path) -> Path:
        """Return the folder of all checkpoints of a run."""
        return run_dir.with_name(f".{run_dir.name}.part")

    def model(self, step: str, make: Callable[[], Fitted]) -> Fitted:
        """Return the fitted model of a step: the kept one, or a new one, kept if it took long.

        One that could not be read back is not kept: after a kill it is fitted again.
        """
        from cartcast.models.persist import load, refusal, save

        folder = self.folder / f"model-{step}"
        if not folder.is_dir():
            made = make()
            if made.facts["seconds"] < WORTH_KEEPING:
                return made
            if made.name in self.own:
                made.facts["refused"] = refusal(made.model)
                if made.facts["refused"]:
                    return made
            facts = {"kind": made.declaration.kind, "name": made.name, "facts": made.facts}
            with atomic_folder(folder) as temporary:
                save(made.model, temporary / "fitted")
                np.save(temporary / "held.npy", np.stack([made.raw, made.held]))
                write_text(temporary / "facts.json", json.dumps(facts, default=str))
        kept = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        raw, held = np.load(folder / "held.npy", allow_pickle=False)
        declaration = declared(kept["kind"], self.own)[kept["name"]]
        return Fitted(declaration, load(folder / "fitted"), raw, held, kept["facts"])

    def decision(self, what: str, make: Callable[[], T]) -> T:
        """Return a decision (plain data): the one kept, or a new one, kept."""
        path = self.folder / "decisions.json"
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if what not in kept:
            self.folder.mkdir(parents=True, exist_ok=True)
            kept[what] = make()
            write_text(path, json.dumps(kept))
        made: T = kept[what]
        return made

    def done(self) -> None:
        """Remove what was kept; the run is whole."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
