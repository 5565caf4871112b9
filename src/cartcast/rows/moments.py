"""The labelled table of a log's moments: features as known then, labels from what came after."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cartcast.anchors import drawn, labelled, require_outcome, settled
from cartcast.rows.rows import MOST_ROWS, Rows, plain, sampled, strings

if TYPE_CHECKING:
    from cartcast.events import Log
    from cartcast.features import FeatureSet
    from cartcast.targets import Proxy, Target

__all__ = ["from_log"]


def from_log(
    log: Log,
    target: Target | Proxy,
    features: FeatureSet,
    clicks: Sequence[int],
    *,
    session_gap: float = 1800.0,
    most_rows: int = MOST_ROWS,
    seed: int = 42,
) -> Rows:
    """Return one row for each anchor of the log: its features as known then, and its label.

    Moments, labels and features are made part by part, where the log's parts are asked. Of a log
    with more than `most_rows` moments, whole visitors are drawn before a row is made: every event
    is read and folded, and memory follows the rows that are kept.

    Raises:
        DataError: the log has no outcome of this kind, or no row is left.
    """
    require_outcome(log, target)
    moments = sum(log.map_parts(partial(_moments, clicks=clicks)))
    share = min(1.0, most_rows / max(moments, 1))
    draw = drawn(share, seed) if share < 1 else None
    made = log.map_parts(
        partial(_part_rows, target=target, features=features, clicks=clicks, draw=draw)
    )
    anchors = settled([a for a, _ in made], log, target, session_gap)
    replayed = pa.concat_tables([r for _, r in made])
    del made
    keys = anchors.table[["session_id", "event_order"]]
    placed = replayed.select(["session_id", "event_order"]).to_pandas()
    placed["place"] = np.arange(len(placed))
    place = keys.merge(
        placed, on=["session_id", "event_order"], how="left", validate="one_to_one", sort=False
    )["place"]
    del placed
    names = tuple(features.names)
    columns = {name: anchors.table[name] for name in anchors.table.columns}
    at = pa.array(place, from_pandas=True, type=pa.int64())
    for name in names:
        column = replayed.column(name).take(at).to_pandas().rename(name)
        columns |= plain(column.to_frame(), [name])
        # A column is let go once it is placed: the table is never there twice.
        replayed = replayed.drop_columns([name])
    table = pd.DataFrame(columns, copy=False)
    notes = (sampled(len(table), moments, "moments", share, "visitors"),) if draw else ()
    return Rows(table, names, strings(table, names), anchors.dropped, (*anchors.findings, *notes))


def _moments(part: Log, clicks: Sequence[int]) -> int:
    """Return how many events of a part are of these clicks."""
    with part.connect() as con:
        row = con.execute(
            "SELECT count(*) FROM events WHERE event_order IN (SELECT unnest(?))", [list(clicks)]
        ).fetchone()
    return int(row[0]) if row else 0


def _part_rows(
    part: Log, target: Target | Proxy, features: FeatureSet, clicks: Sequence[int],
    draw: str | None,
) -> tuple[pd.DataFrame, pa.Table]:  # fmt: skip
    """Return the anchors of a part, and the features at these clicks of the same sessions."""
    found = labelled(part, target, clicks, draw)
    if draw is None:
        return found, features.replay(part, at=list(clicks)).drop_columns(["click"])
    kept = pa.array(found["session_id"].unique(), type=pa.string())
    batches = []
    for batch in features.batches(part, at=list(clicks)):
        inside = pc.is_in(batch.column("session_id"), value_set=kept)
        batches.append(batch.filter(inside).drop_columns(["click"]))
    return found, pa.Table.from_batches(batches)
