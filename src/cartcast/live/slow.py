"""A champion that cannot be written as arrays, asked through scikit-learn: right, but slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cartcast.features import FeatureSet
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.live.fold import Row

__all__ = ["SlowModel"]


class SlowModel:
    """The Python model over a data frame of one row: about a millisecond a score."""

    def __init__(self, model: Any, features: FeatureSet) -> None:
        self._model = model
        self._features = features
        self._levels = _levels(model)

    def probability(self, row: Row) -> float:
        """Return the calibrated probability."""
        import pandas as pd

        words = row.in_order()
        numbers = words.view(np.float64).tolist()
        columns: dict[str, Any] = {}
        for k, name in enumerate(self._features.names):
            if self._features.program.text[k]:
                word = int(words[k])
                text = None if word == NOTHING else self._levels.get(word, "\x00not in training")
                columns[name] = pd.Series([text], dtype=object)
            else:
                columns[name] = pd.Series([numbers[k]])
        return float(self._model.predict_proba(pd.DataFrame(columns))[0, 1])


def _levels(model: Any) -> dict[int, str]:
    """Return every level that a model knows by hash; others are the same to it."""
    found: dict[int, str] = {}
    seen: set[int] = set()
    stack = [model]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        for levels in getattr(part, "levels_", {}).values():
            found.update({hash_text(str(level)): str(level) for level in levels})
        names = ("estimator", "estimator_", "encoder_", "final_")
        stack += [getattr(part, n) for n in names if getattr(part, n, None) is not None]
        for name in ("estimators_", "models_"):
            inner = getattr(part, name, None) or ()
            stack += inner.values() if isinstance(inner, Mapping) else list(inner)
    return found
