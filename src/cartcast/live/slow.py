"""A champion that cannot be written as arrays, asked through scikit-learn: right, but slow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cartcast.errors import UsageError
from cartcast.features import FeatureSet
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.live.fold import Row
from cartcast.models.own import OwnClassifier

__all__ = ["SlowModel"]


class SlowModel:
    """The Python model over a data frame of one row: milliseconds a score.

    Raises:
        UsageError: a model of the user's own reads words in a way of its own: live states hold
            words as hashes, and only those that an `Encoder` learnt can be told back.
    """

    def __init__(self, model: Any, features: FeatureSet) -> None:
        words = [n for n, t in zip(features.names, features.program.text, strict=True) if t]
        for part in _parts(model):
            if words and isinstance(part, OwnClassifier) and part.encoder is None:
                raise UsageError(
                    f"the champion {part.name!r} prepares words itself ({', '.join(words[:3])}), "
                    "and a live service has their hashes only; score with `cartcast predict`, or "
                    "train it without a pipeline of its own, or without these features (drop=)."
                )
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
    return {
        hash_text(str(level)): str(level)
        for part in _parts(model)
        for levels in getattr(part, "levels_", {}).values()
        for level in levels
    }


def _parts(model: Any) -> Iterator[Any]:
    """Yield a model and the models and encoders inside it."""
    seen: set[int] = set()
    stack = [model]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        names = ("estimator", "estimator_", "encoder_", "final_")
        stack += [getattr(part, n) for n in names if getattr(part, n, None) is not None]
        for name in ("estimators_", "models_"):
            inner = getattr(part, name, None) or ()
            stack += inner.values() if isinstance(inner, Mapping) else list(inner)
