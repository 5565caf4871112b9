"""The answer of a page in one sentence, computed from the data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cartcast.charts.theme import number, words
from cartcast.evaluate.intervals import TOO_FEW, unsaid
from cartcast.features.words import event_words, in_words
from cartcast.insights.cohorts import Cohorts
from cartcast.insights.compare import Difference
from cartcast.insights.funnel import Funnel
from cartcast.insights.heatmap import HeatMap
from cartcast.insights.items import Items
from cartcast.insights.overview import Overview
from cartcast.insights.paths import END, START, Paths
from cartcast.numbers import day
from cartcast.segments.steps import step_words

if TYPE_CHECKING:
    from cartcast.monitoring.alarms import Alarm

__all__ = [
    "dashboard",
    "of_cohorts",
    "of_funnel",
    "of_hours",
    "of_items",
    "of_paths",
    "of_watch",
    "performance",
    "predicted",
    "segments",
    "share_differences",
    "telling_hours",
]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _worst(counts: Sequence[tuple[str, int]]) -> tuple[str, str, int] | None:
    """Return the neighbouring steps between which most units are lost, and how many."""
    losses = [(a[0], b[0], a[1] - b[1]) for a, b in itertools.pairwise(counts) if a[1] > 0]
    return max(losses, key=lambda x: x[2], default=None)


def dashboard(o: Overview) -> str:
    """Return what the dashboard says, as a sentence."""
    if o.sessions == 0:
        return "No session matches these filters."
    if o.conversion is None:
        return (
            f"{number(o.sessions)} sessions, but this log records no purchase: "
            "what people do is known, what they buy is not."
        )
    start = f"{number(o.conversion.value, 'share')} of sessions buy"
    worst = _worst(o.funnel)
    if worst is None or worst[2] == 0:
        return start + "."
    return f"{start}; most are lost between {step_words(worst[0])} and {step_words(worst[1])}."


def difference(d: Difference) -> str:
    """Return how a figure differs from what it is held against.

    >>> difference(Difference("revenue", 110.0, 100.0, 0.1, -0.02, 0.23))
    '+10 %, by chance?'
    >>> difference(Difference("conversion", 0.05, 0.03, 0.02, 0.01, 0.03))
    '+2.0 points'
    """
    if d.change is None:
        return "nothing to compare"
    return f"{_percent(d.change)}{_unit(d)}{'' if d.sure else ', by chance?'}"


def share_differences(
    found: Sequence[Difference], name: str, spoken: Callable[[str], str] = event_words
) -> str:
    """Return how shares differ from those of another slice, with intervals.

    >>> share_differences([Difference("mobile", 0.05, 0.03, 0.02, 0.01, 0.03)], "May")
    'Compared with May: mobile +2.0 points (+1.0 to +3.0). Intervals: 95 %, over visitors.'
    """
    told = [
        f"{spoken(d.measure)} {_percent(d.change)} points ({_percent(d.low)} to {_percent(d.high)})"
        for d in found
        if d.change is not None and d.low is not None and d.high is not None
    ]
    if not told:
        return f"Nothing can be compared with {name}."
    return f"Compared with {name}: {', '.join(told)}. Intervals: 95 %, over visitors."


def differences(found: Mapping[str, Difference], name: str) -> str:
    """Return how all figures differ from what they are held against, with intervals.

    >>> differences({"revenue": Difference("revenue", 110.0, 100.0, 0.1, -0.02, 0.23)}, "May")
    'Compared with May: revenue +10 % (-2.0 to +23). Intervals: 95 %, over visitors.'
    """
    told = [
        f"{in_words(d.measure)} {_percent(d.change)}{_unit(d)} "
        f"({_percent(d.low)} to {_percent(d.high)})"
        for d in found.values()
        if d.change is not None and d.low is not None and d.high is not None
    ]
    if not told:
        return f"There is nothing to compare in {name}."
    return f"Compared with {name}: {', '.join(told)}. Intervals: 95 %, over visitors."


def _percent(x: float) -> str:
    return f"{100 * x:+.0f}" if abs(x) >= 0.0995 else f"{100 * x:+.1f}"


def _unit(d: Difference) -> str:
    return " points" if d.measure == "conversion" else " %"


def of_funnel(f: Funnel) -> str:
    """Return the funnel's answer."""
    if not f.steps or f.steps[0].reached == 0:
        return f"No {f.unit} reaches the first step here."
    if f.by is not None:
        last = f.steps[-1].step
        ends = [s for s in f.steps if s.step == last and s.of_first.value is not None]
        big = [s for s in ends if s.of_first.of >= 100] or ends
        best = max(big, key=lambda s: s.of_first.value or 0.0)
        worst = min(big, key=lambda s: s.of_first.value or 0.0)
        if best is worst:
            return f"All {f.unit}s fall into one value of {f.by}."
        return (
            f"By {f.by}, {step_words(last)} is reached by {number(best.of_first.value, 'share')} "
            f"({best.segment or 'unknown'}) down to {number(worst.of_first.value, 'share')} "
            f"({worst.segment or 'unknown'})."
        )
    lost = _worst([(s.step, s.reached) for s in f.steps])
    end = f.steps[-1]
    text = (
        f"{number(end.of_first.value, 'share')} of {f.unit}s with a "
        f"{step_words(f.steps[0].step)} reach {step_words(end.step)}"
    )
    return (
        f"{text}; {number(lost[2])} are lost before {step_words(lost[1])}." if lost else f"{text}."
    )


