"""Rows: the training table, from a log (one row a moment) or from a ready table.

Key columns come first (`KEYS`), then the features: float64 with NaN for null, or strings with None
for null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast import findings as f
from cartcast.errors import DataError
from cartcast.findings import Finding, finding
from cartcast.rows.columns import Meaning

__all__ = ["KEYS", "MOST_ROWS", "Rows", "plain", "sample", "sampled", "strings", "typed"]

KEYS = (
    "session_id",
    "visitor_id",
    "event_order",
    "click",
    "anchor_time",
    "known_time",
    "session_start",
    "position",
    "weight",
    "label",
    "amount",
)

SAMPLED = f.declare(
    "MD101",
    "note",
    "only a sample of the rows was used",
    "Beyond a stated number of rows, more of them cost time and memory and change little.",
    "Raise --max-rows to use more.",
)
MOST_ROWS = 2_000_000


@dataclass(frozen=True)
class Rows:
    """A training table.

    Attributes:
        table: the key columns; one row a moment (or a row of the ready table).
        values: the feature columns, row by row beside `table`, whatever they are called.
        categorical: which features are strings.
        dropped: rows dropped on the way, by reason.
        findings: what a reader must know about the rows.
        meanings: how each feature column of a ready table was read; later tables are read so.
        positive: the value of a ready table's target that counts as 1; None of an amount.
        others: its values that count as 0.
    """

    table: pd.DataFrame
    values: pd.DataFrame
    categorical: tuple[str, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    positive: str | None = None
    others: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(self.values.columns)

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name for a feature matrix
        """The features."""
        return self.values

    @property
    def y(self) -> pd.Series:
        """The label: 0 or 1, or an amount."""
        return self.table["label"]

    @property
    def groups(self) -> pd.Series:
        """Whose row it is: the visitor, or the session where the visitor is unknown.

        What `GroupKFold` must keep together.
        """
        sessions = "session:" + self.table["session_id"].astype(str)
        return self.table["visitor_id"].fillna(sessions).rename("group")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        words = f", {len(self.categorical)} of them words" if self.categorical else ""
        return f"Rows({len(self.table):,} rows, {len(self.features)} features{words})"

    def _repr_html_(self) -> str:
        head = pd.concat([self.table, self.values], axis=1).head(10).to_html(max_cols=20, border=0)
        return f"<p>{self!r}</p>{head}"


def typed(table: pd.DataFrame, names: Sequence[str], categorical: Sequence[str]) -> pd.DataFrame:
    """Return the feature columns `names` of a replayed log with the types of training.

    Raises:
        DataError: a column that was numeric in training holds text.
    """
    out = plain(table[list(names)], [n for n in names if n not in categorical])
    for name in names:
        if name in categorical:
            out[name] = _texts(out[name])
        elif not pd.api.types.is_numeric_dtype(out[name]):
            numbers = pd.to_numeric(out[name], errors="coerce").astype("float64")
            wrong = numbers.isna() & out[name].notna()
            if wrong.any():
                row = int(np.flatnonzero(wrong.to_numpy())[0]) + 1
                raise DataError(
                    f"column {name!r}, row {row}: must be a number as in training, got "
                    f"{out[name][wrong].iloc[0]!r}."
                )
            out[name] = numbers
    return out


def plain(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the columns as float64 (NaN: null) or object strings (None: null)."""
    out = {str(c): table[c] for c in table.columns}
    for name in names:
        column = out[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            values = column.astype("float64")
            out[name] = values.where(np.isfinite(values)) if np.isinf(values).any() else values
        else:
            out[name] = _texts(column)
    return pd.DataFrame(out, index=table.index, copy=False)


def _texts(column: pd.Series) -> pd.Series:
    """Return a column as object strings (None: null).

    Rows of one value share one object: a text of its own in each row would take 64 bytes.
    """
    if not isinstance(column.dtype, pd.StringDtype):
        text = column.astype(object)
        column = text.where(text.isna(), text.astype(str))
    codes, found = pd.factorize(column)
    shared = np.asarray([*map(str, found), None], dtype=object)[codes]
    return pd.Series(shared, index=column.index, name=column.name)


def strings(table: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """Return which of the columns are no numbers."""
    return tuple(n for n in names if not pd.api.types.is_numeric_dtype(table[n]))


def sample(
    table: pd.DataFrame, most_rows: int, seed: int
) -> tuple[NDArray[np.bool_] | None, tuple[Finding, ...]]:
    """Return which rows are kept, None for all: whole sessions at random, about `most_rows`."""
    if len(table) <= most_rows:
        return None, ()
    sessions = table["session_id"].drop_duplicates()
    share = most_rows / len(table)
    kept = sessions.sample(frac=share, random_state=seed)
    found = table["session_id"].isin(set(kept)).to_numpy()
    return found, (sampled(int(found.sum()), len(table), "rows", share, "sessions"),)


def sampled(used: int, rows: int, said: str, share: float, of: str) -> Finding:
    """Return the finding that only a share of the rows is used."""
    return finding(
        SAMPLED,
        f"{used:,} of {rows:,} {said} are used: a random {100 * share:.3g}% of the {of}.",
        count=rows - used,
        rows=rows,
        used=used,
    )
