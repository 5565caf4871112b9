"""The sequence model: numpy scores as PyTorch does, its causality, what it learns, what it refuses."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from cartcast import events as logs
from cartcast.datasets import simulate
from cartcast.errors import DataError, UsageError
from cartcast.features import Count, FeatureSet, Last
from cartcast.models.persist import load, save
from cartcast.models.sequence import EVENTS, ClickSequence, Prefix, prefixes, with_events
from cartcast.models.sequence.exported import states
from cartcast.models.sequence.prefixes import PAUSE
from cartcast.models.stack import Stack

SMALL: dict[str, Any] = {"body": "gru", "networks": 1, "size": 16, "before": 1}


def moments(sessions: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Every click of every session; 1 where its last two events are a search and then a view."""
    rng = np.random.default_rng(seed)
    length = rng.integers(2, 9, sessions)
    start = np.cumsum(length) - length
    types = rng.choice(["search", "view_item"], length.sum()).astype(object)
    prices = np.where(rng.random(length.sum()) < 0.3, np.nan, rng.lognormal(3, 1, length.sum()))
    columns = {"event_type": types, "price": prices}
    cells = np.empty(length.sum(), dtype=object)
    labels = np.zeros(length.sum(), dtype=int)
    for first, n in zip(start, length, strict=True):
        for k in range(first, first + n):
            cells[k] = Prefix(columns, int(first), int(k) + 1)
            labels[k] = k > first and types[k - 1] == "search" and types[k] == "view_item"
    order = rng.permutation(len(cells))
    table = pd.DataFrame({"noise": rng.random(len(cells)), EVENTS: cells})
    return table.iloc[order].reset_index(drop=True), labels[order]


@pytest.mark.parametrize("body", ["gru", "transformer"])
def test_numpy_scores_as_torch_does_however_long_the_session(body):
    torch = pytest.importorskip("torch", reason="needs the extra deep")
    from cartcast.models.sequence.network import Learning, Network

    torch.manual_seed(1)
    net = Network(9, 3, 4, Learning(body, 16, 0, 0, 8, 0.0, 0.0, 0.0, 0)).double().eval()
    with torch.no_grad():
        for part in net.parameters():
            part.add_(0.3 * torch.randn_like(part))
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    rng = np.random.default_rng(0)
    codes, numbers = rng.integers(0, 9, (3, 90, 2)), rng.standard_normal((3, 90, 3))
    with torch.no_grad():
        theirs = net(torch.from_numpy(codes), torch.from_numpy(numbers)).numpy()
    found = states(weights, codes, numbers)
    assert np.ptp(theirs) > 0.5
    np.testing.assert_allclose(found, theirs, atol=1e-6)
    np.testing.assert_allclose(
        states(weights, codes[:, :7], numbers[:, :7]), found[:, :7], atol=1e-12
    )


def test_learns_order_is_causal_and_comes_back_without_torch(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="needs the extra deep")
    X, y = moments()
    money = np.where(X["noise"] > 0.5, 200.0, 20.0)
    model = ClickSequence(**SMALL, epochs=12, rate=0.03, batch=32).fit(X, y, amount=money)
    fresh, truth = moments(150, 1)
    p = model.predict_proba(fresh)[:, 1]
    assert ((p > 0.5) == truth).mean() > 0.95
    np.testing.assert_array_equal(
        clone(model).fit(X, y, amount=money).predict_proba(fresh), model.predict_proba(fresh)
    )
    folder = save(model, tmp_path / "m")
    monkeypatch.setitem(sys.modules, "cartcast.models.sequence.network", None)
    again = load(tmp_path / "m", folder)
    np.testing.assert_array_equal(again.predict_proba(fresh)[:, 1], p)
    early = fresh[[e.stop - e.first <= 2 for e in fresh[EVENTS]]]
    np.testing.assert_allclose(again.predict_proba(early)[:, 1], p[early.index], atol=1e-12)
    paid = again.predict_amount(fresh[truth == 1])
    dear = (fresh["noise"] > 0.5)[truth == 1]
    assert np.median(paid[dear]) > 2 * np.median(paid[~dear])
    following = again.predict_next(fresh)
    assert sorted(following.columns) == ["null", "other", "search", "view_item"]
    np.testing.assert_allclose(following.sum(axis=1), 1.0)
    assert following[["search", "view_item"]].mean().between(0.4, 0.6).all()
    with pytest.raises(UsageError, match="does not read 'brand'"):
        again.predict_next(fresh, "brand")
    with pytest.raises(UsageError, match=r"pip install 'cartcast\[deep\]'"):
        model.fit(X, y)


