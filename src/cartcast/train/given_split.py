"""A split that somebody gave: a splitter of scikit-learn's, or a table of its own for the test."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError, UsageError
from cartcast.models.folds import Fold
from cartcast.models.own import one_line
from cartcast.rows import Rows, from_table
from cartcast.splits import Split
from cartcast.train.options import Options

__all__ = ["folds_of", "of_fold", "with_test"]


def folds_of(splitter: Any, rows: Rows, options: Options) -> tuple[Fold, ...]:
    """Return which rows each fold fits and judges, by their places; no row is judged twice.

    A splitter that shuffles without a seed is given the run's.

    Raises:
        UsageError: it fails, judges a row that it fits, or one row more than once.
    """
    what = f"splitter {one_line(splitter, 80)}"
    used = copy.copy(splitter)
    if getattr(used, "random_state", 0) is None and getattr(used, "shuffle", True):
        used.random_state = options.seed
    groups = None if options.group is None else rows.groups.to_numpy()
    try:
        # That a splitter takes no groups is for the audit to tell: whether it tears some apart.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            split = list(used.split(rows.X, rows.table["label"].to_numpy(), groups))
        found = [
            (np.asarray(fit, dtype=np.intp), np.asarray(held, dtype=np.intp)) for fit, held in split
        ]
    except Exception as error:
        hint = "; name the column of the groups with group=" if groups is None else ""
        raise UsageError(
            f"{what} failed: {type(error).__name__}: {one_line(error)}{hint}."
        ) from error
    judged = np.concatenate([held for _, held in found]) if found else np.empty(0)
    if len(found) < 2 or len(np.unique(judged)) != len(judged):
        raise UsageError(
            f"{what} must give at least 2 folds and judge no row twice; take one such as "
            "GroupKFold, StratifiedKFold or TimeSeriesSplit."
        )
    if any(len(np.intersect1d(fit, held)) for fit, held in found):
        raise UsageError(f"{what} judges rows that it fits; each row must be on one side.")
    return tuple(found)


def of_fold(fold: Fold, folds: Sequence[Fold], rows: Rows, options: Options) -> Split:
    """Return one fold as a split, for the audit, with the words for all of them."""
    table = rows.table
    part = pd.Series(None, index=table.index, dtype=object)
    part.iloc[fold[0]], part.iloc[fold[1]] = "train", "test"
    later = options.time is not None and all(
        table["session_start"].iloc[fit].max() <= table["session_start"].iloc[held].min()
        for fit, held in folds
    )
    judged = sum(len(held) for _, held in folds)
    words = (
        f"{len(folds)} folds of {one_line(options.splitter, 80)}: {judged:,} of {len(table):,} "
        "rows are judged, each by a model of the rows that its fold fits"
    )
    return _given("splitter", part, later, words)


def with_test(rows: Rows, options: Options) -> tuple[Rows, Split]:
    """Return the rows with those of the test table behind them, read as they were, and the split.

    Raises:
        DataError: the test has not the columns or the outcomes of the rows.
        UsageError: no row of it has the outcome.
    """
    test = from_table(
        options.test, options.target, drop=options.drop, group=options.group, time=options.time,
        most_rows=options.most_rows, seed=options.seed, known=rows,
    )  # fmt: skip
    if set(test.others) - {*rows.others, rows.positive}:
        odd = sorted(set(test.others) - {*rows.others, rows.positive})[0]
        raise DataError(
            f"the test: its {options.target!r} has the value {odd!r}, which no row to learn from "
            "has; give both tables the same outcomes."
        )
    n, more = len(rows), len(test)
    keys = test.table.assign(session_id=(test.table["session_id"].astype(int) + n).astype(str))
    table = pd.concat([rows.table, keys], ignore_index=True)
    order = table["session_start"] if options.time else pd.Series(np.arange(n + more))
    table["position"] = order.rank(method="first").astype(np.int64)
    values = pd.concat([rows.values, test.values], ignore_index=True)
    part = pd.Series(np.repeat(np.array(["train", "test"], dtype=object), [n, more]))
    words = f"a table of its own for the test: {more:,} rows beside {n:,} to learn from"
    found = (*rows.findings, *(f for f in test.findings if f.code != "MD104"))
    times = table["session_start"]
    later = options.time is not None and times.iloc[:n].max() <= times.iloc[n:].min()
    split = _given("test table", part, bool(later), words)
    return replace(rows, table=table, values=values, findings=found), split


def _given(method: str, part: pd.Series, ordered: bool, words: str) -> Split:
    name = f"{method}+time" if ordered else method
    ones = pd.Series(1.0, index=part.index)
    return Split(part, ones, name, (None, None), {"gap": 0, "visitor_overlap": 0}, words)
