"""Reading beside the engine that it stands on: the whole contract against DuckDB alone.

    python benchmarks/reading.py [--events 1e7] [--rounds 3] [--folder DIR] [--only csv,parquet]
    python benchmarks/reading.py --steps [--events 1e7] [--folder DIR]

Each round runs the two sides in turn, each in a process of its own; wall and processor seconds are
medians, memory is the largest of the process. The files are written here first, by the engine:

- csv: 9 columns in time order. DuckDB types the file and writes Parquet.
- validate: the same file, counted and reported, no log written.
- parquet: 20 columns in disorder. DuckDB types, numbers within sessions, sorts by time and writes.
- json: GA4 as JSON lines, nested. DuckDB's read_json and unnest of the items.

With `--steps`, the CSV is read once, and the engine's seconds are told by the file of
`cartcast/events` that asked: what each concern, with its findings, costs.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import duckdb

SHOP = """
    SELECT 'v' || (hash(s) % {visitors}) AS visitor_id, 's' || s AS session_id,
           TIMESTAMP '2025-03-01' + to_microseconds(
               s * {step} + (k * 37000000 + hash(i) % 30000000)::BIGINT) AS t,
           CASE WHEN k = 0 THEN 'page_view' WHEN hash(i + 1) % 50 = 0 THEN 'purchase'
                WHEN hash(i + 1) % 10 < 2 THEN 'add_to_cart' ELSE 'view_item' END AS event_type,
           'i' || (hash(i + 2) % 5000) AS item_id, 'c' || (hash(i + 2) % 5000 % 40) AS category,
           'b' || (hash(i + 2) % 5000 % 300) AS brand,
           round(5 + (hash(i + 2) % 5000) / 25.0, 2) AS price,
           ['DE', 'FR', 'IT', 'NA', 'US'][1 + (hash(s) % 5)::INT] AS country, i, s
    FROM (SELECT i, i // 6 AS s, i % 6 AS k FROM range({events}) r(i))
"""
NINE = "visitor_id, session_id, event_type, item_id, category, brand, price, country"


def shop(events: int) -> str:
    step = 90 * 86_400 * 1_000_000 // max(events // 6, 1)
    return SHOP.format(events=events, visitors=max(events // 15, 1), step=step)


def write_files(folder: Path, events: int, wanted: set[str]) -> None:
    con = duckdb.connect()
    text = "strftime(t, '%Y-%m-%d %H:%M:%S') AS event_time"
    if wanted & {"csv", "validate"}:
        con.execute(
            f"COPY (SELECT {NINE}, {text} FROM ({shop(events)}) ORDER BY t) TO '{folder}/shop.csv' "
            "(FORMAT csv, HEADER)"
        )
    if "parquet" in wanted:
        more = ", ".join(f"'w' || (hash(i + {k}) % {10 * k}) AS own_{k}" for k in range(3, 14))
        con.execute(
            f"COPY (SELECT {NINE}, t AS event_time, {more} FROM ({shop(events)}) ORDER BY hash(i)) "
            f"TO '{folder}/shop.parquet'"
        )
    if "json" in wanted:
        con.execute(
            f"""
            COPY (SELECT epoch_us(t)::VARCHAR AS event_timestamp, event_type AS event_name,
                visitor_id AS user_pseudo_id,
                [{{'key': 'ga_session_id', 'value': {{'int_value': s::VARCHAR}}}},
                 {{'key': 'page_location', 'value': {{'string_value': 'https://x/' || item_id}}}}]
                    AS event_params,
                {{'country': country}} AS geo,
                CASE WHEN event_type = 'purchase' THEN {{'transaction_id': 'o' || i,
                    'purchase_revenue': price}} END AS ecommerce,
                [{{'item_id': item_id, 'item_category': category, 'price': price,
                   'quantity': '1'}}] AS items
            FROM ({shop(events // 10)}) ORDER BY t) TO '{folder}/ga4.jsonl' (FORMAT json)
            """
        )


def by_engine(what: str, folder: Path) -> None:
    con = duckdb.connect()
    con.execute(f"SET memory_limit = '2GB'; SET temp_directory = '{folder}/spill'")
    out = f"TO '{folder}/engine.parquet' (FORMAT parquet)"
    if what in ("csv", "validate"):
        types = dict.fromkeys(NINE.split(", "), "VARCHAR")
        types |= {"price": "DOUBLE", "event_time": "TIMESTAMP"}
        columns = ", ".join(f"'{k}': '{v}'" for k, v in types.items())
        con.execute(
            f"COPY (FROM read_csv('{folder}/shop.csv', columns = {{{columns}}}, header = true, "
            f"auto_detect = false)) {out}"
        )
    elif what == "parquet":
        con.execute(
            "COPY (SELECT *, row_number() OVER (PARTITION BY session_id ORDER BY event_time) AS "
            f"event_order FROM '{folder}/shop.parquet' ORDER BY event_time) {out}"
        )
    else:
        con.execute(
            f"COPY (SELECT * EXCLUDE (items), unnest(items) AS item FROM "
            f"read_json('{folder}/ga4.jsonl')) {out}"
        )


def by_cartcast(what: str, folder: Path) -> None:
    from cartcast.events import load

    name = {"parquet": "shop.parquet", "json": "ga4.jsonl"}.get(what, "shop.csv")
    load(folder / name, folder=folder / "clean", memory="2GB", report_only=what == "validate")


class Clocked:
    """An engine connection that counts its seconds by the file of the reader that asked."""

    spent: ClassVar[Counter[str]] = Counter()

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def __enter__(self) -> Clocked:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()

    def execute(self, *words: Any) -> Any:
        begin = time.perf_counter()
        try:
            return self._con.execute(*words)
        finally:
            self.spent[_asking()] += time.perf_counter() - begin


def _asking() -> str:
    frame = sys._getframe(2)
    while frame.f_back and Path(frame.f_code.co_filename).stem in ("summed", "engine"):
        frame = frame.f_back
    return Path(frame.f_code.co_filename).stem


def steps(folder: Path, events: int) -> None:
    """Print the seconds of each concern, the dearest first."""
    write_files(folder, events, {"csv"})
    importlib.import_module("cartcast.events.load")
    connect = duckdb.connect
    duckdb.connect = lambda *a, **k: Clocked(connect(*a, **k))
    begin = time.perf_counter()
    by_cartcast("csv", folder)
    wall = time.perf_counter() - begin
    duckdb.connect = connect
    print(f"{events:,} events, {os.cpu_count()} cores, {wall:.1f} s in all")
    print("| file of `cartcast/events` | s | share |\n|---|---|---|")
    rest = wall - sum(Clocked.spent.values())
    for name, spent in [*Clocked.spent.most_common(), ("outside the engine", rest)]:
        if spent / wall >= 0.005:
            print(f"| {name} | {spent:.2f} | {spent / wall:.1%} |")


def child(side: str, what: str, folder: Path) -> None:
    if side == "cartcast":
        importlib.import_module("cartcast.events.load")  # imports are not reading
    begin, used = time.perf_counter(), time.process_time()
    {"engine": by_engine, "cartcast": by_cartcast}[side](what, folder)
    print(json.dumps([time.perf_counter() - begin, time.process_time() - used, peak()]))


def peak() -> float:
    """Return the most memory that this process held, in GB; `ru_maxrss` begins at its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(side: str, what: str, folder: Path) -> list[float]:
    words = [sys.executable, __file__, "--child", side, what, "--folder", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=float, default=1e7)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", default="csv,validate,parquet,json")
    parser.add_argument("--child", nargs=2)
    parser.add_argument("--steps", action="store_true")
    given = parser.parse_args()
    if given.child:
        child(*given.child, given.folder)
        return
    wanted = given.only.split(",")
    with tempfile.TemporaryDirectory() as made:
        folder = given.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if given.steps:
            steps(folder, int(given.events))
            return
        write_files(folder, int(given.events), set(wanted))
        print(f"{int(given.events):,} events (json: a tenth), {os.cpu_count()} cores, "
              f"medians of {given.rounds}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
        print(
            "| work | DuckDB s (CPU) | Cartcast s (CPU) | wall | CPU | memory GB |\n|---|---|---|---|---|---|"
        )
        for what in wanted:
            sides: dict[str, list[list[float]]] = {"engine": [], "cartcast": []}
            for _ in range(given.rounds):
                for side, found in sides.items():
                    found.append(measure(side, what, folder))
            a, b = ([statistics.median(x) for x in zip(*sides[s], strict=True)] for s in sides)
            print(f"| {what} | {a[0]:.1f} ({a[1]:.1f}) | {b[0]:.1f} ({b[1]:.1f}) | "
                  f"{b[0] / a[0]:.2f}x | {b[1] / a[1]:.2f}x | {b[2]:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
