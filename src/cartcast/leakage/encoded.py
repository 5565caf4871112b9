"""LK204, LK209: values made from the labels of a whole group, the row's own among them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import as_numbers
from cartcast.leakage.interpolated import resolution
from cartcast.leakage.prepared import Floats, Ints, Part, Prepared, as_times, once
from cartcast.leakage.statistics import z_for

__all__ = ["Told", "exact_means", "told_by_group"]

LK204 = declare(
    "LK204",
    "block",
    "a feature is made from the labels of a group, the row's own among them",
    "A target encoding computed over the whole table tells each row its own outcome. It is found "
    "by knowing more of the labels than a group can have in common.",
    "Fit the encoding on training rows only, inside the fold.",
)
LK209 = declare(
    "LK209",
    "block",
    "a feature is a total over a visitor's whole life, later rows included",
    "A total that is the same in the first row of a visitor as in the last knew in the first what "
    "was still to come.",
    "Compute it from what came before each row's moment.",
)

_MOST_KEYS = 40
_LEAST_GROUPS = 20
_GLANCE = 2000
"""Rows by which most columns are told to be no value of a group, before all are looked at."""
_STEADY = 0.5
"""Share of a column's variance that lies between groups, from which it is a value of the group."""


class Told(NamedTuple):
    """What a value of a group tells of the labels of its rows.

    Attributes:
        told: covariance of the value with the label of another row of the group.
        common: covariance of the labels of two rows of the group.
        left: what is left of `common` once the value is taken out of the labels.
        error: standard error of `left`, over groups.
    """

    told: float
    common: float
    left: float
    error: float


def told_by_group(x: Floats, y: Floats, groups: Ints, block: Ints, judged: Floats) -> Told | None:
    """Return what a column tells of labels through a group; None where it is no value of it.

    Shapes (n,); rows of one `block` (a session within its group) are no pair; `judged` is 1 for
    the rows whose label is to be told. If the labels of a group are independent given what its
    rows have in common, then so they are given that and the value x: what is left of the labels
    without x, r = y - b x, has cov(r_i, r_j) >= 0 for two rows of a group. A value that was made
    from these labels takes out more than they share, and what is left repels: the residuals of a
    mean sum to 0. This is the bound of Spearman's correction for attenuation (1904,
    https://doi.org/10.2307/1412159), that no true correlation exceeds 1.

    >>> rng = np.random.default_rng(0)
    >>> g = np.arange(4000) // 8
    >>> rate = rng.beta(2, 8, 500)[g]
    >>> y = (rng.random(4000) < rate) - 0.2
    >>> rows, all_rows = np.arange(4000), np.ones(4000)
    >>> honest = told_by_group(rate - 0.2, y, g, rows, all_rows)
    >>> made = told_by_group((np.bincount(g, y) / 8)[g], y, g, rows, all_rows)
    >>> honest.left > -4 * honest.error, made.left < -4 * made.error
    (True, True)
    """
    size = np.bincount(groups)[groups]
    partners = (size - np.bincount(block)[block]).astype(float)
    use = (partners > 0) & (judged > 0)
    # Groups of a size are compared among themselves: a sum grows with it, a mean does not.
    like = np.floor(3 * np.log2(size)).astype(np.int64)
    several = np.bincount(like[use], 1 / np.bincount(groups[use])[groups[use]], like.max() + 1)
    use &= several[like] >= _LEAST_GROUPS
    if not use.any():
        return None
    in_kind = np.maximum(np.bincount(like[use], minlength=len(several)), 1)
    x, y = (v - (np.bincount(like[use], v[use], len(several)) / in_kind)[like] for v in (x, y))

    def rest(v: Floats) -> Floats:
        sums = np.bincount(groups, v)[groups] - np.bincount(block, v)[block]
        return np.asarray(sums[use] / partners[use])

    at, kind = _dense(groups[use]), like[use]
    count = np.bincount(at).astype(float)

    def mean(products: Floats) -> tuple[float, float]:
        sums = np.bincount(at, products)
        value = float(sums.sum() / count.sum())
        return value, float(np.sqrt(((sums - value * count) ** 2).sum()) / count.sum())

    own_x, own_y, x_rest, y_rest = x[use], y[use], rest(x), rest(y)
    steady = mean(own_x * x_rest)[0]
    if steady < _STEADY * float((own_x**2).mean()) or steady <= 0:
        return None
    shared = np.bincount(kind, own_x * x_rest, len(several))
    taken = np.bincount(kind, own_y * x_rest, len(several))
    slope = np.divide(taken, shared, out=np.zeros_like(taken), where=shared > 0)[kind]
    common, common_error = mean(own_y * y_rest)
    left, error = mean((own_y - slope * own_x) * (y_rest - slope * x_rest))
    here, here_error = mean(slope * own_y * (own_x - x_rest))
    # Labels that repel by nature, as of who buys once, say nothing about x; and what tells other
    # rows more than its own is a count so far.
    if error <= 0 or common < -3 * common_error or here < -2 * here_error - 1e-6 * steady:
        return None
    return Told(mean(own_y * x_rest)[0], common, left, error)


