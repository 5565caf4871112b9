"""Scored moments with their outcomes: of a log that the run scores, or of scores kept before."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError, NotFoundError, UsageError
from cartcast.events import Log, Privacy
from cartcast.events.rates import Rates
from cartcast.findings import Finding
from cartcast.live.record import read_record
from cartcast.moments import from_log
from cartcast.monitoring.calibration import OWN
from cartcast.monitoring.feed import Feed, feed_of
from cartcast.progress import Progress, quiet
from cartcast.rows import read_table
from cartcast.runs.run import Run
from cartcast.segments import Segment, at_start
from cartcast.targets import Target, parse_target

__all__ = [
    "Moments",
    "local_times",
    "moments_in",
    "moments_of",
    "own_test",
    "read_scored",
    "rows_of",
]

_ROWS = 50_000_000
_TIMES = ("time", "as_of", "anchor_time", "last_event")
# A live service names the sessions of events that come without one by a name of its own: such a
# score is of the session of its visitor in which it falls.
_NAMED = """
CREATE TEMP TABLE scored AS
WITH sessions AS (
    SELECT session_id, any_value(visitor_id) AS visitor_id, min(event_time) AS begun,
        max(event_time) AS ended
    FROM events GROUP BY session_id
), numbered AS (
    SELECT *, row_number() OVER () AS place FROM scored_as
), near AS (
    SELECT n.*, v.session_id AS fallen, v.ended
    FROM numbered AS n ASOF LEFT JOIN sessions AS v
        ON n.visitor_id = v.visitor_id AND n.time >= v.begun
)
SELECT n.place, n.time, coalesce(s.session_id,
        CASE WHEN n.time <= n.ended + to_microseconds($gap) THEN n.fallen END, n.session_id
    ) AS session_id, coalesce(s.visitor_id, n.visitor_id) AS visitor_id
