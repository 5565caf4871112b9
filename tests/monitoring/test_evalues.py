"""E-values have mean at most 1 under the null, and e-BH is what its definition says."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.integrate import quad

from cartcast.errors import UsageError
from cartcast.monitoring.evalues import e_bh, e_value


def test_the_mean_of_an_e_value_is_one() -> None:
    # By parts on a logarithmic scale, since the value is about 1 / (p log(p)^2) near 0; the part
    # below exp(-L) has mean 1 / L.
    total = quad(lambda u: float(e_value(np.exp(-u))) * np.exp(-u), 0, 600, limit=500)[0]
    assert total + 1 / 600 == pytest.approx(1.0, abs=1e-5)


def test_e_values_fall_with_p_and_are_smooth_near_one() -> None:
    p = np.r_[10.0 ** -np.arange(1, 300, 7), 1 - 10.0 ** -np.arange(1.0, 12.0)]
    e = e_value(np.sort(p))
    assert (np.diff(e) <= 1e-9).all()
    assert float(e_value(0.0)) > 1e290


def test_e_bh_by_its_definition() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        values = dict(zip("abcdef", np.exp(rng.normal(1.5, 2, 6)), strict=True))
        best: set[str] = set()
        for k in range(1, 7):
            for names in combinations(values, k):
                if all(values[n] >= 6 / (0.1 * k) for n in names):
                    best = set(names)
        assert set(e_bh(values, 0.1)) == best


def test_false_discoveries_under_dependence() -> None:
    rng = np.random.default_rng(4)
    wrong = []
    for _ in range(2000):
        shared = rng.exponential()
        values = {f"n{k}": (shared if k < 20 else rng.exponential()) for k in range(30)}
        wrong.append(bool(e_bh(values, 0.2)))
    assert np.mean(wrong) <= 0.2


def test_bad_values() -> None:
    with pytest.raises(UsageError, match="0 < level < 1"):
        e_bh({"a": 1.0}, 1.2)
    with pytest.raises(UsageError, match="negative"):
        e_bh({"a": float("nan")})
    assert e_bh({}) == []
