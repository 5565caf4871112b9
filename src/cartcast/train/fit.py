"""Fitting: `fit_one` is the only way in which a model of a run comes to be.

Training, the folds of a cross-validation, the members of a blend, the backtest and the refit differ
in their rows and in nothing else. Some rows are held out in turn, later ones where there is a
time; what models of the others say of them calibrates the model, weighs the members of a blend and
chooses the champion. The model itself is fitted to all rows: none is lost to validation. For the
refit the judged model and its folds have said this already, of the test rows too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.models.calibrate import Calibrated
from cartcast.models.classifiers import CLASSIFIERS, MEMBERS
from cartcast.models.declaration import Declaration
from cartcast.models.fitting import Recipe
from cartcast.models.folds import Fold, forward_folds, inner_folds
from cartcast.models.platt import logit
from cartcast.models.regressors import REGRESSORS
from cartcast.models.selection import log_losses, squared_errors
from cartcast.models.sequence import SEQUENCES
from cartcast.models.stack import Stack, blend_weights
from cartcast.train.task import Part, Task

__all__ = ["BASELINES", "DECLARATIONS", "Fitted", "Plan", "declared", "fit_one", "losses",
           "plan_of", "says"]  # fmt: skip

Floats = NDArray[np.float64]
DECLARATIONS: Mapping[str, Mapping[str, Declaration]] = {
    "classifier": {**CLASSIFIERS, **SEQUENCES},
    "regressor": REGRESSORS,
}
"""Every model that can be trained by its name, by kind."""
BASELINES = {
    kind: tuple(d.name for d in known.values() if d.family == "baseline")
    for kind, known in DECLARATIONS.items()
}

BLOCKS = 3
"""Forward blocks that are judged, each by a model of the rows before it."""
FOLDS = 5
"""Folds where there is no time; with many rows `BLOCKS` of them are enough."""
MANY_ROWS = 50_000


@dataclass(frozen=True)
class Plan:
    """What every fit of a run has in common.

    Attributes:
        kind: `classifier` or `regressor`.
        recipe: how an estimator is made.
        calibration: `auto`, `isotonic`, `sigmoid` or `none`.
        ordered: whether later rows are held out, not random ones.
        judged: share of the rows, the latest, that is judged where there is a time.
        blocks: forward blocks, or None for the usual number.
        params: parameters found by tuning, by model and path.
        own: models of the user's own, by name.
    """

    kind: str
    recipe: Recipe
    calibration: str = "auto"
    ordered: bool = False
    judged: float = 0.5
    blocks: int | None = None
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own: Mapping[str, Declaration] = field(default_factory=dict)

    def declaration(self, name: str) -> Declaration:
        """Return the declaration of a model."""
        return declared(self.kind, self.own)[name]

    def params_of(self, name: str) -> dict[str, Any]:
        """Return the parameters of a model by path; an ensemble has those of its members."""
        if not (members := self.members(name)):
            return dict(self.params.get(name, {}))
        return {f"{m}__{path}": value for m in members for path, value in self.params_of(m).items()}

    def members(self, name: str) -> tuple[str, ...]:
        """Return the members of an ensemble; none for any other model."""
        return MEMBERS.get(name, ()) if self.kind == "classifier" else ()

    def folds(self, rows: Part, declaration: Declaration) -> list[Fold]:
        """Return which rows are fitted and which are judged, by place among `rows`.

        A visitor who is judged is not fitted, and nor is a row whose label was not known yet.
        Random visitors are held out where there is no time, or outcomes on one side of it only.
        A network over events is judged on the last block only: it is slow.
        """
        if self.ordered and (found := self._forward(rows, declaration)):
            return found
        count = self.blocks or (FOLDS if len(rows) < MANY_ROWS else BLOCKS)
        if self.kind == "classifier":
            rarest = int(np.bincount(rows.label.astype(int), minlength=2).min())
            count = min(count, rarest)
        groups = rows.groups if rows.keys["visitor_id"].notna().any() else None
        seed = self.recipe.seed
        return inner_folds(rows.label, max(2, count), groups=groups, seed=seed)

    def _forward(self, rows: Part, declaration: Declaration) -> list[Fold]:
        blocks = 1 if declaration.reads == "events" else self.blocks or BLOCKS
        found = forward_folds(rows.position, blocks, rows.groups, first=1 - self.judged)
        if rows.keys["known_time"].notna().all():
            known = rows.keys["known_time"].to_numpy()
            start = rows.keys["session_start"].to_numpy()
            found = [(fit[known[fit] <= start[held].min()], held) for fit, held in found]
        if self.kind == "regressor":
            return [f for f in found if len(f[0]) > 1]
        return [f for f in found if all(len(np.unique(rows.label[part])) > 1 for part in f)]


@dataclass(frozen=True)
class Fitted:
    """A fitted model, and what models of other rows said of its own.

    Attributes:
        declaration: what it is.
        model: the fitted estimator, calibrated if it is a classifier.
        raw: prediction for each row by a model that had not seen it, before calibration; NaN for
            rows that no fold judged.
        held: the same, calibrated on other visitors.
        facts: parameters, seconds, calibration method, notes.
    """

    declaration: Declaration
    model: Any
    raw: Floats
    held: Floats
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.declaration.name


def declared(kind: str, own: Mapping[str, Declaration]) -> Mapping[str, Declaration]:
    """Return every model of a kind that can be trained, by name, the user's own among them."""
    return {**DECLARATIONS[kind], **own}


