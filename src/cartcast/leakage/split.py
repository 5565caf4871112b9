"""LK301 to LK309: the same session, visitor or row on both sides; a test before its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.columns import as_numbers
from cartcast.leakage.prepared import Part, Prepared, once
from cartcast.leakage.statistics import difference, share

__all__ = ["FEW", "row_keys", "twins"]

FEW = 0.001
"""Share of the test's sessions up to which an overlap is a slip (`warn`) and not a wrong split."""

_SOME = 0.01
"""Share of copied test rows from which no figure means anything."""

_CHANCE = 3
"""Fewer copies than this are let pass: two visitors may do the same."""

LK301 = declare(
    "LK301",
    "block",
    "sessions on both sides of the split",
    "Rows of one session share the visitor, the items and the outcome: a model that has seen one "
    "part of a session recognises the other.",
    "Split by session (or visitor) and time, not by row.",
)
LK302 = declare(
    "LK302",
    "block",
    "visitors on both sides of the split",
    "A visitor's habits are learnt by heart and recognised in the test, which new visitors will "
    "not offer. When the whole test lies after training it is a warning: returning visitors exist.",
    "Keep a visitor in one part, or report new and returning visitors apart.",
)
LK303 = declare(
    "LK303",
    "block",
    "training rows copied into the test",
    "More test rows have an identical row in training than training rows have among themselves.",
    "Remove duplicates before the split, and split by session.",
)
LK308 = declare(
    "LK308",
    "block",
    "the test lies before its training",
    "A model that has seen the future is asked about the past.",
    "Train on the earlier part and test on the later one.",
)
LK309 = declare(
    "LK309",
    "warn",
    "train and test are mixed in time",
    "A random split in time hides drift: the model has seen days on both sides of every test row. "
    "A model in use never does.",
    "Split by time; report a random split only beside it.",
)


@check("split", "Are sessions on both sides?", LK301, needs=("test", "session"))
def sessions_on_both_sides(prep: Prepared) -> Iterator[Finding]:
    """Count sessions that train and test share, and how often their labels differ."""
    assert prep.given.session is not None
    yield from _on_both_sides(prep, prep.given.session, visitors=False)


@check("split", "Are visitors on both sides?", LK302, needs=("test", "visitor"))
def visitors_on_both_sides(prep: Prepared) -> Iterator[Finding]:
    """Count visitors that train and test share."""
    assert prep.given.visitor is not None
    if prep.given.visitor != prep.given.session:
        yield from _on_both_sides(prep, prep.given.visitor, visitors=True)


def _on_both_sides(prep: Prepared, key: str, *, visitors: bool) -> Iterator[Finding]:
    assert prep.test is not None
    ours, theirs = prep.train.table[key].dropna(), prep.test.table[key].dropna()
    names = pd.Series(theirs.unique())
    both = names[names.isin(ours.unique())]
    if not len(both):
        return
    part = len(both) / len(names)
    rows = int(theirs.isin(both).sum())
    differ = _labels_differ(prep, key, both)
    word = "visitors" if visitors else "sessions"
    text = (
        f"{len(both):,} {word} are in train and in test: {part:.1%} of the test's {len(names):,}, "
        f"{rows:,} of its {len(prep.test):,} rows"
    )
    text += "." if differ is None else f"; in {differ:.1%} of them the two labels differ."
    mild = part <= FEW or (visitors and test_is_later(prep))
    yield finding(
        LK302 if visitors else LK301,
        text,
        count=len(both),
        severity="warn" if mild else "block",
        share_of_test=round(part, 5),
        test_rows=rows,
        labels_differ=None if differ is None else round(differ, 4),
    )


def _labels_differ(prep: Prepared, key: str, both: pd.Series) -> float | None:
    """Return the share of groups whose label differs; None unless each has one row a part."""
    assert prep.test is not None
    sides: list[pd.Series] = []
    for part in (prep.train, prep.test):
        inside = part.table[key].isin(both)
        labels = pd.Series(part.y, index=part.table[key])[inside.to_numpy()]
        if not labels.index.is_unique:
            return None
        sides.append(labels)
    pairs = pd.concat(sides, axis=1, keys=["train", "test"]).dropna()
    return float((pairs["train"] != pairs["test"]).mean()) if len(pairs) else None


