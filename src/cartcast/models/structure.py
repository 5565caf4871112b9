"""What a model file holds is checked before it is used: an odd number must not end the process.

Types alone do not make a model safe: compiled code walks its trees without asking whether a child
or a column is there. A tree is sound when each child is a node, no node has two parents, and the
root has none: then every walk from the root ends. Everything else has a stated type and size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import NotTrustedError
from cartcast.events.packed import allowed

__all__ = ["require_arrays", "require_model", "require_room", "require_schema"]

_MOST_PARTS = 5_000_000


def _require(sound: Any, where: str, rule: str) -> None:
    if not sound:
        raise NotTrustedError(f"{where}: its {rule}; restore it or train again.")


def require_room(data: bytes, where: str) -> None:
    """Refuse a zip file (of skops or NumPy) that would unpack to far more than it is.

    Raises:
        NotTrustedError: it would.
    """
    with ZipFile(BytesIO(data)) as archive:
        size = sum(i.file_size for i in archive.infolist())
    _require(size <= allowed(len(data)), where, f"content takes {size:,} bytes, too many")


def _require_tree(
    left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], width: int, roots: NDArray[Any],
    where: str,
) -> None:  # fmt: skip
    """Check trees in arrays of nodes; `feature` is negative in a leaf."""
    n = len(feature)
    _require(len(left) == len(right) == n > 0, where, "trees have arrays of unequal length")
    inner = feature >= 0
    children = np.concatenate([left[inner], right[inner], roots]).astype(np.int64)
    _require(len(roots) > 0, where, "trees have no root")
    _require(((children >= 0) & (children < n)).all(), where, "trees lead to nodes that are none")
    _require(np.bincount(children, minlength=n).max() <= 1, where, "nodes have two parents")
    _require((feature < width).all(), where, "trees read columns that are none")


_KINDS = {
    "roots": np.int32, "feature": np.int32, "left": np.int32, "right": np.int32,
    "threshold": np.float64, "value": np.float64, "weights": np.float64, "null_left": np.uint8,
}  # fmt: skip


def require_arrays(meta: Any, arrays: Mapping[str, NDArray[Any]], where: str) -> None:
    """Check an exported model: one, or a blend whose arrays are numbered.

    Raises:
        NotTrustedError: the first thing that is not as `export` writes it.
    """
    try:
        if "members" not in meta:
            _require_one(meta, arrays, where)
            return
        _finite(meta["offset"], where)
        _require_steps(meta["steps"], where)
        members = meta["members"]
        _require(isinstance(members, list) and members, where, "blend has no members")
        for i, member in enumerate(members):
            own = {k.partition(".")[2]: v for k, v in arrays.items() if k.startswith(f"{i}.")}
            _finite(member["share"], where)
            _require_one(member["meta"], own, f"{where}, member {i}")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise NotTrustedError(f"{where}: is not whole ({error!r}); train again.") from error


def _finite(value: Any, where: str) -> None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    _require(plain and np.isfinite(value), where, f"number {value!r} is none")


def _require_one(meta: Mapping[str, Any], arrays: Mapping[str, Any], where: str) -> None:
    for name, kind in _KINDS.items():
        fits = arrays[name].dtype == kind and arrays[name].ndim == 1
        _require(fits, where, f"array {name!r} is not of {np.dtype(kind)} in one dimension")
    width = _width(meta, where)
    _finite(meta["base"], where)
    _require_steps(meta["steps"], where)
    n = len(arrays["feature"])
    sizes = {len(arrays[k]) for k in ("threshold", "null_left", "left", "right", "value")}
    _require(sizes == {n}, where, "arrays of nodes are of unequal length")
    if len(arrays["weights"]):
        _require(len(arrays["weights"]) == width and not n, where, "weights are not one a column")
    if n or len(arrays["roots"]):
        _require_tree(
            arrays["left"], arrays["right"], arrays["feature"], width, arrays["roots"], where
        )
        inner = arrays["feature"] >= 0
        _require(n == 2 * inner.sum() + len(arrays["roots"]), where, "nodes are in no tree")


def _width(meta: Mapping[str, Any], where: str) -> int:
    """Return the number of encoded columns, once what they are made of is checked."""
    for d in meta["numbers"]:
        _require(isinstance(d["name"], str) and isinstance(d["marks_null"], bool), where,
                 "numbers are not declared")  # fmt: skip
        for name in ("centre", "spread", "fill"):
            _finite(d[name], where)
    for d in meta["categories"]:
        told = isinstance(d["name"], str) and all(isinstance(v, str) for v in d["levels"])
        _require(told and isinstance(d["other"], bool) and isinstance(d["null"], bool), where,
                 "categories are not declared")  # fmt: skip
    _require(isinstance(meta["scale"], bool) and isinstance(meta["keep_nulls"], bool), where,
             "encoder is not declared")  # fmt: skip
    width = sum(1 + d["marks_null"] for d in meta["numbers"])
    width += sum(len(d["levels"]) + d["other"] + d["null"] for d in meta["categories"])
    columns = meta["columns"]
    _require(isinstance(columns, list) and len(columns) == width, where, "columns do not add up")
    return int(width)


def _require_steps(steps: Any, where: str) -> None:
    numbers = {"prevalence": ("trained", "natural"), "sigmoid": ("slope", "offset")}
    for step in steps:
        if step["do"] == "isotonic":
            x, y = np.asarray(step["x"], np.float64), np.asarray(step["y"], np.float64)
            fits = x.ndim == 1 and x.shape == y.shape and len(x) > 0
            _require(fits and np.isfinite(x).all() and np.isfinite(y).all(), where,
                     "calibration has no points")  # fmt: skip
            _require((np.diff(x) >= 0).all(), where, "calibration is out of order")
        else:
            _require(step["do"] in numbers, where, f"step {step['do']!r} is not known")
            for name in numbers[step["do"]]:
                _finite(step[name], where)


def require_schema(data: bytes, where: str) -> None:
    """Check what a skops file would hand to compiled parsers, before any object is made.

    Raises:
        NotTrustedError: a LightGBM model in it is not sound.
    """
    require_room(data, where)
    with ZipFile(BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
    todo, seen = [schema], 0
    while todo:
        node = todo.pop()
        seen += 1
        _require(seen <= _MOST_PARTS, where, f"parts are more than {_MOST_PARTS:,}")
        if isinstance(node, dict):
            todo += node.values()
        elif isinstance(node, list):
            todo += node
        elif isinstance(node, str):
            # A text is kept as JSON inside of JSON, where any letter can be written as a number.
            text = json.loads(node) if node.startswith('"') else node
            if _LIGHTGBM.search(text):
                _require_lightgbm(text, where)


_LIGHTGBM = re.compile(r"(?s)(?=.*[\r\n])(^|[\r\n])(Tree|num_tree_per_iteration|tree_sizes)=")

# What a tree of LightGBM's text form states, and of what it has one number each.
_STATED = {
    **dict.fromkeys(("num_leaves", "num_cat", "is_linear", "shrinkage"), "tree"),
    **dict.fromkeys(("leaf_value", "leaf_weight", "leaf_count"), "leaf"),
    **dict.fromkeys(
        ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
         "internal_value", "internal_weight", "internal_count"), "inner"),
}  # fmt: skip
_NEEDED = ("num_leaves", "num_cat", "leaf_value")
_SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")


def _require_lightgbm(text: str, where: str) -> None:
    """Check the trees of a LightGBM model: its parser ends the process at the first odd one.

    Source: https://github.com/microsoft/LightGBM/blob/v4.6.0/src/io/tree.cpp
    """
    _require("\r" not in text and "\0" not in text, where, "LightGBM model is of another form")
    data = text.encode()
    begin = data.find(b"\nTree=0\n") + 1
    head = data[:begin].decode()
    width = int(_header(head, "max_feature_idx", where)) + 1
    _require(0 < width <= 1_000_000, where, "columns cannot be counted")
    for name in ("num_class", "num_tree_per_iteration"):
        _require(_header(head, name, where) == "1", where, f"{name} is not 1")
    for number, size in enumerate(_header(head, "tree_sizes", where).split()):
        # The parser jumps by these sizes.
        _require(size.isdecimal() and 0 < int(size) <= len(data), where, "tree sizes are none")
        tree = data[begin : begin + int(size)].decode()
        begin += int(size)
        first, _, rest = tree.partition("\n")
        _require(first == f"Tree={number}", where, "tree sizes lead elsewhere")
        _require_lightgbm_tree(rest, width, where)
    _require(data[begin:].startswith(b"end of trees\n"), where, "tree sizes lead elsewhere")


def _header(head: str, name: str, where: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", head, re.MULTILINE)
    _require(len(found) == 1, where, f"LightGBM model states {name} {len(found)} times")
    return str(found[0])


def _require_lightgbm_tree(text: str, width: int, where: str) -> None:
    found: dict[str, NDArray[np.float64]] = {}
    for line in filter(None, text.split("\n")):
        name, _, written = line.partition("=")
        _require(name in _STATED and name not in found, where, f"tree states {name[:40]!r}")
        found[name] = np.array(written.split(), dtype=np.float64)
    _require(all(name in found for name in _NEEDED), where, "trees are not whole")
    leaves = int(found["num_leaves"][0])
    _require(1 <= leaves <= 1_000_000, where, "leaves cannot be counted")
    sizes = {"tree": 1, "leaf": leaves, "inner": leaves - 1}
    for stated, values in found.items():
        fits = len(values) == sizes[_STATED[stated]]
        # A tree of one leaf states no numbers of it but the value.
        _require(fits or (leaves == 1 and stated != "leaf_value" and len(values) <= 1), where,
                 f"tree has not one {stated} each")  # fmt: skip
    kinds = [found[n] for n in ("num_cat", "is_linear") if n in found]
    _require(not any(k.any() for k in kinds), where, "trees are of a kind that is not trained here")
    if leaves == 1:
        return
    _require(all(name in found for name in _SPLITS), where, "trees are not whole")
    whole = all((found[n] % 1 == 0).all() and (abs(found[n]) < 2**31).all() for n in _SPLITS[2:])
    whole = whole and bool((found["split_feature"] % 1 == 0).all())
    _require(whole, where, "trees lead to nodes that are none")
    left, right, feature, decision = (
        found[n].astype(np.int64)
        for n in ("left_child", "right_child", "split_feature", "decision_type")
    )
    _require((feature >= 0).all(), where, "trees read columns that are none")
    _require(((decision & 1) == 0).all(), where, "splits are categorical without categories")
    # Leaf k is written as -k - 1: here it is a node after the inner ones.
    left, right = (np.where(side < 0, leaves - 2 - side, side) for side in (left, right))
    none = np.zeros(leaves, np.int64)
    _require_tree(
        np.concatenate([left, none]), np.concatenate([right, none]),
        np.concatenate([feature, none - 1]), width, np.zeros(1, np.int64), where,
    )  # fmt: skip


def require_model(model: Any, where: str) -> None:
    """Check the trees inside a model that was read: of scikit-learn and XGBoost.

    Raises:
        NotTrustedError: one is not sound.
    """
    todo, seen = [model], {id(model): model}
    while todo:
        part = todo.pop()
        if (check := _CHECKS.get(type(part).__name__)) is not None:
            check(part, where)
        tree = getattr(part, "tree_", None)
        if tree is not None and hasattr(tree, "n_features"):
            _require(part.n_features_in_ == tree.n_features, where, "tree is of other columns")
        for predictors in getattr(part, "_predictors", ()):
            for predictor in predictors:
                _require_predictor(predictor, int(part.n_features_in_), where)
        for inner in _inside(part):
            if id(inner) not in seen:
                seen[id(inner)] = inner
                todo.append(inner)
        _require(len(seen) <= _MOST_PARTS, where, f"parts are more than {_MOST_PARTS:,}")


def _inside(part: Any) -> Iterable[Any]:
    if isinstance(part, Mapping):
        return list(part.values())
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if isinstance(part, np.ndarray):
        return list(part.ravel()) if part.dtype == object else []
    if isinstance(part, type) or callable(part):
        return []
    return list(getattr(part, "__dict__", {}).values())


def _require_sklearn_tree(tree: Any, where: str) -> None:
    left, right = tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
    feature = np.where(left == -1, -1, tree.feature.astype(np.int64))
    _require((feature[left != -1] >= 0).all(), where, "trees read columns that are none")
    _require(tree.value.shape[0] == len(left), where, "leaves have no value")
    _require_tree(left, right, feature, int(tree.n_features), np.zeros(1, np.int64), where)


def _require_predictor(predictor: Any, width: int, where: str) -> None:
    """Check a tree of scikit-learn's histogram gradient boosting."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = predictor.nodes
    _require(getattr(nodes, "dtype", None) == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1, where,
             "nodes are of another type")  # fmt: skip
    inner = nodes["is_leaf"] == 0
    _require((nodes["feature_idx"][inner] >= 0).all(), where, "trees read columns that are none")
    _require((nodes["is_categorical"][inner] == 0).all(), where, "splits are categorical")
    feature = np.where(inner, nodes["feature_idx"].astype(np.int64), -1)
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _require_tree(left, right, feature, width, np.zeros(1, np.int64), where)


