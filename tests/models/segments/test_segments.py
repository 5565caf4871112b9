"""Segments against planted ones, and the refusal of what nobody could use."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from cartcast.errors import DataError, UsageError
from cartcast.evaluate.share import Clusters, share
from cartcast.models.segments import FAMILIES, TableSegments, fit_segments
from cartcast.models.segments.families import Centres, Density, knee_eps
from cartcast.models.segments.quality import choose_k, separation
from cartcast.models.segments.space import Space


def planted(rows=900, seed=0):
    """Three kinds: short and on sale, short and in blouses, long and mixed."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    sale = np.choose(kind, [0.95, 0.03, 0.3]) + rng.uniform(-0.03, 0.03, rows)
    clicks = np.choose(kind, [2.0, 3.0, 40.0]) * rng.lognormal(0, 0.1, rows)
    return pd.DataFrame({"clicks": clicks, "sale": sale, "month": 4.0}), kind


@pytest.mark.parametrize("method", FAMILIES)
def test_every_family_finds_planted_segments(method):
    X, kind = planted()
    found = fit_segments(X, method, 3, order=np.arange(len(X)), rounds=3)
    inside = found.labels >= 0
    assert adjusted_rand_score(kind[inside], found.labels[inside]) > 0.95
    # The knee of the curve may leave a few small islands of DBSCAN beside the three.
    assert found.k == len(found.profiles)
    assert sum(p.share > 0.02 for p in found.profiles) == 3
    assert found.noise < 0.2
    assert found.stability is not None
    assert found.stability > 0.8
    assert found.over_time is not None
    assert found.over_time > 0.8
    sizes = [p.size for p in found.profiles]
    assert sizes == sorted(sizes, reverse=True)
    fresh, fresh_kind = planted(seed=1)
    again = found.model.predict(fresh)
    assert adjusted_rand_score(fresh_kind[again >= 0], again[again >= 0]) > 0.95


def test_k_is_chosen_by_stability_and_silhouette():
    X, kind = planted()
    found = fit_segments(X, rounds=3)
    assert found.k == 3
    assert [k for k, _, _ in found.candidates] == [3, 4, 5, 6, 7, 8]
    assert adjusted_rand_score(kind, found.labels) > 0.95


def test_sentences_are_computed():
    X, kind = planted()
    bought = (kind == 2).astype(float)
    found = fit_segments(X, "kmeans", 3, outcome=bought, amount=bought * 50, currency="EUR",
                         words={"clicks": "visits to pages"}, rounds=2)  # fmt: skip
    long = next(p for p in found.profiles if p.conversion == 1.0)
    assert "many visits to pages (median " in long.sentence
    assert "100 % buy, €50 revenue a session." in long.sentence
    assert long.share == pytest.approx((kind == 2).mean())
    assert long.sentence.startswith(f"{100 * long.share:.0f} % of sessions: ")
    assert long.name == "Many visits to pages"
    assert any(p.name == "Mostly sale" for p in found.profiles)
    assert len({p.name for p in found.profiles}) == 3
    assert found.model.space_.dropped_ == {"month": "calendar"}


def test_noise_is_never_a_segment():
    X, _ = planted(300)
    far = pd.DataFrame({"clicks": [1e6] * 3, "sale": [0.5] * 3, "month": 4.0})
    found = fit_segments(pd.concat([X, far], ignore_index=True), "dbscan", rounds=1)
    assert (found.labels[-3:] == -1).all()
    assert found.k == 3
    assert sum(p.size for p in found.profiles) == (found.labels >= 0).sum()
    assert separation(np.zeros((5, 2)), np.full(5, -1)).silhouette is None


def test_hundreds_of_segments_are_refused():
    points = np.repeat(np.random.default_rng(0).normal(size=(200, 2)) * 100, 12, axis=0)
    with pytest.raises(DataError, match=r"dbscan is refused: it returns 200 segments"):
        Density(eps=0.01, neighbours=5).fit(points)
    with pytest.raises(DataError, match="no segment at all"):
        Density(eps=1e-9, neighbours=5).fit(np.random.default_rng(0).normal(size=(100, 3)))


def test_knee_lies_between_clusters_and_noise():
    rng = np.random.default_rng(0)
    dense = rng.normal(0, 0.1, (500, 2))
    noise = rng.uniform(-10, 10, (25, 2))
    assert 0.02 < knee_eps(np.vstack([dense, noise]), 4) < 1.0


