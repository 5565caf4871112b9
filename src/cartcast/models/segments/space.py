"""The space in which sessions are compared: counts as logarithms, shares as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from cartcast.errors import DataError
from cartcast.models.encoding import as_frame, coordinates, is_number, levels_of, signed_log

__all__ = ["CALENDAR", "Space"]

Floats = NDArray[np.float64]

CALENDAR = frozenset(
    {"month", "day_of_week", "day", "week", "hour", "weekend", "click", "event_order", "weight"}
)
"""Columns that tell when a session was, or which row it is, and not what a visitor did."""


class Space(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn a session table into coordinates of comparable size.

    A numeric column within 0 and 1 is a share: it stays, times `share_weight`. Any other is a
    count or an amount: signed logarithm, standardised, times `count_weight`. A category with at
    most `max_levels` levels becomes 0/1 columns with the weight of a share. Null becomes the
    median. Constant, all-null, calendar and many-valued columns are left out, see `dropped_`.

    Attributes:
        counts_, shares_, categories_: names in use.
        dropped_: column to the reason why it is not used.
    """

    def __init__(
        self,
        columns: tuple[str, ...] | None = None,
        share_weight: float = 3.0,
        count_weight: float = 1.0,
        max_levels: int = 12,
    ) -> None:
        self.columns = columns
        self.share_weight = share_weight
        self.count_weight = count_weight
        self.max_levels = max_levels

    def fit(self, X: Any, y: Any = None) -> Space:
        """Learn which column is what, its median, centre and spread.

        Raises:
            DataError: a named column is missing, or nothing is left to compare sessions by.
        """
        frame = as_frame(X)
        names = list(self.columns) if self.columns is not None else list(frame.columns)
        missing = [n for n in names if n not in frame.columns]
        if missing:
            raise DataError(f"segment column {missing[0]!r} is not in the table.")
        self.counts_: list[str] = []
        self.shares_: list[str] = []
        self.categories_: dict[str, list[str]] = {}
        self.dropped_: dict[str, str] = {}
        self.fill_: dict[str, float] = {}
        self.centre_: dict[str, float] = {}
        self.spread_: dict[str, float] = {}
        for name in names:
            if self.columns is None and name in CALENDAR:
                self.dropped_[name] = "calendar"
            elif is_number(frame[name]):
                self._fit_number(name, frame[name].to_numpy(dtype=np.float64, na_value=np.nan))
            else:
                self._fit_category(name, levels_of(frame[name]))
        if not self.counts_ and not self.shares_ and not self.categories_:
            raise DataError("no column is left to compare sessions by; name others.")
        return self

    def _fit_number(self, name: str, values: Floats) -> None:
        seen = values[np.isfinite(values)]
        if not len(seen) or seen.min() == seen.max():
            self.dropped_[name] = "constant" if len(seen) else "all null"
            return
        self.fill_[name] = float(np.median(seen))
        if seen.min() >= 0 and seen.max() <= 1:
            self.shares_.append(name)
            return
        self.counts_.append(name)
        logs = signed_log(seen)
        self.centre_[name], self.spread_[name] = float(logs.mean()), float(logs.std())

    def _fit_category(self, name: str, values: NDArray[np.object_]) -> None:
        levels = sorted({str(v) for v in values if v is not None})
        if len(levels) < 2 or len(levels) > self.max_levels:
            self.dropped_[name] = f"{len(levels)} levels"
            return
        self.categories_[name] = levels

    def transform(self, X: Any) -> Floats:
        """Return coordinates, shape (sessions, dimensions).

        Raises:
            DataError: a column is missing.
        """
        return coordinates(self, as_frame(X))
