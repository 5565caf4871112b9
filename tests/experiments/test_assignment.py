"""Assignment against GrowthBook's published cases, and its three faces against each other.

Cases: growthbook-python tests/cases.json (growthbook packages/sdk-js/test/cases.json).
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartcast.errors import DataError, DefinitionError, UsageError
from cartcast.experiments.allocation import (
    Allocation,
    Holdout,
    Kept,
    Layer,
    arm_ranges,
    choose,
)
from cartcast.experiments.assign_spark import assign_spark
from cartcast.experiments.hashing import bucket, bucket_sql, buckets

HASHES = [
    ("", "a", 1, 0.22), ("", "b", 1, 0.077), ("b", "a", 1, 0.946), ("ef", "d", 1, 0.652),
    ("asdf", "8952klfjas09ujk", 1, 0.549), ("", "123", 1, 0.011), ("", '___)((*":&', 1, 0.563),
    ("seed", "a", 2, 0.0505), ("seed", "b", 2, 0.2696), ("foo", "ab", 2, 0.2575),
    ("foo", "def", 2, 0.2019), ("89123klj", "8952klfjas09ujkasdf", 2, 0.124),
    ("90850943850283058242805", "123", 2, 0.7516), ("()**(%$##$%#$#", '___)((*":&', 2, 0.0128),
]  # fmt: skip
HALVES = ((0.0, 0.5), (0.5, 1.0))
SHRUNK = ((0.0, 0.25), (0.5, 0.75))


@pytest.mark.parametrize(("seed", "unit", "version", "value"), HASHES)
def test_published_hashes(seed: str, unit: str, version: int, value: float) -> None:
    assert bucket(seed, unit, version) == value
    assert buckets(seed, [unit], version).tolist() == [value]
    sql = bucket_sql(seed, "$1", version)
    assert duckdb.execute(f"SELECT {sql}", [unit]).fetchone() == (value,)


def test_an_unknown_version_is_refused() -> None:
    # The published case answers null for version 99; here a declaration with it cannot be made.
    with pytest.raises(UsageError, match="1 or 2"):
        bucket("abc", "def", 99)
    with pytest.raises(UsageError, match="1 or 2"):
        Allocation("a", ("x", "y"), hash_version=99)


def slow_hash(text: str) -> int:
    """FNV-1a as JavaScript would run it: over `charCodeAt`."""
    raw = text.encode("utf-16-be", "surrogatepass")
    h = 2166136261
    for i in range(0, len(raw), 2):
        h ^= raw[i] << 8 | raw[i + 1]
        h = h * 16777619 % 2**32
    return h


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


@settings(max_examples=150, deadline=None)
@given(seed=TEXTS, unit=TEXTS.filter(bool), version=st.sampled_from([1, 2]))
def test_all_faces_hash_code_units(seed: str, unit: str, version: int) -> None:
    slow = (
        slow_hash(unit + seed) % 1000 / 1000
        if version == 1
        else slow_hash(str(slow_hash(seed + unit))) % 10_000 / 10_000
    )
    assert bucket(seed, unit, version) == slow
    assert buckets(seed, ["x", unit, None], version)[1] == slow
    found = duckdb.execute(f"SELECT {bucket_sql(seed, '$1', version)}", [unit]).fetchone()
    assert found == (slow,)


def test_bulk_takes_arrow_slices_numbers_and_dictionaries() -> None:
    whole = pa.array(["a", None, "ü", "", "42"])
    expected = [bucket("s", "ü"), None, bucket("s", "42")]
    for column in (
        whole[2:],
        pa.chunked_array([whole[2:4], whole[4:]]),
        whole.dictionary_encode()[2:],
    ):
        found = buckets("s", column)
        assert [None if np.isnan(v) else v for v in found] == expected
    assert buckets("s", [42]).tolist() == [bucket("s", "42")]
    assert len(buckets("s", pa.array([], pa.string()))) == 0
    with pytest.raises(DataError, match="texts or whole numbers"):
        buckets("s", [1.5])


@pytest.mark.parametrize(
    ("arms", "coverage", "weights", "expected"),
    [
        (2, 1, None, HALVES),
        (2, 0.5, None, SHRUNK),
        (2, 0, None, ((0, 0), (0.5, 0.5))),
        (4, 1, None, ((0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1))),
        (2, 1, [0.4, 0.6], ((0, 0.4), (0.4, 1))),
        (3, 1, [0.2, 0.3, 0.5], ((0, 0.2), (0.2, 0.5), (0.5, 1))),
        (3, 0.2, [0.2, 0.3, 0.5], ((0, 0.04), (0.2, 0.26), (0.5, 0.6))),
        (2, -0.2, None, ((0, 0), (0.5, 0.5))),
        (2, 1.2, None, HALVES),
        (2, 1, [0.4, 0.1], HALVES),
        (2, 1, [0.7, 0.6], HALVES),
        (4, 1, [0.4, 0.4, 0.2], ((0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1))),
        (2, 1, [0.4, 0.5999], ((0, 0.4), (0.4, 0.9999))),
    ],
)
def test_published_ranges(arms, coverage, weights, expected) -> None:
    found = arm_ranges(arms, coverage, weights)
    assert np.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "ranges", "expected"),
    [
        (0.2, HALVES, 0), (0.4, HALVES, 0), (0.6, HALVES, 1), (0.8, HALVES, 1), (0, HALVES, 0),
        (0.5, HALVES, 1), (0.2, SHRUNK, 0), (0.4, SHRUNK, -1), (0.6, SHRUNK, 1),
        (0.8, SHRUNK, -1), (0.25, SHRUNK, -1), (0.5, SHRUNK, 1),
        (0.5, ((0, 0.5), (0.5, 0.5), (0.5, 1)), 2),
    ],
)  # fmt: skip
def test_published_choices(value, ranges, expected) -> None:
    assert choose(value, ranges) == expected


@pytest.mark.parametrize(
    ("unit", "name", "low"),
    [("1", "namespace1", False), ("1", "namespace2", False), ("2", "namespace1", False),
     ("2", "namespace2", False), ("3", "namespace1", False), ("3", "namespace2", True),
     ("4", "namespace1", False), ("4", "namespace2", True)],
)  # fmt: skip
def test_published_namespaces(unit: str, name: str, low: bool) -> None:
    assert Layer(name, 0, 0.4).has(unit) is low
    assert Layer(name, 0.4, 1).has(unit) is not low


@pytest.mark.parametrize("n", [2, 3, 4])
def test_equal_weights(n: int) -> None:
    assert Allocation("e", tuple("abcd"[:n])).weights == (1 / n,) * n


def test_published_runs_through_a_growthbook_declaration() -> None:
    # cases.json, `run`: single experiment, coverage, weights, namespace, empty id.
    test = {"key": "my-test", "variations": [0, 1]}
    got = [Allocation.from_growthbook(test).assign(str(i)).arm for i in range(1, 10)]
    assert got == ["1", "0", "0", "1", "1", "1", "0", "1", "0"]
    low = Allocation.from_growthbook(test | {"weights": [0.1, 0.9]})
    assert [low.assign(str(i)).arm for i in range(1, 10)] == [*"110111011"]
    part = Allocation.from_growthbook(test | {"coverage": 0.4})
    assert [part.assign(str(i)).arm or "-" for i in range(1, 10)] == [*"-00-1-01-"]
    three = Allocation.from_growthbook(test | {"variations": [0, 1, 2]})
    assert [three.assign(str(i)).arm for i in range(1, 10)] == [*"200212010"]
    assert Allocation.from_growthbook(test | {"key": "my-test-3"}).assign("1").arm == "0"
    assert Allocation.from_growthbook(test).assign("").reason == "no unit"
    inside = Allocation.from_growthbook(test | {"namespace": ["namespace", 0.1, 1]})
    outside = Allocation.from_growthbook(test | {"namespace": ["namespace", 0, 0.1]})
    assert inside.assign("1").arm == "1"
    assert outside.assign("1").reason == "layer"
    with pytest.raises(DefinitionError, match="two or more arms"):
        Allocation.from_growthbook({"key": "my-test", "variations": [0]})


UNITS = [f"unit-{i}" for i in range(4000)] + ["é😀", "", "7"]
FULL = Allocation(
    "checkout", ("control", "new", "bold"), (0.5, 0.3, 0.2), coverage=0.6,
    layer=Layer("checkout", 0.2, 0.9), holdout=Holdout("2026", 0.1),
)  # fmt: skip


def test_one_by_one_in_bulk_and_in_sql_agree() -> None:
    one = [FULL.assign(u).arm for u in UNITS]
    many = [None if i < 0 else FULL.arms[i] for i in FULL.assign_many(UNITS)]
    con = duckdb.connect()
    con.register("units", pa.table({"u": UNITS}))
    sql = con.execute(f"SELECT {FULL.assign_sql('u')} FROM units").fetchall()
    assert one == many == [r[0] for r in sql]
    assert {None, "control", "new", "bold"} == set(one)


def test_ramping_up_moves_no_unit() -> None:
    before = Allocation("x", ("a", "b"), (0.7, 0.3), coverage=0.2).assign_many(UNITS)
    after = Allocation("x", ("a", "b"), (0.7, 0.3), coverage=0.9).assign_many(UNITS)
    assert (after[before >= 0] == before[before >= 0]).all()
    assert (after >= 0).sum() > 3 * (before >= 0).sum()


def test_layers_exclude_each_other_and_fill_the_layer() -> None:
    parts = [Allocation(k, ("a", "b"), layer=Layer("L", s, e)).assign_many(UNITS[:-2]) >= 0
             for k, s, e in (("one", 0, 0.5), ("two", 0.5, 1))]  # fmt: skip
    assert ((parts[0].astype(int) + parts[1]) == 1).all()


def test_experiments_are_independent_of_each_other() -> None:
    units = [str(i) for i in range(40_000)]
    table = np.zeros((2, 2))
    a = Allocation("first", ("a", "b")).assign_many(units)
    b = Allocation("second", ("a", "b")).assign_many(units)
    np.add.at(table, (a, b), 1)
    chi2 = ((table - 10_000) ** 2 / 10_000).sum()
    assert chi2 < 16.27  # 0.1 % point of chi-squared with 3 degrees of freedom


def test_kept_arms() -> None:
    unit = next(u for u in UNITS if Allocation("s", ("a", "b")).assign(u).arm == "a")
    now = Allocation("s", ("a", "b"), (0.0001, 0.9999))
    assert now.assign(unit).arm == "b"
    assert now.assign(unit, Kept("a")).reason == "kept"
    assert now.assign(unit, Kept("gone")).arm == "b"
    later = Allocation("s", ("a", "b"), (0.0001, 0.9999), version=2, blocked_below=1)
    assert later.assign(unit, Kept("a", 0)).reason == "blocked"
    assert later.assign(unit, Kept("a", 1)).arm == "b"
    assert later.assign(unit, Kept("a", 2)).arm == "a"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ("a",)}, "two or more arms"),
        ({"arms": ("a", "a")}, "different names"),
        ({"weights": (0.5, 0.6)}, "add up to 1, got .* 1.1"),
        ({"weights": (1.0, 0.0)}, "above 0"),
        ({"weights": (float("nan"), 1.0)}, "above 0"),
        ({"weights": (1.0,)}, "1 weights for 2 arms"),
        ({"coverage": 0.0}, "0 < coverage"),
        ({"ranges": ((0.0, 0.6), (0.5, 1.0))}, "arms overlap"),
        ({"ranges": ((0.0, 0.5),)}, "1 ranges for 2 arms"),
        ({"ranges": ((0.0, 0.0), (0.5, 0.5))}, "no arm has any unit"),
        ({"ranges": ((0.0, 0.5), (0.5, 1.5))}, "within 0 and 1"),
        ({"key": ""}, "needs a key"),
    ],
)
def test_bad_allocations_are_refused(change, message) -> None:
    with pytest.raises(DefinitionError, match=message):
        Allocation(**({"key": "x", "arms": ("a", "b")} | change))
    for bad in (lambda: Layer("l", 0.5, 0.5), lambda: Holdout("h", 1.0)):
        with pytest.raises(DefinitionError):
            bad()


MEANT = ["v-1", "7", "Größe", "\U0001f600", "x" * 80, "guest", None, ""]


def everything() -> Allocation:
    return Allocation(
        "all", ("a", "b", "c"), (0.2, 0.3, 0.5), coverage=0.8, layer=Layer("page", 0.1, 0.9),
        holdout=Holdout("all", 0.2),
    )  # fmt: skip


def test_arms_in_bulk_and_as_a_function_of_duckdb() -> None:
    a = everything()
    units = [*MEANT, *(f"visitor-{i}" for i in range(300))]
    expected = [a.assign(unit).arm if unit else None for unit in units]
    assert {*a.arms, None} == set(expected)
    assert a.arms_of(units).to_pylist() == expected
    table = pa.table({"unit": pa.array(units)})
    with duckdb.connect() as con:
        con.register("units", table)
        con.create_function(
            "arm_of", a.arms_of, ["VARCHAR"], "VARCHAR", type="arrow", null_handling="special"
        )
        found = con.execute(f"SELECT arm_of(unit), {a.assign_sql('unit')} FROM units").fetchall()
    assert found == [(arm, arm) for arm in expected]


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_arms_on_spark(spark) -> None:
    a = everything()
    units = [*MEANT, *(f"visitor-{i}" for i in range(300))]
    frame = spark.createDataFrame([(u, i) for i, u in enumerate(units)], "unit string, n long")
    rows = assign_spark(frame.repartition(3), a, "unit").orderBy("n").collect()
    assert [row["arm"] for row in rows] == [a.assign(u).arm if u else None for u in units]
    numbers = assign_spark(frame, a, "n", "seen").orderBy("n").collect()
    assert [row["seen"] for row in numbers] == [a.assign(str(i)).arm for i in range(len(units))]
    with pytest.raises(DataError, match="Did you mean 'unit'"):
        assign_spark(frame, a, "units")
    with pytest.raises(DataError, match="already"):
        assign_spark(frame, a, "unit", "n")
