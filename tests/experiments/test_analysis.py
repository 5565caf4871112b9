"""Whole analyses: real experiments with known figures, and every kind of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cartcast.cli.shell import plain
from cartcast.errors import DataError, DefinitionError, NotFoundError
from cartcast.experiments.analysis import analyze
from cartcast.experiments.metrics import Mean
from cartcast.experiments.plan import plan_from, read_plan
from cartcast.experiments.shrinkage import shrink
from cartcast.experiments.statistics import analyze_statistics
from cartcast.experiments.units import open_units

MAILS = {
    "key": "mail",
    "arms": {"No E-Mail": 1 / 3, "Mens E-Mail": 1 / 3, "Womens E-Mail": 1 / 3},
    "metrics": {
        "visit": {"mean": "visit"},
        "conversion": {"mean": "conversion"},
        "spend": {"mean": "spend"},
    },
}
# EXPERIMENTS.md 2.10: difference, low, high, p, t, relative, its delta error.
HILLSTROM = {
    ("visit", "Mens"): (0.07658956, 0.06995315, 0.08322598, 1.36445e-112, 22.620231, 0.721405, 0.042343),
    ("conversion", "Mens"): (0.00680501, 0.00500007, 0.00860994, 1.50182e-13, 7.389736, 1.188422, 0.238214),
    ("spend", "Mens"): (0.76982716, 0.48513973, 1.05451458, 1.16381e-07, 5.30014, 1.179289, 0.323977),
    ("visit", "Womens"): (0.04523311, 0.03889349, 0.05157272, 2.43245e-44, 13.984738, 0.426055, 0.03656),
    ("conversion", "Womens"): (0.00311106, 0.00149859, 0.00472352, 0.000156028, 3.781627, 0.543313, 0.178616),
    ("spend", "Womens"): (0.42441222, 0.16895679, 0.67986764, 0.0011294, 3.256372, 0.650152, 0.255629),
}  # fmt: skip


@pytest.fixture(scope="module")
def hillstrom(hillstrom_file: Path) -> pd.DataFrame:
    return pd.read_csv(hillstrom_file).rename(columns={"segment": "arm"})


def test_hillstrom(hillstrom: pd.DataFrame) -> None:
    a = analyze(hillstrom, plan_from(MAILS))
    assert a.sample_ratio.p_value == pytest.approx(0.9036929575604196, abs=1e-12)
    assert a.trusted
    assert a.findings == ()
    for (metric, arm), expected in HILLSTROM.items():
        d = a.get(metric, f"{arm} E-Mail").difference
        low_p = d.absolute.p_value
        found = (d.absolute.value, d.absolute.low, d.absolute.high, low_p,
                 d.absolute.value / d.absolute.error, d.relative.value, d.relative.error)  # fmt: skip
        assert found == pytest.approx(expected, rel=1e-5)
    json.dumps(plain(a.as_dict()), allow_nan=False)


def test_hillstrom_capped(hillstrom: pd.DataFrame) -> None:
    # The 99.9 % quantile of all customers: the 99 % one is zero.
    cap = hillstrom.spend.quantile(0.999)
    assert cap == pytest.approx(243.66, abs=0.005)
    a = analyze(hillstrom.assign(spend=hillstrom.spend.clip(upper=cap)), plan_from(MAILS))
    values = [a.get("spend", f"{arm} E-Mail").difference for arm in ("Mens", "Womens")]
    found = (values[0].control, *(d.treatment for d in values))
    assert found == pytest.approx((0.580794, 1.239952, 0.963712), abs=5e-7)


def test_hillstrom_history_explains_next_to_nothing(hillstrom: pd.DataFrame) -> None:
    metrics = {n: {**d, "covariate": "history"} for n, d in MAILS["metrics"].items()}
    a = analyze(hillstrom, plan_from({**MAILS, "metrics": metrics}))
    explained = [c.explained for c in a.comparisons]
    assert 0.0003 < min(explained) < max(explained) < 0.0045
    with open_units(hillstrom) as units:
        moments = units.moments(["spend", "history"])
    pooled = moments[("No E-Mail",)] + moments[("Mens E-Mail",)]
    assert Mean("spend", "history").theta(pooled) == pytest.approx(0.0012228965, abs=1e-10)


def test_asos_all_pairs_at_once(asos_file: Path) -> None:
    pairs = analyze_statistics(asos_file)
    assert len(pairs) == 99
    off = [p for p in pairs if any(f.code == "XP101" for f in p.findings)]
    assert len(off) == 12
    known = pd.read_parquet(asos_file)
    z = []
    for p in pairs:
        rows = known[(known.experiment_id == p.experiment) & (known.variant_id == int(p.variant))]
        for m in p.metrics:
            last = rows[rows.metric_id == int(m.metric)].sort_values("time_since_start").iloc[-1]
            if m.difference.absolute is None:
                assert np.isnan(last.variance_c) or np.isnan(last.variance_t)
                assert "XP114" in {f.code for f in p.findings}
                continue
            error = np.sqrt(last.variance_c / last.count_c + last.variance_t / last.count_t)
            assert m.difference.absolute.value == pytest.approx(last.mean_t - last.mean_c)
            assert m.difference.absolute.error == pytest.approx(error)
            assert m.always_valid.low < m.difference.absolute.low
            if m.metric == "1":
                z.append(abs(m.difference.absolute.value / error))
    assert sum(v > 1.96 for v in z) == 26


PLAN = {
    "key": "test",
    "arms": ["a", "b"],
    "metrics": {"money": {"mean": "money"}, "bought": {"proportion": "bought"}},
}


def units(n: int = 400, seed: int = 0, **columns) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    bought = rng.random(n) < 0.3
    made = {
        "unit": [f"u{i}" for i in range(n)],
        "arm": np.where(np.arange(n) % 2, "b", "a"),
        "money": bought * rng.gamma(2, 10, size=n),
        "bought": bought.astype(int),
        "before": rng.gamma(2, size=n),
    }
    return pd.DataFrame(made | columns)


def codes_of(frame: pd.DataFrame, plan=None, **options) -> set[str]:
    return {f.code for f in analyze(frame, plan_from({**PLAN, **(plan or {})}), **options).findings}


def test_clean_data_have_no_findings() -> None:
    assert codes_of(units()) == set()
    assert codes_of(units(), {"metrics": {"m": {"mean": "money", "covariate": "before"}}}) == set()


@pytest.mark.parametrize(
    ("frame", "plan", "code"),
    [
        (units(2000)[lambda d: (d.arm == "a") | (d.index % 4 == 1)], {}, "XP101"),
        (units()[lambda d: d.arm == "a"], {}, "XP103"),
        (units(10), {}, "XP106"),
        (units(money=0.0), {}, "XP107"),
        (units(money=1.0), {}, "XP114"),
        (units(), {"expected_units": 1000}, "XP108"),
        (units(money=np.random.default_rng(1).normal(size=400)), {}, "XP110"),
        (units(before=1.0),
         {"metrics": {"m": {"mean": "money", "covariate": "before"}}}, "XP105"),
        (units().assign(before=lambda d: d.before + (d.arm == "b")),
         {"metrics": {"m": {"mean": "money", "covariate": "before"}}}, "XP111"),
        (units().assign(money=lambda d: d.money * np.where(d.arm == "b", 0.8, 1)),
         {"metrics": {"m": {"mean": "money", "margin": 0.02}}}, "XP112"),
        (units(bought=(np.arange(400) == 7).astype(int)), {}, "XP113"),
        (pd.concat([units(), units(50).assign(arm="c", unit=lambda d: "x" + d.unit)]), {}, "XP115"),
        (pd.concat([units(), units(40).assign(arm=lambda d: np.where(d.arm == "a", "b", "a"))]),
         {}, "XP102"),
    ],
)  # fmt: skip
def test_findings(frame: pd.DataFrame, plan: dict, code: str) -> None:
    assert code in codes_of(frame, plan)


@pytest.mark.parametrize("n", [2, 10, 58])
def test_no_p_value_where_it_would_mean_nothing(n: int) -> None:
    for c in analyze(units(n), plan_from(PLAN)).comparisons:
        assert c.difference.absolute is None
        assert (c.always_valid, c.posterior, c.adjusted) == (None, None, None)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            units().assign(money=lambda d: d.money.where(d.index > 2)),
            "money: 3 units have no finite",
        ),
        (units().assign(money=lambda d: d.money.where(d.index > 0, np.inf)), "1 units have no"),
        (pd.concat([units(), units(5)]), "5 units have several rows in one arm"),
        (units().drop(columns="money"), "no column 'money'"),
        (units().drop(columns="arm"), "no column 'arm'"),
        (units().assign(money="much"), "cannot be read"),
        (units().assign(money=lambda d: d.money * 1e200), "no finite number below 1e"),
    ],
)
def test_data_that_cannot_be_analysed(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        analyze(frame, plan_from(PLAN))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": {"a": 0.5, "b": 0.6}}, "add up to 1"),
        ({"arms": {"a": 1.0, "b": 0.0}}, "above 0"),
        ({"arms": ["a"]}, "two or more arms"),
        ({"arms": {}}, "arms must be names"),
        ({"metrics": {}}, "needs a metric"),
        ({"metrics": {"m": {"average": "money"}}}, "needs one of proportion, mean"),
        ({"metrics": {"m": {"mean": "money", "color": 1}}}, "color"),
        ({"metrics": {"m": {"mean": "money", "margin": 2}}}, "0 < margin < 1"),
        ({"metrics": {"m": {"quantile": "money", "q": 1}}}, "0 < q < 1"),
        ({"metrics": {"m": {"ratio": "x", "by": "y", "numerator_covariate": "z"}}}, "both covariates"),
        ({"design": "switchback"}, "alternate in time"),
        ({"design": "staggered"}, "different times"),
        ({"design": "odd"}, "no such design"),
        ({"start": "2026-03-02", "end": "2026-03-01"}, "starts at"),
        ({"start": "soon"}, "Invalid isoformat"),
        ({"looks": [0.5, 0.2]}, "looks must increase"),
        ({"level": 95}, "0 < level < 1"),
        ({"correction": "holmes"}, "Did you mean 'holm'"),
        ({"scope": ["metrics"]}, "Did you mean 'metric'"),
        ({"metric": {}}, "Did you mean 'metrics'"),
        ({"quantities": {"o": {"kind": "sum"}}}, "sum takes a column"),
        ({"quantities": {"o": {"kind": "count", "after": "7d", "within": "1d"}}}, "end after its start"),
        ({"quantities": {"o": {"kind": "any", "event": ["a", "b"]}}}, r"o: event must be a name, got \["),
        ({"quantities": {"o": {"kind": "any", "evnt": "a"}}}, "Did you mean 'event'"),
        ({"quantities": {"o": {"kind": "count", "within": "-7d"}}}, "test: o: a duration must look like"),
        ({"quantities": {"o": {"kind": "count", "within": "9999999d"}}}, "36,500 days"),
        ({"quantities": {"o": {"kind": "count", "cap": float("inf")}}}, "cap must be positive"),
        ({"quantities": {"o": {"kind": "count", "cap": "a lot"}}}, "cap must be a number"),
        ({"quantities": {"o": None}}, "o: must be `name: value` lines"),
        ({"prior": {"sd": 1}}, "prior: unknown word 'sd'"),
        ({"layer": {"name": "checkout"}}, "layer: lacks start, end"),
        ({"version": "x"}, "version must be a whole number"),
        ({"holdout": {"name": "h", "share": 1.5}}, "0 < share < 1"),
        ({"expected_units": 1}, "2 or more"),
        ({"expected_units": "many"}, "expected_units must be a whole number, got 'many'"),
        ({"level": "95%"}, "level must be a number"),
        ({"looks": "often"}, "looks must be a list"),
        ({"looks": [True]}, "a list of numbers"),
        ({"segments": "country"}, "segments must be a list"),
        ({"metrics": ["money"]}, "metrics must be `name: value` lines"),
        ({"metrics": None}, "metrics must be `name: value` lines, got None"),
        ({"metrics": {"m": {"mean": 3}}}, "value must be a name, got 3"),
        ({"metrics": {"m": {"quantile": "money", "strata": "x"}}}, "unknown word 'strata'"),
        ({"arms": {True: 0.5, False: 0.5}}, "quote words such as 'on'"),
        ({"arms": ["a", None]}, "an arm must be a name, got None"),
        ({"arms": {"a": "half", "b": "half"}}, "weights of arms must be numbers"),
        ({"quantities": {"before": {"kind": "count"}},
          "metrics": {"m": {"mean": "money", "covariate": "before"}}}, "may be an effect of it"),
    ],
)  # fmt: skip
def test_plans_that_are_refused(change: dict, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        plan_from({**PLAN, **change})


def test_looks_need_the_units_that_they_are_shares_of() -> None:
    with pytest.raises(DefinitionError, match="shares of expected_units"):
        analyze(units(), plan_from({**PLAN, "looks": [0.5, 1]}))


def test_a_ratio_without_anything_to_divide_by_has_no_events() -> None:
    plan = {"metrics": {"m": {"ratio": "money", "by": "none"}}}
    for none in (0.0, np.where(np.arange(400) % 2, 1.0, 0.0)):
        a = analyze(units(none=none), plan_from({**PLAN, **plan}))
        assert a.comparisons[0].difference.absolute is None
        assert {f.code for f in a.findings} <= {"XP107", "XP114"}


def test_a_quantile_of_numbers_too_large_is_refused() -> None:
    plan = plan_from({**PLAN, "metrics": {"m": {"quantile": "money"}}})
    with pytest.raises(DataError, match="no number below 1e"):
        analyze(units().assign(money=lambda d: d.money * 1e200), plan)


def test_plans_are_read_by_name(tmp_path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(
        "experiments:\n  one: {arms: [a, b], metrics: {m: {mean: x}}, start: 2026-03-02}\n"
        "  two: {arms: [a, b], metrics: {m: {mean: x}}}\n"
    )
    plan = read_plan(path, "one")
    assert (plan.allocation.key, plan.start.isoformat()) == ("one", "2026-03-02T00:00:00+00:00")
    with pytest.raises(NotFoundError, match="no experiment 'on'. Did you mean 'one'"):
        read_plan(path, "on")
    for odd in ("experiments: [a, b]", "experiments: {one: 2}"):
        path.write_text(odd)
        with pytest.raises(DefinitionError, match="experiments must be names"):
            read_plan(path, "one")
    with pytest.raises(NotFoundError, match="no such plan"):
        read_plan(tmp_path / "none.yaml")


def test_units_in_two_arms_stay_in_their_first() -> None:
    late = units(40).assign(arm=lambda d: np.where(d.arm == "a", "b", "a"), exposed=2)
    frame = pd.concat([late, units().assign(exposed=1)])
    frame["exposed"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(frame.exposed, unit="D")
    a = analyze(frame, plan_from(PLAN))
    assert a.sample_ratio.units == {"a": 200, "b": 200}
    first = analyze(units(), plan_from(PLAN))
    for mine, theirs in zip(a.comparisons, first.comparisons, strict=True):
        found, expected = mine.difference.absolute, theirs.difference.absolute
        assert (found.value, found.error) == pytest.approx((expected.value, expected.error))
    (found,) = [f for f in a.findings if f.code == "XP102"]
    assert found.count == 40


def test_clusters_are_analysed_as_randomised() -> None:
    frame = units(3000).assign(house=lambda d: "h" + (d.index // 3).astype(str))
    frame["arm"] = np.where((frame.index // 3) % 2, "b", "a")
    plan = plan_from({**PLAN, "cluster": "house"})
    c = analyze(frame, plan).get("money", "b")
    assert (c.units_control, c.units) == (500, 500)
    sums = frame.groupby(["arm", "house"]).money.agg(["sum", "size"])
    for arm, value in (("a", c.difference.control), ("b", c.difference.treatment)):
        assert value == pytest.approx(sums.loc[arm]["sum"].sum() / sums.loc[arm]["size"].sum())
    # All households have three members: the error is that of household means.
    means = frame.groupby(["arm", "house"]).money.mean()
    t = stats.ttest_ind(means["b"], means["a"], equal_var=False)
    assert c.difference.absolute.p_value == pytest.approx(t.pvalue, rel=1e-9)


def test_segments_are_shrunk_and_corrected_apart() -> None:
    frame = units(4000).assign(country=lambda d: "c" + (d.index // 2 % 5).astype(str))
    plain_plan = plan_from(PLAN)
    a = analyze(frame, plan_from({**PLAN, "segments": ["country"]}))
    whole = analyze(frame, plain_plan)
    assert a.get("money", "b").adjusted == whole.get("money", "b").adjusted
    parts = [c for c in a.comparisons if c.segment and c.metric == "money"]
    assert len(parts) == 5
    raw = np.array([c.difference.absolute.value for c in parts])
    drawn = np.array([c.shrunk.value for c in parts])
    assert np.ptp(drawn) < np.ptp(raw)
    c = parts[2]
    t = stats.ttest_ind(*(frame[(frame.country == c.segment[1]) & (frame.arm == x)].money for x in "ba"),
                        equal_var=False)  # fmt: skip
    assert c.difference.absolute.p_value == pytest.approx(t.pvalue, rel=1e-9)


def test_quantiles_by_a_segment_of_yes_and_no() -> None:
    frame = units(2000).assign(new=lambda d: d.index // 2 % 2 == 0)
    plan = plan_from(
        {**PLAN, "metrics": {"m": {"quantile": "before", "q": 0.5}}, "segments": ["new"]}
    )
    for c in analyze(frame, plan).comparisons:
        mine = frame if c.segment is None else frame[frame.new == c.segment[1]]
        median = mine[mine.arm == "b"].before.median() - mine[mine.arm == "a"].before.median()
        assert c.difference.absolute.value == pytest.approx(median, abs=0.02)


def test_shrinkage_is_nearer_to_the_truth() -> None:
    from cartcast.experiments.difference import interval

    rng = np.random.default_rng(0)
    worse = better = 0.0
    inside = []
    for _ in range(200):
        truth = rng.normal(1, 0.5, size=8)
        seen = rng.normal(truth, 1.0)
        drawn = shrink([interval(v, 1.0) for v in seen])
        worse += ((seen - truth) ** 2).sum()
        better += sum((e.value - t) ** 2 for e, t in zip(drawn, truth, strict=True))
        inside += [e.low <= t <= e.high for e, t in zip(drawn, truth, strict=True)]
    assert better < 0.5 * worse
    assert np.mean(inside) > 0.85


def test_planned_looks_and_early_ones() -> None:
    plan = {"expected_units": 800, "looks": [0.5, 1.0]}
    a = analyze(units(400), plan_from({**PLAN, **plan}))
    assert a.progress == 0.5
    assert a.look.bound == pytest.approx(2.963, abs=1e-3)
    assert {f.code for f in a.findings} == {"XP108"}
    fewer = analyze(units(400), plan_from({**PLAN, **plan}), information=[0.6])
    assert fewer.look == a.look
    b = analyze(units(800), plan_from({**PLAN, **plan}), information=[0.5])
    assert b.look.bound == pytest.approx(1.969, abs=1e-3)
    assert b.findings == ()
    unplanned = analyze(units(800), plan_from({**PLAN, "expected_units": 800}), information=[0.5])
    assert {f.code for f in unplanned.findings} == {"XP109"}


def test_sample_ratio_by_day_is_the_one_that_alarms() -> None:
    frame = units(2000).assign(day=lambda d: pd.Timestamp("2026-01-01") + pd.to_timedelta(d.index // 100, unit="D"))  # fmt: skip
    ratio = analyze(frame, plan_from(PLAN)).sample_ratio
    assert ratio.always_valid == 1.0
    gone = frame[(frame.arm == "a") | (frame.index % 10 < 8)]
    ratio = analyze(gone, plan_from(PLAN)).sample_ratio
    assert ratio.wrong
    assert ratio.p_value < ratio.always_valid < 0.001


def test_a_segment_that_loses_an_arm_is_found():
    rng = np.random.default_rng(5)
    n = 40_000
    table = pd.DataFrame(
        {"arm": np.where(rng.random(n) < 0.5, "b", "a"),
         "browser": rng.choice(["one", "two", "three"], n, p=[0.1, 0.3, 0.6]),
         "money": rng.gamma(2.0, 5.0, n)}
    )  # fmt: skip
    plan = plan_from(
        {"key": "k", "arms": {"a": 0.5, "b": 0.5}, "segments": ["browser"],
         "metrics": {"money": {"mean": "money"}}}
    )  # fmt: skip
    assert "XP101" not in {f.code for f in analyze(table, plan).findings}
    # A tenth of the units loses a fifth of an arm: a hundredth of all, which the whole hides.
    lost = (table["browser"] == "one") & (table["arm"] == "b") & (rng.random(n) < 0.2)
    (found,) = (f for f in analyze(table[~lost], plan).findings if f.code == "XP101")
    assert "in browser one units are" in found.message
