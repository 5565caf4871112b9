"""Cross-validation for ready tables: every row is judged by a model that never saw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.validation import has_fit_parameter

from cartcast.errors import DataError
from cartcast.train.choose import DECLARATIONS
from cartcast.train.fit import Fitted
from cartcast.train.options import Options
from cartcast.train.question import Question

__all__ = ["out_of_fold"]


def out_of_fold(fitted: Fitted, q: Question, options: Options) -> Fitted:
    """Return `fitted` with its test predictions replaced by out-of-fold ones, on the same rows.

    The part `test` of a cross-validated question holds all rows, in the order of the table. Each
    fold's model has the parameters of `fitted` and is not calibrated, since no validation rows
    are left inside a fold.

    Raises:
        DataError: a class has fewer rows than there are folds.
    """
    rows = q.parts["test"]
    folds = options.folds or 2
    predicted = np.full(len(rows), np.nan)
    declaration = DECLARATIONS[q.kind][fitted.name]
    for fit, held in _folds(rows.label, rows.groups, rows.table, folds, options.seed, q.kind):
        model = declaration.make(
            options.seed, len(fit), q.rows.categorical, options.threads, **fitted.facts["params"]
        )
        told = {"groups": rows.groups[fit]} if has_fit_parameter(model, "groups") else {}
        model.fit(rows.X.iloc[fit], rows.label[fit], sample_weight=rows.weight[fit], **told)
        predicted[held] = _predict(model, rows.X.iloc[held], q.kind)
    return replace(fitted, predictions={**fitted.predictions, "test": predicted})


def _predict(model: Any, X: pd.DataFrame, kind: str) -> Any:
    return model.predict_proba(X)[:, 1] if kind == "classifier" else model.predict(X)


def _folds(
    label: Any, groups: Any, table: pd.DataFrame, folds: int, seed: int, kind: str
) -> Iterator[tuple[Any, Any]]:
    visitors = table["visitor_id"].notna().any()
    if kind == "regressor":
        if visitors:
            whole = GroupKFold(folds, shuffle=True, random_state=seed)
            yield from whole.split(label, groups=groups)
        else:
            yield from KFold(folds, shuffle=True, random_state=seed).split(label)
        return
    rarer = int(min((label > 0).sum(), (label <= 0).sum()))
    if rarer < folds:
        raise DataError(
            f"{folds} folds need at least {folds} rows of each outcome, got {rarer}; use fewer "
            "folds or more data."
        )
    if visitors:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        yield from splitter.split(label, label, groups)
    else:
        yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(label, label)