def test_features_beside_the_events_and_values_never_seen():
    pytest.importorskip("torch", reason="needs the extra deep")
    X, _ = moments(200)
    X["noise"] = X["noise"].where(X["noise"] > 0.1)
    y = (X["noise"] > 0.5).astype(int).to_numpy()
    model = ClickSequence(**SMALL, epochs=8, rate=0.03, batch=32).fit(X, y, np.ones(len(y)))
    p = model.predict_proba(X)[:, 1]
    assert np.mean((p > 0.5) == y) > 0.95
    odd = {
        "event_type": np.array(["search", None, "new"] * 40, dtype=object),
        "price": np.full(120, np.nan),
    }
    cells = np.empty(1, dtype=object)
    cells[0] = Prefix(odd, 0, 120)
    assert 0 < model.predict_proba(pd.DataFrame({"noise": [0.2], EVENTS: cells}))[0, 1] < 1
    blend = Stack.of((("a", model), ("b", model)), np.array([0.5, 0.5]), 0.0)
    np.testing.assert_allclose(blend.predict_proba(X)[:, 1], p, atol=1e-6)


def test_refusals():
    pytest.importorskip("torch", reason="needs the extra deep")
    X, y = moments(20)
    with pytest.raises(DataError, match="'@events' is missing"):
        ClickSequence(**SMALL).fit(X[["noise"]], y)
    with pytest.raises(DataError, match="both classes"):
        ClickSequence(**SMALL).fit(X, np.zeros(len(y)))
    with pytest.raises(UsageError, match="gru or transformer"):
        ClickSequence(body="lstm").fit(X, y)
    empty = X.assign(**{EVENTS: [c._replace(stop=c.first) for c in X[EVENTS]]})
    with pytest.raises(DataError, match="no events"):
        ClickSequence(**SMALL).fit(empty, y)
    with pytest.raises(DataError, match="several logs"):
        ClickSequence(**SMALL).fit(pd.concat([X, moments(20)[0]]), np.r_[y, y])


def test_prefixes_are_the_events_up_to_the_moment(tmp_path):
    made = simulate(200, seed=5)
    own = made.events.append_column("mood", made.events["brand"])
    own = own.append_column("pause", made.events["brand"])
    log = logs.load(own, folder=tmp_path / "log")
    table = log.table().to_pandas()
    chosen = table.sample(100, random_state=0)[["session_id", "event_order"]]
    features = FeatureSet.of([("clicks", Count()), ("mood", Last("mood"))])
    X = pd.DataFrame({"a": np.arange(100.0)}, index=chosen.index)
    found = with_events(X, log, chosen, features)
    assert list(found.columns) == ["a", EVENTS]
    for cell, (session, order) in zip(found[EVENTS], chosen.to_numpy(), strict=True):
        part = table[(table["session_id"] == session) & (table["event_order"] <= order)]
        part = part.sort_values("event_order")
        read = {name: values[cell.first : cell.stop] for name, values in cell.columns.items()}
        assert list(read["event_type"]) == list(part["event_type"])
        assert list(read["mood"]) == [None if pd.isna(v) else v for v in part["brand"]]
        np.testing.assert_array_equal(read["price"], part["price"].to_numpy())
        pause = part["event_time"].diff().dt.total_seconds().to_numpy()
        np.testing.assert_allclose(read[PAUSE], pause)
    assert not {"mood", "pause"} & set(prefixes(log, chosen)[0].columns), "read by no feature"
    with pytest.raises(DataError, match="has no event 9999"):
        prefixes(log, chosen.assign(event_order=9999))
