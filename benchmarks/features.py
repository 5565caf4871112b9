"""Features side by side: this engine, tuned and plain SQL, Polars, usual pandas, and the limits.

    python benchmarks/features.py [--events 1e6,1e7] [--repeats 5]
                                  [--only click,end,items,sessions,start,live,spark]
                                  [--folder DIR] [--out benchmarks/results/features.json]
                                  [--docs docs/features-speed.md] [--join EARLIER.json ...]

The log is the e-shop clickstream (UCI 553, CC BY 4.0) resampled by whole sessions, with made times,
in time order; `items` is the same log with 100,000 different items; `sessions` has visitors in place
of sessions. `spark` (not by default: needs Java 17) folds the log of 1 M events on Spark and here,
and compares every row. Every figure is measured in a
process of its own after a warm-up on the small log, medians of `--repeats`, engines in turn within
each round, so that noise of the machine meets them alike. CPU is that of the whole process with its
threads; on a busy machine compare CPU, not wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from features_engines import ENGINES, measure

from cartcast import events
from cartcast.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
ESHOP = "eshop_clothing_2008/clickstream_data_for_online_shopping.zip"


PARTS = (
    ("click", "click", "eshop"),
    ("end", "end", "eshop"),
    ("items", "end", "items"),
    ("sessions", "sessions", "visitors"),
)
TITLES = {
    "click": "20 features after every click",
    "end": "19 features of finished sessions, Parquet to Parquet",
    "items": "the same, 100,000 items",
    "sessions": "sessions by a pause of 30 minutes",
}


def make_log(source: Path, n: int, out: Path, items: int | None) -> None:
    """Resample the sessions of a canonical log to `n` events in time order."""
    import duckdb

    copies = n // 165_474 + 1
    metadata = json.dumps({"contract": 1, "clock": "time", "order": "time", "layout": "eshop-2008"})
    item = "item_id" if items is None else f"'i' || (hash(session_id, event_order, k) % {items})"
    with duckdb.connect(str(out.with_suffix(".work"))) as con:
        con.execute("SET threads = 2; SET memory_limit = '4GB'; SET TimeZone = 'UTC'")
        con.execute(f"""
            CREATE TABLE made AS SELECT * REPLACE (
                session_id || '-' || k AS session_id, {item} AS item_id,
                event_time + to_microseconds((hash(session_id, k) % 86400000000)::BIGINT
                    + event_order * 30000000 + (hash(session_id, event_order, k) % 30000000)::BIGINT)
                AS event_time) FROM '{source}', range({copies}) AS r(k)""")
        con.execute(f"""
            COPY (SELECT * EXCLUDE (k) FROM made ORDER BY event_time, session_id, event_order
                  LIMIT {n}) TO '{out}'
            (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{cartcast: '{metadata}'}})""")
    out.with_suffix(".work").unlink()


def make_visitors(log: Path, out: Path) -> None:
    """Write the log's events under visitors, without sessions, in time order."""
    import duckdb

    with duckdb.connect() as con:
        con.execute("SET threads = 2; SET memory_limit = '4GB'; SET TimeZone = 'UTC'")
        n = con.execute(f"SELECT count(*) FROM '{log}'").fetchone()[0]
        con.execute(f"""
            COPY (SELECT 'v' || (hash(session_id) % {max(1, n // 30)}) AS visitor_id, event_time,
                         'view_item' AS event_type, item_id, price
                  FROM '{log}') TO '{out}' (FORMAT parquet, COMPRESSION zstd)""")


def logs(folder: Path, sizes: list[int], kinds: set[str]) -> dict[str, Path]:
    """Return the logs by name, made when they are not there."""
    data = Path(os.environ.get("CARTCAST_DATA", ROOT.parent / "shared" / "data"))
    base = events.load(data / ESHOP, folder=folder / "eshop").path
    found = {}
    for n in sorted({1_000_000, *sizes}):
        for kind in sorted(kinds):  # visitors are made of eshop
            path = folder / f"{kind}-{n}.parquet"
            if not path.exists():
                print(f"making {path.name}", file=sys.stderr)
                if kind == "visitors":
                    make_visitors(found[f"eshop-{n}"], path)
                else:
                    make_log(base, n, path, 100_000 if kind == "items" else None)
            found[f"{kind}-{n}"] = path
    return found


