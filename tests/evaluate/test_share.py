"""The interval of a share: published values, and what it reaches when visitors come again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from cartcast.errors import UsageError
from cartcast.evaluate.share import Clusters, share, wilson


def shop(rng, visitors, sessions, loyal):
    """Return sessions and buying sessions of each visitor; who is loyal also buys more."""
    taste = rng.normal(size=visitors)
    mean = (sessions - 1) * (np.exp(0.6 * taste - 0.18) if loyal else 1.0)
    n = rng.poisson(mean * np.ones(visitors)) + 1
    return n, rng.binomial(n, 1 / (1 + np.exp(2.0 - 0.9 * taste)))


def clusters(n, x):
    return Clusters(len(n), n.sum(), x.sum(), n @ n, x @ x, n @ x)


def test_wilson_is_the_published_interval():
    # Agresti and Coull 1998: 95 % Wilson of 0 of 10 and of 5 of 10.
    for value, low, high in ((0.0, 0.0, 0.2775), (0.5, 0.2366, 0.7634)):
        found = wilson(value, 10, level=0.95)
        assert float(found[0]) == pytest.approx(low, abs=1e-4)
        assert float(found[1]) == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize("loyal", [False, True])
@pytest.mark.parametrize("sessions", [1, 3, 8, 20])
def test_the_interval_covers_however_often_a_visitor_comes(sessions, loyal):
    n, x = shop(np.random.default_rng(1), 1_000_000, sessions, loyal)
    truth, runs, held, naive = x.sum() / n.sum(), 1200, 0, 0
    rng = np.random.default_rng(2)
    for _ in range(runs):
        n, x = shop(rng, 800, sessions, loyal)
        did, of = int(x.sum()), int(n.sum())
        found, alone = share(did, of, clusters=clusters(n, x)), share(did, of)
        held += found.low <= truth <= found.high
        naive += alone.low <= truth <= alone.high
    assert held / runs == pytest.approx(0.95, abs=0.02)
    if sessions >= 8:
        assert naive / runs < 0.93


def test_rows_and_sums_agree():
    rng = np.random.default_rng(3)
    n, x = shop(rng, 200, 4, loyal=True)
    groups = np.repeat(np.arange(200), n)
    y = (np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) < np.repeat(x, n)) * 1.0
    rows = Clusters.of(y, np.ones(len(y)), groups)
    assert rows.size == pytest.approx(clusters(n, x).size)
    assert rows.freedom == pytest.approx(clusters(n, x).freedom)


def test_the_size_of_equal_and_of_repeated_rows():
    y = (np.random.default_rng(4).uniform(size=300) < 0.2) * 1.0
    assert Clusters.of(y, np.ones(300), np.arange(300)).size == pytest.approx(300, rel=0.01)
    again = Clusters.of(np.repeat(y, 10), np.ones(3000), np.repeat(np.arange(300), 10))
    assert again.size == pytest.approx(300, rel=0.01)
    nobody = Clusters.of(np.zeros(3000), np.ones(3000), np.repeat(np.arange(300), 10))
    assert nobody.size == pytest.approx(300)


def test_a_side_is_as_good_as_the_other():
    n, x = shop(np.random.default_rng(5), 80, 5, loyal=True)
    of, did = int(n.sum()), int(x.sum())
    left, right = (
        share(did, of, clusters=clusters(n, x)),
        share(of - did, of, clusters=clusters(n, n - x)),
    )
    assert (left.low, left.high) == (pytest.approx(1 - right.high), pytest.approx(1 - right.low))


def test_impossible_counts_are_refused():
    with pytest.raises(UsageError, match="got 3 of 2"):
        share(3, 2)
    with pytest.raises(UsageError, match="0 < level < 1, got 1"):
        share(1, 2, level=1)
    assert share(0, 0) == (0, 0, None, None, None)


@pytest.mark.parametrize("of", [1, 2, 7, 40, 1000])
def test_wilson_is_scipys_where_scipy_goes(of):
    for did in sorted({0, 1, of // 3, of}):
        for level in (0.8, 0.95):
            ends = binomtest(did, of).proportion_ci(level, method="wilson")
            np.testing.assert_allclose(wilson(did / of, of, level), ends, atol=1e-12)
