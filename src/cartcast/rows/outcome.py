"""The target of a ready table: two outcomes of any spelling, or amounts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from cartcast import findings as f
from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.findings import Finding, finding
from cartcast.rows.columns import HOLLOW, words_of
from cartcast.rows.table import Table

__all__ = ["Outcome", "read_outcome"]

POSITIVE = f.declare(
    "MD104",
    "note",
    "which value of the target counts as the outcome",
    "Probabilities are those of the value that counts as 1: taken the wrong way round, every score "
    "means its opposite.",
    "If it is the other one, name it with --positive.",
)

_YES = frozenset(
    {
        "true", "t", "yes", "y", "on", "+", "positive", "pos", "up", "success",
        "successful", "win", "won", "good", "pass", "passed", "buy", "bought", "buyer",
        "purchase", "purchased", "converted", "conversion", "click", "clicked", "churn",
        "churned", "default", "fraud", "spam", "sick", "disease", "died", "dead",
        "malignant", "active",
    }
)  # fmt: skip
_NO = frozenset(
    {
        "false", "f", "no", "n", "off", "-", "--", "negative", "neg", "down", "failure",
        "fail", "failed", "loss", "lost", "lose", "bad", "none", "nil", "never", "missing",
        "unknown", "nobuy", "stay", "stayed", "legit", "legitimate", "ham", "healthy",
        "alive", "survived", "benign", "inactive",
    }
)  # fmt: skip
_VALUES = frozenset({"-", "--", "none", "nil", "missing", "unknown", "undefined", "not applicable"})
"""Words for no value among numbers that may be one of a target's two values."""

_PREFIXES = ("non-", "non_", "non ", "not-", "not_", "not ", "no-", "no_", "no ", "un", "<")


class Outcome(NamedTuple):
    """The target of a ready table.

    Attributes:
        label: 0 and 1, or amounts; float64.
        positive: the value that counts as 1, as it is written; None of amounts.
        findings: which value was taken, and why, where it is not plain.
        others: the values that count as 0.
    """

    label: pd.Series
    positive: str | None
    findings: tuple[Finding, ...]
    others: tuple[str, ...] = ()


def read_outcome(table: Table, name: str, positive: object = None, amount: bool = False) -> Outcome:
    """Return the label of each row: 1 where the target has its positive value, or its amount.

    `amount` says that it is an amount, however few values it has.

    A target with two values is two outcomes, whatever they are called; `positive` names the one
    that counts. With `positive`, a target with more values is that one against all others.

    Raises:
        DataError: a value is missing, or there are several words and none was named.
        UsageError: no row has the positive value.
    """
    words = words_of(table.arrow[name])
    hollow = words.notna() & words.str.lower().isin(HOLLOW)
    found = sorted(set(words[words.notna() & ~hollow]))
    if len(found) < 2 and set(words[hollow].str.lower()) <= _VALUES:
        hollow = hollow & False  # `+` and `-`, `churn` and `none` are two values
        found = sorted(set(words.dropna()))
    words = words.where(~hollow, None)
    _require_whole(table.where, name, words, hollow)
    if amount or (positive is None and len(found) != 2):
        return Outcome(_amounts(table, name, words, found), None, ())
    values = {w: _number(w) for w in found}
    if set(values.values()) == {0.0, 1.0} and positive is None:
        chosen = next(w for w, v in values.items() if v == 1.0)
        others = tuple(w for w in found if w != chosen)
        return Outcome(words.map(values).astype("float64"), chosen, (), others)
    if positive is not None:
        chosen, why = _named(table.where, name, str(positive), found), "it was named"
    else:
        chosen, why = _taken(found, words)
    label = (words == chosen).astype("float64")
    others = tuple(w for w in found if w != chosen)
    against = repr(others[0]) if len(others) == 1 else f"the {len(others)} other values"
    ones = int(label.sum())
    said = (
        f"{name} = {chosen!r} counts as the outcome ({why}): {ones:,} of {len(label):,} rows, "
        f"against {against}."
    )
    told = finding(POSITIVE, said, positive=chosen, others=list(others[:20]), why=why, rows=ones)
    return Outcome(label, chosen, (told,), others)


def _require_whole(where: str, name: str, words: pd.Series, hollow: pd.Series) -> None:
    if missing := int(words.isna().sum()):
        first = words.index[words.isna()][0]
        shown = f", first in row {first + 1}" if not hollow[first] else ""
        raise DataError(
            f"{where}: the target {name!r} is missing in {missing} of {len(words)} rows{shown}; "
            "drop those rows or give their outcome: a missing outcome is not a 0."
        )


def _number(word: str) -> float | None:
    """Return the value of `0`, `1`, `true` and `false`; None of other words.

    >>> _number("True"), _number("0"), _number("yes")
    (1.0, 0.0, None)
    """
    return {"1": 1.0, "true": 1.0, "0": 0.0, "false": 0.0}.get(word.lower())


def _amounts(table: Table, name: str, words: pd.Series, found: list[str]) -> pd.Series:
    column = table.read(name)
    if column.meaning.kind == "number" and column.values.notna().all():
        return column.values
    shown = ", ".join(repr(w) for w in found[:4]) + (" ..." if len(found) > 4 else "")
    raise DataError(
        f"{table.where}: the target {name!r} must be 0/1, true/false, any two values or finite "
        f"numbers, got {len(found)} different words: {shown}; say with --positive which of them "
        "counts as the outcome."
    )


def _named(where: str, name: str, positive: str, found: list[str]) -> str:
    wanted = positive.strip()
    if wanted.endswith(".0"):
        wanted = wanted[:-2]
    if wanted in found:
        return wanted
    folded = {w.lower(): w for w in found}
    if wanted.lower() in folded:
        return folded[wanted.lower()]
    raise UsageError(
        f"{where}: no row has {name} = {positive!r}, which was to be the outcome."
        f"{did_you_mean(positive, found)}"
    )


def _taken(found: list[str], words: pd.Series) -> tuple[str, str]:
    """Return the value of two that counts as the outcome, and why."""
    numbers = pd.to_numeric(pd.Series(found), errors="coerce").to_numpy(dtype=np.float64)
    if np.isfinite(numbers).all():
        return found[int(numbers.argmax())], "the greater of two numbers"
    small = [w.lower() for w in found]
    for here, there in ((0, 1), (1, 0)):
        yes, no = small[here] in _YES, small[there] in _NO
        if (yes and small[there] not in _YES) or (no and small[here] not in _NO):
            return found[here], f"its word says so, beside {found[there]!r}"
        for prefix in _PREFIXES:
            if small[there].startswith(prefix) and small[there][len(prefix) :] == small[here]:
                return found[here], f"{found[there]!r} is its opposite by name"
    counts = [int((words == w).sum()) for w in found]
    if counts[0] == counts[1]:
        return found[1], "both are as frequent; the last by the alphabet"
    return found[int(np.argmin(counts))], "the rarer of two words, as an outcome mostly is"
