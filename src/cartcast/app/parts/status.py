"""A live service's status as sentences and tables; the times in it are the service's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from cartcast.charts.theme import number
from cartcast.features.words import in_words

__all__ = [
    "about", "ago", "errors", "headline", "rate", "rates", "reasons", "scores", "slowest", "taken",
    "trackers",
]  # fmt: skip

Told = Mapping[str, Any]
_MINUTE = 12
"""Samples of a minute."""
_SLOWEST = 6
"""Rows of slow answers that are shown."""
_STEPS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def ago(when: str | None, now: str) -> str:
    """Return how long ago a moment was, in the largest unit that fits.

    >>> ago("2026-05-04T10:00:00+00:00", "2026-05-04T12:30:00+00:00")
    '2 hours ago'
    >>> ago("2026-05-04T10:00:00+00:00", "2026-05-04T10:00:00.4+00:00"), ago(None, "")
    ('just now', 'unknown')
    """
    if when is None:
        return "unknown"
    seconds = (datetime.fromisoformat(now) - datetime.fromisoformat(when)).total_seconds()
    for size, unit in _STEPS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def rate(told: Told) -> float:
    """Return events taken a second over the last minute."""
    last = [one["accepted"] for one in told["per_second"][-_MINUTE:]]
    return sum(last) / len(last) if last else 0.0


def taken(told: Told) -> int:
    """Return the events taken since the service started."""
    return int(told["events"].get("accepted", 0) + told["events"].get("late_accepted", 0))


def headline(told: Told) -> str:
    """Return what the service does now, as a sentence."""
    open_now = told["sessions"].get("open")
    text = f"{number(rate(told))} events a second"
    if open_now is not None:
        text += f"; {number(open_now)} session{'' if open_now == 1 else 's'} open now"
    recent = told["per_second"][-_MINUTE:]
    bad = sum(one["refused"] + one["set_aside"] for one in recent)
    good = sum(one["accepted"] for one in recent)
    if bad > 0:
        return f"{text}; {number(bad / (bad + good), 'share')} of what came is refused."
    return f"{text}; nothing is refused."


def about(told: Told) -> str:
    """Return which model answers, how old it is, and since when the service runs."""
    model, now = told["model"], told["time"]
    kind = f" ({in_words(model['model'])})" if model.get("model") else ""
    age = f", trained {ago(model['created'], now)}" if model.get("created") else ""
    text = (
        f"Model {model['version']}{kind}{age}, taken up {ago(model['taken_up'], now)}. "
        f"The service started {ago(told['started'], now)} (process {told['process']})."
    )
    if model.get("refused"):
        text += f" Model {model['refused']} was refused: another feature set."
    return text


def rates(told: Told) -> pd.DataFrame:
    """Return a line for each of what is taken, set aside and refused, a second."""
    names = {"accepted": "taken", "set_aside": "set aside", "refused": "refused"}
    rows = [
        {"time": pd.Timestamp(one["time"]), "series": words, "value": float(one[name])}
        for name, words in names.items()
        for one in told["per_second"]
    ]
    return pd.DataFrame(rows, columns=["time", "series", "value"])


def scores(told: Told) -> pd.DataFrame:
    """Return the histogram of the probabilities that were answered."""
    counts = told["scores"]["counts"]
    edges = [place / len(counts) for place in range(len(counts) + 1)]
    return pd.DataFrame({"left": edges[:-1], "right": edges[1:], "count": counts})


def trackers(told: Told) -> pd.DataFrame:
    """Return which tracker sent how much, and when last."""
    return pd.DataFrame(
        [
            {"tracker": one["tool"], "events": one["events"], "set aside": one["set_aside"],
             "last": ago(one["last"], told["time"])}
            for one in told["trackers"]
        ]
    )  # fmt: skip


def reasons(told: Told) -> pd.DataFrame:
    """Return why events were set aside and requests refused, the most frequent first."""
    rows = [("event", rule, count) for rule, count in told["set_aside"].items()]
    rows += [
        ("request", f"{one['status']}: {one['rule']}", one["count"]) for one in told["reasons"]
    ]
    rows += [
        ("event", words, told["events"][name])
        for name, words in (("too_late", "later than the late window"),
                            ("too_many", "the session is full"))
        if told["events"].get(name)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["what", "reason", "count"])
    return table.sort_values("count", ascending=False, ignore_index=True)


def slowest(told: Told) -> pd.DataFrame:
    """Return the slowest answers."""
    return pd.DataFrame(
        [
            {"path": one["path"], "milliseconds": round(1000 * one["seconds"], 1),
             "status": str(one["status"]), "when": ago(one["time"], told["time"])}
            for one in told["slowest"][:_SLOWEST]
        ]
    )  # fmt: skip


def errors(told: Told) -> pd.DataFrame:
    """Return the last refusals, the newest first."""
    return pd.DataFrame(
        [
            {"when": ago(one["time"], told["time"]), "path": one["path"],
             "status": str(one["status"]), "field": one["field"], "rule": one["rule"],
             "request": one["request_id"]}
            for one in told["errors"]
        ]
    )  # fmt: skip
