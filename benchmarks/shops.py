"""What the two simulated shops are like, and how near a model comes to the truth on each form.

    python benchmarks/shops.py [--sessions 50000] [--seed 3] [--docs docs/simulator.md]
    python benchmarks/shops.py --gap [--sessions 50000] [--model lightgbm] [--set auto]
                                 [--forms named,codes,bare,pages]

The first prints (or writes into the page) figures of each shop: CPU seconds to simulate it with its
truth, what people do, how far the truth tells buyers apart, and whether as many buy as it says. `--gap` trains one
model on each shop in its own words and in its opaque forms: (log loss of the model - of the truth)
/ (of the prevalence - of the truth), in percent; 0 % is the truth, 100 % the prevalence. The test
rows are the last fifth of the sessions, by visitors that the model never saw.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cartcast import events
from cartcast.datasets import Missions, Shop, Simulation, simulate, write_opaque
from cartcast.datasets.opaque import FORMS

CLICKS = (1, 2, 3, 5, 10)
ANCHORS = (1, 2, 3, 5, 8, 10, 13, 21)
SHOPS: dict[str, Shop | Missions] = {"first": Shop(), "second": Missions()}
BEGIN, END = "<!-- figures: python benchmarks/shops.py -->", "<!-- end of figures -->"


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(np.mean(-(y * np.log(p) + (1 - y) * np.log(1 - p))))


def open_clicks(made: Simulation) -> pd.DataFrame:
    """Events before the purchase, with their truth `p` and whether a purchase came, `y`."""
    rows = made.events.to_pandas()
    rows["p"] = made.truth["p_purchase"].to_numpy()
    bought = rows[rows["event_type"] == "purchase"].groupby("session_id")["event_order"].min()
    rows["bought"] = rows["session_id"].map(bought)
    rows["y"] = rows["bought"] > rows["event_order"]
    return rows[~(rows["bought"] <= rows["event_order"])]


def figures(made: Simulation, seconds: float) -> dict[str, str]:
    rows = made.events.to_pandas().drop_duplicates("event_id")
    counts = made.counts
    rows = rows.sort_values(["session_id", "event_order"])
    gap = rows.groupby("session_id")["event_time"].diff().dt.total_seconds()
    gap = gap[rows["event_type"] != "purchase"].dropna()
    visits = rows.groupby("visitor_id")["session_id"].nunique()
    views = rows[rows["event_type"] == "view_item"]
    out = {
        "CPU seconds to simulate, truth included": f"{seconds:.1f}",
        "events in a session, mean": f"{counts['events'] / counts['sessions']:.1f}",
        "sessions with a purchase": f"{counts['conversion']:.1%}",
        "visitors who come back": f"{(visits > 1).mean():.0%}",
        "sessions that are not the visitor's first": f"{1 - len(visits) / counts['sessions']:.0%}",
        "seconds between clicks: 10 %, 50 %, 90 %": ", ".join(
            f"{v:.0f}" for v in gap.quantile([0.1, 0.5, 0.9])
        ),
        "items viewed before in the session": f"{views.duplicated(['session_id', 'item_id']).mean():.0%}",
    }
    clicks = open_clicks(made)
    for click in CLICKS:
        at = clicks[clicks["event_order"] == click]
        y, p = at["y"].to_numpy(float), at["p"].to_numpy()
        ceiling = log_loss(y, np.full(len(y), y.mean()))
        out[f"truth after click {click}: ROC AUC, log loss below the prevalence's"] = (
            f"{roc_auc_score(y, p):.3f}, {1 - log_loss(y, p) / ceiling:.0%}"
        )
    z = []
    for _, at in clicks[clicks["event_order"].isin(CLICKS)].groupby("event_order"):
        for _, part in at.groupby(pd.qcut(at["p"], 10, labels=False, duplicates="drop")):
            error = np.sqrt((part["p"] * (1 - part["p"])).sum())
            z.append((part["y"].sum() - part["p"].sum()) / error)
    out["tenths of the truth (5 clicks) within 2 standard errors"] = (
        f"{np.mean(np.abs(z) < 2):.0%}, the worst {np.max(np.abs(z)):.1f}"
    )
    return out


def describe(sessions: int, seed: int) -> str:
    columns = {}
    for name, shop in SHOPS.items():
        simulate(10, seed=1, truth=True, shop=shop)  # compiles
        begin = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        made = simulate(sessions, seed=seed, truth=True, shop=shop)
        seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - begin
        columns[name] = figures(made, seconds)
    lines = [f"| {sessions:,} sessions, seed {seed} | first | second |", "|---|---|---|"]
    lines += [f"| {k} | {columns['first'][k]} | {columns['second'][k]} |" for k in columns["first"]]
    return "\n".join(lines)


def forms(
    made: Simulation, folder: Path, seed: int, which: list[str]
) -> Iterator[tuple[str, Any, pd.DataFrame]]:
    """Yield (form, log, truth): in its own words, then in codes."""
    if "named" in which:
        yield "named", events.load(made.events, folder=folder / "named"), made.truth.to_pandas()
    for form in [f for f in FORMS if f in which]:
        files = write_opaque(made, folder / f"{form}.parquet", form, seed)
        log = events.load(files.log, layout=files.layout, orders=files.orders, folder=folder / form)
        yield form, log, pd.read_parquet(files.truth)


def gaps(sessions: int, seed: int, model: str, features: str, which: list[str]) -> None:
    from cartcast.features import load_set
    from cartcast.models.fitting import Recipe
    from cartcast.moments import Moment, from_log
    from cartcast.splits import split_by_time
    from cartcast.targets import Purchase
    from cartcast.train.fit import Plan, fit_one, says
    from cartcast.train.proposals import propose_features
    from cartcast.train.task import parts_of

    for shop_name, shop in SHOPS.items():
        made = simulate(sessions, seed=seed, truth=True, late=0, twice=0, shop=shop)
        with tempfile.TemporaryDirectory() as folder:
            for form, log, truth in forms(made, Path(folder), seed, which):
                begin = time.process_time()
                if features == "auto":
                    found = propose_features(
                        log, Purchase(), Moment(clicks=ANCHORS), train=0.8, session_gap=1800, seed=1
                    ).features
                else:
                    found = load_set(features)
                rows = from_log(log, Purchase(), found, ANCHORS)
                split = split_by_time(rows.table, (0.4, 0.4, 0.2), by_clock=True)
                train, test = parts_of(rows, split)
                plan = Plan("classifier", Recipe(rows.categorical, threads=2), ordered=True)
                fitted = fit_one(model, train, plan)
                said = says(fitted.model, fitted.declaration, test)
                keys = ["session_id", "event_order"]
                best = test.keys.merge(truth[[*keys, "p_purchase"]], on=keys, how="left")
                best = best["p_purchase"].to_numpy()
                shown = []
                for click in CLICKS:
                    at = (test.keys["click"] == click).to_numpy()
                    y = test.label[at]
                    floor = log_loss(y, best[at])
                    ceiling = log_loss(y, np.full(at.sum(), y.mean()))
                    shown.append(f"{(log_loss(y, said[at]) - floor) / (ceiling - floor):7.1%}")
                print(
                    f"{shop_name:7} {form:6} {sessions:>8,} sessions  {model} on {features}: gap after "
                    f"clicks {CLICKS}: {' '.join(shown)}  {time.process_time() - begin:5.0f} CPU s",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--gap", action="store_true", help="Train on each shop and form.")
    parser.add_argument("--model", default="lightgbm")
    parser.add_argument("--set", default="auto", help="Feature set.")
    parser.add_argument("--forms", default=",".join(("named", *FORMS)))
    parser.add_argument("--docs", type=Path, help="Write the figures into this page.")
    given = parser.parse_args()
    if given.gap:
        which = given.forms.split(",")
        gaps(given.sessions, given.seed, given.model, given.set, which)
        return
    table = describe(given.sessions, given.seed)
    print(table)
    if given.docs is not None:
        page = given.docs.read_text(encoding="utf-8")
        start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
        given.docs.write_text(f"{page[:start]}\n{table}\n{page[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
