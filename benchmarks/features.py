"""Features side by side: this engine, tuned and plain SQL, Polars, usual pandas, and the limits.

    python benchmarks/features.py [--events 1e6,1e7] [--repeats 5]
                                  [--only click,end,items,start,live]
                                  [--folder DIR] [--out benchmarks/results/features.json]
                                  [--docs docs/features-speed.md]

The log is the e-shop clickstream (UCI 553, CC BY 4.0) resampled by whole sessions, with made times,
in time order; `items` is the same log with 100,000 different items. Every figure is measured in a
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


def logs(folder: Path, sizes: list[int], kinds: set[str]) -> dict[str, Path]:
    """Return the logs by name, made when they are not there."""
    data = Path(os.environ.get("CARTCAST_DATA", ROOT.parent / "shared" / "data"))
    base = events.load(data / ESHOP, folder=folder / "eshop").path
    found = {}
    for n in sorted({1_000_000, *sizes}):
        for kind in kinds:
            path = folder / f"{kind}-{n}.parquet"
            if not path.exists():
                print(f"making {path.name}", file=sys.stderr)
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


def markdown(result: dict[str, object]) -> str:
    """Return the result as a page."""
    lines = [
        "# Speed of features",
        "",
        "Made by `python benchmarks/features.py`; see its text for what is measured and how.",
        f"Machine: {result['machine']}. Medians of {result['repeats']}.",
        "",
    ]
    for title, table in result["tables"].items():  # type: ignore[attr-defined]
        lines += [f"## {title}", "", "| | wall s | CPU s | peak GB |", "|---|---|---|---|"]
        for name, row in table.items():
            lines.append(f"| {name} | {row['wall']:.2f} | {row['cpu']:.2f} | {row['peak']:.2f} |")
        lines.append("")
    for title in ("start", "live"):
        if title in result:
            lines += [f"## {title}", "", "| | |", "|---|---|"]
            lines += [f"| {k} | {v:.2f} |" for k, v in result[title].items()]  # type: ignore[attr-defined]
            lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", default="1e6,1e7")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="click,end,items,start,live")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "cartcast-bench"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", type=Path)
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
        "tables": {},
    }
    kinds = ({"eshop"} if parts & {"click", "end"} else set()) | (parts & {"items"})
    made = logs(given.folder, sizes, kinds) if kinds else {}
    tables: dict[str, object] = {}
    for n in sizes:
        for part, task, kind in (("click", "click", "eshop"), ("end", "end", "eshop"),
                                 ("items", "end", "items")):  # fmt: skip
            if part in parts:
                title = {"click": "20 features after every click", "end": "19 features of finished "
                         "sessions, Parquet to Parquet", "items": "the same, 100,000 items"}[part]  # fmt: skip
                small = made[f"{kind}-1000000"]
                tables[f"{title}, {n:,} events"] = compare(
                    task, made[f"{kind}-{n}"], small, given.repeats
                )
    result["tables"] = tables
    if "start" in parts:
        result["start"] = start_times()
    if "live" in parts:
        result["live"] = live_times()
    text = markdown(result)
    print(text)
    if given.out:
        write_text(given.out, json.dumps(result, indent=1))
    if given.docs:
        write_text(given.docs, text)


if __name__ == "__main__":
    main()
