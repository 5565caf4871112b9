"""Which columns and event types a log has, for the controls."""

from __future__ import annotations

from cartcast.app import filters
from cartcast.app.state import Data


def event_types(data: Data) -> list[str]:
    """Return the event types of the log, most frequent first."""
    counts = data.log.summary.event_types
    return sorted(counts, key=lambda kind: (-counts[kind], kind))


def split_columns(data: Data) -> list[str]:
    """Return the columns that a funnel or a breakdown can be split by."""
    context = list(filters.choices(data))
    more = [c for c in ("category", "brand", "page", "color", "location", "photo", "item_id")
            if c in filled(data)]  # fmt: skip
    return context + more


def filled(data: Data) -> set[str]:
    """Return the columns of the log that hold values."""
    import pyarrow.parquet as pq

    meta = pq.read_metadata(data.log.path)
    found = set()
    for k in range(meta.num_columns):
        for group in range(meta.num_row_groups):
            part = meta.row_group(group).column(k)
            stats = part.statistics
            if stats is None or stats.null_count is None or stats.null_count < part.num_values:
                found.add(part.path_in_schema)
                break
    return found
