"""One look: score or join what is new, keep it, hold it against the past, raise and send alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.atomic import write_text
from cartcast.config import STATE_FOLDER
from cartcast.events import Privacy
from cartcast.events.rates import Rates, rates_from
from cartcast.findings import Finding, finding
from cartcast.live.metrics import exposition
from cartcast.monitoring import codes
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.calibration import OWN, calibrated
from cartcast.monitoring.changes import send_changes
from cartcast.monitoring.days import COLUMNS, days_of
from cartcast.monitoring.detector import Crossings, threshold
from cartcast.monitoring.drift import Drift, drifted
from cartcast.monitoring.estimate import LossEstimate, estimate_loss
from cartcast.monitoring.exposition import collect
from cartcast.monitoring.history import arrays, blocks, keep_days, keep_feed, keep_shifts
from cartcast.monitoring.holes import holes
from cartcast.monitoring.moments import Moments, moments_of, own_test, rows_of
from cartcast.monitoring.notices import (
    contract_notices,
    feed_notices,
    hole_notices,
    page_notices,
    reading_notices,
)
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.risk import Level, levels, watch
from cartcast.monitoring.send import send
from cartcast.monitoring.store import Store, open_store
from cartcast.progress import Progress
from cartcast.runs.run import Run
from cartcast.segments import Segment
from cartcast.targets import parse_target
from cartcast.webhook import SendError

__all__ = ["Look", "check"]

Floats = NDArray[np.float64]
METRICS_FILE = "monitor.prom"
UNTOLD = (
    "drift and the segments that the run found are not told: recorded scores hold no features; a "
    "look without --scored has the run score the log, and tells them"
)
_WINDOW = 28
_DOUBT = 0.10
"""Relative error above which the level is reported as not known well."""


@dataclass(frozen=True)
class Look:
    """What one look found.

    Attributes:
        run: run id and model.
        days: daily sums of matured moments, all that are kept.
        levels: the run's own level by process.
        evidence: logarithm of each process's detector on the last day, and `threshold`.
        risk: realised and expected losses and the ratio of purchases and revenue, last 28 days.
        estimate: log loss of what has no outcome yet, or None.
        calibration: by click, by the segment that the run finds, and by declared ones; last 28
            days.
        drift: features in the order of what they explain.
        opened: alarms that this look opened.
        alarms: all alarms that are not resolved.
        findings: what else a reader must know.
        sent: ways by which alarms were sent.
        problem: why sending failed, or None; the alarms stay unsent and are tried again.
        rows: of the log, by what became of them: events, rejects, doubled.
        untold: what this look could not see, and why, or None.
    """

    run: str
    days: pd.DataFrame
    levels: dict[str, Level]
    evidence: dict[str, float]
    risk: dict[str, float | None]
    estimate: LossEstimate | None
    calibration: pd.DataFrame
    drift: list[Drift]
    opened: list[Alarm]
    alarms: list[Alarm]
    findings: tuple[Finding, ...] = ()
    sent: list[str] = field(default_factory=list)
    problem: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    untold: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "run": self.run,
            "days": len(self.days),
            "first_day": None if self.days.empty else self.days["day"].iloc[0],
            "last_day": None if self.days.empty else self.days["day"].iloc[-1],
            "levels": {name: level._asdict() for name, level in self.levels.items()},
            "evidence": self.evidence,
            "risk": self.risk,
            "estimate": self.estimate._asdict() if self.estimate else None,
            "calibration": self.calibration.to_dict("records"),
            "drift": [d._asdict() for d in self.drift],
            "opened": [a.number for a in self.opened],
            "alarms": [a.as_dict() for a in self.alarms],
            "findings": [f.as_dict() for f in self.findings],
            "sent": self.sent,
            "problem": self.problem,
            "rows": dict(self.rows),
            "untold": self.untold,
        }


def check(
    run: Path | str | Run,
    sources: Sequence[Any],
    *,
    project: Path | None = None,
    plan: Plan | None = None,
    scored: Path | str | None = None,
    layout: str | None = None,
    orders: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    privacy: Privacy | None = None,
    targets: Mapping[str, Any] | None = None,
    segments: Sequence[Segment] = (),
    at: datetime | None = None,
    progress: Progress | None = None,
) -> Look:
    """Watch a run on a log: whole days that are new are added to those kept, and all are judged.

    A log may overlap what was given before: a day that is kept stays as it was.

    Args:
        run: the run, or its folder.
        sources: the log, with the outcomes in it or in `orders`.
        project: folder whose `.cartcast` keeps days and alarms; None keeps nothing.
        plan: budget and margins.
        scored: scores kept before, to be joined with the log's outcomes; None scores the log.
        layout: layout of the log.
        orders: outcomes kept apart.
        rates: what each currency is worth.
        privacy: how ids are replaced, where the run has no such rule.
        targets: proxies declared by name.
        segments: declared segments whose calibration is told, too; each must be known at a
            session's first event.
        at: the time that alarms are opened at; now.
        progress: called with what is done.

    Raises:
        NotFoundError: the run is not there, or has no level of its own.
        UsageError: the run says amounts, or is of a ready table; a segment is known only later.
        DataError: the log has no outcomes, or nothing that is new.
    """
    plan, run = plan or Plan(), Run.open(run).loaded()
    run.require_during("monitoring")
    own = [OWN + segment.require_at_start().name for segment in segments]
    test = own_test(run)
    found = moments_of(
        run, list(sources), layout=layout, orders=orders, rates=rates_from(rates),
        privacy=privacy, scored=scored, targets=targets, segments=segments,
        progress=progress,
    )  # fmt: skip
    store = open_store(project)
    known = levels(arrays(days_of(test)))
    days = keep_days(store, run.id, found)
    crossings = watch(blocks(days, plan), known, plan) if len(days) else {}
    feed = keep_feed(store, run.id, found.feed)
    shifts = keep_shifts(store, run.id, found)
    importance = {i["feature"]: float(i["mean_drop"]) for i in run.data.get("importance") or ()}
    drift, drift_findings = drifted(shifts, importance)
    window = found.known[found.known["time"] >= found.matured - pd.Timedelta(days=_WINDOW)]
    calibration = calibrated(window, keys=("click", "segment", *own))
    currency = run.currency
    named = [d.feature for d in drift if d.named]
    bought = _of_purchases(run)
    outcomes = "purchases" if bought else f"outcomes ({run.data['target']['describe']})"
    notices = [
        # Of a proxy, or of another event than the purchase, no money is known.
        *page_notices(
            days,
            crossings,
            known,
            plan,
            feed if bought else None,
            named,
            blocks(days, plan),
            outcomes,
        ),
        *reading_notices(found.findings, found.matured),
    ]
    if found.counts:
        begin = found.table["time"].min().floor("D")
        trained = rows_of(run.data["data"])
        notices += contract_notices(found.counts, trained, begin, found.matured)
    if feed is not None:
        notices += feed_notices(feed, plan)
        notices += hole_notices(holes(feed.hours, plan), feed)
    opened = store.notice(run.id, notices, currency, at)
    sent, problem = _send(store, plan)
    look = Look(
        run.version, days, known, _evidence(crossings, known, plan), _risk(days),
        _estimate(days, test, found), calibration.table, drift, opened,
        [a for a in store.alarms() if a.state != "resolved"],
        (*_doubts(known), *calibration.findings, *drift_findings), sent, problem, found.counts,
        None if scored is None else UNTOLD,
    )  # fmt: skip
    store.keep_look(run.id, look.as_dict(), at)
    if project is not None:
        path = project / STATE_FOLDER / METRICS_FILE
        write_text(path, exposition(collect(look)))
    return look


def _of_purchases(run: Run) -> bool:
    asked = str(run.data["target"]["asked"])
    return not run.proxy and parse_target(asked, {}).reads.event_types == frozenset({"purchase"})


def _evidence(
    crossings: Mapping[str, Crossings], known: Mapping[str, Level], plan: Plan
) -> dict[str, float]:
    if not crossings:
        return {}
    out = {name: float(c.evidence[-1, 0]) for name, c in crossings.items()}
    return {**out, "threshold": float(np.log(threshold(plan.budget, len(known))))}


def _risk(days: pd.DataFrame) -> dict[str, float | None]:
    last = days.tail(_WINDOW)
    total = {c: float(last[c].sum()) for c in COLUMNS}

    def ratio(top: str, bottom: str) -> float | None:
        return total[top] / total[bottom] if total[bottom] > 0 else None

    return {
        "log_loss": ratio("log_loss", "moments"),
        "log_loss_expected": ratio("log_loss_expected", "moments"),
        "brier": ratio("brier", "moments"),
        "brier_expected": ratio("brier_expected", "moments"),
        "purchases": ratio("realised", "expected"),
        "revenue": ratio("revenue", "revenue_expected"),
    }


def _estimate(days: pd.DataFrame, test: pd.DataFrame, found: Moments) -> LossEstimate | None:
    """Return the estimate for what has no outcome yet; else for the last seven days."""
    now = found.unknown.assign(label=0.0)
    if len(now):
        table = arrays(days_of(now))
        past = days
    else:
        table, past = arrays(days.tail(7).fillna(0.0)), days.iloc[:-7]
    if past["log_loss_expected"].sum() > 0 and len(past) >= 14:
        return estimate_loss(arrays(past.fillna(0.0)), table)
    return estimate_loss(arrays(days_of(test)), table)


def _doubts(known: Mapping[str, Level]) -> list[Finding]:
    level = known.get("purchases_down")
    if level is None or level.error <= _DOUBT:
        return []
    return [
        finding(
            codes.NO_LEVEL,
            f"purchases of the test part were {level.measured:.0%} of those expected, give or take "
            f"{level.error:.0%}.",
            measured=level.measured,
            error=level.error,
        )
    ]


def _send(store: Store, plan: Plan) -> tuple[list[str], str | None]:
    """Send what was not sent yet: alarms that are open, and changes of the champion.

    A failure is told, and tried again at the next look.
    """
    ways: list[str] = []
    due = [a for a in store.alarms("open") if a.sent is None and a.silenced is None]
    try:
        ways = send(plan, due)
    except SendError as error:
        return [], str(error)
    if ways:
        store.sent([a.number for a in due], ", ".join(ways))
    more, problem = send_changes(store, plan)
    return list(dict.fromkeys([*ways, *more])), problem
