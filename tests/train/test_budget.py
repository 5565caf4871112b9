"""One clock for a whole training; no test here depends on real seconds."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast.config import Settings
from cartcast.errors import UsageError
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.train import Options, candidates, checkpoint, train
from cartcast.train.budget import Budget
from cartcast.train.candidates import _shared, sampled
from cartcast.train.champion import surely_better
from cartcast.train.checkpoint import Checkpoint
from cartcast.train.fit import Fitted

sys.path.insert(0, str(Path(__file__).parent))
from test_fit import part, table


class Ticking:
    """A clock that jumps by `step` seconds each time it is read."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_given_budget_is_used_up_and_the_usual_one_is_not() -> None:
    assert (Options().budget, Options().tune) == (600.0, False)
    assert Options.from_settings(Settings()) == Options()
    given = Options.from_settings(Settings(), budget="2m")
    assert (given.budget, given.tune) == (120.0, True)
    endless = Options.from_settings(Settings(), budget="none")
    assert (endless.budget, endless.tune) == (math.inf, False)
    assert Options.from_settings(Settings(budget=90.0)).budget == 90.0


def test_shares_of_time_are_fair_and_never_more_than_there_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        needs = {f"m{k}": float(v) for k, v in enumerate(rng.exponential(50, rng.integers(1, 8)))}
        left = float(rng.uniform(1, 200))
        shares, out = _shared(needs, left, 100_000)
        assert set(shares) | set(out) == set(needs)
        assert not set(shares) & set(out)
        assert sum(needs[n] * s for n, s in shares.items()) <= left + 1e-9
        assert all(s * 100_000 >= 20_000 and s <= 1 for s in shares.values())
        if sum(needs.values()) <= left:
            assert set(shares.values()) == {1.0}
        # Nobody is left out or cut for the sake of one that needs more.
        cut = [needs[n] for n in out] + [needs[n] for n, s in shares.items() if s < 1]
        whole = [needs[n] for n, s in shares.items() if s == 1]
        assert not cut or not whole or max(whole) <= min(cut)


def test_a_sample_is_whole_visitors_and_a_smaller_one_lies_inside() -> None:
    source = table(2000).assign(who=np.arange(2000) // 4)
    rows = part(source, group="who")
    large, at_large = sampled(rows, 0.5)
    small, at_small = sampled(rows, 0.2)
    assert set(at_small) < set(at_large)
    assert len(large) == pytest.approx(1000, rel=0.15)
    counts = pd.Series(small.groups).value_counts()
    assert set(counts) == {4}


def test_what_does_not_fit_is_left_out_with_a_finding(tmp_path: Path) -> None:
    now = itertools.count()
    budget = Budget(100.0, clock=lambda: float(next(now)))
    budget.checkpoint = Checkpoint(tmp_path / "run", "key")
    assert budget.allows("figures", 10.0)
    assert not budget.allows("refit", 500.0)
    assert not budget.allows("drivers", 50.0, keep=60.0)
    assert [f.code for f in budget.findings] == ["MD131", "MD131"]
    # After a kill the same is decided, though there is time now.
    again = Budget(1e6, clock=lambda: float(next(now)))
    again.checkpoint = Checkpoint(tmp_path / "run", "key")
    assert not again.allows("refit", 500.0)


def test_too_small_a_budget_says_what_could_be_done(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too small.*only the baselines.*give --budget \d+s"):
        train(
            rows=table(2000), target="buys", models=("logistic_regression",), budget=40.0,
            run_dir=tmp_path / "run", threads=1, clock=Ticking(5.0),
        )  # fmt: skip


def test_a_short_budget_leaves_out_the_rest_and_says_so(tmp_path: Path) -> None:
    told: list[str] = []
    run = train(
        rows=table(2000), target="buys", models=("logistic_regression",), budget=400.0,
        run_dir=tmp_path / "run", threads=1, clock=Ticking(5.0),
        progress=lambda what, share: told.append(what),
    )  # fmt: skip
    assert any(what.startswith("plan: logistic_regression") for what in told)
    assert all("left)" in what for what in told)
    assert run.data["seconds"]["total"] <= 1.1 * 400
    left_out = [f.message for f in run.findings if f.code == "MD131"]
    assert any(m.startswith("drivers would take") for m in left_out)
    assert run.data["importance"] == []


def test_a_stopped_training_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fitted and decided before is taken over, though the clock now says otherwise."""
    monkeypatch.setattr(checkpoint, "WORTH_KEEPING", 0.0)
    asked = {"rows": table(400), "target": "buys", "models": ("logistic_regression",), "threads": 1}
    left_alone = train(run_dir=tmp_path / "alone", **asked)

    def stop(what: str, share: float | None) -> None:
        if what.startswith("refit"):
            raise KeyboardInterrupt

    where = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(run_dir=where, progress=stop, **asked)
    assert not where.exists()
    fitted: list[int] = []
    real = candidates.fit_one
    monkeypatch.setattr(candidates, "fit_one", lambda *a: fitted.append(1) or real(*a))
    again = train(run_dir=where, **asked)
    assert not fitted, "a model that was kept is not fitted again"
    for name, found in left_alone.metrics.items():
        assert again.metrics[name] == pytest.approx(found, rel=1e-9, nan_ok=True)
    assert again.data["refit"] == left_alone.data["refit"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone", "run"]


@pytest.mark.parametrize(("gain", "kept"), [(0.3, True), (0.002, False), (-0.3, False)])
def test_tuned_parameters_must_be_surely_better_on_other_rows(gain: float, kept: bool) -> None:
    """Judged on rows where the gain is planted, under noise as large as what tuning changes."""
    rng = np.random.default_rng(1)
    label = (rng.random(4000) < 0.3).astype(float)
    sign = 2 * label - 1

    def said(odds: Any, name: str = "lightgbm") -> Fitted:
        p = 1 / (1 + np.exp(-odds))
        return Fitted(CLASSIFIERS[name], None, p, p)

    base = -0.8 + 1.0 * sign * rng.random(4000)
    rows: Any = SimpleNamespace(label=label, weight=np.ones(4000), groups=np.arange(4000))
    usual = said(base)
    tuned = said(base + gain * sign + rng.normal(0, 0.5, 4000))
    found = {"prevalence": said(np.full(4000, -0.85), "prevalence")}
    assert surely_better(tuned, usual, found, rows) is kept
