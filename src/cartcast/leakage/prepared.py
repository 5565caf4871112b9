"""The audit's view of its input: parts, label, features, samples; made once for all checks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, Literal, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.leakage.given import AuditInput

__all__ = [
    "MAX_CELLS",
    "MAX_ROWS",
    "Floats",
    "Ints",
    "Part",
    "Prepared",
    "once",
    "prepare",
    "to_pandas",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Made = TypeVar("Made")

MAX_ROWS = 40_000
"""Rows that costly checks look at: more are sampled, whole groups at a time, and reported so."""

MAX_CELLS = 2_000_000
"""Rows times columns that costly checks look at."""

_TRUE = {"true": 1.0, "yes": 1.0, "y": 1.0, "t": 1.0, "false": 0.0, "no": 0.0, "n": 0.0, "f": 0.0}


def to_pandas(table: Any) -> pd.DataFrame:
    """Return a pandas table from a pandas, Polars or Arrow one.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(table, pd.DataFrame):
        return table.reset_index(drop=True)
    if hasattr(table, "to_pandas"):
        return cast("pd.DataFrame", table.to_pandas()).reset_index(drop=True)
    raise UsageError(
        f"the audit needs a pandas, Polars or Arrow table, got {type(table).__name__}; "
        "read the file first with cartcast.rows.read_table."
    )


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the data, with its label as numbers.

    Attributes:
        name: `train` or `test`.
        table: every column given.
        y: the label, float, nan where it is missing.
    """

    name: str
    table: pd.DataFrame
    y: Floats

    def __len__(self) -> int:
        return len(self.y)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Rows whose label is known."""
        return ~np.isnan(self.y)

    @property
    def positives(self) -> int:
        """Rows with label 1."""
        return int(np.nansum(self.y > 0))


