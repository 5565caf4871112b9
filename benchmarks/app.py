"""Server times of the app: what a page waits for after a filter, a click, a start.

    python benchmarks/app.py [--events 1e6,1e7] [--repeats 3] [--batch 100000] [--folder DIR]
                             [--docs docs/app-speed.md]

The log is the simulated shop; the larger one is the same shop several times over, each copy with
visitors and days of its own. Insights are counted by the functions that the pages call, each in a
fresh engine; reruns are those of the framework's own test runner, which runs a page's whole script
on the server, without a browser. Wall seconds, median of the repeats, and CPU seconds: on a busy
machine compare CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cartcast.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return median wall and CPU seconds of one call."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def make_project(folder: Path, millions: int) -> tuple[Any, float]:
    """Return a project with a clean log of so many million events, and seconds for its sessions."""
    import duckdb

    from cartcast import events
    from cartcast.app.state import Project
    from cartcast.datasets import simulate

    base = folder / "base"
    if not (base / "cartcast.yaml").is_file():
        base.mkdir(parents=True, exist_ok=True)
        simulate(sessions=150_000, seed=1, out=base / "shop.parquet")
        write_text(base / "cartcast.yaml", "sources: [shop.parquet]\n")
    project = Project.open(base)
    data = project.read(project.source_paths())
    if millions == 1:
        return project, 0.0
    many = folder / f"{millions}m"
    many.mkdir(exist_ok=True)
    write_text(many / "cartcast.yaml", "sources: [shop.parquet]\nupload_megabytes: 4000\n")
    if not (many / "shop.parquet").is_file():
        import pyarrow.parquet as pq

        told = (pq.read_metadata(data.log.path).metadata or {})[b"cartcast"].decode()
        with duckdb.connect() as con:
            con.execute(f"SET temp_directory = '{many}'; SET memory_limit = '3GB'")
            con.execute(
                "COPY (SELECT * REPLACE (session_id || '-' || copy AS session_id, "
                "visitor_id || '-' || copy AS visitor_id, "
                "event_time + to_days((copy * 91)::INT) AS event_time) "
                f"FROM range({millions}) AS r(copy), read_parquet('{data.log.path}') "
                f"ORDER BY copy, event_time) TO '{many / 'shop.parquet'}' (FORMAT parquet, "
                f"COMPRESSION zstd, KV_METADATA {{cartcast: $${told}$$}})"
            )
    assert events.open_log(many / "shop.parquet").clock == "time"
    project = Project.open(many)
    begin = time.perf_counter()
    project.read(project.source_paths())
    return project, time.perf_counter() - begin


def insight_times(project: Any, repeats: int) -> dict[str, tuple[float, float]]:
    """Return the times of what the pages count."""
    from datetime import timedelta

    from cartcast import insights
    from cartcast.insights.source import Slice

    data = project.get_data(None)
    log, sessions = data.log.path, data.sessions
    whole = insights.overview(log, sessions=sessions)
    assert whole.start is not None
    week = Slice(whole.start.date(), whole.start.date() + timedelta(days=6))
    mobile = Slice(values={"device": "mobile"})
    asked: dict[str, Callable[[], Any]] = {
        "dashboard, first": lambda: insights.overview(log, sessions=sessions),
        "dashboard, one device": lambda: insights.overview(log, where=mobile, sessions=sessions),
        "dashboard, a week": lambda: insights.overview(log, where=week, sessions=sessions),
        "conversion by device": lambda: insights.breakdown(log, "device", sessions=sessions),
        "conversion by category": lambda: insights.breakdown(log, "category", sessions=sessions),
        "funnel": lambda: insights.funnel(log, sessions=sessions),
        "funnel by device": lambda: insights.funnel(log, by="device", sessions=sessions),
        "funnel with conditions": lambda: insights.funnel(
            log,
            ["view_item[category=shoes,boots]", "add_to_cart|begin_checkout"],
            sessions=sessions,
        ),
        "items": lambda: insights.items(log, sessions=sessions),
        "bought together": lambda: insights.bought_together(log, sessions=sessions),
        "paths from view_item": lambda: insights.paths(log, "view_item", sessions=sessions),
        "cohorts": lambda: insights.cohorts(log, sessions=sessions),
        "hours": lambda: insights.heat_map(log, sessions=sessions),
    }
    return {name: timed(work, repeats) for name, work in asked.items()}


def page_times(folder: Path, page: str) -> dict[str, float]:
    """Return seconds of the first run of a page in a new process, and of reruns."""
    code = (
        "import os, sys, time, json\n"
        "begin = time.perf_counter()\n"
        "from streamlit.testing.v1 import AppTest\n"
        "import cartcast.app, pathlib\n"
        "page = pathlib.Path(cartcast.app.__file__).parent / 'views' / (sys.argv[1] + '.py')\n"
        "at = AppTest.from_file(str(page), default_timeout=300)\n"
        "told = {}\n"
        "at.run(); told['cold'] = time.perf_counter() - begin\n"
        "def again(name, act):\n"
        "    begin = time.perf_counter(); act().run(); told[name] = time.perf_counter() - begin\n"
        "    assert not at.exception and not at.error, (at.exception, at.error)\n"
        "again('warm', lambda: at)\n"
        "if sys.argv[1] == 'dashboard':\n"
        "    again('a filter', lambda: at.selectbox(key='device').set_value('mobile'))\n"
        "if sys.argv[1] == 'predictions':\n"
        "    for name in ('first click', 'second click', 'third click', 'fourth click'):\n"
        "        again(name, lambda: at.button(key='click_add').click())\n"
        "print(json.dumps(told))\n"
    )
    from cartcast.app.launch import PROJECT_VARIABLE

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, page],
        env={**os.environ, PROJECT_VARIABLE: str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def batch_times(folder: Path, run_dir: Path, sessions: int) -> dict[str, float]:
    """Return seconds and peak memory (GB) from an uploaded log to the CSV, in a new process."""
    from cartcast.datasets import simulate

    path = folder / f"batch-{sessions}.parquet"
    if not path.is_file():
        simulate(sessions=sessions, seed=7, out=path)
    code = (
        "import sys, time, json\n"
        "from pathlib import Path\n"
        "begin = time.perf_counter()\n"
        "from cartcast.app import actions, files\n"
        "from cartcast.app.state import Project\n"
        "from cartcast.score import predict\n"
        "project = Project.open(Path(sys.argv[1])); me = project.access.owner()\n"
        "with open(sys.argv[2], 'rb') as sent:\n"
        "    path = actions.add_upload(project, me, 'batch.parquet', sent)\n"
        "data = actions.read_log(project, me, [str(path)], batch=True)\n"
        "read = time.perf_counter() - begin\n"
        "table, _ = predict([str(data.log.path)], Path(sys.argv[3]))\n"
        "scored = time.perf_counter() - begin\n"
        "files.csv_bytes(table)\n"
        "print(json.dumps({'read': read, 'scored': scored - read, 'sessions': len(table),\n"
        "    'all': time.perf_counter() - begin,\n"
        # The peak of getrusage is that of the parent too, since a process begins as its copy.
        "    'memory': int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        "        / 1e6}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "base"), str(path), str(run_dir)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def train_small(folder: Path) -> Path:
    """Return the run of a project of its own: predictions need one."""
    from cartcast.app.state import Project
    from cartcast.datasets import simulate
    from cartcast.train import train

    shop = folder / "small"
    if not (shop / "cartcast.yaml").is_file():
        shop.mkdir(parents=True, exist_ok=True)
        simulate(sessions=8000, seed=2, out=shop / "shop.parquet")
        write_text(shop / "cartcast.yaml", "sources: [shop.parquet]\n")
    project = Project.open(shop)
    project.read(project.source_paths())
    found = project.run()
    return found.entry.path if found else train(project=shop, segments=4).dir


def main() -> None:
    """Measure, print, and write the docs page when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", default="1e6,1e7")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--docs", type=Path)
    told = parser.parse_args()
    keep = tempfile.TemporaryDirectory(prefix="cartcast-app-bench-")
    folder = told.folder or Path(keep.name)
    lines: list[str] = []

    def say(line: str = "") -> None:
        print(line, flush=True)
        lines.append(line)

    sizes = [round(float(n) / 1e6) for n in told.events.split(",")]
    say("| counted on the server | events | wall s | CPU s |")
    say("|---|---|---|---|")
    for millions in sizes:
        project, seconds = make_project(folder, millions)
        if seconds:
            say(f"| session table, once after reading | {millions} M | {seconds:.2f} | |")
        for name, (wall, cpu) in insight_times(project, told.repeats).items():
            say(f"| {name} | {millions} M | {wall:.2f} | {cpu:.2f} |")
    say()
    run_dir = train_small(folder)
    say("| page | run | server s |")
    say("|---|---|---|")
    pages = [("dashboard", folder / ("base" if m == 1 else f"{m}m"), f", {m} M events")
             for m in sizes]  # fmt: skip
    pages += [("analysis", folder / "base", ", 1 M events"),
              ("predictions", folder / "small", ""), ("performance", folder / "small", "")]  # fmt: skip
    for page, where, note in pages:
        for name, seconds in page_times(where, page).items():
            say(f"| {page}{note} | {name} | {seconds:.2f} |")
    say()
    batch = batch_times(folder, run_dir, told.batch)
    say(
        f"A batch of {batch['sessions']:,.0f} sessions, from upload to CSV: {batch['all']:.1f} s "
        f"(read {batch['read']:.1f}, scored {batch['scored']:.1f}), peak memory "
        f"{batch['memory']:.2f} GB."
    )
    if told.docs:
        write_text(told.docs, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
