"""What rows cannot teach is said: outcomes that stop or begin, one visitor with most rows."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.rows import Rows, from_table
from cartcast.splits import split_by_time
from cartcast.train.labels import check_labels
from cartcast.train.task import parts_of


def rows(change: object = None, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "x": rng.normal(size=3000),
            "who": rng.integers(0, 1500, 3000).astype(str),
            "when": pd.date_range("2026-01-01", periods=3000, freq="h"),
            "buys": (rng.random(3000) < 0.1).astype(int),
        }
    )
    if change is not None:
        change(table)  # type: ignore[operator]
    return from_table(table, "buys", time="when", group="who")


def stopped(table: pd.DataFrame) -> None:
    table.loc[table.index >= 2400, "buys"] = 0


def begun(table: pd.DataFrame) -> None:
    table.loc[table.index < 1500, "buys"] = 0


def one(table: pd.DataFrame) -> None:
    table.loc[table.index % 2 == 0, "who"] = "robot"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (stopped, "MD132", r"^6\d\d sessions after .* about \d\d were to be expected"),
        (begun, "MD133", r"^1,5\d\d sessions before"),
        (one, "MD134", "'robot' has 50%"),
    ],
)
def test_each_is_found_and_nothing_else(change: object, code: str, words: str) -> None:
    (found,) = check_labels(rows(change))
    assert found.code == code
    assert re.search(words, found.message)


def test_ordinary_rows_are_not_blamed() -> None:
    assert [check_labels(rows(seed=s)) for s in range(20)] == [()] * 20


def test_rows_too_young_for_their_label() -> None:
    made = rows()
    (found,) = check_labels(Rows(made.table, made.values, made.categorical, {"censored": 600}))
    assert (found.code, found.count) == ("MD135", 600)


def test_an_outcome_of_the_last_week_only_is_refused_with_its_date() -> None:
    def late(table: pd.DataFrame) -> None:
        table.loc[table.index < 2900, "buys"] = 0

    made = rows(late)
    with pytest.raises(DataError, match="appears from 2026-05-0"):
        parts_of(made, split_by_time(made.table, (0.4, 0.4, 0.2), by_clock=True))
