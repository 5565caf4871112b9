"""The scores of a log, part by part: of a list, or of every moment that a run may be asked of.

A part holds whole visitors, so a score does not depend on how many parts there are. Where a part is
scored on another machine, the models do not travel: the run is loaded and verified there.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cartcast.events import Log
from cartcast.features.words import in_words
from cartcast.moments.anchors import after_outcome, labelled
from cartcast.moments.dates import Due
from cartcast.moments.lists import listed
from cartcast.moments.rows import known_at, within
from cartcast.runs.run import Run
from cartcast.score.without import Without

__all__ = ["ScoreParts", "WriteParts", "known_only"]

_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("session_id", "visitor_id", "segment", "reason", "model"), pa.string()),
    "click": pa.int64(),
    **dict.fromkeys(("last_event", "as_of"), pa.timestamp("us")),
    "outcome": pa.bool_(),
}
"""Types of the columns, whatever a part holds; others are numbers."""


@dataclass(frozen=True)
class ScoreParts:
    """Scores parts of a log; sent to another machine, it loads the run there.

    Attributes:
        run: in a folder on a disk that all machines share; what its `run.json` held here is what
            holds there.
        due: the lists that are wanted; None for the run's clicks of every session.
        end: of the log; None where it has no times.
        everything: every moment with its outcome where it is known, not lists.
        segments: whether a row says its segment.
        without: who is left out of lists.
        only: the sessions that rows may be of; None is all.
        machines: whether visitors at the speed of machines are wanted, too.
    """

    run: Run
    due: Due | None
    end: pd.Timestamp | None
    everything: bool = False
    segments: bool = True
    without: Without | None = None
    only: frozenset[str] | None = None
    machines: bool = False

    def __call__(self, part: Log) -> pd.DataFrame:
        """Return the scores of a part."""
        run, target = self.run, self.run.outcome
        assert run.features is not None
        # Where the rows are tells the quickest way to what was known then.
        at: Any = "end" if self.due is not None and self.due.last == 0 else None
        if self.due is None:
            at = run.moment.clicks
            rows = within(labelled(part, target, run.moment.clicks), part, run.segment)
            rows = rows[~after_outcome(rows)].reset_index(drop=True)
            rows["event_time"] = rows["anchor_time"]
            known = known_at(run.features, part, rows, at)
        else:
            rows, known = listed(
                part, target, run.features, self.due, segment=run.segment, machines=self.machines
            )
        stay = pd.Series(True, index=rows.index)
        if self.without is not None:
            stay &= ~rows["visitor_id"].isin(self.without.visitors(part))
        if self.only is not None:
            stay &= rows["session_id"].isin(self.only)
        if not stay.all():
            rows, known = rows[stay].reset_index(drop=True), known[stay].reset_index(drop=True)
        table = pd.DataFrame(
            {
                "session_id": rows["session_id"],
                "visitor_id": rows["visitor_id"],
                "click": rows["event_order"].astype("int64"),
                "last_event": rows["event_time"],
                "as_of": rows["anchor_time"],
                **said_of(run, part, rows, known, self.due),
            }
        )
        if self.segments and run.behaviour is not None and run.holds("segments"):
            table["segment"] = run.segment_names(known_at(run.behaviour, part, rows, at))
        if self.everything:
            over = pd.Series(True, index=rows.index)
            if self.end is not None and run.horizon is not None:
                over = rows["anchor_time"] + pd.Timedelta(seconds=run.horizon) <= self.end
            table["outcome"] = rows["outcome"].astype("boolean").where(over)
            if run.kind == "regressor":
                paid = rows["amount"].fillna(0.0).where(rows["outcome"].astype(bool), 0.0)
                table["amount"] = paid.where(over)
        table["model"] = run.version
        return table.rename(columns={"probability": run.column})


def said_of(
    run: Run, part: Log, rows: pd.DataFrame, known: pd.DataFrame, due: Due | None
) -> dict[str, Any]:
    """Return the columns that a run says of rows, and `reason`, where it says nothing.

    `known` holds the features of the rows, row by row.
    """
    X = run.typed(known)
    read = None
    if run.reads_events:
        from cartcast.models.sequence import with_events

        read = with_events(X, part, rows, run.features)
    said = run.score(X, read)
    if due is not None and run.waits is not None:
        silent = (rows["anchor_time"] - rows["event_time"]).dt.total_seconds()
        if "probability" in said:
            before = said["probability"]
            said["probability"] = run.waits.probability(before, silent)
            if "expected_revenue" in said:
                said["expected_revenue"] *= said["probability"] / np.where(before > 0, before, 1.0)
        else:
            said["expected_revenue"] = run.waits.amount(said["expected_revenue"], silent)
    return known_only(run, X, said)


def known_only(run: Run, X: pd.DataFrame, said: dict[str, Any]) -> dict[str, Any]:
    """Return what a run says of rows, null with the `reason` where it can say nothing."""
    reason = unseen(run.data["features"].get("ranges") or {}, X)
    said = {name: np.where(reason.isna(), values, np.nan) for name, values in said.items()}
    return {**said, "reason": reason.astype(pd.StringDtype(na_value=np.nan))}


def unseen(ranges: dict[str, list[float]], X: pd.DataFrame) -> pd.Series:
    """Return for each row why a model can say nothing of it; None where it can.

    A value that lies outside the range of the training by more than that range is wide is a state
    the model never saw.
    """
    reasons: list[str | None] = [None] * len(X)
    for name, (low, high) in ranges.items():
        if name not in X or high <= low:
            continue
        values = X[name].to_numpy(dtype=np.float64)
        for at in np.flatnonzero((values < 2 * low - high) | (values > 2 * high - low)):
            reasons[at] = reasons[at] or (
                f"{in_words(name)} is {values[at]:g}; the model learnt from {low:g} to {high:g}"
            )
    return pd.Series(reasons, index=X.index, dtype=object)


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
