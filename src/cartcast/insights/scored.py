"""Segments by a score: a run's scores of a log, made once and kept beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cartcast.atomic import atomic_path
from cartcast.errors import UsageError
from cartcast.events import Log
from cartcast.runs.run import Run
from cartcast.score import predict
from cartcast.scratch import ScratchFolder
from cartcast.segments import Scored, Segment

__all__ = ["with_scores"]


def with_scores(segment: Segment, log: Log, folder: Path | ScratchFolder) -> Segment:
    """Return a segment that can be asked of `log`; scores that it needs are kept in `folder`.

    A session's score is the highest at any moment that the run is asked at.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        UsageError: the run is of a ready table.
        DataError: the log does not match it.
    """
    where = tuple(
        replace(c, table=_scores(Run.open(c.run), log, folder)) if isinstance(c, Scored) else c
        for c in segment.where
    )
    return replace(segment, where=where)


def _scores(run: Run, log: Log, folder: Path | ScratchFolder) -> Path:
    if run.features is None:
        raise UsageError(f"run {run.id} is of a ready table; no log can be scored by it.")
    path = (folder if isinstance(folder, Path) else folder.path) / f"scores-{run.id}.parquet"
    if not path.is_file():
        table, _ = predict(log, run, everything=True)
        best = table.groupby("session_id", sort=False)[run.column].max()
        with atomic_path(path) as temporary:
            best.rename("score").reset_index().to_parquet(temporary, index=False)
    return path
