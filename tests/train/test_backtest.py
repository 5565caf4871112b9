"""The backtest sees drift where there is some, none where there is none, and its own errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast.models.fitting import Recipe
from cartcast.rows import from_table
from cartcast.splits import split_by_time
from cartcast.train.backtest import backtest, paired_gap, periods_of
from cartcast.train.fit import Plan
from cartcast.train.task import Task, parts_of


def task(drift: float, rows: int = 6000, seed: int = 0) -> Task:
    """Return a task of 12 weeks, in the later half of which the effect of `x` turns round."""
    rng = np.random.default_rng(seed)
    week = np.sort(rng.uniform(0, 12, rows))
    x = rng.normal(size=rows)
    turned = 1.5 - drift * np.clip(week - 5, 0, None)
    p = 1 / (1 + np.exp(-(turned * x - 0.5)))
    table = pd.DataFrame(
        {"x": x, "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(week * 7, unit="D"),
         "buys": (rng.random(rows) < p).astype(int)}
    )  # fmt: skip
    made = from_table(table, "buys", time="when")
    split = split_by_time(made.table, (0.4, 0.4, 0.2), by_clock=True)
    train, test = parts_of(made, split)
    return Task("classifier", {}, made, split, train, test, {}, {}, {})


PLAN = Plan("classifier", Recipe(), ordered=True)


def test_drift_makes_a_stale_model_worse_every_week() -> None:
    found = backtest(task(drift=0.4), "logistic_regression", PLAN)
    assert found["period_days"] == 7
    assert len(found["weeks"]) >= 5
    later = found["weeks"][1:]
    assert all(w["low"] > 0 for w in later)
    assert [w["gap"] for w in later] == pytest.approx([w["stale"] - w["fresh"] for w in later])
    gaps = [a["gap"] for a in found["ageing"]]
    assert gaps == sorted(gaps)
    assert "train again" in found["words"]


def test_without_drift_age_costs_next_to_nothing() -> None:
    found = backtest(task(drift=0.0), "logistic_regression", PLAN)
    assert all(abs(w["gap"]) < 0.02 for w in found["weeks"])


def test_no_week_is_judged_by_what_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pd.Timestamp] = []
    from cartcast.train import backtest as module

    real = module.fit_one

    def spy(name: str, rows: Any, plan: Plan) -> Any:
        seen.append(rows.keys["known_time"].max())
        return real(name, rows, plan)

    monkeypatch.setattr(module, "fit_one", spy)
    asked = task(drift=0.0)
    found = backtest(asked, "logistic_regression", PLAN)
    starts = [pd.Timestamp(w["start"]) for w in found["weeks"]]
    assert all(last <= start for last, start in zip(seen, starts, strict=True))


def test_no_time_no_backtest() -> None:
    asked = task(drift=0.0, rows=1000)
    random = replace(asked, split=replace(asked.split, method="stratified"))
    assert backtest(random, "logistic_regression", PLAN) == {}


def test_the_interval_covers_the_truth() -> None:
    """Of 300 simulated gaps with a known mean and visitors of several rows, 95 % are covered."""
    rng = np.random.default_rng(0)
    hit = 0
    for _ in range(300):
        who = np.repeat(np.arange(100), 3)
        gap = 0.1 + np.repeat(rng.normal(0, 0.5, 100), 3) + rng.normal(0, 0.2, 300)
        found = paired_gap(gap, np.zeros(300), np.ones(300), who)
        hit += found.low <= 0.1 <= found.high
    assert 0.91 < hit / 300 < 0.985


def test_periods_are_weeks_or_parts_of_a_short_log() -> None:
    days = pd.Series(pd.date_range("2026-01-01", periods=100, freq="D"))
    length, cuts = periods_of(days)
    assert length == pd.Timedelta(days=7)
    assert len(cuts) == 7
    assert cuts[-1] == days.iloc[-1]
    length, cuts = periods_of(days[:17])
    assert length == pd.Timedelta(days=2)
    assert periods_of(days[:1])[1] == []
