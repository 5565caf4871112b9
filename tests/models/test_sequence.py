"""The sequence model: causal, learns what order tells, comes back the same from disk."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, NotFoundError, NotTrustedError, UsageError
from cartcast.models.sequence import ClickSequence

HERE = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HERE, reason="needs the extra deep (torch)")


def events(sessions: int = 300, seed: int = 0):
    """A session buys when its last two events are a search and then a view: order matters."""
    rng = np.random.default_rng(seed)
    parts, labels = [], []
    for s in range(sessions):
        n = int(rng.integers(2, 9))
        types = rng.choice(["search", "view_item"], n)
        parts.append(
            pd.DataFrame(
                {
                    "session_id": f"s{s}",
                    "event_order": range(1, n + 1),
                    "event_type": types,
                    "category": rng.choice(np.array(["a", "b", None], dtype=object), n),
                    "price": np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(3, 1, n)),
                }
            )
        )
        before = np.concatenate([[""], types[:-1]])
        labels.append((before == "search") & (types == "view_item"))
    table = pd.concat(parts, ignore_index=True)
    order = rng.permutation(len(table))
    return table.iloc[order].reset_index(drop=True), np.concatenate(labels).astype(int)[order]


@pytest.mark.skipif(HERE, reason="torch is installed")
def test_without_torch_the_extra_is_named():
    table, y = events(5)
    with pytest.raises(UsageError, match="needs the extra 'deep'"):
        ClickSequence().fit(table, y)


@needs_torch
def test_learns_order_and_is_causal_and_comes_back(tmp_path):
    table, y = events()
    model = ClickSequence(hidden=16, epochs=10, batch=64, rate=0.02).fit(table, y)
    fresh, truth = events(150, 1)
    p = model.predict_proba(fresh)[:, 1]
    assert ((p > 0.5) == truth).mean() > 0.95
    early = fresh[fresh["event_order"] <= 2]
    alone = model.predict_proba(early.reset_index(drop=True))[:, 1]
    np.testing.assert_allclose(alone, p[early.index], atol=1e-6)
    again = ClickSequence.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_proba(fresh), model.predict_proba(fresh))
    twin = ClickSequence(hidden=16, epochs=10, batch=64, rate=0.02).fit(table, y)
    np.testing.assert_array_equal(twin.predict_proba(fresh), model.predict_proba(fresh))
    (tmp_path / "m" / "weights.npz").write_bytes(b"x")
    with pytest.raises(NotTrustedError, match="damaged"):
        ClickSequence.load(tmp_path / "m")
    with pytest.raises(NotFoundError):
        ClickSequence.load(tmp_path / "none")


@needs_torch
def test_refusals():
    table, y = events(20)
    with pytest.raises(DataError, match="'price' is missing"):
        ClickSequence().fit(table.drop(columns="price"), y)
    with pytest.raises(DataError, match="both classes"):
        ClickSequence().fit(table, np.zeros(len(y)))
