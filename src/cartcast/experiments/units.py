"""The table of units: one row a unit with its arm and what it did, summed up where it lies.

One pass in DuckDB gives the moments of every group at once; the table itself is not brought into
memory. Where the randomised thing is larger than the unit (households, companies), rows are first
added up to clusters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from cartcast.errors import DataError, NotFoundError, UsageError, did_you_mean
from cartcast.events.engine import connect, translate
from cartcast.events.sql import file_literal, identifier, literal, names, read_parquet
from cartcast.experiments.metrics import UNITS
from cartcast.experiments.moments import LARGEST, Moments

__all__ = ["UnitTable", "open_units"]

Group = tuple[Any, ...]


@dataclass
class UnitTable:
    """A table of units that is open for questions.

    Attributes:
        connection: the engine that holds or reads it.
        relation: its name there.
        columns: names of its columns.
        arm: column of the arm.
        cluster: column of what was randomised, where that is not the unit; else None.
    """

    connection: duckdb.DuckDBPyConnection
    relation: str
    columns: tuple[str, ...]
    arm: str = "arm"
    cluster: str | None = None

    def require(self, wanted: Sequence[str]) -> None:
        """Check that columns exist.

        Raises:
            DataError: one does not.
        """
        for name in wanted:
            if name not in self.columns:
                raise DataError(
                    f"the table of units has no column {name!r}.{did_you_mean(name, self.columns)}"
                )

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the answer to a query.

        Raises:
            DataError: the table cannot be read so.
        """
        try:
            return self.connection.execute(sql, list(parameters)).fetchall()
        except duckdb.Error as error:
            raise translate(error, "the table of units") from error

    def counts(self) -> dict[str, int]:
        """Return the number of randomised units by arm."""
        arm = identifier(self.arm)
        of = f"count(DISTINCT {identifier(self.cluster)})" if self.cluster else "count(*)"
        found = self.rows(f"SELECT {arm}, {of} FROM {self.relation} GROUP BY 1 ORDER BY 1")
        return {str(name): int(n) for name, n in found}

    def moments(self, columns: Sequence[str], by: Sequence[str] = ()) -> dict[Group, Moments]:
        """Return the moments of columns by arm, or by arm and other columns.

        With a cluster, columns are sums by cluster, and `units` counts its units.

        Raises:
            DataError: a column is missing, no number, or has values that are none.
        """
        self.require([*columns, *by, self.arm])
        kept = list(dict.fromkeys(c for c in columns if c != UNITS or not self.cluster))
        keys = names([self.arm, *by])
        value = {c: f"CAST({identifier(c)} AS DOUBLE)" for c in kept}
        bad = [
            f"count(*) FILTER ({v} IS NULL OR NOT abs({v}) <= {LARGEST})" for v in value.values()
        ]
        if bad:
            counts = self.rows(f"SELECT {', '.join(bad)} FROM {self.relation}")[0]
            for name, count in zip(kept, counts, strict=True):
                if count:
                    raise DataError(
                        f"{name}: {count} units have no finite number below {LARGEST:g} there."
                    )
        source, wide = self.relation, kept
        if self.cluster:
            sums = ", ".join(f"sum({v}) AS {identifier(c)}" for c, v in value.items())
            sums += (", " if sums else "") + f"count(*)::DOUBLE AS {UNITS}"
            groups = names([self.arm, *by, self.cluster])
            source = f"(SELECT {groups}, {sums} FROM {self.relation} GROUP BY {groups})"
            wide = [*kept, UNITS]
        return self._grouped(source, wide, keys, 1 + len(by))

    def _grouped(
        self, source: str, columns: Sequence[str], keys: str, width: int
    ) -> dict[Group, Moments]:
        k = len(columns)
        pairs = [(i, j) for i in range(k) for j in range(i, k)]
        named = [f"CAST({identifier(c)} AS DOUBLE)" for c in columns]
        # Of one unit DuckDB gives null; the moments then hold zeros.
        wanted = ["count(*)", *(f"avg({v})" for v in named)]
        wanted += [f"coalesce(covar_samp({named[i]}, {named[j]}), 0)" for i, j in pairs]
        found = self.rows(
            f"SELECT {keys}, {', '.join(wanted)} FROM {source} GROUP BY {keys} ORDER BY {keys}"
        )
        out = {}
        for row in found:
            n, numbers = int(row[width]), row[width + 1 :]
            cov = np.zeros((k, k))
            for (i, j), value in zip(pairs, numbers[k:], strict=True):
                cov[i, j] = cov[j, i] = value
            out[row[:width]] = Moments(n, tuple(columns), np.array(numbers[:k], dtype=float), cov)
        return out

    def values(
        self, column: str, arm: str, segment: tuple[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Return the values of one arm (NaN for null), and their clusters or None.

        `segment` is a column and the value that units must have there.
        """
        self.require([column])
        wanted = f"CAST({identifier(column)} AS DOUBLE) AS v"
        if self.cluster:
            wanted += f", {identifier(self.cluster)} AS c"
        sql = f"SELECT {wanted} FROM {self.relation} WHERE {identifier(self.arm)} = ?"
        parameters = [arm]
        if segment is not None:
            sql += f" AND {identifier(segment[0])} IS NOT DISTINCT FROM ?"
            parameters.append(segment[1])
        try:
            found = self.connection.execute(sql, parameters).fetchnumpy()
        except duckdb.Error as error:
            raise translate(error, "the table of units") from error
        values: Any = np.ma.filled(np.ma.asarray(found["v"], dtype=float), np.nan)
        if bad := int((np.abs(values) > LARGEST).sum()):
            raise DataError(f"{column}: {bad} units have no number below {LARGEST:g} there.")
        return values, np.asarray(found["c"]) if self.cluster else None

    def check_units(self, unit: str | None, control: str) -> int:
        """Return how many units stand in several arms; each is kept in the arm it saw first.

        `unit` is the column of their ids, or None where there are only clusters.

        Raises:
            DataError: a unit has several rows in one arm: sums would count it twice; or it has
                no cluster.
        """
        arm = identifier(self.arm)
        if self.cluster:
            lone = self.rows(
                f"SELECT count(*) FROM {self.relation} WHERE {identifier(self.cluster)} IS NULL"
            )[0][0]
            if lone:
                raise DataError(
                    f"{self.cluster}: {lone} units have none; give each of them one of its own."
                )
        twice = (
            unit is not None
            and self.rows(
                f"SELECT count(*) FROM (SELECT {identifier(unit)} FROM {self.relation} "
                f"GROUP BY {identifier(unit)}, {arm} HAVING count(*) > 1)"
            )[0][0]
        )
        key = identifier(self.cluster or unit or "")
        if twice:
            raise DataError(
                f"{twice} units have several rows in one arm; the table must hold one row a unit "
                "(add the rows up to the unit that was randomised)."
            )
        several = self.rows(
            f"SELECT count(*) FROM (SELECT {key} FROM {self.relation} GROUP BY {key} "
            f"HAVING count(DISTINCT {arm}) > 1)"
        )[0][0]
        if several:
            by = "exposed" if "exposed" in self.columns else None
            # Without the time of exposure nobody knows what came first; the control is then kept,
            # which can only understate the effect.
            order = identifier(by) if by else f"({arm} <> {literal(control)}), {arm}"
            self.connection.execute(
                f"CREATE OR REPLACE TEMP TABLE first_arms AS SELECT {key} AS k, "
                f"first({arm} ORDER BY {order}) AS a FROM {self.relation} GROUP BY {key}"
            )
            self.connection.execute(
                f"CREATE OR REPLACE TEMP VIEW kept_units AS SELECT u.* FROM {self.relation} u "
                f"JOIN first_arms f ON u.{key} = f.k AND u.{arm} = f.a"
            )
            self.relation = "kept_units"
        return int(several)


@contextlib.contextmanager
def open_units(
    source: Any,
    *,
    arm: str = "arm",
    cluster: str | None = None,
    texts: Sequence[str] = (),
    memory: str | int | None = None,
) -> Iterator[UnitTable]:
    """Open a table of units: a Parquet or CSV file, an Arrow table, or a data frame.

    `texts` are columns of a CSV file that are kept as they are written: ids and arms.

    Raises:
        NotFoundError: the file is not there.
        UsageError: its kind is not known.
        DataError: it cannot be read, or has no column for the arm.
    """
    con, where = connect(memory=memory), "the table of units"
    try:
        if isinstance(source, str | Path):
            path = Path(source)
            where = str(path)
            if not path.is_file():
                raise NotFoundError(f"{path}: no such table of units.")
            if path.suffix not in (".parquet", ".csv", ".gz"):
                raise UsageError(f"{path}: a table of units is a .parquet or .csv file.")
            rows = read_parquet(path) if path.suffix == ".parquet" else _csv(con, path, texts)
            con.execute(f"CREATE VIEW units AS SELECT * FROM {rows}")
        else:
            con.register("units", source)
        columns = tuple(r[0] for r in con.execute("DESCRIBE units").fetchall())
        table = UnitTable(con, "units", columns, arm, cluster)
        table.require([arm] if cluster is None else [arm, cluster])
        yield table
    except duckdb.Error as error:
        raise translate(error, where) from error
    finally:
        con.close()


def _csv(con: duckdb.DuckDBPyConnection, path: Path, texts: Sequence[str]) -> str:
    """Return SQL that reads a CSV file.

    An id such as 1234567890.1677654321 or one of 20 digits would lose its end as a number.
    """
    reading = f"read_csv({file_literal(path)}, hive_partitioning = false, sample_size = -1"
    held = {str(r[0]) for r in con.execute(f"DESCRIBE SELECT * FROM {reading})").fetchall()}
    types = ", ".join(f"{literal(c)}: 'VARCHAR'" for c in sorted(held & {*texts}))
    return f"{reading}, types = {{{types}}})" if types else f"{reading})"
