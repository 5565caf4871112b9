"""The sequence model beside the default ones, on a simulated shop whose truth is known.

    python benchmarks/sequence.py [--sessions 20000] [--seed 3] [--docs docs/models.md]

One `cartcast train --models default,sequence`: the same split, anchors, calibration and test rows
for all. For clicks 1, 3, 5 and 8 the gap is (log loss of the model - of the truth) / (of the
prevalence at that click - of the truth): 0 % is the truth, 100 % the prevalence.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from cartcast.datasets import simulate
from cartcast.train import Run, train

CLICKS = (1, 3, 5, 8)
BEGIN, END = "<!-- sequence begin -->", "<!-- sequence end -->"


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def gap(rows: pd.DataFrame, model: str) -> float:
    """Where the model lies between the truth (0) and the prevalence (1)."""
    y = rows["label"].to_numpy()
    floor = log_loss(y, rows["p_purchase"].to_numpy())
    ceiling = log_loss(y, np.full(len(y), y.mean()))
    return (log_loss(y, rows[f"p__{model}"].to_numpy()) - floor) / (ceiling - floor)


def table(run: Run, truth: pd.DataFrame, sessions: int) -> list[str]:
    rows = pd.read_parquet(run.dir / "predictions.parquet")
    rows = rows[rows["part"] == "test"].merge(
        truth[["session_id", "event_order", "p_purchase"]], on=["session_id", "event_order"]
    )
    heads = ["ROC AUC", "log loss", "ECE", *(f"gap at click {c}" for c in CLICKS), "gap", "seconds"]
    lines = [
        f"{sessions:,} sessions, {len(rows):,} test rows, {int(rows['label'].sum()):,} positive; "
        f"champion: `{run.champion}`.",
        "",
        "| | " + " | ".join(heads) + " |",
        "|" + "---|" * (len(heads) + 1),
    ]
    for model, found in run.metrics.items():
        low, high = run.data["intervals"][model]["roc_auc"]
        cells = [f"{found['roc_auc']:.4f} [{low:.4f}, {high:.4f}]", f"{found['log_loss']:.4f}"]
        cells.append(f"{found['ece']:.4f}")
        cells += [f"{gap(rows[rows['click'] == c], model):.1%}" for c in CLICKS]
        cells += [f"{gap(rows, model):.1%}", f"{run.data['models'][model]['seconds']:.1f}"]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        simulate(
            options.sessions, seed=options.seed,
            out=folder / "shop.parquet", truth=folder / "truth.parquet",
        )  # fmt: skip
        run = train(folder / "shop.parquet", models=("default", "sequence"), run_dir=folder / "run")
        lines = table(run, pd.read_parquet(folder / "truth.parquet"), options.sessions)
    print("\n".join(lines))
    if options.docs is not None:
        text = options.docs.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        made = before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after
        options.docs.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
