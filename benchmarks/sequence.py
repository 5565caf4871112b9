"""The blend with the sequence model against the blend without, on the same rows.

    python benchmarks/sequence.py [--logs first:named@20000,second:codes@50000,eshop]
                                  [--seed 3] [--body transformer] [--docs docs/models.md]

A log is `SHOP:FORM@SESSIONS` (`first` or `second`, forms of `shops.py`, features proposed from the
log), or `eshop` (5 more clicks) in `$CARTCAST_DATA`. All models see the same rows, the earlier four
fifths of the sessions; log losses are of later sessions by other visitors. The gain is the log loss
of the blend less that of the deep blend, with its 95 % interval over 1,000 draws of visitors. The
gap is (log loss of a model - of the truth) / (of the prevalence - of the truth).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from shops import SHOPS, forms

from cartcast import events
from cartcast.datasets import simulate
from cartcast.models.fitting import Recipe
from cartcast.models.selection import log_losses
from cartcast.models.sequence import prefixes
from cartcast.moments import from_log
from cartcast.splits import split_by_time
from cartcast.targets import Proxy, Purchase
from cartcast.train.fit import Fitted, Plan, fit_one, says
from cartcast.train.proposals import propose_features
from cartcast.train.task import Part, parts_of

ANCHORS = (1, 2, 3, 5, 8, 10, 13, 21)
LOGS = ",".join(
    [f"{log}@{n}" for log in ("first:named", "first:codes", "second:named", "second:codes")
     for n in (20_000, 50_000)] + ["eshop"]
)  # fmt: skip
MODELS = ("lightgbm", "logistic_regression", "sequence", "blend", "deep_blend")
BEGIN, END = "<!-- sequence begin -->", "<!-- sequence end -->"


def logs(asked: str, seed: int, folder: Path) -> tuple[Any, Any, pd.DataFrame | None]:
    """Return the log, its target, and the truth where it is known."""
    if asked == "eshop":
        data = Path(os.environ.get("CARTCAST_DATA", "../shared/data"))
        path = data / "eshop_clothing_2008" / "clickstream_data_for_online_shopping.zip"
        return events.load(path, folder=folder / "log"), Proxy("browsing", at_least=5), None
    shop, form, sessions = asked.replace("@", ":").split(":")
    made = simulate(int(sessions), seed=seed, late=0, twice=0, truth=True, shop=SHOPS[shop])
    ((_, log, truth),) = forms(made, folder, seed, [form])
    return log, Purchase(), truth


def parts(asked: str, seed: int, folder: Path) -> tuple[Part, Part, Any, pd.DataFrame | None]:
    """Return train rows, test rows, names of categories, and the truth of the test rows."""
    log, target, truth = logs(asked, seed, folder)
    features = propose_features(log, target, ANCHORS, train=0.8, session_gap=1800, seed=1).features
    rows = from_log(log, target, features, ANCHORS)
    dated = log.clock in ("time", "day")
    split = split_by_time(rows.table, (0.4, 0.4, 0.2), by_clock=dated)
    found = prefixes(log, rows.table, features)
    train, test = (replace(part, events=found) for part in parts_of(rows, split))
    if truth is not None:
        keys = ["session_id", "event_order"]
        truth = test.keys.merge(truth[[*keys, "p_purchase"]], on=keys, how="left")
    return train, test, rows.categorical, truth


def interval(gain: np.ndarray, weight: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    codes = pd.factorize(groups)[0]
    total, count = np.bincount(codes, gain * weight), np.bincount(codes, weight)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(count), np.full(len(count), 1 / len(count)), 1000)
    return tuple(np.percentile(draws @ total / (draws @ count), [2.5, 97.5]))


def compare(asked: str, seed: int, body: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        train, test, categorical, truth = parts(asked, seed, Path(folder))
        plan = Plan(
            "classifier", Recipe(categorical, seed=seed), ordered=True,
            params={"sequence": {"body": body}},
        )  # fmt: skip
        fitted: dict[str, Fitted] = {}
        losses, seconds = {}, {}
        for name in MODELS:
            begin = time.process_time()
            fitted[name] = fit_one(name, train, plan, fitted)
            seconds[name] = time.process_time() - begin
            said = says(fitted[name].model, fitted[name].declaration, test)
            losses[name] = log_losses(test.label, said)
    w = test.weight
    mean = {name: float(np.average(loss, weights=w)) for name, loss in losses.items()}
    gain = losses["blend"] - losses["deep_blend"]
    low, high = interval(gain, w, test.groups)
    gap = dict.fromkeys(("blend", "deep_blend"), "")
    if truth is not None:
        p = np.full(len(test), np.average(test.label, weights=w))
        best = np.average(log_losses(test.label, truth["p_purchase"].to_numpy()), weights=w)
        worst = np.average(log_losses(test.label, p), weights=w)
        gap = {name: f"{(mean[name] - best) / (worst - best):.1%}" for name in gap}
    cells = [
        asked.replace("@", " ").replace(":", ", "), f"{len(train):,}",
        *(f"{mean[name]:.5f}" for name in ("sequence", "blend", "deep_blend")),
        f"{1e5 * np.average(gain, weights=w):+.0f} [{1e5 * low:+.0f}, {1e5 * high:+.0f}]",
        gap["blend"], gap["deep_blend"], f"{seconds['sequence']:.0f}",
    ]  # fmt: skip
    yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--logs", default=LOGS)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--body", default="transformer")
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    lines = [
        "| log, sessions | rows | sequence | blend | deep blend | gain in 0.00001 | gap, blend | "
        "gap, deep blend | CPU seconds |",
        "|" + "---|" * 9,
    ]
    print("\n".join(lines), flush=True)
    for asked in given.logs.split(","):
        for line in compare(asked, given.seed, given.body):
            print(line, flush=True)
            lines.append(line)
    if given.docs is not None:
        text = given.docs.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        given.docs.write_text(
            before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after, encoding="utf-8"
        )


if __name__ == "__main__":
    main()
