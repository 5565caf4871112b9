"""Every classifier that Cartcast can train, one declaration each.

`make` imports the library of the model when it is called, so that reading this list is cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from cartcast.models.declaration import Declaration, Dimension, Integer, Real

__all__ = ["CLASSIFIERS", "DEFAULT_CLASSIFIERS", "MEMBERS"]

Names = tuple[str, ...] | None


def _table(model: Any, categorical: Names, *, scale: bool = False, nulls: bool = True) -> Any:
    from cartcast.models.encode import Encoder
    from cartcast.models.table import TableClassifier

    return TableClassifier(Encoder(scale=scale, keep_nulls=nulls, categorical=categorical), model)


def _prevalence(seed: int, n_jobs: int, categorical: Names) -> Any:
    from cartcast.models.baselines import Prevalence

    return Prevalence()


def _click_count(seed: int, n_jobs: int, categorical: Names) -> Any:
    from cartcast.models.baselines import ClickCount

    return ClickCount()


def _logistic_regression(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.linear_model import LogisticRegression

    # Newton's method: a handful of passes over the rows where L-BFGS takes a hundred.
    model = LogisticRegression(C=0.1, max_iter=2000, solver="newton-cholesky")
    return _table(model, categorical, scale=True, nulls=False)


def _decision_tree(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return _table(
        DecisionTreeClassifier(max_depth=6, min_samples_leaf=30, random_state=seed), categorical
    )


def _random_forest(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        n_estimators=300, min_samples_leaf=8, max_features="sqrt", n_jobs=n_jobs, random_state=seed
    )
    return _table(model, categorical)


def _gradient_boosting(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(
        n_estimators=200, learning_rate=0.05, max_depth=3, subsample=0.8, min_samples_leaf=20,
        max_features=0.5, random_state=seed,
    )  # fmt: skip
    return _table(model, categorical, nulls=False)


def _hist_gradient_boosting(seed: int, n_jobs: int, categorical: Names) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.04, max_leaf_nodes=15, min_samples_leaf=40,
        l2_regularization=10.0, max_features=0.5, early_stopping=False, random_state=seed,
    )  # fmt: skip
    return _table(model, categorical)


def _xgboost(seed: int, n_jobs: int, categorical: Names) -> Any:
    from xgboost import XGBClassifier

    model = XGBClassifier(
        n_estimators=200, learning_rate=0.05, max_depth=4, min_child_weight=10, subsample=1.0,
        colsample_bynode=0.5, reg_lambda=10.0, tree_method="hist", n_jobs=n_jobs,
        random_state=seed,
    )  # fmt: skip
    return _table(model, categorical)


def _svm(seed: int, n_jobs: int, categorical: Names) -> Any:
    from cartcast.models.kernel import KernelClassifier

    return _table(KernelClassifier(seed=seed), categorical, scale=True, nulls=False)


def lightgbm_model(seed: int, n_jobs: int, **changes: Any) -> Any:
    """Return the regularised default of LightGBM, deterministic for its seed."""
    from lightgbm import LGBMClassifier

    settings: dict[str, Any] = {
        "n_estimators": 200, "learning_rate": 0.04, "num_leaves": 15, "min_child_samples": 40,
        "feature_fraction_bynode": 0.5, "reg_lambda": 10.0,
    }  # fmt: skip
    fixed = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
    return LGBMClassifier(**{**settings, **changes}, **fixed, n_jobs=n_jobs, random_state=seed)


def _lightgbm(seed: int, n_jobs: int, categorical: Names) -> Any:
    return _table(lightgbm_model(seed, n_jobs), categorical)


def _catboost(seed: int, n_jobs: int, categorical: Names) -> Any:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(
        iterations=400, learning_rate=0.04, depth=5, l2_leaf_reg=8.0, random_seed=seed,
        thread_count=n_jobs, verbose=False, allow_writing_files=False,
    )  # fmt: skip
    return _table(model, categorical)


MEMBERS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "blend": ("lightgbm", "logistic_regression"),
        "stack": ("lightgbm", "random_forest", "logistic_regression"),
        "deep_blend": ("lightgbm", "logistic_regression", "sequence"),
    }
)
"""The models that an ensemble is made of; it is tuned through them."""


def _ensemble(name: str) -> Callable[[int, int, Names], Any]:
    def build(seed: int, n_jobs: int, categorical: Names) -> Any:
        from cartcast.models.stack import Stack

        builds = {m: CLASSIFIERS[m].build for m in MEMBERS[name]}
        parts = tuple((m, make(seed, n_jobs, categorical)) for m, make in builds.items())
        return Stack(parts, seed=seed)

    return build


_BOOSTING: dict[str, Dimension] = {
    "model__learning_rate": Real(0.01, 0.1, log=True),
    "model__subsample": Real(0.5, 1.0),
}

CLASSIFIERS: MappingProxyType[str, Declaration] = MappingProxyType(
    {
        d.name: d
        for d in (
            Declaration(
                "prevalence", "Prevalence", "classifier", "baseline", _prevalence,
                simplicity=0, notes="The same probability for every row.",
            ),
            Declaration(
                "click_count", "Click count", "classifier", "baseline", _click_count,
                simplicity=1, notes="A logistic curve of the number of clicks and nothing else.",
            ),
            Declaration(
                "logistic_regression", "Logistic regression", "classifier", "linear",
                _logistic_regression,
                {"model__C": Real(1e-3, 10.0, log=True)},
                simplicity=2, notes="A straight line on signed logarithms of the features.",
            ),
            Declaration(
                "decision_tree", "Decision tree", "classifier", "tree", _decision_tree,
                {
                    "model__max_depth": Integer(2, 12),
                    "model__min_samples_leaf": Integer(5, 300, log=True),
                },
                simplicity=3, notes="One tree of depth 6 with leaves of at least 30 rows.",
            ),
            Declaration(
                "random_forest", "Random forest", "classifier", "forest", _random_forest,
                {
                    "model__min_samples_leaf": Integer(1, 60, log=True),
                    "model__max_features": Real(0.1, 0.8),
                },
                # No simpler than boosted trees, only deeper: between the two the loss decides.
                simplicity=5, notes="300 trees with leaves of at least 8 rows.",
            ),
            Declaration(
                "gradient_boosting", "Gradient boosting", "classifier", "boosting",
                _gradient_boosting,
                {
                    **_BOOSTING,
                    "model__n_estimators": Integer(50, 500, log=True),
                    "model__max_depth": Integer(2, 6),
                },
                simplicity=6, notes="scikit-learn's exact boosting; slow beyond 50,000 rows.",
            ),
            Declaration(
                "hist_gradient_boosting", "Histogram gradient boosting", "classifier", "boosting",
                _hist_gradient_boosting,
                {
                    "model__learning_rate": Real(0.01, 0.1, log=True),
                    "model__max_iter": Integer(50, 500, log=True),
                    "model__max_leaf_nodes": Integer(4, 48, log=True),
                    "model__l2_regularization": Real(0.1, 100.0, log=True),
                    "model__max_features": Real(0.2, 1.0),
                },
                simplicity=5,
            ),
            Declaration(
                "xgboost", "XGBoost", "classifier", "boosting", _xgboost,
                {
                    **_BOOSTING,
                    "model__n_estimators": Integer(50, 600, log=True),
                    "model__max_depth": Integer(2, 8),
                    "model__min_child_weight": Real(1.0, 100.0, log=True),
                    "model__reg_lambda": Real(0.1, 100.0, log=True),
                    "model__colsample_bynode": Real(0.2, 1.0),
                },
                simplicity=5,
            ),
            Declaration(
                "svm", "Support vector machine", "classifier", "kernel", _svm,
                {"model__C": Real(0.05, 20.0, log=True)},
                simplicity=6,
                notes="Exact RBF kernel up to 20,000 rows; a Nystroem map and a line beyond.",
            ),
            Declaration(
                "lightgbm", "LightGBM", "classifier", "boosting", _lightgbm,
                {
                    "model__learning_rate": Real(0.01, 0.1, log=True),
                    "model__n_estimators": Integer(50, 600, log=True),
                    "model__num_leaves": Integer(4, 48, log=True),
                    "model__min_child_samples": Integer(10, 300, log=True),
                    "model__reg_lambda": Real(0.1, 100.0, log=True),
                    "model__feature_fraction_bynode": Real(0.2, 1.0),
                },
                simplicity=5, notes="Regularised: small trees, half of the columns at a split.",
            ),
            Declaration(
                "catboost", "CatBoost", "classifier", "boosting", _catboost,
                {
                    "model__learning_rate": Real(0.01, 0.1, log=True),
                    "model__depth": Integer(3, 8),
                    "model__l2_leaf_reg": Real(1.0, 30.0, log=True),
                },
                simplicity=5, extra="catboost", requires="catboost",
            ),
            Declaration(
                "blend", "Blend", "classifier", "ensemble", _ensemble("blend"),
                simplicity=6,
                notes="LightGBM and logistic regression, weighted on rows they had not seen.",
            ),
            Declaration(
                "stack", "Stack", "classifier", "ensemble", _ensemble("stack"),
                simplicity=7,
                notes="LightGBM, random forest and logistic regression, weighted likewise.",
            ),
        )
    }
)  # fmt: skip
"""All classifiers by name."""

DEFAULT_CLASSIFIERS: tuple[str, ...] = (
    "prevalence",
    "click_count",
    "logistic_regression",
    "lightgbm",
    "blend",
)
"""What `--models default` trains: baselines, a straight line, boosted trees, a blend of both. A
forest takes ten times as long and wins nothing that is certain (docs/decisions/0022-one-fit.md)."""