def plan_of(task: Task, options: Any, params: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Return the plan of a run from its task and options."""
    first, middle, _ = options.split
    recipe = Recipe(task.rows.categorical, options.resample, options.seed, options.threads)
    return Plan(
        task.kind,
        recipe,
        options.calibration,
        task.ordered,
        middle / (first + middle),
        params=params,
        own=options.own,
    )


def fit_one(
    name: str,
    rows: Part,
    plan: Plan,
    others: Mapping[str, Fitted] | None = None,
    unseen: Mapping[str, Floats] | None = None,
) -> Fitted:
    """Fit a model to all `rows`, calibrated and judged by folds inside them.

    `others` are models fitted to the same rows by the same plan: an ensemble takes its members
    from them. `unseen` is, by model, what earlier ones said of rows that they had not seen (NaN
    elsewhere): where it is known, no folds are fitted again.

    Raises:
        DataError: one class, too few rows, no usable feature.
    """
    begin = time.perf_counter()
    declaration = plan.declaration(name)
    if members := plan.members(name):
        fitted = [(others or {}).get(n) or fit_one(n, rows, plan, unseen=unseen) for n in members]
        model, raw = _ensemble(fitted, rows)
    elif unseen is not None and name in unseen:
        model, raw = _fitted(declaration, rows, plan), unseen[name]
    else:
        model, raw = _single(declaration, rows, plan)
    held, method = raw, "none"
    if plan.kind == "classifier" and declaration.family != "baseline":
        judged = np.isfinite(raw)
        curve = _curve(raw, rows, judged, plan.calibration)
        held, method = _calibrated_apart(raw, rows, judged, plan.calibration), curve.method_
        curve.estimator = model
        model = curve
    notes = (declaration.notes, _note(model))
    facts = {
        "kind": plan.kind,
        "reads": declaration.reads,
        "params": plan.params_of(name),
        "calibration": method,
        "rows": len(rows),
        "seconds": time.perf_counter() - begin,
        "notes": " ".join(n for n in notes if n),
    }
    return Fitted(declaration, model, raw, held, facts)


def says(model: Any, declaration: Declaration, rows: Part) -> Floats:
    """Return P(label) or the expected amount for each row."""
    X = rows.read(declaration)
    classify = declaration.kind == "classifier"
    said = model.predict_proba(X)[:, 1] if classify else model.predict(X)
    return np.asarray(said, dtype=np.float64)


def losses(kind: str) -> Callable[[Any, Any], Floats]:
    """Return the loss of a row by which models are compared."""
    return log_losses if kind == "classifier" else squared_errors


def _single(declaration: Declaration, rows: Part, plan: Plan) -> tuple[Any, Floats]:
    raw = np.full(len(rows), np.nan)
    for fit, held in plan.folds(rows, declaration):
        raw[held] = says(_fitted(declaration, rows.take(fit), plan), declaration, rows.take(held))
    return _fitted(declaration, rows, plan), raw


def _fitted(declaration: Declaration, rows: Part, plan: Plan) -> Any:
    return plan.recipe.fit(
        declaration,
        rows.read(declaration),
        rows.label,
        params=plan.params_of(declaration.name),
        sample_weight=rows.weight,
        groups=rows.groups,
        order=rows.position if plan.ordered else None,
        amount=rows.amount,
    )


def _ensemble(members: Sequence[Fitted], rows: Part) -> tuple[Stack, Floats]:
    """Blend members by weights for the rows that they had not seen."""
    odds = np.column_stack([logit(m.raw) for m in members])
    judged = np.isfinite(odds).all(axis=1)
    label, weight = rows.label, rows.weight

    def learn(at: Any) -> Callable[[Floats], Floats]:
        shares, offset = blend_weights(odds[at], label[at], weight[at] / weight[at].mean())
        return lambda x: np.asarray(1 / (1 + np.exp(-(x @ shares + offset))))

    raw = _apart(odds, rows, judged, learn)
    shares, offset = blend_weights(odds[judged], label[judged], weight[judged])
    parts = tuple((m.name, m.model.estimator) for m in members)
    return Stack.of(parts, shares, offset), raw


def _curve(raw: Floats, rows: Part, at: Any, method: str) -> Calibrated:
    return Calibrated(None, method).fit_curve(
        raw[at], rows.label[at], rows.weight[at], rows.groups[at]
    )


def _calibrated_apart(raw: Floats, rows: Part, judged: Any, method: str) -> Floats:
    return _apart(raw, rows, judged, lambda at: _curve(raw, rows, at, method).curve)


def _apart(
    given: Floats, rows: Part, judged: Any, learn: Callable[[Any], Callable[[Floats], Floats]]
) -> Floats:
    """Apply to each half of the visitors what was learnt on the other: no row judges itself.

    Rows that no fold judged stay NaN. A half of one class teaches nothing: then all rows do.
    """
    half = pd.util.hash_array(rows.groups, categorize=True) % 2 == 0
    out = np.full(len(rows), np.nan)
    for side in (half, ~half):
        at, other = judged & side, judged & ~side
        if at.any():
            two = len(np.unique(rows.label[other])) == 2
            out[at] = learn(other if two else judged)(given[at])
    return out


def _note(model: Any) -> str:
    """Return what the fitted model says of itself, under calibration and resampling."""
    inner = model
    while (below := getattr(inner, "estimator_", getattr(inner, "estimator", None))) is not None:
        inner = below
    return str(getattr(inner, "note_", ""))
