"""The labelled table of a log's moments: features as known then, labels from what came after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError
from cartcast.moments.anchors import drawn, labelled, settled
from cartcast.moments.dates import Due, count_dated, counting, dated, end_of, settled_dates
from cartcast.moments.moment import SO_FAR, Moment
from cartcast.rows.rows import MOST_ROWS, Rows, plain, sampled, strings

if TYPE_CHECKING:
    from cartcast.events import Log
    from cartcast.features import FeatureSet
    from cartcast.segments import Segment
    from cartcast.targets import Proxy, Target

__all__ = ["count_of", "from_log", "known_at", "within"]


def from_log(
    log: Log,
    target: Target | Proxy,
    features: FeatureSet,
    moment: Moment | Sequence[int],
    *,
    session_gap: float = 1800.0,
    most_rows: int = MOST_ROWS,
    seed: int = 42,
    segment: Segment | None = None,
) -> Rows:
    """Return one row for each moment of the log: its features as known then, and its label.

    Moments, labels and features are made part by part, where the log's parts are asked. Of a log
    with more than `most_rows` moments, whole visitors are drawn before a row is made: every event
    is read and folded, and memory follows the rows that are kept. With a `segment` only the moments
    of its sessions; what their visitors did before in others is known all the same.

    Raises:
        DataError: no row is left.
        UsageError: the segment is not known at a session's first event.
    """
    moment = Moment.of(moment)
    if moment.dated and (twice := set(features.names) & set(SO_FAR)):
        raise UsageError(
            f"moment {moment.kind}: {min(twice)} is known of every visitor; give the feature of "
            "this name another one."
        )
    due = Due(moment, end_of(log), session_gap) if moment.dated else None
    moments = sum(
        log.map_parts(partial(count_of, target=target, moment=moment, due=due, segment=segment))
    )
    share = min(1.0, most_rows / max(moments, 1))
    draw = drawn(share, seed) if share < 1 else None
    made = log.map_parts(
        partial(
            _part_rows, target=target, features=features, moment=moment, due=due, draw=draw,
            segment=segment,
        )
    )  # fmt: skip
    found = [a for a, _ in made]
    if segment is not None and not any(map(len, found)):
        raise DataError(f"segment {segment.name!r}: no session of this log is in it.")
    anchors = (
        settled(found, log, target, session_gap)
        if due is None
        else settled_dates(found, log, target, due)
    )
    replayed = pa.concat_tables([r for _, r in made])
    del made
    keys = anchors.table[["session_id", "event_order"]]
    placed = replayed.select(["session_id", "event_order"]).to_pandas()
    placed["place"] = np.arange(len(placed))
    # A visitor who does nothing between two lists is on both as after the same event.
    place = keys.merge(
        placed, on=["session_id", "event_order"], how="left", validate="many_to_one", sort=False
    )["place"]
    del placed
    columns: dict[str, pd.Series] = {}
    at = pa.array(place, from_pandas=True, type=pa.int64())
    for name in features.names:
        column = replayed.column(name).take(at).to_pandas().rename(name)
        columns |= plain(column.to_frame(), [name])
        # A column is let go once it is placed: the table is never there twice.
        replayed = replayed.drop_columns([name])
    so_far = [*SO_FAR] if moment.dated else []
    columns |= {name: anchors.table[name] for name in so_far}
    table, values = anchors.table.drop(columns=so_far), pd.DataFrame(columns, copy=False)
    notes = (sampled(len(table), moments, "moments", share, "visitors"),) if draw else ()
    words = strings(values, (*features.names, *so_far))
    return Rows(table, values, words, anchors.dropped, (*anchors.findings, *notes))


def count_of(
    part: Log, target: Target | Proxy, moment: Moment, due: Due | None, segment: Segment | None
) -> int:
    """Return how many moments a part has, of sessions in the segment."""
    sessions = None if segment is None else _starting_in(part, segment)
    if due is not None:
        return count_dated(part, target, due, sessions)
    at = ", ".join(str(int(click)) for click in moment.clicks)
    events = f"(SELECT session_id FROM events WHERE event_order IN ({at}))"
    with part.connect() as con:
        row = con.execute(*counting(events, sessions)).fetchone()
    return int(row[0]) if row else 0


def _part_rows(
    part: Log, target: Target | Proxy, features: FeatureSet, moment: Moment, due: Due | None,
    draw: str | None, segment: Segment | None,
) -> tuple[pd.DataFrame, pa.Table]:  # fmt: skip
    """Return the rows of a part, and the features at these events of the same sessions."""
    if due is not None:
        found = within(dated(part, target, due, draw), part, segment)
        return found, replayed_at(features, part, found)
    found = within(labelled(part, target, moment.clicks, draw), part, segment)
    if draw is None and segment is None:
        return found, features.replay(part, at=list(moment.clicks)).drop_columns(["click"])
    return found, replayed_at(features, part, found, moment.clicks)


def within(rows: pd.DataFrame, part: Log, segment: Segment | None) -> pd.DataFrame:
    """Return those rows of a part of a log whose session was in the segment from its first event.

    Raises:
        UsageError: that is not known at the first event; or the log lacks a column.
    """
    if segment is None:
        return rows
    return rows[rows["session_id"].isin(_starting_in(part, segment))].reset_index(drop=True)


def _starting_in(part: Log, segment: Segment) -> set[str]:
    from cartcast.segments import at_start

    return at_start(part, segment)


def replayed_at(
    features: FeatureSet, part: Log, wanted: pd.DataFrame, clicks: Sequence[int] | None = None
) -> pa.Table:
    """Return the features after the events that `wanted` names (session_id, event_order).

    `clicks` says that all of them are among these clicks, which is faster. The log passes batch by
    batch; memory follows the rows that are wanted.
    """
    sessions = pa.array(wanted["session_id"].unique(), type=pa.string())
    code = pd.Index(sessions.to_pandas()).get_indexer(wanted["session_id"])
    keys = np.unique(_key(code, wanted["event_order"].to_numpy()))
    batches = list(_kept(features, part, clicks, sessions, keys))
    made = pa.Table.from_batches(batches)
    for at, field in enumerate(made.schema):
        if pa.types.is_dictionary(field.type):
            made = made.set_column(at, field.name, made.column(at).cast(pa.string()))
    return made


def known_at(
    features: FeatureSet,
    part: Log,
    rows: pd.DataFrame,
    at: Sequence[int] | Literal["end"] | None = None,
) -> pd.DataFrame:
    """Return the features as known at `rows` (session_id, event_order), row by row.

    `at` says that all of them are among these clicks, or are the last events of their sessions,
    which is faster.
    """
    if at == "end":
        replayed, keys = features.replay(part, at="end"), ["session_id"]
    else:
        keys = ["session_id", "event_order"]
        replayed = replayed_at(features, part, rows, at)
    placed = replayed.select(keys).to_pandas()
    place = rows[keys].merge(
        placed.assign(place=np.arange(len(placed))), on=keys, how="left",
        validate="many_to_one", sort=False,
    )["place"]  # fmt: skip
    order = pa.array(place, from_pandas=True, type=pa.int64())
    columns = {name: replayed.column(name) for name in features.names}
    del replayed, placed
    # As in `from_log`, a column is let go once it is placed.
    return pd.DataFrame(
        {name: columns.pop(name).take(order).to_pandas() for name in features.names}, copy=False
    )


def _key(session: NDArray[Any], order: NDArray[Any]) -> NDArray[np.int64]:
    return session.astype(np.int64) << 24 | order.astype(np.int64)


def _kept(
    features: FeatureSet, part: Log, clicks: Sequence[int] | None, sessions: Any,
    keys: NDArray[np.int64],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    import pyarrow.compute as pc

    passing = features.batches(part) if clicks is None else features.batches(part, at=list(clicks))
    for batch in passing:
        found: Any = pc.index_in(batch.column("session_id"), value_set=sessions)
        session: Any = pc.fill_null(found, -1)
        order = batch.column("event_order").to_numpy(zero_copy_only=False)
        inside = np.isin(_key(session.to_numpy(zero_copy_only=False), order), keys)
        yield batch.filter(pa.array(inside)).drop_columns(["click"])
