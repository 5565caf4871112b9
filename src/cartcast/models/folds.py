"""Inner validation: stratified, by group, or forward in time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from cartcast.errors import DataError, UsageError
from cartcast.evaluate.arrays import codes_of

__all__ = ["Fold", "forward_folds", "inner_folds"]

Rows = NDArray[np.intp]
Fold = tuple[Rows, Rows]
"""Row numbers to fit on and to judge on."""


def forward_folds(
    order: Any, folds: int = 3, groups: Any = None, *, first: float | None = None
) -> list[Fold]:
    """Return expanding windows: fit on all rows before a moment, judge on the next block.

    `order` sorts the rows in time (dates, numbers); rows of one moment stay together. The first
    block is never judged: a share `first` of the rows, or as many as the others. A group (visitor)
    that is in the rows to judge is taken out of the rows to fit.

    Raises:
        DataError: time has fewer moments than blocks.

    >>> [(fit.tolist(), judge.tolist()) for fit, judge in forward_folds([1, 2, 3, 4], folds=3)]
    [([0], [1]), ([0, 1], [2]), ([0, 1, 2], [3])]
    """
    moments, codes = np.unique(np.asarray(order), return_inverse=True)
    if len(moments) < 2:
        raise DataError("forward validation needs at least 2 moments in time, got 1.")
    folds = min(folds, len(moments) - 1)
    # Cut where the cumulated rows pass equal shares, but never inside one moment.
    passed = np.cumsum(np.bincount(codes)) / len(codes)
    wanted = np.linspace(first or 1 / (folds + 1), 1, folds + 1)[:-1]
    cuts = np.unique(np.clip(np.searchsorted(passed, wanted), 0, len(moments) - 2))
    edges = [*(int(c) + 1 for c in cuts), len(moments)]
    # Numbers, because numpy compares arrays of strings one by one with one another.
    visitor = None if groups is None else codes_of(groups, len(codes))
    out: list[Fold] = []
    for begin, end in itertools.pairwise(edges):
        judge = np.flatnonzero((codes >= begin) & (codes < end))
        fit = np.flatnonzero(codes < begin)
        if visitor is not None:
            fit = fit[~np.isin(visitor[fit], visitor[judge])]
        out.append((fit, judge))
    return out


def inner_folds(
    y: Any, folds: int = 3, *, groups: Any = None, order: Any = None, seed: int = 42
) -> list[Fold]:
    """Return folds for choosing inside the training rows.

    Forward in time where `order` is given, whole groups where only `groups` are, else at random;
    stratified for labels 0 and 1.

    Raises:
        UsageError: fewer than 2 folds.
        DataError: fewer positives (or negatives, rows, groups) than folds.
    """
    target = np.asarray(y)
    if folds < 2:
        raise UsageError(f"folds must be at least 2, got {folds}.")
    if order is not None:
        return [f for f in forward_folds(order, folds, groups) if _usable(target, f)] or _none()
    binary = set(np.unique(target).tolist()) <= {0, 1}
    rarest = int(np.bincount(target.astype(int), minlength=2).min()) if binary else len(target)
    if rarest < folds:
        what = "rows of the rarer class" if binary else "rows"
        raise DataError(f"{folds} folds need at least {folds} {what}, got {rarest}.")
    if groups is not None:
        found = len(np.unique(np.asarray(groups)))
        if found < folds:
            raise DataError(f"{folds} folds need at least {folds} groups, got {found}.")
        splitter = (
            StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
            if binary
            else GroupKFold(folds, shuffle=True, random_state=seed)
        )
        return list(splitter.split(target, target, groups))
    kind = StratifiedKFold if binary else KFold
    return list(kind(folds, shuffle=True, random_state=seed).split(target, target))


def _usable(target: NDArray[Any], fold: Fold) -> bool:
    return all(len(rows) > 1 and len(np.unique(target[rows])) > 1 for rows in fold)


def _none() -> list[Fold]:
    raise DataError(
        "no forward fold has both outcomes before and after its moment; take more data."
    )
