"""Plain arrays of a fitted classifier, for scoring one row in microseconds without scikit-learn.

export(pipeline, folder) -> arrays.json and arrays.npz, read by `models.arrays`, scored by `live`
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.atomic import atomic_folder
from cartcast.errors import UsageError
from cartcast.models.arrays import SCHEMA
from cartcast.models.calibrate import Calibrated
from cartcast.models.encode import Encoder
from cartcast.models.resample import Resampled
from cartcast.models.stack import Stack
from cartcast.models.table import TableClassifier

__all__ = ["EXPORTABLE", "can_export", "export"]

EXPORTABLE = ("LGBMClassifier", "HistGradientBoostingClassifier", "LogisticRegression")
"""Model classes that can be written as plain arrays, alone or in a blend."""


def can_export(pipeline: Any) -> bool:
    """Return whether `export` knows the fitted `pipeline`."""
    core = _layers(pipeline)[0]
    if isinstance(core, Stack):
        return all(can_export(m) and not isinstance(m, Stack) for m in core.models_)
    return isinstance(core, TableClassifier) and type(core.model_).__name__ in EXPORTABLE


def _layers(pipeline: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Return the innermost estimator and the steps from its probability to the outermost one."""
    steps: list[dict[str, Any]] = []
    while isinstance(pipeline, Calibrated | Resampled):
        if isinstance(pipeline, Resampled):
            step = {"do": "prevalence", "trained": pipeline.trained_, "natural": pipeline.natural_}
            pipeline = pipeline.estimator_
        else:
            step = {"do": pipeline.method_}
            if pipeline.method_ == "isotonic":
                step |= {"x": pipeline.x_.tolist(), "y": pipeline.y_.tolist()}
            elif pipeline.method_ == "sigmoid":
                step |= {"slope": pipeline.slope_, "offset": pipeline.offset_}
            pipeline = pipeline.estimator
        if step["do"] != "none":
            steps.insert(0, step)
    return pipeline, steps


def export(pipeline: Any, folder: Path | str) -> Path:
    """Write the fitted classifier as plain arrays into `folder`, a new one, and return it.

    Raises:
        UsageError: this kind of model cannot be written as arrays.
    """
    meta, arrays = _blend(pipeline)
    folder = Path(folder)
    stream = BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    with atomic_folder(folder) as temporary:
        (temporary / "arrays.npz").write_bytes(stream.getvalue())
        (temporary / "arrays.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
    return folder


def _blend(pipeline: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return meta and arrays of a blend, the arrays of its members numbered; or of one model."""
    core, steps = _layers(pipeline)
    if not isinstance(core, Stack):
        return _one(pipeline)
    members, arrays = [], {}
    for i, ((name, _), model) in enumerate(zip(core.estimators, core.models_, strict=True)):
        meta, own = _one(model)
        members.append({"name": name, "share": float(core.shares_[i]), "meta": meta})
        arrays.update({f"{i}.{key}": value for key, value in own.items()})
    whole = {"schema": SCHEMA, "model": "Stack", "members": members, "steps": steps}
    return {**whole, "offset": core.offset_}, arrays


def _one(pipeline: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    core, steps = _layers(pipeline)
    kind = type(getattr(core, "model_", core)).__name__
    readers = {
        "LGBMClassifier": _read_lightgbm,
        "HistGradientBoostingClassifier": _read_histogram,
        "LogisticRegression": _read_line,
    }
    if not isinstance(core, TableClassifier) or kind not in readers:
        known = ", ".join(EXPORTABLE)
        raise UsageError(f"{kind} cannot be exported as arrays; exportable: {known}.")
    arrays, base = readers[kind](core.model_)
    meta = {"schema": SCHEMA, "model": kind, "base": base, "steps": steps}
    return {**meta, **_encoder(core.encoder_)}, arrays


def _encoder(encoder: Encoder) -> dict[str, Any]:
    numbers = [
        {
            "name": n,
            "fill": 0.0 if encoder.scale else encoder.fill_[n],
            "centre": encoder.centre_[n],
            "spread": encoder.spread_[n],
            "marks_null": bool(encoder.has_null_[n] and not encoder.keep_nulls),
        }
        for n in encoder.numbers_
    ]
    categories = [
        {
            "name": n,
            "levels": levels,
            "other": bool(encoder.has_other_[n]),
            "null": bool(encoder.has_null_[n]),
        }
        for n, levels in encoder.levels_.items()
    ]
    return {
        "scale": bool(encoder.scale),
        "keep_nulls": bool(encoder.keep_nulls),
        "numbers": numbers,
        "categories": categories,
        "columns": [str(c) for c in encoder.get_feature_names_out()],
    }


class _Nodes:
    """Growing lists of tree nodes; feature -1 marks a leaf."""

    def __init__(self) -> None:
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.null_left: list[int] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.value: list[float] = []
        self.roots: list[int] = []

    def add(self, feature: int, threshold: float, null_left: int, value: float) -> int:
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.null_left.append(null_left)
        self.left.append(-1)
        self.right.append(-1)
        self.value.append(value)
        return len(self.feature) - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "roots": np.asarray(self.roots, dtype=np.int32),
            "feature": np.asarray(self.feature, dtype=np.int32),
            "threshold": np.asarray(self.threshold, dtype=np.float64),
            "null_left": np.asarray(self.null_left, dtype=np.uint8),
            "left": np.asarray(self.left, dtype=np.int32),
            "right": np.asarray(self.right, dtype=np.int32),
            "value": np.asarray(self.value, dtype=np.float64),
            "weights": np.empty(0),
        }


def _read_lightgbm(model: Any) -> tuple[dict[str, NDArray[Any]], float]:
    nodes = _Nodes()

    def walk(tree: Mapping[str, Any]) -> int:
        if "split_feature" not in tree:
            return nodes.add(-1, 0.0, 0, float(tree["leaf_value"]))
        if tree["decision_type"] != "<=":
            raise UsageError("LightGBM's own categorical splits cannot be exported.")
        # LightGBM: without nulls in training a NaN is read as 0.0, which is coded as 2.
        null = {"None": 2, "NaN": int(tree["default_left"])}.get(tree["missing_type"])
        if null is None:
            raise UsageError("LightGBM with zero_as_missing cannot be exported.")
        at = nodes.add(int(tree["split_feature"]), float(tree["threshold"]), null, 0.0)
        nodes.left[at] = walk(tree["left_child"])
        nodes.right[at] = walk(tree["right_child"])
        return at

    for tree in model.booster_.dump_model()["tree_info"]:
        nodes.roots.append(walk(tree["tree_structure"]))
    return nodes.arrays(), 0.0


def _read_histogram(model: Any) -> tuple[dict[str, NDArray[Any]], float]:
    nodes = _Nodes()
    for (predictor,) in model._predictors:
        first = len(nodes.feature)
        nodes.roots.append(first)
        for n in predictor.nodes:
            leaf = bool(n["is_leaf"])
            feature = -1 if leaf else int(n["feature_idx"])
            null = int(n["missing_go_to_left"])
            at = nodes.add(feature, float(n["num_threshold"]), null, float(n["value"]))
            if not leaf:
                nodes.left[at] = first + int(n["left"])
                nodes.right[at] = first + int(n["right"])
    return nodes.arrays(), float(np.ravel(model._baseline_prediction)[0])


def _read_line(model: Any) -> tuple[dict[str, NDArray[Any]], float]:
    arrays = _Nodes().arrays()
    arrays["weights"] = np.asarray(model.coef_[0], dtype=np.float64)
    return arrays, float(model.intercept_[0])
