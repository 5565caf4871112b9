"""The encoder against what it should say for tables small enough to read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.models.encode import Encoder


def test_numbers_keep_nulls_or_mark_them():
    X = pd.DataFrame({"a": [1.0, np.nan, 3.0, 8.0]})
    np.testing.assert_array_equal(Encoder().fit(X).transform(X)[:, 0], X["a"])
    filled = Encoder(keep_nulls=False).fit(X)
    assert filled.get_feature_names_out().tolist() == ["a", "a is null"]
    np.testing.assert_array_equal(filled.transform(X), [[1, 0], [3, 1], [3, 0], [8, 0]])


def test_scaling_is_a_standardised_signed_logarithm():
    X = pd.DataFrame({"a": [-10.0, 0.0, 5.0, 1000.0]})
    Z = Encoder(scale=True, keep_nulls=False).fit(X).transform(X)[:, 0]
    logs = np.sign(X["a"]) * np.log1p(X["a"].abs())
    np.testing.assert_allclose(Z, (logs - logs.mean()) / logs.std(ddof=0))


def test_rare_unseen_and_null_categories():
    X = pd.DataFrame({"c": ["x"] * 20 + ["y"] * 15 + ["z"] + [None] * 4})
    encoder = Encoder(min_rows=3).fit(X)
    assert encoder.get_feature_names_out().tolist() == ["c=x", "c=y", "c=other", "c is null"]
    fresh = pd.DataFrame({"c": ["y", "z", "never seen", None]})
    np.testing.assert_array_equal(encoder.transform(fresh).argmax(axis=1), [1, 2, 2, 3])
    assert (encoder.transform(fresh).sum(axis=1) == 1).all()


def test_unseen_without_other_is_all_zero():
    X = pd.DataFrame({"c": ["x"] * 20 + ["y"] * 20})
    assert Encoder().fit(X).transform(pd.DataFrame({"c": ["new"]})).tolist() == [[0.0, 0.0]]


def test_fifty_thousand_levels_are_folded():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"c": [f"v{i}" for i in rng.integers(0, 50_000, 60_000)], "n": 1.0})
    X.loc[:30_000, "c"] = "often"
    encoder = Encoder().fit(X)
    assert encoder.transform(X).shape[1] <= 41
    assert encoder.dropped_ == {"n": "constant"}


def test_whole_numbers_as_categories_are_the_same_level_in_any_type():
    X = pd.DataFrame({"page": [1, 2] * 20})
    encoder = Encoder(categorical=("page",)).fit(X)
    as_float = encoder.transform(X.astype(float))
    np.testing.assert_array_equal(encoder.transform(X), as_float)


def test_what_cannot_inform_is_left_out():
    X = pd.DataFrame(
        {
            "good": np.arange(40.0),
            "same": 1.0,
            "empty": np.nan,
            "id": [f"u{i}" for i in range(40)],
            "when": pd.date_range("2026-01-01", periods=40),
        }
    )
    encoder = Encoder().fit(X)
    assert encoder.get_feature_names_out().tolist() == ["good"]
    assert set(encoder.dropped_) == {"same", "empty", "id", "when"}
    with pytest.raises(DataError, match="no feature is left"):
        Encoder().fit(X[["same", "empty"]])


def test_missing_wrong_and_infinite_columns_are_refused():
    X = pd.DataFrame({"a": [1.0, 2.0], "c": ["x", "y"]})
    encoder = Encoder(min_rows=1).fit(X)
    with pytest.raises(DataError, match="'c' is missing"):
        encoder.transform(X[["a"]])
    with pytest.raises(DataError, match="held numbers in training"):
        encoder.transform(pd.DataFrame({"a": ["1", "2"], "c": ["x", "y"]}))
    with pytest.raises(DataError, match="infinity"):
        encoder.transform(pd.DataFrame({"a": [np.inf], "c": ["x"]}))


def test_sources_names_the_column_of_each_matrix_column():
    X = pd.DataFrame({"a": [1.0, np.nan] * 20, "c": ["x", "y"] * 20})
    encoder = Encoder(keep_nulls=False).fit(X)
    assert encoder.sources() == ["a", "a", "c", "c"]
    assert len(encoder.sources()) == encoder.transform(X).shape[1]
