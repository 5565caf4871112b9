"""Read a ready table: any file, database table or table in memory, as columns with a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cartcast import findings as f
from cartcast.errors import DataError, UsageError, did_you_mean
from cartcast.events.packed import allowed
from cartcast.events.read import Source
from cartcast.events.sql import identifier
from cartcast.findings import Finding, finding
from cartcast.rows.columns import Arrow, Column, Meaning, decoded, is_text, read_column
from cartcast.scratch import scratch

__all__ = ["Table", "called", "called_source", "open_table", "read_as_trained", "read_table"]

NULLED = f.declare(
    "MD103",
    "note",
    "words that are no numbers were read as missing",
    "A `?` among numbers says that the value is missing; taken as a word it would make each number "
    "a category of its own.",
    "Nothing to do if the words mean missing; else drop the column, or give its values as numbers.",
)


@dataclass(frozen=True)
class Table:
    """A ready table: Arrow columns by name, not yet read.

    Attributes:
        where: what to call it in messages.
        arrow: its columns.
    """

    where: str
    arrow: pa.Table

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.arrow.column_names)

    def require(self, *names: str) -> None:
        """Refuse a column that is not there.

        Raises:
            UsageError: with the nearest name.
        """
        for name in names:
            if name not in self.names:
                raise UsageError(
                    f"{self.where}: no column {name!r}.{did_you_mean(str(name), self.names)}"
                )

    def read(self, name: str, known: Meaning | None = None) -> Column:
        """Return one column, read.

        Raises:
            DataError: it holds infinity, or is not what is known of it.
        """
        try:
            column = read_column(self.arrow[name], known)
        except DataError as error:
            raise DataError(f"{self.where}: column {name!r}, {error}") from None
        if column.meaning.kind == "number":
            endless = np.isinf(column.values.to_numpy())
            if endless.any():
                raise DataError(
                    f"{self.where}, row {int(endless.argmax()) + 1}, column {name!r}: must be a "
                    "finite number or empty, got infinity."
                )
        return column


def called(source: Any) -> str:
    """Return what to call a source in messages."""
    return str(source) if isinstance(source, str | Path) else "the table"


def called_source(source: Any) -> str:
    """Return what a run calls a source of its."""
    return str(source) if isinstance(source, str | Path) else "a table in memory"


def read_table(source: Any) -> pd.DataFrame:
    """Return a ready table as numbers (int64 or float64), words (text or None) and times (UTC).

    CSV (any separator, gzip, zip), Parquet, a database table, or a pandas, Polars or Arrow table:
    the same values give the same columns.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is empty, cannot be read, or a row does not have the header's shape.
    """
    table = open_table(source)
    return pd.DataFrame({name: _whole(table.read(name).values) for name in table.names})


def read_as_trained(
    source: Any, features: Mapping[str, Any]
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return a run's feature columns, read as its own table was, and what was found in them.

    `features` is what `run.json` holds under that name.

    Raises:
        NotFoundError: there is no such file.
        DataError: a column is missing, or holds other than what the run learned from.
    """
    table = open_table(source)
    columns: dict[str, Column] = {}
    told = features.get("meanings") or {}
    for name in features["names"]:
        if name not in table.names:
            raise DataError(
                f"{table.where}: the table has no column {name!r}, which the model reads."
                f"{did_you_mean(name, table.names)}"
            )
        # A run from before meanings were kept says at least which columns are words.
        older = Meaning("word" if name in features["categorical"] else "number")
        known = Meaning.from_dict(told[name]) if name in told else older
        columns[name] = table.read(name, known)
    values = {name: column.values for name, column in columns.items()}
    return pd.DataFrame(values), nulled(columns)


def nulled(columns: Mapping[str, Column]) -> tuple[Finding, ...]:
    """Return the finding that words of some columns were read as null, if any were."""
    found = {name: dict(c.nulled) for name, c in columns.items() if c.nulled}
    if not found:
        return ()
    shown = "; ".join(
        f"{name}: {', '.join(f'{w!r} ({n:,})' for w, n in list(words.items())[:3])}"
        for name, words in list(found.items())[:5]
    )
    more = f" and {len(found) - 5} more columns" if len(found) > 5 else ""
    count = sum(n for words in found.values() for n in words.values())
    said = f"{count:,} values among numbers or dates are read as missing ({shown}{more})."
    return (finding(NULLED, said, count=count, words=found),)


def open_table(source: Any) -> Table:
    """Return a ready table as Arrow columns.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is several files, or nothing that holds a table.
        DataError: it is empty or cannot be read, or a name comes twice.
    """
    from cartcast.events.engine import connect, too_deep, translate
    from cartcast.events.read import expand, open_source

    where = called(source)
    with scratch() as work, connect(work) as con:
        try:
            found = list(expand(source)) if isinstance(source, str | Path) else [source]
            if len(found) != 1:
                raise UsageError(f"{where}: give one table, got {len(found)} files.")
            opened = None
            if isinstance(found[0], str | Path):
                opened = open_source(con, found[0], Path(work))
                if opened.kind == "table" and Path(found[0]).is_file():
                    _require_room(con, Path(found[0]), opened)
            arrow = _in_memory(found[0])
            if arrow is None:
                opened = opened or open_source(con, found[0], Path(work))
                arrow = _selected(con, opened, where)
            else:
                arrow = _flattened(con, arrow, where)
        except duckdb.Error as error:
            raise translate(error, where) from error
        except RecursionError as error:
            raise too_deep(where) from error
    names = arrow.column_names
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{where}: the column {twice[0]!r} is there twice; rename or drop one.")
    if not arrow.num_rows:
        raise DataError(f"{where}: the table has no rows; give a table with one row per session.")
    return Table(where, arrow)


