"""Exported models read for single rows: no data frame, no scikit-learn, no booster library.

The files are those of `cartcast.models.export`; the results are the Python model's to 1e-9.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cartcast.errors import NotFoundError, NotTrustedError
from cartcast.features.kernels.words import NOTHING, bits, hash_text

__all__ = ["Row", "RowModel", "SegmentModel", "read_arrays"]

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SCHEMA = 1
_TREES = ("roots", "feature", "threshold", "null_left", "left", "right", "value")


class Row(NamedTuple):
    """Features in order, as words and the same memory as floats; texts are hashes."""

    words: Words
    real: Floats


def read_arrays(folder: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return `arrays.json` and `arrays.npz` of an exported model.

    Raises:
        NotFoundError: they are not there.
        NotTrustedError: they are damaged or of another schema.
    """
    meta_path, npz_path = folder / "arrays.json", folder / "arrays.npz"
    if not (meta_path.is_file() and npz_path.is_file()):
        raise NotFoundError(f"{folder}: no exported arrays here; train again.")
    try:
        meta = json.loads(meta_path.read_text(encoding="utf-8"))
        with np.load(npz_path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, KeyError) as error:
        raise NotTrustedError(f"{folder}: exported arrays are damaged: {error}.") from error
    if meta.get("schema") != SCHEMA:
        raise NotTrustedError(f"{folder}: arrays of schema {meta.get('schema')}, not {SCHEMA}.")
    return meta, arrays


class RowModel:
    """A model as arrays, bound to the order of a feature set.

    Args:
        meta: encoder, steps and base, as exported.
        arrays: nodes of the trees, or weights of a line.
        names: names of the features in the order of a `Row`.
        text: which of them are text.
    """

    def __init__(
        self,
        meta: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        names: Sequence[str],
        text: Sequence[bool],
    ) -> None:
        from cartcast.live import kernels

        place = {name: i for i, name in enumerate(names)}
        wanted = [d["name"] for d in (*meta["numbers"], *meta["categories"])]
        if missing := [name for name in wanted if name not in place]:
            raise NotTrustedError(
                f"the model reads the feature {missing[0]!r}, which its feature set does not have; "
                "train again."
            )
        self._steps = tuple(_step(step) for step in meta["steps"])
        self._encoder = (*_numbers(meta, place), *_categories(meta, place, text))
        width = len(meta["columns"])
        self._x = np.zeros(width)
        self._base = float(meta["base"])
        if len(arrays["weights"]):
            self._predict = kernels.predict_line
            self._model: tuple[Any, ...] = (np.ascontiguousarray(arrays["weights"]),)
        else:
            self._predict = kernels.predict_trees
            self._model = tuple(np.ascontiguousarray(arrays[name]) for name in _TREES)

    def raw(self, row: Row) -> float:
        """Return the raw score: log odds, or the logarithm of an amount."""
        return float(self._predict(*row, *self._encoder, self._x, *self._model, self._base))

    def probability(self, row: Row) -> float:
        """Return the calibrated probability."""
        score = self.raw(row)
        p = 1.0 / (1.0 + math.exp(-score)) if score > -700.0 else 0.0
        for step in self._steps:
            p = step(p)
        return p


def _numbers(meta: Mapping[str, Any], place: Mapping[str, int]) -> tuple[Any, ...]:
    numbers = meta["numbers"]
    return (
        np.array([place[d["name"]] for d in numbers], np.int64),
        np.array([d["centre"] for d in numbers], np.float64),
        np.array([d["spread"] for d in numbers], np.float64),
        np.array([d["fill"] for d in numbers], np.float64),
        np.array([d["marks_null"] for d in numbers], np.uint8),
        bool(meta["scale"]),
        bool(meta["keep_nulls"]),
    )


