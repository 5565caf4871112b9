"""What the audit is given: plain tables, names of roles, and declarations where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = ["AuditInput", "HasLineage"]


class HasLineage(Protocol):
    """What a feature or a target's rule reads.

    `columns` are canonical columns (empty: it only counts events); `event_types` None means all;
    `window` is "session so far", "visitor before session", "after the anchor" or "whole session".
    """

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the event that are read."""

    @property
    def event_types(self) -> frozenset[str] | None:
        """Types of event that are read; None is all."""

    @property
    def window(self) -> str:
        """The part of the session or of the visitor's past that is read."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditInput:
    """Everything that the audit may look at; only `train` and `target` are needed.

    Tables are pandas, Polars or Arrow; names are names of columns. What is not given is not
    checked, and the report says so.

    Attributes:
        train: the rows a model learns from; or all rows, when `split` tells the parts apart.
        target: column of the label: two values, or numbers.
        test: the rows it is judged on.
        split: column of `train` with the words train, validation and test.
        features: columns that the model may use; None is every column without another role.
        session: column naming the session of a row.
        visitor: column naming the visitor of a row.
        time: column with the time of the anchor, or an ordered period such as a month.
        click: column with the click number of the anchor.
        weight: column with the row's weight.
        known: for a feature, the column that says when its value became known.
        fitted_until: for a feature, the time of the last row that it was fitted on.
        lineage: for a feature, what it reads.
        reads: what the target's rule reads.
        kind: whether the target was observed or is a declared rule standing in for it.
        describe: the target in words.
        clock: what the source's clock can tell (`time`, `day`, `session`, `order`).
        horizon: seconds after the anchor that the label looks at.
        data_end: time of the last event in the source.
        dropped: rows left out while the table was made, by reason (`censored`, ...).
        predictions: the model's scores for the rows of `test` (of `train` when there is none).
        baseline: the baseline's scores for the same rows.
        seed: seed of the samples and folds.
    """

    train: Any
    target: str
    test: Any = None
    split: str | None = None
    features: Sequence[str] | None = None
    session: str | None = None
    visitor: str | None = None
    time: str | None = None
    click: str | None = None
    weight: str | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    fitted_until: Mapping[str, Any] = field(default_factory=dict)
    lineage: Mapping[str, HasLineage] = field(default_factory=dict)
    reads: HasLineage | None = None
    kind: Literal["observed", "proxy"] | None = None
    describe: str = ""
    clock: str | None = None
    horizon: float | None = None
    data_end: Any = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    predictions: Any = None
    baseline: Any = None
    seed: int = 42
