"""Events, sessions and scores as tables of a DuckDB file or a PostgreSQL database.

An export takes the place of the one before it in one transaction. Tables and views that an export
did not make are never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import duckdb
import pyarrow as pa

from cartcast.arguments import answered
from cartcast.atomic import write_text
from cartcast.errors import UsageError
from cartcast.events import Log
from cartcast.events.schema import Column
from cartcast.events.sql import identifier, literal
from cartcast.export.duckdbfile import duckdb_file
from cartcast.export.postgres import postgres_database
from cartcast.export.tables import (
    EVENTS,
    MARK,
    SCORES,
    SESSIONS,
    Exportable,
    comment,
    dbt_sources,
    sessions_sql,
)
from cartcast.runs.run import Run
from cartcast.score import predict

__all__ = ["Exported", "to_duckdb", "to_postgres", "write_sources"]

_ROWS = 50_000
_TYPES = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "DATE": "date",
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"), "timestamp"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "double precision"),
    **dict.fromkeys(("TINYINT", "SMALLINT", "UTINYINT"), "smallint"),
    **dict.fromkeys(("INTEGER", "USMALLINT"), "integer"),
    **dict.fromkeys(("BIGINT", "UINTEGER"), "bigint"),
}
"""Types that both databases have; any other is written as text."""


class Target(Protocol):
    """A database in a transaction."""

    where: str

    def run(self, sql: str) -> None:
        """Do one statement."""

    def comments(self, schema: str) -> dict[str, str | None]:
        """Return the tables and views of a schema with their comments."""

    def make(
        self, schema: str, name: str, columns: Mapping[str, str], views: Sequence[str]
    ) -> None:
        """Make an empty table in the place of that of an earlier export, which `views` read."""

    def fill(self, table: str, rows: pa.RecordBatchReader) -> None:
        """Write rows into a table, in the order of its columns."""


class Exported(NamedTuple):
    """What an export wrote.

    Attributes:
        where: the database, without a password.
        schema: of the tables.
        rows: of each table; a view is not counted.
        sources: the tables as sources of dbt.
    """

    where: str
    schema: str
    rows: dict[str, int]
    sources: dict[str, Any]


@answered
def to_duckdb(
    log: Log,
    path: Path | str,
    run: Path | str | Run | None = None,
    *,
    schema: str = "cartcast",
    everything: bool = False,
) -> Exported:
    """Write the events, sessions and scores of a log into a DuckDB file, new or in use.

    The scores are those of `predict(log, run, everything=everything)`; none without a run.

    Raises:
        UsageError: the schema holds a table of one of these names that no export made.
        DataError: the file is no DuckDB file.
        StorageError: it is in use, or cannot be written; it is as it was.
    """
    return _export(duckdb_file(Path(path)), log, run, schema, everything)


@answered
def to_postgres(
    log: Log, url: str, run: Path | str | Run | None = None, *, schema: str = "cartcast",
    everything: bool = False,
) -> Exported:  # fmt: skip
    """Write the same into a PostgreSQL database; `url` is one, or `$NAME` of a variable with one.

    Readers wait for the end of the transaction. Views of others on the tables stay, as long as
    the columns stay.

    Raises:
        UsageError: as `to_duckdb`; or the columns changed and views of others read them.
        NotFoundError: there is no such server.
        DataError: the server refused.
    """
    return _export(postgres_database(url), log, run, schema, everything)


def write_sources(exported: Exported, path: Path | str) -> None:
    """Write the tables as sources of dbt, with types, meanings, units and tests of keys."""
    import yaml

    write_text(path, yaml.safe_dump(exported.sources, sort_keys=False, allow_unicode=True))


def _export(
    opened: AbstractContextManager[Target], log: Log, run: Path | str | Run | None, schema: str,
    everything: bool,
) -> Exported:  # fmt: skip
    run = None if run is None else Run.open(run)
    scores = None if run is None else predict(log, run, everything=everything)[0]
    name = identifier(schema)
    with log.connect() as con, opened as target:
        held = target.comments(schema)
        for table in (EVENTS, SESSIONS, SCORES):
            if table.name in held and not (held[table.name] or "").startswith(MARK):
                raise UsageError(
                    f"{target.where}: {schema}.{table.name} was not made by an export, and is left "
                    "as it is; name another schema (--schema)."
                )
        target.run(f"CREATE SCHEMA IF NOT EXISTS {name}")
        made = [_filled(target, con, EVENTS, schema, [SESSIONS.name])]
        if run is not None and scores is not None:
            con.register(SCORES.name, pa.Table.from_pandas(scores, preserve_index=False))
            made.append(_filled(target, con, _scores(run), schema, []))
        elif SCORES.name in held:
            # They speak of the log of another export.
            target.run(f"TRUNCATE {name}.{SCORES.name}")
        target.run(f"CREATE OR REPLACE VIEW {name}.{SESSIONS.name} AS {sessions_sql(schema)}")
        kinds = {c.name: _TYPES[c.type] for c in SESSIONS.columns.values()}
        _tell(target, "VIEW", SESSIONS, kinds, schema)
        rows = {table.name: count for table, _, count in made}
        told = [(table, kinds) for table, kinds, _ in made]
        where = target.where
    return Exported(where, schema, rows, dbt_sources(schema, [*told, (SESSIONS, kinds)]))


def _scores(run: Run) -> Exportable:
    """Return the table of the scores of a run, with what its score says."""
    unit = "currency" if run.kind == "regressor" else "0 to 1"
    said = Column(run.column, "DOUBLE", unit, f"{run.asks}; null: see reason")
    return SCORES._replace(columns={**SCORES.columns, said.name: said})


def _filled(
    target: Target, con: duckdb.DuckDBPyConnection, table: Exportable, schema: str,
    views: Sequence[str],
) -> tuple[Exportable, dict[str, str], int]:  # fmt: skip
    """Write the relation of a table's name; return the table, its types and its rows."""
    found = con.execute(f"DESCRIBE {table.name}").fetchall()
    kinds = {str(name): _TYPES.get(str(kind), "text") for name, kind, *_ in found}
    target.make(schema, table.name, kinds, views)
    chosen = ", ".join(f"CAST({identifier(c)} AS {kind})" for c, kind in kinds.items())
    reader = con.execute(f"SELECT {chosen} FROM {table.name}").to_arrow_reader(_ROWS)
    count = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal count
        for batch in reader:
            count += batch.num_rows
            yield batch

    name = f"{identifier(schema)}.{identifier(table.name)}"
    target.fill(name, pa.RecordBatchReader.from_batches(reader.schema, counted()))
    _tell(target, "TABLE", table, kinds, schema)
    return table, kinds, count


def _tell(
    target: Target, kind: str, table: Exportable, columns: Mapping[str, str], schema: str
) -> None:
    name = f"{identifier(schema)}.{identifier(table.name)}"
    target.run(f"COMMENT ON {kind} {name} IS {literal(table.comment)}")
    for column in columns:
        if column in table.columns:
            told = literal(comment(table.columns[column]))
            target.run(f"COMMENT ON COLUMN {name}.{identifier(column)} IS {told}")
