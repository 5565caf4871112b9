"""The usual pipeline on the e-shop file, step by step as it is usually written, and its table.

Rows are split at random, sessions are summed up on each side, a rule over two of the sums is
called conversion, the classes are balanced with SMOTE, then comes the train/test split whose
figures are published. Nothing here is advice.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

SEED = 42
COLUMNS = [
    "year", "month", "day", "order", "country", "session_id", "category", "product", "color",
    "location", "photo", "price", "price_2", "page",
]  # fmt: skip
FEATURES = [
    "session_length", "total_spend", "avg_price", "price_std", "category_diversity",
    "product_diversity", "color_diversity", "location_diversity", "photo_diversity",
    "page_diversity", "country", "month", "day_of_week", "avg_price_per_click",
    "category_engagement", "product_engagement", "price_sensitivity", "min_price", "max_price",
]  # fmt: skip

PUBLISHED_SKLEARN = "1.7.2"
PUBLISHED: dict[str, float] = {
    "rows, train": 132379, "rows, test": 33095, "sessions, train": 22910, "sessions, test": 14034,
    "conversion rate": 0.3316, "mean revenue": 715.78,
    "F1 logistic regression": 1.0, "F1 decision tree": 1.0, "F1 random forest": 1.0,
    "F1 XGBoost": 1.0, "F1 gradient boosting": 1.0, "F1 SVM": 0.9992,
    "R2 gradient boosting": 0.9856, "RMSE gradient boosting": 353.06,
    "R2 random forest": 0.9693, "RMSE random forest": 515.44,
    "R2 XGBoost": 0.9604, "RMSE XGBoost": 586.01,
    "R2 decision tree": 0.9595, "RMSE decision tree": 592.25,
    "R2 linear": 0.8011, "RMSE linear": 1313.15,
    "R2 ridge": 0.8011, "RMSE ridge": 1312.94,
    "R2 lasso": 0.8013, "RMSE lasso": 1312.27,
    "R2 SVR": 0.0929, "RMSE SVR": 2804.00,
    "K-Means (4) silhouette": 0.1855, "K-Means (4) Davies-Bouldin": 1.5652,
    "DBSCAN labels": 295, "DBSCAN noise share": 0.815,
}  # fmt: skip
"""The published table; its tree figures are those of scikit-learn 1.7.2."""


@dataclass(frozen=True)
class Usual:
    """What the usual pipeline made.

    Attributes:
        clicks: the file.
        train_rows: clicks of its training part.
        test_rows: clicks of its test part.
        train: one row per session of the training part: FEATURES, conversion, revenue.
        test: the same for the test part.
        figures: its table, by the names of PUBLISHED.
    """

    clicks: pd.DataFrame
    train_rows: pd.DataFrame
    test_rows: pd.DataFrame
    train: pd.DataFrame
    test: pd.DataFrame
    figures: dict[str, float]


def read_clicks(path: Path) -> pd.DataFrame:
    """Return the UCI file's clicks with short column names, in the file's order."""
    with zipfile.ZipFile(path) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".csv")]
        with archive.open(name) as file:
            clicks = pd.read_csv(file, sep=";")
    clicks.columns = pd.Index(COLUMNS)
    return clicks


def session_table(clicks: pd.DataFrame) -> pd.DataFrame:
    """Return the usual 19 features of each session, its "conversion" and its "revenue"."""
    dates = pd.to_datetime(clicks[["year", "month", "day"]])
    by = clicks.assign(day_of_week=dates.dt.day_of_week).groupby("session_id")
    table = pd.DataFrame(
        {
            "session_length": by["order"].count(),
            "total_spend": by["price"].sum(),
            "avg_price": by["price"].mean(),
            "price_std": by["price"].std(),
            **{f"{c}_diversity": by[c].nunique() for c in COLUMNS if c in _DIVERSE},
            **{c: by[c].first() for c in ("country", "month", "day_of_week")},
            "min_price": by["price"].min(),
            "max_price": by["price"].max(),
        }
    )
    clicks_made = table["session_length"]
    table["avg_price_per_click"] = table["total_spend"] / clicks_made
    table["category_engagement"] = table["category_diversity"] / clicks_made
    table["product_engagement"] = table["product_diversity"] / clicks_made
    table["price_sensitivity"] = table["price_std"] / table["avg_price"]
    table = table.fillna(table.median())[FEATURES]
    table["conversion"] = ((clicks_made > 5) & (table["total_spend"] > 50)).astype(int)
    table["revenue"] = (
        table["total_spend"] * (1 + 0.1 * clicks_made) * (1 + 0.05 * table["category_diversity"])
    )
    return table


_DIVERSE = ("category", "product", "color", "location", "photo", "page")


def run_usual(path: Path, *, slow: bool = True) -> Usual:
    """Run the usual pipeline; `slow=False` leaves out what takes longer than seconds."""
    clicks = read_clicks(path)
    train_rows, test_rows = train_test_split(clicks, test_size=0.2, random_state=SEED)
    train, test = session_table(train_rows), session_table(test_rows)
    figures: dict[str, float] = {
        "rows, train": len(train_rows),
        "rows, test": len(test_rows),
        "sessions, train": len(train),
        "sessions, test": len(test),
        "conversion rate": float(train["conversion"].mean()),
        "mean revenue": float(train["revenue"].mean()),
    }
    with warnings.catch_warnings():
        # The usual pipeline fits unscaled columns and lives with the warnings.
        warnings.simplefilter("ignore")
        figures |= classify(train[FEATURES], train["conversion"], slow=slow)
        quick = ("decision tree", "linear", "ridge")
        figures |= regress(train[FEATURES], train["revenue"], None if slow else quick)
        figures |= cluster(train[FEATURES], slow=slow)
    return Usual(clicks, train_rows, test_rows, train, test, figures)


def classify(X: pd.DataFrame, y: pd.Series, *, slow: bool = True) -> dict[str, float]:
    """Balance with SMOTE, then split, then fit six classifiers with their defaults."""
    from imblearn.over_sampling import SMOTE
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier
    from xgboost import XGBClassifier

    balanced = SMOTE(random_state=SEED).fit_resample(X, y)
    fit_X, judge_X, fit_y, judge_y = train_test_split(*balanced, test_size=0.2, random_state=SEED)
    models: dict[str, Any] = {
        "logistic regression": LogisticRegression(random_state=SEED),
        "decision tree": DecisionTreeClassifier(random_state=SEED),
        "random forest": RandomForestClassifier(random_state=SEED),
        "XGBoost": XGBClassifier(random_state=SEED, n_jobs=2),
        "gradient boosting": GradientBoostingClassifier(random_state=SEED),
        "SVM": SVC(random_state=SEED),
    }
    if not slow:
        models = {name: models[name] for name in ("logistic regression", "decision tree")}
    return {
        f"F1 {name}": float(f1_score(judge_y, model.fit(fit_X, fit_y).predict(judge_X)))
        for name, model in models.items()
    }


def regress(X: pd.DataFrame, y: pd.Series, only: Sequence[str] | None = None) -> dict[str, float]:
    """Split, then fit eight regressors, or some of them, with their defaults."""
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import Lasso, LinearRegression, Ridge
    from sklearn.metrics import r2_score, root_mean_squared_error
    from sklearn.svm import SVR
    from sklearn.tree import DecisionTreeRegressor
    from xgboost import XGBRegressor

    fit_X, judge_X, fit_y, judge_y = train_test_split(X, y, test_size=0.2, random_state=SEED)
    models: dict[str, Any] = {
        "gradient boosting": GradientBoostingRegressor(random_state=SEED),
        "random forest": RandomForestRegressor(random_state=SEED),
        "XGBoost": XGBRegressor(random_state=SEED, n_jobs=2),
        "decision tree": DecisionTreeRegressor(random_state=SEED),
        "linear": LinearRegression(),
        "ridge": Ridge(),
        "lasso": Lasso(),
        "SVR": SVR(),
    }
    if only is not None:
        models = {name: models[name] for name in only}
    out: dict[str, float] = {}
    for name, model in models.items():
        y_pred = model.fit(fit_X, fit_y).predict(judge_X)
        out[f"R2 {name}"] = float(r2_score(judge_y, y_pred))
        out[f"RMSE {name}"] = float(root_mean_squared_error(judge_y, y_pred))
    return out


def cluster(X: pd.DataFrame, *, slow: bool = True) -> dict[str, float]:
    """Scale, then K-Means with four clusters and DBSCAN with its defaults."""
    from sklearn.cluster import DBSCAN, KMeans
    from sklearn.metrics import davies_bouldin_score, silhouette_score
    from sklearn.preprocessing import StandardScaler

    Z = StandardScaler().fit_transform(X)
    labels = KMeans(4, random_state=SEED).fit_predict(Z)
    out = {"K-Means (4) Davies-Bouldin": float(davies_bouldin_score(Z, labels))}
    if slow:
        out["K-Means (4) silhouette"] = float(silhouette_score(Z, labels))
        noisy = DBSCAN().fit_predict(Z)
        out["DBSCAN labels"] = float(len(np.unique(noisy)))
        out["DBSCAN noise share"] = float((noisy < 0).mean())
    return out