@dataclass(frozen=True, eq=False)
class Prepared:
    """What every check receives.

    Attributes:
        given: the input as it came.
        train: the rows a model learns from.
        test: the rows it is judged on, or None.
        features: names of the columns that a model may use.
        label: `two classes`, `one class` or `number`.
        made: what `once` keeps, so that it goes away with the tables.
    """

    given: AuditInput
    train: Part
    test: Part | None
    features: tuple[str, ...]
    label: Literal["two classes", "one class", "number"]
    made: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def has(self) -> dict[str, str]:
        """What cannot be asked, and which part of the input is missing for it."""
        g = self.given
        facts = {
            "test": self.test is not None,
            "session": g.session is not None,
            "visitor": g.visitor is not None,
            "group": self.group is not None,
            "time": g.time is not None,
            "clock": self.times(self.train) is not None,
            "click": g.click is not None,
            "lineage": bool(g.lineage) and g.reads is not None,
            "known": bool(g.known),
            "fitted_until": bool(g.fitted_until),
            "predictions": g.predictions is not None,
            "features": bool(self.features),
            "two classes": self.label == "two classes",
        }
        missing = {
            "test": "no test rows were given",
            "session": "no session column was named",
            "visitor": "no visitor column was named",
            "group": "no session or visitor column was named",
            "time": "no time column was named",
            "clock": "no column with a date or time was named",
            "click": "no click column was named",
            "lineage": "features and target do not say what they read",
            "known": "no feature says when it became known",
            "fitted_until": "no feature says what it was fitted on",
            "predictions": "no predictions were given",
            "features": "no feature is left",
            "two classes": "the label does not have two classes",
        }
        return {name: missing[name] for name, there in facts.items() if not there}

    @property
    def group(self) -> str | None:
        """Column of rows that belong together: the visitor, else the session."""
        return self.given.visitor or self.given.session

    @property
    def judged(self) -> Part:
        """The rows that predictions are for."""
        return self.test or self.train

    def times(self, part: Part) -> pd.Series | None:
        """Return the anchor times as naive UTC timestamps; None when there is no clock."""
        name = self.given.time
        return None if name is None else as_times(part.table[name])

    def at(self, part: Part) -> Ints:
        """Return the sorted positions of the sampled rows: known label, whole groups, seeded."""
        rows = np.flatnonzero(part.known)
        limit = self.limit
        if len(rows) <= limit:
            return rows
        rng = np.random.default_rng(self.given.seed)
        if self.group is None:
            return np.sort(rng.choice(rows, limit, replace=False))
        codes = pd.factorize(part.table[self.group])[0][rows]
        rank = rng.permutation(int(codes.max()) + 2)[codes]
        order = np.argsort(rank, kind="stable")
        return np.sort(rows[order[:limit]])

    @property
    def limit(self) -> int:
        """Rows that costly checks look at."""
        return max(min(MAX_ROWS, MAX_CELLS // max(len(self.features), 1)), 1000)

    @cached_property
    def train_at(self) -> Ints:
        """Sampled positions of `train`."""
        return self.at(self.train)

    @cached_property
    def test_at(self) -> Ints:
        """Sampled positions of `test`; empty when there is none."""
        return self.at(self.test) if self.test else np.empty(0, dtype=np.int64)

    def groups(self, part: Part, at: Ints) -> Ints:
        """Return a group number for each row of `at`; every row its own when no group is named."""
        if self.group is None:
            return np.arange(len(at))
        codes = pd.factorize(part.table[self.group])[0][at].astype(np.int64)
        alone = codes < 0
        codes[alone] = codes.max(initial=0) + 1 + np.arange(int(alone.sum()))
        return codes

    @cached_property
    def sample_groups(self) -> Ints:
        """Group of each row of the training sample: rows of one group are not news."""
        return self.groups(self.train, self.train_at)


def once(make: Callable[[Prepared], Made]) -> Callable[[Prepared], Made]:
    """Let a function of the input be computed once per audit, no matter who asks."""
    name = f"{make.__module__}.{make.__qualname__}"

    @wraps(make)
    def get(prep: Prepared) -> Made:
        if name not in prep.made:
            prep.made[name] = make(prep)
        return cast("Made", prep.made[name])

    return get


def as_times(column: pd.Series) -> pd.Series | None:
    """Return naive UTC timestamps of a column of dates or times; None when it is neither."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        naive: pd.Series = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return naive
    if pd.api.types.is_datetime64_any_dtype(column):
        return column
    if pd.api.types.is_numeric_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return None
    head = column.dropna().head(200).astype(str)
    if head.empty or not head.str.match(r"\d{4}-\d{2}-\d{2}").all():
        return None
    times = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
    return times.dt.tz_localize(None)


def prepare(given: AuditInput) -> Prepared:
    """Read the input once.

    Raises:
        UsageError: a named column is not there, or the table is of no known kind.
        DataError: there are no rows, or the label is text with more than two values.
    """
    table = to_pandas(given.train)
    test = None if given.test is None else to_pandas(given.test)
    for role in ("target", "split", "session", "visitor", "time", "click", "weight"):
        _require(table, getattr(given, role), role)
        if test is not None and role != "split":
            _require(test, getattr(given, role), role)
    if given.split is not None and test is None:
        table, test = _by_split(table, given.split)
    if not len(table) or (test is not None and not len(test)):
        raise DataError("the audit needs rows, got an empty table; check the file or the split.")
    both = [table] if test is None else [table, test]
    labels = _labels([t[given.target] for t in both], given.target)
    values = np.unique(np.concatenate(labels)[~np.isnan(np.concatenate(labels))])
    kind: Literal["two classes", "one class", "number"] = (
        "one class" if len(values) < 2 else "two classes" if set(values) == {0.0, 1.0} else "number"
    )
    features = _features(given, table)
    for name in features:
        _require(table, name, "feature")
        if test is not None:
            _require(test, name, "feature")
    parts = [Part(n, t, y) for n, t, y in zip(("train", "test"), both, labels, strict=False)]
    return Prepared(given, parts[0], parts[1] if test is not None else None, features, kind)


def _require(table: pd.DataFrame, name: str | None, role: str) -> None:
    if name is not None and name not in table.columns:
        known = [str(c) for c in table.columns]
        raise UsageError(f"no column {name!r} for the {role}.{did_you_mean(name, known)}")


def _by_split(table: pd.DataFrame, split: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    words = table[split].astype(str).str.lower()
    train, test = table[words == "train"], table[words == "test"]
    if train.empty or test.empty:
        found = ", ".join(sorted(words.unique())[:6])
        raise DataError(
            f"column {split!r} must hold the words train and test, got {found}; rename them."
        )
    return train.reset_index(drop=True), test.reset_index(drop=True)


def _features(given: AuditInput, table: pd.DataFrame) -> tuple[str, ...]:
    if given.features is not None:
        return tuple(given.features)
    roles = {given.target, given.session, given.visitor, given.weight, given.split}
    roles |= set(given.known.values())
    if given.time is not None and as_times(table[given.time]) is not None:
        roles.add(given.time)
    return tuple(str(c) for c in table.columns if c not in roles)


def _labels(columns: list[pd.Series], name: str) -> list[Floats]:
    """Return the labels as floats: 0 and 1 for two values, numbers otherwise."""
    everything = pd.concat(columns, ignore_index=True)
    values = everything.dropna().unique()
    if len(values) == 0:
        raise DataError(f"target {name!r} is missing in every row; name another with --target.")
    if not (pd.api.types.is_numeric_dtype(everything) or pd.api.types.is_bool_dtype(everything)):
        mapping = _two_words([str(v) for v in values], name)
        return [
            c.map(lambda v: mapping.get(str(v)), na_action="ignore").to_numpy(float)
            for c in columns
        ]
    numbers = sorted(float(v) for v in values)
    out: list[Floats] = [
        np.asarray(c.astype("Float64").to_numpy(dtype=float, na_value=np.nan)) for c in columns
    ]
    if len(numbers) == 2 and numbers != [0.0, 1.0]:
        top = numbers[1]
        out = [np.asarray(np.where(np.isnan(y), np.nan, y == top), np.float64) for y in out]
    return out


def _two_words(words: list[str], name: str) -> dict[str, float]:
    if len(words) > 2:
        raise DataError(
            f"target {name!r} must be numbers or have two values, got {len(words)}: "
            f"{', '.join(sorted(words)[:5])} ...; derive a column that does."
        )
    if all(re.fullmatch("|".join(_TRUE), w.lower()) for w in words):
        return {w: _TRUE[w.lower()] for w in words}
    if len(words) == 1:
        return {words[0]: 1.0}
    return {w: float(i) for i, w in enumerate(sorted(words))}
