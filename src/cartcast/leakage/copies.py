"""LK303: training rows copied into the test, told from rows that are alike by nature.

Two questions, neither of which supposes that a row is rare. By number: rows drawn independently
from any distribution at all coincide in numbers that obey an inequality, and copies break it. By
value: a row and its twin that share two values which nothing else has, the second of which the
first does not foresee, were not drawn apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cartcast.findings import Finding, Severity, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import as_numbers
from cartcast.leakage.prepared import Floats, Ints, Part, Prepared, once, prepare

__all__ = ["Excess", "Telling", "row_keys", "telling_copies", "too_many_twins"]

LK303 = declare(
    "LK303",
    "block",
    "training rows copied into the test",
    "More test rows have an identical row in training than rows drawn independently could have, "
    "however alike they are by nature.",
    "Remove duplicates before the split, and split by session.",
)

_SOME = 0.01
"""Share of copied test rows from which no figure means anything."""

_CHANCE, _FEW = 5, 0.001
"""Fewer copies than this, or a smaller share, are let pass: two visitors may do the same."""

_ALPHA = 1e-5
_MOST = 6
"""Rows of a twin group that values are looked at in: many equal rows are alike by nature."""

_FORESEEN = 0.02
"""A value is foreseen when it is predicted to this share of the column's ranks."""

_COARSE = 30
"""Columns with at most this many values are counted jointly, as words are."""

_MARGIN = 3.0
"""Bits beyond those at which one coincidence is to be expected."""

_PARENTS = 10
_FITTED_ROWS = 4000
_LOOKED_COLUMNS = 8
_COMPARED = 400

_BEYOND = 0.05
"""By how much twins across the split must outnumber their control, beyond its error."""

_BEYOND_DRIFT = 0.08
"""The same where the test lies later: rows get more alike, or less."""

_DOUBT, _OFTEN = 0.05, 2.0
"""Chance, and times as often as within training, from which a log's rows are copies."""

_KINDS = 20
"""Kinds of rows from which it is no accident that all occur an even number of times."""


@once
def row_keys(prep: Prepared) -> tuple[NDArray[np.uint64], ...]:
    """Return a 64-bit key of the features of each row, for train and for test."""
    parts: list[Part] = [prep.train] if prep.test is None else [prep.train, prep.test]
    out = []
    for part in parts:
        total = np.zeros(len(part), dtype=np.uint64)
        for i, name in enumerate(prep.features):
            total = total * np.uint64(1_099_511_628_211) + _hashed(part, name) + np.uint64(i)
        out.append(total)
    return tuple(out)


def _hashed(part: Part, name: str) -> NDArray[np.uint64]:
    """Return a 64-bit key of each value of a column.

    Floats are rounded to nine digits first, so that a copy that went through a CSV file is one.
    """
    values = as_numbers(part.table[name])
    if values is None:
        column = part.table[name].astype("object").astype(str).to_numpy(dtype=object)
        return pd.util.hash_array(column, categorize=True)
    return pd.util.hash_array(_rounded(values))