def test_refusals():
    X, _ = planted()
    with pytest.raises(UsageError, match="Did you mean 'kmeans'"):
        fit_segments(X, "kmean")
    with pytest.raises(UsageError, match="at least 2"):
        fit_segments(X, "kmeans", 1)
    with pytest.raises(DataError, match="at least 20 sessions"):
        fit_segments(X[:5])
    with pytest.raises(DataError, match="'nothing' is not in the table"):
        fit_segments(X, columns=["nothing"])
    with pytest.raises(DataError, match="no column is left"):
        fit_segments(X[["month"]])
    with pytest.raises(DataError, match="3 segments need at least 3 different sessions, got 2"):
        Centres(3).fit(np.repeat([[0.0], [1.0]], 20, axis=0))
    model = TableSegments(Space(), Centres(3)).fit(X)
    with pytest.raises(DataError, match="'sale' is missing"):
        model.predict(X.drop(columns="sale"))


def test_few_different_sessions_bound_k():
    Z = np.repeat([[0.0], [1.0], [5.0]], 30, axis=0)
    assert choose_k(Z, FAMILIES["kmeans"].make, rounds=2).k == 3


def test_space_takes_counts_shares_and_categories():
    X = pd.DataFrame(
        {"n": [1.0, 10.0, 100.0, np.nan], "share": [0.0, 0.5, 1.0, 0.5], "c": ["a", "b", "a", None]}
    )
    space = Space(share_weight=2.0).fit(X)
    Z = space.transform(X)
    assert (space.counts_, space.shares_, space.categories_) == (
        ["n"],
        ["share"],
        {"c": ["a", "b"]},
    )
    np.testing.assert_allclose(Z[:, 1], [0, 1, 2, 1])
    np.testing.assert_allclose(Z[:, 2:], [[2, 0], [0, 2], [2, 0], [0, 0]])
    assert Z[3, 0] == Z[1, 0]  # Null becomes the median.


def test_the_interval_of_a_conversion_counts_visitors():
    """Eight sessions of one visitor are one visitor: the interval is as wide as theirs."""
    X, _ = planted(1600)
    bought = (np.random.default_rng(0).uniform(size=200) < 0.3) * 1.0
    visitors = np.repeat(np.arange(200), 8)
    options = {"k": 3, "outcome": np.repeat(bought, 8), "rounds": 2}
    alone = fit_segments(X, "kmeans", **options).profiles[0]
    found = fit_segments(X, "kmeans", groups=visitors, **options).profiles[0]
    assert found.conversion == alone.conversion
    inside = fit_segments(X, "kmeans", **options).labels == 0
    known = Clusters.of(options["outcome"][inside], np.ones(inside.sum()), visitors[inside])
    ends = share(round(known.x), round(known.n), clusters=known)
    assert found.conversion_interval == pytest.approx((ends.low, ends.high))
    low, high = found.conversion_interval
    assert high - low > 1.3 * (alone.conversion_interval[1] - alone.conversion_interval[0])
    assert fit_segments(X, "kmeans", 3, rounds=2).profiles[0].conversion_interval is None


def shop(seed=0, rows=1200):
    """Four kinds of visit that a marketer would tell apart, and the name that each deserves."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, rows)
    table = pd.DataFrame(
        {
            "clicks": np.choose(kind, [2, 5, 5, 20]) + rng.integers(0, 2, rows) * (kind > 0),
            "items": np.choose(kind, [1, 2, 2, 6]) * 1.0,
            "carts": np.choose(kind, [0, 0, 0, 2]) * rng.integers(1, 3, rows),
            "searches": rng.integers(0, 2, rows) * (kind == 2),
            "dresses": np.choose(kind, [0.0, 0.9, 0.05, 0.2]) + rng.uniform(0, 0.05, rows),
            "device": np.where(kind == 2, "desktop", "mobile"),
        }
    )
    return table, kind


@pytest.mark.parametrize("seed", range(4))
def test_names_are_what_a_marketer_would_say(seed):
    X, kind = shop(seed)
    found = fit_segments(X, "kmeans", 4, outcome=(kind == 3) * 0.5, rounds=1, seed=seed)
    names = {int(np.median(kind[found.labels == p.label])): p.name for p in found.profiles}
    assert names[0] == "Short visits: one item, two clicks"
    assert names[1] == "Mostly dresses"
    assert names[2] == "Mostly desktop"
    assert names[3].startswith("Many carts")
    for p in found.profiles:
        assert not re.search(r"_|share of|\d%|\bvery\b", p.name + p.sentence), p.sentence
        for here, everyone in re.findall(
            r"\((?:median |mean )?(\S+(?: %)?), all sessions (.+?)\)", p.sentence
        ):
            assert here != everyone, p.sentence


def test_names_stay_apart_when_segments_look_alike():
    """Two segments that stand out in the same way still get names of their own."""
    from cartcast.models.segments.profiles import profiles

    X, _ = shop()
    space = Space().fit(X)
    labels = np.arange(len(X)) % 5
    names = [p.name for p in profiles(X, labels, space)]
    assert len(set(names)) == 5
    assert all(n[0].isupper() for n in names)
