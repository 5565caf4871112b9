"""A question: what is to be learned, from which rows, in which parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cartcast.events import Log
from cartcast.features import FeatureSet
from cartcast.rows import Rows
from cartcast.runs.reading import Reading
from cartcast.splits import Split
from cartcast.train.parts import Part

__all__ = ["Question"]


@dataclass(frozen=True)
class Question:
    """What is asked of the data, ready for the models.

    Attributes:
        kind: `classifier` for a 0/1 label, `regressor` for money.
        target: name, asked, kind (observed or proxy), describe, horizon.
        rows: the training table.
        split: which row belongs to which part.
        parts: the rows of train, validation and test.
        source: files, layout, licence, and what its log is like.
        data: counts of the source.
        units: unit of each feature ("" where it has none).
        log: the event log, or None for a ready table.
        reading: how it was read.
        features: the feature set, or None for a ready table.
    """

    kind: Literal["classifier", "regressor"]
    target: Mapping[str, Any]
    rows: Rows
    split: Split
    parts: dict[str, Part]
    source: Mapping[str, Any]
    data: Mapping[str, Any]
    units: Mapping[str, str]
    log: Log | None = None
    reading: Reading | None = None
    features: FeatureSet | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the feature declarations, or of the names of a ready table's columns."""
        if self.features is not None:
            return self.features.fingerprint
        import hashlib

        names = "\n".join(f"{n}:{n in self.rows.categorical}" for n in self.rows.features)
        return hashlib.sha256(names.encode()).hexdigest()
