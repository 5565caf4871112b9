"""Searches: resumable to the same end, within their budget, forward in time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.fitting import Recipe
from cartcast.models.judge import Judge
from cartcast.models.search import search
from cartcast.models.trials import Trial, Trials
from cartcast.models.tuning import tune


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    y = (rng.random(400) < 1 / (1 + np.exp(1 - X["a"]))).astype(int)
    return X, y


NAMES = ("prevalence", "logistic_regression", "decision_tree")


def test_best_is_no_worse_than_the_default(data):
    X, y = data
    found = tune(NAMES, "classifier", X, y, trials=7)
    assert found["prevalence"] == {}
    for tuned in found.models.values():
        assert tuned.loss <= tuned.default_loss
    assert found.models["prevalence"].trials == 1
    assert found.models["decision_tree"].trials == 7
    assert set(found.as_dict()) == set(found) == set(NAMES)


@pytest.mark.parametrize("kept", [0, 4])
def test_killed_and_resumed_ends_as_if_left_alone(data, tmp_path, kept):
    X, y = data
    whole = tune(NAMES, "classifier", X, y, trials=7, folder=tmp_path)
    file = tmp_path / "trials.jsonl"
    lines = file.read_text().split("\n")
    # The head line and `kept` trials are whole, the next line is torn by the kill.
    file.write_text("\n".join(lines[: kept + 1]) + "\n" + lines[kept + 1][:15])
    again = tune(NAMES, "classifier", X, y, trials=7, folder=tmp_path)
    assert dict(again) == dict(whole)
    assert sum(t.resumed for t in again.models.values()) == kept
    for name in NAMES:
        assert again.models[name].loss == whole.models[name].loss
        assert again.models[name].trials == whole.models[name].trials


def test_another_question_starts_anew(data, tmp_path):
    X, y = data
    tune(["decision_tree"], "classifier", X, y, trials=2, folder=tmp_path)
    other = tune(["decision_tree"], "classifier", X, 1 - y, trials=2, folder=tmp_path)
    assert other.models["decision_tree"].resumed == 0


def test_budget_ends_the_search(data):
    X, y = data
    clock = {"now": 0.0}

    def tick() -> float:
        clock["now"] += 0.5
        return clock["now"]

    said = []
    found = tune(
        ["decision_tree", "logistic_regression"], "classifier", X, y, budget=30, clock=tick,
        progress=lambda what, share: said.append((what, share)),
    )  # fmt: skip
    assert clock["now"] < 45
    assert all(t.trials >= 2 for t in found.models.values())
    assert said[0][0].startswith("tuning")
    shares = [share for _, share in said]
    assert shares == sorted(shares)


def test_a_model_that_no_time_is_left_for_keeps_its_default(data):
    X, y = data
    clock = {"now": 0.0}

    def tick() -> float:
        clock["now"] += 3.0
        return clock["now"]

    found = tune(["decision_tree", "svm"], "classifier", X, y, budget=5, clock=tick)
    assert found["svm"] == {}
    assert "no time was left" in found.models["svm"].note


def test_forward_inner_validation(data):
    X, y = data
    found = tune(["logistic_regression"], "classifier", X, y, trials=3, order=np.arange(400))
    assert np.isfinite(found.models["logistic_regression"].loss)


def test_grid_is_walked_in_a_seeded_order():
    step = search(CLASSIFIERS["decision_tree"], "grid", 3, 7)
    past: list[Trial] = []
    seen = []
    while (params := step(past)) is not None:
        seen.append(params)
        past.append(Trial("decision_tree", params, (1.0,), False, 0.0))
    assert seen[0] == {}
    assert len(seen) == 1 + 3 * 3
    assert len({tuple(sorted(p.items())) for p in seen}) == len(seen)


def test_regressors_and_wrapped_models(data):
    X, y = data
    found = tune(["ridge"], "regressor", X, y * 20.0, trials=3)
    assert found.models["ridge"].loss > 0

    found = tune(
        ["logistic_regression"], "classifier", X, y, trials=2,
        resample="class_weight",
    )  # fmt: skip
    assert found.models["logistic_regression"].trials == 2


def test_refusals(data):
    X, y = data
    cases = (
        ({"budget": 1}, "at least 5 seconds, got 1"),
        ({}, "needs a budget"),
        ({"trials": 0}, "at least 1"),
        ({"trials": 1, "method": "random"}, "optuna, grid"),
        ({"trials": 1, "folds": 1}, "at least 2"),
    )
    for options, message in cases:
        with pytest.raises(UsageError, match=message):
            tune(["svm"], "classifier", X, y, **options)
    with pytest.raises(UsageError, match="kind must be"):
        tune(["svm"], "ranker", X, y, trials=1)
    with pytest.raises(UsageError, match="no model"):
        tune([], "classifier", X, y, trials=1)
    few = np.zeros(400, dtype=int)
    few[:2] = 1
    with pytest.raises(DataError, match="3 folds need at least 3 rows of the rarer class, got 2"):
        tune(["svm"], "classifier", X, few, trials=1)


def test_trials_on_disk(tmp_path):
    path = tmp_path / "deep" / "trials.jsonl"
    trials = Trials(path, "q")
    trials.add(Trial("m", {"a": 1}, (0.5, 0.7), False, 1.0))
    assert Trials(path, "q").of("m")[0].loss == pytest.approx(0.6)
    assert Trials(path, "other").all == []


def test_a_model_beyond_its_share_of_the_budget_keeps_its_defaults(data, monkeypatch):
    X, y = data
    monkeypatch.setattr(Judge, "needed", lambda self, d: 100.0 if d.name == "svm" else 0.0)
    found = tune(["svm", "decision_tree"], "classifier", X, y, budget=6)
    assert found["svm"] == {}
    assert found.models["svm"].trials == 0
    assert "about 100 s, more than its share" in found.models["svm"].note
    assert found.models["decision_tree"].trials >= 1


def test_the_time_of_a_trial_is_told_from_small_fits(data, monkeypatch):
    rows = np.arange(60_000)
    X = pd.DataFrame({"a": rows % 7.0})
    clock = {"now": 0.0}
    folds = [(rows[:40_000], rows[40_000:])]
    judge = Judge(X, rows % 2, None, None, None, folds, True, Recipe(), lambda: clock["now"])

    def fold(self, declaration, params, fit, held):
        clock["now"] += 0.5 + len(fit) / 1000
        return 0.0

    monkeypatch.setattr(Judge, "_fold", fold)
    assert judge.needed(CLASSIFIERS["decision_tree"]) == pytest.approx(40.5)