def _require_xgboost(booster: Any, where: str) -> None:
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    width = int(learner["learner_model_param"]["num_feature"])
    for tree in learner["gradient_booster"].get("model", {}).get("trees", ()):
        left, right, column, kind = (
            np.asarray(tree[name], np.int64)
            for name in ("left_children", "right_children", "split_indices", "split_type")
        )
        _require((kind == 0).all() and len(column) == len(left), where, "splits are categorical")
        feature = np.where(left == -1, -1, column)
        _require((column >= 0).all(), where, "trees read columns that are none")
        _require_tree(left, right, feature, width, np.zeros(1, np.int64), where)


def _require_neighbours(tree: Any, where: str) -> None:
    data, index, nodes, bounds = (np.asarray(a) for a in tree.get_arrays())
    n = len(data)
    _require(index.shape == (n,) and ((index >= 0) & (index < n)).all(), where,
             "neighbours are none")  # fmt: skip
    ends = (nodes["idx_start"] >= 0) & (nodes["idx_end"] <= n)
    _require(ends.all() and bounds.shape[1:] == (len(nodes), data.shape[1]), where,
             "neighbourhoods are none")  # fmt: skip


_CHECKS: dict[str, Callable[[Any, str], None]] = {
    "Tree": _require_sklearn_tree,
    "Booster": lambda part, where: _require_xgboost(part, where)
    if type(part).__module__.startswith("xgboost") else None,
    "KDTree": _require_neighbours,
}  # fmt: skip
