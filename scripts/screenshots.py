"""Pictures of every page of the app: light and dark, on a laptop and a phone.

    python scripts/screenshots.py [--project DIR] [--out DIR] [--only NAME ...]

All go to `build/screenshots`; the seven that the documentation shows are made small and put into
`docs/images`. Without a project the demo is made first. Nothing but the app itself is asked for
anything.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"laptop": (1366, 860), "phone": (390, 844)}
PAGES = {
    "start": "start",
    "dashboard": "?days=all",
    "analysis-funnel": "analysis?topic=Funnel",
    "analysis-paths": "analysis?topic=Paths",
    "analysis-cohorts": "analysis?topic=Cohorts",
    "analysis-conversion": "analysis?topic=Conversion%20by",
    "analysis-items": "analysis?topic=Items",
    "analysis-hours": "analysis?topic=Hours",
    "analysis-sessions": "analysis?topic=Sessions&did=cart&did_not=purchase",
    "predictions": "predictions",
    "predictions-features": "predictions?kind=Features",
    "predictions-batch": "predictions?kind=Batch",
    "segments": "segments",
    "segments-saved": "segments?segments_part=Saved",
    "performance": "performance",
    "performance-clicks": "performance?view=By%20click",
    "performance-calibration": "performance?view=Calibration",
    "performance-lift": "performance?view=Lift%20and%20profit",
    "performance-slices": "performance?view=Slices",
    "experiments": "experiments",
    "experiments-design": "experiments?experiment_part=Design",
    "experiments-new": "experiments?experiment_part=New%20plan",
    "experiments-record": "experiments?experiment_part=Record",
    "activation": "activation",
    "monitoring": "monitoring",
    "monitoring-risk": "monitoring?watch=Risk",
    "monitoring-calibration": "monitoring?watch=Calibration",
    "monitoring-feed": "monitoring?watch=Feed",
    "live": "live",
    "training": "training",
    "training-train": "training?part=Train",
}
TALLEST = 2600
PHONE = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140 Mobile Safari/537.36"
)
KEPT = {
    "How the shop does": "dashboard", "Phones": "analysis?topic=Funnel&device=mobile",
    "After a product page": "analysis?topic=Paths&depth=2", "How good the model is": "performance",
}  # fmt: skip
"""Views on the start page of a project that has none of its own."""
SHOWN = (
    "dashboard", "analysis-paths", "predictions", "segments", "performance-lift", "training",
    "experiments",
)  # fmt: skip
"""Shown in README and documentation, on a laptop in the light theme."""
SHOWN_SIZE = (1100, 900)


def tested(folder: Path) -> Path:
    """Make a project whose log holds an experiment with a known lift; return its folder."""
    import pyarrow.parquet as pq
    import yaml

    from cartcast.experiments import Allocation, draft
    from cartcast.experiments.simulate import START, World, simulate

    arms = {"control": 0.5, "free": 0.5}
    world = World(visitors=6000, lift=0.25, chance=0.2, sessions_a_day=0.4, days_before=28, days=28)
    made = simulate(world, Allocation("free-shipping", tuple(arms)), seed=1)
    plan = draft(
        "free-shipping", arms, "revenue", start=START.date(), weeks=3, units=5700, margin=0.05
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pq.write_table(made.log, folder / "log.parquet")
    (folder / "free-shipping.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    (folder / "cartcast.yaml").write_text("sources: [log.parquet]\ncurrency: EUR\n")
    activated(folder, made.log)
    return folder


def activated(folder: Path, log: Any) -> None:
    """Declare two activations in a project, and decide one for the visitors of a log."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import yaml

    from cartcast.activation import Outbox, activate, read_activations

    test = {"unit": "visitor_id", "arms": {"held": 0.2, "told": 0.8}, "metrics": {
        "revenue": {"mean": "money"}}, "quantities": {"money": {
            "kind": "sum", "event": "purchase", "column": "revenue"}}}  # fmt: skip
    once = {"times": 1, "within": "7d"}
    acts = {
        "rescue-cart": {
            "when": "cart_value > 0 and probability < 0.4", "consent": "newsletter == 'yes'",
            "at_most": [once, {"times": 3, "within": "30d", "across": "all"}],
            "webhook": {"url": "https://crm.example.com/in", "secret": "$CRM_WEBHOOK"},
        },
        "help-banner": {
            "when": "session_length > 5 and probability < 0.2", "at_most": once,
            "consent": {"not_needed": "it is a part of our own page"}, "page": {"text": "Help?"},
        },
    }  # fmt: skip
    plan = {"experiments": dict.fromkeys(acts, test), "activations": acts}
    (folder / "shop.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    ids = log["visitor_id"].unique().to_pylist()
    rows = [{"visitor_id": v, "cart_value": 9.0 * (n % 3), "probability": n % 10 / 20,
             "newsletter": "yes" if n % 4 else "no"} for n, v in enumerate(ids)]  # fmt: skip
    outbox = Outbox(folder / ".cartcast" / "activation" / "outbox.db")
    rescue = read_activations(folder / "shop.yaml", posts=False)["rescue-cart"]
    activate(rescue, pa.Table.from_pylist(rows), outbox)
    for state in ("sent", "sent", "dead"):
        letter = outbox.next_letter("rescue-cart")
        assert letter is not None
        outbox.settle(letter, state, "")
    pq.write_table(pa.Table.from_pylist(rows), folder / "scores.parquet")


@contextmanager
def served(project: Path) -> Iterator[str]:
    """Run the app for a project."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "cartcast", "app", "--project", str(project), "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):  # noqa: S310
                    break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


STILL = """() => {
  const app = document.querySelector('[data-testid=stApp]');
  const busy = '[data-stale=true], [data-testid=stSpinner], [data-testid=stSkeleton]';
  const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
  return app && app.dataset.testScriptState === 'notRunning' && !document.querySelector(busy)
    && charts.every(c => c.querySelector('.main-svg'))
    && document.getAnimations().every(a => a.playState !== 'running'
      || a.effect.getComputedTiming().endTime === Infinity);
}"""


def settle(page: Any) -> None:
    """Wait until the page has drawn everything and nothing moves."""
    page.wait_for_selector("h1, [data-testid=stAlert]", timeout=90_000)
    page.wait_for_function(STILL, timeout=90_000)
    # Once more after a frame: a chart is drawn anew when the page finds its size.
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    page.wait_for_function(STILL, timeout=90_000)


def prepare(page: Any, url: str) -> None:
    """Have the project's data read once."""
    page.goto(f"{url}/{PAGES['dashboard']}")
    settle(page)
    button = page.get_by_role("button", name="Read the project's data")
    if button.count():
        button.click()
        page.wait_for_selector("[data-testid=stMetric]", timeout=120_000)
        settle(page)


def clicks(page: Any) -> None:
    """Build a short session, so that the page has something to say."""
    add = page.get_by_role("button", name="Add", exact=True)
    for _ in range(3):
        if add.count():
            add.click()
            settle(page)


def look(page: Any) -> None:
    """Look at the results of an experiment, where there is one."""
    button = page.get_by_role("button", name="Look at the results")
    if button.count():
        button.click()
        page.wait_for_selector("[data-testid=stMetric]", timeout=120_000)
        settle(page)


def record(page: Any) -> None:
    """Record a decision, and come back to the record."""
    page.get_by_role("radio", name="Results", exact=True).click()
    page.get_by_role("button", name="Look at the results").wait_for()
    look(page)
    page.get_by_role("button", name="Record this decision").click()
    page.get_by_text("Recorded; see it under Record.").wait_for()
    page.get_by_role("radio", name="Record", exact=True).click()
    page.get_by_text("Looks", exact=True).wait_for()
    settle(page)


ACTS = {"predictions": clicks, "experiments": look, "experiments-record": record}
"""What is done on a page before its picture is taken."""


def take(page: Any, url: str, name: str, path: Path, act: Callable[[Any], None] | None) -> None:
    """Take one picture, as tall as the page."""
    size = page.viewport_size
    page.goto(f"{url}/{PAGES[name]}")
    settle(page)
    if act:
        act(page)
    tall = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size(
        {"width": size["width"], "height": min(max(size["height"], tall), TALLEST)}
    )
    settle(page)
    page.screenshot(path=path)
    page.set_viewport_size(size)


def show(taken: Path, images: Path) -> None:
    """Put the pictures of the documentation, narrow, cut to one screen and with few colours."""
    from PIL import Image

    images.mkdir(parents=True, exist_ok=True)
    for name in SHOWN:
        source = taken / f"{name}-laptop-light.png"
        if not source.is_file():
            continue
        picture = Image.open(source).convert("RGB")
        wide, high = SHOWN_SIZE
        picture = picture.resize((wide, round(picture.height * wide / picture.width)))
        picture = picture.crop((0, 0, wide, min(high, picture.height)))
        # Few colours, none of them mixed by dots: text stays sharp and files small.
        few = picture.quantize(96, dither=Image.Dither.NONE)
        few.save(images / source.name, optimize=True)


def main() -> int:
    """Take all pictures; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=ROOT / "demo")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "screenshots")
    parser.add_argument("--only", nargs="*", default=list(PAGES))
    parser.add_argument("--sizes", nargs="*", default=list(SIZES))
    parser.add_argument("--themes", nargs="*", default=["light", "dark"])
    told = parser.parse_args()
    chromium = os.environ.get("CARTCAST_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        print("screenshots: error: needs chromium; install it, or set CARTCAST_CHROMIUM.")
        return 1
    from playwright.sync_api import sync_playwright

    told.out.mkdir(parents=True, exist_ok=True)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    # The demo's shop runs no experiment: those pages show a simulated one.
    of_tests = [n for n in told.only if n.startswith(("experiments", "activation"))]
    rest = [n for n in told.only if n not in of_tests]
    if rest and not (told.project / "cartcast.yaml").is_file():
        subprocess.run([sys.executable, "-m", "cartcast", "demo", str(told.project)], check=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=flags)
        if rest:
            pictures(browser, told.project, rest, told)
        if of_tests:
            pictures(browser, tested(told.out.parent / "tested"), of_tests, told)
        browser.close()
    show(told.out, ROOT / "docs" / "images")
    return 0


@contextmanager
def with_views(project: Path) -> Iterator[None]:
    """Give a project some saved views until the block ends, where it has none."""
    from cartcast.app.saved_views import FILE, SavedView, read_views, save_view

    lent = not read_views(project)
    for name, address in KEPT.items() if lent else ():
        save_view(project, SavedView(name, address))
    try:
        yield
    finally:
        if lent:
            (project / FILE).unlink()


def pictures(browser: Any, project: Path, names: list[str], told: argparse.Namespace) -> None:
    """Take the pictures of one project's pages."""
    with served(project) as url, with_views(project):
        for theme in told.themes:
            for size in told.sizes:
                wide, high = SIZES[size]
                context = browser.new_context(
                    viewport={"width": wide, "height": high}, color_scheme=theme,
                    user_agent=PHONE if size == "phone" else None,
                )  # fmt: skip
                page = context.new_page()
                prepare(page, url)
                for name in names:
                    path = told.out / f"{name}-{size}-{theme}.png"
                    take(page, url, name, path, ACTS.get(name))
                    print(path.name, flush=True)
                context.close()


if __name__ == "__main__":
    sys.exit(main())
