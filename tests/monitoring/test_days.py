"""Daily sums: against a slow oracle, and against what visitors really vary by."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.monitoring import days
from cartcast.monitoring.days import CLIP, COLUMNS, days_of, group_by


def moments(
    rng: np.random.Generator, visitors: int, days: int = 2, factor: float = 1.0
) -> pd.DataFrame:
    """Visitors with several sessions of several moments, which share the outcome; a day each."""
    rows = []
    for v in range(visitors):
        inclined = rng.normal(0, 1)
        for s in range(1 + rng.poisson(1)):
            p = 1 / (1 + math.exp(-(-2.5 + 0.8 * inclined)))
            y = float(rng.random() < min(p * factor, 1))
            day = v % days
            for _ in range(1 + rng.poisson(2)):
                rows.append((f"v{v}", f"s{v}-{s}", day, p, y, y * rng.gamma(2, 20)))
    table = pd.DataFrame(
        rows, columns=["visitor_id", "session_id", "d", "probability", "label", "amount"]
    )
    table["time"] = pd.Timestamp("2026-03-02 10:00") + pd.to_timedelta(table.pop("d"), "D")
    return table.assign(expected_revenue=40 * table["probability"])


def slow(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    out = {}
    for day, rows in table.groupby(table["time"].dt.floor("D")):
        p = [min(max(q, CLIP), 1 - CLIP) for q in rows["probability"]]
        g = [-math.log(q / (1 - q)) for q in p]
        mean_g = sum(a * b for a, b in zip(p, g, strict=True)) / sum(p)
        mean_p = sum(q * q for q in p) / sum(p)
        sums: dict[str, float] = defaultdict(float)
        by_visitor: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for q, k, y, v, a, m in zip(
            p,
            g,
            rows["label"],
            rows["visitor_id"],
            rows["amount"],
            rows["expected_revenue"],
            strict=True,
        ):
            parts = {
                "moments": 1,
                "expected": q,
                "realised": y,
                "log_loss": -math.log(q if y else 1 - q),
                "log_loss_expected": -q * math.log(q) - (1 - q) * math.log(1 - q),
                "brier": (y - q) ** 2,
                "brier_expected": q * (1 - q),
                "rate_scale": q * (1 - q),
                "shape": (y - q) * (k - mean_g),
                "shape_scale": q * (1 - q) * (k - mean_g) ** 2,
                "shape_b": -2 * (y - q) * (q - mean_p),
                "shape_b_scale": 4 * q * (1 - q) * (q - mean_p) ** 2,
                "excess_scale": q * (1 - q) * k * k,
                "revenue": a,
                "revenue_expected": m,
            }
            for name, value in parts.items():
                sums[name] += value
            for name, value in {
                "rate": y - q,
                "shape": parts["shape"],
                "shape_b": parts["shape_b"],
                "excess": (y - q) * k,
                "revenue": a - m,
            }.items():
                by_visitor[v][name] += value
        for name in ("rate", "shape", "shape_b", "excess", "revenue"):
            sums[f"{name}_var"] = sum(d[name] ** 2 for d in by_visitor.values())
        sums["visitors"] = len(by_visitor)
        out[str(pd.Timestamp(day).date())] = sums
    return out


def test_against_a_slow_oracle() -> None:
    table = moments(np.random.default_rng(1), 80)
    made = days_of(table)
    wanted = slow(table)
    assert len(made) == len(wanted) == 2
    for row in made.to_dict("records"):
        for name in COLUMNS:
            assert row[name] == pytest.approx(wanted[str(row["day"].date())][name]), name


def test_the_order_of_rows_does_not_matter() -> None:
    table = moments(np.random.default_rng(2), 60)
    mixed = table.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(days_of(table), days_of(mixed))


def test_a_large_day_is_summed_in_parts_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    table = moments(np.random.default_rng(4), 60).assign(click=lambda t: np.arange(len(t)) % 3)
    poor = table.drop(columns=["amount", "expected_revenue"])
    whole = [days_of(table), group_by(table, "click"), days_of(poor)]
    monkeypatch.setattr(days, "_PART", len(table) // 5)
    for one, parts in zip(
        whole, [days_of(table), group_by(table, "click"), days_of(poor)], strict=True
    ):
        pd.testing.assert_frame_equal(one, parts, rtol=1e-12)


def test_squares_over_visitors_are_the_variance_and_those_over_moments_are_not() -> None:
    rng = np.random.default_rng(5)
    drawn = days_of(moments(rng, 60 * 250, days=250))
    gaps = drawn["realised"] - drawn["expected"]
    over_visitors, over_moments = drawn["rate_var"].mean(), drawn["rate_scale"].mean()
    assert gaps.var() == pytest.approx(over_visitors, rel=0.3)
    assert gaps.var() > 2.5 * over_moments


def test_a_season_does_not_move_the_loss_once_its_rate_is_granted() -> None:
    rng = np.random.default_rng(6)
    drawn = days_of(moments(rng, 60 * 250, days=250, factor=1.6))
    shape = drawn["shape"] / drawn["log_loss_expected"]
    excess = drawn["log_loss"] / drawn["log_loss_expected"] - 1
    assert abs(shape.mean()) < 3 * shape.std() / 250**0.5
    assert excess.mean() > 0.2


def test_groups_add_up_and_missing_visitors_are_each_their_own() -> None:
    table = moments(np.random.default_rng(7), 40).assign(click=lambda t: np.arange(len(t)) % 3)
    whole, parts = days_of(table), group_by(table, "click")
    assert parts["realised"].sum() == whole["realised"].sum()
    assert parts["expected"].sum() == pytest.approx(whole["expected"].sum())
    alone = days_of(table.assign(visitor_id=None))
    assert alone["visitors"].sum() == len(table)


def test_without_money_there_is_none_and_not_zero() -> None:
    table = moments(np.random.default_rng(8), 20).drop(columns=["amount", "expected_revenue"])
    made = days_of(table)
    assert made["revenue"].isna().all()
    assert made["revenue_expected"].isna().all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"probability": 1.2}, "probability must lie within 0 and 1"),
        ({"label": -1.0}, "label must lie within 0 and 1"),
        ({"probability": float("nan")}, "probability must lie within 0 and 1"),
    ],
)
def test_impossible_moments_are_refused(change: dict[str, float], says: str) -> None:
    table = moments(np.random.default_rng(9), 5)
    with pytest.raises(DataError, match=says):
        days_of(table.assign(**change))
    with pytest.raises(DataError, match="without time"):
        days_of(table.drop(columns="time"))


def test_losses_over_a_week_are_those_of_its_moments() -> None:
    from cartcast.monitoring.history import losses

    rng = np.random.default_rng(4)
    days = pd.DataFrame(rng.random((12, len(COLUMNS))), columns=list(COLUMNS))
    days.insert(0, "day", pd.date_range("2026-03-02", periods=12))
    days.loc[3, list(COLUMNS)] = np.nan
    found = losses(days)
    assert found["day"].tolist() == days["day"].tolist()[6:]
    for k, row in enumerate(found.to_dict("records")):
        week = days.iloc[k : k + 7].dropna()
        assert row["log_loss"] == pytest.approx(week["log_loss"].sum() / week["moments"].sum())
        assert row["brier_expected"] == pytest.approx(
            week["brier_expected"].sum() / week["moments"].sum()
        )
        assert row["realised"] == pytest.approx(week["realised"].sum() / 7)
