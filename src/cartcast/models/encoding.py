"""What an encoder has learnt, applied: a table as a matrix of numbers, without scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError

__all__ = ["CHUNK", "OTHER", "Encoding", "as_frame", "coordinates", "floats", "is_number",
           "levels_of", "signed_log", "text_codes"]  # fmt: skip

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
    codes, levels = text_codes(column)
    return np.asarray([*levels, None], dtype=object)[codes]


def text_codes(column: pd.Series) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
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


def is_number(column: Any) -> bool:
    """Return whether a column (or one of this dtype) holds numbers or truth values."""
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column))


class Encoding:
    """The columns that an encoder makes, in order; `Encoder` says how, and learns them.

    Attributes:
        numbers_: names of the numeric columns in use.
        levels_: for each category in use, its levels in column order.
        has_null_, has_other_: which of them had nulls in training, and rare values.
        fill_, centre_, spread_: of each number in use.
    """

    scale: bool
    keep_nulls: bool
    numbers_: list[str]
    levels_: dict[str, list[str]]
    has_other_: dict[str, bool]
    has_null_: dict[str, bool]
    fill_: dict[str, float]
    centre_: dict[str, float]
    spread_: dict[str, float]

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Encoding:
        """Return the encoding that `models.export` wrote."""
        made = cls()
        made.scale, made.keep_nulls = meta["scale"], meta["keep_nulls"]
        made.numbers_ = [d["name"] for d in meta["numbers"]]
        made.levels_ = {d["name"]: d["levels"] for d in meta["categories"]}
        made.has_other_ = {d["name"]: d["other"] for d in meta["categories"]}
        made.has_null_ = {d["name"]: d["marks_null"] for d in meta["numbers"]}
        made.has_null_ |= {d["name"]: d["null"] for d in meta["categories"]}
        made.fill_, made.centre_, made.spread_ = (
            {d["name"]: d[part] for d in meta["numbers"]} for part in ("fill", "centre", "spread")
        )
        return made

    def matrix(self, X: Any) -> NDArray[np.float64]:
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
        values = floats(frame)
        null = np.isnan(values)
        if self.scale:
            centre, spread = ([of[n] for n in names] for of in (self.centre_, self.spread_))
            values = (signed_log(values) - centre) / spread
        if not self.keep_nulls:
            values = np.where(null, 0.0 if self.scale else [self.fill_[n] for n in names], values)
        marked = np.isin(names, marks)
        places = np.arange(len(names)) + np.cumsum(marked) - marked
        out[:, places] = values
        out[:, places[marked] + 1] = null[:, marked]

    def _one_hot(
        self, out: NDArray[np.float64], at: int, name: str, levels: list[str], column: pd.Series
    ) -> int:
        codes, seen = text_codes(column)
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


def signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of 1 + |value|, with the sign of the value."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)


def floats(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the columns as a matrix, NaN where null.

    Raises:
        DataError: a column holds no numbers, or infinity.
    """
    for dtype in set(frame.dtypes):
        if not is_number(dtype):
            name = frame.columns[[d == dtype for d in frame.dtypes]][0]
            raise DataError(
                f"column {name!r} held numbers in training and now holds {dtype}; convert it."
            )
    if all(dtype == np.float64 for dtype in set(frame.dtypes)):
        values = frame.to_numpy()
    else:
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    if (infinite := np.isinf(values).any(axis=0)).any():
        name = frame.columns[infinite][0]
        raise DataError(f"column {name!r} holds infinity; features must be finite or null.")
    return values


def coordinates(space: Any, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return where sessions lie in a `Space` (or what its exported form holds), row by row.

    Raises:
        DataError: a column is missing.
    """
    names = (*space.counts_, *space.shares_, *space.categories_)
    missing = [n for n in names if n not in frame.columns]
    if missing:
        raise DataError(f"column {missing[0]!r} is missing; the segments were made with it.")
    columns: list[NDArray[np.float64]] = []
    for name in (*space.counts_, *space.shares_):
        values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        values = np.where(np.isfinite(values), values, space.fill_[name])
        if name in space.centre_:
            scaled = (signed_log(values) - space.centre_[name]) / space.spread_[name]
            columns.append(scaled * space.count_weight)
        else:
            columns.append(values * space.share_weight)
    for name, levels in space.categories_.items():
        found = levels_of(frame[name])
        columns += [(found == level).astype(np.float64) * space.share_weight for level in levels]
    return np.column_stack(columns)
