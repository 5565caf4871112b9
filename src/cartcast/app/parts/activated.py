"""Activations in words and figures: whom a rule contacts, and what became of those asked about."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

from cartcast import events
from cartcast.activation import Activation, Outbox
from cartcast.activation.counts import Counts
from cartcast.app.state import Project
from cartcast.charts.theme import number
from cartcast.config import STATE_FOLDER
from cartcast.experiments import Plan
from cartcast.features.words import in_words
from cartcast.rules import names_in, parts
from cartcast.score.without import Without

__all__ = [
    "DAYS",
    "exposed_by_rule",
    "figures",
    "headline",
    "in_sentences",
    "left_out",
    "opted_out",
    "outbox_of",
    "since",
]

DAYS: Final = 30
"""Days that figures look back."""
_PLACE: Final = Path(STATE_FOLDER, "activation", "outbox.db")
_WHO: Final = {"visitor_id": "visitors", "user_id": "users", "session_id": "sessions"}
_LEFT: Final = {
    "rule": "the rule does not hold", "old score": "the score is too old",
    "no consent": "no consent", "opted out": "opted out", "no address": "no address",
    "contacted lately": "contacted as often as is allowed", "global holdout": "global holdout",
    "other experiment": "in another experiment", "not covered": "not covered", "no id": "no id",
    "blocked": "blocked", "not started": "not started", "ended": "ended",
    "does not fit": "the columns do not fit",
}  # fmt: skip
_SPANS: Final = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def outbox_of(project: Project) -> Outbox:
    """Return the outbox of a project; nothing is made or written by a look."""
    return Outbox(project.folder / _PLACE)


def exposed_by_rule(project: Project, plan: Plan) -> str | None:
    """Return the outbox's place where an activation has exposed units of an experiment."""
    with outbox_of(project).looking() as con:
        one = con.execute(
            "SELECT 1 FROM exposures WHERE experiment = ? LIMIT 1", (plan.allocation.key,)
        ).fetchone()
    return str(_PLACE) if one else None


def opted_out(one: Activation, project: Project) -> frozenset[str] | None:
    """Return the ids that are not contacted, as the project has ids; None without a list.

    Raises:
        NotFoundError, DataError: the list is not there, or no text.
    """
    if one.opt_outs is None:
        return None
    return Without.of(one.opt_outs, events.privacy_from(project.settings.privacy)).ids


def headline(contacted: int, held: int, dead: int) -> str:
    """Return what the page says, as a sentence."""
    if dead:
        letters = "1 message was" if dead == 1 else f"{number(dead)} messages were"
        return f"{letters} refused by the receiver: mend it and send again."
    if not contacted + held:
        return f"Nobody was contacted in the last {DAYS} days."
    return (
        f"{number(contacted)} contacts in the last {DAYS} days, and {number(held)} were held out "
        "to measure what they bring."
    )


def in_sentences(one: Activation) -> list[str]:
    """Return what an activation does, in sentences.

    Conditions are as declared, with the columns in words.
    """
    who = _WHO.get(one.unit, in_words(one.unit))
    told = [f"Contacts {who} of whom this holds: {_spoken(one.when)}."]
    if one.consent is None:
        told.append(f"Nobody is asked for consent: {one.no_consent.rstrip('.')}.")
    else:
        told.append(f"Only who agreed: {_spoken(one.consent)}.")
    caps = [
        f"{'once' if cap.times == 1 else f'{cap.times} times'} in {_span(cap.within)}"
        f"{' over all activations' if cap.across else ''}"
        for cap in one.caps
    ]
    told.append(f"At most {', and '.join(caps)}.")
    share = one.experiment.allocation.shares()[one.holdout]
    rest = "see it in the page, while they are there"
    if one.webhook is not None:
        rest = f"are sent to {one.webhook.host}"
    elif one.audience is not None:
        rest = f"are written to an audience for {one.audience.form}"
    told.append(f"{number(share, 'share')} of them are held out; the others {rest}.")
    return told


def _spoken(rule: str) -> str:
    """Return the parts of a rule with its columns in words."""
    found = []
    for part in parts(rule):
        spoken = part
        for name in sorted(names_in(part), key=len, reverse=True):
            spoken = spoken.replace(name, in_words(name))
        found.append(spoken.replace(" == ", " is ").replace(" != ", " is not "))
    return ", and ".join(found)


def _span(seconds: float) -> str:
    """Return a duration in its largest whole unit."""
    size, unit = next(((s, u) for s, u in _SPANS if seconds % s == 0 and seconds >= s), _SPANS[-1])
    n = seconds / size
    return f"{n:g} {unit}{'' if n == 1 else 's'}"


def figures(one: Activation, told: Counts) -> list[tuple[str, str, str | None]]:
    """Return the figures of an activation: label, value, and what is in small print."""
    found: list[tuple[str, str, str | None]] = [
        ("Contacted", number(told.contacted), f"in {DAYS} days"),
        ("Held out", number(told.held), f"in {DAYS} days"),
        ("Capped", number(told.left.get("contacted lately", 0)), "times asked"),
        ("No consent", number(told.left.get("no consent", 0)), "times asked"),
    ]
    if one.webhook is not None:
        waits, minutes = told.waiting.due, round(told.waiting.age / 60)
        age = f"for {minutes} min" if minutes < 120 else f"for {minutes // 60} h"
        found.append(("To deliver", number(waits), age if waits else "nothing"))
        found.append(("Dead letters", number(told.waiting.dead), "not delivered"))
    return found


def left_out(reasons: dict[str, int]) -> list[dict[str, str | int]]:
    """Return why decisions left somebody alone, as rows, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda pair: -pair[1])
    return [{"why": _LEFT.get(reason, reason), "times": n} for reason, n in ordered if n]


def since() -> dt.datetime:
    """Return the moment that figures look back to."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=DAYS)
