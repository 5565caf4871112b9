"""A PostgreSQL database that an export writes, in one transaction (extra `postgres`)."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from cartcast.errors import UsageError
from cartcast.events.databases import postgres, server_url, shown_server
from cartcast.events.sql import identifier

if TYPE_CHECKING:
    import psycopg

__all__ = ["postgres_database"]

_LOCK = 1128353109
"""One export at a time."""
_LONGEST = 63
"""Bytes of a name; the server cuts what is longer."""


class _PostgresTarget:
    def __init__(self, server: psycopg.Connection, where: str) -> None:
        self._server = server
        self.where = where

    def run(self, sql: str) -> None:
        self._server.execute(sql.encode())

    def comments(self, schema: str) -> dict[str, str | None]:
        found = self._server.execute(
            "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s",
            [schema],
        ).fetchall()
        return dict(found)

    def make(
        self, schema: str, name: str, columns: Mapping[str, str], views: Sequence[str]
    ) -> None:
        import psycopg

        for column in columns:
            if len(column.encode()) > _LONGEST:
                raise UsageError(
                    f"{self.where}: a name may have {_LONGEST} bytes, and that of the column "
                    f"{column[:40]!r}... has more; give it a shorter one in a layout."
                )
        table = f"{identifier(schema)}.{identifier(name)}"
        held = self._server.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            [schema, name],
        ).fetchall()
        if [(c, t.removesuffix(" without time zone")) for c, t in held] == [*columns.items()]:
            self.run(f"TRUNCATE {table}")
            return
        try:
            for view in views:
                self.run(f"DROP VIEW IF EXISTS {identifier(schema)}.{identifier(view)}")
            self.run(f"DROP TABLE IF EXISTS {table}")
        except psycopg.errors.DependentObjectsStillExist as error:
            raise UsageError(
                f"{self.where}: the columns of {schema}.{name} changed, and views of others read "
                "it; drop these first, or name another schema (--schema)."
            ) from error
        declared = ", ".join(f"{identifier(c)} {kind}" for c, kind in columns.items())
        self.run(f"CREATE TABLE {table} ({declared})")

    def fill(self, table: str, rows: pa.RecordBatchReader) -> None:
        from pyarrow import csv

        # Text is quoted, so that an empty one is no null.
        plain = csv.WriteOptions(include_header=False)
        into = f"COPY {table} FROM STDIN (FORMAT csv)".encode()
        with self._server.cursor() as cursor, cursor.copy(into) as copy:
            for batch in rows:
                block = io.BytesIO()
                csv.write_csv(batch, block, plain)
                copy.write(block.getvalue())


@contextlib.contextmanager
def postgres_database(url: str) -> Iterator[_PostgresTarget]:
    """Yield a database in a transaction; on any error it is as it was.

    Raises:
        UsageError: the URL is none; the driver is missing.
        NotFoundError: there is no such server.
        DataError: the server refused.
    """
    found = server_url(url, os.environ, "export")
    where = shown_server(found)
    with postgres(found, where, "written") as server:
        server.execute(b"SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield _PostgresTarget(server, where)
