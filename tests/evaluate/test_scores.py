"""Laws over every score, and the same numbers from scikit-learn and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from cartcast.errors import DataError, UsageError
from cartcast.evaluate import scores
from cartcast.evaluate.scores import SCORES, evaluate


def sample(seed: int, n: int = 400, ties: bool = False, task: str = "classifier"):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 4, n)
    if ties:
        p = np.round(p, 1)
    y = (rng.uniform(size=n) < p).astype(float)
    if task == "regressor":
        y = y * rng.lognormal(3, 1, n)
        p = p * 30
    return y, p, rng.integers(0, 4, n).astype(float) + (rng.uniform(size=n) < 0.5) * 0.0


def data_for(score, seed, ties=False):
    return sample(seed, ties=ties, task=score.tasks[0])


ALL = list(SCORES.values())
IDS = list(SCORES)


@pytest.mark.parametrize("score", ALL, ids=IDS)
@pytest.mark.parametrize("ties", [False, True])
def test_the_order_of_rows_does_not_matter(score, ties):
    y, p, w = data_for(score, 1, ties)
    shuffled = np.random.default_rng(2).permutation(len(y))
    assert score(y, p, w) == pytest.approx(score(y[shuffled], p[shuffled], w[shuffled]), rel=1e-12)


@pytest.mark.parametrize("score", ALL, ids=IDS)
@pytest.mark.parametrize("ties", [False, True])
def test_a_weight_is_a_repetition(score, ties):
    y, p, w = data_for(score, 3, ties)
    times = w.astype(int)
    repeated = score(np.repeat(y, times), np.repeat(p, times))
    assert score(y, p, w) == pytest.approx(repeated, rel=1e-9)


@pytest.mark.parametrize("score", ALL, ids=IDS)
def test_the_scale_of_weights_does_not_matter(score):
    y, p, w = data_for(score, 4)
    assert score(y, p, w) == pytest.approx(score(y, p, w * 0.037), rel=1e-9)


@pytest.mark.parametrize("score", ALL, ids=IDS)
def test_no_rows_is_undefined(score):
    assert score([], []) is None


@pytest.mark.parametrize("score", [s for s in ALL if s.loss], ids=lambda s: s.name)
def test_the_mean_of_observations_is_the_score(score):
    y, p, w = data_for(score, 5)
    each = score.per_observation(y, p)
    assert each.shape == y.shape
    assert np.average(each, weights=w) == pytest.approx(score(y, p, w), rel=1e-12)


@pytest.mark.parametrize("name", ["log_loss", "brier"])
def test_a_proper_score_is_least_at_the_true_share(name):
    y = np.r_[np.ones(30), np.zeros(70)]
    at = {q: SCORES[name](y, np.full(100, q)) for q in np.linspace(0.05, 0.95, 19).round(2)}
    assert min(at, key=at.get) == 0.3


PEERS = {
    "roc_auc": lambda y, p, w: metrics.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: metrics.average_precision_score(y, p, sample_weight=w),
    "log_loss": lambda y, p, w: metrics.log_loss(y, p, sample_weight=w),
    "brier": lambda y, p, w: metrics.brier_score_loss(y, p, sample_weight=w),
    "f1": lambda y, p, w: metrics.f1_score(y, p >= 0.5, sample_weight=w),
    "accuracy": lambda y, p, w: metrics.accuracy_score(y, p >= 0.5, sample_weight=w),
    "precision": lambda y, p, w: metrics.precision_score(y, p >= 0.5, sample_weight=w),
    "recall": lambda y, p, w: metrics.recall_score(y, p >= 0.5, sample_weight=w),
    "mae": lambda y, p, w: metrics.mean_absolute_error(y, p, sample_weight=w),
    "rmse": lambda y, p, w: metrics.root_mean_squared_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: metrics.r2_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(name, ties, seed):
    y, p, w = data_for(SCORES[name], seed, ties)
    assert SCORES[name](y, p, w) == pytest.approx(PEERS[name](y, p, w), rel=1e-9)


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_agrees_with_scipy(ties):
    from scipy.stats import spearmanr

    y, p, _ = sample(6, ties=ties, task="regressor")
    assert scores.spearman(y, p) == pytest.approx(spearmanr(y, p).statistic, rel=1e-9)


def naive_ece(y, p, bins=10):
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, bins)
    return sum(len(k) * abs(y[k].mean() - p[k].mean()) for k in parts) / len(y)


def test_ece_is_the_plain_one_when_bins_are_even():
    y, p, _ = sample(7)
    assert scores.ece(y, p) == pytest.approx(naive_ece(y, p), rel=1e-9)


def naive_auc(y, p):
    pairs = [(a > b) + 0.5 * (a == b) for a in p[y == 1] for b in p[y == 0]]
    return float(np.mean(pairs))


def test_auc_is_the_share_of_right_pairs():
    y, p, _ = sample(8, n=120, ties=True)
    assert scores.roc_auc(y, p) == pytest.approx(naive_auc(y, p), rel=1e-12)


def test_gini_of_a_label_is_two_auc_minus_one():
    y, p, w = sample(9, ties=True)
    auc = scores.roc_auc(y, p, w)
    assert scores.gini(y, p, w) == pytest.approx(2 * auc - 1, rel=1e-9)


def test_gini_of_the_amounts_themselves_is_one_and_of_a_constant_is_none_or_zero():
    y, _, w = sample(10, task="regressor")
    assert scores.gini(y, y * 3 + 1, w) == pytest.approx(1.0)
    assert scores.gini(y, np.ones_like(y), w) == pytest.approx(0.0, abs=1e-12)
    assert scores.gini(np.full(10, 5.0), np.arange(10.0)) is None


def test_lift_of_a_perfect_and_of_no_ranking():
    y = np.r_[np.ones(5), np.zeros(95)]
    assert scores.lift_top_decile(y, y) == pytest.approx(10.0)
    assert scores.lift_top_decile(y, np.full(100, 0.3)) == pytest.approx(1.0)
    y[5:20] = 1
    assert scores.lift_top_decile(y, y) == pytest.approx(5.0)


def test_closed_forms():
    assert scores.log_loss([1, 0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert scores.brier([1, 0, 0, 0], [0.25] * 4) == pytest.approx(0.25 * 0.75)
    assert scores.bias([1.0, 3.0], [2.0, 2.0]) == 0.0
    assert scores.log_loss([1, 0], [0.0, 0.0]) == pytest.approx(36.04 / 2, abs=0.01)


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1]])
def test_one_class_is_undefined_not_zero(y):
    assert scores.roc_auc(y, [0.1, 0.2, 0.3]) is None
    if not any(y):
        for name in ("average_precision", "recall", "lift_top_decile"):
            assert SCORES[name](y, [0.1, 0.2, 0.3]) is None
        assert scores.f1(y, [0.1, 0.2, 0.3]) is None
    assert scores.log_loss(y, [0.1, 0.2, 0.3]) is not None


def test_constant_predictions_have_no_rank_correlation():
    assert scores.spearman([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]) is None
    assert scores.r2([2.0, 2.0], [1.0, 3.0]) is None


def test_evaluate_returns_what_was_asked_and_checks_the_names():
    y, p, w = sample(11)
    assert list(evaluate(y, p, w)) == list(scores.CLASSIFIER_SCORES)
    assert list(evaluate(y, p, w, scores=("brier",))) == ["brier"]
    with pytest.raises(UsageError, match=r"unknown score 'rocauc'.*roc_auc"):
        evaluate(y, p, scores=("rocauc",))
    with pytest.raises(UsageError, match="r2 is not a score of a classifier"):
        evaluate(y, p, scores=("r2",))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0, 1], [0.1]), "y_pred must have 2 values"),
        (([0, 2], [0.1, 0.2]), "must be 0 or 1, got 2"),
        (([0, 1], [0.1, 1.2]), "0 <= p <= 1, got 1.2"),
        (([0, 1], [0.1, math.nan]), "must be finite"),
        (([0, 1], [0.1, 0.2], [1, -1]), "at least 0, got -1"),
        (([0, 1], [0.1, 0.2], [0, 0]), "positive sum"),
        (([0, 1], ["a", "b"]), "must be numbers"),
        (([[0, 1]], [0.1, 0.2]), "one dimension"),
    ],
)
def test_bad_arrays_are_refused_with_the_rule(arguments, words):
    with pytest.raises(DataError, match=words):
        evaluate(*arguments)


def test_a_score_without_observations_says_so():
    with pytest.raises(UsageError, match="no value for one observation"):
        scores.roc_auc.per_observation([0, 1], [0.1, 0.2])
