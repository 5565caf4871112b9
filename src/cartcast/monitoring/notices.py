"""Notices: what a process, a signal or a hole says in words, with money and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.findings import CATALOGUE, Finding
from cartcast.monitoring import codes
from cartcast.monitoring.alarms import Notice
from cartcast.monitoring.detector import Crossings
from cartcast.monitoring.feed import SIGNALS, Feed, Signal, Unusual, unusual
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.risk import PROCESSES, Level, Process

__all__ = ["contract_notices", "feed_notices", "hole_notices", "page_notices", "reading_notices"]

Floats = NDArray[np.float64]


def page_notices(
    days: pd.DataFrame, crossings: Mapping[str, Crossings], known: Mapping[str, Level],
    plan: Plan, feed: Feed | None, drifted: Sequence[str], table: Mapping[str, Floats],
    outcomes: str = "purchases",
) -> list[Notice]:  # fmt: skip
    """Return a notice for each day on which a process raised its alarm.

    `outcomes` are the target's in words; without a `feed` no alarm is given money.
    """
    out = []
    for process in PROCESSES:
        found = crossings.get(process.name)
        if found is None:
            continue
        for t in np.flatnonzero(found.alarm[:, 0]):
            begin = int(found.since[t, 0])
            top, bottom = (
                float(np.nansum(table[c][begin : t + 1])) for c in (process.top, process.bottom)
            )
            since, through = days["day"].iloc[begin], days["day"].iloc[int(t)]
            level = known[process.name].value
            said = _said(process, top / bottom, level, getattr(plan, process.margin), outcomes)
            look = [CATALOGUE[process.code.code].advice]
            if drifted:
                look.append(f"features that moved: {', '.join(drifted[:5])}")
            money = _money(process, top / bottom, level, feed, since, through)
            subject = "loss" if process.code is codes.LOSS else process.name
            out.append(
                Notice(process.code.code, subject, "page", since, through, said, money, tuple(look))
            )
    return out


def _said(process: Process, value: float, level: float, margin: float, outcomes: str) -> str:
    if process.center:
        what = "revenue was" if "revenue" in process.name else f"{outcomes} were"
        return (
            f"{what} {value:.0%} of what was expected; the run's own level is {level:.0%}, and "
            f"{margin:.0%} {'above' if process.above else 'below'} it is accepted."
        )
    what = "log loss" if process.name == "log_loss" else "Brier score"
    return (
        f"the {what}, the days' rates granted, was {value:+.1%} beyond that expected; the run's "
        f"own level is {level:+.1%}, and {margin:.0%} more is accepted."
    )


def _money(
    process: Process, value: float, level: float, feed: Feed | None, since: pd.Timestamp,
    through: pd.Timestamp,
) -> float | None:  # fmt: skip
    """Return realised less expected revenue of those days, by the ratio found; None for a loss."""
    if feed is None or not process.center or value <= 0 or "revenue" not in feed.days:
        return None
    inside = feed.days["day"].between(since, through)
    earned = float(feed.days.loc[inside, "revenue"].sum())
    return earned * (1 - level / value) if earned > 0 else None


def feed_notices(feed: Feed, plan: Plan) -> list[Notice]:
    """Return a notice for each signal's unusual days; days in a row are one."""
    told = {str(c): feed.days[c].to_numpy(dtype=np.float64) for c in feed.days if c != "day"}
    have = [s for s in SIGNALS if s.name in told and np.isfinite(told[s.name]).any()]
    out: list[Notice] = []
    for signal in have:
        found = unusual(told, signal, plan.tickets / (len(have) + 1))
        begin = None
        for t in np.flatnonzero(found.alarm[:, 0]):
            begin = int(t) if begin is None or not found.alarm[t - 1, 0] else begin
            day = feed.days["day"].iloc[int(t)]
            said = _signal_said(signal, told, int(t), found)
            out.append(
                Notice(signal.code.code, signal.name, "ticket", feed.days["day"].iloc[begin], day,
                       said, None, (CATALOGUE[signal.code.code].advice,))
            )  # fmt: skip
    return out


def _signal_said(signal: Signal, told: Mapping[str, Floats], t: int, found: Unusual) -> str:
    usual, days, value = float(found.usual[t, 0]), int(found.window[t, 0]), told[signal.name][t]
    says = signal.says
    if days > 1:
        says, value = f"{says}, {days} days together", usual + found.apart[t, 0]
    if signal.kind == "share":
        of = told["sessions" if signal.name in ("carts", "buying", "fast") else "events"][t]
        share = value / of if days == 1 else 1 / (1 + np.exp(-value))
        return f"{says}: {share:.1%}, usually {1 / (1 + np.exp(-usual)):.1%}."
    if signal.kind == "log":
        return f"{says}: {np.exp(value):,.4g}, usually {np.exp(usual):,.4g}."
    return f"{says}: {value % 24:.1f}, usually {usual % 24:.1f}."


def hole_notices(found: pd.DataFrame, feed: Feed) -> list[Notice]:
    """Return a notice for each hour that is a hole; hours in a row belong to one."""
    out: list[Notice] = []
    begin, lost = None, 0.0
    before = None
    # No day may be whole yet.
    sums = {c: float(feed.days[c].sum()) for c in ("revenue", "events") if c in feed.days}
    by_event = sums.get("revenue", 0.0) / max(sums.get("events", 0.0), 1.0)
    for row in found.to_dict("records"):
        hour, came, usual = pd.Timestamp(row["hour"]), float(row["events"]), float(row["usual"])
        if before is None or hour - before > pd.Timedelta(hours=1):
            begin, lost = hour, 0.0
        lost += usual - came
        before = hour
        money = -lost * by_event if by_event > 0 else None
        said = (
            f"{came:,.0f} events in the hour, usually {usual:,.0f}; {lost:,.0f} are missing so far."
        )
        out.append(
            Notice(codes.HOLE.code, "events", "ticket", begin or hour, hour, said, money,
                   (codes.HOLE.advice,), apart=True)
        )  # fmt: skip
    return out


_MUCH = 0.01
_TIMES = 3.0


def contract_notices(
    counts: Mapping[str, int], trained: Mapping[str, int], since: pd.Timestamp,
    through: pd.Timestamp,
) -> list[Notice]:  # fmt: skip
    """Return a notice where far more rows than in training were rejected or came twice."""
    out = []
    for name, code in (("doubled", codes.DOUBLED), ("rejects", codes.FEED_SHARE)):
        rows = counts["events"] + counts[name]
        share = counts[name] / rows if rows else 0.0
        before = trained[name] / max(trained["events"] + trained[name], 1)
        if share >= _MUCH and share >= _TIMES * before:
            what = "came twice" if name == "doubled" else "were rejected"
            said = (
                f"{counts[name]:,} of {rows:,} rows {what} ({share:.1%}); in training it was "
                f"{before:.1%}."
            )
            out.append(
                Notice(code.code, f"{name} rows", "ticket", since, through, said, None,
                       (code.advice,))
            )  # fmt: skip
    return out


def reading_notices(findings: Sequence[Finding], through: pd.Timestamp) -> list[Notice]:
    """Return a notice for each way in which the log is unlike the one the run was trained on."""
    return [
        Notice(codes.READING.code, f.code, "ticket", through, through, f"{f.code}: {f.message}",
               None, (f.advice,))
        for f in findings
        if f.code.startswith("SC") and f.severity == "warn"
    ]  # fmt: skip
