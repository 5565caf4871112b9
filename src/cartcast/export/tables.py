"""What an export holds: the tables `events` and `scores`, and the view `sessions` on them.

Names, units and keys are written into the database as comments, and for dbt as its sources
(https://docs.getdbt.com/reference/source-properties). The SQL is what DuckDB and PostgreSQL share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cartcast.events.schema import COLUMNS, Column
from cartcast.events.sql import identifier

__all__ = ["EVENTS", "MARK", "SCORES", "SESSIONS", "Exportable", "comment", "dbt_sources",
           "sessions_sql"]  # fmt: skip

MARK = "Cartcast export"
"""How the comment of a table or view begins that an export made; no other is replaced."""


class Exportable(NamedTuple):
    """A table or view of an export.

    Attributes:
        name: of the table, in the schema of the export.
        meaning: what a row is.
        key: columns that no two rows share; the first is never null.
        columns: those that have a meaning of their own, by name.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]

    @property
    def comment(self) -> str:
        """The comment of the table."""
        return f"{MARK}: {self.meaning}. Key: {', '.join(self.key)}."


EVENTS = Exportable("events", "one row an event", ("session_id", "event_order"), COLUMNS)

_FIRST = "(array_agg({0} ORDER BY event_order) FILTER (WHERE {0} IS NOT NULL))[1]"
_COUNT = "count(*) FILTER (WHERE event_type = '{0}')"
_SESSION: dict[str, tuple[str, Column]] = {
    c.name: (sql, c)
    for sql, c in (
        ("session_id", COLUMNS["session_id"]),
        (_FIRST.format("visitor_id"), COLUMNS["visitor_id"]),
        (_FIRST.format("user_id"), COLUMNS["user_id"]),
        ("min(event_time)", Column("session_start", "TIMESTAMP", "UTC", "its first event")),
        ("max(event_time)", Column("session_end", "TIMESTAMP", "UTC", "its last event")),
        ("count(*)", Column("events", "BIGINT", "events", "all of them")),
        (_COUNT.format("view_item"), Column("item_views", "BIGINT", "events", "of one item each")),
        (_COUNT.format("add_to_cart"), Column("carts", "BIGINT", "events", "into the cart")),
        (_COUNT.format("begin_checkout"), Column("checkouts", "BIGINT", "events", "begun")),
        ("bool_or(event_type = 'purchase')", Column("purchased", "BOOLEAN", "", "any purchase")),
        ("sum(revenue)", Column("revenue", "DOUBLE", "currency", "null without any money")),
        *(
            (_FIRST.format(name), COLUMNS[name]._replace(meaning=f"first known: {name}"))
            for name in ("currency", "country", "device", "channel", "campaign")
        ),
    )
}
SESSIONS = Exportable(
    "sessions", "one row a session, from `events`", ("session_id",),
    {name: column for name, (_, column) in _SESSION.items()},
)  # fmt: skip


def sessions_sql(schema: str) -> str:
    """Return the query of the view `sessions`."""
    chosen = ", ".join(f"{sql} AS {identifier(name)}" for name, (sql, _) in _SESSION.items())
    return f"SELECT {chosen} FROM {identifier(schema)}.events GROUP BY session_id"


SCORES = Exportable(
    "scores", "one row a score of a run", ("session_id", "click", "as_of"),
    {
        c.name: c
        for c in (
            COLUMNS["session_id"],
            COLUMNS["visitor_id"],
            Column("click", "BIGINT", "clicks", "of the session, seen by the run"),
            Column("last_event", "TIMESTAMP", "UTC", "last event that it saw"),
            Column("as_of", "TIMESTAMP", "UTC", "moment of which the score speaks"),
            Column("expected_revenue", "DOUBLE", "currency", "expected money of the target"),
            Column("revenue_if_purchase_low", "DOUBLE", "currency", "low end of its interval"),
            Column("revenue_if_purchase_high", "DOUBLE", "currency", "high end of its interval"),
            Column("reason", "VARCHAR", "", "why the run says nothing of the row"),
            Column("segment", "VARCHAR", "", "name of the segment of the session"),
            Column("outcome", "BOOLEAN", "", "what came; null while it is not known"),
            Column("amount", "DOUBLE", "currency", "money that came; null while not known"),
            Column("model", "VARCHAR", "", "run and model, as run/model"),
        )
    },
)  # fmt: skip


def comment(column: Column) -> str:
    """Return the comment of a column: its meaning, and its unit.

    >>> comment(COLUMNS["price"])
    'per unit; null when unknown; never negative (currency)'
    """
    return f"{column.meaning} ({column.unit})" if column.unit else column.meaning


def dbt_sources(
    schema: str, tables: Sequence[tuple[Exportable, Mapping[str, str]]]
) -> dict[str, Any]:
    """Return the exported tables as sources of dbt; each comes with its types by column."""
    return {
        "version": 2,
        "sources": [
            {
                "name": schema,
                "schema": schema,
                "tables": [
                    {
                        "name": table.name,
                        "description": f"{table.meaning}. Key: {', '.join(table.key)}.",
                        "columns": [_dbt_column(table, name, kind) for name, kind in kinds.items()],
                    }
                    for table, kinds in tables
                ],
            }
        ],
    }


def _dbt_column(table: Exportable, name: str, kind: str) -> dict[str, Any]:
    said: dict[str, Any] = {"name": name, "data_type": kind}
    if name in table.columns:
        said["description"] = comment(table.columns[name])
    if name == table.key[0]:
        said["data_tests"] = ["not_null", *(["unique"] if len(table.key) == 1 else [])]
    return said
