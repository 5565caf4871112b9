"""Shares with few events: every outcome is enumerated, so error and coverage are known exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cartcast.errors import DataError
from cartcast.experiments.analysis import analyze
from cartcast.experiments.bernoulli import share_sequence
from cartcast.experiments.decision import decide
from cartcast.experiments.difference import Linear, compare
from cartcast.experiments.exact import Yes, always_valid_share, exact_share, few_events
from cartcast.experiments.plan import plan_from


def test_published_fisher() -> None:
    # tea-tasting 2.0.0 tests/metrics: 19 of 53 and 13 of 47 of make_users_data(n_users=100, rng=42)
    e = exact_share(Yes(19, 53), Yes(13, 47))
    assert e.p_value == pytest.approx(0.3999948918153569, abs=1e-12)
    assert e.low < 0 < e.high


def test_published_score_interval() -> None:
    # Newcombe 1998, table II, method 10: (d) 9/10 v 3/10 and (b) 56/70 v 48/80.
    for treatment, control, low, high in (
        (Yes(9, 10), Yes(3, 10), 0.1705, 0.8090), (Yes(56, 70), Yes(48, 80), 0.0524, 0.3339),
    ):  # fmt: skip
        e = exact_share(control, treatment)
        assert (e.low, e.high) == pytest.approx((low, high), abs=5e-5)


def outcomes(n: tuple[int, int], rates: tuple[float, float], most: int = 40):
    """Every pair of counts with its chance."""
    arms = [stats.binom.pmf(np.arange(most), k, r / k) for k, r in zip(n, rates, strict=True)]
    for x, p in enumerate(arms[0]):
        for y, q in enumerate(arms[1]):
            if p * q > 1e-7:
                yield Yes(x, n[0]), Yes(y, n[1]), p * q


def normal(a: Yes, b: Yes):
    arms = [Linear.plain(k.of, k.value, k.value * (1 - k.value)) for k in (a, b)]
    return compare(*arms).absolute


def rates(n: tuple[int, int], expected: tuple[float, float]) -> dict[str, float]:
    """Chance that each test finds a difference, and that our interval holds the true one."""
    truth = expected[1] / n[1] - expected[0] / n[0]
    out = {"normal": 0.0, "ours": 0.0, "covered": 0.0}
    for a, b, chance in outcomes(n, expected):
        plain = normal(a, b)
        ours = exact_share(a, b) if few_events(a, b) else plain
        if a.yes + b.yes:
            out["normal"] += chance * plain.excludes_null
            out["ours"] += chance * ours.excludes_null
            assert ours.excludes_null == (ours.p_value < 0.05)
        out["covered"] += chance * (not a.yes + b.yes or ours.low <= truth <= ours.high)
    return out


def test_false_alarms_and_coverage_with_few_events() -> None:
    even = [rates((1000, 1000), (k, k)) for k in (2.0, 8.0)]
    for found in even:
        assert found["ours"] <= 0.05
        assert found["covered"] >= 0.95
    # Arms of 10 % and 90 %: Welch's interval is wrong far too often there.
    uneven = rates((500, 4500), (1.5, 13.5))
    assert uneven["normal"] > 0.15
    assert uneven["ours"] <= 0.05
    assert rates((1000, 1000), (3.0, 14.0))["covered"] >= 0.945
    assert rates((1000, 1000), (3.0, 14.0))["ours"] > 0.6  # what is there is found


def test_always_valid_is_that_of_both_arms() -> None:
    a, b = Yes(2, 400), Yes(31, 400)
    found = always_valid_share(exact_share(a, b), a, b, 800)
    ends = [share_sequence(*arm, 400, level=0.975) for arm in (a, b)]
    assert (found.low, found.high) == (ends[1].low - ends[0].high, ends[1].high - ends[0].low)
    assert found.excludes_null == (found.p_value < 0.05)
    # The p-value is the least error at which zero is left out.
    level = 1 - found.p_value
    moved = always_valid_share(exact_share(a, b, level=level), a, b, 800)
    assert moved.low == pytest.approx(0, abs=1e-4)
    same = Yes(3, 400)
    assert always_valid_share(exact_share(same, same), same, same, 800).p_value == 1.0


PLAN = {"key": "rare", "arms": ["a", "b"], "metrics": {"bought": {"proportion": "bought"}}}


def units(yes: tuple[int, int], n: int = 1000) -> pd.DataFrame:
    bought = [np.arange(n) < k for k in yes]
    return pd.DataFrame({"arm": np.repeat(["a", "b"], n), "bought": np.concatenate(bought) * 1.0})


def test_the_analysis_is_exact_where_events_are_few() -> None:
    c = analyze(units((2, 14)), plan_from(PLAN)).get("bought", "b")
    assert c.exact
    assert c.difference.absolute == exact_share(Yes(2, 1000), Yes(14, 1000))
    assert c.adjusted == c.difference.absolute.p_value
    assert (c.difference.relative, c.posterior, c.guardrail) == (None, None, None)
    enough = analyze(units((10, 14)), plan_from(PLAN)).get("bought", "b")
    assert not enough.exact
    looked = plan_from({**PLAN, "looks": [0.5, 1.0], "expected_units": 4000})
    analysis = analyze(units((2, 14)), looked)
    assert decide(analysis, looked, "bought").action == "wait"
    with pytest.raises(DataError, match="needs 0 and 1"):
        analyze(units((2, 14)).assign(bought=lambda d: d.bought * 3), plan_from(PLAN))
