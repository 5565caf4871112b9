"""Figures of the models on real data, with intervals, under a protocol written here.

    python benchmarks/models.py [--data FOLDER] [--out FILE.json] [--only shoppers,forward,...]
                                [--docs docs/models.md]

Parts: `shoppers` (10-fold), `split` (70/30, tuned for 120 s), `forward` (in time), `segments`
(e-shop sessions). Everything printed is computed; nothing here is a stored figure.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from cartcast.models.calibrate import Calibrated, calibrate
from cartcast.models.classifiers import CLASSIFIERS, DEFAULT_CLASSIFIERS
from cartcast.models.folds import forward_folds
from cartcast.models.segments import fit_segments
from cartcast.models.selection import choose, forward_losses
from cartcast.models.tuning import tune

CATEGORICAL = ("Month", "VisitorType", "OperatingSystems", "Browser", "Region", "TrafficType")
MONTHS = ("Feb", "Mar", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LIST = ("prevalence", "logistic_regression", "decision_tree", "random_forest",
        "gradient_boosting", "hist_gradient_boosting", "xgboost", "svm", "lightgbm",
        "catboost", "blend", "stack")  # fmt: skip


def ece(y, p, bins=10):
    """Expected calibration error over bins of equal size, ties kept together."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    b = np.searchsorted(edges, p, side="right")
    return float(sum(abs(y[b == i].mean() - p[b == i].mean()) * (b == i).mean() for i in set(b)))


SCORES = {
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
    "ece": ece,
}


