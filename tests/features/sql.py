"""The independent truth in SQL: DuckDB window expressions over ROWS frames."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from cartcast import features as F

VIEW = F.Eq("event_type", "view_item")

# name: (feature, SQL). `so_far` is the frame; an expression may use the columns of `log`.
PAIRS: dict[str, tuple[Any, str]] = {
    "n": (F.Count(), "count(*) OVER so_far"),
    "priced": (F.Count("price"), "count(price) OVER so_far"),
    "views": (F.Count(where=VIEW), "count(*) FILTER (event_type = 'view_item') OVER so_far"),
    "spend": (F.Sum("price"), "sum(price) OVER so_far"),
    "low": (F.Min("price"), "min(price) OVER so_far"),
    "high": (F.Max("price"), "max(price) OVER so_far"),
    "mean": (F.Mean("price"), "sum(price) OVER so_far / nullif(count(price) OVER so_far, 0)"),
    "spread": (
        F.Std("price"),
        "CASE WHEN count(price) OVER so_far > 1 THEN stddev_samp(price) OVER so_far END",
    ),
    "items": (F.NUnique("item_id"), "sum(new_item) OVER so_far"),
    "first": (F.First("category"), "first_value(category IGNORE NULLS) OVER so_far"),
    "last": (F.Last("category"), "last_value(category IGNORE NULLS) OVER so_far"),
    "seconds": (
        F.SecondsInSession(),
        "(epoch_us(event_time) - epoch_us(first_value(event_time) OVER so_far)) / 1e6",
    ),
    "dwell": (F.Last(F.Gap()), "last_value(gap IGNORE NULLS) OVER so_far"),
    "repeats": (
        F.Count(where=F.SameAsPrevious("item_id")),
        "count(*) FILTER (item_id = item_before) OVER so_far",
    ),
    "weekday": (
        F.DayOfWeek(),
        "isodow(first_value(shop_time) OVER so_far) - 1",
    ),
    "hour": (F.Hour(), "hour(first_value(shop_time) OVER so_far)"),
    "month": (F.Month(), "month(first_value(shop_time) OVER so_far)"),
    "fading": (
        F.DecayedCount(3, by="clicks"),
        "sum(pow(2, event_order / 3.0)) OVER so_far / pow(2, event_order / 3.0)",
    ),
    "since": (
        F.SecondsSince(VIEW),
        "(epoch_us(event_time) - epoch_us(max(CASE WHEN event_type = 'view_item' "
        "THEN event_time END) OVER so_far)) / 1e6",
    ),
}

FEATURES = F.FeatureSet.of((name, feature) for name, (feature, _) in PAIRS.items())

FRAME = (
    "PARTITION BY session_id ORDER BY event_order ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
)


def replay(log: pa.Table, frame: str = FRAME, change: Any = None) -> list[dict[str, Any]]:
    """Values after every row, in the log's order; `change` edits the SQL (to plant a bug)."""
    columns = ", ".join(f"{sql} AS {name}" for name, (_, sql) in PAIRS.items())
    query = f"""
        WITH numbered AS (SELECT *, row_number() OVER () AS row FROM log),
        marked AS (
            SELECT *, event_time + to_minutes(coalesce(utc_offset, 0)) AS shop_time,
                CASE WHEN item_id IS NULL THEN 0 WHEN row_number() OVER (
                    PARTITION BY session_id, item_id ORDER BY event_order) = 1 THEN 1 ELSE 0
                END AS new_item,
                lag(item_id) OVER (PARTITION BY session_id ORDER BY event_order) AS item_before,
                (epoch_us(event_time) - epoch_us(lag(event_time) OVER (
                    PARTITION BY session_id ORDER BY event_order))) / 1e6 AS gap
            FROM numbered)
        SELECT {columns} FROM marked WINDOW so_far AS ({frame}) ORDER BY row"""
    if change is not None:
        query = change(query)
    with duckdb.connect() as con:
        con.register("log", log)
        return con.sql(query).to_arrow_table().to_pylist()
