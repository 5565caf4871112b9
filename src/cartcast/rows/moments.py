"""The labelled table of a log's moments: features as known then, labels from what came after."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from cartcast.anchors import drawn, labelled, require_outcome, settled
from cartcast.findings import Finding
from cartcast.rows.rows import MOST_ROWS, Rows, plain, sample, sampled, strings

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

    Moments, labels and features are made part by part, where the log's parts are asked. Of a log in
    several parts with more than `most_rows` moments, whole visitors are drawn before any is made;
    of a log in one part, whole sessions once the rows are known.

    Raises:
        DataError: the log has no outcome of this kind, or no row is left.
    """
    require_outcome(log, target)
    share, moments = 1.0, 0
    if len(log.parts) > 1:
        moments = sum(log.map_parts(partial(_moments, clicks=clicks)))
        share = min(1.0, most_rows / max(moments, 1))
    draw = drawn(share, seed) if share < 1 else None
    made = log.map_parts(
        partial(_part_rows, target=target, features=features, clicks=clicks, draw=draw)
    )
    anchors = settled([a for a, _ in made], log, target, session_gap)
    replayed = pd.concat([r for _, r in made if len(r)], ignore_index=True)
    replayed = plain(replayed, list(features.names))
    table = anchors.table.merge(
        replayed, on=["session_id", "event_order"], how="left", validate="one_to_one", sort=False
    )
    table = table.sort_values(["position", "event_order"], ignore_index=True)
    notes: tuple[Finding, ...]
    if draw is not None:
        notes = (sampled(len(table), moments, "moments", share, "visitors"),)
    else:
        table, notes = sample(table, most_rows, seed)
    names = tuple(features.names)
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
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Return the anchors of a part, and the features at these clicks."""
    found = labelled(part, target, clicks, draw)
    replayed = features.replay(part, at=list(clicks)).to_pandas().drop(columns=["click"])
    if draw is not None:
        replayed = replayed[replayed["session_id"].isin(set(found["session_id"]))]
    return found, replayed
