"""Prefixes: what happened in a session up to a moment, as the sequence model reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError

if TYPE_CHECKING:
    from cartcast.events import Log

__all__ = ["CATEGORIES", "NUMBERS", "prefixes"]

CATEGORIES = ("event_type", "category", "brand", "country", "device", "channel", "page")
NUMBERS = ("price", "quantity", "pause")
"""Columns of an event that are read; `pause` is the seconds since the session's last event."""


def prefixes(log: Log, moments: pd.DataFrame) -> pd.DataFrame:
    """Return, for each moment, the events of its session up to it.

    `moments` has `session_id` and `event_order`; the result has one row for each, in order:
    `session_id`, then a cell for each of `CATEGORIES` and `NUMBERS` that holds an array, oldest
    event first. Cells of one session share their memory, so that all anchors of a log cost
    little more than its events.

    Raises:
        DataError: a moment is not an event of the log.
    """
    read = _events(log, moments)
    keys = pd.DataFrame(
        {"session_id": read.pop("session_id"), "event_order": read.pop("event_order")}
    )
    keys["place"] = np.arange(len(keys))
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
    first, last = found["first"].to_numpy(np.int64), found["place"].to_numpy(np.int64)
    table: dict[str, Any] = {"session_id": moments["session_id"].to_numpy(dtype=object)}
    for name, values in read.items():
        cells = np.empty(len(moments), dtype=object)
        for i, (a, b) in enumerate(zip(first, last, strict=True)):
            cells[i] = values[a : b + 1]
        table[name] = cells
    return pd.DataFrame(table)


def _events(log: Log, moments: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the columns that are read, of the sessions asked for, in order of their events."""
    last = moments.groupby("session_id")["event_order"].max()
    wanted = pd.DataFrame({"session_id": last.index, "event_order": last.to_numpy()})
    clock = {"time": ("epoch_us(event_time)", 1e6), "session": ("session_seconds", 1.0)}
    now, unit = clock.get(log.clock, ("NULL::DOUBLE", 1.0))
    pause = f"({now} - lag({now}) OVER (PARTITION BY session_id ORDER BY event_order)) / {unit!r}"
    kept = ", ".join(f"e.{name}" for name in (*CATEGORIES, *NUMBERS))
    with log.connect() as con:
        con.register("wanted", wanted)
        table = con.execute(
            f"SELECT e.session_id, e.event_order, {kept} FROM "
            f"(SELECT *, {pause} AS pause FROM events) e "
            "JOIN wanted w ON e.session_id = w.session_id AND e.event_order <= w.event_order "
            "ORDER BY e.session_id, e.event_order"
        ).df()
    out: dict[str, NDArray[Any]] = {}
    for name in table.columns:
        if name in NUMBERS:
            out[name] = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            out[name] = table[name].astype(object).where(table[name].notna(), None).to_numpy()
    return out
