"""The exported form of a run's models over tables: what the estimators say, without scikit-learn.

Starting a process with scikit-learn, LightGBM and skops takes three seconds of processor time; most
scores need none of them. `live.arrays` reads the same files for single rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import NotTrustedError
from cartcast.models.arrays import arrays_from, parts_of
from cartcast.models.encoding import Encoding, coordinates
from cartcast.models.exported import Exported
from cartcast.models.platt import logit
from cartcast.models.prior import to_prevalence

__all__ = ["Ends", "scorers"]

Floats = NDArray[np.float64]

CHUNK = 65_536
"""Rows that are encoded together: the matrix of all rows of a log need not fit in memory."""


class Ends(NamedTuple):
    """Ends of the interval of an amount by bins of expected revenue.

    Attributes:
        edges: inner edges of the bins.
        low, high: log distance below and above the amount, by bin.
    """

    edges: Any
    low: Any
    high: Any

    def around(self, given: Any, expected: Any) -> tuple[Floats, Floats]:
        """Return the ends for amounts given purchase and expected revenues, each (rows,)."""
        said = np.log(given)
        bins = np.searchsorted(self.edges, expected)
        return (
            np.exp(said - np.asarray(self.low)[bins]),
            np.exp(said + np.asarray(self.high)[bins]),
        )


class Classifier:
    """An exported classifier, or blend, with the `predict_proba` of its estimator."""

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self._steps = meta["steps"]
        self._shares: list[float] = []
        if "members" in meta:
            self._members = [Classifier(m, own) for m, own in parts_of(meta, arrays)]
            self._shares = [float(m["share"]) for m in meta["members"]]
            self._offset = float(meta["offset"])
        else:
            self._raw = _Raw(meta, arrays)

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """Return probabilities, shape (rows, 2)."""
        p = _by_chunk(self._said, X)
        return np.column_stack([1 - p, p])

    def _said(self, X: pd.DataFrame) -> Floats:
        if self._shares:
            odds = np.column_stack([logit(m._said(X)) for m in self._members])
            score = odds @ np.asarray(self._shares) + self._offset
        else:
            score = self._raw(X)
        p = 1 / (1 + np.exp(-np.clip(score, -700, 700)))
        for step in self._steps:
            if step["do"] == "prevalence":
                p = to_prevalence(p, step["trained"], step["natural"])
            elif step["do"] == "isotonic":
                p = np.interp(p, step["x"], step["y"])
            else:
                p = 1 / (1 + np.exp(-(step["slope"] * logit(p) + step["offset"])))
        return np.asarray(p, dtype=np.float64)


class Amount:
    """The exported amount given purchase."""

    def __init__(self, constants: Mapping[str, float], arrays: Any) -> None:
        self._constants = constants
        self._raw = None if arrays is None else _Raw(*arrays)

    def predict_given_purchase(self, X: pd.DataFrame) -> Floats:
        """Return the expected amount if there is a purchase, shape (rows,)."""
        if self._raw is None:
            return np.full(len(X), self._constants["mean"])
        return np.exp(_by_chunk(self._raw, X)) * self._constants["smearing"]


class Segments:
    """The exported segments: the nearest centre in the space of sessions."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        names = ("counts", "shares", "categories", "fill", "centre", "spread")
        self._space = SimpleNamespace(
            **{f"{name}_": told[name] for name in names},
            count_weight=told["count_weight"], share_weight=told["share_weight"],
        )  # fmt: skip
        self._centres = np.asarray(told["centres"], dtype=np.float64)

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """Return the segment of each session."""
        Z, square = coordinates(self._space, X), (self._centres**2).sum(axis=1)
        return np.asarray((square - 2 * Z @ self._centres.T).argmin(axis=1), dtype=np.int64)


class _Raw:
    """Trees or a line over encoded rows: log odds, or the logarithm of an amount."""

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self._encoding = Encoding.of(meta)
        if self._encoding.get_feature_names_out().tolist() != meta["columns"]:
            # Trees read the matrix unchecked: it must have the columns that they were checked for.
            raise NotTrustedError("exported arrays are of other columns than encoded; train again.")
        self._base = float(meta["base"])
        self._arrays = arrays

    def __call__(self, X: pd.DataFrame) -> Floats:
        Z, a = self._encoding.matrix(X), self._arrays
        out = np.full(len(Z), self._base)
        if len(a["weights"]):
            out += Z @ a["weights"]
        if len(a["roots"]):
            from cartcast.models.trees import add_trees

            add_trees(Z, a["roots"], a["feature"], a["threshold"], a["null_left"], a["left"],
                      a["right"], a["value"], out)  # fmt: skip
        return out


def scorers(exported: Exported, files: Mapping[str, bytes], where: str) -> dict[str, Any]:
    """Return the models of a run that have an exported form, by name.

    Raises:
        NotTrustedError: a file is damaged.
    """
    found: dict[str, Any] = {}
    if "champion.arrays/arrays.json" in files:
        found["champion"] = Classifier(*arrays_from(files, "champion.arrays", where))
    if exported.amount is not None:
        found["amount"] = Amount(exported.amount, exported.arrays)
        if exported.interval is not None:
            found["interval"] = Ends(**exported.interval)
    if exported.segments is not None:
        found["segments"] = Segments(exported.segments)
    return found


def _by_chunk(ask: Callable[[pd.DataFrame], Floats], X: pd.DataFrame) -> Floats:
    parts = [ask(X.iloc[at : at + CHUNK]) for at in range(0, len(X), CHUNK)]
    return np.concatenate(parts) if parts else np.empty(0)
