"""The service's own record of scores: what was told at which click, kept, bounded, off the way.

A score costs one entry of a list. Every second the list is written by a thread, as lines of JSON,
to a file in a folder; files are closed at a size, and the oldest goes when the folder holds more
than it may. A killed process loses the last second; a disk that refuses loses scores, never events
or answers, and a counter tells. `cartcast monitor check --scored FOLDER` and `cartcast retrain
--scored FOLDER` read the folder, and so does anything that reads lines of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec
import pandas as pd
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily

from cartcast.atomic import make_folder, opener
from cartcast.errors import DataError, NotFoundError

__all__ = ["ScoreRecord", "read_record"]

logger = logging.getLogger(__name__)

EVERY: Final = 1.0
"""Seconds between writes."""
WAITING: Final = 200_000
"""Scores that may wait for the disk; more are lost, and counted."""
PART: Final = 32_000_000
"""Bytes at which a file is closed, or an eighth of the folder's bound."""

_DAY_ZERO: Final = datetime(1970, 1, 1)
_COLUMNS: Final = {
    "anchor_time": "TIMESTAMP", "session_id": "VARCHAR", "visitor_id": "VARCHAR", "click": "BIGINT",
    "probability": "DOUBLE", "model": "VARCHAR", "challenger_probability": "DOUBLE",
    "challenger": "VARCHAR",
}  # fmt: skip


class _Scored(msgspec.Struct, omit_defaults=True):
    """One line of the record."""

    anchor_time: datetime
    session_id: str
    visitor_id: str | None
    click: int
    probability: float
    model: str
    challenger_probability: float | None = None
    challenger: str | None = None


class ScoreRecord:
    """Keeps scores in a folder.

    Args:
        folder: of the record; several processes may share it.
        most_bytes: what the folder may hold.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.recorded = self.lost = 0
        self._part = max(min(PART, most_bytes // 8), 1)
        self._waiting: list[_Scored] = []
        self._file: Path | None = None
        self._encode = msgspec.json.Encoder().encode_lines

    def add(
        self, micros: int, session_id: str, visitor_id: str | None, click: int, probability: float,
        model: str, challenger_probability: float | None = None, challenger: str | None = None,
    ) -> None:  # fmt: skip
        """Note a score, to be written within a second.

        Args:
            micros: the click's own time (UTC, since 1970).
            session_id: as the service calls it.
            visitor_id: device, else login.
            click: number of the click in its session.
            probability: what was told.
            model: run and model that said it.
            challenger_probability: what the model in the shadow said, which nobody was told.
            challenger: run and model in the shadow.
        """
        if len(self._waiting) >= WAITING:
            self.lost += 1
            return
        self._waiting.append(
            _Scored(_DAY_ZERO + timedelta(microseconds=micros), session_id, visitor_id, click,
                    probability, model, challenger_probability, challenger)
        )  # fmt: skip

    async def keep(self) -> None:
        """Write what waits every second until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(EVERY)
                await asyncio.get_running_loop().run_in_executor(None, self.flush)
        finally:
            self.flush()

    def flush(self) -> None:
        """Write what waits; what the disk refuses is lost, and counted."""
        taken, self._waiting = self._waiting, []
        if not taken:
            return
        try:
            path = self._place()
            # Opened for each write: what was cleaned or moved meanwhile is not written to blindly.
            with open(path, "ab", opener=opener(path)) as file:
                file.write(self._encode(taken))
            self._bound()
        except OSError as error:
            self.lost += len(taken)
            logger.warning("%d scores are not recorded: %s", len(taken), error)
            return
        self.recorded += len(taken)

    def _place(self) -> Path:
        """Return the file to write to: the last one until it is full."""
        with contextlib.suppress(FileNotFoundError):
            if self._file is not None and self._file.stat().st_size < self._part:
                return self._file
        make_folder(self.folder)
        self._file = self.folder / f"scores-{time.time_ns() // 1000:016d}-{os.getpid()}.jsonl"
        return self._file

    def _bound(self) -> None:
        """Remove the oldest files until the folder holds what it may."""
        sizes = {}
        for path in _files(self.folder):
            with contextlib.suppress(FileNotFoundError):
                sizes[path] = path.stat().st_size
        total = sum(sizes.values())
        for path, size in sizes.items():
            if total <= self.most_bytes or path == self._file:
                return
            path.unlink(missing_ok=True)
            total -= size

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted, for a scrape."""
        yield CounterMetricFamily("cartcast_scores_recorded", "Scores recorded.", self.recorded)
        yield CounterMetricFamily(
            "cartcast_scores_lost", "Scores that the disk could not take.", self.lost
        )


def read_record(folder: Path) -> pd.DataFrame:
    """Return the scores of a record, oldest file first; a line cut off by a kill is left out.

    Raises:
        NotFoundError: there is no record in the folder.
        DataError: a file cannot be read.
    """
    files = [str(f) for f in _files(folder)]
    if not files:
        raise NotFoundError(
            f"{folder}: no recorded scores (scores-*.jsonl); `cartcast serve --record 1GB` keeps "
            "them."
        )
    try:
        with duckdb.connect() as con:
            return con.execute(
                "SELECT * FROM read_json($files, format = 'newline_delimited', columns = $columns, "
                "ignore_errors = true) WHERE probability IS NOT NULL AND anchor_time IS NOT NULL",
                {"files": files, "columns": _COLUMNS},
            ).df()
    except duckdb.Error as error:
        raise DataError(f"{folder}: the record cannot be read ({error}).") from error


def _files(folder: Path) -> list[Path]:
    """Return the files of a record, the oldest first."""
    return sorted(folder.glob("scores-*.jsonl"))
