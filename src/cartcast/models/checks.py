"""What a training table must be before a model is fitted, and what a reader must know of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError
from cartcast.findings import Finding, declare, finding
from cartcast.models.encoding import as_frame, is_number, levels_of
from cartcast.models.table import amounts, binary_labels

__all__ = ["LEAST_ROWS", "check_table"]

LEAST_ROWS = 20
"""Fewer rows than this teach nothing that could be checked."""

FOLDED_LEVELS = 1000
"""A category with more levels is reported: most of them share the column `other`."""

UNUSABLE = declare(
    "MD121", "warn", "Features that tell nothing are left out",
    "A constant or empty feature tells nothing; often the export is broken.",
    "Drop them, or repair their source.",
)  # fmt: skip
AN_ID = declare(
    "MD122", "warn", "A feature looks like an id",
    "A value that belongs to one row lets a model learn rows by heart, which is no use later.",
    "Drop it with --drop, or name it as the group (--group) if it identifies the visitor.",
)  # fmt: skip
MANY_LEVELS = declare(
    "MD123", "note", "A category has very many values",
    "Rare values are too few to learn from; they are folded into one value `other`.",
    "Nothing to do, or group the values by meaning.",
)  # fmt: skip
A_DATE = declare(
    "MD124", "note", "A date is not a feature",
    "A moment never comes again; a model of it says nothing about later ones.",
    "Derive month, day of week or hour if they matter; name the column as the time (--time).",
)  # fmt: skip


def check_table(
    X: Any,
    y: Any,
    kind: str = "classifier",
    *,
    folds: int | None = None,
    categorical: tuple[str, ...] | list[str] | None = None,
) -> tuple[Finding, ...]:
    """Check features and target of a training table; return what to know about them.

    Raises:
        DataError: too few rows, one class, fewer positives than folds, missing labels, or no
            usable feature.
    """
    frame = as_frame(X)
    if len(frame) < LEAST_ROWS:
        raise DataError(
            f"{len(frame)} rows are too few to train on; at least {LEAST_ROWS} are needed."
        )
    if kind == "classifier":
        rarest = int(np.bincount(binary_labels(y), minlength=2).min())
        if folds is not None and rarest < folds:
            raise DataError(
                f"{folds} folds need at least {folds} rows of each class, got {rarest}; "
                "take fewer folds or more data."
            )
    else:
        amounts(y)
    forced = set(categorical or ())
    unusable: dict[str, str] = {}
    found: list[Finding] = []
    for name in (str(c) for c in frame.columns):
        column = frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            found.append(finding(A_DATE, f"{name} is a date or time; it is left out."))
            unusable[name] = "date"
        elif name not in forced and is_number(column):
            unusable |= _number(name, column, found)
        else:
            unusable |= _category(name, column, found)
    empty = {n: w for n, w in unusable.items() if w in ("constant", "all null")}
    if empty:
        shown = ", ".join(f"{n} ({w})" for n, w in list(empty.items())[:8])
        found.append(finding(UNUSABLE, f"left out: {shown}.", count=len(empty), columns=empty))
    if len(unusable) == len(frame.columns):
        raise DataError("no feature is left to learn from: all are constant, null, ids or dates.")
    return tuple(found)


def _number(name: str, column: pd.Series, found: list[Finding]) -> dict[str, str]:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    seen = values[~np.isnan(values)]
    if not len(seen):
        return {name: "all null"}
    if len(seen) == len(values) and seen.min() == seen.max():
        return {name: "constant"}
    # A null in between does not hide that the others count on.
    ahead = seen - np.flatnonzero(~np.isnan(values))
    counting = len(seen) >= max(100, 0.5 * len(values)) and bool((ahead == ahead[0]).all())
    if counting:
        text = f"{name} counts the rows 1 by 1; it is used as a number, though it says nothing."
        found.append(finding(AN_ID, text, distinct=len(seen)))
    return {}


def _category(name: str, column: pd.Series, found: list[Finding]) -> dict[str, str]:
    values = levels_of(column)
    seen = [v for v in values if v is not None]
    distinct = len(set(seen))
    if not distinct:
        return {name: "all null"}
    if distinct == 1 and len(seen) == len(values):
        return {name: "constant"}
    if distinct == len(seen) and distinct >= LEAST_ROWS:
        text = f"{name} has a different value in each of {distinct:,} rows; it is left out."
        found.append(finding(AN_ID, text, distinct=distinct))
        return {name: "an id"}
    if distinct > FOLDED_LEVELS:
        text = f"{name} has {distinct:,} values; the rare ones are folded into `other`."
        found.append(finding(MANY_LEVELS, text, distinct=distinct))
    return {}
