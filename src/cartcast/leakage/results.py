"""LK405 to LK408: scores too good to be true, and parts that are told apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import Coded, code, folds, out_of_fold, stack
from cartcast.leakage.prepared import Floats, Prepared
from cartcast.leakage.statistics import Bounded, auc, auc_bounds, r2_bounds, z_for

__all__ = ["adversarial"]

LK405 = declare(
    "LK405",
    "block",
    "the predictions are all but perfect",
    "Nobody foresees purchases without error; a score near 1 is a leak until shown otherwise.",
    "Read the other findings; drop columns until the score is believable; explain the last.",
)
LK406 = declare(
    "LK406",
    "warn",
    "train and test are told apart easily",
    "Where a model can tell which part a row is from, the parts come from different populations: "
    "the score in one says little about the other.",
    "Look at the columns named: calendar columns and ids do it by nature, others have drifted.",
)
LK408 = declare(
    "LK408",
    "warn",
    "the model knows at the first click what it knows later",
    "A session tells more with every click. Predictions that are very good at once, far above the "
    "baseline, and no better later read something that is not in the clicks.",
    "Check when the columns of the first click became known, the visitor's history above all.",
)

_PERFECT = 0.99
_EARLY = 0.9
_ADVERSARIAL_ROWS = 8_000


def _scores(prep: Prepared, values: object) -> Floats:
    out = np.asarray(values, dtype=float).ravel()
    if len(out) != len(prep.judged):
        raise DataError(
            f"predictions must be one per row of {prep.judged.name} ({len(prep.judged):,}), "
            f"got {len(out):,}."
        )
    return out


def _area(prep: Prepared, scores: Floats, rows: NDArray[np.bool_], z: float) -> Bounded:
    """Return the AUC of scores over some rows, with the bounds of their number of groups."""
    use = rows & prep.judged.known & ~np.isnan(scores)
    y = prep.judged.y[use]
    groups = prep.groups(prep.judged, np.flatnonzero(use))
    ratio = len(np.unique(groups)) / max(len(groups), 1)
    return auc_bounds(auc(y, scores[use]), y.sum() * ratio, (len(y) - y.sum()) * ratio, z)


@check("evidence", "Are the predictions too good to be true?", LK405, needs=("predictions",))
def perfect_predictions(prep: Prepared) -> Iterator[Finding]:
    """Compare the score of the predictions, as a whole and by click, with what is believable."""
    if prep.label == "one class":
        return
    scores = _scores(prep, prep.given.predictions)
    everything = np.ones(len(scores), dtype=bool)
    if prep.label == "number":
        use = prep.judged.known & ~np.isnan(scores)
        r2 = r2_bounds(prep.judged.y[use], scores[use], float(use.sum()), z_for(1))
        if r2.low >= 0.97:
            text = f"predictions explain {r2.value:.2%} of the label's variance."
            yield finding(LK405, text, r2=round(r2.value, 4), r2_low=round(r2.low, 4))
        return
    base = _baseline(prep, everything)
    for what, rows in _by_click(prep, everything):
        area = _area(prep, scores, rows, z_for(20))
        if area.low >= _PERFECT:
            text = (
                f"predictions reach ROC AUC {area.value:.4f} (at least {area.low:.4f}) {what}"
                + (f"; the baseline reaches {base:.4f}." if base is not None else ".")
            )
            yield finding(
                LK405,
                text,
                count=int(rows.sum()),
                roc_auc=round(area.value, 4),
                roc_auc_low=round(area.low, 4),
                baseline=None if base is None else round(base, 4),
            )
            return


def _baseline(prep: Prepared, rows: NDArray[np.bool_]) -> float | None:
    if prep.given.baseline is None:
        return None
    value = _area(prep, _scores(prep, prep.given.baseline), rows, 1.0).value
    return None if np.isnan(value) else value


def _by_click(
    prep: Prepared, everything: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "over all rows", everything
    if prep.given.click is not None:
        clicks = prep.judged.table[prep.given.click].to_numpy()
        for click in sorted(pd.unique(clicks))[:20]:
            yield f"at click {click}", clicks == click


@check(
    "evidence",
    "Does the model know at the first click what it knows later?",
    LK408,
    needs=("predictions", "click", "two classes"),
)
def knows_at_once(prep: Prepared) -> Iterator[Finding]:
    """Compare the AUC at the first click with the baseline's there, and with later clicks."""
    assert prep.given.click is not None
    scores = _scores(prep, prep.given.predictions)
    clicks = prep.judged.table[prep.given.click].to_numpy()
    first = clicks == np.min(clicks)
    later = clicks > np.min(clicks)
    z = z_for(2)
    at_first, at_later = _area(prep, scores, first, z), _area(prep, scores, later, z)
    base = _baseline(prep, first)
    if not (at_first.low >= _EARLY and at_later.low <= at_first.high):
        return
    if base is None or at_first.low > base + 0.1:
        text = (
            f"ROC AUC is {at_first.value:.3f} at the first click already and {at_later.value:.3f} "
            f"later" + (f"; the baseline has {base:.3f} there." if base is not None else ".")
        )
        yield finding(
            LK408,
            text,
            count=int(first.sum()),
            first=round(at_first.value, 4),
            later=round(at_later.value, 4),
            baseline=None if base is None else round(base, 4),
        )


