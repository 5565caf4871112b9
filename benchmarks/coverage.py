"""How often each interval that a reader sees holds the truth.

    python benchmarks/coverage.py [--seeds 300] [--only shares,scores,amounts] [--write]

A large shop is the truth; samples of its visitors are what a reader has. Two shops: a log of
`cartcast simulate`, and one whose loyal visitors come more often and buy more (`clean_shops.py` for
the models). For every interval: the share of samples in which it holds the figure of the whole
shop. `--write` writes docs/coverage.md. Nominal is 95 % for shares of the log, 90 % for models.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from clean_shops import clean_shop

from cartcast import events, insights
from cartcast.datasets import simulate
from cartcast.evaluate import curves, revenue
from cartcast.evaluate.intervals import bootstrap, compare
from cartcast.evaluate.scores import CLASSIFIER_SCORES
from cartcast.evaluate.share import Clusters, share
from cartcast.explain import effect, importance
from cartcast.features import load_set
from cartcast.models.intervals import AmountInterval
from cartcast.models.regressors import REGRESSORS
from cartcast.rows import from_log
from cartcast.targets import Purchase

Ends = tuple[float, float | None, float | None]
Row = tuple[str, str, float, list[Ends], float]
"""Interval, shop and sample, nominal, (value, low, high) of each sample, the truth."""


def ends(found: Any) -> Ends:
    return found.value, found.low, found.high


def collect(
    draw: Callable[[np.random.Generator], dict[str, Ends]], seeds: int
) -> dict[str, list[Ends]]:
    """Return for each name what every sample says."""
    out: dict[str, list[Ends]] = {}
    for seed in range(seeds):
        for name, found in draw(np.random.default_rng(seed)).items():
            out.setdefault(name, []).append(found)
    return out


# Shares of the log -------------------------------------------------------------------------------


def loyal(rng: np.random.Generator, visitors: int, sessions: int) -> tuple[Any, Any]:
    """Return sessions, and sessions with a purchase, of visitors; who is loyal also buys more."""
    taste = rng.normal(size=visitors)
    n = rng.poisson((sessions - 1) * np.exp(0.6 * taste - 0.18)) + 1
    return n, rng.binomial(n, 1 / (1 + np.exp(2.5 - 0.9 * taste)))


def loyal_log(visitors: int = 20_000) -> pa.Table:
    """Return a log of visitors who come four times on average, the loyal more often."""
    rng = np.random.default_rng(0)
    n, bought = loyal(rng, visitors, 4)
    v = np.repeat(np.arange(visitors), n)
    place = np.arange(len(v)) - np.repeat(np.cumsum(n) - n, n)
    start = rng.uniform(0, 56 * 86400, len(v))
    device = rng.choice(["mobile", "desktop"], visitors)[v]
    steps = [("view_item", np.ones(len(v), bool)), ("add_to_cart", rng.uniform(size=len(v)) < 0.2)]
    buys = place < bought[v]
    steps = [steps[0], ("add_to_cart", steps[1][1] | buys), ("purchase", buys)]
    parts = [
        pd.DataFrame(
            {"visitor_id": v[on], "session_id": np.flatnonzero(on), "event_order": k + 1,
             "event_type": name, "device": device[on],
             "event_time": pd.Timestamp("2024-01-01") + pd.to_timedelta(start[on] + 60 * k, unit="s")}
        )
        for k, (name, on) in enumerate(steps)
    ]  # fmt: skip
    return pa.Table.from_pandas(pd.concat(parts), preserve_index=False)


def simulated_log(sessions: int = 60_000) -> pa.Table:
    with tempfile.TemporaryDirectory() as work:
        simulate(sessions, seed=1, out=Path(work) / "shop.parquet")
        log = events.load(Path(work) / "shop.parquet", folder=Path(work) / "log")
        return log.table(
            ["visitor_id", "session_id", "event_order", "event_type", "device", "event_time"]
        )


class Visitors:
    """Draws whole visitors of a table, with new names."""

    def __init__(self, table: pd.DataFrame, visitor: str) -> None:
        self.table, self.visitor = table, visitor
        codes = pd.factorize(table[visitor])[0]
        order = np.argsort(codes, kind="stable")
        self.parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])

    def __call__(self, rng: np.random.Generator, count: int) -> pd.DataFrame:
        chosen = rng.integers(0, len(self.parts), count)
        rows = np.concatenate([self.parts[c] for c in chosen])
        name = np.repeat(np.arange(count), [len(self.parts[c]) for c in chosen])
        return self.table.iloc[rows].assign(**{self.visitor: name})


def shown_shares(log: pa.Table) -> dict[str, Ends]:
    """Return every kind of share that the dashboard and the analysis show."""
    whole = insights.overview(log, grain="week")
    found = {"dashboard: conversion": ends(whole.conversion)}
    found["trend: conversion of a week"] = ends(whole.trend[2].conversion)
    steps = insights.funnel(log, ["view_item", "add_to_cart", "purchase"]).steps
    found["funnel: of the first step"] = ends(steps[1].of_first)
    found["funnel: of the step before"] = ends(steps[2].of_previous)
    parts = {r.value: r.conversion for r in insights.breakdown(log, "device").rows}
    found["breakdown: conversion on mobile"] = ends(parts["mobile"])
    hours = [c for c in insights.heat_map(log).cells if (c.weekday, c.hour) == (2, 20)]
    found["heat map: Tuesday, 20 to 21"] = ends(hours[0].conversion)
    found["cohorts: came back"] = ends(insights.cohorts(log, within=2).returned)
    return found


def shares(seeds: int) -> Iterator[Row]:
    for sessions in (1, 3, 8, 20):
        n, x = loyal(np.random.default_rng(10**6), 1_000_000, sessions)

        def one(rng: np.random.Generator, sessions: int = sessions) -> dict[str, Ends]:
            n, x = loyal(rng, 600, sessions)
            known = Clusters(600, n.sum(), x.sum(), n @ n, x @ x, n @ x)
            return {"share": ends(share(int(x.sum()), int(n.sum()), clusters=known))}

        where = f"600 loyal visitors, {sessions} sessions each"
        yield "share of sessions", where, 0.95, collect(one, 4 * seeds)["share"], x.sum() / n.sum()
    for shop, log, count in (("simulated", simulated_log(), 1500), ("loyal", loyal_log(), 800)):
        truth = shown_shares(log)
        table = log.to_pandas()
        draw = Visitors(table, "visitor_id")

        def sample(
            rng: np.random.Generator, draw: Any = draw, count: int = count
        ) -> dict[str, Ends]:
            rows = draw(rng, count)
            rows["session_id"] = (
                rows["visitor_id"].astype(str) + "." + rows["session_id"].astype(str)
            )
            rows["visitor_id"] = "v" + rows["visitor_id"].astype(str)
            return shown_shares(pa.Table.from_pandas(rows, preserve_index=False))

        for name, found in collect(sample, seeds).items():
            yield name, f"{shop}, {count:,} visitors", 0.95, found, truth[name][0]


# Models ------------------------------------------------------------------------------------------


def fitted(X: pd.DataFrame, y: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(X, y)


def simulated_rows() -> tuple[pd.DataFrame, list[str]]:
    with tempfile.TemporaryDirectory() as work:
        simulate(40_000, seed=2, out=Path(work) / "shop.parquet")
        log = events.load(Path(work) / "shop.parquet", folder=Path(work) / "log")
        rows = from_log(log, Purchase(), load_set("default"), (1, 3, 5))
    names = [c for c in rows.features if pd.api.types.is_float_dtype(rows.table[c])][:12]
    return rows.table, names


def clean_rows() -> tuple[pd.DataFrame, list[str]]:
    parts = [clean_shop(seed, sessions=8000, signal=1.0) for seed in (3, 5, 11)]
    tables = [
        pd.concat([p.train, p.test]).assign(visitor_id=lambda t, k=k: f"{k}" + t["visitor_id"])
        for k, p in enumerate(parts)
    ]
    table = pd.concat(tables, ignore_index=True)
    rng = np.random.default_rng(0)
    table["amount"] = table["label"] * rng.lognormal(3, 0.6, len(table))
    names = ["click", "price_mean", "items", "carts", "elapsed", "past_purchases", "past_sessions"]
    return table, names


def model_rows(
    make: Callable[[], tuple[pd.DataFrame, list[str]]],
) -> tuple[pd.DataFrame, list[str], Any]:
    """Return the rows of visitors that the model has not seen, with what it and a rival say."""
    table, names = make()
    X = table[names].fillna(table[names].median())
    table = table.assign(**X)
    seen = pd.util.hash_pandas_object(table["visitor_id"], index=False).to_numpy() % 4 == 0
    model = fitted(X[seen], table["label"][seen])
    clicks = table[["click"]].astype(float)
    rival = fitted(clicks[seen], table["label"][seen])
    table = table.assign(p=model.predict_proba(X)[:, 1], rival=rival.predict_proba(clicks)[:, 1])
    table["r"] = table["p"] * table["amount"][seen & (table["label"] > 0)].mean()
    return table[~seen].reset_index(drop=True), names, model


def shown_scores(t: pd.DataFrame) -> dict[str, Ends]:
    y, p, g = (t[c].to_numpy() for c in ("label", "p", "visitor_id"))
    found = {
        n: ends(i)
        for n, i in bootstrap(y, p, None, g, scores=CLASSIFIER_SCORES, threshold=0.1).items()
    }
    both = {"model": p, "rival": t["rival"].to_numpy()}
    for score in ("log_loss", "roc_auc", "ece"):
        found[f"{score}, model - rival"] = ends(
            compare(y, both, None, g, against="rival", score=score)["model"]
        )
    at = (0.05, 0.2)
    for row in curves.gain(y, p, None, g, at=at, draws=300).to_dict("records"):
        where = f"{row['contacted']:.0%} contacted"
        found[f"gain, {where}"] = row["reached"], row["reached_low"], row["reached_high"]
        found[f"lift, {where}"] = row["lift"], row["lift_low"], row["lift_high"]
    for row in curves.profit(y, p, None, g, cost=1, value=20, at=at, draws=300).to_dict("records"):
        found[f"profit, {row['contacted']:.0%} contacted"] = row["profit"], row["low"], row["high"]
    bins = curves.reliability(y, p, None, g)
    for k in (4, 9):
        row = bins.iloc[k]
        found[f"reliability, bin {k + 1}"] = row["observed"], row["low"], row["high"]
    a, r = t["amount"].to_numpy(float), t["r"].to_numpy(float)
    for name, each in bootstrap(a, r, None, g, task="regressor").items():
        found[f"revenue: {name}"] = ends(each)
    last = revenue.deciles(a, r, None, g).iloc[-1]
    found["revenue by tenth: the top one"] = last["observed"], last["low"], last["high"]
    return found


def scores(seeds: int) -> Iterator[Row]:
    for shop, make in (("simulated", simulated_rows), ("clean", clean_rows)):
        table, names, model = model_rows(make)
        draw = Visitors(table, "visitor_id")
        truth = shown_scores(table)
        buyers = table[table["label"] > 0]["visitor_id"].nunique() / len(draw.parts)
        for many in (12, 50):
            count = round(many / buyers)
            found = collect(lambda rng, c=count, d=draw: shown_scores(d(rng, c)), seeds)
            for name, each in found.items():
                yield name, f"{shop}, {count:,} visitors, {many} buyers", 0.9, each, truth[name][0]
        yield from _drivers(shop, table, names, model, draw, round(50 / buyers), min(seeds, 100))


def _drivers(
    shop: str,
    table: pd.DataFrame,
    names: list[str],
    model: Any,
    draw: Visitors,
    count: int,
    seeds: int,
) -> Iterator[Row]:
    name = max(names, key=lambda n: abs(np.corrcoef(table[n], table["p"])[0, 1]))

    def both(t: pd.DataFrame) -> dict[str, Ends]:
        g, X = t["visitor_id"].to_numpy(), t[names]
        drops = importance(model, X, t["label"].to_numpy(), None, g).set_index("feature").loc[name]
        low, high = drops["low"], drops["high"]
        return {"importance of the first feature": (drops["mean_drop"], low, high)}

    def shape(t: pd.DataFrame) -> dict[str, Ends]:
        at = effect(model, t[names], name, groups=t["visitor_id"].to_numpy()).iloc[-1]
        # The sample chooses the value; the truth is what the whole shop would be told at it.
        whole = model.predict_proba(table[names].assign(**{name: at["value"]}))[:, 1].mean()
        return {"effect, highest value": (0.0, at["low"] - whole, at["high"] - whole)}

    truth = both(table) | {"effect, highest value": (0.0, None, None)}
    where = f"{shop}, {count:,} visitors, 50 buyers"

    def sample(rng: np.random.Generator) -> dict[str, Ends]:
        rows = draw(rng, count)
        return both(rows) | shape(rows)

    for key, each in collect(sample, seeds).items():
        yield key, where, 0.9, each, truth[key][0]


# Amounts -----------------------------------------------------------------------------------------


def buyers(rng: np.random.Generator, visitors: int) -> tuple[pd.DataFrame, Any, Any]:
    """Return rows of buying visitors, one to six each; dear baskets spread more."""
    n = rng.integers(1, 7, visitors)
    g = np.repeat(np.arange(visitors), n)
    price = rng.lognormal(3, 0.6, visitors)
    spread = 0.25 + 0.5 * (price > np.exp(3.5))
    amount = 1.5 * price * np.exp(spread * rng.normal(size=visitors))
    X = pd.DataFrame({"price": price[g] * np.exp(0.05 * rng.normal(size=len(g)))})
    return X, amount[g], g


def amounts(seeds: int) -> Iterator[Row]:
    X, a, g = buyers(np.random.default_rng(0), 3000)
    model = REGRESSORS["hurdle"].make().set_params(classifier=None).fit(X, a, groups=g)
    fresh, paid, _ = buyers(np.random.default_rng(1), 30_000)
    said = model.predict(fresh)
    tenth = np.argsort(np.argsort(said)) * 10 // len(said)
    for count in (100, 600):

        def one(rng: np.random.Generator, count: int = count) -> dict[str, Ends]:
            X, a, g = buyers(rng, count)
            low, high = AmountInterval(model).fit(X, a, groups=g).predict(fresh)
            inside = (paid >= low) & (paid <= high)
            by = [inside[tenth == k].mean() for k in range(10)]
            return {f"tenth {k + 1}": (v, v, None) for k, v in enumerate([*by, inside.mean()])}

        found = collect(one, max(seeds // 3, 10))
        for k, name in (
            (9, "amount given purchase: the dearest tenth"),
            (10, "amount given purchase: all"),
        ):
            reached = [v for v, _, _ in found[f"tenth {k + 1}"]]
            yield (
                name,
                f"{count} buying visitors",
                0.9,
                [(r, None, None) for r in reached],
                float("nan"),
            )
        worst = min(range(10), key=lambda k: np.mean([v for v, _, _ in found[f"tenth {k + 1}"]]))
        reached = [v for v, _, _ in found[f"tenth {worst + 1}"]]
        yield (
            "amount given purchase: the worst tenth",
            f"{count} buying visitors",
            0.9,
            [(r, None, None) for r in reached],
            float("nan"),
        )


# The table ---------------------------------------------------------------------------------------


def reached(row: Row) -> tuple[float, float, float]:
    """Return the share of samples that hold the truth, its error, and the share with an interval."""
    _, _, _, found, truth = row
    if truth != truth:
        shares_held = [v for v, _, _ in found]
        return (
            float(np.mean(shares_held)),
            1.96 * float(np.std(shares_held)) / len(found) ** 0.5,
            1.0,
        )
    told = [(low, high) for _, low, high in found if low is not None and low == low]
    if not told:
        return float("nan"), float("nan"), 0.0
    held = float(np.mean([low <= truth + 1e-12 and truth <= high + 1e-12 for low, high in told]))
    return held, 1.96 * float(np.sqrt(held * (1 - held) / len(told))), len(told) / len(found)


def lines(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        name, where, nominal, _, _ = row
        held, error, told = reached(row)
        shown = f"{held:.1%} +/- {error:.1%}" if told else "-"
        yield f"| {name} | {where} | {nominal:.0%} | {shown} | {told:.0%} |"


HEAD = """# Do the intervals hold what they promise?

The intervals of insights, scores, curves and models, tried on samples of a shop whose figures are known: written by
`python benchmarks/coverage.py --seeds {seeds} --write` in {minutes:.0f} minutes. *Reached* is the share of samples whose
interval holds the figure of the whole shop, with the error of that many samples; *told* is the share
of samples in which there is an interval at all (a score that too few buyers carry has none).
Intervals of paths and of counts are not shown anywhere, so none is tried.

| interval | shop and sample | nominal | reached | told |
|---|---|---|---|---|
"""
PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "shares": shares,
    "scores": scores,
    "amounts": amounts,
}


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--write", action="store_true")
    words = parser.parse_args()
    began, out = time.perf_counter(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in words.only.split(","):
            for line in lines(PARTS[part](words.seeds)):
                print(line, flush=True)
                out.append(line)
    if words.write:
        minutes = (time.perf_counter() - began) / 60
        text = HEAD.format(seeds=words.seeds, minutes=minutes) + "\n".join(out) + "\n"
        Path(__file__).parents[1].joinpath("docs", "coverage.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
