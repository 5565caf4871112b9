"""Post-stratification: published values, a slow loop, and coverage of the truth."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, DefinitionError
from cartcast.experiments.analysis import analyze
from cartcast.experiments.difference import compare
from cartcast.experiments.measure import measure
from cartcast.experiments.metrics import Mean, Proportion, Ratio
from cartcast.experiments.moments import Moments
from cartcast.experiments.plan import plan_from
from cartcast.experiments.simulate import World, simulate
from cartcast.experiments.strata import stratified

sys.path.insert(0, str(Path(__file__).parent))
from test_published import two

# growthbook packages/stats/tests/frequentist/test_post_strat.py: per stratum, control then
# treatment: n, y, yy; denominator d, dd, dy; covariate x, xx, xy.
STRATA = [
    ((21, 330.0696210595999, 5377.811252605509),
     (890.9766550739607, 38220.95223835553, 14263.937571840695),
     (104.90748970535698, 544.8528083123211, 1709.8485612477339),
     (42, 708.1220000911836, 12249.255519049513),
     (1745.9858250014954, 73194.53424221886, 29826.620793423102),
     (205.17072061676208, 1040.6742753852225, 3561.161673449451)),
    ((65, 1391.96628040659, 30546.63404187155),
     (2769.8126179473184, 118719.96077578884, 59924.702385890436),
     (315.83926510817054, 1578.8689285910423, 6938.770455871619),
     (75, 1807.4703052657744, 45000.287664918586),
     (3184.8395612061063, 136710.92474497214, 78119.14871556411),
     (377.29540367369503, 1981.0803020754106, 9428.146405105292)),
    ((102, 2916.824124651419, 86396.06886690554),
     (4445.780384331884, 195387.7733842407, 129041.55268673625),
     (523.2717238353379, 2797.158898626946, 15535.162216800189),
     (101, 3104.5399914554023, 98365.40553530994),
     (4235.277718489282, 179690.4720421368, 132444.36911739354),
     (501.0447878972627, 2596.899156698453, 15962.754636573465)),
    ((151, 5172.587929941052, 182453.04528037464),
     (6510.170220892494, 283094.7243365024, 226127.20135744457),
     (758.3911049329452, 3955.922281372593, 26846.415701194885),
     (121, 4613.696610070716, 180520.64781229294),
     (5079.943060454901, 215529.32009367683, 196562.8269130501),
     (603.9456523430367, 3144.0820997706583, 23789.82730157116)),
    ((160, 6539.348445231273, 274981.98909352464),
     (6906.305872710853, 300900.3106781779, 286483.9732935189),
     (823.2824168385916, 4389.893995072177, 34727.84795433773),
     (162, 7431.953259880505, 349244.6690736718),
     (6899.004661928157, 296839.44355002965, 321057.8410309036),
     (832.356528363269, 4439.253146704266, 39332.667494781235)),
]  # fmt: skip


def strata(beside: int) -> list[dict[int, Moments]]:
    """Both arms by stratum, with y, and the denominator (1) or the covariate (2) as x."""
    return [
        {k: two(*row[first], *row[first + beside]) for k, row in enumerate(STRATA)}
        for first in (0, 3)
    ]


def test_growthbook_values() -> None:
    for metric, beside, absolute, relative in (
        (Mean("y"), 1, (3.548094377986586, 0.37634374823059685),
         (0.10994584851937336, 0.012225394656480164)),
        (Ratio("y", "x"), 1, (0.10008903417216031, 0.005071004003792392),
         (0.13371299783026003, 0.007131233706378072)),
    ):  # fmt: skip
        d = compare(*stratified(metric, *strata(beside)))
        assert (d.absolute.value, d.absolute.error) == pytest.approx(absolute, abs=1e-12)
        assert (d.relative.value, d.relative.error) == pytest.approx(relative, abs=1e-12)


def test_growthbook_value_with_a_covariate_is_a_regression() -> None:
    a, b = strata(2)
    d = compare(*stratified(Mean("y", "x"), a, b)).absolute
    assert d.error == pytest.approx(0.0739, abs=5e-4)  # theirs .07390
    # Theirs takes the slope within arms, ours of both arms together, as without strata.
    total = 0.0
    for k in a:
        within = (a[k].n - 1) * a[k].cov + (b[k].n - 1) * b[k].cov
        gap = b[k].mean - a[k].mean
        total += (a[k].n + b[k].n) * (gap[0] - within[0, 1] / within[1, 1] * gap[1]) / 1000
    assert total == pytest.approx(3.7116918650826394)
    assert d.value == pytest.approx(total, abs=d.error / 10)


@pytest.mark.parametrize("metric", [Mean("y"), Mean("y", "x"), Ratio("y", "x")])
def test_one_stratum_is_no_stratum(metric) -> None:
    a, b = (Moments.total([*arm.values()]) for arm in strata(2))
    one, plain = compare(*stratified(metric, {"": a}, {"": b})), compare(*metric.pair(a, b))
    for found, expected in ((one.absolute, plain.absolute), (one.relative, plain.relative)):
        assert (found.value, found.error) == pytest.approx((expected.value, expected.error))


def drawn(rng, n: int = 600) -> tuple[list[dict[int, Moments]], tuple[Moments, Moments]]:
    """Three strata that differ much in level and in effect: 0, 1 and 3 on top of 2, 10 and 20."""
    arms, whole = [], []
    for treated in (0, 1):
        k = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
        y = np.array([2.0, 10.0, 20.0])[k] + treated * np.array([0.0, 1.0, 3.0])[k]
        y += rng.gamma(4, size=n) - 4
        arms.append({v: Moments.of({"y": y[k == v]}) for v in range(3)})
        whole.append(Moments.of({"y": y}))
    return arms, (whole[0], whole[1])


def test_intervals_cover_and_are_narrow() -> None:
    rng = np.random.default_rng(0)
    hits, widths = [], []
    for _ in range(600):
        arms, whole = drawn(rng)
        d = compare(*stratified(Mean("y"), *arms))
        hits.append((d.absolute.low <= 0.9 <= d.absolute.high,
                     d.relative.low <= 0.9 / 8 <= d.relative.high))  # fmt: skip
        widths.append(d.absolute.error / compare(*Mean("y").pair(*whole)).absolute.error)
    for share in np.mean(hits, axis=0):
        assert 0.92 <= share <= 0.98
    assert np.mean(widths) < 0.35


FRAME = {"key": "s", "arms": ["a", "b"], "metrics": {"m": {"mean": "y", "strata": "country"}}}


def frame(n: int = 900, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    country = rng.choice(["de", "fr", None], size=n, p=[0.6, 0.3, 0.1])
    level = np.where(country == "de", 9.0, 1.0)  # type: ignore[operator] # objects
    return pd.DataFrame({"unit": [f"u{i}" for i in range(n)], "arm": rng.choice(["a", "b"], size=n),
                         "country": country, "y": level + rng.normal(size=n),
                         "new": rng.random(n) < 0.5})  # fmt: skip


def slow(rows: pd.DataFrame) -> float:
    total = 0.0
    for _, part in rows.groupby("country", dropna=False):
        total += len(part) * (part[part.arm == "b"].y.mean() - part[part.arm == "a"].y.mean())
    return total / len(rows)


def test_a_table_of_units_against_a_slow_loop() -> None:
    rows = frame()
    found = analyze(rows, plan_from({**FRAME, "segments": ["new"]}))
    c = found.get("m", "b")
    assert c.difference.absolute.value == pytest.approx(slow(rows))
    assert c.explained > 0.8
    new = found.get("m", "b", ("new", True))
    assert new.difference.absolute.value == pytest.approx(slow(rows[rows.new]))
    by_itself = analyze(rows, plan_from({**FRAME, "segments": ["country"]}))
    plain = analyze(rows[rows.country == "de"], plan_from(
        {**FRAME, "metrics": {"m": {"mean": "y"}}}))  # fmt: skip
    assert by_itself.get("m", "b", ("country", "de")).difference == plain.get("m", "b").difference


def test_small_strata_are_put_together() -> None:
    rows = frame().assign(country=lambda d: d.country.where(d.index > 12, d.unit))
    c = analyze(rows, plan_from(FRAME)).get("m", "b")
    rest = rows.assign(country=rows.country.where(rows.index > 12, "rest"))
    # Thirteen lone units and no country of their own: they join the smallest stratum.
    smallest = rest.country.isna() | (rest.country == "rest")
    joined = rest.assign(country=rest.country.where(~smallest, "other"))
    assert c.difference.absolute.value == pytest.approx(slow(joined))
    with pytest.raises(DataError, match="'unit' has 1[0-9]{3} values, 1000 at most"):
        analyze(
            frame(2400), plan_from({**FRAME, "metrics": {"m": {"mean": "y", "strata": "unit"}}})
        )


def test_plans_with_strata_that_are_refused() -> None:
    with pytest.raises(DefinitionError, match="randomised one by one"):
        plan_from({**FRAME, "cluster": "house"})
    after = {"country": {"kind": "count", "event": "purchase"}}
    with pytest.raises(DefinitionError, match="'country' lies after it"):
        plan_from({**FRAME, "quantities": after})


def test_strata_come_from_the_log_or_from_the_past() -> None:
    made = simulate(World(visitors=400, chance=0.3), seed=3)
    plan = plan_from({
        "key": "simulated", "arms": ["control", "treatment"], "start": "2026-03-02",
        "unit": "visitor_id",
        "quantities": {"orders": {"kind": "count", "event": "purchase"},
                       "knew": {"kind": "any", "before": "14d"}},
        "metrics": {"orders": {"mean": "orders", "strata": "knew"},
                    "rate": {"proportion": "knew", "strata": "utm"}},
    })  # fmt: skip
    log = made.log.append_column("utm", made.log["event_type"])
    units = measure(log, plan, made.exposures).units
    assert "utm" in units.column_names
    c = analyze(units, plan).get("orders", "treatment")
    rows = units.to_pandas().rename(columns={"knew": "country", "orders": "y"})
    rows["arm"] = rows.arm.map({"control": "a", "treatment": "b"})
    assert c.difference.absolute.value == pytest.approx(slow(rows))


def test_a_proportion_by_stratum() -> None:
    a, b = {0: two(100, 20, 20, 0, 0, 0)}, {0: two(100, 30, 30, 0, 0, 0)}
    d = compare(*stratified(Proportion("y"), a, b))
    assert d.absolute.error == pytest.approx(np.sqrt((0.2 * 0.8 + 0.3 * 0.7) / 100))