def figures(y, p, draws=200):
    """Each score with its 95 % bootstrap interval over rows."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, len(y), len(y)) for _ in range(draws)]
    out = {}
    for name, score in SCORES.items():
        drawn = [score(y[r], p[r]) for r in rows]
        out[name] = [float(score(y, p)), *(float(q) for q in np.quantile(drawn, [0.025, 0.975]))]
    return out


def show(name, found, seconds=None):
    text = "  ".join(f"{k} {v:.4f} [{lo:.4f}, {hi:.4f}]" for k, (v, lo, hi) in found.items())
    print(f"  {name:24s} {text}" + ("" if seconds is None else f"  {seconds:.0f} s"), flush=True)


def shoppers(folder):
    data = pd.read_csv(folder / "uci_online_shoppers" / "online_shoppers_intention.csv")
    return data.drop(columns="Revenue"), data["Revenue"].astype(int).to_numpy()


def ten_fold(folder, names):
    """Stratified 10-fold, shuffled with seed 0; every row judged once; no tuning."""
    X, y = shoppers(folder)
    out = {}
    for drop in ((), ("PageValues",)):
        kept = X.drop(columns=list(drop))
        label = "without PageValues" if drop else "all columns"
        print(f"shoppers, 10-fold stratified, {label}")
        for name in names:
            begin = time.perf_counter()
            p = np.zeros(len(y))
            for fit, held in StratifiedKFold(10, shuffle=True, random_state=0).split(kept, y):
                model = CLASSIFIERS[name].make(categorical=CATEGORICAL)
                p[held] = model.fit(kept.iloc[fit], y[fit]).predict_proba(kept.iloc[held])[:, 1]
            found = figures(y, p)
            show(name, found, time.perf_counter() - begin)
            out[f"{label}/{name}"] = found
    return out


def one_split(folder, budget, names):
    """Stratified 70/30, random_state 0; tuned inside the 70 % within the budget."""
    X, y = shoppers(folder)
    out = {}
    for drop in ((), ("PageValues",)):
        kept = X.drop(columns=list(drop))
        label = "without PageValues" if drop else "all columns"
        a, b = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=0)
        begin = time.perf_counter()
        found = tune(names, "classifier", kept.iloc[a], y[a], budget=budget, folds=5,
                     categorical=CATEGORICAL)  # fmt: skip
        tuned = time.perf_counter() - begin
        best = min(found.models.values(), key=lambda t: t.loss)
        print(f"shoppers, 70/30, {label}, {tuned:.0f} s of tuning; best inside: {best.name}")
        for name in [*names, "stack"]:
            params = {} if name == "stack" else dict(found[name])
            model = CLASSIFIERS[name].make(categorical=CATEGORICAL, **params)
            if name == "stack":
                pairs = tuple(
                    (n, CLASSIFIERS[n].make(categorical=CATEGORICAL, **found[n])) for n in names
                )
                model.set_params(estimators=pairs)
            p = model.fit(kept.iloc[a], y[a]).predict_proba(kept.iloc[b])[:, 1]
            out[f"{label}/{name}"] = figures(y[b], p)
            trials = "" if name == "stack" else f" ({found.models[name].trials} trials)"
            show(name + trials, out[f"{label}/{name}"])
    return out


def forward(folder):
    """Train on months before November, choose by forward validation, test on Nov and Dec."""
    X, y = shoppers(folder)
    order = X["Month"].map(MONTHS.index).to_numpy()
    kept = X.drop(columns=["PageValues", "Month"])
    test = order >= MONTHS.index("Nov")
    names = tuple(n for n in CATEGORICAL if n in kept.columns)
    models = {n: CLASSIFIERS[n].make(categorical=names) for n in DEFAULT_CLASSIFIERS}
    out = {}
    for first in ("June", "Feb"):
        rows = np.flatnonzero((order < MONTHS.index("Nov")) & (order >= MONTHS.index(first)))
        # Every month from the third on is judged by models of the months before it.
        folds = forward_folds(order[rows], len(np.unique(order[rows])) - 1)
        losses, judged = forward_losses(models, kept.iloc[rows], y[rows], folds, order=order[rows])
        for name, loss in losses.items():
            by = pd.Series(loss).groupby(order[rows][judged]).mean()
            months = "  ".join(f"{MONTHS[m]} {v:.3f}" for m, v in by.items())
            print(f"  inside, log loss by month: {name:20s} {loss.mean():.4f}  {months}")
        chosen = choose(losses, {n: CLASSIFIERS[n].simplicity for n in models})
        print(f"shoppers without PageValues, train {first}-Oct ({len(rows)} rows), test Nov-Dec")
        print(f"  chosen by forward validation: {chosen.name}: {chosen.reason}")
        for name, model in models.items():
            fitted = clone(model).fit(kept.iloc[rows], y[rows])
            found = figures(y[test], fitted.predict_proba(kept[test])[:, 1])
            show(name + (" (chosen)" if name == chosen.name else ""), found)
            out[f"{first}-Oct/{name}"] = found
            if name == chosen.name:
                # Calibrated as `cartcast train` does: on the latest rows, which it had not seen.
                fit, last = folds[-1]
                before = clone(model).fit(kept.iloc[rows[fit]], y[rows[fit]])
                latest = before.predict_proba(kept.iloc[rows[last]])[:, 1]
                curve = Calibrated(fitted).fit_curve(latest, y[rows[last]])
                found = figures(y[test], curve.predict_proba(kept[test])[:, 1])
                show(f"{name} calibrated", found)
                out[f"{first}-Oct/chosen"] = found
    print("  what the test months themselves allow (10-fold inside Nov-Dec):")
    inside = np.flatnonzero(test)
    for name in ("logistic_regression", "random_forest", "lightgbm"):
        p = np.zeros(len(inside))
        split = StratifiedKFold(10, shuffle=True, random_state=0).split(inside, y[inside])
        for fit, held in split:
            fitted = clone(models[name]).fit(kept.iloc[inside[fit]], y[inside[fit]])
            p[held] = fitted.predict_proba(kept.iloc[inside[held]])[:, 1]
        out[f"inside Nov-Dec/{name}"] = figures(y[inside], p)
        show(name, out[f"inside Nov-Dec/{name}"])
    return out


def calibration(folder):
    """Calibrated on a fifth: figures of raw, sigmoid and isotonic probabilities."""
    X, y = shoppers(folder)
    a, rest = train_test_split(np.arange(len(y)), test_size=0.4, stratify=y, random_state=0)
    v, b = train_test_split(rest, test_size=0.5, stratify=y[rest], random_state=0)
    out = {}
    print("shoppers, all columns, 60/20/20, calibrated on the second part")
    for name in ("random_forest", "lightgbm", "svm"):
        model = CLASSIFIERS[name].make(categorical=CATEGORICAL).fit(X.iloc[a], y[a])
        for method in ("none", "sigmoid", "isotonic"):
            whole = calibrate(model, X.iloc[v], y[v], method=method)
            found = figures(y[b], whole.predict_proba(X.iloc[b])[:, 1])
            out[f"{name}/{method}"] = found
            show(f"{name} {method}", found)
    return out


def eshop_sessions(folder):
    """One row per session of the e-shop file: counts, mean price, share of each category."""
    import duckdb

    path = folder / "eshop_clothing_2008" / "clickstream_data_for_online_shopping.zip"
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".csv"))
        clicks = pd.read_csv(io.BytesIO(archive.read(name)), sep=";")
    con = duckdb.connect()
    con.register("clicks", clicks)
    shares = ", ".join(
        f'avg(("page 1 (main category)" = {i})::INT) AS {word}'
        for i, word in enumerate(("trousers", "skirts", "blouses", "sale"), 1)
    )
    return con.execute(
        'SELECT "session ID" AS id, min(make_date(year, month, day)) AS day, '
        'count(*)::DOUBLE AS clicks, count(DISTINCT "page 2 (clothing model)")::DOUBLE AS items, '
        f"avg(price) AS price_mean, {shares} FROM clicks GROUP BY 1 ORDER BY 2, 1"
    ).df()


def segments(folder):
    sessions = eshop_sessions(folder)
    table = sessions.drop(columns=["id", "day"])
    begin = time.perf_counter()
    found = fit_segments(table, order=sessions["day"], rounds=20)
    print(f"segments of {len(table):,} e-shop sessions, {time.perf_counter() - begin:.0f} s")
    print(f"  k {found.k} chosen from {[(k, round(s, 3)) for k, s, _ in found.candidates]}")
    print(f"  adjusted Rand over 20 bootstraps: mean {found.stability:.3f}, "
          f"lowest {found.stability_low:.3f}; halves {found.over_time:.3f}")  # fmt: skip
    print(f"  silhouette {found.silhouette:.3f} on {found.silhouette_rows:,} sessions, "
          f"Davies-Bouldin {found.davies_bouldin:.3f}")  # fmt: skip
    for profile in found.profiles:
        print(f"  {profile.name}: {profile.sentence}")
    return found.as_dict()


def document(results, path):
    """Put the figures between the markers of the docs page."""
    cell = "{0:.4f} [{1:.4f}, {2:.4f}]".format
    lines = []
    for part, found in results.items():
        if part == "segments":
            lines += [
                f"**{part}**: k = {found['k']}, adjusted Rand over bootstraps "
                f"{found['stability']:.3f} (lowest {found['stability_low']:.3f}), between models "
                f"of both halves of the period {found['over_time']:.3f}, silhouette "
                f"{found['silhouette']:.3f}, Davies-Bouldin {found['davies_bouldin']:.3f}.",
                "",
                *(f"- {p['name']}: {p['sentence']}" for p in found["profiles"]),
                "",
            ]
            continue
        lines += [f"**{part}**", "", "| | " + " | ".join(SCORES) + " |", "|---" * 6 + "|"]
        for name, row in found.items():
            lines.append(f"| {name} | " + " | ".join(cell(*row[s]) for s in SCORES) + " |")
        lines.append("")
    begin, end = "<!-- figures begin -->", "<!-- figures end -->"
    head, _, rest = path.read_text(encoding="utf-8").partition(begin)
    tail = rest.partition(end)[2]
    path.write_text(f"{head}{begin}\n\n" + "\n".join(lines) + f"\n{end}{tail}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("CARTCAST_DATA", here)))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--from", dest="earlier", type=Path, nargs="*", default=[])
    parser.add_argument("--only", default="shoppers,forward,segments,calibration,split")
    parser.add_argument("--models", default=",".join(LIST))
    parser.add_argument("--budget", type=float, default=120.0)
    options = parser.parse_args()
    names = [n for n in options.models.split(",") if CLASSIFIERS[n].available]
    parts = {
        "shoppers": lambda: ten_fold(options.data, names),
        "forward": lambda: forward(options.data),
        "segments": lambda: segments(options.data),
        "calibration": lambda: calibration(options.data),
        "split": lambda: one_split(
            options.data, options.budget, ["lightgbm", "random_forest", "xgboost"]
        ),
    }
    results = {}
    for path in options.earlier:
        for part, found in json.loads(path.read_text(encoding="utf-8")).items():
            results[part] = {**results.get(part, {}), **found}
    results |= {name: parts[name]() for name in options.only.split(",") if name}
    if options.docs is not None:
        document(results, options.docs)
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
