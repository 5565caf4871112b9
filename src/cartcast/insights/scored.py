"""Segments by what a run says: its scores of a log, and its kinds of sessions, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from cartcast.atomic import atomic_path
from cartcast.errors import UsageError
from cartcast.events import Log
from cartcast.runs.run import Run
from cartcast.score import predict
from cartcast.scratch import ScratchFolder
from cartcast.segments import Condition, Found, Scored, Segment

__all__ = ["with_scores"]


def with_scores(
    segment: Segment, log: Log, folder: Path | ScratchFolder, project: Path | None = None
) -> Segment:
    """Return a segment that can be asked of `log`; what a run says is kept in `folder`.

    Runs are those of `project` (here or above, if None). A session's score is the highest at any
    moment that the run is asked at; its kind is that of the whole session.

    Raises:
        NotFoundError, NotTrustedError: the run is not there, or not as recorded.
        UsageError: the run is of a ready table, or found no kinds of sessions.
        DataError: the log does not match it.
    """

    def ready(c: Condition) -> Condition:
        if not isinstance(c, Scored | Found):
            return c
        run = Run.open(c.run, project)
        kind, make = ("scores", _scores) if isinstance(c, Scored) else ("kinds", _kinds)
        path = (folder if isinstance(folder, Path) else folder.path) / f"{kind}-{run.id}.parquet"
        if not path.is_file():
            if run.features is None:
                raise UsageError(f"run {run.id} is of a ready table; no log can be asked of it.")
            table = make(run, log)
            with atomic_path(path) as temporary:
                table.to_parquet(temporary, index=False)
        return replace(c, table=path)

    return replace(segment, where=tuple(map(ready, segment.where)))


def _scores(run: Run, log: Log) -> pd.DataFrame:
    table, _ = predict(log, run, everything=True)
    best = table.groupby("session_id", sort=False)[run.column].max()
    return best.rename("score").reset_index()


def _kinds(run: Run, log: Log) -> pd.DataFrame:
    if run.behaviour is None or not run.holds("segments"):
        raise UsageError(f"run {run.id} found no kinds of sessions.")
    table = run.behaviour.replay(run.read(log), at="end").to_pandas()
    return pd.DataFrame({"session_id": table["session_id"], "segment": run.segment_names(table)})
