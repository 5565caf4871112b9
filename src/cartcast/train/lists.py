"""The lists that a run will make, made for the test period: did they hold what they promised?

The judged champion, which learnt from nothing that was known only after the test period began,
makes every list due since then of which the log shows all that came after. All visitors count, as
they will: what a model learnt of somebody's earlier weeks, it may know.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cartcast.findings import Finding
from cartcast.moments import Moment
from cartcast.moments.anchors import drawn
from cartcast.moments.dates import Due, end_of
from cartcast.moments.lists import check_of, listed, told
from cartcast.moments.machines import sends_alone
from cartcast.moments.rows import count_of
from cartcast.moments.waits import Waits, waits_of
from cartcast.rows import Rows
from cartcast.train.fit import Fitted, says
from cartcast.train.task import Part, Task

__all__ = ["lists_of"]

_MOST_ROWS = 500_000


def lists_of(task: Task, champion: Fitted, moment: Moment) -> tuple[dict[str, Any], list[Finding]]:
    """Return what `run.json` keeps of lists, and what to say of them.

    Keys: `horizon` (seconds until an outcome is known), `waits` and `check` (None where there is
    nothing to check). Empty for a ready table and for a log whose clock tells no lists.
    """
    log, outcome, features = task.log, task.outcome, task.features
    if log is None or outcome is None or features is None or task.reading is None:
        return {}, []
    if log.clock != "time" and not (log.clock == "day" and moment.dated):
        return {}, []
    keys = task.rows.table
    horizon = float((keys["known_time"] - keys["anchor_time"]).max().total_seconds())
    since = task.test.keys["anchor_time"].min().to_pydatetime()
    gap = task.reading.sessions.gap
    waits = None
    if not moment.dated:
        counted = log.map_parts(partial(waits_of, target=outcome, gap=gap, until=since))
        waits = Waits.counted(counted, gap)
    facts: dict[str, Any] = {"horizon": horizon, "waits": waits and waits.as_dict(), "check": None}
    due = Due(moment, end_of(log), gap).checkable(since, horizon)
    check = None
    if due is not None:
        counting = partial(count_of, target=outcome, moment=moment, due=due, segment=task.segment)
        count = sum(log.map_parts(counting))
        draw = drawn(_MOST_ROWS / count, 0) if count > _MOST_ROWS else None
        made = log.map_parts(
            partial(
                listed, target=outcome, features=features, due=due, draw=draw,
                segment=task.segment, machines=sends_alone(log),
            )
        )  # fmt: skip
        rows, known = (_joined([m[k] for m in made]) for k in (0, 1))
        del made
        if len(rows):
            said = _said(task, champion, rows, known)
            del known
            if waits is not None:
                silent = (rows["anchor_time"] - rows["event_time"]).dt.total_seconds()
                after = waits.amount if outcome.money else waits.probability
                said = after(said, silent)
            check = check_of(rows, said, outcome.money)
    facts["check"] = check and check.as_dict()
    found = told(check, outcome.describe(), outcome.money)
    # Hardly anything is on an hourly list of a small shop: no check there is no fault.
    wanted = found.severity == "warn" and (check is not None or moment.dated)
    return facts, [found] if wanted else []


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return tables as one; one alone is not copied."""
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _said(task: Task, champion: Fitted, rows: pd.DataFrame, known: pd.DataFrame) -> Any:
    """Return what the judged champion says of rows with these features."""
    from cartcast.rows import typed

    assert task.log is not None
    X = typed(known, task.rows.features, task.rows.categorical)
    events = None
    if champion.declaration.reads == "events":
        from cartcast.models.sequence import prefixes

        events = prefixes(task.log, rows, task.features)
    table = Rows(rows, X, task.rows.categorical)
    part = Part(table, np.arange(len(X)), np.ones(len(X)), events)
    return says(champion.model, champion.declaration, part)
