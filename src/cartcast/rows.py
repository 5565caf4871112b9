"""Rows: the training table, from a log (one row an anchor) or from a ready table.

Key columns come first (`KEYS`), then the features: float64 with NaN for null, or strings with None
for null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pandas as pd

from cartcast import findings as f
from cartcast.anchors import drawn, labelled, require_outcome, settled
from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.events.sql import identifier
from cartcast.findings import Finding, finding
from cartcast.scratch import scratch

if TYPE_CHECKING:
    from cartcast.events import Log
    from cartcast.features import FeatureSet
    from cartcast.targets import Proxy, Target

__all__ = ["KEYS", "Rows", "from_log", "from_table", "read_table", "typed"]

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
        table: key columns, then features; one row an anchor (or a row of the ready table).
        features: names of the feature columns, in order.
        categorical: which of them are strings.
        dropped: rows dropped on the way, by reason.
        findings: what a reader must know about the rows.
    """

    table: pd.DataFrame
    features: tuple[str, ...]
    categorical: tuple[str, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def X(self) -> pd.DataFrame:  # noqa: N802 - the field's name for a feature matrix
        """The feature columns only."""
        return self.table[list(self.features)]


def from_log(
    log: Log,
    target: Target | Proxy,
    features: FeatureSet,
    clicks: Sequence[int],
    *,
    session_gap: float = 1800.0,
    most_rows: int = MOST_ROWS,
    seed: int = 42,
) -> Rows:
    """Return one row for each anchor of the log: its features as known then, and its label.

    Moments, labels and features are made part by part, where the log's parts are asked. Of a log in
    several parts with more than `most_rows` moments, whole visitors are drawn before any is made;
    of a log in one part, whole sessions once the rows are known.

    Raises:
        DataError: the log has no outcome of this kind, or no row is left.
    """
    require_outcome(log, target)
    share, moments = 1.0, 0
    if len(log.parts) > 1:
        moments = sum(log.map_parts(partial(_moments, clicks=clicks)))
        share = min(1.0, most_rows / max(moments, 1))
    draw = drawn(share, seed) if share < 1 else None
    made = log.map_parts(
        partial(_part_rows, target=target, features=features, clicks=clicks, draw=draw)
    )
    anchors = settled([a for a, _ in made], log, target, session_gap)
    replayed = pd.concat([r for _, r in made if len(r)], ignore_index=True)
    replayed = _plain(replayed, list(features.names))
    table = anchors.table.merge(
        replayed, on=["session_id", "event_order"], how="left", validate="one_to_one", sort=False
    )
    table = table.sort_values(["position", "event_order"], ignore_index=True)
    notes: tuple[Finding, ...]
    if draw is not None:
        notes = (_sampled(len(table), moments, "moments", share, "visitors"),)
    else:
        table, notes = _sample(table, most_rows, seed)
    names = tuple(features.names)
    return Rows(table, names, _strings(table, names), anchors.dropped, (*anchors.findings, *notes))


def _moments(part: Log, clicks: Sequence[int]) -> int:
    """Return how many events of a part are of these clicks."""
    with part.connect() as con:
        row = con.execute(
            "SELECT count(*) FROM events WHERE event_order IN (SELECT unnest(?))", [list(clicks)]
        ).fetchone()
    return int(row[0]) if row else 0


def _part_rows(
    part: Log, target: Target | Proxy, features: FeatureSet, clicks: Sequence[int],
    draw: str | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Return the anchors of a part, and the features at these clicks."""
    found = labelled(part, target, clicks, draw)
    replayed = features.replay(part, at=list(clicks)).to_pandas().drop(columns=["click"])
    if draw is not None:
        replayed = replayed[replayed["session_id"].isin(set(found["session_id"]))]
    return found, replayed


def read_table(source: Path | str | Any) -> pd.DataFrame:
    """Read a ready table: CSV (any separator, gzip, zip), Parquet, a database table, or memory.

    A text column whose values are all numbers, or all true and false, becomes numeric.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is empty, cannot be read, or a row does not have the header's shape.
    """
    from cartcast.events.engine import connect, too_deep, translate
    from cartcast.events.read import expand, open_source

    if isinstance(source, pd.DataFrame):
        return _read_frame(source, "the table")
    where = str(source) if isinstance(source, str | Path) else "the table"
    with scratch() as work, connect(work) as con:
        try:
            found = [open_source(con, one, work) for one in expand(source)]
            if len(found) != 1:
                raise UsageError(f"{where}: give one table, got {len(found)} files.")
            opened = found[0]
            if opened.broken:
                row = con.execute(
                    f"SELECT min(__row) FROM {opened.named()} WHERE __broken"
                ).fetchone()
                if row and row[0] is not None:
                    raise DataError(
                        f"{where}, row {row[0]}: has not as many columns as the header; mend the "
                        "row, or check the separator."
                    )
            names = ", ".join(identifier(c) for c in opened.columns)
            table = con.execute(f"SELECT {names} FROM {opened.named()} ORDER BY __row").df()
        except duckdb.Error as error:
            raise translate(error, where) from error
        except RecursionError as error:
            raise too_deep(where) from error
    return _read_frame(table, where)


def _read_frame(table: pd.DataFrame, where: str) -> pd.DataFrame:
    if table.empty:
        raise DataError(f"{where}: the table has no rows; give a table with one row per session.")
    if table.columns.duplicated().any():
        name = table.columns[table.columns.duplicated()][0]
        raise DataError(f"{where}: the column {name!r} is there twice; rename or drop one.")
    out = {str(name): _number(table[name]) for name in table.columns}
    for name, column in out.items():
        if pd.api.types.is_float_dtype(column):
            endless = np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
            if endless.any():
                raise DataError(
                    f"{where}, row {int(endless.argmax()) + 1}, column {name!r}: must be a finite "
                    "number or empty, got infinity."
                )
    return pd.DataFrame(out, index=table.index)


def _number(column: pd.Series) -> pd.Series:
    """Return a text column as numbers where every value is one; else as it is."""
    if pd.api.types.is_numeric_dtype(column) or not (
        pd.api.types.is_string_dtype(column) or column.dtype == object
    ):
        return column
    text = column.astype(object).where(column.notna(), None)
    if not text.map(lambda v: v is None or isinstance(v, str)).all():
        return column
    words = text.dropna().str.strip()
    words = words[words != ""]
    if words.empty:
        return column
    if words.str.lower().isin(["true", "false"]).all():
        numbers = words.str.lower().map({"true": 1.0, "false": 0.0})
    else:
        numbers = pd.to_numeric(words, errors="coerce")
        if numbers.isna().any() and not words[numbers.isna()].str.lower().isin(["nan"]).all():
            return column
    return numbers.astype("float64").reindex(column.index)


def from_table(
    source: Path | str | Any,
    target: str,
    *,
    drop: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    most_rows: int = MOST_ROWS,
    seed: int = 42,
) -> Rows:
    """Return rows from a ready table with one row per session.

    The target is a column of 0/1, true/false, or money. `group` names the visitor, `time` the
    moment of the row; neither becomes a feature, and nor do the columns in `drop`.

    Raises:
        NotFoundError: the file is missing.
        UsageError: a named column does not exist.
        DataError: the target has missing values or is not numeric.
    """
    raw = read_table(source)
    where = str(source) if isinstance(source, str | Path) else "the table"
    for name in (target, *drop, *(c for c in (group, time) if c)):
        if name not in raw.columns:
            raise UsageError(
                f"{where}: no column {name!r}.{did_you_mean(name, map(str, raw.columns))}"
            )
    label = _label(raw[target], target, where)
    names = [c for c in raw.columns if c not in {target, group, time, *drop}]
    if not names:
        raise DataError(f"{where}: no feature column is left beside {target!r}; drop fewer.")
    n = len(raw)
    moment = _moment(raw[time], time, where) if time else pd.Series(pd.NaT, index=raw.index)
    keys = pd.DataFrame(
        {
            "session_id": pd.Series(np.arange(1, n + 1), index=raw.index).astype(str),
            "visitor_id": raw[group].astype("string").astype(object) if group else None,
            "event_order": pd.Series(np.nan, index=raw.index),
            "click": pd.Series(np.nan, index=raw.index),
            "anchor_time": moment,
            "known_time": moment,
            "session_start": moment,
            "position": np.arange(1, n + 1),
            "weight": 1.0,
            "label": label,
            "amount": label if label.nunique() > 2 else np.nan,
        },
        index=raw.index,
    )
    table = pd.concat([keys, _plain(raw[names], [str(c) for c in names])], axis=1)
    table, notes = _sample(table, most_rows, seed)
    features = tuple(str(c) for c in names)
    return Rows(table, features, _strings(table, features), {}, notes)


def _label(column: pd.Series, name: str, where: str) -> pd.Series:
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"{where}: the target {name!r} is missing in {missing} of {len(column)} rows; drop "
            "those rows or give their outcome: a missing outcome is not a 0."
        )
    if column.dtype == bool:
        return column.astype("float64")
    words = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "1": 1.0, "0": 0.0}
    as_words = column.astype(str).str.strip().str.lower()
    if as_words.isin(list(words)).all():
        return as_words.map(words).astype("float64")
    label = pd.to_numeric(column, errors="coerce").astype("float64")
    if not np.isfinite(label).all():
        bad = column[~np.isfinite(label)].iloc[0]
        raise DataError(
            f"{where}: the target {name!r} must be 0/1, true/false or a finite number, got {bad!r}."
        )
    return label


def _moment(column: pd.Series, name: str, where: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        # A plain number (a month, an index) keeps its order; the epoch is only a carrier.
        return pd.to_datetime(column.astype("float64"), unit="s")
    moment = pd.to_datetime(column, errors="coerce", utc=True, format="mixed")
    if moment.isna().any():
        bad = column[moment.isna()].iloc[0]
        raise DataError(
            f"{where}: the time column {name!r} must hold times or ordered numbers, got {bad!r}; "
            "give a date such as 2024-05-01, or a number that grows with time."
        )
    return moment.dt.tz_localize(None)


def typed(table: pd.DataFrame, names: Sequence[str], categorical: Sequence[str]) -> pd.DataFrame:
    """Return the columns `names` with the types that a model was trained on.

    Raises:
        DataError: a column that was numeric in training holds text.
    """
    out = _plain(table[list(names)], [n for n in names if n not in categorical])
    for name in names:
        if name in categorical:
            text = out[name].astype(object)
            out[name] = text.where(text.isna(), text.astype(str)).where(text.notna(), None)
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


def _plain(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return the columns as float64 (NaN: null) or object strings (None: null)."""
    out = {str(c): table[c] for c in table.columns}
    for name in names:
        column = out[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            values = column.astype("float64")
            out[name] = values.where(np.isfinite(values))
        elif pd.api.types.is_datetime64_any_dtype(column):
            out[name] = column.astype("int64").astype("float64").where(column.notna()) / 1e6
        else:
            text = column.astype(object)
            out[name] = text.where(text.isna(), text.astype(str)).where(text.notna(), None)
    return pd.DataFrame(out, index=table.index)


def _strings(table: pd.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(n for n in names if not pd.api.types.is_numeric_dtype(table[n]))


def _sample(
    table: pd.DataFrame, most_rows: int, seed: int
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Keep whole sessions at random until about `most_rows` rows are left."""
    if len(table) <= most_rows:
        return table, ()
    sessions = table["session_id"].drop_duplicates()
    share = most_rows / len(table)
    kept = sessions.sample(frac=share, random_state=seed)
    sampled = table[table["session_id"].isin(set(kept))].reset_index(drop=True)
    return sampled, (_sampled(len(sampled), len(table), "rows", share, "sessions"),)


def _sampled(used: int, rows: int, said: str, share: float, of: str) -> Finding:
    return finding(
        SAMPLED,
        f"{used:,} of {rows:,} {said} are used: a random {100 * share:.3g}% of the {of}.",
        count=rows - used,
        rows=rows,
        used=used,
    )
