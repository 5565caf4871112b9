"""The judgement of one score: whether its visitor is contacted, held out, or left alone, and why.

Lists are judged by the same function, row by row, so that live and batch cannot differ. Everything
that can exclude a visitor is asked before the arm, so that the holdout is like the contacted.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cartcast.activation.address import email_of, phone_of
from cartcast.activation.plan import Activation
from cartcast.errors import DataError
from cartcast.plaindata import plain
from cartcast.rules import truth

__all__ = ["Contact", "Verdict", "identity", "judge", "message", "unit_of"]

Reason = Literal[
    "contact", "holdout", "no id", "rule", "old score", "no consent", "opted out", "no address",
    "contacted lately", "global holdout", "other experiment", "not covered",
]  # fmt: skip
_OUTSIDE: dict[str, Reason] = {
    "holdout": "global holdout", "layer": "other experiment", "coverage": "not covered",
    "no unit": "no id",
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
) -> Verdict:
    """Return what is done about one score.

    Args:
        activation: its rule and conditions.
        score: the columns that the activation needs; a live answer's `p_buy` is `probability`.
        at: the moment of decision.
        contacts: those that the unit had, of all activations.
        opted_out: whether the unit asked not to be contacted.

    Raises:
        DefinitionError: the rule or consent does not fit the score.
        DataError: the score is of a later moment, its time or id cannot be read, or the experiment
            does not run at that moment, so that nothing would be measured.
    """
    row = {"probability": score["p_buy"], **score} if "p_buy" in score else score
    unit, at = unit_of(activation, row), _utc(at)
    _require_running(activation, at)
    told = identity(activation, unit, row)

    def left(reason: Reason) -> Verdict:
        return Verdict(unit, None, reason, told)

    if not truth(activation.when, row):
        return left("rule")
    known = _moment(row.get("as_of"))
    if known is not None and known > at:
        raise DataError(f"the score is as of {known:%Y-%m-%d %H:%M}, after the decision at "
                        f"{at:%Y-%m-%d %H:%M} (UTC).")  # fmt: skip
    if known is not None and (at - known).total_seconds() > activation.fresh:
        return left("old score")
    if activation.consent is not None and not truth(activation.consent, row):
        return left("no consent")
    if opted_out:
        return left("opted out")
    if activation.audience is not None and not _reachable(activation, row):
        return left("no address")
    if _capped(activation, contacts, told, at):
        return left("contacted lately")
    given = activation.experiment.allocation.assign(unit)
    if given.arm is None:
        return left(_OUTSIDE[given.reason])
    held = given.arm == activation.holdout
    return Verdict(unit, given.arm, "holdout" if held else "contact", told)


def identity(activation: Activation, unit: str, row: Mapping[str, Any]) -> str:
    """Return the message's id: of the activation, the unit, and the score's moment or values."""
    values = {c: str(row.get(c)) for c in activation.needs()}
    known = _moment(row.get("as_of"))
    text = json.dumps([activation.key, unit, known.isoformat() if known else values])
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
    early = plan.start if plan.start and at < _utc(plan.start) else None
    late = plan.end if plan.end and at >= _utc(plan.end) else None
    if edge := early or late:
        raise DataError(
            f"{plan.allocation.key} {'starts' if early else 'ended'} at {edge:%Y-%m-%d %H:%M}; "
            f"what is decided at {at:%Y-%m-%d %H:%M} (UTC) would not be measured."
        )


def _capped(activation: Activation, contacts: Iterable[Contact], own: str, at: dt.datetime) -> bool:
    # The message of this very score, made before, does not stand in its own way.
    made = [c for c in contacts if c.identity != own]
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
