"""The judgement of one score: whether its visitor is contacted, held out, or left alone, and why.

Lists are judged by the same function, row by row, so that live and batch cannot differ, and so are
the conditions that a live answer names. Everything
that can exclude a visitor is asked before the arm, so that the holdout is like the contacted.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from cartcast.activation.address import email_of, phone_of
from cartcast.activation.plan import Activation
from cartcast.errors import DataError
from cartcast.experiments.allocation import Kept
from cartcast.plaindata import plain
from cartcast.rules import parts, truth

__all__ = [
    "Condition",
    "Contact",
    "Reason",
    "Verdict",
    "capped",
    "conditions",
    "identity",
    "judge",
    "message",
    "unit_of",
]

Reason = Literal[
    "contact", "holdout", "no id", "rule", "old score", "no consent", "opted out", "no address",
    "contacted lately", "global holdout", "other experiment", "not covered", "blocked",
]  # fmt: skip
_OUTSIDE: dict[str, Reason] = {
    "holdout": "global holdout", "layer": "other experiment", "coverage": "not covered",
    "no unit": "no id", "blocked": "blocked",
}  # fmt: skip


@dataclass(frozen=True)
class Contact:
    """A contact that was made, or is about to be.

    Attributes:
        identity: id of its message.
        activation: which made it.
        at: when (UTC).
    """

    identity: str
    activation: str
    at: dt.datetime


class Condition(NamedTuple):
    """One condition of an activation, and whether it holds.

    Attributes:
        name: the part of the rule or consent as written, or what else is asked.
        holds: None where it cannot be known; who is not known to fulfil it is left alone.
        otherwise: why somebody is left alone where it does not hold.
    """

    name: str
    holds: bool | None
    otherwise: Reason


@dataclass(frozen=True)
class Verdict:
    """What is done about one score.

    Attributes:
        unit: the id that was hashed.
        arm: the arm; None for who is not part of the experiment.
        reason: `contact`, `holdout` (the arm that is not contacted), or why neither.
        identity: id of the message that this score makes, the same however often it is judged.
    """

    unit: str
    arm: str | None
    reason: Reason
    identity: str


def judge(
    activation: Activation,
    score: Mapping[str, Any],
    *,
    at: dt.datetime,
    contacts: Iterable[Contact] = (),
    opted_out: bool = False,
    kept: Kept | None = None,
    occasion: str | None = None,
) -> Verdict:
    """Return what is done about one score.

    Args:
        activation: its rule and conditions.
        score: the columns that the activation needs; a live answer's `p_buy` is `probability`.
        at: the moment of decision.
        contacts: those that the unit had, of all activations.
        opted_out: whether the unit asked not to be contacted.
        kept: the arm that the unit was exposed to before; it stays when weights change.
        occasion: what is one contact however often it is judged; default the score.

    Raises:
        DefinitionError: the rule or consent does not fit the score.
        DataError: the score is of a later moment, its time or id cannot be read, or the experiment
            does not run at that moment, so that nothing would be measured.
    """
    row = {"probability": score["p_buy"], **score} if "p_buy" in score else score
    unit, at = unit_of(activation, row), _utc(at)
    _require_running(activation, at)
    told = identity(activation, unit, row, occasion)
    for condition in conditions(activation, row, at, opted_out):
        if not condition.holds:
            return Verdict(unit, None, condition.otherwise, told)
    if capped(activation, contacts, told, at):
        return Verdict(unit, None, "contacted lately", told)
    given = activation.experiment.allocation.assign(unit, kept)
    if given.arm is None:
        return Verdict(unit, None, _OUTSIDE[given.reason], told)
    held = given.arm == activation.holdout
    return Verdict(unit, given.arm, "holdout" if held else "contact", told)


def conditions(
    activation: Activation, row: Mapping[str, Any], at: dt.datetime, opted_out: bool = False
) -> Iterator[Condition]:
    """Yield what is asked before the caps and the arm, in this order.

    Raises:
        DefinitionError, DataError: as `judge`.
    """
    for part in parts(activation.when):
        yield Condition(part, truth(part, row), "rule")
    at, known = _utc(at), _moment(row.get("as_of"))
    if known is not None:
        if known > at:
            raise DataError(f"the score is as of {known:%Y-%m-%d %H:%M}, after the decision at "
                            f"{at:%Y-%m-%d %H:%M} (UTC).")  # fmt: skip
        fresh = (at - known).total_seconds() <= activation.fresh
        yield Condition("fresh", fresh, "old score")
    for part in parts(activation.consent) if activation.consent is not None else ():
        yield Condition(part, truth(part, row), "no consent")
    yield Condition("not opted out", not opted_out, "opted out")
    if activation.audience is not None:
        yield Condition("an address", _reachable(activation, row), "no address")


def identity(
    activation: Activation, unit: str, row: Mapping[str, Any], occasion: str | None = None
) -> str:
    """Return the message's id: of the activation, the unit, and the occasion.

    Without an occasion it is the score's moment or, where that is not known, its values.
    """
    what: Any = None if occasion is None else ["occasion", occasion]
    if what is None:
        known = _moment(row.get("as_of"))
        what = known.isoformat() if known else {c: str(row.get(c)) for c in activation.needs()}
    text = json.dumps([activation.key, unit, what])
    return "msg_" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def message(
    activation: Activation, verdict: Verdict, score: Mapping[str, Any], at: dt.datetime
) -> dict[str, Any]:
    """Return what a contact tells: the arm, and the columns to send."""
    return {
        "type": "cartcast.activation",
        "timestamp": _utc(at).isoformat() + "Z",
        "data": {
            "activation": activation.key,
            "experiment": activation.experiment.allocation.key,
            "arm": verdict.arm,
            "unit": verdict.unit,
            "unit_column": activation.unit,
            "values": {c: plain(score.get(c)) for c in activation.send},
        },
    }


def unit_of(activation: Activation, row: Mapping[str, Any]) -> str:
    """Return the id that is hashed; empty where there is none."""
    value = row.get(activation.unit)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{activation.unit}: ids are texts or whole numbers, got {value!r}.")
    try:
        return str(value).encode().decode()
    except UnicodeEncodeError as error:
        raise DataError(f"{activation.unit}: {value!r} is no text in UTF-8.") from error


def _require_running(activation: Activation, at: dt.datetime) -> None:
    plan = activation.experiment
    closed = plan.closed(at.replace(tzinfo=dt.UTC))
    if closed is not None:
        edge = plan.start if closed == "not started" else plan.end
        raise DataError(
            f"{plan.allocation.key} {'ended' if closed == 'ended' else 'starts'} at "
            f"{edge:%Y-%m-%d %H:%M}; what is decided at {at:%Y-%m-%d %H:%M} (UTC) would not be "
            "measured."
        )


def capped(activation: Activation, contacts: Iterable[Contact], own: str, at: dt.datetime) -> bool:
    """Return whether a unit was contacted as often as is allowed, and not by its `own` message."""
    made, at = list(contacts), _utc(at)
    if any(c.identity == own for c in made):
        return False  # it was allowed when it was made; judged again, the same is said
    for cap in activation.caps:
        counted = [c for c in made if cap.across or c.activation == activation.key]
        if sum((at - _utc(c.at)).total_seconds() < cap.within for c in counted) >= cap.times:
            return True
    return False


def _reachable(activation: Activation, row: Mapping[str, Any]) -> bool:
    told = activation.audience
    assert told is not None
    email = email_of(row.get(told.email)) if told.email else None
    phone = phone_of(row.get(told.phone)) if told.phone else None
    return email is not None or phone is not None


def _utc(moment: dt.datetime) -> dt.datetime:
    """Return a moment without its zone, which is UTC."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _moment(value: Any) -> dt.datetime | None:
    if value is None or value != value:
        return None
    try:
        return _utc(dt.datetime.fromisoformat(value) if isinstance(value, str) else value)
    except (ValueError, AttributeError) as error:
        raise DataError(f"as_of must be a moment, got {value!r}.") from error