def of_items(found: Items, currency: str | None) -> str:
    """Return what sells."""
    if not found.rows:
        return f"No {in_words(found.column)} is looked at or bought here."
    first = found.rows[0]
    if not found.revenue or first.revenue is None:
        return f"{first.value} is looked at most: in {number(first.views)} sessions."
    share = number(first.revenue / found.revenue, "share")
    return (
        f"{first.value} brings in most: {number(first.revenue, 'money', currency)}, {share} of all."
    )


def of_paths(p: Paths) -> str:
    """Return where sessions go next, or came from."""
    first = [f for f in p.flows if f.step == 1]
    if not first:
        return f"No session has {event_words(p.anchor)} here."
    top = first[0]
    name = top.target if p.direction == "from" else top.source
    if name == END:
        what = "end there"
    elif name == START:
        what = "begin with it"
    else:
        what = ("go on to" if p.direction == "from" else "come from") + f" {event_words(name)}"
    return (
        f"Of {number(p.sessions)} sessions with {event_words(p.anchor)}, "
        f"{number(top.share, 'share')} {what}."
    )


def of_cohorts(c: Cohorts) -> str:
    """Return how many come back and buy again, all followed equally long."""
    weeks = f"{c.within} week{'s' if c.within > 1 else ''}"
    if c.returned.value is None:
        return f"No visitor has been known for {weeks} yet."
    text = (
        f"{number(c.returned.value, 'share')} of {number(c.returned.of)} visitors come back within "
        f"{weeks} of their first visit"
    )
    if c.bought_again.value is None:
        return f"{text}; nobody bought."
    return f"{text}; {number(c.bought_again.value, 'share')} of the buyers buy again."


