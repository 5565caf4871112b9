"""The same features in each engine, for `benchmarks/features.py`; a checksum shows they agree.

`click`: 20 features after every click; each engine consumes its rows into one sum per feature.
`end`: the 19 features of the `usual` set, from Parquet to Parquet.
`sessions`: sessions by a pause of 30 minutes of each visitor, their clicks and money, from Parquet.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

FRAME = (
    "(PARTITION BY session_id ORDER BY event_order "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
)
SETS = ("item_id", "category", "color", "location", "photo", "page")
SHORT = {"item_id": "items", "category": "categories", "color": "colors", "location": "locations",
         "photo": "photos", "page": "pages"}  # fmt: skip
PLAIN = {
    "n": "count(*) OVER w", "spend": "sum(price) OVER w", "mean": "avg(price) OVER w",
    "low": "min(price) OVER w", "high": "max(price) OVER w", "spread": "stddev_samp(price) OVER w",
    "country": "first_value(country) OVER w", "last": "last_value(category) OVER w",
    "seconds": "(epoch_us(event_time) - epoch_us(first_value(event_time) OVER w)) / 1e6",
    "hour": "hour(first_value(event_time) OVER w)",
}  # fmt: skip


def ours_click(path: str) -> None:
    import pyarrow.compute as pc

    from cartcast import features as F

    spend, n = F.Sum("price"), F.Count()
    chosen = F.FeatureSet(
        n=n, spend=spend, mean=F.Mean("price"), low=F.Min("price"), high=F.Max("price"),
        spread=F.Std("price"), **{SHORT[c]: F.NUnique(c) for c in SETS},
        country=F.First("country"), last=F.Last("category"), seconds=F.SecondsInSession(),
        gap=F.Last(F.Gap()), hour=F.Hour(), per_click=F.Ratio(spend, n),
        category_rate=F.Ratio(F.NUnique("category"), n), item_rate=F.Ratio(F.NUnique("item_id"), n),
    )  # fmt: skip
    for batch in chosen.batches(path):
        for name in chosen.names:
            if name not in chosen.categorical:
                pc.sum(batch.column(name))


def _duckdb():
    import duckdb

    con = duckdb.connect()
    con.execute("SET threads = 2; SET memory_limit = '6GB'; SET TimeZone = 'UTC'")
    return con


def _clicks_sql(path: str, distinct: dict[str, str], marks: str) -> str:
    columns = {**PLAIN, **distinct, "gap": "gap"}
    inner = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    sums = ", ".join(f"count({n})" if n in ("country", "last") else f"sum({n})" for n in columns)
    lag = "lag(event_time) OVER (PARTITION BY session_id ORDER BY event_order)"
    return f"""
        WITH marked AS (SELECT *, (epoch_us(event_time) - epoch_us({lag})) / 1e6 AS gap, {marks}
                        FROM '{path}'),
        made AS (SELECT {inner} FROM marked WINDOW w AS {FRAME})
        SELECT {sums}, sum(spend / n), sum(categories / n), sum(items / n) FROM made"""


def sql_click(path: str) -> None:
    """First-seen flags, summed."""
    marks = ", ".join(
        f"CASE WHEN {c} IS NULL THEN 0 WHEN row_number() OVER (PARTITION BY session_id, {c} "
        f"ORDER BY event_order) = 1 THEN 1 ELSE 0 END AS new_{c}" for c in SETS
    )  # fmt: skip
    distinct = {SHORT[c]: f"sum(new_{c}) OVER w" for c in SETS}
    _duckdb().execute(_clicks_sql(path, distinct, marks)).fetchall()


def _codes(con, path: str, columns: tuple[str, ...]) -> dict[str, int]:
    """Make a table of codes per column; return how many values each has."""
    sizes = {}
    for c in columns:
        con.execute(
            f"CREATE TABLE code_{c} AS SELECT {c}, (row_number() OVER () - 1)::INT AS code FROM "
            f"(SELECT DISTINCT {c} FROM '{path}' WHERE {c} IS NOT NULL)"
        )
        sizes[c] = con.execute(f"SELECT count(*) FROM code_{c}").fetchone()[0]
    return sizes


def _bits(con, path: str) -> tuple[str, str, dict[str, str], dict[str, int]]:
    """Return joins, selected codes, count expressions by bit masks; large alphabets are absent."""
    sizes = _codes(con, path, SETS)
    joins, selected, counts = [], [], {}
    for c, size in sizes.items():
        if size > 250:
            continue
        joins.append(f"LEFT JOIN code_{c} USING ({c})")
        words = []
        for word in range(0, size, 62):
            held = f"code_{c}.code BETWEEN {word} AND {word + 61}"
            bit = f"CASE WHEN {held} THEN 1::BIGINT << (code_{c}.code - {word}) ELSE 0 END"
            selected.append(f"{bit} AS {c}_{word}")
            words.append(f"bit_count(bit_or({c}_{word}) OVER w)::INT")
        counts[c] = " + ".join(words)
    return " ".join(joins), ", ".join(selected), counts, sizes


def bits_click(path: str) -> None:
    """Bit masks of small alphabets: no sort per column."""
    con = _duckdb()
    joins, selected, counts, _ = _bits(con, path)
    con.execute(f"CREATE VIEW coded AS SELECT log.*, {selected} FROM '{path}' AS log {joins}")
    distinct = {SHORT[c]: counts[c] for c in SETS}
    sql = _clicks_sql(path, distinct, "1 AS one").replace(f"FROM '{path}'", "FROM coded", 1)
    con.execute(sql).fetchall()


def polars_click(path: str) -> None:
    import polars as pl

    wanted = ["session_id", "event_order", "event_time", "price", "country", *SETS]
    log = pl.scan_parquet(path).select(wanted).sort("session_id", "event_order")
    over = {"partition_by": "session_id"}
    price, n = pl.col("price"), pl.int_range(1, pl.len() + 1).over(**over).alias("n")
    total = price.cum_sum().over(**over)
    square = (price * price).cum_sum().over(**over)
    made = log.with_columns(
        n, total.alias("spend"), square.alias("square"),
        price.cum_min().over(**over).alias("low"), price.cum_max().over(**over).alias("high"),
        *[pl.struct("session_id", c).is_first_distinct().cast(pl.Int64).cum_sum()
          .over(**over).alias(SHORT[c]) for c in SETS],
        pl.col("country").first().over(**over).alias("first_country"),
        (pl.col("event_time") - pl.col("event_time").first().over(**over)).dt.total_microseconds()
        .alias("seconds"),
        pl.col("event_time").diff().over(**over).dt.total_microseconds().alias("gap"),
        pl.col("event_time").first().over(**over).dt.hour().alias("hour"),
    ).with_columns(
        (pl.col("spend") / pl.col("n")).alias("mean"),
        ((pl.col("square") - pl.col("spend") ** 2 / pl.col("n")) / (pl.col("n") - 1)).sqrt()
        .alias("spread"),
        (pl.col("spend") / pl.col("n")).alias("per_click"),
        (pl.col("categories") / pl.col("n")).alias("category_rate"),
        (pl.col("items") / pl.col("n")).alias("item_rate"),
    )  # fmt: skip
    made.select(
        pl.exclude("session_id", "country", "first_country", "event_time", *SETS).sum()
    ).collect()


def sorted_scan(path: str) -> None:
    _duckdb().execute(
        "SELECT sum(d) FROM (SELECT event_order - lag(event_order) OVER (PARTITION BY session_id "
        f"ORDER BY event_order) AS d FROM '{path}')"
    ).fetchall()


def bare_scan(path: str) -> None:
    counted = ", ".join(f"count({c})" for c in ("session_id", "event_time", "country", *SETS))
    _duckdb().execute(f"SELECT {counted}, sum(price), sum(event_order) FROM '{path}'").fetchall()


_FOLDER = tempfile.TemporaryDirectory(prefix="cartcast-bench-")


def _out() -> str:
    return str(Path(_FOLDER.name) / "out.parquet")


def ours_end(path: str) -> None:
    from cartcast import features

    features.usual.replay(path, at="end", out=_out())


_END = """count(*) AS session_length, sum(price) AS total_spend, avg(price) AS avg_price,
    stddev_samp(price) AS price_std, {distinct}, arg_min(country, event_order) AS country,
    month(min(event_time)) AS month, isodow(min(event_time)) - 1 AS day_of_week,
    min(price) AS min_price, max(price) AS max_price"""
_AFTER = """*, total_spend / session_length AS avg_price_per_click,
    categories / session_length AS category_engagement,
    items / session_length AS product_engagement,
    price_std / nullif(avg_price, 0) AS price_sensitivity"""


def sql_end(path: str) -> None:
    distinct = ", ".join(f"count(DISTINCT {c}) AS {SHORT[c]}" for c in SETS)
    _duckdb().execute(
        f"COPY (SELECT {_AFTER} FROM (SELECT session_id, {_END.format(distinct=distinct)} "
        f"FROM '{path}' GROUP BY session_id)) TO '{_out()}' (FORMAT parquet)"
    )


def bits_end(path: str) -> None:
    con = _duckdb()
    joins, selected, counts, sizes = _bits(con, path)
    distinct = ", ".join(
        f"{counts[c].replace(' OVER w', '')} AS {SHORT[c]}" if c in counts
        else f"count(DISTINCT {c}) AS {SHORT[c]}" for c in sizes
    )  # fmt: skip
    con.execute(
        f"COPY (SELECT {_AFTER} FROM (SELECT session_id, {_END.format(distinct=distinct)} FROM "
        f"(SELECT log.*, {selected} FROM '{path}' AS log {joins}) GROUP BY session_id)) "
        f"TO '{_out()}' (FORMAT parquet)"
    )


def polars_end(path: str) -> None:
    import polars as pl

    price = pl.col("price")
    made = pl.scan_parquet(path).group_by("session_id").agg(
        pl.len().alias("session_length"), price.sum().alias("total_spend"),
        price.mean().alias("avg_price"), price.std().alias("price_std"),
        *[pl.col(c).n_unique().alias(SHORT[c]) for c in SETS],
        pl.col("country").first(), pl.col("event_time").min().alias("start"),
        price.min().alias("min_price"), price.max().alias("max_price"),
    ).with_columns(
        pl.col("start").dt.month().alias("month"),
        (pl.col("start").dt.weekday() - 1).alias("day_of_week"),
        *[(pl.col(a) / pl.col(b)).alias(name) for name, a, b in (
            ("avg_price_per_click", "total_spend", "session_length"),
            ("category_engagement", "categories", "session_length"),
            ("product_engagement", "items", "session_length"),
            ("price_sensitivity", "price_std", "avg_price"))],
    )  # fmt: skip
    made.drop("start").sink_parquet(_out())


def pandas_end(path: str) -> None:
    import pandas as pd

    log = pd.read_parquet(
        path, columns=["session_id", "event_order", "event_time", "price", "country", *SETS]
    )
    log = log.sort_values(["session_id", "event_order"])
    made = log.groupby("session_id").agg(
        session_length=("event_order", "count"), total_spend=("price", "sum"),
        avg_price=("price", "mean"), price_std=("price", "std"),
        **{SHORT[c]: (c, "nunique") for c in SETS},
        country=("country", "first"), start=("event_time", "first"),
        min_price=("price", "min"), max_price=("price", "max"),
    )  # fmt: skip
    made["month"], made["day_of_week"] = made["start"].dt.month, made["start"].dt.dayofweek
    made["avg_price_per_click"] = made["total_spend"] / made["session_length"]
    made["category_engagement"] = made["categories"] / made["session_length"]
    made["product_engagement"] = made["items"] / made["session_length"]
    made["price_sensitivity"] = made["price_std"] / made["avg_price"]
    made.drop(columns="start").to_parquet(_out())


_GAP = 1800


def ours_sessions(path: str) -> None:
    """Sessions are made and folded in the same replay."""
    import pyarrow.compute as pc

    from cartcast import features as F

    chosen = F.FeatureSet(n=F.Count(), spend=F.Sum("price"))
    for batch in chosen.batches(path, at="end", session_gap=_GAP):
        pc.sum(batch.column("n")), pc.sum(batch.column("spend"))


def loaded_sessions(path: str) -> None:
    """The whole contract, which writes a clean log with its sessions."""
    from cartcast import events

    with tempfile.TemporaryDirectory() as folder:
        events.load(path, folder=folder)


_MARKS = f"""SELECT *, coalesce(epoch_us(event_time) - epoch_us(lag(event_time) OVER v)
    > {_GAP}000000, true)::INT AS new FROM '{{path}}'
    WINDOW v AS (PARTITION BY visitor_id ORDER BY event_time)"""


def marks_sessions(path: str) -> None:
    _duckdb().execute(f"SELECT sum(new) FROM ({_MARKS.format(path=path)})").fetchall()


def sql_sessions(path: str) -> None:
    _duckdb().execute(f"""
        SELECT sum(n), sum(spend) FROM (SELECT count(*) AS n, sum(price) AS spend FROM (
            SELECT *, sum(new) OVER (PARTITION BY visitor_id ORDER BY event_time
                                     ROWS UNBOUNDED PRECEDING) AS k
            FROM ({_MARKS.format(path=path)})) GROUP BY visitor_id, k)""").fetchall()


def polars_sessions(path: str) -> None:
    import polars as pl

    log = pl.scan_parquet(path).select("visitor_id", "event_time", "price")
    since = pl.col("event_time").diff().over("visitor_id").dt.total_microseconds()
    new = (since > _GAP * 1_000_000).fill_null(value=True).cast(pl.Int32)
    numbered = log.with_columns(new.alias("new")).with_columns(
        pl.col("new").cum_sum().over("visitor_id").alias("k")
    )
    made = numbered.group_by("visitor_id", "k").agg(pl.len().alias("n"), pl.col("price").sum())
    made.select(pl.col("n").sum(), pl.col("price").sum()).collect()


def pandas_sessions(path: str) -> None:
    import pandas as pd

    log = pd.read_parquet(path, columns=["visitor_id", "event_time", "price"])
    log = log.sort_values(["visitor_id", "event_time"], kind="stable")
    since = log["event_time"].diff().dt.total_seconds()
    new = (log["visitor_id"] != log["visitor_id"].shift()) | (since > _GAP)
    made = log.groupby(new.cumsum())["price"].agg(["size", "sum"])
    made["size"].sum(), made["sum"].sum()


ENGINES: dict[str, dict[str, Callable[[str], None]]] = {
    "click": {
        "Cartcast": ours_click, "DuckDB windows, bit masks": bits_click,
        "DuckDB windows, first-seen flags": sql_click, "Polars": polars_click,
        "limit: sorted scan": sorted_scan, "limit: bare scan": bare_scan,
    },
    "end": {
        "Cartcast": ours_end, "DuckDB, bit masks where possible": bits_end,
        "DuckDB, plain": sql_end, "Polars": polars_end, "pandas, usual": pandas_end,
        "limit: bare scan": bare_scan,
    },
    "sessions": {
        "Cartcast, sessions and features": ours_sessions,
        "Cartcast, events.load (whole contract)": loaded_sessions,
        "DuckDB, marks by lag only": marks_sessions,
        "DuckDB, sessions and features": sql_sessions, "Polars": polars_sessions,
        "pandas, usual": pandas_sessions,
    },
}  # fmt: skip


def measure(task: str, engine: str, path: str, small: str) -> dict[str, float]:
    """Return wall and CPU seconds and the peak GB of the process, after a warm-up."""
    work = ENGINES[task][engine]
    work(small)
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = perf_counter()
    work(path)
    wall = perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "peak": _peak()}


def _peak() -> float:
    """Return the peak GB of this process alone; ru_maxrss would include the parent's at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
