"""A log for the insights: a clean one is opened as it is, anything else passes the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cartcast import events
from cartcast.events.rates import Rates
from cartcast.events.schema import METADATA_KEY

__all__ = ["is_clean", "read_log"]


def is_clean(path: Path | str) -> bool:
    """Return whether `path` is a Parquet file that has passed the contract."""
    path = Path(path)
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        metadata = pq.read_schema(path.absolute()).metadata or {}
    except pa.ArrowInvalid:
        return False
    return METADATA_KEY.encode() in metadata


def read_log(
    files: Sequence[str | Path],
    *,
    layout: str | None = None,
    zone: str | None = None,
    rates: Rates | None = None,
    progress: Callable[[str, float | None], None] | None = None,
) -> events.Log:
    """Return the log of `files`; one clean log is not cleaned again.

    Raises:
        NotFoundError: a file is not there.
        DataError: the data break the contract.
        UsageError: the layout or the zone does not exist.
    """
    if len(files) == 1 and layout is None and is_clean(files[0]):
        return events.open_log(Path(files[0]))
    named = [str(f) for f in files]
    return events.load(*named, layout=layout, zone=zone, rates=rates, progress=progress)
