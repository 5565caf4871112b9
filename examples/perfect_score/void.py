"""Why each figure of the usual table is void: five measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from usual import FEATURES, SEED, Usual

from cartcast.leakage import AuditInput, Examination, examine

LEAKY_STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("nothing", ()),
    ("the rule's own columns, and items", ("session_length", "total_spend", "product_diversity")),
    (
        "numbers of distinct things",
        (
            "category_diversity",
            "color_diversity",
            "location_diversity",
            "photo_diversity",
            "page_diversity",
        ),
    ),
    ("the same numbers per click", ("category_engagement", "product_engagement")),
    ("spread of prices", ("price_std", "price_sensitivity", "min_price", "max_price")),
    ("mean prices", ("avg_price", "avg_price_per_click")),
)
"""Columns that know how long the session became, removed one group after another."""


def rule_is_length(usual: Usual) -> dict[str, Any]:
    """Compare "conversion" with `session_length >= 6`, session by session."""
    out: dict[str, Any] = {}
    for name, table in (("train", usual.train), ("test", usual.test)):
        same = table["conversion"] == (table["session_length"] >= 6)
        out[name] = {"sessions": len(table), "same": int(same.sum())}
    six = usual.train[usual.train["session_length"] >= 6]
    out["smallest_price_sum_of_six_clicks"] = float(six["total_spend"].min())
    return out


def both_sides(usual: Usual) -> dict[str, Any]:
    """Count the sessions of both parts, and those whose two "conversions" differ."""
    shared = usual.test.index.intersection(usual.train.index)
    ours, theirs = usual.train.loc[shared, "conversion"], usual.test.loc[shared, "conversion"]
    return {
        "sessions": len(shared),
        "share_of_test": len(shared) / len(usual.test),
        "labels_differ": float((ours != theirs).mean()),
        "sessions_in_file": int(usual.clicks["session_id"].nunique()),
    }


def without_leaks(usual: Usual, trees: int = 100) -> list[dict[str, Any]]:
    """Return F1 as the leaky columns go; no SMOTE, inner split as usual, random forest."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import f1_score, roc_auc_score
    from sklearn.model_selection import train_test_split

    left, out = list(FEATURES), []
    for what, columns in LEAKY_STEPS:
        left = [c for c in left if c not in columns]
        parts = train_test_split(
            usual.train[left], usual.train["conversion"], test_size=0.2, random_state=SEED
        )
        model = RandomForestClassifier(trees, random_state=SEED, n_jobs=2).fit(parts[0], parts[2])
        out.append(
            {
                "without": what,
                "columns": len(left),
                "f1": float(f1_score(parts[3], model.predict(parts[1]))),
                "roc_auc": float(roc_auc_score(parts[3], model.predict_proba(parts[1])[:, 1])),
            }
        )
    return out


def smote_on_nothing(usual: Usual, trees: int = 100, share: float = 0.05) -> dict[str, Any]:
    """Learn labels drawn by lot: honestly, and with SMOTE before the split.

    The rows are the sessions of the training table; `share` of them, drawn at random, are called
    positive. There is nothing to learn.
    """
    from imblearn.over_sampling import SMOTE
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    X = usual.train[FEATURES]
    y = pd.Series((np.random.default_rng(SEED).random(len(X)) < share).astype(int), index=X.index)
    out: dict[str, Any] = {"share": share, "rows": len(X)}
    for name, rows in (("honest", (X, y)), ("smote", SMOTE(random_state=SEED).fit_resample(X, y))):
        fit_X, judge_X, fit_y, judge_y = train_test_split(*rows, test_size=0.2, random_state=SEED)
        model = RandomForestClassifier(trees, random_state=SEED, n_jobs=2).fit(fit_X, fit_y)
        out[name] = float(roc_auc_score(judge_y, model.predict_proba(judge_X)[:, 1]))
        if name == "smote":
            found = examine(
                AuditInput(train=fit_X.assign(y=fit_y), test=judge_X.assign(y=judge_y), target="y"),
                ("split",),
            ).findings
            out["audit"] = [f.as_dict() for f in found if f.code.startswith("LK30")]
    return out


def audit_usual(usual: Usual) -> Examination:
    """Audit the very table: its 19 features, its label, its two parts."""
    train, test = usual.train.reset_index(), usual.test.reset_index()
    return examine(
        AuditInput(
            train=train,
            test=test,
            target="conversion",
            features=FEATURES,
            session="session_id",
            kind="proxy",
            describe="more than 5 clicks and a price sum above 50",
            clock="day",
        )
    )


def audit_balanced(usual: Usual) -> Examination:
    """Audit what the published classifiers were judged on: the split after SMOTE."""
    from imblearn.over_sampling import SMOTE
    from sklearn.model_selection import train_test_split

    X, y = SMOTE(random_state=SEED).fit_resample(usual.train[FEATURES], usual.train["conversion"])
    fit_X, judge_X, fit_y, judge_y = train_test_split(X, y, test_size=0.2, random_state=SEED)
    return examine(
        AuditInput(
            train=fit_X.assign(conversion=fit_y),
            test=judge_X.assign(conversion=judge_y),
            target="conversion",
            features=FEATURES,
        )
    )


def audit_revenue(usual: Usual) -> Examination:
    """Audit the "revenue", a formula over two of the features."""
    train, test = usual.train.reset_index(), usual.test.reset_index()
    return examine(
        AuditInput(
            train=train,
            test=test,
            target="revenue",
            features=FEATURES,
            session="session_id",
            kind="proxy",
            describe="price sum x (1 + 0.1 clicks) x (1 + 0.05 categories)",
            clock="day",
        )
    )


def revenue_formula_r2(usual: Usual) -> float:
    """Return R2 of the formula, written again over three of the features."""
    from sklearn.metrics import r2_score

    t = usual.test
    again = (
        t["total_spend"] * (1 + 0.1 * t["session_length"]) * (1 + 0.05 * t["category_diversity"])
    )
    return float(r2_score(t["revenue"], again))
