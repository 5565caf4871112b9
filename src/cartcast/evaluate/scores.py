"""All scores, by name, and the one call that computes several.

>>> found = evaluate([0, 1, 1, 0], [0.2, 0.9, 0.6, 0.4], scores=("roc_auc", "brier"))
>>> found["roc_auc"], round(found["brier"], 4)
(1.0, 0.0925)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cartcast.errors import UsageError, did_you_mean
from cartcast.evaluate.amounts import bias, mae, r2, rmse
from cartcast.evaluate.arrays import Task, vectors
from cartcast.evaluate.decision import accuracy, f1, precision, recall
from cartcast.evaluate.probability import brier, ece, log_loss
from cartcast.evaluate.ranking import average_precision, gini, lift_top_decile, roc_auc, spearman
from cartcast.evaluate.score import Score

__all__ = [
    "CLASSIFIER_SCORES",
    "REGRESSOR_SCORES",
    "SCORES",
    "accuracy",
    "average_precision",
    "bias",
    "brier",
    "ece",
    "evaluate",
    "f1",
    "find",
    "gini",
    "lift_top_decile",
    "log_loss",
    "mae",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "spearman",
]

SCORES: dict[str, Score] = {
    s.name: s
    for s in (
        roc_auc,
        average_precision,
        log_loss,
        brier,
        ece,
        f1,
        accuracy,
        precision,
        recall,
        lift_top_decile,
        mae,
        rmse,
        r2,
        spearman,
        gini,
        bias,
    )
}
"""Every score by its name."""

CLASSIFIER_SCORES = tuple(n for n, s in SCORES.items() if "classifier" in s.tasks)
"""Names of the scores of probabilities."""
REGRESSOR_SCORES = tuple(n for n, s in SCORES.items() if "regressor" in s.tasks)
"""Names of the scores of amounts."""


def find(scores: Iterable[str] | None, task: Task) -> list[Score]:
    """Return scores by name, or all of a task.

    Raises:
        UsageError: a name is unknown, or the score does not apply to the task.
    """
    usual = CLASSIFIER_SCORES if task == "classifier" else REGRESSOR_SCORES
    found = []
    for name in usual if scores is None else scores:
        if name not in SCORES:
            raise UsageError(f"unknown score {name!r}.{did_you_mean(name, SCORES)}")
        if task not in SCORES[name].tasks:
            raise UsageError(f"{name} is not a score of a {task}.{did_you_mean(name, usual)}")
        found.append(SCORES[name])
    return found


def evaluate(
    y_obs: Any,
    y_pred: Any,
    weights: Any = None,
    *,
    task: Task = "classifier",
    scores: Iterable[str] | None = None,
    threshold: float = 0.5,
) -> dict[str, float | None]:
    """Return several scores of the same predictions, shapes (n,); None where undefined.

    Raises:
        DataError: the arrays break their rules.
        UsageError: a score is unknown or does not apply to the task.
    """
    chosen = find(scores, task)
    v = vectors(y_obs, y_pred, weights, task=task)
    return {s.name: s.of(v, threshold) for s in chosen}
