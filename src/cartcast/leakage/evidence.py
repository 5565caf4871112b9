"""LK401 to LK404: labels that the columns tell too easily, whatever anyone has declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from cartcast.findings import Finding, Severity, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import Coded, Power, code, folds, out_of_fold, power, stack
from cartcast.leakage.prepared import Floats, Ints, Prepared, once
from cartcast.leakage.statistics import counts, z_for

__all__ = ["REPRODUCES", "SINGLE_WARN", "coded", "single", "small_tree", "too_easy"]

REPRODUCES = 0.99
"""A column or tree whose out-of-fold ROC AUC is at least this blocks ..."""

CERTAIN = 0.95
"""... when its lower bound is at least this: a few rows may be told apart by chance."""

SINGLE_WARN = 0.95
"""A single column whose out-of-fold ROC AUC is at least this, at its lower bound, is named."""

EXPLAINS = 0.85
"""A share of the label's variance that blocks, at its lower bound."""

_NULLS = ("is null", "is not null")

EXPLAINS_RANKS = 0.9
"""The same for the ranks of a label that is a number."""

LK401 = declare(
    "LK401",
    "block",
    "one column reproduces the label",
    "No shop's future is written in one column. A column that tells the label almost without error "
    "was computed from the outcome, or the label was computed from the column.",
    "Drop the column, or compute it from events before the anchor only.",
)
LK402 = declare(
    "LK402",
    "warn",
    "one column tells suspiciously much",
    "Honest single columns of a shop rarely separate buyers from others with an AUC above 0.95.",
    "Find out when the column's value is known; drop it when that is after the anchor.",
)
LK403 = declare(
    "LK403",
    "block",
    "a shallow rule all but determines the label",
    "When three questions tell the label almost without error, the label is a rule over the "
    "features, not an outcome; every score against it measures arithmetic.",
    "Use an observed outcome, or drop the columns that the rule reads.",
)
LK404 = declare(
    "LK404",
    "warn",
    "a cell of one column never, or always, has the outcome",
    "Where an outcome that should have occurred dozens of times never does, the column was often "
    "filled in by the process that records the outcome. It is a warning where that goes by missing "
    "values, and a note elsewhere: nobody buys with an empty basket.",
    "Find out how the column is filled; a missing value that means `no outcome` is a leak.",
)


@once
def coded(prep: Prepared) -> tuple[Coded, ...]:
    """Return the features of the training sample as floats."""
    rows = prep.train.table.iloc[prep.train_at]
    return tuple(code(name, rows[name]) for name in prep.features)


def _label(prep: Prepared) -> Floats:
    """Return the label of the sample; ranks (0 to 1) of a number, for money has a long tail."""
    y = prep.train.y[prep.train_at]
    return y if prep.label == "two classes" else np.asarray(rankdata(y) / len(y), np.float64)


@once
def single(prep: Prepared) -> dict[str, Power]:
    """Return for each feature what it alone knows about the label, out of fold."""
    y = _label(prep)
    classes = prep.label == "two classes"
    fold = folds(prep.sample_groups, prep.given.seed)
    z = z_for(len(prep.features))
    out: dict[str, Power] = {}
    for column in coded(prep):
        y_pred = out_of_fold(
            [column], y, fold, classes=classes, depth=None, leaves=8 if classes else 64
        )
        out[column.name] = power(y, y_pred, classes=classes, groups=prep.sample_groups, z=z)
    return out


def too_easy(p: Power) -> bool:
    """Whether the label is all but reproduced, beyond chance."""
    ranks = p.auc.value >= REPRODUCES and p.auc.low >= CERTAIN
    enough = EXPLAINS_RANKS if np.isnan(p.auc.value) else EXPLAINS
    return bool(ranks or p.r2.low >= enough)


@check("evidence", "Does one column reproduce the label?", LK401, LK402, needs=("features",))
def one_column(prep: Prepared) -> Iterator[Finding]:
    """Ask each column alone, with eight leaves, on rows that it was not fitted on."""
    if prep.label == "one class":
        return
    for name, p in single(prep).items():
        numbers = {**_evidence(p), "column": name, "rows": len(prep.train_at)}
        if too_easy(p):
            text = f"column {name!r} alone tells the label: {_in_words(p)} on held-out rows."
            yield finding(LK401, text, **numbers)
        elif p.auc.low >= SINGLE_WARN or (p.auc.value >= REPRODUCES and _some(prep)):
            text = f"column {name!r} alone tells the label with {_in_words(p)} on held-out rows."
            yield finding(LK402, text, **numbers)


def _some(prep: Prepared) -> bool:
    """Whether there are enough rows of both classes for a perfect column to be worth a word."""
    y = prep.train.y[prep.train_at]
    return min(counts(y, prep.sample_groups)) >= 10


def _evidence(p: Power) -> dict[str, Any]:
    return {
        "roc_auc": round(p.auc.value, 4),
        "roc_auc_low": round(p.auc.low, 4),
        "r2": round(p.r2.value, 4),
        "r2_low": round(p.r2.low, 4),
    }


def _in_words(p: Power) -> str:
    if np.isnan(p.auc.value):
        return f"R2 of ranks {p.r2.value:.4f} (at least {p.r2.low:.4f})"
    return f"ROC AUC {p.auc.value:.4f} (at least {p.auc.low:.4f})"


