"""The sequence model: its gradient, its causality, what it learns of order, what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from cartcast import events as logs
from cartcast.datasets import simulate
from cartcast.errors import DataError
from cartcast.models.persist import load, save
from cartcast.models.sequence import ClickSequence, network, prefixes

SMALL = {"categories": ("event_type",), "numbers": ("price",), "networks": 2}


def moments(sessions: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Every click of every session; 1 where its last two events are a search and then a view."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for s in range(sessions):
        n = int(rng.integers(2, 9))
        types = rng.choice(["search", "view_item"], n).astype(object)
        prices = np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(3, 1, n))
        for k in range(1, n + 1):
            rows.append({"session_id": f"s{s}", "event_type": types[:k], "price": prices[:k]})
            labels.append(k > 1 and types[k - 2] == "search" and types[k - 1] == "view_item")
    order = rng.permutation(len(rows))
    return pd.DataFrame(rows).iloc[order].reset_index(drop=True), np.array(labels)[order].astype(
        int
    )


def test_the_gradient_is_that_of_the_loss():
    rng = np.random.default_rng(0)
    shape = (5, 4)
    batch = network.Batch(
        rng.integers(0, 6, (*shape, 2)).astype(np.int32),
        rng.standard_normal((*shape, 3)),
        rng.random(shape),
        rng.random(shape) * (rng.random(shape) < 0.7),
    )
    weights = network.start(6, 3, 7, -1.0, seed=1)
    weights = {
        k: v.astype(np.float64) + 0.05 * rng.standard_normal(v.shape) for k, v in weights.items()
    }
    loss, slope = network.gradient(weights, batch)
    odds = network.scores(weights, batch.codes, batch.numbers)
    p = 1 / (1 + np.exp(-odds))
    each = -(batch.target * np.log(p) + (1 - batch.target) * np.log(1 - p))
    assert loss == pytest.approx((batch.weight * each).sum() / batch.weight.sum(), rel=1e-12)
    for name, value in weights.items():
        numeric = np.empty(value.size)
        for i in range(value.size):
            ends = []
            for step in (1e-6, -1e-6):
                moved = value.copy()
                moved.reshape(-1)[i] += step
                ends.append(network.gradient({**weights, name: moved}, batch)[0])
            numeric[i] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(slope[name].reshape(-1), numeric, atol=1e-8, err_msg=name)


def test_learns_order_and_is_causal_and_comes_back(tmp_path):
    X, y = moments()
    model = ClickSequence(**SMALL, epochs=15, rate=0.02).fit(X, y)
    fresh, truth = moments(150, 1)
    p = model.predict_proba(fresh)[:, 1]
    assert ((p > 0.5) == truth).mean() > 0.95
    early = fresh[fresh["event_type"].map(len) <= 2]
    alone = model.predict_proba(early.reset_index(drop=True))[:, 1]
    np.testing.assert_allclose(alone, p[early.index], atol=1e-12)
    unnamed = model.predict_proba(fresh.assign(session_id=None))[:, 1]
    np.testing.assert_allclose(unnamed, p, atol=1e-12)
    twin = clone(model).fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(fresh), model.predict_proba(fresh))
    again = load(tmp_path / "m", save(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_proba(fresh), model.predict_proba(fresh))


def test_weights_count_rows():
    X, y = moments(60)
    twice = pd.concat([X, X[y == 1]], ignore_index=True)
    doubled = ClickSequence(**SMALL, epochs=2).fit(twice, np.r_[y, y[y == 1]])
    weighed = ClickSequence(**SMALL, epochs=2).fit(X, y, sample_weight=1.0 + y)
    np.testing.assert_allclose(doubled.predict_proba(X), weighed.predict_proba(X), atol=1e-5)


def test_long_sessions_unknown_words_and_empty_columns():
    X, y = moments(40)
    X["price"] = [np.full(len(v), np.nan) for v in X["price"]]
    model = ClickSequence(**SMALL, epochs=1, longest=4).fit(X, y)
    assert not model.centre_, "a column without values is not read"
    odd = pd.DataFrame(
        {
            "session_id": ["long"],
            "event_type": [np.array(["search", None, "new"] * 400, dtype=object)],
            "price": [np.full(1200, np.nan)],
        }
    )
    p = model.predict_proba(odd)[0, 1]
    assert 0 < p < 1


def test_refusals():
    X, y = moments(20)
    with pytest.raises(DataError, match="'price' is missing"):
        ClickSequence(**SMALL).fit(X.drop(columns="price"), y)
    with pytest.raises(DataError, match="both classes"):
        ClickSequence(**SMALL).fit(X, np.zeros(len(y)))
    empty = X.assign(event_type=[v[:0] for v in X["event_type"]])
    with pytest.raises(DataError, match="no events"):
        ClickSequence(**SMALL).fit(empty, y)


def test_prefixes_are_the_events_up_to_the_moment(tmp_path):
    simulate(200, seed=5, out=tmp_path / "shop.parquet")
    log = logs.load(tmp_path / "shop.parquet", folder=tmp_path / "log")
    table = log.table().to_pandas()
    chosen = table.sample(100, random_state=0)[["session_id", "event_order"]]
    found = prefixes(log, chosen)
    for row, (session, order) in zip(found.to_dict("records"), chosen.to_numpy(), strict=True):
        own = table[(table["session_id"] == session) & (table["event_order"] <= order)]
        own = own.sort_values("event_order")
        assert row["session_id"] == session
        assert list(row["event_type"]) == list(own["event_type"])
        np.testing.assert_array_equal(row["price"], own["price"].to_numpy())
        pause = own["event_time"].diff().dt.total_seconds().to_numpy()
        np.testing.assert_allclose(row["pause"], pause)
    with pytest.raises(DataError, match="has no event 9999"):
        prefixes(log, chosen.assign(event_order=9999))
