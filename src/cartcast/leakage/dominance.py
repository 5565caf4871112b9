"""LK409: one column carries most of what a model knows, and nothing else brings it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cartcast.evaluate.auc import auc
from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import Coded, folds, stack
from cartcast.leakage.evidence import coded, single, too_easy
from cartcast.leakage.periods import periods
from cartcast.leakage.prepared import Floats, Ints, Prepared

__all__ = ["Carried", "carried"]

LK409 = declare(
    "LK409",
    "warn",
    "one column carries most of what the model knows",
    "A model that is strong by one column is as honest as that column: when its value is made "
    "after the moment of the prediction, or from the outcome, so is the score. Many a column of an "
    "export holds what was known at the end of the session.",
    "Find out when the value is known. Report the score without the column beside the score with "
    "it; drop it if it is not known at the moment of the prediction.",
)

_ROWS = 6000
_COLUMNS = 40
_CANDIDATES = 2
_ALONE = 0.7
"""ROC AUC of a column alone from which it may carry a model."""

_STRONG = 0.8
"""ROC AUC of the whole model from which it matters what carries it."""

_MOST = 0.5
"""Share of the skill that is lost without the column, at its lower bound."""

_LOST = 0.05
"""ROC AUC that is lost with it."""


class Carried(NamedTuple):
    """What a column carries of a model's skill, out of fold.

    Skill is the log loss that the model saves on the prevalence alone.

    Attributes:
        share: share of the skill that is lost without the column.
        low: its lower bound (95 %, over groups).
        high: its upper bound.
        auc: ROC AUC of the model with the column.
        auc_without: the same without it.
    """

    share: float
    low: float
    high: float
    auc: float
    auc_without: float


def carried(losses: tuple[Floats, Floats, Floats], groups: Ints) -> tuple[float, float, float]:
    """Return the share of the skill that is lost, and its 95 % interval.

    `losses`: of the prevalence, of the model, and of the model without the column, shape (n,).
    A ratio of sums over groups (Cochran 1977, Sampling Techniques, section 6.3).

    >>> ones = np.ones(50)
    >>> [round(v, 2) for v in carried((ones, 0.2 * ones, 0.8 * ones), np.arange(50))]
    [0.75, 0.75, 0.75]
    """
    nothing, whole, without = losses
    _, at = np.unique(groups, return_inverse=True)
    lost, skill = np.bincount(at, without - whole), np.bincount(at, nothing - whole)
    share = float(lost.sum() / skill.sum())
    half = 1.96 * float(np.sqrt(((lost - share * skill) ** 2).sum()) / skill.sum())
    # Without the column the booster may do worse than the prevalence; more than all is not lost.
    low, high = (min(v, 1.0) for v in (share - half, share + half))
    return min(share, 1.0), low, high


@check(
    "evidence",
    "Does one column carry what the model knows?",
    LK409,
    needs=("features", "two classes"),
)
def dominance(prep: Prepared) -> Iterator[Finding]:
    """Fit a small booster with and without the best columns, on at most 6,000 rows."""
    alone = single(prep)
    known = [c for c in coded(prep) if not too_easy(alone[c.name])]
    order = sorted(known, key=lambda c: -np.nan_to_num(alone[c.name].auc.value))[:_COLUMNS]
    candidates = [c for c in order[:_CANDIDATES] if alone[c.name].auc.value >= _ALONE]
    if len(order) < 2 or not candidates:
        return
    rows = np.arange(len(prep.train_at))
    if len(rows) > _ROWS:
        rows = np.sort(np.random.default_rng(prep.given.seed).choice(rows, _ROWS, replace=False))
    y, groups = prep.train.y[prep.train_at][rows], prep.sample_groups[rows]
    if min(y.sum(), len(y) - y.sum()) < 30:
        return
    cut = [Coded(c.name, c.values[rows], c.words) for c in order]
    fold = folds(groups, prep.given.seed)
    whole = _foreseen(cut, y, fold)
    if not auc(y, whole) >= _STRONG:
        return
    for column in candidates:
        without = _foreseen([c for c in cut if c.name != column.name], y, fold)
        losses = (_loss(y, np.full(len(y), y.mean())), _loss(y, whole), _loss(y, without))
        c = Carried(*carried(losses, groups), auc(y, whole), auc(y, without))
        if c.low >= _MOST and c.auc - c.auc_without >= _LOST:
            yield _finding(prep, column, c, len(rows))


def _foreseen(columns: list[Coded], y: Floats, fold: Ints) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    out = np.full(len(y), y.mean())
    for k in np.unique(fold):
        fit = fold != k
        if len(np.unique(y[fit])) < 2:
            continue
        X = stack(columns, y, fit)
        # Of a column without a value here there is nothing to learn, and the booster fails on it.
        X = X[:, ~np.isnan(X[fit]).all(axis=0)]
        if not X.shape[1]:
            continue
        model = HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=12, early_stopping=False, random_state=0
        )
        # So few rows are not worth threads, which wait for each other on a busy machine.
        with threadpool_limits(1):
            out[~fit] = model.fit(X[fit], y[fit]).predict_proba(X[~fit])[:, 1]
    return out


def _loss(y: Floats, p: Floats) -> Floats:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def _finding(prep: Prepared, column: Coded, c: Carried, rows: int) -> Finding:
    shifts = _shifts(prep, column)
    text = (
        f"{column.name!r} carries {c.share:.0%} ({c.low:.0%} to {c.high:.0%}) of what a model knows"
        f": ROC AUC {c.auc:.3f} with it, {c.auc_without:.3f} without. When is its value known? "
        + " ".join(f"It is {what}." for what in shifts)
    )
    numbers: dict[str, Any] = {
        "share": round(c.share, 4),
        "share_low": round(c.low, 4),
        "roc_auc": round(c.auc, 4),
        "roc_auc_without": round(c.auc_without, 4),
        "shifts": shifts,
    }
    return finding(LK409, text.rstrip(), column=column.name, rows=rows, **numbers)


def _shifts(prep: Prepared, column: Coded) -> list[str]:
    """Return in words how null, zero and the usual value differ by class and by period."""
    y, values = prep.train.y[prep.train_at], column.values
    out = []
    for what, inside in (("null", np.isnan(values)), ("0", values == 0)):
        if inside.any() and not (column.words and what == "0"):
            yes, no = inside[y > 0].mean(), inside[y <= 0].mean()
            out.append(f"{what} in {yes:.0%} of the rows with the outcome, in {no:.0%} of others")
    found = periods(prep, prep.train)
    if found is None or column.words:
        return out
    at = found.at[prep.train_at]
    some = ~np.isnan(values) & (values != 0)
    usual = {
        name: float(np.median(values[some & (at == k)]))
        for k, name in enumerate(found.names)
        if (some & (at == k)).sum() >= 20
    }
    if len(usual) > 1:
        low, high = min(usual, key=usual.__getitem__), max(usual, key=usual.__getitem__)
        out.append(
            f"{usual[low]:.4g} in the middle in {low}, {usual[high]:.4g} in {high} "
            "(null and 0 left out)"
        )
    return out
