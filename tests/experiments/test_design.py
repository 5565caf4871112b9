"""Power and design against published values, statsmodels' closed forms typed in, and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.experiments.design import design
from cartcast.experiments.plan import plan_from
from cartcast.experiments.power import detectable, needed, power, sequential_cost


def test_published_power() -> None:
    # spotify/confidence test_chisquared.py, from G*Power
    v = 0.34 * 0.66
    assert power(0.01, v, v, 225_725, 22_572, alpha=0.03) == pytest.approx(0.8034, abs=1e-4)
    assert power(0.03, 45, 45, 859_896, 859_896) == pytest.approx(0.8345828, abs=1e-6)
    # tea-tasting 2.0.0, Mean("orders") on make_users_data(rng=42): least relative effect with
    # 10,000 units 8.8 %; 5 % needs 30,744 units, with the covariate 19,516.
    mean, variance = 0.5515, 0.7446
    assert detectable(variance, variance, 5000, 5000) / mean == pytest.approx(0.088, abs=5e-4)
    assert needed(0.05 * mean, variance, variance) == pytest.approx(30_744, rel=0.01)


def test_power_needed_and_detectable_agree() -> None:
    for share, sides in ((0.5, 2), (0.2, 1)):
        n = needed(0.1, 2.0, 3.0, share=share, alpha=0.01, wanted=0.9, sides=sides)
        sizes = n * (1 - share), n * share
        assert power(0.1, 2, 3, *sizes, alpha=0.01, sides=sides) == pytest.approx(0.9, abs=1e-4)
        found = detectable(2, 3, *sizes, alpha=0.01, wanted=0.9, sides=sides)
        assert found == pytest.approx(0.1, rel=1e-4)
    # Textbook: (1.96 + .8416)^2 * 2 * 2 variance / effect^2.
    assert needed(0.1, 1, 1) == pytest.approx((1.959964 + 0.841621) ** 2 * 4 / 0.01, abs=1)
    assert power(0.0, 1, 1, 10, 10) == pytest.approx(0.05)
    assert 1.9 < sequential_cost(50_000) < 2.3


PLAN = {"key": "d", "arms": ["a", "b"], "metrics": {
    "money": {"mean": "money", "covariate": "before"}, "bought": {"proportion": "bought"},
    "rate": {"ratio": "bought", "by": "visits"}, "high": {"quantile": "money"}}}  # fmt: skip


@pytest.fixture(scope="module")
def past() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    n = 3000
    love = rng.gamma(2, size=n)
    bought = (rng.random(n) < 0.15 * love / (0.5 + love)).astype(float)
    return {"money": love * rng.gamma(2, 5, size=n), "before": love, "bought": bought,
            "visits": 1.0 + rng.poisson(2, size=n)}  # fmt: skip


@pytest.mark.parametrize("metric", ["money", "bought", "rate"])
def test_drawn_and_formula_agree(past, metric: str) -> None:
    d = design(past, plan_from(PLAN), metric, weeks=4, relative=0.12, draws=400)
    assert d.units_a_week == 750
    assert 0.02 <= d.false_alarms <= 0.09
    assert d.drawn_power == pytest.approx(d.formula_power, abs=0.08)
    assert d.power >= 0.8
    assert d.weeks == np.ceil(d.needed / 750)
    assert d.detectable <= d.effect
    assert d.weeks <= d.looks_weeks <= d.always_valid_weeks
    assert bool(d.findings) == (d.weeks > 8)


def test_the_covariate_shortens_the_test(past) -> None:
    with_it = design(past, plan_from(PLAN), "money", weeks=4, relative=0.05, draws=0)
    plan = plan_from({**PLAN, "metrics": {"money": {"mean": "money"}}})
    without = design(past, plan, "money", weeks=4, relative=0.05, draws=0)
    assert with_it.explained > 0.3
    assert with_it.needed == pytest.approx(without.needed * (1 - with_it.explained), rel=1e-3)
    assert with_it.false_alarms is None


def test_worth_in_money(past) -> None:
    d = design(past, plan_from(PLAN), "money", weeks=4, worth=1000, draws=0)
    assert d.effect * 750 * 30 / 7 == pytest.approx(1000)
    assert d.worth == pytest.approx(1000)
    # A tenth of the units takes part: the money is that of all, the test has that tenth.
    part = {**PLAN, "coverage": 0.2, "holdout": {"name": "h", "share": 0.5}}
    few = design(past, plan_from(part), "money", weeks=4, worth=1000, draws=0)
    whole = design(past, plan_from({**PLAN, "coverage": 1}), "money", weeks=4, worth=1000, draws=0)
    assert (few.effect, few.worth) == pytest.approx((whole.effect, 1000))
    assert few.units_a_week == pytest.approx(whole.units_a_week / 10)
    tiny = design(past, plan_from(PLAN), "bought", weeks=4, relative=0.01, draws=0)
    (told,) = tiny.findings
    assert told.code == "XP117"
    assert tiny.worth is None


def test_what_cannot_be_designed(past) -> None:
    plan = plan_from(PLAN)
    few = {k: v[:50] for k, v in past.items()}
    none = {**past, "money": np.zeros(3000)}
    for bad, error, message in (
        (lambda: design(few, plan, "money", weeks=1, relative=0.1), DataError, "50 units; 60 are"),
        (
            lambda: design(none, plan, "money", weeks=1, relative=0.1),
            DataError,
            "no room to differ",
        ),
        (lambda: design(past, plan, "high", weeks=1, relative=0.1), UsageError, "mean, proportion"),
        (lambda: design(past, plan, "money", weeks=1), UsageError, "one of relative=0.02"),
        (lambda: design(past, plan, "money", weeks=0, relative=0.1), UsageError, "weeks must be"),
        (lambda: design(past, plan, "money", weeks=1, relative=-1), UsageError, "positive"),
        (lambda: needed(0, 1, 1), UsageError, "needs an effect"),
        (lambda: power(1, -1, 1, 5, 5), UsageError, "variances"),
        (lambda: power(1, 1, 1, 5, 5, alpha=2), UsageError, "0 < alpha < 1"),
        (lambda: detectable(1, 1, 5, 5, wanted=1.0), UsageError, "between alpha and 1"),
    ):
        with pytest.raises(error, match=message):
            bad()