@check(
    "evidence", "Does a rule of three questions determine the label?", LK403, needs=("features",)
)
def shallow_rule(prep: Prepared) -> Iterator[Finding]:
    """Fit a tree of depth 3 to the columns that do not reproduce the label alone."""
    if prep.label == "one class":
        return
    alone = single(prep)
    columns = [c for c in coded(prep) if not too_easy(alone[c.name])]
    if len(columns) < 2:
        return
    p = small_tree(prep, columns)
    if too_easy(p):
        rule = describe_rule(prep, columns)
        many = "three" if prep.label == "two classes" else "six"
        text = f"{many} questions tell the label: {_in_words(p)} on held-out rows; {rule}."
        yield finding(LK403, text, rule=rule, rows=len(prep.train_at), **_evidence(p))


def small_tree(prep: Prepared, columns: list[Coded]) -> Power:
    """Return what a tree of depth 3 (6 for a number) over `columns` knows, out of fold."""
    y = _label(prep)
    classes = prep.label == "two classes"
    fold = folds(prep.sample_groups, prep.given.seed)
    depth = 3 if classes else 6
    y_pred = out_of_fold(columns, y, fold, classes=classes, depth=depth, leaves=None)
    return power(y, y_pred, classes=classes, groups=prep.sample_groups, z=z_for(1))


def describe_rule(prep: Prepared, columns: list[Coded]) -> str:
    """Return the tree's way to its purest leaf with the most rows of the outcome, in words."""
    from sklearn.tree import DecisionTreeRegressor

    y = prep.train.y[prep.train_at]
    X = stack(columns, y, np.ones(len(y), dtype=bool))
    tree = DecisionTreeRegressor(max_depth=3, min_samples_leaf=3, random_state=0).fit(X, y).tree_
    means = tree.value.ravel()
    leaves = np.flatnonzero(tree.children_left < 0)
    best = int(leaves[np.argmax(means[leaves] * tree.n_node_samples[leaves])])
    steps: list[str] = []
    node = best
    while node:
        left = np.flatnonzero(tree.children_left == node)
        parent = int(left[0]) if len(left) else int(np.flatnonzero(tree.children_right == node)[0])
        column = columns[tree.feature[parent]]
        sign = "<=" if len(left) else ">"
        what = f"mean label of {column.name}" if column.words else column.name
        steps.append(f"{what} {sign} {tree.threshold[parent]:.6g}")
        node = parent
    return f"if {' and '.join(reversed(steps))} the label is {means[best]:.3g} on average"


@check(
    "evidence",
    "Is there a cell of a column where the outcome never, or always, occurs?",
    LK404,
    needs=("features", "two classes"),
)
def empty_cells(prep: Prepared) -> Iterator[Finding]:
    """Look at null, at each frequent value, and at each tenth of a column."""
    y = prep.train.y[prep.train_at]
    _, at, rows_of = np.unique(prep.sample_groups, return_inverse=True, return_counts=True)
    # Each group counts once: long sessions write more rows, and buy more often.
    rate = float(np.average(y, weights=1 / rows_of[at]))
    alone = single(prep)
    for column in coded(prep):
        if too_easy(alone[column.name]):
            continue
        found = _worst_cell(column, y, rate, prep.sample_groups, len(prep.features))
        if found is None:
            continue
        what, rows, expected, never = found
        word = "never" if never else "always"
        text = (
            f"where {column.name} {what} the outcome {word} occurs: {rows:,} rows, "
            f"{expected:,.0f} expected to be otherwise."
        )
        # A state in which nobody buys is honest; a value that is missing then was left out by
        # the process that records the outcome.
        severity: Severity = "warn" if what in _NULLS else "note"
        numbers: dict[str, Any] = {"cell": what, "expected": round(expected, 1)}
        yield finding(LK404, text, severity=severity, count=rows, column=column.name, **numbers)


def _worst_cell(
    column: Coded, y: Floats, rate: float, groups: Ints, columns: int
) -> tuple[str, int, float, bool] | None:
    """Return the largest pure cell whose purity chance does not explain, or None."""
    found: tuple[str, int, float, bool] | None = None
    cells = list(_cells(column))
    enough = float(-np.log(0.001 / max(columns * len(cells), 1))) + 10
    for what, inside in cells:
        rows = int(inside.sum())
        if rows < 0.05 * len(y):
            continue
        hits = float(y[inside].sum())
        for pure, expected, never in ((hits == 0, rate, True), (hits == rows, 1 - rate, False)):
            if not pure:
                continue
            due = len(np.unique(groups[inside])) * expected
            if due >= enough and (found is None or due > found[2]):
                found = (what, rows, due, never)
    return found


def _cells(column: Coded) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    null = np.isnan(column.values)
    if null.any():
        yield "is null", null
        yield "is not null", ~null
    known = column.values[~null]
    if not len(known):
        return
    values, counts = np.unique(known, return_counts=True)
    frequent = values[counts >= 0.05 * len(column.values)]
    for v in frequent[:40]:
        name = repr(column.words[int(v)]) if column.words else f"{v:g}"
        yield f"is {name}", column.values == v
    if not column.words and len(values) > 20:
        for q in np.unique(np.quantile(known, np.linspace(0.1, 0.9, 9))):
            yield f"is at most {q:.4g}", column.values <= q
            yield f"is above {q:.4g}", column.values > q
