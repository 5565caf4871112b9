"""Activating: one score or a list of them becomes exposures, messages and audiences."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartcast.activation import codes
from cartcast.activation.audience import require_name, write_audience
from cartcast.activation.judge import Verdict, judge, message, unit_of
from cartcast.activation.outbox import Outbox
from cartcast.activation.plan import Activation
from cartcast.activation.scores import open_scores
from cartcast.errors import UsageError
from cartcast.experiments.exposures import kept_arms, kept_units
from cartcast.findings import Finding, finding

__all__ = ["Activated", "activate", "activate_one", "decide_in"]


@dataclass(frozen=True)
class Activated:
    """What became of a list of scores.

    Attributes:
        activation: its name.
        rows: scores in the file.
        units: with an id, each by its newest score.
        reasons: units by what was done about them; those to contact under `contact`.
        arms: units by arm, the holdout among them.
        messages: messages that are new; those of a list that was taken in before are not.
        files: audience by arm.
        findings: what a reader must know.
    """

    activation: str
    rows: int
    units: int
    reasons: dict[str, int]
    arms: dict[str, int]
    messages: int
    files: dict[str, Path] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def activate(
    activation: Activation,
    scores: Any,
    outbox: Outbox,
    *,
    tables: Sequence[Any] = (),
    opt_outs: Collection[str] | None = None,
    at: dt.datetime | None = None,
    out: Path | None = None,
    dry_run: bool = False,
) -> Activated:
    """Judge a list of scores; keep exposures and messages, whole or not at all.

    The same list may be taken in again: nobody is exposed or contacted twice by it.

    Args:
        activation: rule, conditions and experiment.
        scores: what `cartcast predict` wrote (CSV or Parquet), an Arrow table, or a data frame.
        outbox: where they are kept; `deliver` sends from there.
        tables: more columns of the same units or sessions: consent, addresses, uplift, carts.
        opt_outs: ids that are not contacted; None where there is no such list.
        at: the moment of decision (UTC); default now.
        out: file of the audience.
        dry_run: only count.

    Raises:
        DefinitionError, DataError, UsageError, NotFoundError: see `open_scores` and `judge`.
        StorageError: the outbox or the audience cannot be written.
    """
    require_name(activation, out)
    if activation.page is not None:
        raise UsageError(f"{activation.key} is for pages, which the live service answers.")
    at = at or dt.datetime.now(dt.UTC)
    reasons: Counter[str] = Counter()
    arms = dict.fromkeys(activation.experiment.allocation.arms, 0)
    chosen: list[tuple[Verdict, Mapping[str, Any]]] = []
    new, files = 0, {}
    held = outbox.looking() if dry_run else outbox.transaction()
    with open_scores(activation, scores, tables) as opened, held as con:
        known = outbox.contacts(con, at, activation.memory)
        kept = kept_units(con, activation.experiment.allocation.key)
        for row in opened.fitting():
            unit = unit_of(activation, row)
            verdict = judge(activation, row, at=at, contacts=known.get(unit, ()),
                            opted_out=unit in (opt_outs or ()), kept=kept.get(unit))  # fmt: skip
            reasons[verdict.reason] += 1
            if verdict.arm is None:
                continue
            arms[verdict.arm] += 1
            if verdict.reason == "contact" and activation.audience is not None:
                chosen.append((verdict, row))
            if not dry_run:
                new += _keep(activation, outbox, con, verdict, row, at)
        reasons["rule"] += opened.units - sum(reasons.values())
        if not dry_run:
            outbox.count(con, activation.key, at, reasons)
        if activation.audience is not None and out is not None and not dry_run:
            # Before the commit: a list that was killed in between is taken in again, and the same.
            files = write_audience(activation, chosen, out, at)
    found = _findings(activation, opt_outs, reasons, opened.dated)
    counted = {reason: n for reason, n in reasons.items() if n}
    return Activated(activation.key, opened.rows, opened.units, counted, arms, new, files, found)


def activate_one(
    activation: Activation,
    score: Mapping[str, Any],
    outbox: Outbox,
    *,
    opted_out: bool = False,
    at: dt.datetime | None = None,
) -> Verdict:
    """Judge one live score; keep its exposure and message, which `deliver` sends.

    Raises:
        DefinitionError, DataError: see `judge`.
        StorageError: the outbox cannot be written.
    """
    with outbox.transaction() as con:
        return decide_in(con, activation, score, outbox, opted_out=opted_out, at=at)


def decide_in(
    con: Any,
    activation: Activation,
    score: Mapping[str, Any],
    outbox: Outbox,
    *,
    opted_out: bool = False,
    at: dt.datetime | None = None,
    occasion: str | None = None,
    keep: bool = True,
) -> Verdict:
    """Judge one live score inside a transaction of the outbox; keep it unless told otherwise.

    Raises:
        DefinitionError, DataError: see `judge`.
    """
    at, unit = at or dt.datetime.now(dt.UTC), unit_of(activation, score)
    verdict = judge(
        activation, score, at=at, opted_out=opted_out, occasion=occasion,
        contacts=outbox.contacts(con, at, activation.memory, unit).get(unit, ()),
        kept=kept_arms(con, unit).get(activation.experiment.allocation.key),
    )  # fmt: skip
    if keep:
        _keep(activation, outbox, con, verdict, score, at)
    return verdict


def _keep(
    activation: Activation, outbox: Outbox, con: Any, verdict: Verdict, row: Mapping[str, Any],
    at: dt.datetime,
) -> bool:  # fmt: skip
    sent = activation.webhook is not None and verdict.reason == "contact"
    body = message(activation, verdict, row, at) if sent else None
    return outbox.keep(con, activation, verdict, at, body)


def _findings(
    activation: Activation,
    opt_outs: Collection[str] | None,
    reasons: Mapping[str, int],
    dated: bool,
) -> tuple[Finding, ...]:
    found = []
    if activation.no_consent:
        found.append(finding(codes.NO_CONSENT, f"no consent is needed: {activation.no_consent}"))
    if opt_outs is None:
        found.append(finding(codes.NO_OPT_OUTS, "nobody can have opted out: no list was given."))
    if not dated:
        found.append(finding(codes.NO_AGE, "the scores have no as_of: how old they are is open."))
    if not reasons.get("contact"):
        told = ", ".join(f"{r} {n:,}" for r, n in reasons.items() if n) or "no scores"
        found.append(finding(codes.NOBODY, f"nobody is contacted: {told}."))
    return tuple(found)
