"""LK405, LK406, LK408: scores too good to be true, and parts that are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.evaluate.auc import auc
from cartcast.evaluate.share import effective_count
from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import Coded, code, folds, out_of_fold, stack
from cartcast.leakage.prepared import Floats, Prepared
from cartcast.leakage.statistics import Bounded, auc_bounds, counts, r2_bounds, z_for

__all__ = ["adversarial", "too_good"]

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
    "baseline, and no better later, come from something that is not in the clicks.",
    "Check when the columns of the first click became known, the visitor's history above all.",
)

PERFECT = 0.99
"""ROC AUC of predictions that blocks, when its lower bound is at least `CERTAIN`."""

CERTAIN = 0.95
EARLY = 0.9
"""ROC AUC at the first click, at its lower bound, that needs an explanation."""

_FOLLOWS = 0.1
"""Von Neumann's ratio along time below which a column goes with the calendar."""

_ADVERSARIAL_ROWS = 5_000


@dataclass(frozen=True, eq=False)
class _Judged:
    """Predictions beside what happened; `groups` numbers the sessions or visitors."""

    y: Floats
    y_pred: Floats
    baselines: dict[str, Floats]
    click: NDArray[np.float64] | None
    groups: NDArray[np.int64]

    def area(self, scores: Floats, rows: NDArray[np.bool_], z: float) -> Bounded:
        """Return the AUC of scores over some rows, with the bounds of their number of groups."""
        use = rows & ~np.isnan(self.y) & ~np.isnan(scores)
        y = self.y[use]
        return auc_bounds(auc(y, scores[use]), *counts(y, self.groups[use]), z)

    def baseline(self, rows: NDArray[np.bool_]) -> tuple[str, float] | None:
        """Return the best baseline over some rows and its AUC."""
        areas = {n: self.area(p, rows, 1.0).value for n, p in self.baselines.items()}
        known = {n: a for n, a in areas.items() if not np.isnan(a)}
        return max(known.items(), key=lambda pair: pair[1]) if known else None


def too_good(
    y_obs: Any,
    y_pred: Any,
    baselines: Mapping[str, Any] | None = None,
    *,
    click: Any = None,
    weights: Any = None,
    groups: Any = None,
) -> list[Finding]:
    """Return findings on predictions that are too good to be true against their baselines.

    `y_obs`, `y_pred` and each baseline are one number a row; `click` is the click number of the
    anchor, `groups` the session or visitor of a row (for the bounds). `weights` do not change
    ranks and are not used for the bounds.

    Raises:
        DataError: the lengths differ.

    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 4000)
    >>> [f.code for f in too_good(y, y + rng.normal(0, 0.1, 4000))], too_good(y, rng.random(4000))
    (['LK405'], [])
    """
    judged = _judged(y_obs, y_pred, baselines or {}, click, groups)
    values = np.unique(judged.y[~np.isnan(judged.y)])
    if len(values) < 2:
        return []
    if set(values) != {0.0, 1.0}:
        return list(_perfect_numbers(judged))
    return [*_perfect(judged), *_at_once(judged)]


def _judged(
    y_obs: Any, y_pred: Any, baselines: Mapping[str, Any], click: Any, groups: Any
) -> _Judged:
    def floats(values: Any, what: str) -> Floats:
        out = np.asarray(values, dtype=np.float64).ravel()
        if len(out) != rows:
            raise DataError(f"{what} must be one per row ({rows:,}), got {len(out):,}.")
        return out

    rows = len(np.asarray(y_obs))
    codes = np.arange(rows) if groups is None else pd.factorize(pd.Series(groups))[0]
    if len(codes) != rows:
        raise DataError(f"groups must be one per row ({rows:,}), got {len(codes):,}.")
    return _Judged(
        floats(y_obs, "labels"),
        floats(y_pred, "predictions"),
        {name: floats(values, f"baseline {name!r}") for name, values in baselines.items()},
        None if click is None else floats(click, "clicks"),
        codes.astype(np.int64),
    )


def _perfect_numbers(j: _Judged) -> Iterator[Finding]:
    use = ~np.isnan(j.y) & ~np.isnan(j.y_pred)
    r2 = r2_bounds(
        j.y[use], j.y_pred[use], effective_count(np.ones(int(use.sum())), j.groups[use]), z_for(1)
    )
    if r2.low >= 0.97:
        text = f"predictions explain {r2.value:.2%} of the label's variance."
        yield finding(LK405, text, r2=round(r2.value, 4), r2_low=round(r2.low, 4))


def _perfect(j: _Judged) -> Iterator[Finding]:
    """Look at all rows, then at each click; the first that is all but perfect is enough."""
    looks = list(_by_click(j))
    for what, rows in looks:
        area = j.area(j.y_pred, rows, z_for(len(looks)))
        if not (area.value >= PERFECT and area.low >= CERTAIN):
            continue
        base = j.baseline(rows)
        text = f"predictions reach ROC AUC {area.value:.4f} (at least {area.low:.4f}) {what}"
        text += f"; the best baseline, {base[0]}, {base[1]:.4f}." if base else "."
        numbers: dict[str, Any] = {
            "roc_auc": round(area.value, 4),
            "roc_auc_low": round(area.low, 4),
            "baseline": round(base[1], 4) if base else None,
        }
        yield finding(LK405, text, count=int(rows.sum()), where=what, **numbers)
        return


