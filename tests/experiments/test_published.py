"""Statistics against the published test cases of other tools; file and value are named.

growthbook = growthbook/growthbook packages/stats/tests; posthog = PostHog
products/experiments/stats/tests; confseq = gostevehoward/confseq test/uniform_boundaries_unittest.cpp;
confidence = spotify/confidence tests/frequentist; tea-tasting = e10v/tea-tasting 2.0.0, run on its
own `make_users_data(rng=42)`, whose sufficient statistics stand below.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cartcast.errors import DataError
from cartcast.experiments.bayes import Prior, posterior
from cartcast.experiments.bernoulli import log_evidence, share_sequence, tuned_rho
from cartcast.experiments.corrections import adjust, adjust_within
from cartcast.experiments.difference import Estimate, compare
from cartcast.experiments.group_sequential import looks
from cartcast.experiments.metrics import Mean, Metric, Proportion, Ratio
from cartcast.experiments.moments import Moments
from cartcast.experiments.power import detectable, needed
from cartcast.experiments.quantiles import from_bounds
from cartcast.experiments.sample_ratio import chi_squared, sample_ratio, sequential
from cartcast.experiments.sequence import always_valid, width_factor


def one(n: int, total: float, squares: float) -> Moments:
    return Moments.from_sums(n, {"y": total}, {("y", "y"): squares})


def share(yes: int, n: int) -> Moments:
    return one(n, yes, yes)


def two(n: int, y: float, yy: float, x: float, xx: float, xy: float) -> Moments:
    products = {("y", "y"): yy, ("x", "x"): xx, ("x", "y"): xy}
    return Moments.from_sums(n, {"y": y, "x": x}, products)


def difference(metric: Metric, a: Moments, b: Moments, **options):
    both = a + b
    return compare(metric.linear(a, both), metric.linear(b, both), **options)


def near(estimate: Estimate | None, value, low, high, p, atol=6e-6, error=None) -> None:
    assert estimate is not None
    found = (estimate.value, estimate.low, estimate.high, estimate.p_value)
    assert np.allclose(found, (value, low, high, p), rtol=0, atol=atol), found
    if error is not None:
        assert estimate.error == pytest.approx(error, abs=atol)


A, B = one(3407, 1396.87, 52377.9767), one(3461, 2422.7, 134698.29)
A3 = one(3000, 1396.87, 52377.9767)


def test_growthbook_fixed() -> None:  # frequentist/test_tests.py
    d = difference(Mean("y"), A, B)
    near(d.relative, 0.70732, -0.03526, 1.44989, 0.06191, error=0.37879)
    near(d.absolute, 0.29, 0.04538, 0.53462, 0.02016, error=0.12478)
    d = difference(Proportion("y"), share(14, 28), share(16, 30))
    near(d.relative, 0.06667, -0.47767, 0.61101, 0.80707, error=0.2717)
    d = difference(Mean("y"), A3, B, alternative="greater")
    near(d.relative, 0.5033610858562358, -0.045136675850396046, math.inf, 0.06558262868467746, 1e-9)
    near(d.absolute, 0.23437666666666668, 0.020791480063255735, math.inf, 0.03554272489873023, 1e-9)
    d = difference(Mean("y"), A3, B, alternative="less")
    near(d.relative, 0.5033610858562358, -math.inf, 1.0518588475628676, 0.9344173713153225, 1e-9)
    near(d.absolute, 0.23437666666666668, -math.inf, 0.44796185327007765, 0.9644572751012698, 1e-9)


def test_growthbook_sequential() -> None:  # frequentist/test_tests.py
    d = difference(Mean("y"), A3, B)
    near(always_valid(d.relative, 6461, 1000), 0.50336, -0.55844, 1.56516, 1)
    d = difference(Proportion("y"), share(1396, 3000), share(2422, 3461))
    near(always_valid(d.relative, 6461, 5000), 0.50386, 0.40098, 0.60675, 0)
    d = difference(Mean("y"), A3, B, alternative="greater")
    found = always_valid(d.relative, 6461, 5000)
    assert found.low == pytest.approx(-0.42356454602790883, abs=1e-12)
    # theirs is .4999: the search for the p-value stops there; the inversion goes on.
    assert found.p_value == pytest.approx(0.86035, abs=1e-5)
    found = always_valid(d.absolute, 6461, 5000)
    assert found.low == pytest.approx(-0.12656844172804982, abs=1e-12)
    # theirs comes from a bisection that stops at 1e-4.
    assert found.p_value == pytest.approx(0.46316491943359384, abs=2e-4)
    d = difference(Mean("y"), A3, B, alternative="less")
    assert always_valid(d.relative, 6461).high == pytest.approx(1.4302867177403806, abs=1e-12)
    assert always_valid(d.absolute, 6461).high == pytest.approx(0.5953217750613832, abs=1e-12)
    adjusted = (
        two(3000, 1396.87, 52377.9767, 16.87, 527.9767, 1),
        two(3461, 2422.7, 134698.29, 22.7, 1348.29, 1),
    )
    d = difference(Mean("y", "x"), *adjusted)
    near(always_valid(d.relative, 6461), 0.50338, -0.50969, 1.51646, 1, atol=2e-5)


@pytest.mark.parametrize(("alternative", "sign"), [("two-sided", 1), ("greater", 1), ("less", -1)])
def test_sequential_p_value_inverts_its_interval(alternative: str, sign: int) -> None:
    fixed = difference(Mean("y"), A3, B, alternative=alternative).absolute
    for z in (2.0, 3.5, 6.0):
        moved = Estimate(sign * z, 1.0, 0, 0, 1, alternative=alternative, level=fixed.level)
        found = always_valid(moved, 6461)
        assert (found.p_value < 0.05) == found.excludes_null


def quotient(n: int, m: float, d: float, mm: float, dd: float, md: float) -> Moments:
    mean = np.array([m, d]) / n
    cov = (np.array([[mm, md], [md, dd]]) - n * np.outer(mean, mean)) / (n - 1)
    return Moments(n, ("m", "d"), mean, cov)


def test_growthbook_counts_and_ratios() -> None:  # test_gbstats.py
    a, b = one(100, 270, 848.79), one(120, 300, 869)
    d = difference(Mean("y"), a, b).relative
    assert (d.value, d.p_value) == pytest.approx((-0.074074074, 0.145219005), abs=5e-10)
    p = posterior(d)
    assert p.chance_better == pytest.approx(0.071834168, abs=5e-10)
    assert p.loss_if_shipped == pytest.approx(0.075691131, abs=5e-10)
    s = always_valid(d, 220, 600)
    assert (s.p_value, s.low) == pytest.approx((0.892332229, -0.233322085), abs=5e-10)
    # The ratio's denominators have sums of squares that no units have: a negative variance. The
    # figures come out all the same where the contradiction is let through; here it is refused.
    with pytest.raises(DataError, match="d: the sum of squares is too small"):
        Moments.from_sums(100, {"d": 510}, {("d", "d"): 810})
    d = difference(Ratio("m", "d"), quotient(100, 270, 510, 848.79, 810, -900),
                   quotient(120, 300, 500, 869, 800, -905))  # fmt: skip
    assert (d.control, d.treatment) == pytest.approx((0.529411765, 0.6), abs=5e-10)
    assert d.relative.value == pytest.approx(0.133333333, abs=5e-10)
    assert d.relative.p_value == pytest.approx(0.610663339, abs=5e-10)
    assert posterior(d.relative).chance_better == pytest.approx(0.694926359, abs=5e-10)


GROWTHBOOK_RATIOS = {  # frequentist/test_tests.py, test_two_sided_ttest_test_runs_ratio_ra
    "a": (485.112236689623, 679.9093275844917, 192.59138069991536, 290.1398399750233,
          2715.484666118136, 4939.424001640236, 460.076026390857, 920.9461385038898,
          1113.6215759318352, 2130.9404074446747, 634.239482353647, 3602.146836776702,
          1559.2878434944676, 1460.3181079276983),
    "b": (514.7757826608777, 705.4090874383759, 206.94157227402536, 302.54389139107326,
          2994.897482705013, 5291.36604146392, 514.2903702246757, 994.4506208125663,
          1237.0953021125997, 2292.081739775257, 698.4173425817908, 3918.1561431600717,
          1701.0287270040265, 1604.0759503266522),
}  # fmt: skip


def ratio_moments(which: str) -> Moments:
    m, d, mp, dp, mm, dd, mpmp, dpdp, m_mp, d_dp, mp_dp, m_d, m_dp, mp_d = GROWTHBOOK_RATIOS[which]
    products = {
        ("m", "m"): mm, ("d", "d"): dd, ("mp", "mp"): mpmp, ("dp", "dp"): dpdp, ("m", "mp"): m_mp,
        ("d", "dp"): d_dp, ("mp", "dp"): mp_dp, ("m", "d"): m_d, ("m", "dp"): m_dp, ("mp", "d"): mp_d,
    }  # fmt: skip
    return Moments.from_sums(100, {"m": m, "d": d, "mp": mp, "dp": dp}, products)


class WithinArms(Ratio):
    """GrowthBook weighs the covariate within the arms, here over both arms together."""

    def theta(self, pooled: Moments) -> float:
        def gradient(m: Moments, top: str, bottom: str) -> np.ndarray:
            value = m.mean_of(top) / m.mean_of(bottom)
            return (m.unit(top) - value * m.unit(bottom)) / m.mean_of(bottom)

        arms = [ratio_moments("a"), ratio_moments("b")]
        before = [gradient(m, "mp", "dp") for m in arms]
        both = [gradient(m, "m", "d") @ m.cov @ g for m, g in zip(arms, before, strict=True)]
        alone = [g @ m.cov @ g for m, g in zip(arms, before, strict=True)]
        return float(sum(both) / sum(alone))


def test_growthbook_ratio_with_covariates() -> None:  # frequentist/test_tests.py
    theirs = WithinArms("m", "d", "mp", "dp")
    d = difference(theirs, ratio_moments("a"), ratio_moments("b"))
    near(d.relative, -0.0007, -0.00841, 0.00700, 0.85771, error=0.00391)
    near(always_valid(d.relative, 200), -0.0007, -0.02063, 0.01923, 1.0)
    ours = difference(Ratio("m", "d", "mp", "dp"), ratio_moments("a"), ratio_moments("b"))
    near(ours.relative, -0.0007, -0.00841, 0.00700, 0.85600, atol=2e-5)


def growthbook_cuped_variance(metric: Mean, a: Moments, b: Moments) -> float:
    """Their formula (gbstats/models/tests.py): the raw lift in place of the adjusted one."""
    theta = metric.theta(a + b)
    lift = b.mean_of("y") / a.mean_of("y")
    v = [m.cov[0, 0] + theta**2 * m.cov[1, 1] - 2 * theta * m.cov[0, 1] for m in (a, b)]
    own = a.cov[0, 0] * lift**2 - 2 * theta * a.cov[0, 1] * lift + theta**2 * a.cov[1, 1]
    assert own != v[0]
    return (v[1] / b.n + own / a.n) / a.mean_of("y") ** 2


def test_growthbook_cuped() -> None:  # test_gbstats.py
    a, b = two(3001, 300, 600, 210, 415, -20), two(3000, 222, 555, 120, 405, -10)
    metric = Mean("y", "x")
    d = difference(metric, a, b).relative
    assert metric.theta(a + b) == pytest.approx(-0.07321194, abs=5e-9)
    assert d.value == pytest.approx(-0.281707154, abs=5e-10)
    # sd of the first arm; the control's of the file is that of the third arm's weight.
    assert metric.pair(a, b)[1].variance ** 0.5 == pytest.approx(0.423529598, abs=5e-10)
    # The delta method; theirs (below) takes the lift before the adjustment. Both cover.
    assert d.p_value == pytest.approx(0.003374649, abs=5e-10)
    z = d.value / math.sqrt(growthbook_cuped_variance(metric, a, b))
    assert 2 * stats.t.sf(-z, d.degrees) == pytest.approx(0.003732549, abs=2e-9)
    a, b = two(3001, 300, 300, 210, 210, -20), two(3000, 222, 222, 120, 120, -10)
    share = Proportion("y", "x")
    d = difference(share, a, b).relative
    assert d.value == pytest.approx(-0.31620216, abs=5e-9)
    z = d.value / math.sqrt(growthbook_cuped_variance(share, a, b) * 3000 / 3001)
    assert 2 * stats.t.sf(-z, d.degrees) == pytest.approx(0.000000353, abs=5e-10)


def test_posthog_units() -> None:  # test_cuped.py, unit cases
    m = two(5, 14, 48, 28.5, 520.3, 85.2)
    assert m.cov[0, 1] == pytest.approx(1.35)
    assert Mean("y", "x").theta(m + m) == pytest.approx(0.015090122, abs=5e-10)
    u = np.array([1, -0.31])
    assert (u @ m.mean, u @ m.cov @ u) == pytest.approx((1.033, 9.960346), abs=5e-7)


def test_posthog() -> None:  # test_cuped.py (commit 3c07235), test_frequentist.py
    a, b = two(2801, 280, 560, 195, 390, -18), two(2800, 205, 510, 110, 380, -8)
    metric = Mean("y", "x")
    d = difference(metric, a, b)
    theta = metric.theta(a + b)
    assert theta == pytest.approx(-0.069566052, abs=5e-10)
    # Theirs are not centred; the difference of the two is the same.
    centre = theta * (a + b).mean_of("x")
    assert d.control - centre == pytest.approx(0.104807347, abs=5e-10)
    assert d.treatment - centre == pytest.approx(0.075947238, abs=5e-10)
    assert d.relative.value == pytest.approx(-0.288704169, abs=5e-10)
    # Their interval (-.486775, -.090633) puts uncentred means in and is wrong: see the coverage
    # tests. With the correct variance it is
    assert (d.relative.low, d.relative.high) == pytest.approx((-0.482034, -0.095375), abs=5e-7)
    d = difference(Mean("y"), one(2507, 1196.87, 37377.9767), one(2461, 1922.7, 94698.29))
    near(d.relative, 0.63646, -0.0875, 1.36048, 0.08487, atol=5e-5)
    d = difference(Proportion("y"), share(87, 1529), share(62, 1471))
    near(d.relative, -0.25925, -0.49475, -0.02376, 0.03096, atol=1e-5)


def test_growthbook_bayes() -> None:  # bayesian/test_tests.py
    p = posterior(difference(Proportion("y"), share(49, 100), share(51, 100)).relative)
    found = (p.mean, p.deviation, p.low, p.high, p.chance_better, p.loss_if_kept, p.loss_if_shipped)
    assert found == pytest.approx(
        (0.04082, 0.14725, -0.24779, 0.32943, 0.60918, 0.0814, 0.04058), abs=6e-6
    )
    effect = difference(Mean("y"), one(10, 100, 1002.25), one(10, 105, 1111.5)).relative
    p = posterior(effect)
    assert (p.mean, p.chance_better) == pytest.approx((0.05, 0.91923), abs=6e-6)
    p = posterior(effect, Prior(0.1, math.sqrt(0.1)))
    found = (p.mean, p.low, p.high, p.chance_better, p.loss_if_kept, p.loss_if_shipped)
    assert found == pytest.approx((0.05063, -0.01893, 0.12019, 0.92315, 0.05186, 0.00123), abs=6e-6)
    lower = posterior(effect, higher=False)
    assert lower.chance_better == pytest.approx(1 - 0.91923, abs=6e-6)


def test_growthbook_quantile() -> None:  # bayesian/test_tests.py
    c = from_bounds(11054, 7.157987489967789, 7.098780136176828, 7.217194843758751)
    t = from_bounds(10861, 7.694499927525767, 7.64180598628119, 7.747193868770344)
    p = posterior(compare(c, t).absolute)
    assert (p.mean, p.low, p.high) == pytest.approx(
        (0.5365124375579775, 0.4572559589115422, 0.6157689162044128), abs=1e-12
    )
    p = posterior(compare(c, t).relative, Prior(0, 1000))
    assert (p.mean, p.low) == pytest.approx((0.07495297222736319, 0.06341005842481906), abs=1e-9)
    # Their prior of variance 1 is on the relative scale: the control's quantile carries it over.
    p = posterior(compare(c, t).absolute, Prior(0, c.value))
    assert (p.mean, p.low, p.high) == pytest.approx(
        (0.536495315442269, 0.4572401014910488, 0.6157505293934892), abs=1e-12
    )


@pytest.mark.parametrize(
    ("units", "weights", "p"),
    [
        ([1000, 1200], [0.5, 0.5], 0.000020079),
        ([135, 115], [0.5, 0.5], 0.205903211),
        ([310, 98], [0.75, 0.25], 0.647434186),
        ([500, 500, 600], [0.34, 0.33, 0.33], 0.000592638),
        ([0, 10, 10], [0.34, 0.33, 0.33], 0.005790624),
        ([1000, 1200, 900], [0.5, 0.5, 0], 0.000020079),
        ([5], [1], 1),
        ([0, 0], [0.5, 0.5], 1),
    ],
)
def test_sample_ratio(units, weights, p) -> None:  # growthbook packages/back-end/test/stats.test.ts
    assert chi_squared(units, weights) == pytest.approx(p, abs=5e-10)


def test_sample_ratio_of_a_zero_arm() -> None:
    # PostHog raised ValueError here (its issue #43591).
    found = sample_ratio({"a": 10, "b": 12, "c": 3}, {"a": 0.5, "b": 0.5, "c": 0.0})
    assert found.p_value == pytest.approx(chi_squared([10, 12], [0.5, 0.5]))
    # growthbook tests/test_ssrm.py: properties.
    assert (
        sequential([[500, 500]], [0.5, 0.5])[-1] > 0.05 > sequential([[100, 900]], [0.5, 0.5])[-1]
    )


def test_corrections() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.55, 0.6]  # growthbook packages/shared/test/experiments.test.ts
    assert adjust(p, "holm") == pytest.approx([0.05, 0.12, 0.12, 0.03, 1, 1])
    p = [0.898, 0.138, 0.007, 0.964, 0.538, 0.006, 0.138]
    assert adjust(p, "bh") == pytest.approx([0.964, 0.2415, 0.0245, 0.964, 0.7532, 0.0245, 0.2415])
    p = [0.005, 0.06, 0.007, 0.04, 0.01, 0.03]  # tea-tasting tests/test_multiplicity.py
    for method, expected in {
        "bh": [0.02, 0.06, 0.02, 0.048, 0.02, 0.045],
        "by": [0.049, 0.147, 0.049, 0.1176, 0.049, 0.11025],
        "holm": [0.03, 0.09, 0.035, 0.09, 0.04, 0.09],
        "hochberg": [0.03, 0.06, 0.035, 0.06, 0.04, 0.06],
        "bonferroni": [0.03, 0.36, 0.042, 0.24, 0.06, 0.18],
    }.items():
        assert adjust(p, method) == pytest.approx(expected), method
    sidak = adjust(p, "hochberg-sidak")
    assert sidak[:3] == pytest.approx([0.0296274906437343, 0.06, 0.0345134180118071], abs=1e-15)
    assert sidak[4] == pytest.approx(0.0394039900000001, abs=1e-15)
    grouped = adjust_within({("m", "a"): 0.02, ("n", "a"): 0.03, ("m", "b"): None}, lambda k: k[1])
    assert grouped == {("m", "a"): 0.04, ("n", "a"): 0.04, ("m", "b"): None}


def test_confseq() -> None:
    assert tuned_rho(100, 0.05) == pytest.approx(12.60056, abs=1e-5)
    # The normal mixture at 100 units of variance 1, tuned for 100: the bound of their sum.
    assert 10 * width_factor(100, tuned_for=100) == pytest.approx(30.35209, abs=5e-6)
    z = np.array([1.0])  # of a sum of 10; theirs is the log of the evidence, one over the p-value
    c = 1 + 100 / tuned_rho(100)
    assert z**2 * (c - 1) / (2 * c) - np.log(c) / 2 == pytest.approx(-0.6510052, abs=5e-8)
    # One-sided theirs is 27.66071; ours, as GrowthBook's, bounds the mixture in closed form.
    assert 10 * width_factor(100, tuned_for=100, two_sided=False) == pytest.approx(
        27.79094, abs=5e-6
    )
    two_sided = log_evidence(10, 100, 0.2, 0.8, tuned_rho(100))
    assert two_sided == pytest.approx(-0.6941012, abs=1e-5)
    for (yes, of, tuned), expected in {
        (700, 1000, 100): (0.651629, 0.745949), (15, 50, 50): (0.129556, 0.511896),
        (5, 50, 50): (0.013021, 0.269264), (1, 50, 50): (0, 0.13489), (1, 2, 50): (0, 1),
        (100, 200, 1): (0.328923, 0.671076), (0, 1, 50): (0, 1), (1, 1, 50): (0, 1),
    }.items():  # fmt: skip
        found = share_sequence(yes, of, tuned)
        assert (found.low, found.high) == pytest.approx(expected, abs=1e-5)


def test_confidence_group_sequential() -> None:  # test_bounds.py
    n = np.array([250, 450, 630, 810])
    found = [k.level for k in looks(n / 810, 0.01, spending="power")]
    assert found == pytest.approx([0.00095, 0.00241, 0.00410, 0.00636], abs=1e-5)
    t = [0.011404679673257933, 0.02292450819418779, 0.0356455988484443, 0.04835740420885424]
    theirs = np.array([5.0536015, 4.819334, 4.70702194, 4.60970036])
    ours = np.array([k.bound for k in looks(t, 0.003333333, spending="power")])
    assert ours[0] == pytest.approx(theirs[0], abs=1e-7)
    # ldbounds' search stops when the error spent is right to 1e-7, a tenth of what is spent here.
    assert np.abs(stats.norm.sf(ours) - stats.norm.sf(theirs)).max() < 1e-7


def test_lan_demets_bounds() -> None:
    # Four equal looks, 5 % two-sided: Lan and DeMets' O'Brien-Fleming spending, as R's ldbounds and
    # SAS SEQDESIGN print it.
    found = [k.bound for k in looks([0.25, 0.5, 0.75, 1])]
    assert found == pytest.approx([4.3326, 2.9631, 2.3590, 2.0141], abs=1e-4)
    assert looks([1.0])[0].bound == pytest.approx(stats.norm.isf(0.025), abs=1e-9)
    ran_over = looks([0.5, 0.5, 1.2, 1.4])
    assert ran_over[0].bound == ran_over[1].bound
    assert (ran_over[2].spent, ran_over[3].bound) == (pytest.approx(0.05), 8.0)


TEA_TASTING = {  # of make_users_data(rng=42, covariates=True): n, means, covariances
    0: (2023, [1.9960454770143352, 0.5304003954522986, 5.241028175976273, 1.9925852694018784,
               0.5388037567968363, 5.278512110726644],
        [[1.0078973114817575, 0.25036755843898134, 2.367986263802087, 0.932710525299315,
          0.2667212809368812, 2.3830257650275994],
         [0.25036755843898134, 0.7437588405933181, 7.146002357654563, 0.27396439462501715,
          0.5503776305425295, 5.079840012458096],
         [2.367986263802087, 7.146002357654563, 93.0602875674553, 2.7965704365181243,
          5.519465523336212, 67.97440276696847],
         [0.932710525299315, 0.27396439462501715, 2.7965704365181243, 2.8421804050648105,
          0.756222579798194, 7.705745638803597],
         [0.2667212809368812, 0.5503776305425295, 5.519465523336212, 0.756222579798194,
          1.0547497057821196, 10.519229376512346],
         [2.3830257650275994, 5.079840012458096, 67.97440276696847, 7.705745638803597,
          10.519229376512346, 172.65817122722808]]),
    1: (1977, [1.982802225594335, 0.5730905412240769, 5.730111279716743, 1.9934243803743046,
               0.5088517956499747, 4.7202630247850275],
        [[0.9744004431529381, 0.24467868340162927, 2.3118693236388443, 0.9735710672736488,
          0.2086543325162439, 2.0976715297786805],
         [0.24467868340162927, 0.7447815874459137, 7.333083967652262, 0.23403349040278984,
          0.4931532973322759, 4.4097631543110225],
         [2.3118693236388443, 7.333083967652262, 107.85259330744914, 1.9266151045730335,
          4.6302975974721425, 59.99167461646483],
         [0.9735710672736488, 0.23403349040278984, 1.9266151045730335, 2.896211800073302,
          0.6673153205179394, 5.662926831640795],
         [0.2086543325162439, 0.4931532973322759, 4.6302975974721425, 0.6673153205179394,
          0.9453922538340637, 8.290331678677301],
         [2.0976715297786805, 4.4097631543110225, 59.99167461646483, 5.662926831640795,
          8.290331678677301, 121.77507766357597]]),
}  # fmt: skip


def tea_tasting(arm: int) -> Moments:
    n, mean, cov = TEA_TASTING[arm]
    names = ("sessions", "orders", "revenue", "sessions0", "orders0", "revenue0")
    return Moments(n, names, np.array(mean), np.array(cov))


def test_tea_tasting_without_covariates() -> None:
    a, b = tea_tasting(0), tea_tasting(1)
    d = difference(Mean("orders"), a, b, scale="log")
    near(d.absolute, 0.04269014577177832, -0.010800201598205522, 0.09618049314176216,
         0.11773177998716207, atol=1e-9)  # fmt: skip
    assert d.absolute.value / d.absolute.error == pytest.approx(1.5647028839586707, abs=1e-9)
    found = (d.relative.value, d.relative.low, d.relative.high)
    expected = (0.08048664016431273, -0.019515294044061937, 0.1906880061278886)
    assert found == pytest.approx(expected, abs=1e-6)
    d = difference(Ratio("orders", "sessions"), a, b, scale="log")
    near(d.absolute, 0.02330500550889003, -0.0024594336679094504, 0.04906944468568951,
         0.07623759978168303, atol=1e-7)  # fmt: skip
    found = (d.relative.value, d.relative.low, d.relative.high)
    expected = (0.0877032732944063, -0.008944184133335975, 0.19377576095526305)
    assert found == pytest.approx(expected, abs=1e-6)
    # Their .477 is the same test with a continuity correction.
    assert chi_squared([2023, 1977], [0.5, 0.5]) == pytest.approx(0.467, abs=1e-4)
    assert 2 * stats.norm.sf(22.5 / math.sqrt(1000)) == pytest.approx(0.47676672399858)


@pytest.mark.parametrize(
    ("metric", "control", "treatment", "low", "high", "p"),
    [
        (Mean("orders", "orders0"), 0.5226833010781681, 0.5809871936868316,
         0.015696510168618664, 0.1009112750487084, 0.007330409808687461),
        (Mean("revenue", "revenue0"), 5.121453608942883, 5.852468057212222,
         0.20228702469056814, 1.25974187184811, 0.0067439292812049734),
        (Ratio("orders", "sessions", "orders0", "sessions0"), 0.261558559079533,
         0.29329282211631386, 0.01134447701776042, 0.05212404905580126, 0.002292943842523407),
    ],
)  # fmt: skip
def test_tea_tasting_with_covariates(metric, control, treatment, low, high, p) -> None:
    d = difference(metric, tea_tasting(0), tea_tasting(1))
    found = (d.control, d.treatment, d.absolute.low, d.absolute.high, d.absolute.p_value)
    # The relative effect differs by design: theirs is over the adjusted mean of the control.
    assert found == pytest.approx((control, treatment, low, high, p), abs=1e-6)


SMALL = (  # of make_users_data(n_users=100, rng=42, covariates=True): sessions, orders, and before
    (53, [1.9811320754716981, 0.5660377358490566, 1.9245283018867925, 0.5283018867924528],
     [[0.9804063860667633, 0.3955007256894052, 1.113933236574746, 0.3947750362844705],
      [0.3955007256894052, 0.788824383164005, 0.6973875181422351, 0.7721335268505091],
      [1.113933236574746, 0.6973875181422351, 3.532656023222061, 1.2329462989840345],
      [0.3947750362844705, 0.7721335268505091, 1.2329462989840345, 1.4462989840348326]]),
    (47, [1.8936170212765957, 0.3829787234042553, 1.9574468085106382, 0.3191489361702128],
     [[0.7927844588344127, 0.1503237742830711, 0.8432007400555042, 0.16512488436632747],
      [0.1503237742830711, 0.5023126734505092, 0.1470860314523588, 0.3751156336725256],
      [0.8432007400555042, 0.1470860314523588, 2.389454209065681, 0.2747456059204441],
      [0.16512488436632747, 0.3751156336725256, 0.2747456059204441, 0.5698427382053654]]),
)  # fmt: skip


def test_tea_tasting_hundred_users() -> None:  # tests/metrics/test_mean.py
    names = ("sessions", "orders", "sessions0", "orders0")
    a, b = (Moments(n, names, np.array(mean), np.array(cov)) for n, mean, cov in SMALL)
    near(difference(Mean("orders"), a, b).absolute, -0.18305901244480127, -0.5004359360326984,
         0.13431791114309583, 0.2551230546709908, atol=1e-10)  # fmt: skip
    ratio = Ratio("orders", "sessions", "orders0", "sessions0")
    d = difference(ratio, a, b, alternative="less", normal=True)
    found = (d.control, d.treatment, d.absolute.high, d.absolute.p_value)
    expected = (0.25572348175909004, 0.23549786496156158, 0.07287939184944564, 0.3604265417728255)
    assert found == pytest.approx(expected, abs=1e-12)
    # Their power is by Student's distribution, ours by the normal: theirs .0453746 and 8,236.
    mean, variance = 0.47, 0.6556565656565657
    found = detectable(variance, variance, 5000, 5000)
    assert (found, found / mean) == pytest.approx((0.04537464, 0.0965418), abs=1e-5)
    assert needed(0.05, variance, variance) == pytest.approx(8236, abs=2)
