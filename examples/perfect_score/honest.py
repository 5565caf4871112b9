"""What can be said honestly: two proxies, as known at each click, on later months.

The file holds no purchase. What can be foreseen is whether the visitor goes on (at least five more
clicks) and whether the sale category will be reached; both are proxies, and the page says so.
Train: April to June. July stops the training. August is looked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cartcast.leakage import AuditInput, Examination, examine

MORE_CLICKS = 5
LAST_CLICK = 30
SALE = 4
SEEDS = (0, 1, 2)
WORDS = (
    "category",
    "color",
    "location",
    "country",
    "category_1",
    "category_2",
    "color_1",
    "first_category",
)


class Target(NamedTuple):
    """A proxy: its column, and what it means in words."""

    column: str
    title: str
    rows: str


TARGETS = (
    Target("goes_on", f"at least {MORE_CLICKS} more clicks in the session", "every click"),
    Target("reaches_sale", "a later click in the sale category", "clicks before the first in sale"),
)

_POINT_IN_TIME = """
WITH step AS (
    SELECT session_id, "order" AS click, month, make_date(year, month, day) AS date,
        isodow(make_date(year, month, day)) AS day_of_week, country, category, product, color,
        location, photo, price, price_2, page,
        CAST(substr(product, 2) AS INT) AS shelf,
        lag(category) OVER s AS category_1, lag(category, 2) OVER s AS category_2,
        lag(product) OVER s AS product_1, lag(page) OVER s AS page_1,
        lag(page, 2) OVER s AS page_2, lag(page, 3) OVER s AS page_3,
        lag(page, 4) OVER s AS page_4,
        lag(location) OVER s AS location_1, lag(location, 2) OVER s AS location_2,
        lag(price) OVER s AS price_1, lag(color) OVER s AS color_1, lag(photo) OVER s AS photo_1,
        CAST(substr(lag(product) OVER s, 2) AS INT) AS shelf_1,
        row_number() OVER (PARTITION BY session_id, product ORDER BY "order") AS seen_item,
        row_number() OVER (PARTITION BY session_id, category ORDER BY "order") AS seen_category,
        row_number() OVER (PARTITION BY session_id, category, page ORDER BY "order") AS seen_page,
        row_number() OVER (PARTITION BY session_id, color ORDER BY "order") AS seen_color,
        max(page) OVER s AS page_max, avg(page) OVER s AS page_mean,
        avg(price) OVER s AS price_mean, min(price) OVER s AS price_min,
        max(price) OVER s AS price_max, stddev_samp(price) OVER s AS price_std,
        avg(price_2) OVER s AS below_average, avg(CAST(photo = 1 AS INT)) OVER s AS en_face,
        sum(CAST(category = 1 AS INT)) OVER s AS in_1,
        sum(CAST(category = 2 AS INT)) OVER s AS in_2,
        sum(CAST(category = 3 AS INT)) OVER s AS in_3,
        sum(CAST(category = 4 AS INT)) OVER s AS in_4,
        first_value(category) OVER s AS first_category, first_value(page) OVER s AS first_page,
        count(*) OVER w AS session_clicks,
        max(CASE WHEN category = 4 THEN "order" END) OVER w AS last_in_sale
    FROM clicks
    WINDOW s AS (PARTITION BY session_id ORDER BY "order"
                 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
           w AS (PARTITION BY session_id)
), moved AS (
    SELECT *, CAST(seen_item = 1 AS INT) AS new_item,
        CAST(seen_category = 1 AS INT) AS new_category, CAST(seen_page = 1 AS INT) AS new_page,
        CAST(seen_color = 1 AS INT) AS new_color,
        coalesce(CAST(category <> category_1 AS INT), 0) AS switched,
        coalesce(CAST(page <> page_1 AS INT), 0) AS turned,
        coalesce(CAST(product = product_1 AS INT), 0) AS repeated,
        CASE WHEN category = category_1 THEN shelf - shelf_1 END AS stride
    FROM step
), started AS (
    SELECT session_id, row_number() OVER (PARTITION BY date ORDER BY session_id) AS sessions_today
    FROM (SELECT session_id, min(date) AS date FROM step GROUP BY session_id)
), summed AS (
    SELECT *, sum(new_item) OVER s AS items, sum(new_category) OVER s AS categories,
        sum(new_page) OVER s AS pages, sum(new_color) OVER s AS colors,
        sum(switched) OVER s AS switches, sum(turned) OVER s AS turns,
        sum(repeated) OVER s AS repeats, max(abs(stride)) OVER s AS stride_max,
        avg(abs(stride)) OVER s AS stride_mean, abs(stride) AS stride_size,
        avg(new_item) OVER five AS new_of_5, sum(switched) OVER five AS switches_of_5,
        sum(turned) OVER five AS turns_of_5,
        lag(new_item) OVER s AS new_1, lag(new_item, 2) OVER s AS new_2,
        lag(new_item, 3) OVER s AS new_3, lag(new_item, 4) OVER s AS new_4
    FROM moved
    WINDOW s AS (PARTITION BY session_id ORDER BY click
                 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
           five AS (PARTITION BY session_id ORDER BY click
                    ROWS BETWEEN 4 PRECEDING AND CURRENT ROW)
)
SELECT summed.* EXCLUDE (product, product_1, shelf_1),
    row_number() OVER (PARTITION BY session_id, switches ORDER BY click) AS category_run,
    row_number() OVER (PARTITION BY session_id, turns ORDER BY click) AS page_run,
    items / click AS item_share, sessions_today,
    CAST(session_clicks - click >= 5 AS INT) AS goes_on,
    CAST(coalesce(last_in_sale > click, FALSE) AS INT) AS reaches_sale
FROM summed JOIN started USING (session_id)
WHERE click <= 30
ORDER BY session_id, click
"""
_NOT_FEATURES = {
    "session_id", "date", "month", "session_clicks", "last_in_sale", "goes_on", "reaches_sale",
}  # fmt: skip


@dataclass(frozen=True)
class Honest:
    """What one target gave.

    Attributes:
        target: the proxy.
        figures: ROC AUC, PR AUC, Brier and log loss of the model and its baselines in August.
        by_click: one row a click: rows, share, ROC AUC with its interval, of model and baselines.
        examination: the audit of the very table.
        columns: the model's features.
    """

    target: Target
    figures: dict[str, Any]
    by_click: pd.DataFrame
    examination: Examination
    columns: list[str]


def point_in_time(clicks: pd.DataFrame) -> pd.DataFrame:
    """Return one row a click (1 to 30): what was known then, and the two labels.

    Frames are `ROWS` ordered by the click number, unique in a session: no row sees a later one.
    """
    import duckdb

    with duckdb.connect() as db:
        db.execute("SET threads = 2")
        db.register("clicks", clicks)
        table = db.execute(_POINT_IN_TIME).df()
    for name in WORDS:
        table[name] = table[name].astype("category")
    return table


def run_honest(clicks: pd.DataFrame, seeds: Sequence[int] = SEEDS, one_in: int = 1) -> list[Honest]:
    """Train, judge and audit both proxies; of the sessions, the audit looks at one in `one_in`."""
    table = point_in_time(clicks)
    return [judge(table, target, seeds, one_in) for target in TARGETS]


def judge(
    table: pd.DataFrame, target: Target, seeds: Sequence[int] = SEEDS, one_in: int = 1
) -> Honest:
    """Train on April to June, stop by July, judge August against the baselines."""
    if target.column == "reaches_sale":
        table = table[table["in_4"] == 0]
    train, stop, test = (
        table[m] for m in (table["month"] <= 6, table["month"] == 7, table["month"] == 8)
    )
    columns = [c for c in table.columns if c not in _NOT_FEATURES and train[c].nunique() > 1]
    scores = {
        "model": _boosted(train, stop, test, columns, target.column, seeds),
        "click count": _rate_by(train, test, ["click"], target.column),
        "click and category": _rate_by(train, test, ["click", "category"], target.column),
        "prevalence": np.full(len(test), train[target.column].mean()),
    }
    figures = {name: _figures(test, y_pred, target.column) for name, y_pred in scores.items()}
    seen, told = train["session_id"] % one_in == 0, (test["session_id"] % one_in == 0).to_numpy()
    examination = examine(
        AuditInput(
            train=train[seen],
            test=test[told],
            target=target.column,
            features=columns,
            session="session_id",
            time="date",
            click="click",
            kind="proxy",
            describe=target.title,
            clock="day",
            predictions=scores["model"][told],
            baseline=scores["click count"][told],
        )
    )
    return Honest(target, figures, _by_click(test, scores, target.column), examination, columns)


def _boosted(
    train: pd.DataFrame,
    stop: pd.DataFrame,
    test: pd.DataFrame,
    columns: list[str],
    label: str,
    seeds: Sequence[int],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the mean prediction of a few strongly regularised LightGBM models."""
    import lightgbm

    settings: dict[str, Any] = {
        "n_estimators": 800, "learning_rate": 0.025, "num_leaves": 31, "min_child_samples": 200,
        "subsample": 0.7, "subsample_freq": 1, "colsample_bytree": 0.25, "reg_lambda": 20.0,
        "cat_smooth": 50.0, "cat_l2": 50.0, "max_cat_to_onehot": 4, "n_jobs": 2, "verbose": -1,
    }  # fmt: skip
    out = np.zeros(len(test))
    for seed in seeds:
        model = lightgbm.LGBMClassifier(random_state=seed, **settings)
        model.fit(
            train[columns],
            train[label],
            eval_X=stop[columns],
            eval_y=stop[label],
            eval_metric="auc",
            callbacks=[lightgbm.early_stopping(60, verbose=False)],
        )
        out += model.predict_proba(test[columns])[:, 1] / len(seeds)
    return out


def _rate_by(
    train: pd.DataFrame, test: pd.DataFrame, keys: list[str], label: str
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rates = train.groupby(keys, observed=True)[label].mean().rename("rate").reset_index()
    joined = test[keys].merge(rates, on=keys, how="left")["rate"]
    return joined.fillna(train[label].mean()).to_numpy(float)


def _figures(test: pd.DataFrame, y_pred: np.ndarray[Any, Any], label: str) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    y = test[label].to_numpy()
    low, high = _interval(test, y_pred, label)
    return {
        "roc_auc": float(roc_auc_score(y, y_pred)),
        "roc_auc_low": low,
        "roc_auc_high": high,
        "average_precision": float(average_precision_score(y, y_pred)),
        "brier": float(brier_score_loss(y, y_pred)),
        "log_loss": float(log_loss(y, y_pred)),
        "rows": len(y),
        "sessions": int(test["session_id"].nunique()),
        "prevalence": float(y.mean()),
    }


def _interval(
    test: pd.DataFrame, y_pred: np.ndarray[Any, Any], label: str, draws: int = 200
) -> tuple[float, float]:
    """Return the 95 % interval of the ROC AUC over resampled sessions (bootstrap by weights)."""
    rng = np.random.default_rng(0)
    y = test[label].to_numpy(float)
    codes, names = pd.factorize(test["session_id"])
    # Ranked once for all draws: a draw only changes what each score weighs.
    _, ranks = np.unique(y_pred, return_inverse=True)
    areas = []
    for _ in range(draws):
        weight = rng.poisson(1.0, len(names))[codes]
        positive, negative = (np.bincount(ranks, w * weight) for w in (y, 1.0 - y))
        if pairs := positive.sum() * negative.sum():
            areas.append(positive @ (negative.cumsum() - negative / 2.0) / pairs)
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)


def _by_click(
    test: pd.DataFrame, scores: dict[str, np.ndarray[Any, Any]], label: str
) -> pd.DataFrame:
    from sklearn.metrics import roc_auc_score

    rows = []
    for click in range(1, LAST_CLICK + 1):
        here = (test["click"] == click).to_numpy()
        y = test.loc[here, label]
        if y.nunique() < 2:
            continue
        low, high = _interval(test[here], scores["model"][here], label, draws=60)
        rows.append(
            {
                "click": click,
                "rows": int(here.sum()),
                "share": float(y.mean()),
                "model": float(roc_auc_score(y, scores["model"][here])),
                "low": low,
                "high": high,
                "click and category": float(roc_auc_score(y, scores["click and category"][here])),
            }
        )
    return pd.DataFrame(rows)