def test_is_later(prep: Prepared) -> bool:
    """Whether (all but 1 % of) the test lies at or after the end of training."""
    if prep.test is None:
        return False
    train, test = prep.times(prep.train), prep.times(prep.test)
    if train is None or test is None or train.isna().all() or test.isna().all():
        return False
    return bool(test.quantile(0.01) >= train.quantile(0.99))


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


def _rounded(
    values: NDArray[np.float64],
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    scale = 10.0 ** np.clip(8 - np.nan_to_num(size), -20, 20)
    return np.asarray(np.round(values * scale) / scale + 0.0, dtype=np.float64)


def twins(
    prep: Prepared,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which training rows have a twin in training, and which test rows have one there."""
    keys = row_keys(prep)
    values, at, counts = np.unique(keys[0], return_inverse=True, return_counts=True)
    inside = counts[at] > 1
    return inside, (np.isin(keys[1], values) if len(keys) > 1 else np.zeros(0, dtype=bool))


def telling_copies(prep: Prepared) -> NDArray[np.bool_]:
    """Return which test rows are a training row again, by values that nothing else shares.

    Rows of few and common values are alike by nature. A row and its twin that agree in every
    column, and in two or more of them on a value that occurs in no third row, were copied.
    """
    assert prep.test is not None
    _, across = twins(prep)
    if not across.any():
        return across
    train, test = row_keys(prep)
    at, rows = _times_seen(np.concatenate([train, test]))
    told = np.zeros(len(test), dtype=np.int64)
    for name in prep.features:
        place, values = _times_seen(
            np.concatenate([_hashed(prep.train, name), _hashed(prep.test, name)])
        )
        told += (values[place] == rows[at])[len(train) :]
    return across & (told >= 2)


def _times_seen(keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the place of each key among the distinct ones, and how often each occurs."""
    _, at, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return at, counts


@check("split", "Are training rows copied into the test?", LK303, needs=("test", "features"))
def copied_rows(prep: Prepared) -> Iterator[Finding]:
    """Compare how often a row has a twin across the split and within training."""
    assert prep.test is not None
    if len(prep.features) < 2:
        return
    within, across = twins(prep)
    a, b = share(across.sum(), len(across)), share(within.sum(), len(within))
    gap = difference(a, b)
    copies = int(telling_copies(prep).sum())
    text = (
        f"test rows ({{:.1%}}) are identical to a training row in all {len(prep.features)} features"
    )
    if gap.low > 0.05:
        yield finding(
            LK303,
            f"{int(across.sum()):,} {text.format(a.value)}; within training only {b.value:.1%} "
            "have a twin.",
            count=int(across.sum()),
            across=round(a.value, 4),
            within=round(b.value, 4),
            gap_low=round(gap.low, 4),
        )
    elif copies >= _CHANCE:
        rate = copies / len(prep.test)
        yield finding(
            LK303,
            f"{copies:,} {text.format(rate)}, two or more of them with values that no other row "
            "has: copies, not look-alikes.",
            severity="block" if rate > _SOME else "warn",
            count=copies,
            across=round(rate, 4),
        )


@check("split", "Does the test lie after its training?", LK308, LK309, needs=("test", "clock"))
def test_after_train(prep: Prepared) -> Iterator[Finding]:
    """Compare the times of both parts."""
    assert prep.test is not None
    train, test = prep.times(prep.train), prep.times(prep.test)
    if train is None or test is None or train.isna().all() or test.isna().all():
        return
    ends: dict[str, Any] = {
        "train_start": str(train.min()),
        "train_end": str(train.max()),
        "test_start": str(test.min()),
        "test_end": str(test.max()),
    }
    before = float((test < train.max()).mean())
    if test.quantile(0.95) < train.quantile(0.5):
        text = f"the test ({ends['test_start']} to {ends['test_end']}) lies before most of train."
        yield finding(LK308, text, count=len(test), before_train_end=round(before, 4), **ends)
    elif before > 0.05 and not test_is_later(prep):
        text = f"{before:.1%} of the test's rows are earlier than the last training row."
        yield finding(
            LK309, text, count=int((test < train.max()).sum()), share=round(before, 4), **ends
        )
