"""Prefixes: what happened in a session up to a moment, as the sequence model reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.events.schema import COLUMNS
from cartcast.events.sql import identifier

if TYPE_CHECKING:
    from cartcast.events import Log
    from cartcast.features import FeatureSet

__all__ = ["EVENTS", "Prefix", "prefixes", "with_events"]

EVENTS = "@events"
"""Column of a table that holds the prefix of each row; no feature can have this name."""
PAUSE = "@pause"
"""Seconds since the session's last event, among columns that a source names as it likes."""

_READ = (
    "event_type", "source_event", "item_id", "category", "brand", "price", "quantity", "country",
    "device", "channel", "campaign", "page", "color", "location", "photo",
)  # fmt: skip
"""Columns that never tell what comes later; a source's own are read where a feature reads them."""


class Prefix(NamedTuple):
    """The events `first` to `stop` (not with it) of a session, in columns that all rows share.

    Columns of objects hold categories, None where null; columns of floats numbers, NaN where null.
    """

    columns: Mapping[str, NDArray[Any]]
    first: int
    stop: int

    def __repr__(self) -> str:
        return f"events {self.first} to {self.stop}"


def with_events(
    X: pd.DataFrame, log: Log, moments: pd.DataFrame, features: FeatureSet | None
) -> pd.DataFrame:
    """Return `X` with the prefix of each row's moment beside it."""
    found = pd.Series(prefixes(log, moments, features), X.index, name=EVENTS)
    return pd.concat([X, found], axis=1)


def prefixes(
    log: Log, moments: pd.DataFrame, features: FeatureSet | None = None
) -> NDArray[np.object_]:
    """Return a `Prefix` for each moment (`session_id`, `event_order`): the events up to it.

    `@pause` is the seconds since the session's last event. Columns of the source's own are read
    where one of `features` reads them.

    Raises:
        DataError: a moment is not an event of the log.
    """
    names = [*_READ]
    if features is not None:
        names += sorted(features.lineage.columns - set(COLUMNS))
    events = _events(log, moments, names)
    keys = events[["session_id", "event_order"]].assign(place=np.arange(len(events)))
    keys["first"] = keys.groupby("session_id", sort=False)["place"].transform("min")
    found = moments[["session_id", "event_order"]].merge(
        keys, on=["session_id", "event_order"], how="left", validate="many_to_one"
    )
    if found["place"].isna().any():
        lost = moments.iloc[int(found["place"].isna().to_numpy().argmax())]
        raise DataError(
            f"session {lost['session_id']!r} has no event {lost['event_order']} in the log; give "
            "moments of this log."
        )
    columns = {name: _plain(events[name]) for name in names}
    columns[PAUSE] = _plain(events[PAUSE])
    out = np.empty(len(found), dtype=object)
    at = zip(found["first"].astype(int), found["place"].astype(int) + 1, strict=True)
    for i, (first, stop) in enumerate(at):
        out[i] = Prefix(columns, first, stop)
    return out


def _events(log: Log, moments: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the columns that are read, of the sessions asked for, in order of their events."""
    last = moments.groupby("session_id")["event_order"].max()
    wanted = pd.DataFrame({"session_id": last.index, "event_order": last.to_numpy()})
    clock = {"time": ("epoch_us(event_time)", 1e6), "session": ("session_seconds", 1.0)}
    now, unit = clock.get(log.clock, ("NULL::DOUBLE", 1.0))
    pause = f"({now} - lag({now}) OVER (PARTITION BY session_id ORDER BY event_order)) / {unit!r}"
    with log.connect() as con:
        con.register("wanted", wanted)
        read = ", ".join(identifier(name) for name in ("session_id", "event_order", *names))
        return con.execute(
            f"SELECT e.* FROM (SELECT {read}, {pause} AS {identifier(PAUSE)} FROM events) e "
            "JOIN wanted w ON e.session_id = w.session_id AND e.event_order <= w.event_order "
            "ORDER BY e.session_id, e.event_order"
        ).df()


def _plain(column: pd.Series) -> NDArray[Any]:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.astype(object).where(column.notna(), None).to_numpy()
