"""A classifier as plain arrays: one row in microseconds, no scikit-learn, no pandas."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import DataError, NotFoundError, NotTrustedError
from cartcast.models.prior import to_prevalence

__all__ = [
    "SCHEMA",
    "BlendArrays",
    "TreeArrays",
    "arrays_from",
    "model_of",
    "parts_of",
    "read_arrays",
    "read_files",
]

Floats = NDArray[np.float64]

SCHEMA = 1
"""Version of the arrays on disk."""


@dataclass(frozen=True)
class TreeArrays:
    """A classifier as plain arrays; `predict` gives the probability of 1 for one row.

    Attributes:
        meta: what `arrays.json` holds: encoder, steps after the score, names.
        arrays: nodes of all trees by name, or `weights` of a straight line.
    """

    meta: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def __post_init__(self) -> None:
        meta = self.meta
        numbers = [
            (d["name"], d["centre"], d["spread"], d["fill"], d["marks_null"])
            for d in meta["numbers"]
        ]
        at = len(numbers) + sum(d["marks_null"] for d in meta["numbers"])
        levels: list[tuple[str, dict[str | None, int], int]] = []
        for d in meta["categories"]:
            positions: dict[str | None, int] = {v: at + i for i, v in enumerate(d["levels"])}
            at += len(d["levels"])
            other = at if d["other"] else -1
            at += d["other"]
            positions[None] = at if d["null"] else -1
            at += d["null"]
            levels.append((d["name"], positions, other))
        parts = ("roots", "feature", "threshold", "null_left", "left", "right", "value")
        nodes = tuple(np.ascontiguousarray(self.arrays[p]) for p in parts)
        for name, value in (
            ("_numbers", numbers), ("_levels", levels), ("_width", at), ("_nodes", nodes),
            ("_line", len(self.arrays["weights"]) > 0),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    @classmethod
    def load(cls, folder: Path | str) -> TreeArrays:
        """Read what `export` wrote.

        Raises:
            NotFoundError: the files are not there.
            NotTrustedError: they are damaged or of another schema.
        """
        meta, arrays = read_files(Path(folder))
        if "members" in meta:
            raise NotTrustedError(f"{folder}: holds a blend, not one model; use read_arrays.")
        return cls(meta, arrays)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the table columns that a row must have."""
        return tuple(d["name"] for d in (*self.meta["numbers"], *self.meta["categories"]))

    def encode(self, row: Mapping[str, Any]) -> Floats:
        """Return the encoded row, shape (columns,).

        Raises:
            DataError: a column is missing, is no number, or is infinite.
        """
        x = np.zeros(self._width)  # type: ignore[attr-defined]
        at = 0
        scale, keep = self.meta["scale"], self.meta["keep_nulls"]
        try:
            for name, centre, spread, fill, marks in self._numbers:  # type: ignore[attr-defined]
                raw = row[name]
                v = np.nan if raw is None else float(raw)
                if scale:
                    v = (np.sign(v) * np.log1p(abs(v)) - centre) / spread
                null = v != v
                x[at] = fill if null and not keep else v
                at += 1
                if marks:
                    x[at] = null
                    at += 1
            for name, positions, other in self._levels:  # type: ignore[attr-defined]
                level = _level(row[name])
                hit = positions.get(level, other)
                if hit >= 0:
                    x[hit] = 1.0
        except KeyError as error:
            raise DataError(f"column {error} is missing; the model was trained with it.") from error
        except (TypeError, ValueError) as error:
            raise DataError(f"column {name!r} must be a number, got {raw!r}.") from error
        if np.isinf(x).any():
            raise DataError("a feature is infinite; features must be finite or null.")
        return x

    def predict(self, row: Mapping[str, Any]) -> float:
        """Return the probability of 1 for one row given as a mapping; None or NaN is null."""
        x = self.encode(row)
        if self._line:  # type: ignore[attr-defined]
            score = float(x @ self.arrays["weights"]) + self.meta["base"]
        else:
            from cartcast.models.kernels import score_one

            score = score_one(x, *self._nodes, self.meta["base"])  # type: ignore[attr-defined]
        return float(self._finish(np.asarray([score]))[0])

    def predict_table(self, X: Any) -> Floats:
        """Return the probability of 1 for each row of a table, shape (rows,)."""
        from cartcast.models.encode import as_frame

        frame = as_frame(X)[list(self.names)].astype(object)
        rows: list[dict[Any, Any]] = frame.to_dict("records")
        Z = np.array([self.encode(r) for r in rows]).reshape(len(rows), -1)
        if self._line:  # type: ignore[attr-defined]
            return self._finish(Z @ self.arrays["weights"] + self.meta["base"])
        from cartcast.models.kernels import score_many

        return self._finish(score_many(Z, *self._nodes, self.meta["base"]))  # type: ignore[attr-defined]

    def _finish(self, score: Floats) -> Floats:
        return _finish(score, self.meta["steps"])


