"""An exported model as one array of words, for `cartcast.live.kernels.predict`.

Head (16 words; the base is a float's bits): 0 unused, 1 base, 2-3 place and count of numbers,
4 scaled, 5 nulls kept, 6-7 categories, 8-9 trees, 10-11 weights, 12-13 calibration. Then tables:

- a number: feature, centre, spread, fill, whether a null has its own column;
- a category: feature, column for other levels, for null (-1 for none), the word for null, begin
  and end of its pairs (hash of the level, column);
- a tree: place of its root, depth; trees are sorted by depth;
- a node: threshold, and `column << 35 | nulls go left << 34 | steps to the left << 32 | steps to
  the right` in words; a leaf: value, and steps of 0;
- a calibration step: kind, words that follow, numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cartcast.features.kernels.words import NOTHING, bits, hash_text

__all__ = ["pack_model", "pack_steps"]

_HEAD: Final = 16
_KINDS: Final = {"prevalence": 1, "isotonic": 2, "sigmoid": 3}


def pack_model(
    meta: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    place: Mapping[str, int],
    text: Sequence[bool],
) -> npt.NDArray[np.int64]:
    """Return the model as words; `place` gives each feature's position, `text` which are texts."""
    out = [0] * _HEAD
    out[1] = bits(float(meta["base"]))
    out[4], out[5] = int(bool(meta["scale"])), int(bool(meta["keep_nulls"]))
    out[2], out[3] = len(out), len(meta["numbers"])
    for d in meta["numbers"]:
        out += [place[d["name"]], bits(d["centre"]), bits(d["spread"]), bits(d["fill"])]
        out.append(int(d["marks_null"]))
    _add_categories(out, meta, place, text)
    if len(arrays["roots"]):
        _add_trees(out, arrays, len(meta["columns"]))
    out[10], out[11] = len(out), len(arrays["weights"])
    out += [bits(float(w)) for w in arrays["weights"]]
    _add_steps(out, meta["steps"])
    return np.array(out, np.int64)


def pack_steps(steps: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.int64]:
    """Return calibration steps as the words of a model that has nothing else."""
    out = [0] * _HEAD
    _add_steps(out, steps)
    return np.array(out, np.int64)


def _add_steps(out: list[int], steps: Sequence[Mapping[str, Any]]) -> None:
    out[12], out[13] = len(out), len(steps)
    for step in steps:
        numbers = _numbers_of(step)
        out += [_KINDS[step["do"]], len(numbers), *map(bits, numbers)]


def _numbers_of(step: Mapping[str, Any]) -> list[float]:
    if step["do"] == "prevalence":
        return [step["trained"], step["natural"]]
    if step["do"] == "isotonic":
        return [*step["x"], *step["y"]]
    return [step["slope"], step["offset"]]


def _add_categories(
    out: list[int], meta: Mapping[str, Any], place: Mapping[str, int], text: Sequence[bool]
) -> None:
    column = len(meta["numbers"]) + sum(bool(d["marks_null"]) for d in meta["numbers"])
    out[6], out[7] = len(out), len(meta["categories"])
    pairs = len(out) + 6 * len(meta["categories"])
    levels: list[int] = []
    for d in meta["categories"]:
        feature = place[d["name"]]
        begin = pairs + len(levels)
        for level in d["levels"]:
            levels += [_level_word(level, text[feature]), column]
            column += 1
        other = column if d["other"] else -1
        column += bool(d["other"])
        null = column if d["null"] else -1
        column += bool(d["null"])
        nothing = NOTHING if text[feature] else 0
        out += [feature, other, null, nothing, begin, pairs + len(levels)]
    out += levels


def _level_word(level: str, text: bool) -> int:
    if text:
        return hash_text(level)
    try:
        return bits(float(level))
    except ValueError:
        return NOTHING


def _add_trees(out: list[int], arrays: Mapping[str, npt.NDArray[Any]], width: int) -> None:
    """Add roots and nodes; `width` is a column of `x` that is always 0, for the leaves."""
    names = ("feature", "threshold", "null_left", "left", "right", "value")
    feature, threshold, null_left, left, right, value = (arrays[n].tolist() for n in names)
    nodes: list[int] = []
    roots: list[tuple[int, int]] = []
    for root in arrays["roots"].tolist():
        first, deepest = len(nodes), 0
        # A node's left child follows it; its right child is entered where it was promised.
        todo = [(root, 0, -1)]
        while todo:
            node, depth, promised = todo.pop()
            at = len(nodes)
            if promised >= 0:
                nodes[promised + 1] |= at - promised
            deepest = max(deepest, depth)
            if feature[node] < 0:
                nodes += [bits(value[node]), width << 35]
                continue
            # Code 2: a null is read as 0.
            nulls = threshold[node] >= 0.0 if null_left[node] == 2 else null_left[node] == 1
            nodes += [bits(threshold[node]), feature[node] << 35 | int(nulls) << 34 | 2 << 32]
            todo.append((right[node], depth + 1, at))
            todo.append((left[node], depth + 1, -1))
        roots.append((first, deepest))
    roots.sort(key=lambda r: r[1])
    out[8], out[9] = len(out), len(roots)
    begin = len(out) + 2 * len(roots)
    for first, depth in roots:
        out += [begin + first, depth]
    out += nodes