def _dense(codes: Ints) -> Ints:
    """Return codes from 0 on without holes, in the same order."""
    return np.asarray(np.cumsum(np.bincount(codes) > 0)[codes] - 1)


def exact_means(x: Floats, y: Floats) -> bool:
    """Whether the labels of equal values have that value as their mean, too exactly for chance.

    A forecast v of n labels misses their mean by sqrt(v (1 - v) / n); one that was made from
    these labels does not. This finds encodings whose group is not in the table.

    >>> rng = np.random.default_rng(0)
    >>> g = np.arange(4000) // 40
    >>> p = rng.integers(1, 39, 100)[g] / 40
    >>> y = (rng.random(4000) < p).astype(float)
    >>> exact_means(p, y), exact_means((np.bincount(g, y) / 40)[g], y)
    (False, True)
    """
    values, at = np.unique(x, return_inverse=True)
    count = np.bincount(at)
    inside = (values > 0) & (values < 1) & (count > 1)
    if inside.sum() < _LEAST_GROUPS or x.min() < 0 or x.max() > 1:
        return False
    v = values[inside]
    means = (np.bincount(at, y) / count)[inside]
    misses = float((count[inside] * (means - v) ** 2 / (v * (1 - v))).sum())
    return misses < 0.05 * len(v) and bool(stats.chi2.cdf(misses, len(v)) < 1e-6)


def equals_means(x: Floats, y: Floats, groups: Ints) -> bool:
    """Whether x is each group's mean label, to its last digit, or that shrunk to the overall mean.

    x = (sum + a p) / (n + a) with p the mean of all labels and one a >= 0 for all groups.
    """
    head = np.argsort(groups[:_GLANCE], kind="stable")
    if (np.abs(np.diff(x[head]))[np.diff(groups[head]) == 0] > 1e-9).any():
        return False
    size = np.maximum(np.bincount(groups), 1)
    total, value = np.bincount(groups, y), np.bincount(groups, x) / size
    if np.ptp(x - value[groups]) > 1e-9:
        return False
    step, mean = resolution(x), float(y.mean())
    if len(np.unique(value)) < 3 or np.ptp(value) < 10 * step:
        return False
    away = value - mean
    a = max(float(away @ (total - value * size)) / max(float(away @ away), 1e-12), 0.0)
    made = (total / size, (total + a * mean) / (size + a))
    return any(float(np.abs(value - m).max()) <= 0.51 * step + 1e-9 for m in made)


def _short(numbers: Any) -> Any:
    """Return numbers of rows in half their room: forty columns of them are kept for the audit."""
    return numbers.astype(np.int32)


def _both(prep: Prepared, name: Hashable) -> pd.Series:
    """Return a column of the rows of both parts with a label."""
    columns = [p.table[name][p.known] for p in _parts(prep)]
    return pd.concat(columns, ignore_index=True)


def _parts(prep: Prepared) -> list[Part]:
    return [p for p in (prep.train, prep.test) if p is not None]


