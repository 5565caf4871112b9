"""LK304 to LK307: rows that no visitor made: copied, interpolated, balanced for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import as_numbers
from cartcast.leakage.prepared import Floats, Part, Prepared, once
from cartcast.leakage.split import row_keys, twins
from cartcast.leakage.statistics import Bounded, difference, share

__all__ = ["interpolated"]

LK304 = declare(
    "LK304",
    "block",
    "oversampled rows in the evaluation",
    "Copies of one class made before the split put the same row into training and test.",
    "Resample inside training folds only; evaluate at the natural prevalence.",
)
LK305 = declare(
    "LK305",
    "block",
    "synthetic rows in the evaluation",
    "Rows interpolated between others (SMOTE) before the split are told apart from real ones by "
    "their fractions, and their parents sit in training; the score measures the interpolation.",
    "Resample inside training folds only; evaluate on rows that visitors made.",
)
LK306 = declare(
    "LK306",
    "warn",
    "the evaluation has equally many of both classes",
    "Shops do not convert every second visitor. On balanced rows precision, F1, PR AUC, Brier and "
    "every profit are those of another shop.",
    "Evaluate at the natural prevalence.",
)
LK307 = declare(
    "LK307",
    "note",
    "training rows were resampled",
    "A model fitted on resampled rows gives probabilities of another prevalence.",
    "Correct the probabilities back to the natural prevalence, as `cartcast train` does.",
)

_NEIGHBOURS = 40
_LOOKED_AT = 300
_CANDIDATES = 20_000


@check(
    "split",
    "Was one class oversampled before the split?",
    LK304,
    needs=("test", "features", "two classes"),
)
def oversampled(prep: Prepared) -> Iterator[Finding]:
    """Compare how often rows of each class have an identical training row."""
    assert prep.test is not None
    if len(prep.features) < 2:
        return
    _, across = twins(prep)
    y = prep.test.y
    rates = [_repeated(prep, across, c) for c in (0.0, 1.0)]
    rate = float(np.nanmean(y))
    for rare in (1, 0) if abs(rate - 0.5) < 0.05 else (int(rate < 0.5),):
        gap = difference(rates[rare], rates[1 - rare])
        if gap.low <= 0.2 or _pure(prep, across, rare) <= 0.9:
            continue
        text = (
            f"{rates[rare].value:.1%} of the distinct test rows with label {rare} have an "
            f"identical training row of the same label, of the others {rates[1 - rare].value:.1%}."
        )
        hits = int(across[y == rare].sum())
        yield finding(LK304, text, count=hits, gap_low=round(gap.low, 4), label=rare)


def _repeated(prep: Prepared, across: NDArray[np.bool_], label: float) -> Bounded:
    """Return the share of distinct test rows of a class that training has too.

    Each distinct row counts once: short sessions that all look alike are few distinct rows, while
    copying repeats rows of every kind.
    """
    assert prep.test is not None
    _, first = np.unique(row_keys(prep)[1], return_index=True)
    mine = first[prep.test.y[first] == label]
    return share(float(across[mine].sum()), float(len(mine)))


def _pure(prep: Prepared, across: NDArray[np.bool_], label: int) -> float:
    """Return how often a test row's training twins all have its label.

    Short sessions look alike by nature, but then both labels occur among the twins.
    """
    assert prep.test is not None
    train, test = row_keys(prep)
    values, at = np.unique(train, return_inverse=True)
    means = np.bincount(at, np.nan_to_num(prep.train.y)) / np.bincount(at)
    mine = test[across & (prep.test.y == label)]
    return float((means[np.searchsorted(values, mine)] == label).mean()) if len(mine) else 0.0


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
    found = _fractions(prep, part)
    if found is not None:
        column, label, rate = found
        return (
            f"{column!r} is a whole number in every row of one class, and a fraction in "
            f"{rate.value:.1%} of the rows with label {label}",
            {"column": column, "label": label, "share": round(rate.value, 4)},
        )
    for label, whole in ((1, True), (1, False), (0, True), (0, False)):
        ours = interpolated(prep, part, label, whole_numbers=whole)
        others = interpolated(prep, part, 1 - label, whole_numbers=whole)
        if ours is None or others is None:
            continue
        if difference(ours, others).low > 0.2:
            return (
                f"{ours.value:.1%} of the rows with label {label} lie exactly on a line between "
                f"two training rows (of the others {others.value:.1%})",
                {"label": label, "share": round(ours.value, 4), "others": round(others.value, 4)},
            )
    return None


def _fractions(prep: Prepared, part: Part) -> tuple[str, int, Bounded] | None:
    """Return a count that is whole in one class and often a fraction in the other."""
    for name in prep.features:
        values = as_numbers(part.table[name])
        if values is None:
            continue
        known = ~np.isnan(values) & part.known
        whole = np.floor(values) == values
        for label in (1, 0):
            ours, others = known & (part.y == label), known & (part.y == 1 - label)
            if ours.sum() < 30 or others.sum() < 50 or not whole[others].all():
                continue
            if len(np.unique(values[others])) < 5:
                continue
            rate = share(float((~whole[ours]).sum()), float(ours.sum()))
            if rate.low > 0.05:
                return name, label, rate
    return None


def interpolated(
    prep: Prepared, part: Part, label: int, *, whole_numbers: bool = True
) -> Bounded | None:
    """Return the share of rows of a class that lie between two of their near training rows.

    `whole_numbers=False` leaves out columns of whole numbers, which resampling tools round.

    None when there are too few rows or fewer than three numeric columns. In three dimensions or
    more, three independent points do not lie on one line; on a grid of small counts they may, so
    the two classes are compared.
    """
    from sklearn.neighbors import NearestNeighbors

    X = _matrix(prep) if whole_numbers else _fractional(prep)
    if X.shape[1] < 3:
        return None
    mine = X[: len(prep.train)] if part is prep.train else X[len(prep.train) :]
    rng = np.random.default_rng(prep.given.seed)
    candidates = _pick(rng, prep.train.y == label, _CANDIDATES)
    at = _pick(rng, part.y == label, _LOOKED_AT)
    if len(candidates) < _NEIGHBOURS + 2 or len(at) < 30:
        return None
    # Near in the columns' own units, where resampling tools look for neighbours.
    raw = np.column_stack(_columns(prep))
    ours = raw[: len(prep.train)] if part is prep.train else raw[len(prep.train) :]
    pool = X[: len(prep.train)][candidates]
    search = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(raw[: len(prep.train)][candidates])
    near = search.kneighbors(ours[at])[1]
    hits = sum(_between(mine[row], pool[n]) for row, n in zip(at, near, strict=True))
    return share(hits, len(at))


def _pick(rng: np.random.Generator, wanted: NDArray[np.bool_], limit: int) -> NDArray[np.int64]:
    at = np.flatnonzero(wanted)
    return np.sort(rng.choice(at, limit, replace=False)) if len(at) > limit else at


def _between(row: Floats, near: Floats) -> bool:
    """Whether two of the neighbours lie on exactly opposite sides of the row."""
    away = near - row
    away = away[(np.abs(away) > 1e-9).sum(axis=1) >= 3]
    if len(away) < 2:
        return False
    unit = away / np.linalg.norm(away, axis=1, keepdims=True)
    return bool((unit @ unit.T).min() < -1 + 1e-10)


@once
def _columns(prep: Prepared) -> list[Floats]:
    """Return the numeric, never-null, varying columns of train and test, one below the other."""
    columns: list[Floats] = []
    for name in prep.features:
        parts = [as_numbers(p.table[name]) for p in (prep.train, prep.test) if p is not None]
        known = [p for p in parts if p is not None]
        values = np.concatenate(known) if len(known) == len(parts) else np.array([np.nan])
        if not np.isnan(values).any() and values.std() > 0:
            columns.append(values)
    return columns


def _spread_one(prep: Prepared, columns: list[Floats]) -> Floats:
    rows = len(prep.train) + (len(prep.test) if prep.test else 0)
    scaled = [values / values.std() for values in columns]
    return np.column_stack(scaled) if scaled else np.empty((rows, 0))


@once
def _matrix(prep: Prepared) -> Floats:
    """Return the columns as a matrix, each with spread 1."""
    return _spread_one(prep, _columns(prep))


@once
def _fractional(prep: Prepared) -> Floats:
    """Return those that hold fractions as a matrix; none when that is all of them."""
    columns = _columns(prep)
    mixed = [values for values in columns if np.any(np.floor(values) != values)]
    return _spread_one(prep, mixed if len(mixed) < len(columns) else [])


@check(
    "split", "Is the evaluation at the natural prevalence?", LK306, needs=("test", "two classes")
)
def balanced(prep: Prepared) -> Iterator[Finding]:
    """Look for a test with equally many rows of both classes, to the row or nearly so."""
    assert prep.test is not None
    y = prep.test.y[prep.test.known]
    positives = int(y.sum())
    apart = abs(2 * positives - len(y))
    if len(y) >= 200 and apart <= max(1, 0.002 * len(y)):
        text = (
            f"the test has {positives:,} rows of one class and {len(y) - positives:,} of the other."
        )
        yield finding(LK306, text, count=len(y), positives=positives, rows=len(y))
