"""One row per session: what most insights are counted from, written once and read often."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cartcast.atomic import atomic_path
from cartcast.errors import DataError, NotFoundError
from cartcast.events.schema import CONTRACT, METADATA_KEY
from cartcast.events.sql import identifier, literal, place_literal, read_parquet
from cartcast.insights.clusters import visitor_of
from cartcast.insights.source import Slice, Source, opened
from cartcast.segments.funnel_sql import reach_first
from cartcast.segments.steps import STEPS, Step

__all__ = [
    "CONTEXT",
    "MEASURES",
    "keep",
    "make_sessions",
    "pick_sessions",
    "session_facts",
    "sold_lines",
    "usual_steps",
    "write_sessions",
]

CONTEXT: tuple[str, ...] = ("country", "device", "channel", "campaign")
"""Columns that describe a whole session: its first known value counts."""

MEASURES: dict[str, str] = {
    "events": "",
    "seconds": "s",
    "views": "",
    "items": "",
    "categories": "",
    "carts": "",
    "price_mean": "currency",
    "purchases": "",
    "revenue": "currency",
}
"""Numeric columns of the session table and their units."""


def write_sessions(log: Any, out: Path | str) -> Path:
    """Write the session table of `log` to the Parquet file `out` and return its path.

    One row per session: `session_id, visitor, start, start_utc, weekday, hour` (all but `start_utc`
    by the shop's clock), the `MEASURES`, the `CONTEXT`, `first_event, last_event, last_page, reach`
    (steps of the usual funnel reached), `visitor_code` (a number for each visitor), `steps` (its
    event types as numbers, repeats in a row once) and `moments` (seconds at which each of these
    began).

    Raises:
        DataError: the log has not passed the contract.
        StorageError: the place cannot be written.
    """
    out = Path(out)
    with opened(log) as source:
        make_sessions(source)
        kinds = sorted(
            r[0] for r in source.rows("SELECT DISTINCT event_type FROM events") if r[0] is not None
        )
        _add_steps(source, kinds)
        steps = [str(s) for s in usual_steps(source)]
        told = {"contract": CONTRACT, "clock": source.clock,
                "currency": source.currency, "steps": steps,
                "event_types": kinds}  # fmt: skip
        with atomic_path(out) as temporary:
            source.connection.execute(
                f"COPY (SELECT s.*, v.visitor_code, t.steps, t.moments FROM sessions s "
                "JOIN codes v USING (visitor) LEFT JOIN stepped t USING (session_id)) TO "
                f"{place_literal(temporary)} (FORMAT parquet, USE_TMP_FILE false, "
                f"KV_METADATA {{{METADATA_KEY}: {literal(json.dumps(told))}}})"
            )
    return out


def _add_steps(source: Source, kinds: Sequence[str]) -> None:
    """Make `codes`, numbers of visitors, and `stepped`, each session's event types and when.

    Numbers are counted many times faster than names. Types are places in `kinds`, from 1; repeats
    in a row are one step.
    """
    source.connection.execute(
        "CREATE TEMP TABLE codes AS SELECT visitor, row_number() OVER () AS visitor_code "
        "FROM (SELECT DISTINCT visitor FROM sessions)"
    )
    places = " ".join(f"WHEN {literal(kind)} THEN {k}" for k, kind in enumerate(kinds, 1))
    code = f"(CASE event_type {places} END)::USMALLINT" if kinds else "NULL::USMALLINT"
    source.connection.execute(
        "CREATE TEMP TABLE stepped AS SELECT session_id, list_select(l, new) AS steps, "
        "list_select(m, new) AS moments FROM (SELECT *, "
        "list_filter(range(1, len(l) + 1), k -> k = 1 OR l[k] <> l[k - 1]) AS new FROM "
        f"(SELECT session_id, list({code} ORDER BY event_order) AS l, "
        f"list({source.seconds} ORDER BY event_order) AS m FROM events GROUP BY session_id))"
    )


def make_sessions(source: Source, sessions: Path | str | None = None) -> tuple[str, ...]:
    """Make the table `sessions` in the open `source`, or attach the one written before.

    Returns:
        The names of its columns.

    Raises:
        NotFoundError: `sessions` is given and not there.
        DataError: `sessions` is not a session table.
    """
    if sessions is not None:
        path = Path(sessions)
        if not path.is_file():
            raise NotFoundError(f"{path}: no such session table; it is rebuilt from the log.")
        try:
            names = pq.read_schema(path.absolute()).names
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: not a Parquet file; delete it, and it is rebuilt.") from error
        relation = read_parquet(path)
        source.connection.execute(f"CREATE OR REPLACE VIEW sessions AS FROM {relation}")
        return tuple(names)
    source.connection.execute(f"CREATE OR REPLACE TEMP TABLE sessions AS {_sessions_sql(source)}")
    return tuple(c[0] for c in source.connection.execute("DESCRIBE sessions").fetchall())


def session_facts(sessions: Path | str | None) -> dict[str, Any]:
    """Return what the session table says of its log: `steps`, `event_types`; empty without one."""
    if sessions is None:
        return {}
    told: dict[str, Any] = json.loads(
        (pq.read_schema(sessions).metadata or {}).get(METADATA_KEY.encode(), b"{}")
    )
    return told


def usual_steps(source: Source, sessions: Path | str | None = None) -> tuple[Step, ...]:
    """Return the steps of the usual funnel that occur in the log at all."""
    known = session_facts(sessions).get("steps")
    if known is not None:
        return tuple(s for s in STEPS if str(s) in known)
    seen = {r[0] for r in source.rows("SELECT DISTINCT event_type FROM events")}
    return tuple(s for s in STEPS if s.event_types[0] in seen)


def keep(source: Source, where: Slice, sessions: Path | str | None = None) -> str:
    """Return the name of the relation that holds the events of the sessions in `where`.

    Raises:
        UsageError: the slice names a column that the session table lacks.
    """
    if not where:
        return "events"
    columns = make_sessions(source, sessions)
    condition, parameters = where.condition(source, columns)
    source.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE kept AS SELECT session_id FROM sessions WHERE {condition}",
        parameters,
    )
    source.connection.execute(
        "CREATE OR REPLACE TEMP VIEW kept_events AS "
        "SELECT e.* FROM events e SEMI JOIN kept USING (session_id)"
    )
    return "kept_events"


def pick_sessions(source: Source, where: Slice, columns: Sequence[str], *more: str) -> None:
    """Make `picked`: code, session_id, visitor and columns `more` of the sessions of a slice.

    Codes and visitors are numbers where they can be: these are grouped faster than names.
    """
    condition, parameters = where.condition(source, tuple(columns))
    own = "".join(f", {identifier(name)}" for name in more)
    source.connection.execute(
        "CREATE OR REPLACE TEMP TABLE picked AS SELECT row_number() OVER () AS code, session_id, "
        f"{visitor_of(columns)} AS visitor{own} FROM sessions WHERE {condition}",
        parameters,
    )


def _sessions_sql(source: Source) -> str:
    """SQL of the session table; only names of known columns enter it, all quoted."""
    has = set(source.columns)
    known = _known(source, (*CONTEXT, "page", "visitor_id", "item_id", "category", "price"))
    timed = source.clock in ("time", "day")
    first = {
        c: f"arg_min({identifier(c)}, event_order)" if c in known else "NULL::VARCHAR"
        for c in CONTEXT
    }
    start = "min(event_time)" if timed and "event_time" in has else "NULL::TIMESTAMP"
    offset = "arg_min(coalesce(utc_offset, 0), event_time)" if "utc_offset" in has else "0"
    span = f"max({source.seconds}) - min({source.seconds})"
    seconds = span if source.clock in ("time", "session") else "NULL::DOUBLE"
    hour = "hour(start)" if source.clock == "time" else "NULL::BIGINT"
    visitor = "arg_min(visitor_id, event_order)" if "visitor_id" in known else "NULL::VARCHAR"
    counted = {
        "items": "count(DISTINCT item_id)" if "item_id" in known else "NULL::BIGINT",
        "categories": "count(DISTINCT category)" if "category" in known else "NULL::BIGINT",
        "price_mean": "avg(price)" if "price" in known else "NULL::DOUBLE",
        "last_page": "arg_max(page, event_order)" if "page" in known else "NULL::VARCHAR",
    }
    reach = reach_first("events", usual_steps(source), "session_id", "event_order", source.seconds)
    context = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in first.items())
    return f"""
    WITH base AS (
        SELECT session_id, coalesce({visitor}, session_id) AS visitor, {start} AS start_utc,
            coalesce({offset}, 0) AS utc_offset, count(*) AS events, {seconds} AS seconds,
            count(*) FILTER (event_type = 'view_item') AS views,
            {counted["items"]} AS items, {counted["categories"]} AS categories,
            count(*) FILTER (event_type = 'add_to_cart') AS carts,
            {counted["price_mean"]} AS price_mean,
            arg_min(event_type, event_order) AS first_event,
            arg_max(event_type, event_order) AS last_event,
            {counted["last_page"]} AS last_page, {context}
        FROM events GROUP BY session_id
    ), began AS (
        SELECT *, start_utc + to_minutes(utc_offset::BIGINT) AS start FROM base
    ), bought AS ({_orders_sql(source)}), reached AS ({reach})
    SELECT session_id, visitor, start, start_utc, isodow(start) AS weekday, {hour} AS hour,
        events, seconds, views, items, categories, carts, price_mean,
        coalesce(purchases, 0) AS purchases, revenue,
        first_event, last_event, last_page, {", ".join(identifier(c) for c in CONTEXT)},
        coalesce(reach, 0) AS reach
    FROM began LEFT JOIN bought USING (session_id) LEFT JOIN reached USING (session_id)
    """


def _orders_sql(source: Source) -> str:
    """Orders and their money by session."""
    return f"""
        SELECT session_id, count(DISTINCT coalesce(named, lone)) AS purchases,
            sum(amount) AS revenue
        FROM ({sold_lines(source)}) GROUP BY session_id
    """


def sold_lines(source: Source, column: str | None = None) -> str:
    """SQL of what was sold, a row a line: its visitor, order (`named`, or `lone`) and `amount`.

    An order id is one of its visitor's: another's may be the same. A clean log says what money
    counts; of a plain table each order's item counts once. Without an order id the purchase rows of
    one moment are one order there. `column` is added as `value`.
    """
    has = set(source.columns)

    def known(name: str, kind: str) -> str:
        return name if name in has else f"NULL::{kind}"

    order, item = known("order_id", "VARCHAR"), known("item_id", "VARCHAR")
    visitor = f"coalesce({known('visitor_id', 'VARCHAR')}, session_id)"
    amount, where = "revenue", "NOT repeat_purchase"
    lone = f"coalesce({known('event_time', 'TIMESTAMP')}::VARCHAR, event_order::VARCHAR)"
    if not {"revenue", "repeat_purchase"} <= has:
        amount = f"{known('price', 'DOUBLE')} * coalesce({known('quantity', 'DOUBLE')}, 1)"
        first = (
            "row_number() OVER (PARTITION BY visitor, o, i ORDER BY session_id, event_order) = 1"
        )
        where = f"true QUALIFY o IS NULL OR {first}"
        lone = "event_order"
    more = "" if column is None else f", {identifier(column)}::VARCHAR AS value"
    return (
        f"SELECT session_id, {visitor} AS visitor, 'o' || {order} AS named, 'e' || {lone} AS lone, "
        f"{amount} AS amount, {order} AS o, {item} AS i{more} FROM events "
        f"WHERE event_type = 'purchase' AND {where}"
    )


def _known(source: Source, columns: tuple[str, ...]) -> set[str]:
    """Return those of `columns` that hold a value anywhere."""
    present = [c for c in columns if c in source.columns]
    if not present:
        return set()
    counts = source.row(
        f"SELECT {', '.join(f'count({identifier(c)})' for c in present)} FROM events"
    )
    return {c for c, n in zip(present, counts, strict=True) if n}
