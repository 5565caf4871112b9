"""Global importance: how much worse the model gets when one feature is shuffled.

Measured on rows that the model was not trained on. Features that carry the same knowledge share
it: shuffling one of them alone shows little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import UsageError, did_you_mean
from cartcast.evaluate.arrays import Array, Codes, Task, vectors
from cartcast.evaluate.intervals import LEVEL, bootstrap
from cartcast.evaluate.scores import log_loss, spearman
from cartcast.explain.predict import says
from cartcast.progress import Progress

__all__ = ["by_click", "importance"]

MAX_ROWS = 5_000
REPEATS = 3
_CLEAR = 0.3
"""Rank correlation from which a feature counts as raising or lowering the prediction."""
_COLUMNS = ["feature", "mean_drop", "low", "high", "direction"]


def importance(
    model: Any,
    X: pd.DataFrame,
    y_obs: Any,
    weights: Any = None,
    groups: Any = None,
    *,
    task: Task = "classifier",
    features: Iterable[str] | None = None,
    max_rows: int = MAX_ROWS,
    repeats: int = REPEATS,
    draws: int = 200,
    level: float = LEVEL,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Return what shuffling each feature costs, most important first.

    `X` (n, features), `y_obs`, `weights`, `groups` (n,): held-out rows. Above `max_rows` whole
    groups (visitors) are sampled. Columns: feature; mean_drop: log loss added (nats), or for a
    regressor R² lost; low, high: its interval over groups, each as one that gets values and gives
    them (Hoeffding 1948, https://doi.org/10.1214/aoms/1177730196); direction: `raises`, `lowers` or
    `mixed`, or null for a category. Breiman 2001, https://doi.org/10.1023/A:1010933404324

    Raises:
        UsageError: a feature is not a column of `X`, or repeats is below 1.
        DataError: the arrays break their rules.
    """
    names = [str(c) for c in X.columns] if features is None else list(features)
    for name in names:
        if name not in X.columns:
            raise UsageError(f"no feature {name!r}.{did_you_mean(name, map(str, X.columns))}")
    if repeats < 1:
        raise UsageError(f"repeats must be at least 1, got {repeats}.")
    v = vectors(y_obs, np.zeros(len(X)), weights, groups)
    keep = _sample(v.groups, max_rows, seed)
    X = X.iloc[keep].reset_index(drop=True)
    y, w, g = v.y_obs[keep], v.weights[keep], v.groups[keep]
    if not len(X):
        return pd.DataFrame(columns=_COLUMNS)
    loss = _loss(np.tile(y, repeats), np.tile(w, repeats), task)
    said = np.tile(says(model, X, task), repeats)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(X)) for _ in range(repeats)]
    rows: list[tuple[Any, ...]] = []
    ask = _shuffler(model, X, orders, said, task)
    for k, name in enumerate(names):
        if progress is not None:
            progress(f"importance of {name}", k / len(names))
        added, given, direction = _shuffled(ask(name), X[name], orders, said, loss, w)
        # A row is in the sample twice: it gets a value, and gives its own. The mean is the same.
        both = added + given - np.average(given, weights=w)
        found = bootstrap(
            np.zeros(len(X)), both, w, g,
            task="regressor", scores=("bias",), draws=draws, level=level, seed=seed,
        )["bias"]  # fmt: skip
        rows.append((name, *found, direction))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    order = table["mean_drop"].astype(float).to_numpy().argsort(kind="stable")[::-1]
    return table.iloc[order].reset_index(drop=True)


def by_click(
    model: Any,
    X: pd.DataFrame,
    y_obs: Any,
    click: Any,
    groups: Any = None,
    *,
    weights: Any = None,
    minimum: int = 200,
    **options: Any,
) -> pd.DataFrame:
    """Return the importance at each click number with at least `minimum` rows.

    Columns: click, then those of `importance`; options as there.

    Raises:
        UsageError, DataError: as `importance`.
    """
    at = pd.Series(np.asarray(click)).astype("Int64")
    y = np.asarray(y_obs, float)
    g = None if groups is None else pd.Series(groups).to_numpy()
    w = None if weights is None else np.asarray(weights, float)
    tables = []
    for number in sorted(at.dropna().unique()):
        inside = (at == number).fillna(False).to_numpy(bool)
        if inside.sum() < minimum:
            continue
        part = importance(
            model, X[inside], y[inside], None if w is None else w[inside],
            None if g is None else g[inside], **options,
        )  # fmt: skip
        part.insert(0, "click", int(number))
        tables.append(part)
    if not tables:
        return pd.DataFrame(columns=["click", *_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _sample(groups: Codes, max_rows: int, seed: int) -> Codes:
    """Return at most about `max_rows` rows, taking or leaving whole groups."""
    if len(groups) <= max_rows:
        return np.arange(len(groups))
    rng = np.random.default_rng(seed)
    rank = rng.permutation(int(groups.max()) + 1)[groups]
    order = np.argsort(rank, kind="stable")
    last = rank[order[max_rows - 1]]
    return np.flatnonzero(rank <= last)


def _loss(y: Array, w: Array, task: Task) -> Callable[[Array], Array]:
    if task == "classifier":
        return lambda p: log_loss.per_observation(y, p)
    spread = float(np.average((y - np.average(y, weights=w)) ** 2, weights=w)) or 1.0
    return lambda p: np.asarray((p - y) ** 2 / spread)


def _shuffler(
    model: Any, X: pd.DataFrame, orders: list[Codes], said: Array, task: Task
) -> Callable[[str], Array]:
    """Return what says what the model makes of the rows with a feature shuffled, by its name.

    All shuffles are asked at once: on few rows a question costs more than its rows. Where the model
    encodes its rows, they are encoded once.
    """
    from cartcast.models.encoded import EncodedRows, encoders

    order = np.concatenate(orders)
    if (asked := encoders(model)) is not None:
        rows = EncodedRows(asked, X, len(orders))
        return lambda name: says(model, rows, task) if rows.shuffled(name, order) else said
    tiled = X.take(np.tile(np.arange(len(X)), len(orders))).reset_index(drop=True)

    def ask(name: str) -> Array:
        frame = tiled.copy(deep=False)
        frame[name] = tiled[name].array.take(order)
        return says(model, frame, task)

    return ask


def _shuffled(
    p: Array, column: pd.Series, orders: list[Codes], said: Array,
    loss: Callable[[Array], Array], weights: Array,
) -> tuple[Array, Array, str | None]:  # fmt: skip
    """Return the loss added to each row, the loss that its value adds to others, the direction.

    `p` and `said` hold what the model says of the rows once for each shuffle. Losses are averaged
    over the shuffles; the second is per weight of the row that gives.
    """
    rows = len(weights)
    order = np.concatenate(orders)
    gaps = ((loss(p) - loss(said)) / len(orders)).reshape(-1, rows)
    given = np.asarray(np.bincount(order, (weights * gaps).ravel(), rows), dtype=np.float64)
    given = np.divide(given, weights, out=np.zeros(rows), where=weights > 0)
    direction = None
    if pd.api.types.is_numeric_dtype(column):
        values = np.tile(column.to_numpy(float, na_value=np.nan), len(orders))
        direction = _direction(values - values[order], said - p)
    return gaps.sum(axis=0), given, direction


def _direction(moved: Array, shifted: Array) -> str:
    known = np.isfinite(moved) & (moved != 0.0)
    rank = spearman(moved[known], shifted[known]) if known.any() else None
    if rank is None or abs(rank) < _CLEAR:
        return "mixed"
    return "raises" if rank > 0 else "lowers"