def run(task: str, engine: str, path: Path, small: Path) -> dict[str, float] | None:
    """Measure in a process of its own; None when the engine fails."""
    words = [sys.executable, __file__, "--measure", task, engine, str(path), str(small)]
    found = subprocess.run(words, capture_output=True, text=True)
    if found.returncode:
        print(f"{task} {engine}: {found.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    figures: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return figures


def compare(task: str, path: Path, small: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Return the medians by engine; engines take turns."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES[task]}
    for _ in range(repeats):
        for name in list(rows):
            figures = run(task, name, path, small)
            if figures is None:
                del rows[name]
            else:
                rows[name].append(figures)
    return {
        name: {key: statistics.median(r[key] for r in found) for key in found[0]}
        for name, found in rows.items()
    }


def start_times() -> dict[str, float]:
    """Return seconds of a process that folds: with nothing compiled yet, and with a warm cache."""
    code = (
        "import time; b = time.perf_counter(); import cartcast.features as F; "
        "F.default.step(F.default.start(), {'event_type': 'search'}); "
        "import pyarrow as pa; F.default.replay(pa.table({'session_id': ['a']})); "
        "print(time.perf_counter() - b, time.process_time())"
    )
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        for name in ("first ever", "later"):
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
                check=True,
            )  # fmt: skip
            wall, cpu = map(float, done.stdout.split())
            found |= {f"{name}, wall s": wall, f"{name}, CPU s": cpu}
    return found


def live_times(repeats: int = 20_000) -> dict[str, float]:
    """Return median microseconds of one live step of the default set."""
    import datetime as dt
    import random
    from time import perf_counter_ns

    from cartcast import features as F

    rng, time = random.Random(1), dt.datetime(2026, 1, 1)
    kinds = ["view_item", "view_item_list", "search", "add_to_cart"]
    rows = []
    for k in range(2000):
        time += dt.timedelta(seconds=rng.random() * 40)
        rows.append({
            "event_time": time, "event_order": k, "event_type": rng.choice(kinds),
            "item_id": f"i{rng.randrange(300)}", "category": rng.choice("abcdef"),
            "brand": rng.choice("xyz"), "price": rng.random() * 99, "quantity": 1.0,
            "country": "PL", "device": "mobile", "channel": "ad",
        })  # fmt: skip
    handle = F.program(F.default)
    encode, step = [], []
    state = handle.start(F.History())
    for k in range(repeats):
        if k % 12 == 0:
            state = handle.start(F.History())
        a = perf_counter_ns()
        row = handle.encode(rows[k % len(rows)])
        b = perf_counter_ns()
        handle.step(row, state)
        c = perf_counter_ns()
        encode.append(b - a)
        step.append(c - b)
    both = [x + y for x, y in zip(encode, step, strict=True)]
    names = ("encode", "step", "encode and step")
    medians = (statistics.median(v) / 1000 for v in (encode, step, both))
    return dict(zip(names, medians, strict=True)) | {"features": float(len(F.default))}


def spark_times(log: Path) -> dict[str, float]:
    """Fold a log here and on Spark (two local workers); stop unless every value is the same."""
    from time import perf_counter

    import pyarrow.parquet as pq
    from pyspark.sql import SparkSession

    from cartcast import features as F

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.memory", "2g")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    found, keys = {}, [("session_id", "ascending"), ("event_order", "ascending")]
    with tempfile.TemporaryDirectory() as folder:
        tables = {}
        for engine in ("duckdb", "spark"):
            out = Path(folder) / engine
            begin = perf_counter()
            F.default.replay(log, out=out, engine=engine)
            found[f"{engine}, wall s"] = perf_counter() - begin
            tables[engine] = pq.read_table(out).sort_by(keys)
        here, there = tables["duckdb"], tables["spark"].cast(tables["duckdb"].schema)
        if not there.equals(here):
            wrong = [n for n in here.schema.names if not there[n].equals(here[n])]
            sys.exit(f"Spark and this machine differ in {wrong}")
        found |= {"rows the same": float(here.num_rows), "columns": float(here.num_columns)}
    session.stop()
    return found


def bars(title: str, table: dict[str, dict[str, float]]) -> str:
    """Return the CPU seconds of a table as horizontal bars, SVG."""
    width, line, label = 720, 26, 290
    most = max(row["cpu"] for row in table.values())
    height = line * len(table) + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{title}: CPU seconds by engine" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="20" font-weight="bold" fill="#1b1f24">{title}, CPU seconds</text>',
    ]
    for k, (name, row) in enumerate(table.items()):
        y = 34 + k * line
        length = max(1.0, (width - label - 70) * row["cpu"] / most)
        own = name.startswith("Cartcast")
        colour = "#0b6e4f" if own else "#8a94a0" if name.startswith("limit") else "#c2703d"
        parts += [
            f'<text x="{label - 8}" y="{y + 15}" text-anchor="end" fill="#1b1f24">{name}</text>',
            f'<rect x="{label}" y="{y + 2}" width="{length:.0f}" height="18" fill="{colour}"/>',
            f'<text x="{label + length + 6:.0f}" y="{y + 15}" fill="#1b1f24">{row["cpu"]:.1f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def markdown(result: dict[str, object]) -> str:
    """Return the result as a page."""
    lines = [
        "# Speed of features",
        "",
        f"Made by `{result['command']}`; see its text for what is measured and how.",
        f"Machine: {result['machine']}; load at the start {result['load']}, so "
        "compare CPU where it is above 1. Medians of "
        f"{result['repeats']}. Absolute times mean little; read the ratios of one run.",
        "",
    ]
    lines += [str(result["note"]), ""] if result.get("note") else []
    pictures = result.get("pictures", {})
    for title, table in result["tables"].items():  # type: ignore[attr-defined]
        lines += [f"## {title}", ""]
        if title in pictures:  # type: ignore[operator]
            lines += [f"![{title}: CPU seconds]({pictures[title]})", ""]  # type: ignore[index]
        lines += ["| | wall s | CPU s | peak GB |", "|---|---|---|---|"]
        for name, row in table.items():
            lines.append(f"| {name} | {row['wall']:.2f} | {row['cpu']:.2f} | {row['peak']:.2f} |")
        lines.append("")
    for title in ("start", "live", "spark"):
        if title in result:
            lines += [f"## {title}", "", "| | |", "|---|---|"]
            lines += [f"| {k} | {v:.2f} |" for k, v in result[title].items()]  # type: ignore[attr-defined]
            lines.append("")
    return "\n".join(lines)


def draw(tables: dict[str, object], docs: Path) -> dict[str, str]:
    """Write a picture per table below `docs`; return their paths from there."""
    pictures = {}
    for title, table in tables.items():
        name = "features-" + "".join(c if c.isalnum() else "-" for c in title.lower()) + ".svg"
        write_text(docs / "images" / name, bars(title, table))  # type: ignore[arg-type]
        pictures[title] = f"images/{name}"
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", default="1e6,1e7")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="click,end,items,sessions,start,live")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "cartcast-bench"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", type=Path)
    parser.add_argument(
        "--join", type=Path, nargs="*", default=[], help="results (--out) of earlier runs to show"
    )
    parser.add_argument("--note", default="", help="a sentence for the page about this run")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    parts = set(given.only.split(","))
    given.folder.mkdir(parents=True, exist_ok=True)
    sizes = [int(float(n)) for n in given.events.split(",")]
    result: dict[str, object] = {
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "repeats": given.repeats,
        "load": f"{os.getloadavg()[0]:.0f}",
        "command": f"python benchmarks/features.py --only {given.only}",
        "note": given.note,
        "tables": {},
    }
    kinds = {"eshop"} if parts & {"click", "end", "sessions", "spark"} else set()
    kinds |= (parts & {"items"}) | ({"visitors"} if "sessions" in parts else set())
    made = logs(given.folder, sizes, kinds) if kinds else {}
    tables: dict[str, object] = {}
    for n in sizes:
        for part, task, kind in PARTS:
            if part in parts:
                title = TITLES[part]
                small = made[f"{kind}-1000000"]
                tables[f"{title}, {n:,} events"] = compare(
                    task, made[f"{kind}-{n}"], small, given.repeats
                )
    result["tables"] = tables
    if "start" in parts:
        result["start"] = start_times()
    if "live" in parts:
        result["live"] = live_times()
    if "spark" in parts:
        result["spark"] = spark_times(made["eshop-1000000"])
    for path in given.join:
        earlier = json.loads(path.read_text())
        tables |= earlier["tables"]
        result |= {k: earlier[k] for k in ("start", "live", "spark") if k in earlier}
        result["command"] = f"{earlier['command']}`, `{result['command']}"
    if given.docs:
        result["pictures"] = draw(tables, given.docs.parent)
    result["tables"] = tables
    text = markdown(result)
    print(text)
    if given.out:
        write_text(given.out, json.dumps(result, indent=1))
    if given.docs:
        write_text(given.docs, text)


if __name__ == "__main__":
    main()
