from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import betabinom

from cartcast.errors import UsageError
from cartcast.evaluate.shrink import Prior, fit_prior, shrunk


def test_the_prior_is_the_likeliest_and_is_found_again():
    rng = np.random.default_rng(4)
    n = rng.integers(5, 400, 600)
    x = rng.binomial(n, rng.beta(2.0, 30.0, len(n)))
    prior = fit_prior(x, n)

    def likelihood(a, b):
        return betabinom.logpmf(x, n, a, b).sum()

    best = likelihood(*prior)
    for up in (0.9, 1.1):
        assert likelihood(prior.a * up, prior.b) < best
        assert likelihood(prior.a, prior.b * up) < best
        assert likelihood(prior.a * up, prior.b * up) < best
    assert prior.a == pytest.approx(2.0, rel=0.2)
    assert prior.b == pytest.approx(30.0, rel=0.2)


def test_a_rate_is_the_mean_of_its_posterior():
    prior, did, of = Prior(2.0, 9.0), 3, 7

    def density(p):
        return p ** (did + prior.a - 1) * (1 - p) ** (of - did + prior.b - 1)

    whole = quad(density, 0, 1)[0]
    told = shrunk(did, of, prior, level=0.9)
    assert told.value == pytest.approx(quad(lambda p: p * density(p), 0, 1)[0] / whole)
    assert quad(density, 0, told.low)[0] / whole == pytest.approx(0.05)
    assert quad(density, told.high, 1)[0] / whole == pytest.approx(0.05)


def test_rates_that_do_not_differ_are_all_one_and_no_rate_is_drawn_to_none():
    prior = fit_prior([10] * 50, [100] * 50)
    assert shrunk(1, 2, prior).value == pytest.approx(0.1, abs=1e-3)
    assert fit_prior([0, 0], [10, 10]) is fit_prior([5], [5]) is fit_prior([], []) is None
    with pytest.raises(UsageError, match="between 0"):
        fit_prior([3], [2])
