"""Rows encoded once for a model that is asked of them many times, one feature changed at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.models.calibrate import Calibrated
from cartcast.models.encode import Encoder
from cartcast.models.resample import Resampled
from cartcast.models.stack import Stack
from cartcast.models.table import TableClassifier, TableRegressor

__all__ = ["EncodedRows", "encoders"]


def encoders(model: Any) -> list[Encoder] | None:
    """Return the encoders that a fitted model reads rows by; None where it reads them otherwise."""
    if isinstance(model, TableClassifier | TableRegressor):
        return [model.encoder_]
    if isinstance(model, Calibrated | Resampled):
        return encoders(getattr(model, "estimator_", getattr(model, "estimator", None)))
    if not isinstance(model, Stack):
        return None
    found = [encoders(m) for m in model.models_]
    return None if None in found else [e for part in found for e in part or ()]


class EncodedRows:
    """What models read in place of `X`: its rows, several times over, with one feature shuffled."""

    def __init__(self, asked: list[Encoder], X: pd.DataFrame, times: int) -> None:
        self._whole = {id(e): np.tile(e.transform(X), (times, 1)) for e in asked}
        self._columns = {id(e): np.asarray(e.sources(), dtype=object) for e in asked}
        self._feature, self._order = "", np.zeros(0, dtype=np.intp)

    def shuffled(self, feature: str, order: NDArray[np.intp]) -> bool:
        """Give each row the value of `feature` in the row that `order` names.

        Returns whether a model reads the feature at all.
        """
        self._feature, self._order = feature, order
        return any((columns == feature).any() for columns in self._columns.values())

    def encoded_by(self, encoder: Encoder) -> NDArray[np.float64]:
        """Return the matrix that `encoder` makes of the rows."""
        whole = self._whole[id(encoder)]
        places = np.flatnonzero(self._columns[id(encoder)] == self._feature)
        made = whole.copy()
        made[:, places] = whole[self._order[:, None], places]
        return made
