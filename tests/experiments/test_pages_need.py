"""What the app's page asks of the package: the past, a draft, money, peeks, a decision later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cartcast.errors import DefinitionError
from cartcast.experiments import (
    Allocation,
    Journal,
    decide,
    draft,
    look,
    measure,
    past_of,
    plan_from,
    relative_of,
    since,
)
from cartcast.experiments.simulate import START, World, simulate

ARMS = {"control": 0.5, "treatment": 0.5}
ALLOCATION = Allocation("k", tuple(ARMS))


@pytest.fixture(scope="module")
def world():
    return simulate(World(visitors=1500, lift=0.6, chance=0.2, sessions_a_day=0.5), ALLOCATION, 1)


def drafted(**more):
    return plan_from(draft("k", ARMS, "revenue", days=3, **more))


def test_the_past_of_a_plan_is_everybody_over_the_whole_log(world) -> None:
    late = replace(
        drafted(start=START.date().replace(year=2031)),
        allocation=replace(ALLOCATION, coverage=0.3, ranges=()),
    )
    past = past_of(world.log, late)
    first = world.log.group_by("visitor_id").aggregate([("event_time", "min")])
    end = np.datetime64(pc.max(world.log["event_time"]).as_py()) - np.timedelta64(3, "D")
    whole = np.asarray(first["event_time_min"]) <= end
    assert past.units.num_rows == whole.sum()
    times = np.asarray(first["event_time_min"])[whole]
    days = (times.max() - times.min()) / np.timedelta64(1, "D")
    assert past.weeks == pytest.approx(days / 7)
    assert past.units_a_month == pytest.approx(whole.sum() / days * 30)


def test_a_repeated_purchase_is_counted_once(world) -> None:
    plain = measure(world.log, drafted())
    bought = pc.equal(world.log["event_type"], "purchase")
    again = world.log.filter(bought)
    both = pa.concat_tables(
        [
            world.log.append_column("repeat_purchase", pa.array([False] * len(world.log))),
            again.append_column("repeat_purchase", pa.array([True] * len(again))),
        ]
    )
    found = measure(both, drafted())
    assert found.units["revenue_after"].to_pylist() == plain.units["revenue_after"].to_pylist()


def test_only_sums_of_amounts_are_money() -> None:
    plan = plan_from(
        {
            "key": "k", "arms": ARMS,
            "quantities": {
                "money": {"kind": "sum", "event": "purchase", "column": "revenue"},
                "pieces": {"kind": "sum", "event": "purchase", "column": "quantity"},
                "bought": {"kind": "any", "event": "purchase"},
            },
            "metrics": {
                "revenue": {"mean": "money"}, "pieces": {"mean": "pieces"},
                "conversion": {"proportion": "bought"}, "basket": {"ratio": "money", "by": "bought"},
                "top": {"quantile": "money", "q": 0.9},
            },
        }
    )  # fmt: skip
    assert plan.money == ("revenue",)
    assert drafted(margin=0.1).money == ("revenue",)


@pytest.mark.parametrize("key", ["../../x", "/etc/x", "a/b", "..", "free shipping"])
def test_the_journal_of_any_key_stays_in_its_folder(tmp_path: Path, key: str) -> None:
    plan = plan_from({**draft("k", ARMS, "conversion"), "key": key})
    journal = Journal.of(tmp_path, plan, "Ann")
    assert journal.path.resolve().parent == tmp_path / ".cartcast" / "experiments"
    journal.add("look", {"units": {"a": 1}, "x": float("inf")})
    assert [(e["who"], e["x"]) for e in journal.entries()] == [("Ann", None)]


def test_looks_with_fewer_units_are_peeks_and_widen_what_is_said(world, tmp_path: Path) -> None:
    plan = drafted()
    journal = Journal.of(tmp_path, plan)
    whole = replace(measure(world.log, plan), findings=())
    half = replace(whole, units=whole.units.slice(0, 900))
    for measured in (half, whole, whole):
        found = look(measured, plan, journal=journal)
    assert journal.looked == 3
    assert [f.message for f in found.findings if f.code == "XP109"] == [
        "looked at once before, with fewer units."
    ]
    c = found.get("revenue", "treatment")
    assert relative_of(found, c) == c.always_valid_relative
    once = look(whole, plan)
    assert relative_of(once, c) == c.difference.relative
    # At the planned end, and after it, a look is no peek.
    expected = replace(plan, expected_units=900)
    ended = Journal.of(tmp_path / "other", expected)
    for measured in (half, whole):
        found = look(measured, expected, journal=ended)
    assert not [f for f in found.findings if f.code in ("XP108", "XP109")]


def test_what_became_of_a_decision(world, tmp_path: Path) -> None:
    plan = drafted(start=START.date())
    measured = replace(measure(world.log, plan), findings=())
    journal = Journal.of(tmp_path, plan)
    then = look(measured, plan)
    journal.add("decision", decide(then, plan, "revenue").as_dict())
    (entry,) = journal.entries()
    e = then.get("revenue", "treatment").difference.relative
    same = since(entry, then)
    assert same.then == same.now == (e.value, e.low, e.high)
    assert same.holds
    nothing = Allocation("k", ("control", "treatment"))
    other = simulate(World(visitors=1500, lift=-0.9, sessions_a_day=0.5), nothing, 2)
    later = look(replace(measure(other.log, plan), findings=()), plan)
    assert since(entry, later).holds is False
    assert since({**entry, "metric": "gone"}, later).holds is None


def test_a_draft_needs_a_name_and_a_known_outcome() -> None:
    with pytest.raises(DefinitionError, match="name"):
        draft(" ", ARMS, "revenue")
    with pytest.raises(DefinitionError, match="conversion"):
        draft("k", ARMS, "happiness")
