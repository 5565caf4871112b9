"""The sentences of a report, computed from the run: the headline first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cartcast.charts.theme import number
from cartcast.features.words import in_words
from cartcast.moments.lists import Check
from cartcast.report.evidence import MAIN, SHOWN, Evidence

__all__ = [
    "asked",
    "calibrated",
    "drives",
    "good",
    "headline",
    "moments",
    "next_steps",
    "outcome",
    "revenue",
    "segments",
    "title",
    "trust",
]

TOP = 0.1
MOST_OUTSIDE = 3
"""Of ten groups, one leaves its 90 % interval by chance; more than three seldom do (1 %)."""
_NAMES = {
    "purchase": ("purchase", "buyers", "buy"),
    "revenue": ("revenue", "revenue", "bring revenue"),
    "add_to_cart": ("add to cart", "sessions that fill a cart", "fill a cart"),
    "checkout": ("checkout", "sessions that reach checkout", "reach checkout"),
}


def outcome(e: Evidence) -> tuple[str, str, str]:
    """Return the outcome as (name, those who have it, what they do)."""
    name = str(e.run.data["target"]["name"])
    words = name.replace("_", " ")
    if e.run.proxy:
        return words, f"sessions with the stand-in “{words}”", f"fulfil the stand-in “{words}”"
    return _NAMES.get(name, (words, f"sessions with “{words}”", f"have “{words}”"))


def title(e: Evidence) -> str:
    """Return the title, which names a proxy as such."""
    name = outcome(e)[0]
    return f"{name}: a proxy, not an observed outcome" if e.run.proxy else name


def span(value: Any, low: Any, high: Any, unit: str, currency: str | None = None) -> str:
    """Return a figure with its interval in words.

    >>> span(0.7, 0.68, 0.72, "points")
    '0.700 (0.680 to 0.720)'
    """
    shown = number(value, unit, currency)
    if low is None or high is None or low != low or high != high:
        return shown
    return f"{shown} ({number(low, unit, currency)} to {number(high, unit, currency)})"


def scored(
    score: str, value: Any, low: Any, high: Any, unit: str, currency: str | None = None
) -> str:
    """Return a score with its interval in words, or that too few buyers carry it.

    >>> scored("roc_auc", 0.9, None, None, "points")
    'too few buyers'
    """
    from cartcast.evaluate.intervals import TOO_FEW, unsaid

    return TOO_FEW if unsaid(score, value, low) else span(value, low, high, unit, currency)


def headline(e: Evidence) -> str:
    """Return the answer in one or two sentences."""
    if e.run.blocking:
        codes = ", ".join(sorted({f.code for f in e.run.blocking}))
        return f"Do not use these figures: the audit blocks them ({codes})."
    start = ""
    forced = sorted({f.code for f in e.run.waived if f.severity == "block"})
    if forced:
        start = f"Trained under a waiver of {', '.join(forced)}: not to be taken at face value. "
    if e.run.proxy:
        start += "No outcome is recorded here; this is about a stand-in. "
    if e.beats is False:
        return start + (
            f"No model is reliably better than the plain baseline “{in_words(e.best_baseline)}” "
            "on these data: do not act on the scores."
        )
    if e.run.champion in ("prevalence", "mean"):
        return start + (
            "No model is better than the same average for all: do not act on the scores."
        )
    reached, low, high = e.reached(TOP)
    share = span(reached, low, high, "share")
    best = f"the {number(TOP, 'share')} of {decisions(e)} scored highest"
    if e.run.kind == "regressor":
        text = f"{best[0].upper()}{best[1:]} bring {share} of the revenue"
    else:
        text = f"{_rate(e)}; {best} hold {share} of {_what(e)}"
    return start + text + _versus(e) + "."


def _what(e: Evidence) -> str:
    observed = not e.run.proxy and str(e.run.data["target"]["name"]) == "purchase"
    return "the purchases" if observed and _early(e) else "them"


def _early(e: Evidence) -> bool:
    return bool(e.run.data.get("anchors"))


def moments(e: Evidence) -> str:
    """Return what a test row is: a moment after a click, or a session of a ready table."""
    return "moments" if _early(e) else "rows"


def decisions(e: Evidence) -> str:
    """Return what is acted on once: sessions, whose moments are several, visitors, or rows."""
    return "sessions" if _early(e) else "visitors" if e.run.moment.dated else "rows"


def _rate(e: Evidence) -> str:
    """Return how often the outcome occurs, in words that name what is counted."""
    data, name = e.run.data.get("data", {}), str(e.run.data["target"]["name"])
    sessions, bought = data.get("sessions"), data.get("purchase_sessions")
    if e.run.moment.dated:
        within = f" within {e.run.data['target']['horizon']}"
        return f"{number(e.prevalence, 'share')} of the visitors listed {outcome(e)[2]}{within}"
    if name == "purchase" and not e.run.proxy and sessions and bought:
        return f"{number(bought / sessions, 'share')} of sessions buy"
    do, share = outcome(e)[2], number(e.prevalence, "share")
    return f"{share} of the {moments(e)} {'lead to sessions that ' if _early(e) else ''}{do}"


def _versus(e: Evidence) -> str:
    if e.best_baseline is None:
        return ""
    t = e.gain[e.gain["model"] == e.best_baseline]
    if t.empty or e.best_baseline == e.run.champion:
        return ""
    row = t.iloc[int((t["contacted"] - TOP).abs().argmin())]
    return f", against {number(row['reached'], 'share')} by the best baseline"


def asked(e: Evidence) -> list[tuple[str, str]]:
    """Return what was asked, of which data, as (what, words)."""
    d = e.run.data
    data, split, target = d.get("data", {}), d["split"], d["target"]
    said = str(target.get("describe") or target["name"])
    rows = [("Predicted", said)]
    if d.get("anchors"):
        rows.append(("When", "after clicks " + ", ".join(str(a) for a in d["anchors"])))
    if e.run.moment.dated:
        rows.append(("When", e.run.moment.describe()))
    if check := (d.get("lists") or {}).get("check"):
        rows.append(("Lists", Check.from_dict(check).describe(e.run.kind == "regressor")))
    counted = [
        f"{number(data[k])} {w}"
        for k, w in (("events", "events"), ("sessions", "sessions"), ("visitors", "visitors"),
                     ("rows", "rows"))
        if data.get(k) is not None
    ]  # fmt: skip
    if counted:
        period = f", {_day(data['start'])} to {_day(data['end'])}" if data.get("start") else ""
        rows.append(("Data", ", ".join(counted) + period))
    rows.append(("Split", _minutes(str(split.get("describe") or split.get("method")))))
    test = split.get("parts", {}).get("test", {})
    if test:
        when = f", {_day(test['start'])} to {_day(test['end'])}" if test.get("start") else ""
        buyers = number(test.get("positives"))
        rows.append(("Judged on", f"{number(test['rows'])} test rows, {buyers} positive{when}"))
    left = {k.replace("_", " "): v for k, v in d.get("dropped", {}).items() if v}
    if left:
        rows.append(("Left out", ", ".join(f"{number(v)} {k}" for k, v in left.items())))
    return rows


def _minutes(text: str) -> str:
    """Cut the times in a text to minutes: no split is known to the microsecond."""
    return re.sub(r"(\d\d:\d\d):\d\d(\.\d+)?", r"\1", text)


def _day(value: Any) -> str:
    return str(value)[:10]


def trust(e: Evidence) -> str:
    """Return how far the figures can be trusted."""
    count = dict.fromkeys(("block", "warn", "note"), 0)
    for f in e.run.findings:
        if f.waived is None:
            count[f.severity] += 1
    parts = []
    if e.run.proxy:
        parts.append("The target is a proxy: a rule, not something that was observed.")
    if count["block"]:
        verb = "blocks" if count["block"] == 1 else "block"
        parts.append(f"{_many(count['block'], 'finding')} {verb} the use of these figures.")
    elif count["warn"]:
        parts.append(f"Usable with care: {_many(count['warn'], 'warning')}, nothing blocks.")
    else:
        parts.append("The audit found nothing that blocks or warns.")
    for severe, words in ((True, "Waived although it blocks"), (False, "Waived")):
        codes = sorted({f.code for f in e.run.waived if (f.severity == "block") == severe})
        if codes:
            parts.append(f"{words}, with a reason that stays on record: {', '.join(codes)}.")
    return " ".join(parts)


def _many(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def good(e: Evidence) -> str:
    """Return how good the champion is, against the best baseline."""
    kind = e.run.kind
    metric, shown = MAIN[kind], SHOWN[kind]
    name = {"roc_auc": "ROC AUC", "spearman": "Rank correlation"}[shown]
    value = scored(shown, *e.run.figure(e.run.champion, shown), "points")
    text = f"{name} of {in_words(e.run.champion)}: {value}."
    base = e.best_baseline
    if base is None or base == e.run.champion or metric not in e.gains:
        return text
    found = e.gains[metric]
    label = {"log_loss": "log loss", "rmse": "squared error (root)"}[metric]
    unit, currency = ("points", None) if metric == "log_loss" else ("money", e.run.currency)
    verdict = {True: "better than", False: "not reliably better than", None: "compared with"}
    change = span(found.value, found.low, found.high, unit, currency)
    return f"{text} It is {verdict[e.beats]} “{in_words(base)}”: {label} changes by {change}."


def calibrated(e: Evidence) -> str:
    """Return whether the outcome happens as often as predicted."""
    from cartcast.evaluate.curves import chance_error

    value, low, high = e.run.figure(e.run.champion, "ece")
    chance = chance_error(e.reliability)
    bins = len(e.reliability)
    held = bins - e.outside
    text = f"{held} of {bins} groups agree with their prediction within 90 % intervals"
    text += f"; the mean gap is {scored('ece', value, low, high, 'share')}"
    return text + f", of which {number(chance, 'share')} is to be expected by chance."


def drives(e: Evidence) -> str:
    """Return the strongest drivers in a sentence."""
    known = e.importance.dropna(subset=["mean_drop"])
    sure = known[(known["low"].isna()) | (known["low"] > 0)].nlargest(3, "mean_drop")
    if sure.empty:
        return (
            "No single feature can be shown to matter: what the model knows is spread over several."
        )
    told = []
    for name, direction in zip(sure["feature"], sure["direction"], strict=True):
        more = {"raises": " (more raises it)", "lowers": " (more lowers it)"}.get(direction, "")
        told.append(f"{in_words(name)}{more}")
    return f"Most of what the model knows comes from {_listed(told)}."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def revenue(e: Evidence) -> str:
    """Return what is known about revenue."""
    t = e.revenue_scores
    all_ = t[t["part"] == "all"].set_index("metric")
    bias = all_.loc["bias"]
    top = e.revenue_deciles.iloc[-1] if len(e.revenue_deciles) else None
    text = ""
    if top is not None and top["share"] == top["share"]:
        text = (
            f"The top {number(TOP, 'share')} by expected revenue bring "
            f"{number(top['share'], 'share')} of the money, "
            f"{number(top['observed'], 'money', e.run.currency)} per session where "
            f"{number(top['predicted'], 'money', e.run.currency)} was expected. "
        )
    sure = bias["low"] == bias["low"] and bias["low"] <= 0 <= bias["high"]
    shown = span(bias["value"], bias["low"], bias["high"], "money", e.run.currency)
    words = "promises neither too much nor too little" if sure else "is off on average"
    return text + f"Overall the forecast {words}: bias {shown} per session."


def segments(e: Evidence) -> str:
    """Return the segments in a sentence: the one that brings most."""
    t = e.segments.dropna(subset=["conversion"])
    if t.empty:
        return f"{len(e.segments)} segments were found."
    best = t.iloc[int(t["conversion"].astype(float).argmax())]
    return (
        f"“{best['name']}” are {number(best['share'], 'share')} of the sessions and convert at "
        f"{number(best['conversion'], 'share')}, the highest of {len(e.segments)} segments."
    )


def next_steps(e: Evidence) -> list[str]:
    """Return what to do next, most urgent first."""
    steps = [f"{f.code}: {f.advice}" for f in e.run.findings if f in e.run.blocking and f.advice]
    if e.run.proxy:
        steps.append(
            "Join the orders (`--orders FILE`) and train on purchases; a proxy only says how well "
            "its own rule is foreseen."
        )
    if not e.run.blocking and e.beats is False:
        steps.append("Use the baseline; a longer log or richer events may give a model a chance.")
    if not e.run.blocking and not e.run.proxy and e.beats:
        steps += _use(e)
    seen = {s.split(": ", 1)[-1] for s in steps}
    for f in e.run.findings:
        if f.severity == "warn" and f.waived is None and f.advice and f.advice not in seen:
            seen.add(f.advice)
            steps.append(f"{f.code}: {f.advice}")
    return steps[:8] or ["Score new sessions with `cartcast predict`, and watch them for drift."]


def _use(e: Evidence) -> list[str]:
    if e.run.kind == "regressor":
        return ["Rank sessions by expected revenue, and test the action on a part of them first."]
    reached, low, high = e.reached(TOP)
    steps = [
        f"Start with the best-scored {number(TOP, 'share')}: "
        f"{span(reached, low, high, 'share')} of the {outcome(e)[1]} are found there. "
        "Leave out a random part of them (`cartcast experiment design`): a score says who "
        "buys, not whom an offer changes."
    ]
    at = e.run.data.get("thresholds", {}).get("profit")
    if at and at.get("threshold") is not None:
        steps.append(
            "At the stated costs, and if every contacted buyer buys because of the contact, it "
            f"pays from a probability of {number(at['threshold'], 'share')} on: for at most "
            f"{number(at.get('contacted'), 'share')} of the {decisions(e)}."
        )
    if e.outside > MOST_OUTSIDE:
        steps.append("Calibrate on newer data before using the probabilities as such.")
    return steps