def _in_memory(source: Any) -> pa.Table | None:
    """Return a table in memory, or a plain Parquet file, as Arrow; None of other files.

    Raises:
        UsageError: it is nothing that holds a table.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) != b"PAR1":
                    return None
            try:
                return pq.ParquetFile(path).read()
            except (pa.ArrowException, OSError):
                return None  # the engine says what is wrong with it
        return None
    if isinstance(source, Mapping):
        try:
            source = pd.DataFrame(dict(source))
        except (TypeError, ValueError) as error:
            raise UsageError(f"the table: its columns do not fit together ({error}).") from error
    if isinstance(source, pd.DataFrame):
        return _from_pandas(source)
    if hasattr(source, "collect") and hasattr(source, "lazy"):
        source = source.collect()
    if isinstance(source, np.ndarray) and source.ndim == 2:
        return _from_pandas(pd.DataFrame(source).add_prefix("x"))
    if isinstance(source, pd.Series):
        source = source.to_frame()
        return _from_pandas(source)
    if hasattr(source, "__arrow_c_stream__") or isinstance(source, pa.RecordBatch):
        batch = isinstance(source, pa.RecordBatch)
        table = pa.Table.from_batches([source]) if batch else pa.table(source)
        return table.rename_columns([str(n) for n in table.column_names])
    raise UsageError(
        "a ready table must be a path, a table's URL, or a pandas, Polars or Arrow table, got "
        f"{type(source).__name__}."
    )


def _require_room(con: duckdb.DuckDBPyConnection, path: Path, opened: Source) -> None:
    """Refuse rows that take far more than their file: a Parquet file names a value only once.

    Raises:
        DataError: they do.
    """
    sizes = [f"count(*) * {8 * len(opened.cells)}"]
    for sql, kind, *_ in opened.cells.values():
        if kind == "VARCHAR":
            sizes.append(f"coalesce(sum(strlen({sql})), 0)")
        elif kind == "LIST":
            sizes.append(f"coalesce(sum(strlen(CAST({sql} AS VARCHAR))), 0)")
    found = con.execute(f"SELECT {' + '.join(sizes)} FROM {opened.relation}").fetchone()
    most = allowed(path.stat().st_size)
    if found and found[0] > most:
        raise DataError(
            f"{path}: its rows take {found[0] / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB "
            "allowed for a file of its size; look at what is in it, and give it in parts."
        )


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    several = frame.columns.nlevels > 1
    names = [" ".join(map(str, n)) if several else str(n) for n in frame.columns]
    arrays = [_from_series(frame.iloc[:, place]) for place in range(len(names))]
    return pa.Table.from_arrays(arrays, names=names)


def _from_series(column: pd.Series) -> Arrow:
    if isinstance(column.dtype, pd.SparseDtype):
        column = pd.Series(np.asarray(column))
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    try:
        array = pa.Array.from_pandas(column)
        if is_text(array.type):
            array.validate(full=True)  # half a character cannot be written
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([_text(v) for v in column], pa.string())
    if isinstance(array.type, pa.BaseExtensionType):
        return pa.array([_text(v) for v in column], pa.string())
    return array


def _text(value: Any) -> str | None:
    """Return a value of a column that mixes types as a CSV would hold it."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _flattened(con: duckdb.DuckDBPyConnection, table: pa.Table, where: str) -> pa.Table:
    """Return a table whose structs and JSON texts are columns of their own, as in any file."""
    from cartcast.events.read import open_source

    names, out = table.column_names, list[tuple[str, Arrow]]()
    for place, array in enumerate(table.columns):
        column = decoded(array)
        kind = column.type
        if pa.types.is_nested(kind) or is_text(kind):
            opened = open_source(con, pa.table({"c": column}), Path())
            flat = _selected(con, opened, where)
            if flat.num_rows != table.num_rows:
                out.append((names[place], column))
                continue
            out += [
                (names[place] + n[1:], c)
                for n, c in zip(flat.column_names, flat.columns, strict=True)
            ]
        else:
            out.append((names[place], column))
    return pa.Table.from_arrays([c for _, c in out], names=[n for n, _ in out])


def _selected(con: duckdb.DuckDBPyConnection, opened: Any, where: str) -> pa.Table:
    """Return the rows of a source in order, under the source's own names.

    Raises:
        DataError: a row has not the header's shape, or a name comes twice.
    """
    if opened.repeated:
        raise DataError(
            f"{where}: the column {opened.repeated[0]!r} is there twice; rename or drop one."
        )
    # The engine takes `a` and `A` for one name.
    names, opened = opened.columns, opened.renamed([f"c{i}" for i in range(len(opened.columns))])
    if opened.broken:
        row = con.execute(f"SELECT min(__row) FROM {opened.named()} WHERE __broken").fetchone()
        if row and row[0] is not None:
            raise DataError(
                f"{where}, row {row[0]}: has not as many columns as the header; mend the row, or "
                "check the separator."
            )
    chosen = ", ".join(identifier(c) for c in opened.columns)
    found = con.execute(f"SELECT {chosen} FROM {opened.named()} ORDER BY __row").to_arrow_table()
    return found.rename_columns(list(names))


def _whole(values: pd.Series) -> pd.Series:
    """Return whole numbers as int64, where none is missing."""
    if values.dtype != np.float64:
        return values
    numbers = values.to_numpy()
    if np.isfinite(numbers).all() and (np.floor(numbers) == numbers).all():
        return values.astype("int64") if (np.abs(numbers) <= 2**53).all() else values
    return values
