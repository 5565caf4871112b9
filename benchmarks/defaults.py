"""Which models earn their place in the default list, side by side in one run.

    python benchmarks/defaults.py [--tables shop5,shop50,shoppers,shoppers-,cancer]
                                  [--models logistic_regression,lightgbm,...] [--out FILE.json]

Every model is fitted by `cartcast.train.fit.fit_one`, as training does: with its folds, calibrated,
one thread. Log loss and ROC AUC are those of test rows that it did not see; `behind` is the log loss
minus that of the best single model, with its standard error over visitors (paired). CPU seconds are
those of the fit; those of a blend come on top of its members'.

Tables: `shopN` is the simulated shop with N thousand sessions (last fifth, other visitors, is the
test); `shoppers` UCI Online Shoppers and `shoppers-` the same without `PageValues` (30 %, stratified,
random state 0); `cancer` is scikit-learn's breast cancer table (30 % likewise).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from cartcast import events
from cartcast.datasets import simulate
from cartcast.features import load_set
from cartcast.models.fitting import Recipe
from cartcast.models.selection import log_losses
from cartcast.moments import from_log
from cartcast.rows import from_table
from cartcast.splits import split_by_time
from cartcast.targets import Purchase
from cartcast.train.backtest import paired_gap
from cartcast.train.fit import Fitted, Plan, fit_one, says
from cartcast.train.task import Part, part_of, parts_of

ANCHORS = (1, 2, 3, 5, 8, 13, 21)
MODELS = "logistic_regression,random_forest,lightgbm,xgboost,hist_gradient_boosting,blend,stack"


def shop(sessions: int, seed: int) -> tuple[Part, Part, bool]:
    with tempfile.TemporaryDirectory() as folder:
        made = simulate(sessions, seed=seed, out=f"{folder}/shop.parquet")
        log = events.load(made.out, folder=f"{folder}/log")
        rows = from_log(log, Purchase(), load_set("default"), ANCHORS)
    train, test = parts_of(rows, split_by_time(rows.table, (0.4, 0.4, 0.2), by_clock=True))
    return train, test, True


def ready(table: pd.DataFrame, target: str) -> tuple[Part, Part, bool]:
    rows = from_table(table, target)
    train, _ = train_test_split(
        np.arange(len(table)), test_size=0.3, stratify=table[target], random_state=0
    )
    inside = pd.Series(np.isin(np.arange(len(table)), train), index=rows.table.index)
    return part_of(rows, inside), part_of(rows, ~inside), False


def shoppers(folder: Path, drop: list[str]) -> tuple[Part, Part, bool]:
    path = folder / "uci_online_shoppers" / "online_shoppers_intention.csv"
    return ready(pd.read_csv(path).drop(columns=drop), "Revenue")


def cancer() -> tuple[Part, Part, bool]:
    from sklearn.datasets import load_breast_cancer

    return ready(load_breast_cancer(as_frame=True).frame, "target")


def table_of(name: str, data: Path, seed: int) -> tuple[Part, Part, bool]:
    if name.startswith("shoppers"):
        return shoppers(data, ["PageValues"] if name.endswith("-") else [])
    return cancer() if name == "cancer" else shop(1000 * int(name.removeprefix("shop")), seed)


def compare(name: str, data: Path, models: list[str], seed: int) -> list[dict[str, Any]]:
    train, test, ordered = table_of(name, data, seed)
    plan = Plan("classifier", Recipe(train.rows.categorical), ordered=ordered)
    fitted: dict[str, Fitted] = {}
    losses, found = {}, []
    for model in models:
        begin = time.process_time()
        fitted[model] = fit_one(model, train, plan, fitted)
        seconds = time.process_time() - begin
        p = says(fitted[model].model, fitted[model].declaration, test)
        losses[model] = log_losses(test.label, p)
        found.append({
            "table": name, "rows": len(train), "model": model, "cpu_seconds": round(seconds, 2),
            "log_loss": float(np.average(losses[model], weights=test.weight)),
            "roc_auc": float(roc_auc_score(test.label, p, sample_weight=test.weight)),
        })  # fmt: skip
    alone = [row["model"] for row in found if not plan.members(row["model"])]
    best = min(alone, key=lambda m: float(np.average(losses[m], weights=test.weight)))
    for row in found:
        gap = paired_gap(losses[row["model"]], losses[best], test.weight, test.groups)
        row |= {"behind": gap.value, "error": (gap.high - gap.low) / 3.92}
        print(
            f"{name:10} {row['rows']:>8,} rows  {row['model']:24} log loss {row['log_loss']:.5f} "
            f"(behind {row['behind']:+.5f} ± {row['error']:.5f})  AUC {row['roc_auc']:.4f}  "
            f"{row['cpu_seconds']:7.1f} CPU s",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CARTCAST_DATA", here)))
    parser.add_argument("--tables", default="shop5,shop50,shoppers,shoppers-,cancer")
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in options.tables.split(","):
        found += compare(name, options.data, options.models.split(","), options.seed)
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
