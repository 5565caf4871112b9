"""LK304, LK306: classes filled up by copies before the split, or balanced for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import code, folds, stack
from cartcast.leakage.copies import row_keys
from cartcast.leakage.prepared import Floats, Ints, Prepared
from cartcast.leakage.statistics import NOTHING, Bounded, difference, share

__all__: list[str] = []

LK304 = declare(
    "LK304",
    "block",
    "oversampled rows in the evaluation",
    "Copies of one class made before the split put the same row into training and test.",
    "Resample inside training folds only; evaluate at the natural prevalence.",
)
LK306 = declare(
    "LK306",
    "warn",
    "the evaluation has equally many of both classes",
    "Shops do not convert every second visitor. On balanced rows precision, F1, PR AUC, Brier and "
    "every profit are those of another shop.",
    "Evaluate at the natural prevalence.",
)

_FITTED_ROWS = 10_000


@check(
    "split",
    "Was one class oversampled before the split?",
    LK304,
    needs=("test", "features", "two classes"),
)
def oversampled(prep: Prepared) -> Iterator[Finding]:
    """Compare the twins of each class with what the rows' own values let expect.

    Rows alike by nature have twins of both labels, as often as rows with such values have each;
    copies have twins of their own label, and one class has far more of them than the other.
    """
    assert prep.test is not None
    if len(prep.features) < 2:
        return
    train, test = row_keys(prep)
    values, at = np.unique(np.concatenate([train, test]), return_inverse=True)
    sides = at[: len(train)], at[len(train) :]
    held = np.stack([_held(sides[0], prep.train.y, c, len(values)) for c in (0, 1)])
    y = prep.test.y
    kinds = [np.unique(sides[1][y == c]) for c in (0, 1)]
    rates = [share(float((held[c][kinds[c]] > 0).sum()), len(kinds[c])) for c in (0, 1)]
    rate = float(np.nanmean(y))
    for label in (1, 0) if abs(rate - 0.5) < 0.1 else (int(rate < 0.5),):
        if difference(rates[label], rates[1 - label]).low <= 0.05:
            continue
        own, expected = _own_label(prep, sides, held, kinds[label], label)
        if not own.low > expected + 0.1:
            continue
        text = (
            f"{rates[label].value:.1%} of the distinct test rows with label {label} have an "
            f"identical training row of the same label, of the others "
            f"{rates[1 - label].value:.1%}; {own.value:.1%} of their twins have their label, of "
            f"rows with such values {expected:.1%} do."
        )
        hits = int((held[label][sides[1][y == label]] > 0).sum())
        numbers: dict[str, Any] = {"own_label": round(own.value, 4), "expected": round(expected, 4)}
        yield finding(LK304, text, count=hits, label=label, **numbers)


def _held(cell: Ints, y: Floats, label: int, size: int) -> Floats:
    """Return how many training rows of a class each kind of row has."""
    return np.bincount(cell[y == label], minlength=size).astype(float)


def _own_label(
    prep: Prepared, sides: tuple[Ints, Ints], held: Floats, kinds: Ints, label: int
) -> tuple[Bounded, float]:
    """Return how often twins of a class's test rows have its label, and how often they should.

    Each kind of row counts once. What they should is foreseen by a forest from other kinds of
    rows only, so that copies do not vouch for each other.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    twins = kinds[held[:, kinds].sum(axis=0) > 0]
    rows = np.flatnonzero(prep.train.known)
    if len(rows) > _FITTED_ROWS:
        rows = np.random.default_rng(prep.given.seed).choice(rows, _FITTED_ROWS, replace=False)
    cell, y = sides[0][rows], prep.train.y[rows]
    fold = folds(cell, prep.given.seed)
    columns = [code(n, prep.train.table[n].iloc[rows]) for n in prep.features]
    foreseen = np.full(len(rows), np.nan)
    for k in np.unique(fold):
        fit = fold != k
        if len(np.unique(y[fit])) < 2:
            continue
        X = np.nan_to_num(stack(columns, y, fit), nan=-1e9)
        model = ExtraTreesClassifier(60, min_samples_leaf=5, max_features=None, random_state=0)
        # A kind of row counts once, however often it was copied.
        _, place, count = np.unique(cell[fit], return_inverse=True, return_counts=True)
        model.fit(X[fit], y[fit], sample_weight=1 / count[place])
        foreseen[~fit] = model.predict_proba(X[~fit])[:, 1]
    looked = np.isin(cell, twins) & ~np.isnan(foreseen)
    if not looked.any():
        return NOTHING, float("nan")
    mean = np.bincount(cell[looked], foreseen[looked], held.shape[1])
    seen = np.unique(cell[looked])
    expected = float((mean[seen] / np.bincount(cell[looked])[seen]).mean())
    own = float((held[label, seen] / held[:, seen].sum(axis=0)).sum())
    return share(own, len(seen)), expected if label else 1 - expected


@check(
    "split", "Is the evaluation at the natural prevalence?", LK306, needs=("test", "two classes")
)
def balanced(prep: Prepared) -> Iterator[Finding]:
    """Look for a test with equally many rows of both classes, to the row or nearly so.

    Where training has about as many of both, too, the label may be so by nature: a note.
    """
    assert prep.test is not None
    y, ours = (part.y[part.known] for part in (prep.test, prep.train))
    positives = int(y.sum())
    apart = abs(2 * positives - len(y))
    if len(y) >= 200 and apart <= max(1, 0.002 * len(y)):
        text = (
            f"the test has {positives:,} rows of one class and {len(y) - positives:,} of the other."
        )
        natural = abs(float(ours.mean()) - 0.5) < 0.05
        numbers: dict[str, Any] = {"positives": positives, "rows": len(y)}
        yield finding(LK306, text, severity="note" if natural else "warn", count=len(y), **numbers)
