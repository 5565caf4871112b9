"""Choosing the champion: the simplest model that is not worse than the best one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from cartcast.errors import DataError
from cartcast.evaluate.arrays import codes_of
from cartcast.models.folds import Fold
from cartcast.models.table import row_weights

__all__ = ["Candidate", "Chosen", "choose", "forward_losses", "log_losses", "settle",
           "squared_errors"]  # fmt: skip

Floats = NDArray[np.float64]

GIVEN_AWAY = 0.01
"""Share of the gain over the best baseline that a simpler model may cost."""


def log_losses(y_obs: Any, y_pred: Any) -> Floats:
    """Return the log loss of each row; probabilities are kept within 1e-12 of 0 and 1.

    >>> log_losses([1, 0], [0.5, 0.5]).round(4).tolist()
    [0.6931, 0.6931]
    """
    y, p = np.asarray(y_obs, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log(1 - p)), dtype=np.float64)


def squared_errors(y_obs: Any, y_pred: Any) -> Floats:
    """Return the squared error of each row."""
    y, p = np.asarray(y_obs, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    return np.asarray((y - p) ** 2, dtype=np.float64)


class Candidate(NamedTuple):
    """One model in the choice.

    Attributes:
        name: the model.
        loss: mean loss on validation rows.
        behind: mean loss minus that of the best one, over the same rows.
        error: standard error of `behind`, over groups where they are given.
        simplicity: its rank, 0 for the simplest.
    """

    name: str
    loss: float
    behind: float
    error: float
    simplicity: int


class Chosen(NamedTuple):
    """The champion, the candidates by loss, and the reason in words."""

    name: str
    candidates: tuple[Candidate, ...]
    reason: str


def choose(
    losses: Mapping[str, Any],
    simplicity: Mapping[str, int],
    sample_weight: Any = None,
    groups: Any = None,
    baselines: Collection[str] = (),
) -> Chosen:
    """Return the simplest model whose mean loss is within one standard error of the best.

    The error is that of the *difference* to the best model on the same rows (Breiman et al. 1984
    use that of the loss itself, which is far wider), clustered on `groups`. Among equally simple
    ones the lower loss wins. A model that is no baseline may cost at most `GIVEN_AWAY` of what the
    best gains over the best baseline: where the loss is noisy an error is wide, and what is likely
    lost is not to be given away for simplicity. A baseline within the error always wins.

    Args:
        losses: loss of each row by model, shape (rows,), all on the same validation rows.
        simplicity: rank by model, 0 for the simplest.
        sample_weight: weight of each row.
        groups: visitor or session of each row.
        baselines: which of the models are baselines.

    Raises:
        DataError: no candidate, no rows, or no finite loss.
    """
    if not losses:
        raise DataError("there is no model to choose from.")
    rows = len(next(iter(losses.values())))
    if not rows:
        raise DataError("there are no validation rows to choose the champion on.")
    weights = row_weights(sample_weight, rows)
    w = np.ones(rows) if weights is None else weights
    table = {n: np.asarray(v, dtype=np.float64) for n, v in losses.items()}
    means = {n: float(np.average(v, weights=w)) for n, v in table.items()}
    finite = {n: m for n, m in means.items() if np.isfinite(m)}
    if not finite:
        raise DataError("no model has a finite loss on the validation rows.")
    best = min(finite, key=lambda n: (finite[n], simplicity[n], n))
    codes = codes_of(groups, rows)
    found = []
    for name in finite:
        gap = table[name] - table[best]
        behind, error = _mean_error(gap, w, codes)
        found.append(Candidate(name, finite[name], behind, error, simplicity[name]))
    return settle(found, baselines)


def settle(
    candidates: Sequence[Candidate], baselines: Collection[str] = (), score: str | None = None
) -> Chosen:
    """Return the champion among candidates whose errors are known; see `choose`.

    `score` names what they were judged by where it is no loss: their loss is then its negative.
    """
    found = sorted(candidates, key=lambda c: (c.loss, c.simplicity, c.name))
    best = found[0]
    base = min((c.loss for c in found if c.name in baselines), default=np.inf)
    most = GIVEN_AWAY * max(base - best.loss, 0.0)
    within = [
        c for c in found
        if c.behind <= c.error and (c.name in baselines or c.behind <= most)
    ]  # fmt: skip
    champion = min(within, key=lambda c: (c.simplicity, c.loss, c.name))
    reason = f"{best.name} has the lowest loss ({best.loss:.4f})"
    if score is not None:
        reason = f"{best.name} has the best {score} ({-best.loss:.4f})"
    if champion.name != best.name:
        reason += (
            f"; {champion.name} is simpler and behind by {champion.behind:.4f}, "
            f"within one standard error ({champion.error:.4f})"
        )
    return Chosen(champion.name, tuple(found), reason + ".")


def _mean_error(gap: Floats, w: Floats, codes: NDArray[np.intp]) -> tuple[float, float]:
    """Return the weighted mean and its standard error, clustered on `codes`."""
    mean = float(np.average(gap, weights=w))
    sums = np.bincount(codes, weights=w * (gap - mean))
    n = len(sums)
    if n < 2:
        return mean, 0.0
    return mean, float(np.sqrt((sums**2).sum() * n / (n - 1)) / w.sum())


def forward_losses(
    models: Mapping[str, Any],
    X: Any,
    y: Any,
    folds: Sequence[Fold],
    sample_weight: Any = None,
    order: Any = None,
) -> tuple[dict[str, Floats], NDArray[np.intp]]:
    """Return the log loss of each judged row by model, and the row numbers judged.

    Every model is fitted again on the rows before each block (see `folds.forward_folds`); `order`
    goes to those that hold later rows out on their own.
    """
    labels = np.asarray(y)
    weights = row_weights(sample_weight, len(labels))
    judged = np.concatenate([judge for _, judge in folds])
    out: dict[str, Floats] = {}
    tells = {n: order is not None and has_fit_parameter(m, "order") for n, m in models.items()}
    for name, model in models.items():
        parts = []
        for fit, judge in folds:
            part = None if weights is None else weights[fit]
            known = {"order": np.asarray(order)[fit]} if tells[name] else {}
            fitted = clone(model).fit(X.iloc[fit], labels[fit], sample_weight=part, **known)
            parts.append(log_losses(labels[judge], fitted.predict_proba(X.iloc[judge])[:, 1]))
        out[name] = np.concatenate(parts)
    return out, judged