@once
def _pooled(prep: Prepared) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Return, of the rows of both parts with a label, it, which are judged, and the numbers."""
    y = np.concatenate([p.y[p.known] for p in _parts(prep)])
    judged = np.concatenate([np.full(p.known.sum(), float(p is prep.judged)) for p in _parts(prep)])
    numbers = {}
    for name in prep.features:
        values = as_numbers(_both(prep, name))
        if values is not None and not np.isnan(values).any() and np.ptp(values) > 0:
            numbers[name] = values
    return y, judged, numbers


def _keys(prep: Prepared, fewest: int = _LEAST_GROUPS) -> dict[str, Ints]:
    """Return columns that can name a group, of at least `fewest`, as numbers over both parts."""
    return {k: g for k, g in _all_keys(prep).items() if g.max() + 1 >= fewest}


@once
def _all_keys(prep: Prepared) -> dict[str, Ints]:
    names = [n for n in prep.train.table if all(n in p.table for p in _parts(prep))]
    owners = [n for n in (prep.given.visitor, prep.given.session) if n in names]
    apart = {prep.given.target, prep.given.split, prep.given.weight, prep.given.time, *owners}
    out: dict[str, Ints] = {}
    for name in [*owners, *(n for n in names if n not in apart)]:
        column = _both(prep, name)
        if pd.api.types.is_float_dtype(column) and bool((column.dropna() % 1 != 0).any()):
            continue
        codes, values = pd.factorize(column, use_na_sentinel=False)
        if 3 <= len(values) <= max(0.9 * len(column), 2):
            out[str(name)] = _short(codes)
    return dict(list(out.items())[:_MOST_KEYS])


@check(
    "time",
    "Does a feature know the labels of its own group?",
    LK204,
    LK209,
    needs=("features",),
)
def encoded_from_labels(prep: Prepared) -> Iterator[Finding]:
    """Ask each number, for each group, whether it tells more than the group has in common."""
    if prep.label == "one class":
        return
    y, judged, numbers = _pooled(prep)
    means = np.bincount(judged.astype(int), y) / np.maximum(np.bincount(judged.astype(int)), 1)
    centred = y - means[judged.astype(int)]
    keys = _keys(prep)
    z = z_for(max(2 * len(keys) * len(numbers), 1))
    for name, values in numbers.items():
        worst: tuple[float, str, Told] | None = None
        ranks = np.asarray(pd.Series(values).rank(pct=True), dtype=np.float64)
        for key, groups in keys.items():
            if key == name or not _of_group(prep, key, values):
                continue
            block = _blocks(prep)[key]
            owner = key in (prep.given.visitor, prep.given.session)
            # An encoding fitted on training rows alone is honest in the test; a life has no split.
            rows = np.ones(len(y)) if owner else judged
            for form in (values, ranks):
                told = told_by_group(form, centred, groups, block, rows)
                if told is None or told.left > -z * told.error:
                    continue
                if worst is None or told.left / told.error < worst[0]:
                    worst = (told.left / told.error, key, told)
        if worst is not None:
            yield _known(prep, name, worst[1], worst[2])
        elif (equal := _equals(prep, name, values, y, judged)) is not None:
            text = (
                f"{name!r} equals the mean label of {equal!r} over train and test together, which "
                "training rows alone do not give."
            )
            yield finding(LK204, text, column=name, key=equal)
        elif prep.label == "two classes" and exact_means(values, y):
            text = (
                f"{name!r} is the mean label of the rows that share its value, in the test too, "
                "more exactly than any forecast can be."
            )
            yield finding(LK204, text, column=name)


def _equals(prep: Prepared, name: str, values: Floats, y: Floats, judged: Floats) -> str | None:
    """Return the key whose mean labels over both parts, not over training, a column equals."""
    if prep.test is None:
        return None
    train = judged == 0
    for key, groups in _keys(prep, fewest=3).items():
        if key != name and equals_means(values, y, groups):
            ours = _dense(groups[train])
            if not equals_means(values[train], y[train], ours):
                return key
    return None


def _of_group(prep: Prepared, key: str, values: Floats) -> bool:
    """Whether a column may be a value of a group: the same in its rows, or that with noise.

    A count or a mean so far follows its group as well, and tells later rows of earlier ones as it
    may: it does not change by noise. It moves less from one row to the next than over many.
    """
    order, begin, size = _ordered(prep)[key]
    v = values[order]
    spread = np.maximum.reduceat(v, begin) - np.minimum.reduceat(v, begin)
    if (spread[size > 1] > 1e-9 * np.ptp(values)).mean() <= 0.01:
        return True
    if key in (prep.given.visitor, prep.given.session):
        return False
    step = np.delete(np.diff(v), begin[1:] - 1)
    inside = v - np.repeat(np.add.reduceat(v, begin) / size, size)
    n = np.repeat(size, size)
    free = float((inside[n > 1] ** 2 * (n / np.maximum(n - 1, 1))[n > 1]).mean())
    return bool(len(step) > 0 and (step**2).mean() > 1.6 * free)


@once
def _ordered(prep: Prepared) -> dict[str, tuple[Ints, Ints, Ints]]:
    """Return by key its rows group by group in time order, where each begins, and its size."""
    rows = len(_pooled(prep)[0])
    times = None if prep.given.time is None else as_times(_both(prep, prep.given.time))
    at = np.arange(rows) if times is None else times.to_numpy()
    found = {}
    for key, groups in _keys(prep).items():
        size = np.bincount(groups)
        found[key] = (_short(np.lexsort((at, groups))), np.cumsum(size) - size, size)
    return found


@once
def _blocks(prep: Prepared) -> dict[str, Ints]:
    """Return by key what of a group is one observation: the session, where that is known."""
    session = prep.given.session
    alone = np.arange(len(_pooled(prep)[0]))
    if session is None or not all(session in p.table for p in _parts(prep)):
        return dict.fromkeys(_all_keys(prep), alone)
    codes = pd.factorize(_both(prep, session), use_na_sentinel=False)[0].astype(np.int64)
    most = int(codes.max()) + 1
    return {
        key: alone
        if key == session
        else _short(pd.factorize(groups.astype(np.int64) * most + codes)[0])
        for key, groups in _all_keys(prep).items()
    }


def _known(prep: Prepared, name: str, key: str, told: Told) -> Finding:
    owner = key in (prep.given.visitor, prep.given.session)
    text = (
        f"{name!r}, a value of {key!r}, knows more of the labels than the rows of a group have in "
        f"common: without it they repel each other ({told.left / told.error:.1f} standard errors), "
        "so they were used to make it."
    )
    numbers: dict[str, Any] = {"common": round(told.common, 6), "left": round(told.left, 6)}
    return finding(LK209 if owner else LK204, text, column=name, key=key, **numbers)


@check("time", "Is a feature a total over later rows, too?", LK209, needs=("features", "group"))
def lifetime_totals(prep: Prepared) -> Iterator[Finding]:
    """Look for a column equal to the sum, mean or highest of another over all rows of a group."""
    numbers = _pooled(prep)[2]
    owners = [k for k in (prep.given.visitor, prep.given.session) if k in _keys(prep)]
    for key in owners:
        groups = _keys(prep)[key]
        size = np.bincount(groups)
        several = np.flatnonzero((size > 1)[groups])
        if (size > 1).sum() < _LEAST_GROUPS or len(np.unique(size)) < 2:
            continue
        block = key == prep.given.visitor
        equal: dict[str, tuple[str, str]] = {}
        # The totals of one source at a time: those of all would be thrice the table.
        for source, given in numbers.items():
            totals = _totals(given, groups)
            for name in (n for n in numbers if n != source and n not in equal):
                for word, total in totals.items():
                    if _equal(numbers[name], total, groups, several):
                        equal[name] = (word, source)
                        break
        for name in (n for n in numbers if n in equal):
            text = "{!r} is the {} of {!r} over all rows of {!r}.".format(name, *equal[name], key)
            yield finding(LK209, text, severity="block" if block else "warn", column=name, key=key)


def _equal(values: Floats, total: Floats, groups: Ints, rows: Ints) -> bool:
    """Whether a column is the total of its group, in these rows."""
    return all(np.allclose(values[at], total[groups[at]], rtol=1e-6) for at in (rows[:50], rows))


def _totals(values: Floats, groups: Ints) -> dict[str, Floats]:
    """Return the sum, mean and highest of each group; none where it hardly varies inside."""
    frame = pd.Series(values).groupby(groups)
    low, high = (np.asarray(v, dtype=np.float64) for v in (frame.min(), frame.max()))
    if (high > low).sum() < _LEAST_GROUPS:
        return {}
    total = np.asarray(np.bincount(groups, values), dtype=np.float64)
    return {"sum": total, "mean": total / np.bincount(groups), "highest": high}
