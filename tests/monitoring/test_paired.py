"""The paired process: sums against a loop, the bound by enumeration, false proofs by Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from cartcast.monitoring.days import CLIP
from cartcast.monitoring.paired import (
    BETS,
    MEASURES,
    STAKE,
    block_sums,
    judge,
    log_evidence,
    needed,
)

RATE = 0.05
PROOF = math.log(20)


def slow_sums(moments: pd.DataFrame, rate: float) -> dict[str, dict[str, float]]:
    """The sums by their definition: a visitor's moments in order, with what is left of the stake."""
    out: dict[str, dict[str, float]] = {}
    for block, rows in moments.groupby("block"):
        told = dict.fromkeys((f"{m}_{c}" for m in MEASURES for c in ("sum", "square")), 0.0)
        for _, own in rows.groupby("visitor_id"):
            for measure in MEASURES:
                left, x = STAKE, 0.0
                for _, one in own.sort_values("time").iterrows():
                    p, q = (min(max(one[c], CLIP), 1 - CLIP) for c in ("champion", "challenger"))

                    def gain(y: float, p: float = p, q: float = q, m: str = measure) -> float:
                        if m == "brier":
                            return ((p - y) ** 2 - (q - y) ** 2) / (2 * rate * (1 - rate))
                        return math.log(q / p) if y else math.log((1 - q) / (1 - p))

                    most = max(abs(gain(0)), abs(gain(1)))
                    part = min(1.0, left / most) if most else 1.0
                    left -= part * most
                    x += part * gain(one["label"])
                assert abs(x) <= STAKE + 1e-9
                told[f"{measure}_sum"] += x
                told[f"{measure}_square"] += x * x
        out[str(block)] = told
    return out


