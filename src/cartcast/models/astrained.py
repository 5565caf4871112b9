"""The first step of a run's pipeline: a table as it comes, read as the run's own was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from cartcast.rows import read_as_trained

__all__ = ["AsTrained"]


class AsTrained(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn any table with the columns of a run into the features that its models read.

    `features` is what `run.json` holds under that name. There is nothing to learn: the meaning of
    each column was learnt with the run.
    """

    def __init__(self, features: Mapping[str, Any]) -> None:
        self.features = features

    def fit(self, X: Any, y: Any = None) -> AsTrained:
        """Return the step as it is."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> pd.DataFrame:
        """Return the features, row by row.

        Raises:
            DataError: a column is missing, or holds other than what the run learned from.
        """
        found, _ = read_as_trained(X, self.features)
        return found.set_index(X.index) if isinstance(X, pd.DataFrame) else found

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features, in order."""
        return np.asarray(self.features["names"], dtype=object)
