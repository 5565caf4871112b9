"""Labels over time and visitors: what a table of rows cannot teach, whatever the model."""

from __future__ import annotations

import pandas as pd

from cartcast.findings import Finding, declare, finding
from cartcast.rows import Rows

__all__ = ["check_labels"]

EXPECTED = 20
"""An outcome is missed where that number was to be expected and none came."""
LARGE_VISITOR = 0.2
"""Share of the rows from which one visitor is worth a word."""

NO_NEW = declare(
    "MD132",
    "warn",
    "the newest rows have no outcome yet",
    "Outcomes often arrive late; rows whose outcome is not there yet count as without one, so the "
    "test figures and the level of the probabilities are too low.",
    "Give a log that ends where its outcomes do, or --orders with the newer outcomes.",
)
ONLY_LATE = declare(
    "MD133",
    "warn",
    "the outcome is recorded for the end of the log only",
    "Rows from before the recording count as without an outcome and teach the wrong thing.",
    "Give the log from the day on from which the outcome is recorded.",
)
ONE_VISITOR = declare(
    "MD134",
    "warn",
    "one visitor has a large share of the rows",
    "Often a robot or the shop's own people: figures hang on one visitor, and intervals that "
    "count visitors are wide.",
    "Leave this visitor out, and look where its clicks come from.",
)
CENSORED = declare(
    "MD135",
    "note",
    "the newest rows are too young for their label",
    "Their horizon reaches beyond the end of the log, so they are left out: the model knows "
    "nothing of the newest days.",
    "Take a shorter horizon where the newest days matter.",
)
SHARE_CENSORED = 0.1


def check_labels(rows: Rows) -> tuple[Finding, ...]:
    """Return findings on outcomes that came late or stopped, and on one overwhelming visitor."""
    table = rows.table
    found: list[Finding] = []
    share = table["visitor_id"].value_counts(normalize=True)
    if len(share) and (top := float(share.iloc[0] * table["visitor_id"].notna().mean())) > (
        LARGE_VISITOR
    ):
        text = f"visitor {share.index[0]!r} has {top:.0%} of the rows."
        found.append(finding(ONE_VISITOR, text, share=top))
    if censored := rows.dropped.get("censored", 0):
        part = censored / (len(table) + censored)
        if part > SHARE_CENSORED:
            text = f"{part:.0%} of the rows are left out: their horizon ends after the log."
            found.append(finding(CENSORED, text, count=censored, share=part))
    if table["anchor_time"].notna().all():
        found += _gaps(table)
    return tuple(found)


def _gaps(table: pd.DataFrame) -> list[Finding]:
    """Return findings where the log begins or ends with a stretch that misses outcomes."""
    start = table["session_start"]
    positive = table["label"] > 0
    sessions = table.assign(positive=positive).groupby("session_id")
    by = sessions.agg(start=("session_start", "first"), yes=("positive", "max"))
    if not by["yes"].any():
        return []
    first, last = by.loc[by["yes"], "start"].min(), by.loc[by["yes"], "start"].max()
    inside = by[(by["start"] >= first) & (by["start"] <= last)]
    rate = float(inside["yes"].mean())
    found = []
    for code, number, rows, words in (
        (NO_NEW, (by["start"] > last).sum(), (start > last).sum(), f"after {last:%Y-%m-%d}"),
        (ONLY_LATE, (by["start"] < first).sum(), (start < first).sum(), f"before {first:%Y-%m-%d}"),
    ):
        expected = rate * int(number)
        if expected >= EXPECTED:
            text = (
                f"{number:,} sessions {words} have no outcome, where about "
                f"{expected:.0f} were to be expected."
            )
            found.append(finding(code, text, count=int(rows), expected=round(expected, 1)))
    return found
