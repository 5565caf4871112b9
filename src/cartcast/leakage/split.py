"""LK301 to LK309: the same session or visitor on both sides; a test before its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cartcast.findings import Finding, declare, finding
from cartcast.leakage.checks import check
from cartcast.leakage.prepared import Prepared

__all__ = ["FEW"]

FEW = 0.001
"""Share of the test's sessions up to which an overlap is a slip (`warn`) and not a wrong split."""

_LATER = 0.9
"""How often a test row is later than a training row, from which the parts are not mixed."""

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


def _later(train: pd.Series, test: pd.Series) -> float:
    """Return how often a test row is later than a training row: 0.5 in a random split.

    A visitor kept whole takes late rows into training; that is no mixture.
    """
    ours, theirs = np.sort(train.dropna().to_numpy()), test.dropna().to_numpy()
    earlier = np.searchsorted(ours, theirs, "left") + np.searchsorted(ours, theirs, "right")
    return float(earlier.mean() / 2 / len(ours))


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
    elif before > 0.05 and _later(train, test) < _LATER:
        text = f"{before:.1%} of the test's rows are earlier than the last training row."
        yield finding(
            LK309, text, count=int((test < train.max()).sum()), share=round(before, 4), **ends
        )
