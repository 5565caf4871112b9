"""Trials of a search, one line each on disk, so that a killed search continues where it stopped."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cartcast.atomic import opener, write_text
from cartcast.errors import StorageError

__all__ = ["Trial", "Trials"]


@dataclass(frozen=True)
class Trial:
    """One set of parameters judged.

    Attributes:
        model: name of the model.
        params: parameters by path.
        losses: mean loss of each fold judged; fewer than all when the trial was pruned.
        pruned: given up before the last fold.
        seconds: time that it took.
    """

    model: str
    params: dict[str, Any]
    losses: tuple[float, ...]
    pruned: bool
    seconds: float

    @property
    def loss(self) -> float:
        """Mean loss over the folds judged."""
        return sum(self.losses) / len(self.losses)


class Trials:
    """The trials so far; kept in `path` (JSON lines) when it is given."""

    def __init__(self, path: Path | None, question: str) -> None:
        self.path = path
        self.question = question
        self.all: list[Trial] = []
        self._read()

    def _read(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        lines = self.path.read_text(encoding="utf-8").split("\n")
        # A kill can tear the last line only; what is not whole is judged again.
        whole = lines[:-1]
        if not whole or json.loads(whole[0]).get("question") != self.question:
            self.path.unlink()
            return
        for line in whole[1:]:
            data = json.loads(line)
            self.all.append(Trial(**{**data, "losses": tuple(data["losses"])}))
        kept = "\n".join(whole) + "\n"
        if lines[-1]:
            write_text(self.path, kept)

    def of(self, model: str) -> list[Trial]:
        """Return the trials of one model in order."""
        return [t for t in self.all if t.model == model]

    def add(self, trial: Trial) -> None:
        """Keep a trial, synced to disk before the next one starts.

        Raises:
            StorageError: the file cannot be written.
        """
        self.all.append(trial)
        if self.path is None:
            return
        try:
            new = not self.path.is_file()
            own = opener(self.path)
            with open(self.path, "a", encoding="utf-8", opener=own) as stream:
                if new:
                    stream.write(json.dumps({"question": self.question}) + "\n")
                stream.write(json.dumps(asdict(trial)) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{self.path}: trials cannot be kept ({reason}).") from error
