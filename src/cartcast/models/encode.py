"""From a table with nulls and categories to a matrix of numbers, learnt on training rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from cartcast.errors import DataError
from cartcast.models.encoding import (
    Encoding,
    as_frame,
    floats,
    is_number,
    signed_log,
    text_codes,
)

__all__ = ["Encoder"]


class Encoder(Encoding, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode a table as a dense float64 matrix.

    Numbers stay as they are, or become standardised signed logarithms (`scale`). Nulls stay NaN
    (`keep_nulls`) or become the median (0 after scaling) beside a column that marks them.
    A category becomes one column per level with at least `min_rows` training rows, the
    `max_levels` most frequent ones; the others, and values never seen, share the column `other`;
    null has a column of its own if training had one. Columns that cannot inform (constant, all
    null, all values rare, dates) are left out and named in `dropped_`.

    Attributes:
        numbers_: names of the numeric columns in use.
        levels_: for each category in use, its levels in column order.
        dropped_: column to the reason why it is not used.
    """

    def __init__(
        self,
        scale: bool = False,
        keep_nulls: bool = True,
        categorical: tuple[str, ...] | None = None,
        max_levels: int = 40,
        min_rows: int = 10,
    ) -> None:
        self.scale = scale
        self.keep_nulls = keep_nulls
        self.categorical = categorical
        self.max_levels = max_levels
        self.min_rows = min_rows

    def fit(self, X: Any, y: Any = None) -> Encoder:
        """Learn levels, medians, means and deviations from training rows."""
        frame = as_frame(X)
        self.feature_names_in_ = np.asarray([str(c) for c in frame.columns], dtype=object)
        self.n_features_in_ = frame.shape[1]
        self.numbers_: list[str] = []
        self.levels_: dict[str, list[str]] = {}
        self.has_other_: dict[str, bool] = {}
        self.has_null_: dict[str, bool] = {}
        self.dropped_: dict[str, str] = {}
        self.fill_: dict[str, float] = {}
        self.centre_: dict[str, float] = {}
        self.spread_: dict[str, float] = {}
        forced = set(self.categorical or ())
        for name in self.feature_names_in_:
            column = frame[name]
            if pd.api.types.is_datetime64_any_dtype(column):
                self.dropped_[name] = "a date or time"
            elif name in forced or not is_number(column):
                self._fit_category(name, column)
            else:
                self._fit_number(name, column)
        if not self.numbers_ and not self.levels_ and len(frame.columns):
            reasons = ", ".join(f"{k}: {v}" for k, v in list(self.dropped_.items())[:3])
            raise DataError(f"no feature is left to learn from ({reasons}); give other columns.")
        return self

    def _fit_number(self, name: str, column: pd.Series) -> None:
        values = column.to_numpy() if column.dtype == np.float64 else None
        if values is None or np.isinf(values).any():
            values = floats(column.to_frame(name))[:, 0]
        seen = values[~np.isnan(values)]
        if not len(seen):
            self.dropped_[name] = "all null"
            return
        nulls = len(seen) < len(values)
        if seen.min() == seen.max() and not nulls:
            self.dropped_[name] = "constant"
            return
        self.numbers_.append(name)
        self.has_null_[name] = nulls
        scaled = signed_log(seen) if self.scale else seen
        self.fill_[name] = float(np.median(seen))
        self.centre_[name] = float(scaled.mean())
        self.spread_[name] = float(scaled.std()) or 1.0

    def _fit_category(self, name: str, column: pd.Series) -> None:
        codes, levels = text_codes(column)
        null = codes < 0
        counted = np.bincount(codes[~null], minlength=len(levels))
        counts: dict[str, int] = {}
        for level, rows in zip(levels, counted.tolist(), strict=True):
            counts[level] = counts.get(level, 0) + rows
        if not counts:
            self.dropped_[name] = "all null"
            return
        if len(counts) == 1 and not null.any():
            self.dropped_[name] = "constant"
            return
        floor = min(self.min_rows, max(1, len(codes) // 10))
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        kept = [level for level, n in ordered if n >= floor][: self.max_levels]
        if not kept and not null.any():
            self.dropped_[name] = "no value repeats enough (an id?)"
            return
        self.levels_[name] = kept
        self.has_other_[name] = len(kept) < len(counts)
        self.has_null_[name] = bool(null.any())

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Return the matrix, shape (rows, `len(get_feature_names_out())`).

        Raises:
            DataError: a column that training had is missing, or holds infinity.
        """
        return X.encoded_by(self) if hasattr(X, "encoded_by") else self.matrix(X)

    def sources(self) -> list[str]:
        """Return, for each matrix column, the table column that it comes from."""
        out: list[str] = []
        for name in self.numbers_:
            out += [name] * (1 + (self.has_null_[name] and not self.keep_nulls))
        for name, levels in self.levels_.items():
            out += [name] * (len(levels) + self.has_other_[name] + self.has_null_[name])
        return out
