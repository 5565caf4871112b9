"""How near to the truth: models on the simulated shop, whose exact probabilities are known.

    python benchmarks/truth.py [--sessions 5000,50000] [--models lightgbm,...] [--weights both]
                               [--svg docs/images/learning-curve.svg]

For clicks 1, 3, 5 and 10: (log loss of the model - of the truth) / (of the prevalence - of the
truth), in percent; 0 % is the truth, 100 % the prevalence. The test rows are the last fifth of the
sessions, by visitors that no model saw. `--weights both` repeats it with rows that share a weight
of 1 in their session, which bends the probabilities (docs/decisions/0001-row-weights.md): with
such weights a model "beats" the truth.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast import events
from cartcast.datasets import simulate
from cartcast.features import load_set
from cartcast.models.fitting import Recipe
from cartcast.moments import from_log
from cartcast.rows import Rows
from cartcast.splits import split_by_time
from cartcast.targets import Purchase
from cartcast.train.fit import Plan, fit_one, says
from cartcast.train.task import Part, parts_of

CLICKS = (1, 3, 5, 10)
ANCHORS = (1, 2, 3, 5, 8, 10, 13, 21)


def log_loss(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(np.average(-(y * np.log(p) + (1 - y) * np.log(1 - p)), weights=w))


def gap(part: Part, truth: np.ndarray, p: np.ndarray, click: int | None) -> float:
    """Where the model lies between the truth (0) and the prevalence (1), at one click."""
    at = np.ones(len(part), bool) if click is None else (part.keys["click"] == click).to_numpy()
    y, w = part.label[at], part.weight[at]
    floor = log_loss(y, truth[at], w)
    ceiling = log_loss(y, np.full(at.sum(), np.average(y, weights=w)), w)
    return (log_loss(y, p[at], w) - floor) / (ceiling - floor)


def compare(sessions: int, seed: int, names: list[str], shared: bool) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        simulate(sessions, seed=seed, out=folder / "shop.parquet", truth=folder / "truth.parquet")
        log = events.load(folder / "shop.parquet", folder=folder / "log")
        rows = from_log(log, Purchase(), load_set("default"), ANCHORS)
        known = pd.read_parquet(folder / "truth.parquet")
    if shared:
        weight = 1.0 / rows.table.groupby("session_id")["click"].transform("size")
        rows = Rows(rows.table.assign(weight=weight), rows.values, rows.categorical)
    train, test = parts_of(rows, split_by_time(rows.table, (0.4, 0.4, 0.2), by_clock=True))
    plan = Plan("classifier", Recipe(rows.categorical, threads=2), ordered=True)
    keys = ["session_id", "event_order"]
    truth = test.keys.merge(known[[*keys, "p_purchase"]], on=keys, how="left")["p_purchase"]
    found = []
    for name in names:
        begin = time.perf_counter()
        fitted = fit_one(name, train, plan)
        said = says(fitted.model, fitted.declaration, test)
        seconds = time.perf_counter() - begin
        show(sessions, seed, name, test, truth.to_numpy(), said, shared, seconds)
        found += [
            {"sessions": sessions, "model": name, "click": click,
             "gap": gap(test, truth.to_numpy(), said, click)}
            for click in CLICKS
        ]  # fmt: skip
    return found


def show(
    sessions: int, seed: int, name: str, test: Part, truth: np.ndarray, p: np.ndarray,
    shared: bool, seconds: float,
) -> None:  # fmt: skip
    at = "  ".join(f"{gap(test, truth, p, click):7.1%}" for click in CLICKS)
    weights = "1/rows of session" if shared else "1"
    print(
        f"{sessions:>8,}  seed {seed:<3} {name:22} weights {weights:18} all "
        f"{gap(test, truth, p, None):7.1%}  clicks {CLICKS}: {at}  {seconds:6.1f} s",
        flush=True,
    )


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Write the learning curve: one panel per click, one line per model, lower is nearer."""
    table = pd.DataFrame(found).groupby(["click", "model", "sessions"], as_index=False).mean()
    sizes, names = sorted(table["sessions"].unique()), sorted(table["model"].unique())
    # A sample can put a model ahead of the truth: then the axis begins below 0.
    step = 0.1 if table["gap"].max() < 0.8 else 0.2
    first, top = min(0.0, float(table["gap"].min())), max(0.1, float(table["gap"].max())) * 1.05
    low, high = np.log10(min(sizes)), np.log10(max(sizes)) + 1e-9
    wide, tall, left, over = 190, 190, 46, 40
    parts = []

    def text(x: float, y: float, what: str, more: str = "") -> None:
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" {more}>{what}</text>')

    for k, click in enumerate(CLICKS):
        x0, y0 = left + k * (wide + 24), over + tall
        parts.append(f'<path d="M{x0},{over}V{y0}H{x0 + wide}" fill="none" stroke="#888"/>')
        text(x0, over - 8, f"after click {click}")
        for size in sizes:
            at = x0 + 10 + (wide - 20) * (np.log10(size) - low) / (high - low)
            text(at, y0 + 16, f"{size:,}", 'text-anchor="middle"')
        for level in np.arange(0, top, step):
            y = y0 - tall * (level - first) / (top - first)
            parts.append(f'<path d="M{x0},{y:.1f}H{x0 + wide}" stroke="#ddd"/>')
            if not k:
                text(x0 - 6, y + 4, f"{level:.0%}", 'text-anchor="end"')
        for name, colour in zip(names, ("#0b6e4f", "#c2571a", "#3b5bdb", "#888"), strict=False):
            rows = table[(table["model"] == name) & (table["click"] == click)]
            dots = [
                (x0 + 10 + (wide - 20) * (np.log10(n) - low) / (high - low),
                 y0 - tall * (g - first) / (top - first))
                for n, g in zip(rows["sessions"], rows["gap"], strict=True)
            ]  # fmt: skip
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in dots]
            if not k:
                text(left + 150 * names.index(name), over + tall + 44, name, f'fill="{colour}"')
    title = "How far from the truth (0 %) towards the prevalence (100 %), by sessions simulated"
    text(left, 14, title)
    width, height = left + len(CLICKS) * (wide + 24) + 20, over + tall + 56
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    head += f'font-family="sans-serif" font-size="11"><title>{title}</title>'
    white = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    path.write_text("\n".join([head, white, *parts, "</svg>", ""]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", default="5000,50000")
    parser.add_argument("--models", default="logistic_regression,lightgbm")
    parser.add_argument("--seeds", default="3")
    parser.add_argument("--weights", choices=["one", "both"], default="one")
    parser.add_argument("--svg", type=Path, help="Write the learning curve here.")
    given = parser.parse_args()
    found: list[dict[str, Any]] = []
    for sessions in map(int, given.sessions.split(",")):
        for seed in map(int, given.seeds.split(",")):
            for shared in (False, True) if given.weights == "both" else (False,):
                rows = compare(sessions, seed, given.models.split(","), shared)
                found += [] if shared else rows
    if given.svg is not None:
        draw(found, given.svg)


if __name__ == "__main__":
    main()
