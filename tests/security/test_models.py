"""A crafted model inside a trusted format is refused; it never ends or hangs the process."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import NotTrustedError
from cartcast.models import persist
from cartcast.models.arrays import arrays_from
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.structure import require_arrays, require_model, require_schema

ROWS = 300


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"a": rng.random(ROWS), "b": rng.choice(["x", "y"], ROWS)})
    return X, (X["a"] + rng.random(ROWS) > 1).astype(int)


def fitted(name, data):
    model = CLASSIFIERS[name].make()
    few = {
        k: 3
        for k in model.get_params()
        if k.rpartition("__")[2] in ("n_estimators", "max_iter") and "logistic" not in name
    }
    return model.set_params(**few).fit(*data)


def resigned(folder: Path, name: str, content: bytes) -> str:
    """Put another file into a folder of models, with a manifest that agrees: a crafted model."""
    (folder / name).write_bytes(content)
    recorded = json.loads((folder / "manifest.json").read_text())
    recorded["files"][name] = hashlib.sha256(content).hexdigest()
    text = json.dumps(recorded).encode()
    (folder / "manifest.json").write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def npz(arrays) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def changes(arrays, meta):
    """Yield name, arrays and meta: every way to break an exported tree that we thought of."""
    inner = int(np.flatnonzero(arrays["feature"] >= 0)[0])
    n, width = len(arrays["feature"]), len(meta["columns"])
    for name, at, value in [
        ("feature", inner, width), ("feature", inner, 2**31 - 1), ("left", inner, inner), ("left", inner, -1),
        ("right", inner, n), ("right", inner, 2**31 - 1), ("right", inner, -(2**31)), ("left", inner, int(arrays["right"][inner])),
        ("roots", 0, n), ("roots", 0, -1), ("roots", 0, int(arrays["left"][inner])),
    ]:  # fmt: skip
        made = {k: v.copy() for k, v in arrays.items()}
        made[name][at] = value
        yield f"{name}[{at}] = {value}", made, meta
    for name in arrays:
        yield (
            f"{name} shorter",
            {**arrays, name: arrays[name][:-1] if len(arrays[name]) else np.zeros(3)},
            meta,
        )
        yield f"{name} of floats", {**arrays, name: arrays[name].astype(np.float32)}, meta
        yield f"{name} of two dimensions", {**arrays, name: arrays[name].reshape(-1, 1)}, meta
        yield f"no {name}", {k: v for k, v in arrays.items() if k != name}, meta
    for key, value in [
        ("columns", meta["columns"][:-1]), ("columns", 3), ("base", "1"), ("base", float("nan")), ("numbers", meta["numbers"] * 2),
        ("steps", [{"do": "isotonic", "x": [], "y": []}]), ("steps", [{"do": "isotonic", "x": [1, 0], "y": [0, 1]}]),
        ("steps", [{"do": "what"}]), ("steps", 7), ("scale", None), ("categories", [{"name": "b"}]), ("members", []),
        ("members", [{"share": 1.0, "meta": meta}]),
    ]:  # fmt: skip
        yield f"{key} = {value!r}", arrays, {**meta, key: value}


def test_every_broken_export_is_refused(data, tmp_path):
    folder = tmp_path / "m"
    persist.save_all({"champion": fitted("lightgbm", data)}, folder)
    inside = folder / "champion.arrays"
    meta = json.loads((inside / "arrays.json").read_text())
    with np.load(inside / "arrays.npz") as stored:
        arrays = {k: stored[k] for k in stored.files}
    require_arrays(meta, arrays, "whole")
    count = 0
    for name, broken, told in changes(arrays, meta):
        with pytest.raises(NotTrustedError):
            require_arrays(told, broken, name)
            pytest.fail(name)
        count += 1
    assert count > 50
    # The same by the door that is used, with hashes that agree.
    _, broken, _ = next(iter(changes(arrays, meta)))
    manifest = resigned(folder, "champion.arrays/arrays.npz", npz(broken))
    files = persist.read_verified(folder, manifest).files
    with pytest.raises(NotTrustedError, match="columns that are none"):
        arrays_from(files, "champion.arrays", str(inside))


def test_a_tree_whose_branches_meet_again_is_no_tree(data, tmp_path):
    """Sixty nodes, each with its successor as both children, are 2 ** 60 paths."""
    n = 60
    arrays = {
        "roots": np.zeros(1, np.int32), "feature": np.r_[np.zeros(n), -1].astype(np.int32),
        "left": np.r_[np.arange(1, n + 1), -1].astype(np.int32), "right": np.r_[np.arange(1, n + 1), -1].astype(np.int32),
        "threshold": np.zeros(n + 1), "value": np.zeros(n + 1), "null_left": np.zeros(n + 1, np.uint8), "weights": np.empty(0),
    }  # fmt: skip
    number = {"name": "a", "centre": 0.0, "spread": 1.0, "fill": 0.0, "marks_null": False}
    meta = {
        "schema": 1,
        "base": 0.0,
        "steps": [],
        "scale": False,
        "keep_nulls": False,
        "numbers": [number],
        "categories": [],
        "columns": ["a"],
    }
    with pytest.raises(NotTrustedError, match="two parents"):
        require_arrays(meta, arrays, "met")


def test_what_unpacks_to_far_more_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("cartcast.events.packed.FLOOR", 1_000_000)
    files = {"arrays.json": b'{"schema": 1}', "arrays.npz": npz({"roots": np.zeros(10_000_000)})}
    with pytest.raises(NotTrustedError, match="too many"):
        arrays_from(files, "", "a")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 50_000_000)
    with pytest.raises(NotTrustedError, match="too many"):
        require_schema(out.getvalue(), "a")


@pytest.mark.parametrize(
    ("field", "words"),
    [("left_child=", "0"), ("left_child=", "1000"), ("right_child=", "-900"), ("split_feature=", "77"),
     ("split_feature=", "-1"), ("num_leaves=", "2000000000"), ("num_leaves=", "-1"), ("num_cat=", "5"), ("threshold=", ""),
     ("leaf_value=", ""), ("decision_type=", "1"), ("max_feature_idx=", "900000000"), ("num_tree_per_iteration=", "0"),
     ("num_class=", "7"), ("split_gain=", "words"), ("shrinkage=", ""), ("is_linear=", "1"), ("left_child=", "0.5")],
)  # fmt: skip
@pytest.mark.parametrize("agree", [True, False], ids=["sizes agree", "sizes as they were"])
def test_a_crafted_lightgbm_text_is_refused_before_it_is_parsed(
    data, tmp_path, monkeypatch, field, words, agree
):
    folder = tmp_path / "m"
    persist.save_all({"champion": fitted("lightgbm", data)}, folder)
    with zipfile.ZipFile(folder / "champion.skops") as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    schema = parts["schema.json"].decode()
    text = json.loads(json.loads(re.search(r'"(\\"tree\\\\n.*)"', schema)[0]))
    made = re.sub(rf"(?m)^{field}\S*", field + words, text, count=1)
    assert made != text
    if agree:
        trees = re.findall(r"(?s)(Tree=\d+\n.*?)(?=Tree=|end of trees)", made)
        made = re.sub(r"tree_sizes=.*", "tree_sizes=" + " ".join(str(len(t)) for t in trees), made)
    # Every other letter is written as a number: the same text to who reads JSON.
    hidden = (
        '"'
        + "".join(f"\\u{ord(c):04x}" if i % 2 else json.dumps(c)[1:-1] for i, c in enumerate(made))
        + '"'
    )
    schema = schema.replace(json.dumps(json.dumps(text)), json.dumps(hidden))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**parts, "schema.json": schema.encode()}.items():
            archive.writestr(name, content)
    manifest = resigned(folder, "champion.skops", out.getvalue())
    monkeypatch.setattr("skops.io.loads", lambda *a, **k: pytest.fail("parsed"))
    with pytest.raises(NotTrustedError):
        persist.load_all(folder, manifest)


def test_a_lightgbm_text_written_otherwise_is_the_same(data, tmp_path):
    """The check above refuses the change, not the way of writing."""
    text = fitted("lightgbm", data).model_.booster_.model_to_string()
    require_schema(_skops(text), "whole")
    with pytest.raises(NotTrustedError, match="tree"):
        require_schema(_skops(text.replace("tree_sizes=", "tree_sizes=9 ")), "broken")


def _skops(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("schema.json", json.dumps({"content": json.dumps(text)}))
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["decision_tree", "random_forest", "hist_gradient_boosting", "xgboost"]
)
def test_trees_of_other_libraries_are_checked(name, data):
    if name not in CLASSIFIERS:
        pytest.skip(f"there is no {name}")
    model = fitted(name, data)
    require_model(model, "whole")
    found = trees_in(model)
    assert found
    for break_it in found[:2]:
        undo = break_it()
        with pytest.raises(NotTrustedError):
            require_model(model, "broken")
        undo()
    require_model(model, "whole again")


def trees_in(model):
    """Find arrays of nodes that can be changed in place; XGBoost's cannot, so its text is faked."""
    found, todo, seen = [], [model], set()
    while todo:
        part = todo.pop()
        if id(part) in seen or isinstance(part, type):
            continue
        seen.add(id(part))
        kind = type(part).__name__
        if kind == "Tree":
            found.append(lambda a=part.children_left: change(a, 0))
        elif kind == "TreePredictor":
            found.append(lambda a=part.nodes: change(a["left"], 0))
        elif kind == "Booster":
            found.append(lambda b=part: fake(b))
        todo += list(getattr(part, "__dict__", {}).values())
        if isinstance(part, list | tuple):
            todo += part
        elif isinstance(part, dict):
            todo += part.values()
        elif isinstance(part, np.ndarray) and part.dtype == object:
            todo += part.ravel().tolist()
    return found


