"""Bad training tables: a refusal or a finding for each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.models.checks import check_table


def table(rows=200):
    return pd.DataFrame({"a": np.random.default_rng(0).normal(size=rows)})


def codes(found):
    return [f.code for f in found]


def test_a_good_table_has_no_finding():
    assert check_table(table(), np.arange(200) % 2, folds=10) == ()
    assert check_table(table(), np.arange(200) * 1.5, "regressor") == ()


@pytest.mark.parametrize(
    ("y", "folds", "message"),
    [
        (np.zeros(200), None, "both classes"),
        (
            np.r_[np.ones(3), np.zeros(197)],
            10,
            "10 folds need at least 10 rows of each class, got 3",
        ),
        (np.r_[np.nan, np.ones(99), np.zeros(100)], None, "missing in 1 of 200 rows"),
        (np.array([None, *[1] * 99, *[0] * 100], dtype=object), None, "missing in 1 of 200 rows"),
    ],
)
def test_bad_targets(y, folds, message):
    with pytest.raises(DataError, match=message):
        check_table(table(), y, folds=folds)


def test_two_rows():
    with pytest.raises(DataError, match="2 rows are too few"):
        check_table(table(2), [0, 1])


def test_features_that_cannot_inform():
    X = table().assign(same=1, empty=np.nan, none=None, word="x")
    found = check_table(X, np.arange(200) % 2)
    assert codes(found) == ["MD121"]
    assert found[0].count == 4
    with pytest.raises(DataError, match="no feature is left"):
        check_table(X[["same", "empty"]], np.arange(200) % 2)


def test_ids_dates_and_many_levels():
    X = table(6000).assign(
        user=[f"u{i}" for i in range(6000)],
        row=range(6000),
        item=[f"i{i // 2}" for i in range(6000)],
        when=pd.date_range("2026-01-01", periods=6000, freq="h"),
    )
    found = check_table(X, np.arange(6000) % 2)
    assert sorted(codes(found)) == ["MD122", "MD122", "MD123", "MD124"]
    assert "3,000 values" in next(f.message for f in found if f.code == "MD123")
