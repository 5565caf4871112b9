"""Exported models read for single rows: no data frame, no scikit-learn, no booster library.

The files are those of `cartcast.models.export`; the results are the Python model's to 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cartcast.errors import NotTrustedError
from cartcast.features.kernels.words import bits, hash_text
from cartcast.live.fold import Row
from cartcast.live.packed import pack_model, pack_steps
from cartcast.models.arrays import parts_of

__all__ = ["BlendModel", "RowModel", "SegmentModel", "bind"]

_FIRST: Final = np.zeros(1, np.int64)


class RowModel:
    """A model as arrays, bound to the order of a feature set.

    Args:
        meta: encoder, steps and base, as exported.
        arrays: nodes of the trees, or weights of a line.
        names: names of the features in the order of a `Row`.
        text: which of them are text.

    Attributes:
        words: all of the model, as kernels read it.
        columns: of its table, and one.
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
        self.trees = len(arrays["roots"])
        self._predict = kernels.predict
        self.words = pack_model(meta, arrays, place, text)
        # One column more than the model has, always 0: what a leaf reads.
        self.columns = len(meta["columns"]) + 1
        self._x, self._out = np.zeros((1, self.columns)), np.zeros(1)

    def raw(self, row: Row) -> float:
        """Return the raw score: log odds, or the logarithm of an amount."""
        return self._say(row, False)

    def probability(self, row: Row) -> float:
        """Return the calibrated probability."""
        return self._say(row, True)

    def _say(self, row: Row, calibrated: bool) -> float:
        words, places = row
        self._predict(words, _FIRST, 1, places, self.words, self._x, self._out, calibrated)
        found: float = self._out.item()
        return found


class BlendModel:
    """Weighted log-odds of several models, then their own calibration.

    Args:
        meta: shares, offset and steps of the blend, as exported.
        members: the models, in the order of the shares.
    """

    def __init__(self, meta: Mapping[str, Any], members: Sequence[RowModel]) -> None:
        from cartcast.live import kernels

        self.trees = sum(m.trees for m in members)
        shares = [float(m["share"]) for m in meta["members"]]
        self._members = tuple((s, m) for s, m in zip(shares, members, strict=True) if s)
        self._offset = float(meta["offset"])
        self._finish = kernels.finish
        self._steps = pack_steps(meta["steps"])

    def raw(self, row: Row) -> float:
        """Return the log odds before calibration."""
        total = self._offset
        for share, model in self._members:
            p = min(max(model.probability(row), 1e-6), 1.0 - 1e-6)
            total += share * math.log(p / (1.0 - p))
        return total

    def probability(self, row: Row) -> float:
        """Return the calibrated probability."""
        found: float = self._finish(self.raw(row), self._steps)
        return found


def bind(
    meta: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    names: Sequence[str],
    text: Sequence[bool],
) -> RowModel | BlendModel:
    """Return an exported classifier, one model or a blend, bound to the order of a feature set.

    Raises:
        NotTrustedError: it reads a feature that the feature set does not have.
    """
    if "members" not in meta:
        return RowModel(meta, arrays, names, text)
    parts = parts_of(meta, arrays)
    return BlendModel(meta, [RowModel(m, own, names, text) for m, own in parts])


class SegmentModel:
    """K-Means segments as arrays, bound to the order of the segments' own feature set.

    Attributes:
        arguments: of the kernel, between the places of the features and where it writes.
        names: of the segments, by the number that it writes.
    """

    def __init__(self, meta: Mapping[str, Any], names: Sequence[str]) -> None:
        from cartcast.live import kernels

        place = {name: i for i, name in enumerate(names)}
        numbers = [*meta["counts"], *meta["shares"]]
        scaled = [name in meta["centre"] for name in numbers]
        pairs = [(place[n], hash_text(v)) for n, vs in meta["categories"].items() for v in vs]
        self._nearest = kernels.nearest
        weights = (meta["share_weight"], meta["count_weight"])
        out = [len(numbers), len(pairs), bits(float(meta["share_weight"]))]
        for name, is_scaled in zip(numbers, scaled, strict=True):
            told = meta["centre"].get(name, 0.0), meta["spread"].get(name, 0.0), meta["fill"][name]
            out += [place[name], *(bits(float(v)) for v in (*told, weights[is_scaled]))]
        for pair in pairs:
            out += pair
        self.arguments = (
            np.array(out, np.int64), np.array(meta["centres"], np.float64),
            np.zeros(len(numbers) + len(pairs)),
        )  # fmt: skip
        self._out = np.zeros(1, np.int64)
        self.names = {int(k): v for k, v in meta["names"].items()}

    def name(self, row: Row) -> str | None:
        """Return the name of the nearest segment."""
        words, places = row
        self._nearest(words, _FIRST, 1, places, *self.arguments, self._out)
        return self.names.get(self._out.item())