def change(array, value):
    kept = array[0].copy()
    array[0] = value
    return lambda: array.__setitem__(0, kept)


def fake(booster):
    whole = booster.save_raw

    def broken(form):
        told = json.loads(bytes(whole("json")))
        told["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 0
        return json.dumps(told).encode()

    booster.save_raw = broken
    return lambda: delattr(booster, "save_raw")


def test_the_attack_was_one(data, tmp_path):
    """What is refused would have ended or held the process: shown in a process of its own."""
    folder = tmp_path / "m"
    persist.save_all({"champion": fitted("lightgbm", data)}, folder)
    program = f"""
import numpy as np
from cartcast.live.arrays import bind
from cartcast.live.fold import Row
from cartcast.models.arrays import arrays_from
from cartcast.models.persist import read_verified
files = read_verified({str(folder)!r}).files
meta, found = arrays_from(files, "champion.arrays", "m")
found["feature"][:] = np.where(found["feature"] >= 0, 2 ** 27, -1)
bind(meta, found, ["a", "b"], [False, True]).probability(Row(np.zeros(2, np.int64), np.arange(2)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=120, check=False
    )
    assert done.returncode < 0, done.stderr


@pytest.mark.parametrize(
    "name", ["../other.skops", "/etc/passwd", "a/../../b", "..", "", "a\\..\\b", "C:x"]
)
def test_names_in_a_manifest_stay_inside(data, tmp_path, name):
    folder = tmp_path / "m"
    persist.save_all({"champion": fitted("logistic_regression", data)}, folder)
    (tmp_path / "other.skops").write_bytes(b"x")
    recorded = json.loads((folder / "manifest.json").read_text())
    recorded["files"][name] = hashlib.sha256(b"x").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(recorded))
    with pytest.raises(NotTrustedError, match="not a name inside"):
        persist.load_all(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, "[" * 100_000 + "]" * 100_000, "[]", "5", "null", "{}", '{"files": {}}', '{"files": null, "models": []}',
        '{"files": [1], "models": []}', '{"files": {}, "models": 5}', '{"files": {}, "models": null}',
        '{"files": {}, "models": [["a"]]}', '{"files": {"a": 5}, "models": []}', '{"files": {"a\\u0000": "x"}, "models": []}',
        '{"files": {"\\ud800": "x"}, "models": []}', '{"files": {"' + "a" * 5_000 + '": "x"}, "models": []}',
        '{"files": {}, "models": [], "schema": ' + "9" * 9_999 + "}",
    ],
    ids=lambda t: t[:30],
)  # fmt: skip
def test_a_manifest_of_another_shape_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "a").write_text("x")
    with pytest.raises(NotTrustedError) as refused:
        persist.load_all(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    (tmp_path / "manifest.json").write_text('{"files": {"a": "x"}, "models": []}')
    with pytest.raises(NotTrustedError):
        persist.load_all(tmp_path)


def test_links_stay_inside_and_models_have_files(data, tmp_path):
    folder = tmp_path / "m"
    persist.save_all({"champion": fitted("logistic_regression", data)}, folder)
    kept = folder / "champion.skops"
    kept.rename(tmp_path / "away.skops")
    kept.symlink_to(tmp_path / "away.skops")
    with pytest.raises(NotTrustedError, match="link"):
        persist.load_all(folder)
    kept.unlink()
    (tmp_path / "away.skops").rename(kept)
    recorded = json.loads((folder / "manifest.json").read_text())
    recorded["models"].append("../../x")
    (folder / "manifest.json").write_text(json.dumps(recorded))
    with pytest.raises(NotTrustedError, match="no file"):
        persist.load_all(folder)


def test_what_was_checked_is_what_is_read(data, tmp_path, monkeypatch):
    """The file changes between the check and the use, which no longer looks at it."""
    folder = tmp_path / "m"
    manifest = persist.save_all({"champion": fitted("lightgbm", data)}, folder)
    checked = persist.read_verified

    def swapped(*arguments):
        found = checked(*arguments)
        for path in folder.rglob("*"):
            if path.is_file():
                path.write_bytes(b"other")
        return found

    monkeypatch.setattr(persist, "read_verified", swapped)
    X, _ = data
    assert len(persist.load_all(folder, manifest)["champion"].predict_proba(X)) == ROWS
