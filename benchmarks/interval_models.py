"""The intervals of models: both shops of `cartcast simulate`, and made-up ones.

`made-up` (`clean_shops.py`) uses nothing of Cartcast.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from clean_shops import clean_shop
from interval_samples import Case, Draw, Ends, Visitors, ends, simulated

from cartcast.datasets import Missions
from cartcast.evaluate import curves, revenue, slices
from cartcast.evaluate.intervals import bootstrap, compare
from cartcast.evaluate.scores import CLASSIFIER_SCORES, REGRESSOR_SCORES
from cartcast.explain import effect, importance
from cartcast.features import load_set
from cartcast.models.intervals import AmountInterval
from cartcast.models.regressors import REGRESSORS
from cartcast.moments import from_log
from cartcast.targets import Purchase

__all__ = ["cases"]


def _simulated_rows(shop: Missions | None) -> tuple[pd.DataFrame, list[str]]:
    def made(log: Any) -> Any:
        return from_log(log, Purchase(), load_set("default"), (1, 3, 5))

    rows = simulated(40_000, 2, shop, made)
    names = [c for c in rows.features if pd.api.types.is_float_dtype(rows.values[c])][:12]
    return pd.concat([rows.table, rows.values], axis=1), names


def _made_up_rows() -> tuple[pd.DataFrame, list[str]]:
    shops = [clean_shop(seed, sessions=8000, signal=1.0) for seed in (3, 5, 11)]
    tables = [
        pd.concat([p.train, p.test]).assign(visitor_id=lambda t, k=k: f"{k}" + t["visitor_id"])
        for k, p in enumerate(shops)
    ]
    table = pd.concat(tables, ignore_index=True)
    table["amount"] = table["label"] * np.random.default_rng(0).lognormal(3, 0.6, len(table))
    names = ["click", "price_mean", "items", "carts", "elapsed", "past_purchases", "past_sessions"]
    return table, names


ROWS: dict[str, Callable[[], tuple[pd.DataFrame, list[str]]]] = {
    "first": lambda: _simulated_rows(None),
    "second": lambda: _simulated_rows(Missions()),
    "made-up": _made_up_rows,
}


class Judged(NamedTuple):
    """Rows of visitors that the models have not seen, with what they say of them.

    Attributes:
        table: rows, with `p`, `rival` (probabilities), `r` (money), `lowest` and `highest` (its
            interval given a purchase).
        names: the features.
        model: the model of `p`.
        buyers: share of the visitors with a purchase.
        draw: draws visitors of the table.
    """

    table: pd.DataFrame
    names: list[str]
    model: Any
    buyers: float
    draw: Visitors


def _fitted(X: pd.DataFrame, y: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(X, y)


@cache
def _judged(shop: str) -> Judged:
    table, names = ROWS[shop]()
    table = table.assign(**table[names].fillna(table[names].median()))
    seen = pd.util.hash_pandas_object(table["visitor_id"], index=False).to_numpy() % 4 == 0
    known = table[seen]
    model, rival = _fitted(known[names], known["label"]), _fitted(known[["click"]], known["label"])
    amounts = known["amount"][known["label"] > 0]
    rest = table[~seen].reset_index(drop=True)
    p = model.predict_proba(rest[names])[:, 1]
    rest = rest.assign(p=p, rival=rival.predict_proba(rest[["click"]])[:, 1])
    rest["r"] = p * amounts.mean()
    rest["lowest"], rest["highest"] = amounts.quantile(0.05), amounts.quantile(0.95)
    draw = Visitors(rest)
    buyers = rest[rest["label"] > 0]["visitor_id"].nunique() / len(draw.parts)
    return Judged(rest, names, model, buyers, draw)


def _of_scores(t: pd.DataFrame) -> dict[str, Ends]:
    y, p, g = (t[c].to_numpy() for c in ("label", "p", "visitor_id"))
    scored = bootstrap(y, p, None, g, scores=CLASSIFIER_SCORES, threshold=0.1)
    found = {name: ends(i) for name, i in scored.items()}
    both = {"model": p, "rival": t["rival"].to_numpy()}
    for score in ("log_loss", "roc_auc", "ece"):
        gap = compare(y, both, None, g, against="rival", score=score)["model"]
        found[f"{score}, model - rival"] = ends(gap)
    words = {"scores": ("roc_auc", "log_loss", "ece"), "draws": 100, "minimum": 20}
    for row in slices.by_click(y, {"model": p}, t["click"], None, g, **words).to_dict("records"):
        if row["click"] == 3 and row["metric"] != "prevalence":
            found[f"slice of click 3: {row['metric']}"] = row["value"], row["low"], row["high"]
    return found


def _of_curves(t: pd.DataFrame) -> dict[str, Ends]:
    y, p, g = (t[c].to_numpy() for c in ("label", "p", "visitor_id"))
    found: dict[str, Ends] = {}
    at = (0.05, 0.2)
    for row in curves.gain(y, p, None, g, at=at, draws=200).to_dict("records"):
        where = f"{row['contacted']:.0%} contacted"
        found[f"gain, {where}"] = row["reached"], row["reached_low"], row["reached_high"]
        found[f"lift, {where}"] = row["lift"], row["lift_low"], row["lift_high"]
    for row in curves.profit(y, p, None, g, cost=1, value=20, at=at, draws=200).to_dict("records"):
        found[f"profit, {row['contacted']:.0%} contacted"] = row["profit"], row["low"], row["high"]
    bins = curves.reliability(y, p, None, g)
    for k in (4, 9):
        row = bins.iloc[k]
        found[f"reliability, tenth {k + 1}"] = row["observed"], row["low"], row["high"]
    return found


def _of_money(t: pd.DataFrame) -> dict[str, Ends]:
    a, r, g = t["amount"].to_numpy(float), t["r"].to_numpy(float), t["visitor_id"].to_numpy()
    scored = bootstrap(a, r, None, g, task="regressor", scores=REGRESSOR_SCORES)
    found = {f"revenue: {name}": ends(each) for name, each in scored.items()}
    parts = revenue.scores_by_part(a, r, None, g).set_index(["part", "metric"])
    for metric in ("mae", "bias", "spearman"):
        if ("buyers", metric) in parts.index:
            row = parts.loc["buyers", metric]
            found[f"revenue of buyers: {metric}"] = row["value"], row["low"], row["high"]
    tenths = revenue.deciles(a, r, None, g)
    for k in (5, 10):
        row = tenths.iloc[k - 1]
        found[f"revenue by tenth: {k}"] = row["observed"], row["low"], row["high"]
    row = curves.gain(a, r, None, g, at=(0.2,), draws=200).iloc[0]
    found["gain of money, 20% contacted"] = row["reached"], row["reached_low"], row["reached_high"]
    held = revenue.coverage(a, t["lowest"], t["highest"], r, None, g).set_index("part")
    row = held.loc["buyers"]
    found["share of amounts inside their interval"] = row["coverage"], row["low"], row["high"]
    return found


def _of_drivers(t: pd.DataFrame, judged: Judged, whole: bool) -> dict[str, Ends]:
    model, names, g = judged.model, judged.names, t["visitor_id"].to_numpy()
    strength = [abs(np.corrcoef(judged.table[n], judged.table["p"])[0, 1]) for n in names]
    order = np.argsort(strength)
    found: dict[str, Ends] = {}
    # The truth is that of all rows; a reader's is that of a sample of them.
    size: dict[str, Any] = {"max_rows": len(t)} if whole else {}
    for which, name in (("the first", names[order[-1]]), ("the fourth", names[order[-4]])):
        drops = importance(model, t[names], t["label"], None, g, features=[name], **size).iloc[0]
        found[f"importance of {which} feature"] = drops["mean_drop"], drops["low"], drops["high"]
    name = names[order[-1]]
    if whole:
        return {**found, "effect of the first feature, at its highest": (0.0, None, None)}
    at = effect(model, t[names], name, groups=g).iloc[-1]
    # The sample chooses the value; the truth is what the whole shop would be told at it.
    told = model.predict_proba(judged.table[names].assign(**{name: at["value"]}))[:, 1].mean()
    gap = at["prediction"] - told, at["low"] - told, at["high"] - told
    return {**found, "effect of the first feature, at its highest": gap}


def _models(shop: str, buyers: int) -> tuple[dict[str, float], Draw]:
    judged = _judged(shop)

    def shown(t: pd.DataFrame, whole: bool = False) -> dict[str, Ends]:
        drivers = _of_drivers(t, judged, whole)
        return {**_of_scores(t), **_of_curves(t), **_of_money(t), **drivers}

    truth = {name: value for name, (value, _, _) in shown(judged.table, whole=True).items()}
    return truth, lambda rng: shown(judged.draw(rng, round(buyers / judged.buyers)))


def _spreading_rows() -> tuple[pd.DataFrame, list[str]]:
    """Return buyers, one to six rows each, whose dear baskets spread more than the others."""
    rng = np.random.default_rng(0)
    n = rng.integers(1, 7, 6000)
    g = np.repeat(np.arange(len(n)), n)
    price = rng.lognormal(3, 0.6, len(n))
    spread = np.where(price > np.exp(3.5), 0.75, 0.25)
    amount = 1.5 * price * np.exp(spread * rng.normal(size=len(n)))
    seen = price[g] * np.exp(0.05 * rng.normal(size=len(g)))
    table = pd.DataFrame({"visitor_id": g.astype(str), "session_id": np.arange(len(g)).astype(str),
                          "price": seen, "amount": amount[g], "label": 1.0})  # fmt: skip
    return table, ["price"]


def _amounts(shop: str, count: int) -> tuple[dict[str, float], Draw]:
    """Try intervals of amounts: the value is the share of fresh amounts inside of them."""
    table, names = {**ROWS, "spreading": _spreading_rows}[shop]()
    bought = table[table["label"] > 0].reset_index(drop=True)
    bought = bought.assign(**bought[names].fillna(bought[names].median()))
    third = pd.util.hash_pandas_object(bought["visitor_id"], index=False).to_numpy() % 3
    train, fresh = bought[third == 0], bought[third == 1]
    hurdle = REGRESSORS["hurdle"].make().set_params(classifier=None)
    model = hurdle.fit(train[names], train["amount"], groups=train["visitor_id"])
    draw = Visitors(bought[third == 2].reset_index(drop=True))
    paid, said = fresh["amount"].to_numpy(float), model.predict(fresh[names])
    best = said >= np.quantile(said, 0.9)

    def one(rng: np.random.Generator) -> dict[str, Ends]:
        t = draw(rng, count)
        made = AmountInterval(model).fit(t[names], t["amount"], groups=t["visitor_id"])
        low, high = made.predict(fresh[names])
        inside = (paid >= low) & (paid <= high)
        held = {"all": inside.mean(), "the dearest tenth": inside[best].mean()}
        return {f"amount given purchase: {k}": (float(v), None, None) for k, v in held.items()}

    return {}, one


def cases() -> dict[str, Case]:
    """Return the cases by name."""
    found: dict[str, Case] = {}
    for shop in ROWS:
        for n in (12, 50):
            found[f"models-{shop}-{n}"] = Case(
                "Models", shop, f"{n} buyers", 0.9,
                lambda shop=shop, n=n: _models(shop, n),  # type: ignore[misc]
            )  # fmt: skip
    for shop in ("first", "second", "spreading"):
        for n in (100, 400):
            found[f"amounts-{shop}-{n}"] = Case(
                "Amounts", shop, f"{n} buying visitors", 0.9,
                lambda shop=shop, n=n: _amounts(shop, n),  # type: ignore[misc]
            )  # fmt: skip
    return found