def performance(run: Mapping[str, Any]) -> str:
    """Return how good the champion is against the best baseline."""
    name, figures = run["champion"], run["metrics"].get(run["champion"], {})
    metric, title = ("roc_auc", "ROC AUC") if "roc_auc" in figures else ("mae", "mean error")
    value = figures.get(metric)
    if value is None:
        return f"{words(name)} is the champion, but its {title} is undefined on the test part."
    low, high = (run.get("intervals", {}).get(name, {}).get(metric) or [None, None])[:2]
    if unsaid(metric, value, low):
        return f"{words(name)} is the champion; the test part has {TOO_FEW} to say how good it is."
    between = f" ({number(low, 'points')} to {number(high, 'points')})" if low is not None else ""
    kind = " for a PROXY, not for an outcome" if run["target"]["kind"] == "proxy" else ""
    rivals = {
        b: run["metrics"][b].get(metric)
        for b in run["baselines"]
        if b != name and run["metrics"].get(b, {}).get(metric) is not None
    }
    told = f"{words(name).capitalize()}: {title} {number(value, 'points')}{between}{kind}"
    if not rivals:
        return told + "."
    pick = max if metric == "roc_auc" else min
    best = pick(rivals, key=lambda b: rivals[b])
    return f"{told}, against {number(rivals[best], 'points')} for {words(best)} alone."


def segments(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return which segment matters most."""
    known = [r for r in rows if r.get("revenue_per_session") is not None and r.get("size")]
    total = sum(r["revenue_per_session"] * r["size"] for r in known)
    if known and total > 0:
        top = max(known, key=lambda r: r["revenue_per_session"] * r["size"])
        part = top["revenue_per_session"] * top["size"] / total
        return (
            f"{top['name']}: {number(top['share'], 'share')} of sessions bring "
            f"{number(part, 'share')} of the money."
        )
    big = max(rows, key=lambda r: r.get("share") or 0.0)
    return (
        f"{len(rows)} kinds of sessions; the largest, {big['name']}, is "
        f"{number(big.get('share'), 'share')}."
    )


def predicted(rows: int, whom: str, mean: float | None, chosen: int | None) -> str:
    """Return what a list, or the scores of a table, amount to; `whom` says what a row is."""
    text = f"{whom[0].upper()}{whom[1:]}: {number(rows)}"
    if mean is not None:
        text += f"; {number(mean, 'share')} expected on average"
    return f"{text}; {number(chosen)} chosen." if chosen is not None else f"{text}."


def of_watch(alarms: Sequence[Alarm], days: int) -> str:
    """Return what the watch over a run says, as a sentence."""
    still = [a for a in alarms if a.state != "resolved"]
    if not still:
        return f"No alarm: {number(days)} days are watched, and the model holds its own level."
    first = min(still, key=lambda a: (a.severity != "page", a.since, a.number))
    what = first.message.partition(";")[0].rstrip(".")
    others = len(still) - 1
    more = f"; {others} more alarm{'' if others == 1 else 's'}" if others else ""
    return f"Since {day(first.since)}: {what}{more}."


def telling_hours(h: HeatMap) -> float:
    """Return how many sessions an hour needs for its conversion: five that buy are expected."""
    bought = sum(c.conversion.did for c in h.cells if c.conversion)
    return 5 * sum(c.sessions for c in h.cells) / bought if bought else float("inf")


def of_hours(h: HeatMap, least: float | None) -> tuple[str, str]:
    """Return what stands out in a week's hours, and what to know of it.

    Args:
        h: the hours.
        least: sessions that an hour's conversion needs; None tells of sessions instead.
    """
    at = max(h.cells, key=lambda c: c.sessions)
    said, value = "Most sessions begin", number(at.sessions)
    note = "Show conversion to see in which hours they buy." if h.sold else ""
    if least is not None:
        known = [(c, c.conversion) for c in h.cells if c.sessions >= least and c.conversion]
        note = "No hour has sessions enough to tell its conversion: all are faded."
        if known:
            at, best = max(known, key=lambda c: c[1].value or 0.0)
            low, high = number(best.low, "share"), number(best.high, "share")
            said, value = "Conversion is highest", number(best.value, "share")
            note = (
                f"{low} to {high}; the highest of {number(len(known))} hours is partly so by "
                f"chance. Hours with fewer than {number(math.ceil(least))} sessions are faded."
            )
    when = f"{DAYS[at.weekday - 1]} between {at.hour} and {at.hour + 1} o'clock"
    return f"{said} on {when} ({h.zone or 'UTC'}): {value}.", note