@check("evidence", "Can train and test be told apart?", LK406, needs=("test", "features"))
def told_apart(prep: Prepared) -> Iterator[Finding]:
    """Train a model to tell the parts apart, groups kept whole so that it cannot memorise."""
    area, columns = adversarial(prep)
    if area.low >= 0.8:
        named = ", ".join(f"{name} ({value:.2f})" for name, value in columns)
        text = f"a model tells test from train with ROC AUC {area.value:.3f}; by {named}."
        yield finding(
            LK406,
            text,
            roc_auc=round(area.value, 4),
            roc_auc_low=round(area.low, 4),
            columns={name: round(value, 4) for name, value in columns},
        )


def adversarial(prep: Prepared) -> tuple[Bounded, list[tuple[str, float]]]:
    """Return the AUC of telling test from train, and the three columns that do it best alone."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    assert prep.test is not None
    rng = np.random.default_rng(prep.given.seed)
    ours = _some(rng, prep.train_at)
    theirs = _some(rng, prep.test_at)
    tables = [prep.train.table.iloc[ours], prep.test.table.iloc[theirs]]
    both = pd.concat([t[list(prep.features)] for t in tables], ignore_index=True)
    part = np.r_[np.zeros(len(ours)), np.ones(len(theirs))]
    keys = pd.concat([t[prep.group] for t in tables], ignore_index=True) if prep.group else None
    groups = np.arange(len(part)) if keys is None else pd.factorize(keys, use_na_sentinel=False)[0]
    fold = folds(groups.astype(np.int64), prep.given.seed)
    columns = [code(name, both[name]) for name in prep.features]
    y_pred = np.full(len(part), np.nan)
    for k in np.unique(fold):
        fit = fold != k
        if len(np.unique(part[fit])) < 2:
            continue
        X = stack(columns, part, fit)
        model = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, random_state=0)
        y_pred[~fit] = model.fit(X[fit], part[fit]).predict_proba(X[~fit])[:, 1]
    ok = ~np.isnan(y_pred)
    ratio = len(np.unique(groups)) / len(groups)
    counts = part[ok].sum() * ratio, (1 - part[ok]).sum() * ratio
    area = auc_bounds(auc(part[ok], y_pred[ok]), *counts, z_for(1))
    return area, (_best_alone(columns, part, fold) if area.low >= 0.8 else [])


def _best_alone(
    columns: list[Coded], part: Floats, fold: NDArray[np.int64]
) -> list[tuple[str, float]]:
    alone = []
    for column in columns:
        known = out_of_fold([column], part, fold, classes=True, depth=None, leaves=8)
        ok = ~np.isnan(known)
        value = auc(part[ok], known[ok])
        if not np.isnan(value):
            alone.append((column.name, value))
    return sorted(alone, key=lambda pair: -pair[1])[:3]


def _some(rng: np.random.Generator, at: NDArray[np.int64]) -> NDArray[np.int64]:
    return (
        np.sort(rng.choice(at, _ADVERSARIAL_ROWS, replace=False))
        if len(at) > _ADVERSARIAL_ROWS
        else at
    )