def _rounded(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** np.clip(8 - np.nan_to_num(size), -20, 20)
    return np.asarray(np.round(values * scale) / scale + 0.0, dtype=np.float64)


class Excess(NamedTuple):
    """Twins beyond what independent rows can have.

    Attributes:
        times: how often the rows in question occur in training.
        seen: test rows of that kind.
        natural: the most of them that independence allows.
    """

    times: int
    seen: int
    natural: float


def too_many_twins(times: Ints, alpha: float = _ALPHA) -> Excess | None:
    """Return an excess in how often test rows occur in training, or None.

    `times`: for each kind of row that the test holds once, how often training holds it. When rows
    are drawn independently, training holds kind i a Poisson number of times with some rate r_i.
    Whatever the rates, the expected numbers g_k of kinds held k times obey, by Cauchy and Schwarz,
    g_k^2 <= (k + 1) / k g_(k-1) g_(k+1): they cannot pile up at one k. Copies do. Each g is taken
    at the end of its exact Poisson interval that speaks for nature.

    >>> rng = np.random.default_rng(0)
    >>> too_many_twins(rng.poisson(rng.gamma(0.3, 3.0, 20_000))) is None
    True
    >>> too_many_twins(np.r_[np.zeros(8000, int), np.ones(1000, int)]).times
    1
    """
    g = np.bincount(times, minlength=3)
    top = min(len(g) - 1, 12)
    each = alpha / max(top, 1)
    low = np.nan_to_num(stats.gamma.ppf(each, g))
    high = np.asarray(stats.gamma.isf(each, np.append(g, 0) + 1))
    found: Excess | None = None
    for k in range(1, top + 1):
        natural = float(np.sqrt((k + 1) / k * high[k - 1] * high[k + 1]))
        if low[k] > natural and (found is None or g[k] - natural > found.seen - found.natural):
            found = Excess(k, int(g[k]), natural)
    return found


class _Cells(NamedTuple):
    """Distinct rows over train and test: a group's equal rows count once in each part.

    Attributes:
        train: number of the cell of each training row.
        test: the same of each test row.
        in_train: how often training holds each cell.
        in_test: how often the test does.
    """

    train: Ints
    test: Ints
    in_train: Ints
    in_test: Ints


@once
def _cells(prep: Prepared) -> _Cells:
    assert prep.test is not None
    train, test = row_keys(prep)
    values, at = np.unique(np.concatenate([train, test]), return_inverse=True)
    sides = at[: len(train)].astype(np.int64), at[len(train) :].astype(np.int64)
    held = []
    for part, cell in zip((prep.train, prep.test), sides, strict=True):
        groups = prep.groups(part, np.arange(len(part)))
        once_each = pd.DataFrame({"cell": cell, "group": groups}).drop_duplicates()["cell"]
        held.append(np.bincount(once_each, minlength=len(values)))
    return _Cells(*sides, *held)


class Telling(NamedTuple):
    """Copies told by their values.

    Attributes:
        rows: which test rows are a training row again, by values that nature would not repeat.
        share: of rows without a twin, how many have such values, and so could be told as copies.
    """

    rows: NDArray[np.bool_]
    share: float


def telling_copies(prep: Prepared) -> Telling:
    """Return the test rows that are a training row again, by values too rare to be drawn twice.

    Each twin is given the bits of its coincidence: of its coarse columns and words jointly, by
    counting the rows that share them, then of each number, by how many rows share it and how far
    it lies from where the values before it foresee it. So price, mean price and highest price of
    a first click count as one value. Pairs of n and m rows that coincide in more than log2(n m)
    bits are not to be expected once.
    """
    assert prep.test is not None
    cells = _cells(prep)
    size = cells.in_train + cells.in_test
    twin = (cells.in_train > 0) & (cells.in_test > 0) & (size <= _MOST)
    if twin.sum() < _CHANCE:
        return Telling(np.zeros(len(prep.test), dtype=bool), 0.0)
    at = np.concatenate([cells.train, cells.test])
    others = np.flatnonzero(~twin[cells.train])
    some = np.random.default_rng(prep.given.seed).permutation(others)
    some = some[: min(_COMPARED, len(others) // 3)]
    looked = np.concatenate([some, np.flatnonzero(twin[at])])
    own = np.bincount(at)[at[looked]]
    names = list(prep.features)
    both = pd.concat([p.table[names] for p in (prep.train, prep.test)], ignore_index=True)
    coarse = [n for n in prep.features if both[n].nunique() <= _COARSE or not _numeric(both[n])]
    numbers = [n for n in prep.features if n not in coarse]
    codes = both.groupby(coarse, dropna=False).ngroup() if coarse else pd.Series(0, both.index)
    bits = _rarity(codes.to_numpy(), looked, own)
    rare = {n: _rarity(_hashed(Part("", both, np.empty(0)), n), looked, own) for n in numbers}
    order = sorted(rare, key=lambda n: -float(rare[n].sum()))[:_LOOKED_COLUMNS]
    for i, name in enumerate(order):
        if any(_follows(both, word, name, looked) for word in coarse):
            continue
        off = _unforeseen(both, name, order[:i], coarse, looked, prep.given.seed)
        near = np.where(off < _FORESEEN, 0.0, off)
        with np.errstate(divide="ignore"):
            bits += np.maximum(rare[name] + np.log2(near), 0.0)
    rare_enough = bits >= np.log2(len(prep.train)) + np.log2(len(prep.test)) + _MARGIN
    out = np.zeros(len(both), dtype=bool)
    out[looked[len(some) :]] = rare_enough[len(some) :]
    return Telling(
        out[len(prep.train) :], float(np.mean(rare_enough[: len(some)] if len(some) else 1.0))
    )


def _rarity(keys: NDArray[Any], looked: Ints, own: Ints) -> Floats:
    """Return log2(n / (1 + rows outside the twin group with the value)) for the rows looked at."""
    place = pd.factorize(keys, use_na_sentinel=False)[0]
    return np.asarray(np.log2(len(keys) / (1 + np.bincount(place)[place[looked]] - own)))


def _follows(both: pd.DataFrame, word: str, name: str, looked: Ints) -> bool:
    """Whether a word of many kinds brings the number with it, or may: too few say otherwise."""
    if _numeric(both[word]) or both[word].nunique() <= _COARSE:
        return False
    rest = both.loc[~both.index.isin(looked), [word, name]].sort_values(word)
    same = rest[word].eq(rest[word].shift()) & rest[word].notna()
    agree = rest[name].eq(rest[name].shift())[same]
    return len(agree) < 20 or bool(agree.mean() > 0.3)


def _unforeseen(
    both: pd.DataFrame, name: str, before: list[str], coarse: list[str], looked: Ints, seed: int
) -> Floats:
    """Return how far, in shares of all rows, each looked-at value lies from its prediction.

    The forest learns from rows without a twin.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(seed)
    rank = _ranks(both[name])
    parents = [*before, *coarse[:_PARENTS]]
    if not parents:
        return np.ones(len(looked))
    X = np.column_stack([_ranks(both[n]) for n in parents])
    fit = np.setdiff1d(np.arange(len(both)), looked)
    fit = fit if len(fit) >= 50 else np.arange(len(both))
    if len(fit) > _FITTED_ROWS:
        fit = rng.choice(fit, _FITTED_ROWS, replace=False)
    model = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=0).fit(X[fit], rank[fit])
    return np.asarray(np.abs(model.predict(X[looked]) - rank[looked]))


def _numeric(column: pd.Series) -> bool:
    return as_numbers(column) is not None


def _ranks(column: pd.Series) -> Floats:
    values = as_numbers(column)
    codes = pd.Series(pd.factorize(column)[0] if values is None else values)
    return np.asarray(codes.rank(pct=True).fillna(-1.0), dtype=np.float64)


def _repeated(cells: _Cells) -> int:
    """Return how often the whole table holds each of its rows, when that is no accident; else 1."""
    sizes = cells.in_train + cells.in_test
    across = (cells.in_train > 0) & (cells.in_test > 0)
    return int(np.gcd.reduce(sizes)) if len(sizes) >= _KINDS and across.any() else 1


@check("split", "Are training rows copied into the test?", LK303, needs=("test", "features"))
def copied_rows(prep: Prepared) -> Iterator[Finding]:
    """Ask the numbers of twins, then their values."""
    assert prep.test is not None
    if len(prep.features) < 2:
        return
    cells = _cells(prep)
    of = len(prep.test)
    twins = cells.in_train[cells.test] > 0
    excess = too_many_twins(cells.in_train[cells.in_test == 1])
    rows = int(twins.sum())
    severity: Severity = "block"
    if (times := _repeated(cells)) > 1:
        why = f"train and test together hold every row {times} times, or a multiple of that"
    elif excess is not None:
        more = excess.seen - excess.natural
        rows = excess.seen
        often = "once" if excess.times == 1 else f"{excess.times} times"
        severity = "block" if more > min(_SOME * of, (cells.in_test == 1).sum() / 2) else "warn"
        why = (
            f"training holds each of them exactly {often}; of rows alike by nature "
            f"that would be true of {excess.natural:,.0f} at most, others would occur more often"
        )
    elif (copies := int((told := telling_copies(prep)).rows.sum())) >= max(
        _CHANCE, _FEW * of
    ) and not _walked_again(prep, told.rows):
        rows = copies
        all_copies = min(copies / max(told.share, 1e-9), int(twins.sum()))
        severity = "block" if all_copies > _SOME * of else "warn"
        why = "their values, taken together, are too rare to be drawn twice"
    elif (above := _beyond_control(prep, cells)) is not None:
        natural = above[1]
        severity = "block"
        why = (
            f"that is more than the {natural:.1%} of later training rows, of the same kinds, which "
            "have a twin in earlier ones"
        )
    else:
        return
    text = (
        f"{rows:,} test rows ({rows / of:.1%}) are identical to a training row in all "
        f"{len(prep.features)} features: {why}."
    )
    yield finding(LK303, text, severity=severity, count=rows, across=round(rows / of, 4))


def _later(prep: Prepared) -> NDArray[np.bool_]:
    """Return the training rows that are to the others what the test is to training.

    Those of the last groups, or of some where there is no clock.
    """
    assert prep.test is not None
    n = len(prep.train)
    groups = prep.groups(prep.train, np.arange(n))
    times = prep.times(prep.train)
    rank = np.random.default_rng(prep.given.seed).random(groups.max() + 1)
    if times is not None:
        rank = pd.Series(times).groupby(groups).min().rank(pct=True).reindex(range(len(rank)))
    return np.asarray(np.asarray(rank)[groups] > 1 - len(prep.test) / (n + len(prep.test)))


def _walked_again(prep: Prepared, copies: NDArray[np.bool_]) -> bool:
    """Whether a log's sessions coincide within training as they do across the split.

    A session's few events decide all of its features, however many and fine these are, and another
    visitor may walk the same path. Rows of a table of one's own may have been doubled before the
    split, in training too: of them this says nothing.
    """
    if not prep.given.lineage or prep.test is None:
        return False
    later = _later(prep)
    if not 0 < later.sum() < len(later):
        return False
    table = prep.train.table
    cut = prepare(replace(prep.given, train=table[~later], test=table[later], split=None))
    assert cut.test is not None
    within = telling_copies(cut).rows
    counts, sizes = [], []
    for part, rows in ((prep.test, copies), (cut.test, within)):
        groups = prep.groups(part, np.arange(len(part)))
        counts.append(len(np.unique(groups[rows])))
        sizes.append(len(np.unique(groups)))
    pairs = np.array([len(prep.test) * len(table), later.sum() * (~later).sum()], dtype=float)
    chance = stats.binom.sf(counts[0] - 1, sum(counts), pairs[0] / pairs.sum())
    often = counts[0] / sizes[0] > _OFTEN * counts[1] / sizes[1]
    return not (chance < _DOUBT and often)


def _beyond_control(prep: Prepared, cells: _Cells) -> tuple[float, float] | None:
    """Return the share of test rows with a twin and its control, where it lies well above it.

    The control is training itself, cut as the test was cut from it: the twins that its last (or,
    without a clock, some) groups have among the others. Both are compared within values of the
    coarse column that twins depend on most, the click as a rule, weighted as the test is.
    """
    assert prep.test is not None
    n = len(prep.train)
    groups, times = prep.groups(prep.train, np.arange(n)), prep.times(prep.train)
    later = _later(prep)
    if not 0 < later.sum() < n:
        return None
    twin = np.isin(cells.train[later], cells.train[~later])
    across = np.isin(cells.test, cells.train)
    ours, theirs = _strata(prep, later, twin)
    size = np.bincount(ours, minlength=max(ours.max(), theirs.max()) + 1)
    seen = size[theirs] >= _KINDS
    if seen.mean() < 0.5:
        return None
    rates = np.bincount(ours, twin, len(size)) / np.maximum(size, 1)
    natural, rate = float(rates[theirs[seen]].mean()), float(across[seen].mean())
    groups_in_test = len(np.unique(prep.groups(prep.test, np.arange(len(prep.test)))))
    few = min(len(np.unique(groups[later])), groups_in_test)
    error = np.sqrt((rate * (1 - rate) + natural * (1 - natural)) / few)
    return (
        (float(across.mean()), natural)
        if rate - natural > (_BEYOND if times is None else _BEYOND_DRIFT) + 3 * error
        else None
    )


def _strata(prep: Prepared, later: NDArray[np.bool_], twin: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return the codes, in later training rows and in the test, of what twins depend on most."""
    assert prep.test is not None
    best, most = (np.zeros(int(later.sum()), np.int64), np.zeros(len(prep.test), np.int64)), 0.0
    for name in prep.features:
        ours = prep.train.table[name]
        if ours.nunique() > _COARSE:
            continue
        both = pd.concat([ours[later], prep.test.table[name]])
        codes = pd.factorize(both, use_na_sentinel=False)[0].astype(np.int64)
        mine = codes[: len(twin)]
        rates = np.bincount(mine, twin) / np.maximum(np.bincount(mine), 1)
        spread = float(rates[mine].var())
        if spread > most:
            best, most = (mine, codes[len(twin) :]), spread
    return best
