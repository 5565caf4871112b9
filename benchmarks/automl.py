"""Cartcast beside AutoGluon and FLAML: the same rows, the same seconds, the same threads.

    python benchmarks/automl.py [--budget 120] [--threads 2] [--env FOLDER] [--docs docs/models.md]

UCI Online Shoppers, split 70/30, stratified, random_state 0, with and without `PageValues`. Each
tool gets the training rows and `budget` seconds, and says probabilities for the test rows; nothing
else is told. AutoGluon (`good_quality`, trees only) and FLAML run in an environment of their own,
made here with pip in `--env` (a temporary folder without it), so that nothing of theirs reaches
Cartcast's. Intervals are 95 % bootstrap intervals over test rows; differences are paired.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

PACKAGES = ("flaml[automl]==2.7.0", "autogluon.tabular[lightgbm,xgboost,catboost]==1.6.3")
TARGET = "Revenue"
TOOLS = ("cartcast", "cartcast-lightgbm", "autogluon", "flaml")
BEGIN, END = "<!-- automl begin -->", "<!-- automl end -->"


def autogluon(folder: Path, budget: float, threads: int) -> None:
    """Fit AutoGluon in its own environment and write probabilities."""
    import pandas as pd
    from autogluon.tabular import TabularPredictor

    train, test = (pd.read_csv(folder / f"{part}.csv") for part in ("train", "test"))
    predictor = TabularPredictor(
        label=TARGET, eval_metric="roc_auc", path=str(folder / "autogluon"), verbosity=1
    ).fit(
        train,
        presets="good_quality",
        time_limit=budget,
        num_cpus=threads,
        num_gpus=0,
        hyperparameters={"GBM": {}, "CAT": {}, "XGB": {}, "RF": {}, "XT": {}},
        dynamic_stacking=False,
    )
    said = predictor.predict_proba(test.drop(columns=TARGET))[True]
    said.rename("p").to_csv(folder / "autogluon.csv", index=False)


def flaml(folder: Path, budget: float, threads: int) -> None:
    """Fit FLAML in its own environment and write probabilities."""
    import pandas as pd
    from flaml import AutoML

    train, test = (pd.read_csv(folder / f"{part}.csv") for part in ("train", "test"))
    model = AutoML()
    model.fit(
        train.drop(columns=TARGET),
        train[TARGET].astype(int),
        task="classification",
        metric="roc_auc",
        time_budget=budget,
        n_jobs=threads,
        seed=0,
        verbose=0,
    )
    said = model.predict_proba(test.drop(columns=TARGET))[:, 1]
    pd.DataFrame({"p": said}).to_csv(folder / "flaml.csv", index=False)


def cartcast(folder: Path, budget: float, threads: int, models: str = "default") -> None:
    """Train a run within the budget and let it score the test rows."""
    from cartcast.score import predict
    from cartcast.train import train

    run = train(
        rows=folder / "train.csv", target=TARGET, budget=budget, threads=threads,
        models=(models,), split=(0.5, 0.45, 0.05), run_dir=folder / f"run-{models}",
    )  # fmt: skip
    print(f"  champion {run.champion}; {[f.code for f in run.findings]}", flush=True)
    said, _ = predict(folder / "test.csv", run.dir)
    name = "cartcast" if models == "default" else f"cartcast-{models}"
    said[["probability"]].rename(columns={"probability": "p"}).to_csv(
        folder / f"{name}.csv", index=False
    )


def environment(folder: Path) -> Path:
    """Return the interpreter of an environment with the two tools, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def timed(tool: str, python: Path, folder: Path, options: argparse.Namespace) -> float:
    """Run one tool in a process of its own and return its seconds."""
    words = ["--child", tool, "--folder", folder, "--budget", options.budget]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    threads = dict.fromkeys(names, str(options.threads))
    begin = time.perf_counter()
    subprocess.run(
        [str(python), __file__, *map(str, words), "--threads", str(options.threads)],
        check=True, env={**os.environ, **threads},
    )  # fmt: skip
    return time.perf_counter() - begin


def compare(options: argparse.Namespace, python: Path, work: Path) -> list[dict]:
    import numpy as np
    import pandas as pd
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    data = pd.read_csv(options.data / "uci_online_shoppers" / "online_shoppers_intention.csv")
    found = []
    for name, drop in (("all columns", []), ("without PageValues", ["PageValues"])):
        folder = work / name.replace(" ", "-")
        folder.mkdir()
        parts = train_test_split(
            data.drop(columns=drop), test_size=0.3, stratify=data[TARGET], random_state=0
        )
        for part, table in zip(("train", "test"), parts, strict=True):
            table.to_csv(folder / f"{part}.csv", index=False)
        y = parts[1][TARGET].to_numpy(dtype=int)
        rng = np.random.default_rng(0)
        draws = [rng.integers(0, len(y), len(y)) for _ in range(1000)]
        drawn = {}
        for tool in options.tools.split(","):
            own = Path(sys.executable) if tool.startswith("cartcast") else python
            seconds = timed(tool, own, folder, options)
            p = pd.read_csv(folder / f"{tool}.csv")["p"].to_numpy()
            drawn[tool] = np.array([roc_auc_score(y[r], p[r]) for r in draws])
            row = {"columns": name, "tool": tool, "seconds": seconds, "auc": roc_auc_score(y, p)}
            row["low"], row["high"] = (float(q) for q in np.quantile(drawn[tool], [0.025, 0.975]))
            if "cartcast" in drawn and tool != "cartcast":
                gap = drawn["cartcast"] - drawn[tool]
                row["gap"] = [float(q) for q in np.quantile(gap, [0.025, 0.975])]
            found.append(row)
            print(json.dumps(row), flush=True)
    return found


def document(found: list[dict], path: Path, options: argparse.Namespace) -> None:
    lines = [
        f"{options.budget:g} s and {options.threads} threads each; {os.cpu_count()} cores, shared "
        f"with other work (load {os.getloadavg()[0]:.1f} at the end).",
        "",
        "| columns | tool | ROC AUC | Cartcast minus it | seconds |",
        "|---|---|---|---|---|",
    ]
    for row in found:
        gap = row.get("gap")
        shown = "" if gap is None else f"{gap[0]:+.4f} to {gap[1]:+.4f}"
        lines.append(
            f"| {row['columns']} | {row['tool']} | {row['auc']:.4f} [{row['low']:.4f}, "
            f"{row['high']:.4f}] | {shown} | {row['seconds']:.0f} |"
        )
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    text = before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + rest.split(END)[1]
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CARTCAST_DATA", here)))
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--env", type=Path)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        warnings.simplefilter("ignore")
        children = {
            "autogluon": autogluon, "flaml": flaml, "cartcast": cartcast,
            "cartcast-lightgbm": partial(cartcast, models="lightgbm"),
        }  # fmt: skip
        children[options.child](options.folder, options.budget, options.threads)
        return
    with tempfile.TemporaryDirectory(prefix="automl-") as temporary:
        work = Path(temporary)
        peers = set(options.tools.split(",")) & {"autogluon", "flaml"}
        python = environment(options.env or work / "env") if peers else Path(sys.executable)
        found = compare(options, python, work)
        if options.docs is not None:
            document(found, options.docs, options)
        if options.out is not None:
            options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
