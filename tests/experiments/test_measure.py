"""From a log to the table of units, against the simulator's truth and a slow loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cartcast.errors import DataError, DefinitionError, UsageError
from cartcast.experiments.analysis import analyze
from cartcast.experiments.exposures import read_exposures
from cartcast.experiments.measure import effect_over_time, measure
from cartcast.experiments.plan import Plan, plan_from
from cartcast.experiments.simulate import START, World, simulate

PLAN = {
    "key": "simulated",
    "arms": ["control", "treatment"],
    "start": "2026-03-02",
    "unit": "visitor_id",
    "quantities": {
        "orders": {"kind": "count", "event": "purchase"},
        "bought": {"kind": "any", "event": "purchase"},
        "money": {"kind": "sum", "event": "purchase", "column": "revenue"},
        "visits": {"kind": "distinct", "column": "session_id"},
        "orders_before": {"kind": "count", "event": "purchase", "before": "14d"},
        "returned": {"kind": "any", "after": "1d", "within": "5d"},
    },
    "metrics": {
        "orders": {"mean": "orders", "covariate": "orders_before"},
        "conversion": {"proportion": "bought"},
        "revenue": {"mean": "money"},
        "per visit": {"ratio": "orders", "by": "visits"},
        "retention": {"proportion": "returned"},
    },
}


def plan(**change) -> Plan:
    return plan_from({**PLAN, **change})


def slow(log: pa.Table, exposures: pa.Table) -> dict[str, dict]:
    """One unit and one event at a time."""
    start = pd.Timestamp(START.replace(tzinfo=None))
    first: dict = {}
    for row in exposures.to_pylist():
        if row["exposed"] >= start:
            kept = first.get(row["unit"])
            if kept is None or row["exposed"] < kept["exposed"]:
                first[row["unit"]] = dict(row)
    end = max(log["event_time"].to_pylist())
    first = {u: r for u, r in first.items() if r["exposed"] + pd.Timedelta(days=5) <= end}
    for r in first.values():
        r |= dict.fromkeys(("orders", "bought", "money", "orders_before", "returned"), 0.0)
        r["sessions"] = set()
    for e in log.to_pylist():
        r = first.get(e["visitor_id"])
        if r is None:
            continue
        since = (e["event_time"] - r["exposed"]).total_seconds()
        if since >= 0:
            r["sessions"].add(e["session_id"])
            if e["event_type"] == "purchase":
                r["orders"] += 1
                r["bought"] = 1.0
                r["money"] += e["price"] * e["quantity"]
            if 86_400 <= since < 5 * 86_400:
                r["returned"] = 1.0
        elif since >= -14 * 86_400 and e["event_type"] == "purchase":
            r["orders_before"] += 1
    return first


@pytest.mark.parametrize("faults", [{}, {"doubled": 0.1, "other_arm": 0.05, "new_id": 0.2}])
def test_units_equal_a_slow_loop(faults: dict) -> None:
    made = simulate(World(visitors=300, **faults), seed=3)
    m = measure(made.log, plan(), made.exposures)
    expected = slow(made.log, made.exposures)
    found = {r["unit"]: r for r in m.units.to_pylist()}
    assert found.keys() == expected.keys()
    for unit, row in found.items():
        want = expected[unit]
        assert row["arm"] == want["arm"]
        assert row["visits"] == len(want["sessions"])
        for name in ("orders", "bought", "money", "orders_before", "returned"):
            assert row[name] == pytest.approx(want[name]), (unit, name)
    days = m.days.to_pandas().groupby("unit").orders.sum()
    assert all(days.get(u, 0) == r["orders"] for u, r in found.items())


def test_without_exposures_the_hash_decides() -> None:
    made = simulate(World(visitors=300), seed=4)
    given = measure(made.log, plan(), made.exposures).units
    hashed = measure(made.log, plan(), None).units
    columns = ["unit", "arm", "orders", "orders_before"]
    assert given.select(columns).to_pylist() == hashed.select(columns).to_pylist()


def test_times_with_a_zone_are_those_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    real = duckdb.connect

    def elsewhere(*args, **options) -> duckdb.DuckDBPyConnection:
        return real(*args, **options).execute("SET TimeZone = 'America/New_York'")

    monkeypatch.setattr(duckdb, "connect", elsewhere)
    made = simulate(World(visitors=100), seed=4)
    stamped = made.exposures["exposed"].cast(pa.timestamp("us", "Europe/Paris"))
    zoned = made.exposures.set_column(2, "exposed", stamped)
    given = measure(made.log, plan(), made.exposures).units
    assert measure(made.log, plan(), zoned).units.equals(given)


def test_revenue_needs_money_in_the_log() -> None:
    made = simulate(World(visitors=50), seed=4)
    with pytest.raises(UsageError, match="no column 'revenue'"):
        measure(made.log.drop_columns(["price"]), plan(), made.exposures)


def test_truth_is_covered_and_the_history_pays() -> None:
    hits, explained = [], []
    world = World(visitors=1200, lift=0.3, chance=0.15, sessions_a_day=0.5)
    for seed in range(20):
        made = simulate(world, seed=seed)
        units = measure(made.log, plan(), made.exposures).units
        c = analyze(units, plan()).get("orders", "treatment")
        # The units that are left (seen for five days) have their own truth.
        left = set(units["unit"].to_pylist())
        truth = np.mean([r["orders_treatment"] - r["orders_control"] for r in made.truth.to_pylist()
                         if r["unit"] in left])  # fmt: skip
        hits.append(c.difference.absolute.low <= truth <= c.difference.absolute.high)
        explained.append(c.explained)
    assert np.mean(hits) > 0.75
    assert np.mean(explained) > 0.05


def found(world: World, seed: int = 0, **options) -> set[str]:
    made = simulate(world, seed=seed)
    m = measure(made.log, plan(), made.exposures)
    return {f.code for f in (*m.findings, *analyze(m.units, plan(), **options).findings)}


def test_planted_faults_are_found_and_a_clean_twin_has_none() -> None:
    world = World(visitors=4000, chance=0.2, sessions_a_day=0.5)
    expected = {"XP108"}  # some came too late for the window of five days
    assert found(world) == expected
    assert found(replace(world, lost={"treatment": 0.2})) == expected | {"XP101"}
    assert found(replace(world, other_arm=0.1)) == expected | {"XP102"}
    assert found(replace(world, doubled=0.3)) == expected


def test_exposures_before_the_start_are_left_out() -> None:
    made = simulate(World(visitors=300), seed=1)
    late = plan(start="2026-03-05")
    m = measure(made.log, late, made.exposures)
    (early,) = [f for f in m.findings if f.code == "XP104"]
    assert early.count == sum(
        t < pd.Timestamp("2026-03-05") for t in made.exposures["exposed"].to_pylist()
    )
    ended = plan(end="2026-03-04")
    assert max(
        measure(made.log, ended, made.exposures).units["exposed"].to_pylist()
    ) < pd.Timestamp("2026-03-04")


def test_caps_are_told() -> None:
    made = simulate(World(visitors=800, outliers=0.02, chance=0.3), seed=2)
    money = {"kind": "sum", "event": "purchase", "column": "revenue"}
    for cap in ({"cap": 200.0}, {"cap_quantile": 0.9}):
        p = plan(quantities={**PLAN["quantities"], "money": {**money, **cap}})
        m = measure(made.log, p, made.exposures)
        (told,) = [f for f in m.findings if f.code == "XP116"]
        limit = told.evidence["cap"]
        raw = np.array(measure(made.log, plan(), made.exposures).units["money"].to_pylist())
        assert m.units["money"].to_pylist() == pytest.approx(np.minimum(raw, limit).tolist())
        assert told.count == (raw > limit).sum() > 0
    assert limit == pytest.approx(np.quantile(raw[raw > 0], 0.9))


def test_segments_are_those_of_the_exposure() -> None:
    made = simulate(World(visitors=400, sessions_a_day=0.6), seed=3)
    device = ["phone" if i % 3 else "desktop" for i in range(made.log.num_rows)]
    log = made.log.append_column("device", pa.array(device))
    # Exposures logged a minute after the event that they belong to.
    frame = made.exposures.to_pandas()
    frame["exposed"] += pd.Timedelta(minutes=1)
    m = measure(log, plan(segments=["device"]), frame)
    events = log.to_pandas().sort_values("event_time", kind="stable")
    for row in m.units.to_pylist()[:100]:
        mine = events[(events.visitor_id == row["unit"]) & (events.event_time <= row["exposed"])]
        latest = mine[mine.event_time == mine.event_time.max()]
        assert row["device"] in set(latest.device)
    found = analyze(m.units, plan(segments=["device"]))
    assert {c.segment for c in found.comparisons} == {
        None,
        ("device", "phone"),
        ("device", "desktop"),
    }


def test_novelty_and_delay_over_time() -> None:
    shapes = {}
    for name, change in {"fades": {"novelty": 2.0}, "late": {"delay": 7.0}}.items():
        world = World(visitors=6_000, lift=2.0, chance=0.1, sessions_a_day=1.0, days=21, **change)
        made = simulate(world, seed=5)
        p = plan(quantities={k: v for k, v in PLAN["quantities"].items() if k != "returned"},
                 metrics={"orders": {"mean": "orders"}})  # fmt: skip
        m = measure(made.log, p, made.exposures)
        days = effect_over_time(p, m, "orders", "treatment", days=14)
        shapes[name] = [d.difference.absolute.value for d in days]
        assert [d.day for d in days] == list(range(14))
    assert np.mean(shapes["fades"][:3]) > 3 * np.mean(shapes["fades"][8:])
    assert np.mean(shapes["late"][:6]) < 0.3 * np.mean(shapes["late"][8:])
    with pytest.raises(DataError, match="not a count or sum"):
        effect_over_time(p, m, "bought", "treatment")


def test_a_month_counts_those_that_take_no_part() -> None:
    made = simulate(World(visitors=3000), seed=2)
    whole = measure(made.log, plan())
    part = plan(coverage=0.5, layer={"name": "l", "start": 0.2, "end": 0.9},
                holdout={"name": "h", "share": 0.2})  # fmt: skip
    few = measure(made.log, part)
    assert few.units.num_rows < whole.units.num_rows * 0.35
    assert few.units_a_month == pytest.approx(whole.units_a_month, rel=0.1)


def test_households_are_randomised_together() -> None:
    made = simulate(World(visitors=2000, household=2.5), seed=6)
    truth = made.truth.to_pandas()
    assert (truth.groupby("household").arm.nunique() == 1).all()
    m = measure(made.log, plan(), made.exposures)
    frame = m.units.to_pandas().merge(truth[["unit", "household"]], on="unit")
    c = analyze(frame, plan(cluster="household")).get("orders", "treatment")
    assert c.units + c.units_control == frame.household.nunique()
    # A log that knows households gives the same.
    homes = truth.set_index("unit")["household"].astype(str)
    log = made.log.append_column(
        "household", pa.array(made.log["visitor_id"].to_pandas().map(homes), pa.string())
    )
    clustered = plan(cluster="household")
    own = analyze(measure(log, clustered, made.exposures).units, clustered)
    # Clusters named in words come in another order, so sums may differ in their last digits.
    for way in ("absolute", "relative"):
        read, known = (getattr(x, way) for x in (own.get("orders", "treatment").difference,
                                                 c.difference))  # fmt: skip
        assert vars(read) == {
            k: pytest.approx(v, rel=1e-9) if isinstance(v, float) else v
            for k, v in vars(known).items()
        }


def test_refunds_come_after_the_end() -> None:
    made = simulate(World(visitors=500, chance=0.3, refunds=0.5), seed=7)
    log = made.log.to_pandas()
    end = pd.Timestamp(START.replace(tzinfo=None)) + pd.Timedelta(days=14)
    assert (log[log.event_type == "refund"].event_time > pd.Timestamp("2026-03-02")).all()
    assert (log[log.event_type == "refund"].event_time > end - pd.Timedelta(days=14)).all()
    assert len(log[log.event_type == "refund"]) > 50


def test_what_cannot_be_measured() -> None:
    made = simulate(World(visitors=100), seed=1)
    with pytest.raises(DefinitionError, match="no quantities"):
        measure(made.log, plan(quantities={}), made.exposures)
    early = f"nobody was exposed in this log .{made.exposures.num_rows} exposures lie before 2030"
    with pytest.raises(DataError, match=early):
        measure(made.log, plan(start="2030-01-01"), made.exposures)
    texts = {"words": {"kind": "sum", "column": "event_type"}}
    with pytest.raises(DataError, match="event_type holds no numbers to add up, but VARCHAR"):
        measure(made.log, plan(quantities=texts), made.exposures)
    with pytest.raises(DataError, match="the exposures lack exposed"):
        measure(made.log, plan(), made.exposures.drop_columns(["exposed"]))
    with pytest.raises(UsageError, match="no column 'user'"):
        measure(made.log, plan(unit="user"), made.exposures)
    with pytest.raises(UsageError, match="shares must lie"):
        World(doubled=2.0)


def test_units_that_the_log_does_not_know_are_told() -> None:
    made = simulate(World(visitors=300), seed=1)
    frame = made.exposures.to_pandas()
    assert "XP119" not in {f.code for f in measure(made.log, plan(), frame).findings}
    frame.loc[frame.index % 3 == 0, "unit"] += "-device"
    (told,) = [f for f in measure(made.log, plan(), frame).findings if f.code == "XP119"]
    early = frame.exposed <= made.log["event_time"].to_pandas().max() - pd.Timedelta(days=5)
    assert told.count == (early & frame.unit.str.endswith("-device")).sum()


def test_exposures_that_stand_in_the_log_are_read() -> None:
    made = simulate(World(visitors=300, other_arm=0.05), seed=5)
    told = made.exposures
    size = told.num_rows
    nothing = {n: pa.nulls(size, made.log.schema.field(n).type) for n in made.log.column_names}
    seen = {
        **nothing, "visitor_id": told["unit"], "event_time": told["exposed"],
        "session_id": told["unit"], "event_order": pa.array([10**6] * size, pa.int64()),
        "event_type": pa.array(["other"] * size),
    }  # fmt: skip
    rows = pa.table(seen).select(made.log.column_names).cast(made.log.schema)
    rows = rows.append_column("experiment", pa.array(["simulated"] * size))
    log = pa.concat_tables(
        [made.log, rows.append_column("arm", told["arm"])], promote_options="default"
    )
    given = measure(made.log, plan(), told)
    read = measure(log, plan())
    names = ["unit", "arm", "exposed", "orders", "money", "orders_before"]
    assert read.units.select(names).to_pylist() == given.units.select(names).to_pylist()
    assert [f.code for f in read.findings if f.code not in {g.code for g in given.findings}] == [
        "XP130"
    ]
    # Another experiment's exposures are not this one's: the hash decides.
    other = measure(log, plan(key="another"))
    assert "XP130" not in {f.code for f in other.findings}


def test_ids_of_a_file_of_exposures_are_those_of_the_log(tmp_path: Path) -> None:
    # As numbers the first would lose its end; the second is how pandas writes 1001 in a gap.
    ids = ["1234567890.1677654321", "1001.0", "007", "guest"]
    file = tmp_path / "seen.csv"
    lines = [f"{unit},a,2026-03-02 10:00:00\n" for unit in ids]
    file.write_text("unit,arm,exposed\n" + "".join(lines))
    told = read_exposures([file], "k", unit="visitor_id")
    assert told["unit"].to_pylist() == ["1234567890.1677654321", "1001", "007", None]
    numbers = [f"{unit},a,2026-03-02 10:00:00\n" for unit in ids[:1]]
    file.write_text("unit,arm,exposed\n" + "".join(numbers))
    assert read_exposures([file], "k", unit="visitor_id")["unit"].to_pylist() == ids[:1]


def test_ids_of_a_csv_table_of_units_stay_apart(tmp_path: Path) -> None:
    rows = [(f"1{i:019d}.5", "ab"[i % 2], i) for i in range(80)]
    file = tmp_path / "units.csv"
    file.write_text("unit,arm,x\n" + "".join(f"{u},{a},{x}\n" for u, a, x in rows))
    ready = plan_from({"key": "k", "arms": ["a", "b"], "metrics": {"m": {"mean": "x"}}})
    assert analyze(file, ready).sample_ratio.units == {"a": 40, "b": 40}


def test_one_event_that_lies_ahead_does_not_end_the_experiment() -> None:
    made = simulate(World(visitors=300), seed=3)
    row = made.log.slice(0, 1).to_pydict() | {"event_time": [pd.Timestamp("2199-01-01")]}
    wrong = pa.concat_tables([made.log, pa.table(row, schema=made.log.schema)])
    told, right = measure(wrong, plan()), measure(made.log, plan())
    assert told.latest == right.latest
    assert told.units["unit"].equals(right.units["unit"])


def test_units_without_a_cluster_are_not_one() -> None:
    frame = pd.DataFrame({"unit": range(80), "arm": ["a", "b"] * 40, "x": range(80),
                          "home": [None, None, *range(78)]})  # fmt: skip
    ready = plan_from({"key": "k", "arms": ["a", "b"], "unit": "unit", "cluster": "home",
                       "metrics": {"m": {"mean": "x"}}})  # fmt: skip
    with pytest.raises(DataError, match="home: 2 units have none"):
        analyze(frame, ready)