def _by_click(j: _Judged) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "over all rows", np.ones(len(j.y), dtype=bool)
    if j.click is not None:
        for click in np.unique(j.click[~np.isnan(j.click)])[:20]:
            yield f"at click {click:g}", j.click == click


def _at_once(j: _Judged) -> Iterator[Finding]:
    """Compare the AUC at the first click with the baseline's there, and with later clicks."""
    if j.click is None or np.isnan(j.click).all():
        return
    first = j.click == np.nanmin(j.click)
    later = j.click > np.nanmin(j.click)
    z = z_for(2)
    start, end = j.area(j.y_pred, first, z), j.area(j.y_pred, later, z)
    base = j.baseline(first)
    if not (start.low >= EARLY and end.low <= start.high):
        return
    if base is None or start.low > base[1] + 0.1:
        text = f"ROC AUC is {start.value:.3f} at the first click already and {end.value:.3f} later"
        text += f"; the best baseline, {base[0]}, has {base[1]:.3f} there." if base else "."
        numbers: dict[str, Any] = {"first": round(start.value, 4), "later": round(end.value, 4)}
        yield finding(LK408, text, count=int(first.sum()), **numbers)


@check("evidence", "Are the predictions too good to be true?", LK405, LK408, needs=("predictions",))
def predictions(prep: Prepared) -> Iterator[Finding]:
    """Compare the predictions, as a whole and by click, with the baseline and with what can be."""
    g, part = prep.given, prep.judged
    yield from too_good(
        part.y,
        g.predictions,
        {} if g.baseline is None else {"the baseline": g.baseline},
        click=None if g.click is None else part.table[g.click],
        groups=None if prep.group is None else part.table[prep.group],
    )


@check("evidence", "Can train and test be told apart?", LK406, needs=("test", "features"))
def told_apart(prep: Prepared) -> Iterator[Finding]:
    """Train a model to tell the parts apart, groups kept whole so that it cannot memorise."""
    area, columns = adversarial(prep)
    if area.low >= 0.8:
        calendar = _calendar(prep, [name for name, value in columns if value >= 0.8])
        rest, _ = adversarial(prep, calendar) if calendar else (area, columns)
        named = ", ".join(f"{name} ({value:.2f})" for name, value in columns)
        text = f"a model tells test from train with ROC AUC {area.value:.3f}; by {named}."
        yield finding(
            LK406,
            text,
            severity="warn" if rest.low >= 0.8 else "note",
            roc_auc=round(area.value, 4),
            roc_auc_low=round(area.low, 4),
            columns={name: round(value, 4) for name, value in columns},
        )


def _calendar(prep: Prepared, names: list[str]) -> list[str]:
    """Return which columns go with the clock: parts that follow each other differ in them."""
    clock = prep.times(prep.train)
    test = None if prep.test is None else prep.times(prep.test)
    if clock is None or test is None or prep.test is None:
        return []
    when = pd.concat([clock, test], ignore_index=True).rank().to_numpy()
    found = []
    for name in names:
        both = pd.concat([prep.train.table[name], prep.test.table[name]], ignore_index=True)
        values = code(name, both).values
        ok = ~np.isnan(values) & ~np.isnan(when)
        along = pd.Series(values[ok]).rank().to_numpy()[np.argsort(when[ok], kind="stable")]
        # Von Neumann's ratio: 1 without order in time, near 0 where neighbours in time are alike.
        if np.ptp(along) > 0 and (np.diff(along) ** 2).mean() < _FOLLOWS * 2 * along.var():
            found.append(name)
    return found


def adversarial(
    prep: Prepared, without: Sequence[str] = ()
) -> tuple[Bounded, list[tuple[str, float]]]:
    """Return the AUC of telling test from train, and the three columns that do it best alone."""
    from sklearn.ensemble import ExtraTreesClassifier

    assert prep.test is not None
    rng = np.random.default_rng(prep.given.seed)
    ours = _some(rng, prep.train_at)
    theirs = _some(rng, prep.test_at)
    tables = [prep.train.table.iloc[ours], prep.test.table.iloc[theirs]]
    names = [n for n in prep.features if n not in without]
    both = pd.concat([t[names] for t in tables], ignore_index=True)
    part = np.r_[np.zeros(len(ours)), np.ones(len(theirs))]
    keys = pd.concat([t[prep.group] for t in tables], ignore_index=True) if prep.group else None
    groups = np.arange(len(part)) if keys is None else pd.factorize(keys, use_na_sentinel=False)[0]
    fold = folds(groups.astype(np.int64), prep.given.seed)
    columns = [code(name, both[name]) for name in names]
    y_pred = np.full(len(part), np.nan)
    for k in np.unique(fold):
        fit = fold != k
        if len(np.unique(part[fit])) < 2:
            continue
        X = stack(columns, part, fit)
        model = ExtraTreesClassifier(30, max_depth=8, min_samples_leaf=10, random_state=0)
        y_pred[~fit] = model.fit(X[fit], part[fit]).predict_proba(X[~fit])[:, 1]
    ok = ~np.isnan(y_pred)
    area = auc_bounds(auc(part[ok], y_pred[ok]), *counts(part[ok], groups[ok]), z_for(1))
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