def _categories(
    meta: Mapping[str, Any], place: Mapping[str, int], text: Sequence[bool]
) -> tuple[Any, ...]:
    at = len(meta["numbers"]) + sum(bool(d["marks_null"]) for d in meta["numbers"])
    features, first, other, null, nothing = [], [0], [], [], []
    levels: list[tuple[int, int]] = []
    for d in meta["categories"]:
        feature = place[d["name"]]
        features.append(feature)
        for offset, level in enumerate(d["levels"]):
            levels.append((_level_word(level, text[feature]), at + offset))
        at += len(d["levels"])
        other.append(at if d["other"] else -1)
        at += bool(d["other"])
        null.append(at if d["null"] else -1)
        at += bool(d["null"])
        nothing.append(NOTHING if text[feature] else 0)
        first.append(len(levels))
    table = np.array(levels, np.int64).reshape(len(levels), 2)
    whole = [np.array(v, np.int64) for v in (features, first, other, null, nothing)]
    return (*whole, table)


def _level_word(level: str, text: bool) -> int:
    if text:
        return hash_text(level)
    try:
        return bits(float(level))
    except ValueError:
        return NOTHING


class _Prevalence(NamedTuple):
    """Bring a probability from the trained to the natural prevalence."""

    trained: float
    natural: float

    def __call__(self, p: float) -> float:
        up = p * self.natural / self.trained
        down = (1.0 - p) * (1.0 - self.natural) / (1.0 - self.trained)
        return up / (up + down)


class _Isotonic(NamedTuple):
    """Interpolate between the points of an isotonic calibration."""

    x: list[float]
    y: list[float]

    def __call__(self, p: float) -> float:
        x, y = self.x, self.y
        if p <= x[0]:
            return y[0]
        if p >= x[-1]:
            return y[-1]
        j = bisect_right(x, p) - 1
        return (y[j + 1] - y[j]) / (x[j + 1] - x[j]) * (p - x[j]) + y[j]


class _Sigmoid(NamedTuple):
    """A straight line over the log odds."""

    slope: float
    offset: float

    def __call__(self, p: float) -> float:
        q = min(max(p, 1e-6), 1 - 1e-6)
        score = self.slope * math.log(q / (1.0 - q)) + self.offset
        return 1.0 / (1.0 + math.exp(-score)) if score > -700.0 else 0.0


def _step(step: Mapping[str, Any]) -> Any:
    if step["do"] == "prevalence":
        return _Prevalence(step["trained"], step["natural"])
    if step["do"] == "isotonic":
        return _Isotonic(step["x"], step["y"])
    return _Sigmoid(step["slope"], step["offset"])


class SegmentModel:
    """K-Means segments as arrays, bound to the order of the segments' own feature set."""

    def __init__(self, meta: Mapping[str, Any], names: Sequence[str]) -> None:
        from cartcast.live import kernels

        place = {name: i for i, name in enumerate(names)}
        numbers = [*meta["counts"], *meta["shares"]]
        scaled = [name in meta["centre"] for name in numbers]
        pairs = [(place[n], hash_text(v)) for n, vs in meta["categories"].items() for v in vs]
        self._nearest = kernels.nearest
        self._space = (
            np.array([place[n] for n in numbers], np.int64),
            np.array([meta["centre"].get(n, 0.0) for n in numbers], np.float64),
            np.array([meta["spread"].get(n, 0.0) for n in numbers], np.float64),
            np.array([meta["fill"][n] for n in numbers], np.float64),
            np.array(
                [meta["count_weight"] if s else meta["share_weight"] for s in scaled], np.float64
            ),
            np.array([p for p, _ in pairs], np.int64),
            np.array([v for _, v in pairs], np.int64),
            float(meta["share_weight"]),
        )
        self._centres = np.array(meta["centres"], np.float64)
        self._z = np.zeros(len(numbers) + len(pairs))
        self._names = {int(k): v for k, v in meta["names"].items()}

    def name(self, row: Row) -> str | None:
        """Return the name of the nearest segment."""
        return self._names.get(int(self._nearest(*row, *self._space, self._centres, self._z)))
