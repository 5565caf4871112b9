"""Small, stable versions of benchmarks/monitoring.py: clean years, planted faults, quiet seasons."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from cartcast.errors import UsageError
from cartcast.monitoring.feed import SIGNALS, unusual
from cartcast.monitoring.plan import Plan, plan_from
from cartcast.monitoring.risk import levels, noise_between_days, watch
from cartcast.monitoring.simulate import FAULTS, QUIET, Years, simulate_years

PLAN = Plan()
PLANTED = 150


@lru_cache
def drawn(fault: str | None = None, only: str | None = None, years: int = 20) -> Years:
    return simulate_years(years, seed=11, fault=fault, only=only, planted=PLANTED)


def pages(years: Years) -> dict[str, np.ndarray]:
    return {n: c.alarm for n, c in watch(years.table, levels(years.test), PLAN).items()}


def tickets(years: Years) -> dict[str, np.ndarray]:
    feed = {**years.feed, "events": 7 * years.feed["sessions"]}
    have = [s for s in SIGNALS if s.name in feed]
    return {s.name: unusual(feed, s, PLAN.tickets / (len(SIGNALS) + 1)).alarm for s in have}


def test_clean_years_keep_the_budget() -> None:
    false = sum(int(a.sum()) for a in pages(drawn(years=60)).values())
    # A budget of one page a year is a count of 60 here; so far there was none.
    assert false <= 60 * 0.05


def test_clean_years_keep_the_budget_of_tickets() -> None:
    days = sum(int(a.sum()) for a in tickets(drawn()).values())
    assert days <= 20 * PLAN.tickets


@pytest.mark.parametrize(
    ("fault", "process", "most"),
    [
        ("conversion", "purchases_down", 35),
        ("carts", "log_loss", 35),
        ("cents", "revenue_up", 4),
        ("stale", "log_loss", 100),
    ],
)
def test_faults_that_cost_money_page(fault: str, process: str, most: int) -> None:
    years = drawn(fault)
    alarm = pages(years)[process]
    assert not alarm[:PLANTED].any()
    after = alarm[PLANTED:]
    assert after.any(axis=0).mean() >= 0.95
    assert np.median(after.argmax(axis=0)) <= most


@pytest.mark.parametrize(
    ("fault", "signal"),
    [
        ("carts", "carts"),
        ("cents", "price"),
        ("bots", "fast"),
        ("clock", "clock"),
        ("twice", "doubled"),
    ],
)
def test_faults_of_the_feed_make_a_ticket_within_a_week(fault: str, signal: str) -> None:
    alarm = tickets(drawn(fault))[signal]
    soon = alarm[PLANTED : PLANTED + 7].any(axis=0)
    assert soon.mean() >= 0.9
    assert alarm[PLANTED - 7 : PLANTED].mean() < 0.02


def test_every_fault_is_found_by_something() -> None:
    paged = {"conversion", "carts", "cents", "stale"}
    ticketed = {"carts", "cents", "bots", "clock", "twice"}
    assert paged | ticketed == set(FAULTS)


@pytest.mark.parametrize("season", QUIET)
def test_seasons_stay_silent(season: str) -> None:
    assert not any(a.any() for a in pages(drawn(only=season)).values())


def test_a_margin_of_nothing_does_page_at_christmas() -> None:
    # What keeps it silent is the margin, and this test can fail.
    years = drawn(only="christmas")
    tight = replace(PLAN, purchases_up=0.05)
    assert watch(years.table, levels(years.test), tight)["purchases_up"].alarm.any(axis=0).all()


def test_the_level_is_drawn_to_one_the_more_the_less_is_known() -> None:
    test = {k: v.copy() for k, v in drawn().test.items()}
    test["realised"] = test["realised"] * 1.2
    sure = levels(test)["purchases_down"]
    few = levels({k: v[:2] for k, v in test.items()})["purchases_down"]
    assert abs(few.value - 1) < abs(few.measured - 1) / 2
    assert abs(sure.value - sure.measured) < abs(sure.measured - 1) / 5
    assert few.error > 4 * sure.error


def test_a_run_without_money_is_watched_without_it() -> None:
    years = drawn()
    test = {k: np.full_like(v, np.nan) if "revenue" in k else v for k, v in years.test.items()}
    assert set(levels(test)) == {"purchases_down", "purchases_up", "log_loss", "brier"}


def test_noise_between_days_is_learnt_from_the_past_only() -> None:
    rng = np.random.default_rng(1)
    value = 1 + 0.2 * rng.normal(size=(120, 50))
    sampling = np.full(value.shape, 0.1)
    noise = noise_between_days(value, sampling)
    assert np.median(noise[100]) == pytest.approx((0.2**2 - 0.1**2) ** 0.5, rel=0.15)
    later = value.copy()
    later[100:] = 9.0
    assert np.array_equal(noise_between_days(later, sampling)[:101], noise[:101])


def test_days_without_data_are_no_evidence() -> None:
    years = drawn("conversion")
    table = {k: v.copy() for k, v in years.table.items()}
    for values in table.values():
        values[40:60] = np.nan
    found = watch(table, levels(years.test), PLAN)["purchases_down"]
    assert np.array_equal(found.evidence[39], found.evidence[59])
    assert found.alarm[PLANTED:].any(axis=0).mean() >= 0.9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"budget": 0}, "budget must be a positive number"),
        ({"budget": True}, "budget must be a positive number"),
        ({"purchases_down": 1.5}, "must be below 1"),
        ({"bugdet": 1}, "Did you mean 'budget'"),
        ({"webhook": "https://x"}, "name: value"),
    ],
)
def test_bad_plans(given: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan_from(given)


def test_unknown_fault() -> None:
    with pytest.raises(UsageError, match="Did you mean 'bots'"):
        simulate_years(1, fault="bot")
