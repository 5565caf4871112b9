"""A task: what is to be learned, from which rows, and which rows judge it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError
from cartcast.events import Log
from cartcast.features import FeatureSet
from cartcast.findings import Finding
from cartcast.models.declaration import Declaration
from cartcast.models.folds import Fold
from cartcast.models.sequence import EVENTS
from cartcast.rows import KEYS, Rows
from cartcast.runs.reading import Reading
from cartcast.segments import Segment
from cartcast.splits import Split
from cartcast.targets import Proxy, Target

__all__ = ["Part", "Task", "part_of", "parts_of"]


@dataclass(frozen=True)
class Part:
    """Some rows of the training table, as the models and the scores want them.

    A part is a view: it keeps the places of its rows, and cuts the features out when asked.

    Attributes:
        rows: the training table.
        index: places of its rows there.
        weight: weights, 1 on average; above 1 for visitors seen in several parts.
        events: for each row of the table, the events of its session up to it, where a model
            reads them.
    """

    rows: Rows
    index: NDArray[np.intp]
    weight: NDArray[np.float64]
    events: NDArray[np.object_] | None = field(default=None, repr=False)

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name for a feature matrix
        """Features: float64 columns (NaN: null) and string columns (None: null)."""
        return pd.DataFrame(self._columns, copy=False)

    @property
    def _columns(self) -> dict[str, Any]:
        return {str(n): column.array.take(self.index) for n, column in self.rows.values.items()}

    @cached_property
    def keys(self) -> pd.DataFrame:
        """The key columns of `rows.KEYS`, with the weights of the part."""
        found = self.rows.table[list(KEYS)].take(self.index).reset_index(drop=True)
        return found.assign(weight=self.weight)

    @cached_property
    def label(self) -> NDArray[np.float64]:
        """0/1, or money."""
        return self.keys["label"].to_numpy(dtype=np.float64)

    @cached_property
    def amount(self) -> NDArray[np.float64]:
        """Money after the moment; NaN where unknown."""
        return self.keys["amount"].to_numpy(dtype=np.float64)

    @cached_property
    def groups(self) -> NDArray[np.object_]:
        """Visitor of each row (its session where unknown), for folds and intervals."""
        alone = "session:" + self.keys["session_id"].astype(str)
        return self.keys["visitor_id"].fillna(alone).to_numpy(dtype=object)

    @property
    def position(self) -> NDArray[np.int64]:
        """Place of the row's session in the order of all."""
        return self.keys["position"].to_numpy(dtype=np.int64)

    def read(self, declaration: Declaration) -> pd.DataFrame:
        """Return what a model of this declaration reads: features, or events beside them.

        Raises:
            UsageError: it reads events, and there are none.
        """
        if declaration.reads == "features":
            return self.X
        if self.events is None:
            raise UsageError(
                f"model {declaration.name!r} reads the events of sessions; give a log, not a table."
            )
        return pd.DataFrame({**self._columns, EVENTS: self.events[self.index]}, copy=False)

    def take(self, places: NDArray[Any]) -> Part:
        """Return the rows at these places (or where this is true) as a part."""
        return replace(self, index=self.index[places], weight=self.weight[places])

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Task:
    """What is asked of the data, ready for the models.

    Attributes:
        kind: `classifier` for a 0/1 label, `regressor` for money.
        target: name, asked, kind (observed or proxy), describe, horizon.
        rows: the training table.
        split: which row belongs to which part.
        train: the rows that models learn from; folds inside them choose and calibrate.
        test: the rows that the figures are of; no model of these figures saw them.
        source: files, layout, licence, and what its log is like.
        data: counts of the source.
        units: unit of each feature ("" where it has none).
        findings: what is known before a model is fitted.
        log: the event log, or None for a ready table.
        reading: how it was read.
        outcome: what is to be learned of it.
        features: the feature set, or None for a ready table.
        proposed: why each feature is there, where they were proposed from the log.
        segment: whose sessions the rows are of; None is all.
        folds: for a ready table: the places of the rows that each fold fits and judges, or None;
            `train` then holds all rows, and `test` those that are judged.
    """

    kind: Literal["classifier", "regressor"]
    target: Mapping[str, Any]
    rows: Rows
    split: Split
    train: Part
    test: Part
    source: Mapping[str, Any]
    data: Mapping[str, Any]
    units: Mapping[str, str]
    findings: tuple[Finding, ...] = ()
    log: Log | None = None
    reading: Reading | None = None
    outcome: Target | Proxy | None = None
    features: FeatureSet | None = None
    proposed: Mapping[str, Any] | None = None
    segment: Segment | None = None
    folds: tuple[Fold, ...] | None = None

    @property
    def ordered(self) -> bool:
        """Whether the test follows the train rows in time."""
        named = ("time+visitor", "order+visitor")
        return self.split.method in named or self.split.method.endswith("+time")

    @property
    def everything(self) -> Part:
        """All rows whose labels are known, for the refit; a test table is for judging only."""
        if self.split.method.startswith("test table"):
            return self.train
        table = self.rows.table
        weight = table["weight"].to_numpy(dtype=np.float64)
        return replace(self.train, index=np.arange(len(table)), weight=weight)

    @property
    def fingerprint(self) -> str:
        """Hash of the feature declarations, or of the names of a ready table's columns."""
        if self.features is not None:
            return self.features.fingerprint
        names = "\n".join(f"{n}:{n in self.rows.categorical}" for n in self.rows.features)
        return hashlib.sha256(names.encode()).hexdigest()


def part_of(rows: Rows, keep: pd.Series, weight: pd.Series | None = None) -> Part:
    """Return the rows where `keep` is true as a part."""
    index = np.flatnonzero(keep.to_numpy(dtype=bool))
    given = rows.table["weight"] if weight is None else weight
    return Part(rows, index, given.to_numpy(dtype=np.float64)[index])


def parts_of(rows: Rows, split: Split) -> tuple[Part, Part]:
    """Return the rows to learn from (train and validation) and those of the test.

    Raises:
        DataError: the rows to learn from have one label only.
    """
    train = part_of(rows, split.part.isin(["train", "validation"]), split.weight)
    if train.label.max() == train.label.min():
        raise DataError(
            f"all {len(train)} train rows have the label {train.label[0]:g}; a model needs both "
            f"outcomes: give more data, or another target.{_only_late(rows, train)}"
        )
    return train, part_of(rows, split.part == "test", split.weight)


def _only_late(rows: Rows, train: Part) -> str:
    found = rows.table.loc[rows.table["label"] > 0, "anchor_time"]
    if train.label.any() or found.isna().all():
        return ""
    return f" The outcome appears from {found.min():%Y-%m-%d} on only."
