"""A subset of `benchmarks/false_alarms.py`: clean tables and shops pass, planted leaks block."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def alarms() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("false_alarms")
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris", "tips", "gapminder"])
def test_tables_that_packages_ship_are_clean(alarms, name) -> None:
    tables = (t for t in alarms.clean_tables(None) if t.name.startswith(name))
    heard = alarms.hear(next(tables), plant=False)
    assert heard.blocks == heard.warns == frozenset()


def test_shops_are_clean(alarms) -> None:
    seeds = range(alarms.FIRST_SEED, alarms.FIRST_SEED + 3)
    shops = [alarms.made_up(seed, sessions=700) for seed in seeds]
    for table in (*filter(None, shops), alarms.simulated(10_000), alarms.second(10_000)):
        heard = alarms.hear(table, plant=False)
        assert heard.blocks == heard.warns == frozenset(), table.name


def test_planted_leaks_are_found(alarms) -> None:
    shipped = (t for t in alarms.clean_tables(None) if t.name.startswith("gapminder"))
    shops = (alarms.made_up(seed, sessions=900) for seed in range(10_001, 10_009))
    for table in (next(shipped), next(filter(None, shops))):
        heard = alarms.hear(table, plant=True)
        assert [leak for leak, told in heard.planted.items() if not told] == [], table.name


def test_the_page_is_made_of_what_was_heard(alarms) -> None:
    heard = alarms.Heard(
        "a table", 10, frozenset({"LK401"}), frozenset(), dict.fromkeys(alarms.EXPECTED, True), 0.1
    )
    text = alarms.page([heard], {"made-up": [heard]}, "a command")
    assert "| a table | 10 | LK401 | - | 0.1 |" in text
    assert "| made-up | LK401 | 1 of 1 | 0 of 1 |" in text
    assert "| shops | lifetime | 1 of 1 | - |" in text
