"""Rows of a ready table: one row per session, made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cartcast import findings as f
from cartcast.errors import DataError
from cartcast.events.time_forms import find_format
from cartcast.findings import Finding, finding
from cartcast.rows.columns import Column, words_of
from cartcast.rows.outcome import read_outcome
from cartcast.rows.rows import MOST_ROWS, Rows, sample
from cartcast.rows.table import Table, nulled, open_table

__all__ = ["from_table"]

DATES = f.declare(
    "MD105",
    "note",
    "dates of a ready table are no features",
    "A moment never comes again; a model of it cannot say anything about later ones.",
    "Derive month, weekday, hour or days since then if they matter; name the moment of the row "
    "with --time.",
)


def from_table(
    source: Any,
    target: str,
    *,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    positive: object = None,
    most_rows: int = MOST_ROWS,
    seed: int = 42,
    known: Rows | None = None,
) -> Rows:
    """Return rows from a ready table with one row per session.

    The target is a column of two values, of which `positive` names the one that counts, or of
    money. `group` names the visitor, `time` the moment of the row; neither becomes a feature, and
    nor do dates and the columns in `drop`. `known` are rows of another such table: the columns and
    the outcome are then theirs, and are read as theirs were.

    Raises:
        NotFoundError: the file is missing.
        UsageError: a named column, or the positive value, does not exist.
        DataError: the target has missing values or is neither two values nor numbers.
    """
    raw = open_table(source)
    raw.require(target, *(() if known else drop), *(c for c in (group, time) if c))
    if known is None:
        outcome = read_outcome(raw, target, positive)
        columns = {
            name: raw.read(name) for name in raw.names if name not in {target, group, time, *drop}
        }
    else:
        raw.require(*known.features)
        outcome = read_outcome(raw, target, known.positive, amount=known.positive is None)
        columns = {name: raw.read(name, known.meanings[name]) for name in known.features}
    dates = [name for name, column in columns.items() if column.meaning.kind == "time"]
    features = tuple(name for name in columns if name not in dates)
    if not features:
        also = f" (dates are none: {', '.join(dates[:3])})" if dates else ""
        raise DataError(
            f"{raw.where}: no feature column is left beside {target!r}{also}; drop fewer."
        )
    n = len(outcome.label)
    moment = _moment(raw, time) if time else pd.Series(pd.NaT, index=range(n))
    keys = pd.DataFrame(
        {
            "session_id": pd.Series(np.arange(1, n + 1)).astype(str),
            "visitor_id": words_of(raw.arrow[group]) if group else None,
            "event_order": np.nan,
            "click": np.nan,
            "anchor_time": moment,
            "known_time": moment,
            "session_start": moment,
            "position": moment.rank(method="first").astype(int) if time else np.arange(1, n + 1),
            "weight": 1.0,
            "label": outcome.label,
            "amount": outcome.label if outcome.positive is None else np.nan,
        }
    )
    values = pd.DataFrame({name: columns[name].values for name in features})
    kept, notes = sample(keys, most_rows, seed)
    if kept is not None:
        keys, values = (t[kept].reset_index(drop=True) for t in (keys, values))
    return Rows(
        keys,
        values,
        tuple(name for name in features if columns[name].meaning.kind == "word"),
        {},
        (*outcome.findings, *nulled(columns), *_dates(dates), *notes),
        {name: columns[name].meaning for name in features},
        outcome.positive,
        outcome.others,
    )


def _dates(names: Sequence[str]) -> tuple[Finding, ...]:
    if not names:
        return ()
    shown = ", ".join(names[:8])
    return (finding(DATES, f"left out as dates: {shown}.", count=len(names), columns=list(names)),)


def _moment(table: Table, name: str) -> pd.Series:
    """Return the moment of each row; a plain number (a month, an index) keeps its order."""
    column: Column = table.read(name)
    if column.meaning.kind == "word":
        words = column.values
        forms = find_format(words.dropna().head(200))[1]
        bad = words.dropna().iloc[0] if words.notna().any() else None
        why = f"either of {' and '.join(forms[:2])}" if forms else "no date"
        raise DataError(
            f"{table.where}: the time column {name!r} must hold times or ordered numbers, got "
            f"{bad!r} ({why}); give a date such as 2024-05-01, or a number that grows with time."
        )
    if column.values.isna().any():
        row = int(column.values.isna().to_numpy().argmax()) + 1
        raise DataError(f"{table.where}, row {row}: the time column {name!r} is empty there.")
    if column.meaning.kind == "number":
        # The epoch is only a carrier of the order.
        return pd.to_datetime(column.values, unit="s")
    return column.values
