"""The end of a log held back from training, so that a comparison can begin on it at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from cartcast.errors import DataError
from cartcast.events import Log
from cartcast.events.sql import file_literal
from cartcast.events.summary import Summary, summarize
from cartcast.sessions import SessionRules

__all__ = ["before"]


def before(log: Log, hold: pd.Timedelta, work: Path, rules: SessionRules) -> Log:
    """Return the log as it was known `hold` before its end."""
    if log.summary.end is None or log.clock != "time":
        raise DataError("the log has no times, so no end of it can be held back: --hold none.")
    end = pd.Timestamp(log.summary.end)
    cut = (end.tz_convert(None) if end.tzinfo else end) - hold
    path = work / "before.parquet"
    known = "coalesce(known_time, event_time)" if "known_time" in log.columns else "event_time"
    with log.connect() as con:
        con.execute(
            f"COPY (SELECT * FROM events WHERE {known} < TIMESTAMP '{cut}') "
            f"TO {file_literal(path)} (FORMAT parquet)"
        )
    part = replace(log, path=path, keep=None)
    with part.connect() as con:
        (events,) = con.execute("SELECT count(*) FROM events").fetchone() or (0,)
        if not events:
            raise DataError(
                f"the log holds nothing before {cut:%Y-%m-%d %H:%M}, {hold} before its end; give "
                "a longer log, or --hold none."
            )
        figures = summarize(con, "events", log.clock, rules)
    return replace(part, summary=Summary.from_dict({**log.summary.as_dict(), **figures}))
