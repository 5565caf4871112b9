"""Run the checks: `audit` gives the findings, `examine` also what was asked and what was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cartcast.findings import Finding, by_severity, declare, finding
from cartcast.leakage.checks import CHECKS, FAMILIES, Family
from cartcast.leakage.given import AuditInput
from cartcast.leakage.prepared import Prepared, prepare

__all__ = ["Asked", "Examination", "audit", "examine"]

LK500 = declare(
    "LK500",
    "note",
    "checked on a sample",
    "Costly checks look at a seeded sample of whole groups, so that an audit of millions of rows "
    "takes seconds; checks of keys, times and counts look at every row.",
    "Nothing; the bounds of the evidence are those of the sample.",
)


@dataclass(frozen=True)
class Asked:
    """One question of the audit and what became of it.

    Attributes:
        name: name of the check.
        family: lineage, time, split, evidence or meaning.
        question: the question.
        skipped: why it could not be asked, or None when it was.
        findings: number of findings that it gave.
    """

    name: str
    family: str
    question: str
    skipped: str | None
    findings: int


@dataclass(frozen=True)
class Examination:
    """The result of an audit.

    Attributes:
        findings: what was found, `block` first.
        asked: every question, those that could not be asked included.
        rows: rows of train and of test.
        features: columns that were taken as features.
        prevalence: mean label of train and of test (None without a test part).
    """

    findings: tuple[Finding, ...]
    asked: tuple[Asked, ...]
    rows: tuple[int, int]
    features: tuple[str, ...]
    prevalence: tuple[float, float | None]


def audit(given: AuditInput, families: Sequence[Family] = FAMILIES) -> list[Finding]:
    """Return the findings of the audit, `block` first; none is waived yet.

    `families` limits the audit to some of lineage, time, split, evidence, meaning.

    Raises:
        UsageError: a named column is not there.
        DataError: there are no rows, or the label has more than two words.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"spent": [0, 9] * 300, "seen": [3, 4, 5] * 200, "buys": [0, 1] * 300})
    >>> [f.code for f in audit(AuditInput(train=rows, target="buys")) if f.severity == "block"]
    ['LK401']
    """
    return list(examine(given, families).findings)


def examine(given: AuditInput, families: Sequence[Family] = FAMILIES) -> Examination:
    """Return the findings of the audit with the list of questions asked.

    Raises:
        UsageError: a named column is not there.
        DataError: there are no rows, or the label has more than two words.
    """
    prep = prepare(given)
    found: list[Finding] = []
    asked: list[Asked] = []
    for check in sorted(CHECKS, key=lambda c: FAMILIES.index(c.family)):
        if check.family not in families:
            continue
        missing = [prep.has[need] for need in check.needs if need in prep.has]
        mine = [] if missing else list(check.examine(prep))
        found += mine
        skipped = missing[0] if missing else None
        asked.append(Asked(check.name, check.family, check.question, skipped, len(mine)))
    found += _sampled(prep)
    y, judged = prep.train.y, prep.test
    rates = (_mean(y[prep.train.known]), _mean(judged.y[judged.known]) if judged else None)
    return Examination(
        tuple(by_severity(found)),
        tuple(asked),
        (len(prep.train), len(judged) if judged else 0),
        prep.features,
        (rates[0] if rates[0] is not None else float("nan"), rates[1]),
    )


def _mean(values: object) -> float | None:
    array = np.asarray(values, dtype=float)
    return float(array.mean()) if array.size else None


def _sampled(prep: Prepared) -> list[Finding]:
    rows, looked = int(prep.train.known.sum()), len(prep.train_at)
    if looked >= rows:
        return []
    text = f"costly checks looked at {looked:,} of {rows:,} training rows (seed {prep.given.seed})."
    return [finding(LK500, text, count=looked, rows=rows, sample=looked, seed=prep.given.seed)]
