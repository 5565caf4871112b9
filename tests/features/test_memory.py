"""The checked mode names what it catches; owners hold what kernels read; caches never mix."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from cartcast import features as F
from cartcast.errors import DefinitionError
from cartcast.features.kernels import codes, layout
from cartcast.features.kernels.compiled import CHECKED, source_hash
from cartcast.features.kernels.work import Work, owner

BROKEN = """
import sys
import numpy as np, pyarrow as pa
from cartcast import features as F
from cartcast.features.kernels import codes, layout
from cartcast.features.kernels.checked import KernelFault

def program(**changed):
    features = F.FeatureSet(n=F.Count(), spend=F.Sum("price"), items=F.NUnique("item_id"),
                            carts=F.Count(where=F.Eq("event_type", "add_to_cart")),
                            mean=F.Mean("price"), fading=F.DecayedSum("price", 60))
    row, place, value = changed["at"]
    rows = features.program.ops
    rows[rows[:, layout.CODE] == row, place] = value
    return features

log = pa.table({"session_id": ["a", "b", "a"], "price": [1.0, 2.0, 3.0], "item_id": ["x"] * 3,
                "event_type": ["add_to_cart", "search", "search"]})

def live(features):
    handle = F.program(features)
    state = handle.start()
    for event in log.to_pylist():
        handle.step(handle.encode(event), state)

def bulk(features):
    features.replay(log)

for face in (live, bulk):
    for at in CASES:
        try:
            face(program(at=at))
        except KernelFault as fault:
            print(face.__name__, at, fault)
        else:
            print(face.__name__, at, "PASSED")
"""


def python(code: str, **environment: str) -> str:
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240,
        env=os.environ | environment,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return made.stdout


def test_a_broken_program_is_caught_with_array_and_index():
    """Every operand of an operation, one beyond and far beyond what the program has."""
    n = F.FeatureSet(
        n=F.Count(), spend=F.Sum("price"), items=F.NUnique("item_id"),
        carts=F.Count(where=F.Eq("event_type", "add_to_cart")), mean=F.Mean("price"),
        fading=F.DecayedSum("price", 60),
    ).program  # fmt: skip
    expected = {
        (codes.SUM, layout.A, n.n_events): "event registers",
        (codes.SUM, layout.A, -2): "event registers",
        (codes.SUM, layout.A, 10**6): "event registers",
        (codes.SUM, layout.OUT, n.n_values): "value registers",
        (codes.SUM, layout.MASK, n.n_masks + 1): "masks",
        (codes.SUM, layout.OFFSET, n.words): "state",
        (codes.SUM, layout.OFFSET, -9): "state",
        (codes.NUNIQUE, layout.OFFSET, n.words): "state",
        (codes.NUNIQUE, layout.B, n.words - 1): "state",
        (codes.EQ_I, layout.OUT, n.n_masks + 1): "masks",
        (codes.EQ_I, layout.A, n.n_events): "event registers",
        (codes.DECAY_SECONDS, layout.OUT, -2): "event registers",
        (codes.DECAY_SUM, layout.B, n.n_events): "event registers",
        (codes.RATIO, layout.A, n.n_values): "value registers",
        (codes.RATIO, layout.B, -1): "value registers",
    }
    told = python(f"CASES = {list(expected)}{BROKEN}", CARTCAST_CHECKED="1").splitlines()
    assert len(told) == 2 * len(expected)
    for line, (at, array) in zip(told, [*expected.items(), *expected.items()], strict=True):
        assert f"{at} run: {array}" in line, line
        assert "] is out of bounds: it has " in line, line


def test_an_array_freed_too_early_is_caught():
    code = """
import numpy as np
from cartcast.features.kernels import layout
from cartcast.features.kernels.checked import KernelFault
from cartcast.features.kernels.output import fill_codes
from cartcast.features.kernels.work import Work
work = Work(layout.VOCABULARY)
work.point(layout.W_WORDS, np.arange(5))
work.point(layout.W_KEYS, np.full(16, -2**63))
work.point(layout.W_CODES, np.zeros(16, np.int32))
work.words[[layout.W_N, layout.W_SIZE]] = 5, 16
fill_codes(work.words)
work.words[layout.W_N] = 6
steps = [lambda: None, lambda: work._held.pop(layout.W_WORDS), lambda: globals().update(words=work.words)]
for step in steps:
    step()
    try:
        fill_codes(work.words)
    except KernelFault as fault:
        print(fault)
words = work.words.copy()
try:
    fill_codes(words)
except KernelFault as fault:
    print(fault)