@dataclass(frozen=True)
class BlendArrays:
    """A blend as plain arrays: weighted log-odds of its members, then the steps.

    Attributes:
        meta: shares, offset, steps, and the meta of each member.
        members: the members.
    """

    meta: Mapping[str, Any]
    members: tuple[TreeArrays, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the table columns that a row must have."""
        return tuple(dict.fromkeys(n for m in self.members for n in m.names))

    def predict(self, row: Mapping[str, Any]) -> float:
        """Return the probability of 1 for one row given as a mapping; None or NaN is null."""
        said = np.array([[m.predict(row)] for m in self.members])
        return float(self._combine(said)[0])

    def predict_table(self, X: Any) -> Floats:
        """Return the probability of 1 for each row of a table, shape (rows,)."""
        return self._combine(np.array([m.predict_table(X) for m in self.members]))

    def _combine(self, said: Floats) -> Floats:
        q = np.clip(said, 1e-6, 1 - 1e-6)
        shares = np.array([m["share"] for m in self.meta["members"]])
        return _finish(shares @ np.log(q / (1 - q)) + self.meta["offset"], self.meta["steps"])


def read_arrays(folder: Path | str) -> TreeArrays | BlendArrays:
    """Read what `export` wrote: one model or a blend.

    Raises:
        NotFoundError: the files are not there.
        NotTrustedError: they are damaged or of another schema.
    """
    return model_of(*read_files(Path(folder)))


def model_of(
    meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> TreeArrays | BlendArrays:
    """Return an exported model, one or a blend, from what its files hold."""
    if "members" not in meta:
        return TreeArrays(meta, arrays)
    return BlendArrays(meta, tuple(TreeArrays(m, a) for m, a in parts_of(meta, arrays)))


def parts_of(
    meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> list[tuple[Mapping[str, Any], dict[str, NDArray[Any]]]]:
    """Return meta and arrays of each member of a blend; array `0.roots` belongs to the first."""
    found = []
    for i, member in enumerate(meta["members"]):
        own = {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{i}.")}
        found.append((member["meta"], own))
    return found


def read_files(folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return `arrays.json` and `arrays.npz` of an exported model.

    Raises:
        NotFoundError: they are not there.
        NotTrustedError: they are damaged or of another schema.
    """
    names = ("arrays.json", "arrays.npz")
    if not all((folder / name).is_file() for name in names):
        raise NotFoundError(f"{folder}: no exported arrays here; train or export again.")
    return arrays_from({n: (folder / n).read_bytes() for n in names}, "", str(folder))


def arrays_from(
    files: Mapping[str, bytes], inside: str, where: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the two files of an exported model from their bytes, once they are found sound.

    Raises:
        NotTrustedError: they are damaged, of another schema, or hold what would not end.
    """
    from cartcast.models.structure import require_arrays, require_room

    place = f"{inside}/" if inside else ""
    try:
        meta = json.loads(files[f"{place}arrays.json"])
        data = files[f"{place}arrays.npz"]
        require_room(data, where)
        with np.load(BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, OSError, KeyError, EOFError, BadZipFile, zlib.error, RecursionError,
            MemoryError, TypeError) as error:  # fmt: skip
        raise NotTrustedError(f"{where}: exported arrays are damaged: {error}.") from error
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        told = meta.get("schema") if isinstance(meta, dict) else None
        raise NotTrustedError(f"{where}: arrays of schema {told}, not {SCHEMA}.")
    require_arrays(meta, arrays, where)
    return meta, arrays


def _finish(score: Floats, steps: Any) -> Floats:
    p = np.asarray(1.0 / (1.0 + np.exp(-score)), dtype=np.float64)
    for step in steps:
        if step["do"] == "prevalence":
            p = to_prevalence(p, step["trained"], step["natural"])
        elif step["do"] == "isotonic":
            p = np.interp(p, step["x"], step["y"])
        else:
            q = np.clip(p, 1e-6, 1 - 1e-6)
            odds = np.log(q / (1 - q))
            p = 1.0 / (1.0 + np.exp(-(step["slope"] * odds + step["offset"])))
    return p


def _level(value: Any) -> str | None:
    """Return the level of a category as `levels_of` does, for one value."""
    if value is None or value != value:
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.integer | np.floating):
        return format(float(value), ".15g")
    return str(value)
