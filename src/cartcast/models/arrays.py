"""An exported classifier or amount, read back: its two files, once they are found sound.

`cartcast.live.arrays` scores them: one row in microseconds, no scikit-learn, no pandas.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import NotTrustedError

__all__ = ["SCHEMA", "arrays_from", "parts_of"]

SCHEMA = 1
"""Version of the arrays on disk."""


def parts_of(
    meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> list[tuple[Mapping[str, Any], dict[str, NDArray[Any]]]]:
    """Return meta and arrays of each member of a blend; array `0.roots` belongs to the first."""
    found = []
    for i, member in enumerate(meta["members"]):
        own = {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{i}.")}
        found.append((member["meta"], own))
    return found


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