"""
    beyond, freed, again, alone = python(code, CARTCAST_CHECKED="1").splitlines()
    assert beyond == "fill_codes: words[5] is out of bounds: it has 5 elements."
    assert freed.endswith("is in no array that the kernel was given.")
    assert again.endswith("is in no array that the kernel was given.")
    assert alone.startswith("a work without its owner")


def test_what_an_address_points_to_lives_as_long_as_the_address():
    work, array = Work(layout.ENDS), np.zeros(9, np.int64)
    held = weakref.ref(array)
    work.point(layout.E_HASHES, array)
    del array
    gc.collect()
    assert held() is not None
    assert owner(work.words) is work
    work.let_go([layout.E_HASHES])
    assert held() is None
    assert work.words[layout.E_HASHES] == 0


@pytest.mark.parametrize("array", [np.zeros(4, np.int32), np.zeros((4, 4), np.int64)[:, 1]])
def test_an_array_of_another_form_is_refused(array):
    with pytest.raises(AssertionError, match="hashes: a kernel cannot read"):
        Work(layout.ENDS).point(layout.E_HASHES, array)


def test_places_of_the_layout_are_apart():
    """No two words of a work, and no two columns of an operation, have the same place."""
    names = vars(layout)
    groups = {
        "chunk": "AT ROWS HASHES ORDERS LAST PLACE WANTED WANTED_SIZE STRICT INPUTS N_INPUTS OUTS "
        "PLACES CLICK PART PARTS NULLS SIZE BLOCK_N BLOCK_M BLOCK_ROW BLOCK_STATE BLOCK_EMIT "
        "BLOCK_PLACE EV RG TABLE TABLE_SIZE USED FREE N_FREE NEXT CAPACITY STATES STATE_WORDS INIT "
        "INIT_WORDS OUTPUTS N_OUTPUTS POOLED_AT N_POOLED",
        "head": "STAGE_1 STAGE_2 STAGE_3 REGISTERS PHASE OPERATION EVENT STATE EMIT QUEUED BLANK FIRST",
    }
    head = [names[n] for n in groups["head"].split()]
    chunk = [names[n] for n in groups["chunk"].split()]
    assert sorted(head) == list(range(12))
    assert sorted([*head[:7], *chunk]) == list(range(layout.CHUNK.words))
    for prefix, kind in [("E_", layout.ENDS), ("M_", layout.MOVE), ("P_", layout.PAST),
                         ("H_", layout.HASH), ("W_", layout.VOCABULARY), ("S_", layout.STORED)]:  # fmt: skip
        places = sorted(v for n, v in names.items() if n.startswith(prefix))
        assert places == list(range(kind.words))
        assert set(kind.addresses) < set(places)


# Two modules: a kernel, and what is compiled into it from another file.
INNER = """
from cartcast.features.kernels.compiled import inner
PLACE = {place}
@inner
def read(array):
    return array[PLACE]
"""
OUTER = """
from inner_of_test import read
from cartcast.features.kernels.compiled import kernel
@kernel
def outer(array):
    return read(array)
"""


def loaded(folder: Path, place: int):
    """The kernel as a process sees it that starts now."""
    (folder / "inner_of_test.py").write_text(INNER.format(place=place))
    for name in ("inner_of_test", "outer_of_test"):
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        source = (folder / f"{name}.py").read_text()
        sys.modules[name] = module
        exec(compile(source, str(folder / f"{name}.py"), "exec"), vars(module))
    return module.outer


def test_machine_code_of_an_older_layout_is_never_loaded(tmp_path, monkeypatch):
    """An older process compiles after the edit: what it leaves on disk is not for the newer one.

    The file of the kernel itself does not change, so Numba alone would load it.
    """
    (tmp_path / "outer_of_test.py").write_text(OUTER)
    array = np.arange(8)
    monkeypatch.setitem(sys.modules, "inner_of_test", None)
    monkeypatch.setitem(sys.modules, "outer_of_test", None)
    old = loaded(tmp_path, 3)
    new = loaded(tmp_path, 5)
    assert old.py_func.__qualname__ != new.py_func.__qualname__
    assert source_hash(old.py_func) != source_hash(new.py_func)
    assert source_hash(loaded(tmp_path, 5).py_func) == source_hash(new.py_func)
    # Raw kernels only: a checked one wants a `work`, which these have not.
    if not CHECKED:
        assert (old(array), new(array), loaded(tmp_path, 5)(array)) == (3, 5, 5)
        names = {path.name.split("-")[0] for path in tmp_path.rglob("*.nbi")}
        assert names == {f"outer_of_test.{new.py_func.__qualname__}"}  # the older is forgotten


def test_the_hash_sees_constants_inner_functions_and_modules():
    def made(constant):
        def deep():
            return constant

        def function():
            return deep() + codes.SUM

        return function

    assert source_hash(made(1)) == source_hash(made(1)) != source_hash(made(2))
    with pytest.raises(TypeError, match="how its changes are noticed"):
        source_hash(made(object()))


def test_a_state_of_another_feature_set_is_refused_everywhere():
    small, large = F.FeatureSet(n=F.Count()), F.FeatureSet(m=F.Mode("item_id"), n=F.Count())
    state = small.start()
    for face in (lambda: large.step(state, {}), lambda: large.value(state),
                 lambda: large.dump(state), lambda: large.merge(state, state)):  # fmt: skip
        with pytest.raises(
            DefinitionError, match=f"belongs to feature set {small.fingerprint[:12]}"
        ):
            face()
    handle = F.program(small)
    with pytest.raises(DefinitionError, match="the row that this handle's encode returned"):
        handle.step(np.zeros(3, np.int64), state)


def test_threads_may_step_states_of_one_feature_set():
    """The kernels run without the interpreter's lock; one buffer for all threads was torn."""
    features = F.FeatureSet(items=F.NUnique("item_id"), mode=F.Mode("item_id"), n=F.Count())
    wrong = []

    def run(thread: int) -> None:
        for turn in range(40):
            state, n = features.start(), 20 + turn
            for k in range(n):
                state = features.step(state, {"item_id": f"{thread} {k % 17}"})
            found = features.value(state)
            if found != {
                "items": 17.0,
                "mode": f"{thread} {(n - 1) % 17 if n % 17 == 1 else 0}",
                "n": n,
            }:
                wrong.append(found)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
