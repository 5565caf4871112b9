"""Every regressor of revenue that Cartcast can train, one declaration each."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from cartcast.models.declaration import Declaration, Dimension, Integer, Real

__all__ = ["DEFAULT_REGRESSORS", "REGRESSORS"]

Names = tuple[str, ...] | None


def _table(model: Any, categorical: Names, *, scale: bool = False, nulls: bool = True) -> Any:
    from cartcast.models.encode import Encoder
    from cartcast.models.table import TableRegressor

    return TableRegressor(Encoder(scale=scale, keep_nulls=nulls, categorical=categorical), model)


def _mean(seed: int, n_jobs: int, categorical: Names) -> Any:
    from cartcast.models.baselines import MeanAmount

    return MeanAmount()


def _linear(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.linear_model import LinearRegression

    return _table(LinearRegression(), categorical, scale=True, nulls=False)


def _ridge(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.linear_model import Ridge

    return _table(Ridge(alpha=10.0), categorical, scale=True, nulls=False)


def _lasso(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.linear_model import Lasso

    return _table(Lasso(alpha=0.05, max_iter=20_000), categorical, scale=True, nulls=False)


def _decision_tree(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return _table(
        DecisionTreeRegressor(max_depth=6, min_samples_leaf=30, random_state=seed), categorical
    )


def _random_forest(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(
        n_estimators=200, min_samples_leaf=10, max_features=0.4, n_jobs=n_jobs, random_state=seed
    )
    return _table(model, categorical)


def _gradient_boosting(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(
        n_estimators=200, learning_rate=0.05, max_depth=3, subsample=0.8, min_samples_leaf=20,
        max_features=0.5, random_state=seed,
    )  # fmt: skip
    return _table(model, categorical, nulls=False)


def _xgboost(seed: int, n_jobs: int, categorical: Names) -> Any:
    from xgboost import XGBRegressor

    model = XGBRegressor(
        n_estimators=250, learning_rate=0.04, max_depth=4, min_child_weight=10, subsample=0.8,
        colsample_bynode=0.5, reg_lambda=10.0, tree_method="hist", n_jobs=n_jobs,
        random_state=seed,
    )  # fmt: skip
    return _table(model, categorical)


def _svr(seed: int, n_jobs: int, categorical: Names) -> Any:
    from cartcast.models.kernel import KernelRegressor

    return _table(KernelRegressor(seed=seed), categorical, scale=True, nulls=False)


def lightgbm_regressor(seed: int, n_jobs: int, **changes: Any) -> Any:
    """Return the regularised default of LightGBM, deterministic for its seed."""
    from lightgbm import LGBMRegressor

    settings: dict[str, Any] = {
        "n_estimators": 200, "learning_rate": 0.04, "num_leaves": 15, "min_child_samples": 40,
        "feature_fraction_bynode": 0.5, "reg_lambda": 10.0,
    }  # fmt: skip
    fixed = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
    return LGBMRegressor(**{**settings, **changes}, **fixed, n_jobs=n_jobs, random_state=seed)


def _lightgbm(seed: int, n_jobs: int, categorical: Names) -> Any:
    return _table(lightgbm_regressor(seed, n_jobs), categorical)


def _tweedie(seed: int, n_jobs: int, categorical: Names) -> Any:
    model = lightgbm_regressor(seed, n_jobs, objective="tweedie", tweedie_variance_power=1.5)
    return _table(model, categorical)


def _hurdle(seed: int, n_jobs: int, categorical: Names) -> Any:
    from cartcast.models.classifiers import CLASSIFIERS
    from cartcast.models.hurdle import Hurdle

    classifier = CLASSIFIERS["lightgbm"].make(seed=seed, n_jobs=n_jobs, categorical=categorical)
    # Buyers are few: fewer and smaller trees than for the classifier.
    amount = lightgbm_regressor(seed, n_jobs, n_estimators=150, num_leaves=7, min_child_samples=20)
    return Hurdle(classifier, _table(amount, categorical), seed=seed)


_TREES: dict[str, Dimension] = {
    "model__n_estimators": Integer(50, 500, log=True),
    "model__learning_rate": Real(0.01, 0.1, log=True),
}
_LEAVES: dict[str, Dimension] = {
    "model__num_leaves": Integer(4, 32, log=True),
    "model__min_child_samples": Integer(10, 300, log=True),
    "model__reg_lambda": Real(0.1, 100.0, log=True),
}

REGRESSORS: MappingProxyType[str, Declaration] = MappingProxyType(
    {
        d.name: d
        for d in (
            Declaration(
                "mean", "Mean", "regressor", "baseline", _mean,
                simplicity=0, notes="The same amount for every row.",
            ),
            Declaration(
                "linear", "Linear regression", "regressor", "linear", _linear, simplicity=1,
                notes="On signed logarithms of the features; can predict negative amounts.",
            ),
            Declaration(
                "ridge", "Ridge", "regressor", "linear", _ridge,
                {"model__alpha": Real(0.1, 1000.0, log=True)}, simplicity=1,
            ),
            Declaration(
                "lasso", "Lasso", "regressor", "linear", _lasso,
                {"model__alpha": Real(1e-3, 10.0, log=True)}, simplicity=1,
            ),
            Declaration(
                "decision_tree", "Decision tree", "regressor", "tree", _decision_tree,
                {
                    "model__max_depth": Integer(2, 12),
                    "model__min_samples_leaf": Integer(5, 300, log=True),
                },
                simplicity=3,
            ),
            Declaration(
                "random_forest", "Random forest", "regressor", "forest", _random_forest,
                {
                    "model__min_samples_leaf": Integer(2, 60, log=True),
                    "model__max_features": Real(0.1, 0.8),
                },
                simplicity=4,
            ),
            Declaration(
                "gradient_boosting", "Gradient boosting", "regressor", "boosting",
                _gradient_boosting, {**_TREES, "model__max_depth": Integer(2, 6)}, simplicity=6,
            ),
            Declaration(
                "xgboost", "XGBoost", "regressor", "boosting", _xgboost,
                {
                    **_TREES,
                    "model__max_depth": Integer(2, 8),
                    "model__reg_lambda": Real(0.1, 100.0, log=True),
                },
                simplicity=5,
            ),
            Declaration(
                "svr", "Support vector regression", "regressor", "kernel", _svr,
                {"model__C": Real(0.05, 20.0, log=True)}, simplicity=6,
                notes="Exact RBF kernel up to 20,000 rows; a Nystroem map and a line beyond. "
                "Aims at the median, so it is biased low where most amounts are 0.",
            ),
            Declaration(
                "lightgbm", "LightGBM", "regressor", "boosting", _lightgbm,
                {**_TREES, **_LEAVES}, simplicity=5,
            ),
            Declaration(
                "tweedie", "Tweedie", "regressor", "boosting", _tweedie,
                {**_TREES, **_LEAVES, "model__tweedie_variance_power": Real(1.1, 1.9)},
                simplicity=5, notes="LightGBM with a Tweedie loss: zeros and amounts in one.",
            ),
            Declaration(
                "hurdle", "Hurdle: P(buy) x amount", "regressor", "ensemble", _hurdle,
                {"classifier__" + k: v for k, v in {**_TREES, **_LEAVES}.items()},
                simplicity=5, notes="The default: whether, then how much, each learnt apart.",
            ),
        )
    }
)  # fmt: skip
"""All regressors by name."""

DEFAULT_REGRESSORS: tuple[str, ...] = ("mean", "ridge", "tweedie", "hurdle")
"""What `--models default` trains for revenue."""