def test_sums_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(2)
    n = 400
    made = pd.DataFrame(
        {
            "block": rng.choice(["b", "a"], n), "visitor_id": rng.choice(list("uvwxyz"), n),
            "time": rng.permutation(n), "champion": rng.random(n) ** 3,
            "challenger": np.where(rng.random(n) < 0.1, 0.0, rng.random(n) ** 3),
            "label": (rng.random(n) < 0.3).astype(float),
        }
    )  # fmt: skip
    found, slow = block_sums(made, RATE), slow_sums(made, RATE)
    assert list(found.index) == ["a", "b"]
    for block, told in slow.items():
        for name, value in told.items():
            assert found.loc[block, name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
    assert found["moments"].sum() == n
    assert found["visitors"].sum() == 12
    p, y = made["champion"].clip(CLIP, 1 - CLIP), made["label"]
    loss = -np.log(np.where(y > 0, p, 1 - p)).sum()
    assert found["log_loss_champion"].sum() == pytest.approx(loss)


def test_without_a_visitor_each_moment_is_its_own() -> None:
    made = pd.DataFrame(
        {"block": 0, "visitor_id": [None, None], "time": [0, 0], "champion": 0.2,
         "challenger": 0.3, "label": [0.0, 1.0]}
    )  # fmt: skip
    assert block_sums(made, RATE)["visitors"].item() == 2


def test_no_bet_gains_while_the_challenger_is_no_better() -> None:
    """Every variable on two points of [-STAKE, STAKE] whose mean is 0: the worst case."""
    points = np.linspace(-STAKE, STAKE, 161)
    low, high = np.meshgrid(points[points < 0], points[points >= 0])
    chance = -low / (high - low)
    for bet in BETS:
        psi = (-math.log1p(-bet * STAKE) - bet * STAKE) / STAKE**2
        one, other = (np.exp(bet * x - psi * x * x) for x in (low, high))
        assert ((1 - chance) * one + chance * other).max() <= 1 + 1e-12


def stream(rng: np.random.Generator, champion: float, challenger: float, days: int, streams: int):
    """Days of visitors whose truth is known at each click; buyers click on, so they count more.

    `champion` and `challenger` are deviations (log odds) of what each says from the truth; equal
    ones make two models of the same expected loss. Returns sums S and V by day and stream.
    """
    n = 60
    s = np.zeros((days, streams))
    v = np.zeros((days, streams))
    for k in range(streams):
        odds = expit(rng.normal(-2.5, 1, days * n))
        alive = np.ones(days * n, bool)
        rows = []
        for click in range(4):
            said = [expit(np.log(odds / (1 - odds)) + d * rng.normal(0, 1, odds.size))
                    for d in (champion, challenger)]  # fmt: skip
            rows.append((np.flatnonzero(alive), click, *(x[alive] for x in said)))
            # What is known moves up or down alike, so that it is the truth at every click.
            step = np.minimum(odds, 1 - odds) * 0.6
            odds = odds + np.where(rng.random(odds.size) < 0.5, step, -step)
            # Those who have become unlikely leave more often: the number of clicks tells of y.
            alive &= rng.random(odds.size) < 0.4 + 0.6 * odds
        y = (rng.random(odds.size) < odds).astype(float)
        table = pd.concat(
            [pd.DataFrame({"visitor_id": i, "time": c, "champion": p, "challenger": q})
             for i, c, p, q in rows]
        )  # fmt: skip
        table["label"] = y[table["visitor_id"]]
        table["block"] = table["visitor_id"] // n
        sums = block_sums(table, RATE)
        s[:, k], v[:, k] = sums["log_loss_sum"], sums["log_loss_square"]
    return s, v


def ever(s: np.ndarray, v: np.ndarray) -> float:
    """The share of streams in which a proof was ever reached at the end of a day."""
    log = log_evidence(s.cumsum(axis=0), v.cumsum(axis=0))
    return float((log >= PROOF).any(axis=0).mean())


def test_false_proofs_stay_below_the_level() -> None:
    rng = np.random.default_rng(1)
    s, v = stream(rng, 0.5, 0.5, days=40, streams=150)
    # Both say the truth with the same noise: neither is better, whichever is asked for.
    assert abs(s.sum(axis=0).mean()) < 3 * s.sum(axis=0).std() / 150**0.5
    assert (ever(s, v) + ever(-s, v)) / 2 <= 0.05
    # A challenger that adds noise to the truth is never taken, and soon proven worse.
    s, v = stream(rng, 0.0, 0.6, days=40, streams=40)
    assert ever(s, v) <= 0.05
    assert ever(-s, v) > 0.9


@pytest.mark.parametrize(("high", "chance"), [(1.8, 0.1), (0.2, 0.9), (0.02, 0.99)])
def test_false_proofs_over_many_looks_and_streams(high: float, chance: float) -> None:
    """Sums whose mean is 0, skewed either way: 4,000 streams, looked at 600 times each."""
    rng = np.random.default_rng(3)
    low = -high * chance / (1 - chance)
    total, square = np.zeros(4_000), np.zeros(4_000)
    reached = np.zeros(4_000, dtype=bool)
    for _ in range(600):
        x = np.where(rng.random(total.size) < chance, high, low)
        total += x
        square += x * x
        reached |= log_evidence(total, square) >= PROOF
    assert reached.mean() <= 0.05


def changed(rng: np.random.Generator, visitors: int, factor: float) -> pd.DataFrame:
    """A world in which the odds are `factor` of those that the champion knows."""
    truth = expit(rng.normal(-3, 1, visitors) + math.log(factor))
    return pd.DataFrame(
        {
            "block": np.arange(visitors) // 500, "visitor_id": np.arange(visitors), "time": 0,
            "champion": expit(np.log(truth / (1 - truth)) - math.log(factor)),
            "challenger": truth, "label": (rng.random(visitors) < truth).astype(float),
        }
    )  # fmt: skip


def test_a_changed_world_is_proven_and_the_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(4)
    days, covered = [], []
    for _ in range(40):
        made = changed(rng, 20_000, 0.6)
        p, q = made["champion"], made["challenger"]
        truth = (q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))).mean()
        sums = block_sums(made, RATE)
        log = log_evidence(sums["log_loss_sum"].cumsum(), sums["log_loss_square"].cumsum())
        days.append(int((log >= PROOF).argmax()) if (log >= PROOF).any() else 40)
        found = judge(sums, "log_loss", RATE)
        covered.append(found.low <= truth <= found.high)
        assert (found.low > 0) == (found.better >= 20)
        assert (found.high < 0) == (found.worse >= 20)
    assert np.median(days) < 20
    assert np.mean(covered) >= 0.95


def test_what_is_needed_is_what_it_takes() -> None:
    sums = block_sums(changed(np.random.default_rng(9), 2_000, 0.6), RATE)
    more = needed(sums)
    assert more is not None
    assert more > 0
    factor = 1 + more / sums["moments"].sum()
    total, square = (sums[f"log_loss_{c}"].sum() * factor for c in ("sum", "square"))
    assert log_evidence(total, square) == pytest.approx(PROOF, abs=0.01)
    worse = sums.assign(log_loss_sum=-sums["log_loss_sum"])
    assert needed(worse) is None
    assert needed(pd.concat([sums] * 50)) == 0
