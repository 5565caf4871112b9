"""A list of visitors as of a date, side by side with BG/NBD and Gamma-Gamma, on CDNOW.

    python -m venv PEER && PEER/bin/pip install lifetimes
    python benchmarks/lifetime.py --peer PEER/bin/python --out FOLDER [--all]

CDNOW ships with the package `lifetimes`: the orders until 30 June 1998 of those who first bought in
the first quarter of 1997 (2,357 customers; with `--all` 23,570). Everyone is told the orders until
31 March 1998 and asked about the 56 days after it. BG/NBD (doi:10.1287/mksc.1040.0098) expects a
number of orders, and a chance of one; with Gamma-Gamma (Fader and Hardie, 2013) an amount. Cartcast
trains `--moment day` on lists that were due before, for the chance and for the amount.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from cartcast.score import predict
from cartcast.train import train

UNTIL, DAYS = pd.Timestamp("1998-03-31"), 56
PEER = """
import sys, pandas as pd, numpy as np
from scipy.special import hyp2f1
from lifetimes import BetaGeoFitter, GammaGammaFitter
t = pd.read_csv(sys.argv[1]); until = pd.Timestamp(sys.argv[2]); days = int(sys.argv[3])
t["day"] = pd.to_datetime(t["day"])
d = t.groupby(["id", "day"])["money"].sum().reset_index()
d["first"] = d.groupby("id")["day"].transform("min")
later = d[d["day"] > d["first"]]
g = d.groupby("id")
out = pd.DataFrame({"x": g.size() - 1, "t_x": (g["day"].max() - g["day"].min()).dt.days / 7.0,
                    "T": (until - g["day"].min()).dt.days / 7.0})
out["m"] = later.groupby("id")["money"].mean()
bg = BetaGeoFitter(penalizer_coef=0.0)
bg.fit(out["x"], out["t_x"], out["T"])
w = days / 7.0
out["orders"] = bg.conditional_expected_number_of_purchases_up_to_time(w, out["x"], out["t_x"], out["T"])
r, alpha, a, b = (float(bg.params_[k]) for k in ("r", "alpha", "a", "b"))
x, t_x, T = out["x"], out["t_x"], out["T"]
dead = np.where(x > 0, a / (b + np.maximum(x, 1) - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x), 0.0)
alive = 1 / (1 + dead)
out["chance"] = alive * (1 - ((alpha + T) / (alpha + T + w)) ** (r + x))
fit = out[(out["x"] > 0) & (out["m"] > 0)]
gg = GammaGammaFitter(penalizer_coef=0.0)
gg.fit(fit["x"], fit["m"])
p, q, v = (float(gg.params_[k]) for k in ("p", "q", "v"))
worth = p * (v + x * out["m"].fillna(0)) / (p * x + q - 1)
out["money"] = out["orders"] * worth
out.reset_index().to_csv(sys.argv[4], index=False)
"""


def orders(peer: str, folder: Path, whole: bool) -> pd.DataFrame:
    """Return the orders: id, day, money."""
    name = "CDNOW_master.txt" if whole else "CDNOW_sample.txt"
    code = "import lifetimes, pathlib; print(pathlib.Path(lifetimes.__file__).parent / 'datasets')"
    place = subprocess.run([peer, "-c", code], capture_output=True, text=True, check=True).stdout
    told = pd.read_csv(Path(place.strip()) / name, sep=r"\s+", header=None)
    found = told.iloc[:, [0, -3, -1]].set_axis(["id", "day", "money"], axis=1)
    found["day"] = pd.to_datetime(found["day"].astype(str), format="%Y%m%d")
    return found


def log_of(told: pd.DataFrame) -> pd.DataFrame:
    """Return a log of purchases, one event an order, timed by the day."""
    who = "c" + told["id"].astype(str)
    number = [f"o{k}" for k in range(len(told))]
    return pd.DataFrame(
        {
            "visitor_id": who, "session_id": who + "-" + told["day"].dt.strftime("%Y%m%d"),
            "event_time": told["day"].dt.strftime("%Y-%m-%d"), "event_type": "purchase",
            "order_id": number, "item_id": "cds", "price": told["money"].round(2), "quantity": 1,
        }
    )  # fmt: skip


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="Python that has lifetimes.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--models", nargs="+", default=["logistic_regression", "lightgbm"])
    parser.add_argument("--every", default="28d")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    told = orders(given.peer, given.out, given.all)
    before, after = told[told["day"] <= UNTIL], told[told["day"] > UNTIL]
    before.to_csv(given.out / "before.csv", index=False)
    peer = given.out / "peer.csv"
    script = [given.peer, "-c", PEER, str(given.out / "before.csv"), str(UNTIL.date()), str(DAYS)]
    subprocess.run([*script, str(peer)], check=True)
    said = pd.read_csv(peer).set_index("id")
    # A log ends with its last event: one on the last day, of nobody who is asked about.
    last = pd.DataFrame({"id": [0], "day": [UNTIL], "money": [0.01]})
    log_of(pd.concat([before, last])).to_csv(given.out / "log.csv", index=False)
    lists = {}
    for target, models in (("purchase", given.models), ("revenue", ["hurdle"])):
        run = train(
            given.out / "log.csv", target=target, moment="day", horizon=f"{DAYS}d", seen="600d",
            every=given.every, models=tuple(models), backtest=False, segments=2,
            run_dir=given.out / f"run-{target}",
        )  # fmt: skip
        print(target, "champion:", run.data["champion"])
        table, _ = predict(given.out / "log.csv", run.dir)
        lists[target] = table.assign(id=table["visitor_id"].str[1:].astype(int)).set_index("id")
    came = after[after["day"] <= UNTIL + pd.Timedelta(days=DAYS)].groupby("id")["money"]
    bought = came.size().reindex(said.index).fillna(0).to_numpy() > 0
    spent = came.sum().reindex(said.index).fillna(0).to_numpy()
    chances = {
        "BG/NBD": said["chance"],
        "Cartcast, purchase": lists["purchase"]["probability"].reindex(said.index),
    }
    print("| chance of an order | ROC AUC | average precision | log loss | expected % | came % |")
    print("|---|---|---|---|---|---|")
    losses = []
    for name, p in chances.items():
        q = np.clip(p.to_numpy(), 1e-6, 1 - 1e-6)
        losses.append(-np.where(bought, np.log(q), np.log(1 - q)))
        loss = losses[-1].mean()
        print(f"| {name} | {roc_auc_score(bought, q):.4f} | {average_precision_score(bought, q):.4f} "
              f"| {loss:.4f} | {100 * q.mean():.2f} | {100 * bought.mean():.2f} |")  # fmt: skip
    away = losses[1] - losses[0]
    print(
        f"log loss, Cartcast less BG/NBD: {away.mean():+.4f} (standard error {away.std() / len(away) ** 0.5:.4f})"
    )
    money = {
        "BG/NBD and Gamma-Gamma": said["money"],
        "Cartcast, revenue": lists["revenue"]["expected_revenue"].reindex(said.index),
    }
    print(
        "| money within 56 days | expected | came | mean error | root of the mean square | spent by the tenth scored highest |"
    )
    print("|---|---|---|---|---|---|")
    for name, m in money.items():
        v = m.to_numpy()
        best = v >= np.quantile(v, 0.9)
        print(f"| {name} | {v.sum():,.0f} | {spent.sum():,.0f} | {np.abs(v - spent).mean():.2f} "
              f"| {np.sqrt(np.mean((v - spent) ** 2)):.2f} | {spent[best].sum() / spent.sum():.1%} |")  # fmt: skip


if __name__ == "__main__":
    main()
