"""Parts: the rows of train, validation and test, as the models and the scores want them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError, UsageError
from cartcast.models.declaration import Declaration
from cartcast.rows import Rows
from cartcast.splits import PARTS, Split

__all__ = ["Part", "cut", "describe_parts"]


@dataclass(frozen=True)
class Part:
    """The rows of one part.

    Attributes:
        X: features; float64 columns (NaN: null) and string columns (None: null).
        label: 0/1, or money.
        amount: money after the anchor; NaN where unknown.
        weight: weights, 1 on average; above 1 for visitors seen in several parts.
        groups: visitor of each row (its session where unknown), for intervals.
        table: the key columns of `rows.KEYS`.
        events: for each row, the events of its session up to it, where a model reads them.
    """

    X: pd.DataFrame
    label: NDArray[np.float64]
    amount: NDArray[np.float64]
    weight: NDArray[np.float64]
    groups: NDArray[np.object_]
    table: pd.DataFrame
    events: pd.DataFrame | None = None

    def seen_by(self, declaration: Declaration) -> Part:
        """Return the part with what a model of this declaration reads as `X`.

        Raises:
            UsageError: it reads events, and there are none.
        """
        if declaration.reads == "features":
            return self
        if self.events is None:
            raise UsageError(
                f"model {declaration.name!r} reads the events of sessions; give a log, not a table."
            )
        return replace(self, X=self.events)

    def __len__(self) -> int:
        return len(self.label)


def part_of(rows: Rows, keep: pd.Series) -> Part:
    """Return the rows where `keep` is true as a part."""
    table = rows.table[keep]
    visitor = table["visitor_id"].fillna("session:" + table["session_id"].astype(str))
    return Part(
        X=table[list(rows.features)].reset_index(drop=True),
        label=table["label"].to_numpy(dtype=np.float64),
        amount=table["amount"].to_numpy(dtype=np.float64),
        weight=table["weight"].to_numpy(dtype=np.float64),
        groups=visitor.to_numpy(dtype=object),
        table=table.drop(columns=list(rows.features)).reset_index(drop=True),
    )


def cut(rows: Rows, split: Split) -> dict[str, Part]:
    """Return the parts of a split by name.

    Raises:
        DataError: train or validation lacks one of two classes.
    """
    table = rows.table.assign(weight=split.weight)
    weighted = Rows(table, rows.features, rows.categorical, rows.dropped, rows.findings)
    parts = {name: part_of(weighted, split.part == name) for name in PARTS}
    for name in ("train", "validation"):
        if parts[name].label.max() == parts[name].label.min():
            raise DataError(
                f"all {len(parts[name])} {name} rows have the label {parts[name].label[0]:g}; a "
                "model needs both outcomes in every part: give more data, or another target."
            )
    return parts


def describe_parts(parts: dict[str, Part]) -> dict[str, dict[str, object]]:
    """Return sizes and period of each part, for `run.json`."""
    out: dict[str, dict[str, object]] = {}
    for name, part in parts.items():
        time = part.table["anchor_time"]
        known = time.notna().any()
        out[name] = {
            "rows": len(part),
            "sessions": int(part.table["session_id"].nunique()),
            "visitors": len(pd.unique(part.groups)),
            "positives": int((part.label > 0).sum()),
            "positive_sessions": int(part.table.loc[part.label > 0, "session_id"].nunique()),
            "start": time.min().isoformat() if known else None,
            "end": time.max().isoformat() if known else None,
        }
    return out
