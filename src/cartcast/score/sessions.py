"""The scores of a log's sessions, part by part.

A part holds whole visitors, so a session's score does not depend on how many parts there are. Where
a part is scored on another machine, the models do not travel: the run is loaded and verified there.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cartcast.events import Log
from cartcast.runs.run import Run

__all__ = ["ScoreParts", "WriteParts", "log_scores"]

_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("session_id", "visitor_id", "segment", "model"), pa.string()),
    "click": pa.int64(),
    "last_event": pa.timestamp("us"),
    "purchased": pa.bool_(),
}
"""Types of the columns, whatever a part holds; others are numbers."""


class ScoreParts:
    """Scores parts of a log; sent to another machine, it loads the run there.

    Args:
        run: in a folder on a disk that all machines share; what its `run.json` held here is what
            holds there.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, part: Log) -> pd.DataFrame:
        """Return the scores of a part."""
        return log_scores(part, self._run)


class WriteParts:
    """Scores parts of a log into a folder on a disk that all machines share."""

    def __init__(self, score: ScoreParts, folder: Path) -> None:
        self._score = score
        self._folder = folder.absolute()

    def __call__(self, part: Log) -> tuple[str, int]:
        """Return the name of the Parquet file written, and its rows."""
        table = self._score(part)
        kinds = [pa.field(str(c), _TYPES.get(str(c), pa.float64())) for c in table.columns]
        # A task may run twice: each run writes a file of its own, and one is told of.
        name = f"part-{uuid.uuid4().hex}.parquet"
        found = pa.Table.from_pandas(table, pa.schema(kinds), preserve_index=False)
        pq.write_table(found, self._folder / name)
        return name, len(table)


def log_scores(log: Log, run: Run) -> pd.DataFrame:
    """Return one row a session of a log, or of a part of one, scored after its last event."""
    assert run.features is not None
    replayed = run.features.replay(log, at="end").to_pandas()
    X = run.typed(replayed)
    with log.connect() as con:
        facts = con.execute(
            "SELECT session_id, any_value(visitor_id) AS visitor_id, count(*) AS click, "
            "max(event_order) AS event_order, "
            "max(event_time) AS last_event, "
            "count(*) FILTER (event_type = 'purchase') > 0 AS purchased "
            "FROM events GROUP BY session_id"
        ).df()
    read = _prefixes(log, facts, replayed["session_id"]) if run.reads_events else None
    said = pd.DataFrame({"session_id": replayed["session_id"], **run.score(X, read)})
    if run.behaviour is not None and "segments" in run.models:
        behaved = run.behaviour.replay(log, at="end").to_pandas()
        named = pd.DataFrame(
            {"session_id": behaved["session_id"], "segment": run.segment_names(behaved)}
        )
        said = said.merge(named, on="session_id", how="left", validate="one_to_one")
    table = facts.drop(columns="event_order").merge(
        said, on="session_id", how="inner", validate="one_to_one"
    )
    table["model"] = run.version
    return table.sort_values("session_id", ignore_index=True)


def _prefixes(log: Log, facts: pd.DataFrame, sessions: pd.Series) -> pd.DataFrame:
    """Return the events of each session, in the order of `sessions`."""
    from cartcast.models.sequence import prefixes

    last = facts.set_index("session_id")["event_order"]
    moments = pd.DataFrame(
        {"session_id": sessions.to_numpy(), "event_order": last.loc[sessions].to_numpy()}
    )
    return prefixes(log, moments)
