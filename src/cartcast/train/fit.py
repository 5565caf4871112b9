"""Fitting: one model at a time, on train; calibrated on validation; never shown the test part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import has_fit_parameter

from cartcast.models.calibrate import calibrate
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.declaration import Declaration
from cartcast.models.regressors import REGRESSORS
from cartcast.models.sequence import SEQUENCES
from cartcast.train.options import Options
from cartcast.train.parts import Part
from cartcast.train.stages import Stages

__all__ = [
    "BASELINES",
    "DECLARATIONS",
    "Fitted",
    "fit_classifier",
    "fit_part",
    "fit_regressor",
    "in_time",
]

Floats = NDArray[np.float64]
DECLARATIONS: Mapping[str, Mapping[str, Declaration]] = {
    "classifier": {**CLASSIFIERS, **SEQUENCES},
    "regressor": REGRESSORS,
}
"""Every model that can be trained, by kind and name."""
BASELINES = {
    "classifier": tuple(d.name for d in CLASSIFIERS.values() if d.family == "baseline"),
    "regressor": tuple(d.name for d in REGRESSORS.values() if d.family == "baseline"),
}
SCORED = ("validation", "test")


@dataclass(frozen=True)
class Fitted:
    """A fitted model with its predictions.

    Attributes:
        declaration: what it is.
        model: the fitted estimator, calibrated if it is a classifier.
        predictions: for validation and test: P(label) or the expected amount, shape (rows,).
        facts: parameters, seconds, calibration method, notes.
    """

    declaration: Declaration
    model: Any
    predictions: dict[str, Floats]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.declaration.name


def in_time(method: str) -> bool:
    """Return whether a split of this method keeps later rows apart from earlier ones."""
    return method in ("time+visitor", "order+visitor")


def fit_part(model: Any, part: Part, ordered: bool) -> Any:
    """Fit on the rows of a part, telling visitors and order to a model that holds rows out."""
    known: dict[str, Any] = {}
    if has_fit_parameter(model, "groups"):
        known["groups"] = part.groups
    if ordered and has_fit_parameter(model, "order"):
        known["order"] = part.table["position"].to_numpy()
    return model.fit(part.X, part.label, sample_weight=part.weight, **known)


def fit_classifier(
    name: str,
    parts: Mapping[str, Part],
    categorical: tuple[str, ...],
    options: Options,
    stages: Stages,
    params: Mapping[str, Any] | None = None,
    ordered: bool = False,
) -> Fitted:
    """Fit a classifier on train, calibrate it on validation, predict validation and test.

    `ordered` says that the parts follow each other in time.
    """
    declaration = DECLARATIONS["classifier"][name]
    parts = {part: rows.seen_by(declaration) for part, rows in parts.items()}

    def make() -> tuple[Any, dict[str, Any]]:
        begin = time.perf_counter()
        train, validation = parts["train"], parts["validation"]
        model = _estimator(declaration, train, categorical, options, params)
        fit_part(model, train, ordered)
        if declaration.family == "baseline":
            method = "none"
        else:
            model = calibrate(
                model,
                validation.X,
                validation.label,
                validation.weight,
                options.calibration,
                validation.groups,
            )
            method = model.method_
        facts = {
            "kind": "classifier",
            "reads": declaration.reads,
            "params": dict(params or {}),
            "calibration": method,
            "seconds": time.perf_counter() - begin,
            "notes": " ".join(n for n in (declaration.notes, _note(model)) if n),
        }
        return model, facts

    model, facts = stages.model(f"classifier-{name}", make)
    predictions = {p: _positive(model, parts[p]) for p in SCORED}
    return Fitted(declaration, model, predictions, facts)


def fit_regressor(
    name: str,
    parts: Mapping[str, Part],
    categorical: tuple[str, ...],
    options: Options,
    stages: Stages,
    params: Mapping[str, Any] | None = None,
    ordered: bool = False,
) -> Fitted:
    """Fit a regressor of money on train, predict validation and test."""
    declaration = REGRESSORS[name]

    def make() -> tuple[Any, dict[str, Any]]:
        begin = time.perf_counter()
        train = parts["train"]
        jobs, seed = options.threads, options.seed
        model = declaration.make(seed, len(train), categorical, jobs, **(params or {}))
        fit_part(model, train, ordered)
        facts = {
            "kind": "regressor",
            "reads": declaration.reads,
            "params": dict(params or {}),
            "calibration": "none",
            "seconds": time.perf_counter() - begin,
            "notes": declaration.notes,
        }
        return model, facts

    model, facts = stages.model(f"regressor-{name}", make)
    predictions = {p: np.asarray(model.predict(parts[p].X), dtype=np.float64) for p in SCORED}
    return Fitted(declaration, model, predictions, facts)


def _estimator(
    declaration: Declaration,
    train: Part,
    categorical: tuple[str, ...],
    options: Options,
    params: Mapping[str, Any] | None,
) -> Any:
    model = declaration.make(
        options.seed, len(train), categorical, options.threads, **(params or {})
    )
    if options.resample is None or declaration.family == "baseline":
        return model
    from cartcast.models.resample import resampled

    method = options.resample
    if declaration.family != "ensemble":
        return resampled(model, method, categorical=categorical, seed=options.seed)
    # Each member is balanced by itself, so that the weights are learnt at natural prevalence.
    members = [
        (n, resampled(m, method, categorical=categorical, seed=options.seed))
        for n, m in model.estimators
    ]
    return model.set_params(estimators=members)


def _note(model: Any) -> str:
    """Return what the fitted model says of itself, under calibration and resampling."""
    inner = model
    while (below := getattr(inner, "estimator_", getattr(inner, "estimator", None))) is not None:
        inner = below
    return str(getattr(inner, "note_", ""))


def _positive(model: Any, part: Part) -> Floats:
    return np.asarray(model.predict_proba(part.X)[:, 1], dtype=np.float64)
