"""LK305, LK307: rows that no visitor made, interpolated between two others (SMOTE)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import as_numbers
from cartcast.leakage.prepared import Floats, Ints, Part, Prepared, once
from cartcast.leakage.statistics import Bounded, difference, share

__all__ = ["interpolated", "resolution"]

LK305 = declare(
    "LK305",
    "block",
    "synthetic rows in the evaluation",
    "Rows interpolated between others (SMOTE) before the split are told apart from real ones by "
    "their fractions, and their parents sit in training; the score measures the interpolation.",
    "Resample inside training folds only; evaluate on rows that visitors made.",
)
LK307 = declare(
    "LK307",
    "note",
    "training rows were resampled",
    "A model fitted on resampled rows gives probabilities of another prevalence.",
    "Correct the probabilities back to the natural prevalence, as `cartcast train` does.",
)

_NEIGHBOURS = 30
_LOOKED_AT = 250
_CANDIDATES = 20_000
_LOCAL = 400

_GAP = 0.08
"""By how much a class must lie on lines more often than the other, at the lower bound."""

_BITS = 17.0
"""Bits by which a row lies on a line: 435 pairs of neighbours are tried, and a class is compared
at a chance of one in a hundred."""


@check(
    "split",
    "Are rows of the evaluation interpolated between others?",
    LK305,
    LK307,
    needs=("features", "two classes"),
)
def synthetic(prep: Prepared) -> Iterator[Finding]:
    """Look for fractions in counts and for rows on the straight line between two training rows."""
    told = _told(prep, prep.judged)
    if told is not None:
        text, numbers = told
        where = "test" if prep.test is not None else "table"
        yield finding(LK305, f"in the {where}, {text}.", **numbers)
    elif prep.test is not None:
        told = _told(prep, prep.train)
        if told is not None:
            yield finding(LK307, f"in train, {told[0]}.", **told[1])


def _told(prep: Prepared, part: Part) -> tuple[str, dict[str, Any]] | None:
    rate = float(part.y[part.known].mean()) if part.known.any() else float("nan")
    # Only the class that was rare is filled up, and at most until it is as frequent.
    labels = [label for label, of in ((1, rate), (0, 1 - rate)) if of <= 0.55]
    found = _fractions(prep, part, labels)
    if found is not None:
        column, label, often = found
        return (
            f"{column!r} is a whole number in every row of one class, and a fraction in "
            f"{often.value:.1%} of the rows with label {label}",
            {"column": column, "label": label, "share": round(often.value, 4)},
        )
    for label in labels:
        ours = interpolated(prep, part, label)
        if ours is None or ours.value <= _GAP:
            continue
        others = interpolated(prep, part, 1 - label)
        if others is None:
            continue
        if difference(ours, others).low > _GAP:
            return (
                f"{ours.value:.1%} of the rows with label {label} lie to the last digit on a "
                f"line between two training rows (of the others {others.value:.1%})",
                {"label": label, "share": round(ours.value, 4), "others": round(others.value, 4)},
            )
    return None


def _fractions(prep: Prepared, part: Part, labels: list[int]) -> tuple[str, int, Bounded] | None:
    """Return a count that is whole in one class and often any fraction in the other."""
    for name in prep.features:
        values = as_numbers(part.table[name])
        if values is None:
            continue
        known = ~np.isnan(values) & part.known
        whole = np.floor(values) == values
        for label in labels:
            ours, others = known & (part.y == label), known & (part.y == 1 - label)
            if ours.sum() < 30 or others.sum() < 50 or not whole[others].all():
                continue
            # Halves and thirds are means of counts; interpolation leaves every fraction.
            rests = np.unique(np.round((values % 1)[ours & ~whole], 6))
            if len(np.unique(values[others])) < 5 or len(rests) < 10:
                continue
            rate = share(float((~whole[ours]).sum()), float(ours.sum()))
            if rate.low > 0.05:
                return name, label, rate
    return None


def interpolated(prep: Prepared, part: Part, label: int) -> Bounded | None:
    """Return the share of rows of a class that lie between two of their near training rows.

    Both classes are offered equally many candidates, for the denser class lies between more. None
    when there are too few rows or fewer than three numeric columns.
    """
    from sklearn.neighbors import NearestNeighbors

    X, step = _matrix(prep)
    if X.shape[1] < 3:
        return None
    rows = len(prep.train)
    mine = X[:rows] if part is prep.train else X[rows:]
    rng = np.random.default_rng(prep.given.seed)
    limit = min(_CANDIDATES, *(int((prep.train.y == c).sum()) for c in (0, 1)))
    candidates = _pick(rng, prep.train.y == label, limit)
    at = _pick(rng, part.y == label, _LOOKED_AT)
    if len(candidates) < _NEIGHBOURS + 2 or len(at) < 30:
        return None
    # Near in the columns' own units, where resampling tools look for neighbours.
    pool = X[candidates]
    near = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(pool).kneighbors(mine[at])[1]
    hits = sum(_between(mine[row], pool[n], step, pool) for row, n in zip(at, near, strict=True))
    return share(hits, len(at))


def _pick(rng: np.random.Generator, wanted: NDArray[np.bool_], limit: int) -> Ints:
    at = np.flatnonzero(wanted)
    return np.sort(rng.choice(at, limit, replace=False)) if len(at) > limit else at


def _between(row: Floats, near: Floats, step: Floats, pool: Floats) -> bool:
    """Whether the row lies on the line between two neighbours, as nothing but a line explains.

    Each column allows a stretch of the way from a to b, as wide as its last digit; the row lies
    between when all stretches meet. By chance a column of a stretch w does so w of the time.
    """
    # A copy of the row is no parent of it.
    near = near[(np.abs(near - row) > step).any(axis=1)]
    if len(near) < 2:
        return False
    first, second = np.triu_indices(len(near), 1)
    a, way = near[first], near[second] - near[first]
    off = row - a
    same = np.abs(way) <= step / 2
    # Whole numbers may have been cut off instead of rounded.
    divisor = np.where(same, 1.0, way)
    ends = (off - step / 2) / divisor, (off + np.where(step == 1, 1.0, step / 2)) / divisor
    low = np.where(same, -np.inf, np.minimum(*ends)).max(axis=1)
    high = np.where(same, np.inf, np.maximum(*ends)).min(axis=1)
    fits = np.where(same, np.abs(off) <= step / 2, True).all(axis=1)
    fits &= (low <= high) & (high > 0) & (low < 1)
    width = np.where(same, 1.0, np.minimum(np.abs(ends[1] - ends[0]), 1.0))
    bits = -np.log2(np.maximum(width, 1e-12))
    fits &= bits.sum(axis=1) - bits.max(axis=1) >= _BITS
    for pair in np.flatnonzero(fits)[:5]:
        moving = ~same[pair]
        free = _independent(row, moving, step, pool)
        own = bits[pair][moving][free]
        if len(own) >= 3 and own.sum() - own.max() >= _BITS:
            return True
    return False


def _independent(row: Floats, moving: NDArray[np.bool_], step: Floats, pool: Floats) -> Ints:
    """Return which of the moving columns do not follow from the others where the rest stands still.

    A customer with one order has amount = mean = highest: three columns that move as one.
    """
    near = pool[np.argsort((np.abs(pool - row) / step).sum(axis=1))]
    alike = near[(np.abs(near - row)[:, ~moving] <= step[~moving] / 2).all(axis=1)]
    # Too few rows like it tell nothing: then its neighbours say what follows from what.
    alike = (alike if len(alike) > 2 * moving.sum() else near)[:_LOCAL]
    local = ((alike - alike.mean(axis=0)) / step)[:, moving]
    _, corner, order = qr(local, mode="economic", pivoting=True)
    # What rounding alone leaves of a column that follows from others.
    left = 2.0 * np.sqrt(len(local))
    return np.asarray(order[: int((np.abs(np.diag(corner)) > left).sum())], dtype=np.int64)


def resolution(values: Floats) -> float:
    """Return the last digit that a column of numbers has, 1e-9 of its spread when it has none.

    >>> resolution(np.array([0.1, 2.5, 3.0])), resolution(np.array([3.0, 250.0, 1000.0]))
    (0.1, 1.0)
    """
    spread = float(values.std()) or 1.0
    for digits in range(10):
        size = 10.0**-digits
        if size < spread * 1e-9:
            break
        if np.all(np.abs(np.round(values, digits) - values) < size * 1e-4):
            return size
    return spread * 1e-9


@once
def _matrix(prep: Prepared) -> tuple[Floats, Floats]:
    """Return the numeric, never-null, varying columns of train and test, and their last digits."""
    columns: list[Floats] = []
    for name in prep.features:
        parts = [as_numbers(p.table[name]) for p in (prep.train, prep.test) if p is not None]
        known = [p for p in parts if p is not None]
        values = np.concatenate(known) if len(known) == len(parts) else np.array([np.nan])
        if not np.isnan(values).any() and values.std() > 0:
            columns.append(values)
    rows = len(prep.train) + (len(prep.test) if prep.test else 0)
    X = np.column_stack(columns) if columns else np.empty((rows, 0))
    return X, np.array([resolution(v) for v in columns])