FROM near AS n LEFT JOIN sessions AS s ON n.session_id = s.session_id
"""

IN_SEGMENT = "in the segment"
"""What moments of a declared segment hold in its column."""


@dataclass(frozen=True)
class Moments:
    """Scored moments.

    Attributes:
        table: visitor_id, session_id, click, time (the shop's clock), probability; label and
            amount where the outcome is known, else NaN; expected_revenue and segment where the run
            says them; a column for each declared segment that was asked for.
        features: the features at each moment, or None when scores were read from a file.
        feed: what the log itself tells by hour and day, or None without a log.
        matured: the day from which on outcomes are not known yet.
        findings: what was found in the log when it was read.
        counts: rows of the log by what became of them: events, rejects, doubled.
    """

    table: pd.DataFrame
    features: pd.DataFrame | None
    feed: Feed | None
    matured: pd.Timestamp
    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def known(self) -> pd.DataFrame:
        """Moments whose outcome is known, of whole days."""
        held = self.table["label"].notna() & (self.table["time"] < self.matured)
        return self.table[held]

    @property
    def unknown(self) -> pd.DataFrame:
        """Moments whose outcome is not known yet."""
        return self.table[self.table["time"] >= self.matured]


def own_test(run: Run) -> pd.DataFrame:
    """Return the run's own predictions of its test part, as moments.

    Raises:
        UsageError: the run says amounts, no probabilities.
        NotFoundError: the predictions are not kept, so the run has no level.
    """
    if run.kind != "classifier":
        raise UsageError(f"run {run.id} says amounts; runs that say a probability can be watched.")
    lost = f"{run.dir}: the run's own level is not known without its test part; train again."
    column = f"p__{run.champion}"
    if column not in run.predictions or "anchor_time" not in run.predictions:
        raise NotFoundError(lost)
    test = run.test.rename(columns={column: "probability", "anchor_time": "time"})
    names = ["visitor_id", "session_id", "click", "time", "probability", "label", "amount"]
    money = [c for c in test.columns if c.startswith("r__")]
    out = test[names].assign(expected_revenue=test[money[0]]) if money else test[names]
    out = out[out["time"].notna() & out["label"].notna()]
    if not len(out):
        raise NotFoundError(lost)
    return out.reset_index(drop=True)


def moments_of(
    run: Run,
    sources: Sequence[Any],
    *,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | None = None,
    privacy: Privacy | None = None,
    scored: Path | str | None = None,
    targets: Mapping[str, Any] | None = None,
    segments: Sequence[Segment] = (),
    progress: Progress | None = None,
) -> Moments:
    """Score a log at the run's anchors, or join scores kept before to its outcomes.

    Raises:
        UsageError: the run reads ready tables, which have no days to watch.
        DataError: the log has no outcomes, lies before the end of the run's own data, or cannot be
            read as the run's own was.
    """
    say = progress or quiet
    with tempfile.TemporaryDirectory(prefix="cartcast-") as work:
        say("reading", None)
        log = run.read(
            *sources, folder=work, layout=layout, orders=orders, rates=rates, privacy=privacy
        )
        say("scoring", None)
        found = moments_in(run, log, scored=scored, targets=targets)
        for segment in segments:
            parts = log.map_parts(partial(at_start, segment=segment))
            belongs = found.table["session_id"].isin(set().union(*parts))
            found.table[OWN + segment.name] = np.where(belongs, IN_SEGMENT, "all others")
        feed = feed_of(log, run.data)
    return replace(found, feed=feed, findings=log.findings, counts=rows_of(vars(log.summary)))


def moments_in(
    run: Run,
    log: Log,
    *,
    scored: Path | str | None = None,
    targets: Mapping[str, Any] | None = None,
    segments: bool = True,
) -> Moments:
    """Return the moments of a log that was read as the run's own was; see `moments_of`.

    Without `segments` nobody's segment is asked for.
    """
    if run.features is None:
        raise UsageError("this run is of a ready table; runs on logs can be watched.")
    target = parse_target(run.data["target"]["asked"], dict(targets or {}))
    _begin, end = _span(log)
    trained = pd.Timestamp(run.data["split"]["parts"]["test"]["end"])
    if end <= trained:
        raise DataError(
            f"the log ends at {end:%Y-%m-%d %H:%M}, the run's own data at "
            f"{trained:%Y-%m-%d %H:%M}: there is nothing new to watch. Give a later log."
        )
    outcome = target.event_type if isinstance(target, Target) else None
    # Where outcomes come with the clicks, none of them is what happened: a shop that is down.
    if run.reading.orders and outcome and not log.summary.event_types.get(outcome):
        raise DataError(
            f"the log has no {outcome} event, and the run's outcomes came in a table of "
            "orders: nothing to hold the run against. Give it with --orders FILE."
        )
    gap = run.reading.sessions.gap
    seconds = target.seconds if isinstance(target, Target) else None
    until = end - pd.Timedelta(seconds=seconds or gap)
    features = None
    if scored is None:
        table, features = _score(run, log, target, gap, segments)
    else:
        table = _outcomes(read_scored(scored, run), log, target, until, gap)
    # What the model was trained on says nothing of how it does on new visitors.
    new = table["time"] > trained
    table = table[new].reset_index(drop=True)
    if features is not None:
        features = features[new.to_numpy()].reset_index(drop=True)
    if not len(table):
        raise DataError(
            f"the log holds no moment to score after {trained:%Y-%m-%d %H:%M}, where the run's own "
            "data ends: there is nothing new to watch. Give a later log."
        )
    table["time"] = local_times(table["time"], log.zone)
    matured = local_times(pd.Series([until]), log.zone).iloc[0].floor("D")
    return Moments(table, features, None, matured)


def local_times(times: pd.Series, zone: str | None) -> pd.Series:
    """Return UTC times by the shop's own clock, whose days are the days that are watched."""
    if zone is None:
        return times
    local: pd.Series = times.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    return local


def rows_of(told: Mapping[str, Any]) -> dict[str, int]:
    """Return a log's rows by what became of them, from its summary or a run's `data`."""
    doubled = sum(told.get(c) or 0 for c in ("duplicate_events", "duplicate_rows", "repeated_rows"))
    return {
        "events": told.get("events") or 0,
        "rejects": told.get("rejects") or 0,
        "doubled": doubled,
    }


def _span(log: Log) -> tuple[pd.Timestamp, pd.Timestamp]:
    with log.connect() as con:
        row = con.execute("SELECT min(event_time), max(event_time) FROM events").fetchone()
    if not row or row[1] is None:
        raise DataError("the log has no times, so there are no days to watch.")
    return pd.Timestamp(row[0]), pd.Timestamp(row[1])


def _score(
    run: Run, log: Log, target: Any, gap: float, segments: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert run.features is not None
    rows = from_log(
        log, target, run.features, run.data["anchors"], session_gap=gap, most_rows=_ROWS,
        segment=run.segment,
    )  # fmt: skip
    X = run.typed(rows.X)
    read = None
    if run.reads_events:
        from cartcast.models.sequence import with_events

        read = with_events(X, log, rows.table, run.features)
    said = run.score(X, read)
    if "probability" not in said:
        raise UsageError("this run says amounts; runs that say a probability can be watched.")
    keys = rows.table[["visitor_id", "session_id", "click", "label", "amount"]]
    table = keys.assign(
        time=rows.table["anchor_time"],
        probability=said["probability"],
        **{k: said[k] for k in ("expected_revenue",) if k in said},
    )
    if segments and run.behaviour is not None and run.holds("segments"):
        # The segment as known at the moment: that of the ended session knows of the purchase.
        then = run.behaviour.replay(log, at=list(run.data["anchors"])).to_pandas()
        then["segment"] = run.segment_names(then)
        both = ["session_id", "event_order"]
        named = rows.table[both].merge(then[[*both, "segment"]], on=both, how="left")
        table["segment"] = named["segment"].to_numpy()
    return table, X


def read_scored(source: Path | str | Any, run: Run | None = None) -> pd.DataFrame:
    """Return scores that were kept, as moments: visitor, session, time and probability.

    A folder is what a live service recorded. Where scores say their model, those of `run` are
    taken.

    Raises:
        DataError: a column is missing, a time is none, or no score is of that run.
    """
    recorded = isinstance(source, str | Path) and Path(source).is_dir()
    raw = read_record(Path(source)) if recorded else read_table(source)
    time = next((c for c in _TIMES if c in raw.columns), None)
    missing = [c for c in ("session_id", "probability") if c not in raw.columns]
    if time is None:
        missing.append("time (or as_of, anchor_time, last_event)")
    if missing or time is None:
        raise DataError(f"{source}: scores need the columns {', '.join(missing)}.")
    if run is not None and "model" in raw.columns:
        own = raw["model"].isin([run.version, run.id])
        if not own.any():
            raise DataError(f"{source}: none of its {len(raw):,} scores is of {run.version}.")
        raw = raw[own].reset_index(drop=True)
    table = raw.rename(columns={time: "time"})
    table["time"] = pd.to_datetime(table["time"], errors="coerce")
    if table["time"].isna().any():
        raise DataError(f"{source}: {int(table['time'].isna().sum()):,} scores have no time.")
    for name in ("visitor_id", "click"):
        if name not in table.columns:
            table[name] = None
    return table


def _outcomes(
    scored: pd.DataFrame, log: Log, target: Any, until: pd.Timestamp, gap: float
) -> pd.DataFrame:
    """Join the outcomes of a log to scores: did the event follow, in the session or in time?"""
    if not isinstance(target, Target):
        raise UsageError("kept scores of a proxy cannot be joined; let the run score the log.")
    within = "o.event_time > s.time AND coalesce(o.visitor_id, o.session_id) = " + (
        "coalesce(s.visitor_id, s.session_id) AND o.event_time <= s.time + to_microseconds($h)"
        if target.seconds is not None
        else "coalesce(o.visitor_id, o.session_id) AND o.session_id = s.session_id"
    )
    money = "revenue" if target.event_type == "purchase" else "price"
    sql = (
        "WITH o AS (SELECT * FROM events WHERE event_type = $kind"
        f"{' AND NOT repeat_purchase' if target.event_type == 'purchase' else ''}) "
        "SELECT s.place, count(o.session_id) > 0 AS label, "
        f"coalesce(sum(o.{money}), 0) AS amount "
        f"FROM scored AS s LEFT JOIN o ON {within} GROUP BY s.place ORDER BY s.place"
    )
    values: dict[str, Any] = {"kind": target.event_type}
    if target.seconds is not None:
        values["h"] = int(target.seconds * 1e6)
    keys = scored[["session_id", "visitor_id", "time"]].astype(
        {"session_id": object, "visitor_id": object}
    )
    with log.connect() as con:
        con.register("scored_as", keys)
        con.execute(_NAMED, {"gap": int(gap * 1e6)})
        named = con.execute("SELECT session_id, visitor_id FROM scored ORDER BY place").df()
        joined = con.execute(sql, values).df()
        ended = con.execute(
            "SELECT session_id, max(event_time) AS ended FROM events GROUP BY 1"
        ).df()
    table = scored.assign(
        session_id=named["session_id"].to_numpy(),
        visitor_id=named["visitor_id"].to_numpy(),
        label=np.asarray(joined["label"], dtype=np.float64),
        amount=np.asarray(joined["amount"], dtype=np.float64),
    )
    if target.seconds is None:
        over = table["session_id"].map(dict(zip(ended["session_id"], ended["ended"], strict=True)))
        if over.isna().all():
            raise DataError("none of the scored sessions is in the log: no outcome can be joined.")
        if (table["time"] >= over).mean() > 0.99:
            raise DataError(
                f"the scores are of ended sessions, and {target.describe()} is what was scored: "
                "nothing can follow. Let the run score the log itself (without --scored)."
            )
        table.loc[over.isna(), ["label", "amount"]] = np.nan
    table.loc[table["time"] >= until, ["label", "amount"]] = np.nan
    return table.sort_values("time", ignore_index=True)
