"""From a table with nulls and categories to a matrix of numbers, learnt on training rows only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from cartcast.errors import DataError, UsageError

__all__ = ["OTHER", "Encoder", "as_frame", "levels_of"]

OTHER = "other"
"""Name of the column that stands for rare and unseen values of a category."""
CHUNK = 16_384
"""Rows whose numbers are encoded together: copies of all of them would double the memory."""


def as_frame(X: Any) -> pd.DataFrame:
    """Return `X` as a DataFrame with string column names; arrays get the names x0, x1, ...

    Raises:
        UsageError: `X` is not a two-dimensional table.
    """
    if isinstance(X, pd.DataFrame):
        return X
    if hasattr(X, "to_pandas"):
        frame: pd.DataFrame = X.to_pandas()
        return frame
    array = np.asarray(X)
    if array.ndim != 2:
        raise UsageError(f"a feature table must have two dimensions, got {array.ndim}.")
    return pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])


def levels_of(column: pd.Series) -> NDArray[np.object_]:
    """Return the values of a categorical column as strings, None where null.

    Whole numbers lose their decimal point, so that 1 and 1.0 are the same level.

    >>> levels_of(pd.Series([1.0, None, 2.5])).tolist()
    ['1', None, '2.5']
    """
    codes, levels = _coded(column)
    return np.asarray([*levels, None], dtype=object)[codes]


def _coded(column: pd.Series) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """Return the place of each value among the levels, -1 where null, and the levels.

    A value is made text once, however many rows hold it; two values may be the same text.
    """
    found: Any
    if is_number(column) and not pd.api.types.is_bool_dtype(column):
        codes, found = pd.factorize(column.to_numpy(dtype=float, na_value=np.nan))
        found = [format(v + 0.0, ".15g") for v in found]
    elif pd.api.types.infer_dtype(column, skipna=True) in ("string", "boolean", "empty"):
        codes, found = pd.factorize(column)
        found = [str(v) for v in found]
    else:
        # Among values of several kinds 1, 1.0 and True would be taken for one.
        null = column.isna().to_numpy()
        texts = [str(v) for v in column.to_numpy(dtype=object)[~null]]
        codes = np.full(len(column), -1)
        codes[~null], found = pd.factorize(np.asarray(texts, dtype=object))
    return codes, np.asarray(found, dtype=object)


def is_number(column: pd.Series) -> bool:
    """Return whether a column holds numbers or truth values."""
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column))


class Encoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
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
        values = _floats(column.to_frame(name))[:, 0]
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
        scaled = _signed_log(seen) if self.scale else seen
        self.fill_[name] = float(np.median(seen))
        self.centre_[name] = float(scaled.mean())
        self.spread_[name] = float(scaled.std()) or 1.0

    def _fit_category(self, name: str, column: pd.Series) -> None:
        codes, levels = _coded(column)
        null = codes < 0
        counted = np.bincount(codes[~null], minlength=len(levels))
        counts = pd.Series(counted, index=levels).groupby(level=0).sum()
        if not len(counts):
            self.dropped_[name] = "all null"
            return
        if len(counts) == 1 and not null.any():
            self.dropped_[name] = "constant"
            return
        floor = min(self.min_rows, max(1, len(codes) // 10))
        ordered = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
        kept = [str(v) for v, n in ordered if n >= floor][: self.max_levels]
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
        frame = as_frame(X)
        missing = [n for n in (*self.numbers_, *self.levels_) if n not in frame.columns]
        if missing:
            raise DataError(f"column {missing[0]!r} is missing; the model was trained with it.")
        out = np.zeros((len(frame), len(self.get_feature_names_out())))
        marks = [n for n in self.numbers_ if self.has_null_[n] and not self.keep_nulls]
        at = len(self.numbers_) + len(marks)
        for start in range(0, len(frame), CHUNK) if self.numbers_ else ():
            rows = slice(start, start + CHUNK)
            self._put_numbers(out[rows, :at], frame.iloc[rows][self.numbers_], marks)
        for name, levels in self.levels_.items():
            at = self._one_hot(out, at, name, levels, frame[name])
        return out

    def _put_numbers(self, out: NDArray[np.float64], frame: pd.DataFrame, marks: list[str]) -> None:
        names = self.numbers_
        values = _floats(frame)
        null = np.isnan(values)
        if self.scale:
            centre, spread = ([of[n] for n in names] for of in (self.centre_, self.spread_))
            values = (_signed_log(values) - centre) / spread
        if not self.keep_nulls:
            values = np.where(null, 0.0 if self.scale else [self.fill_[n] for n in names], values)
        marked = np.isin(names, marks)
        places = np.arange(len(names)) + np.cumsum(marked) - marked
        out[:, places] = values
        out[:, places[marked] + 1] = null[:, marked]

    def _one_hot(
        self, out: NDArray[np.float64], at: int, name: str, levels: list[str], column: pd.Series
    ) -> int:
        codes, seen = _coded(column)
        other = len(levels) if self.has_other_[name] else -1
        null = len(levels) + self.has_other_[name] if self.has_null_[name] else -1
        places = pd.Index(levels, dtype=object).get_indexer(pd.Index(seen, dtype=object))
        codes = np.asarray([*np.where(places < 0, other, places), null])[codes]
        rows = np.flatnonzero(codes >= 0)
        out[rows, at + codes[rows]] = 1.0
        return at + len(levels) + self.has_other_[name] + self.has_null_[name]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the matrix columns: `price`, `price is null`, `country=PL` ..."""
        names: list[str] = []
        for name in self.numbers_:
            names.append(name)
            if self.has_null_[name] and not self.keep_nulls:
                names.append(f"{name} is null")
        for name, levels in self.levels_.items():
            names += [f"{name}={level}" for level in levels]
            names += [f"{name}={OTHER}"] if self.has_other_[name] else []
            names += [f"{name} is null"] if self.has_null_[name] else []
        return np.asarray(names, dtype=object)

    def sources(self) -> list[str]:
        """Return, for each matrix column, the table column that it comes from."""
        out: list[str] = []
        for name in self.numbers_:
            out += [name] * (1 + (self.has_null_[name] and not self.keep_nulls))
        for name, levels in self.levels_.items():
            out += [name] * (len(levels) + self.has_other_[name] + self.has_null_[name])
        return out


def _signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)


def _floats(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the columns as a matrix, NaN where null.

    Raises:
        DataError: a column holds no numbers, or infinity.
    """
    for dtype in set(frame.dtypes):
        if not is_number(pd.Series([], dtype=dtype)):
            name = frame.columns[[d == dtype for d in frame.dtypes]][0]
            raise DataError(
                f"column {name!r} held numbers in training and now holds {dtype}; convert it."
            )
    values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    if (infinite := np.isinf(values).any(axis=0)).any():
        name = frame.columns[infinite][0]
        raise DataError(f"column {name!r} holds infinity; features must be finite or null.")
    return values
