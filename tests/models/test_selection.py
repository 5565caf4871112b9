"""Choosing the champion, and folds that never look ahead."""

from __future__ import annotations

import numpy as np
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.models.folds import forward_folds, inner_folds
from cartcast.models.selection import choose, log_losses


def losses(seed=0, rows=2000):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.3).astype(int)
    p = np.clip(0.3 + 0.3 * (y - 0.3) + rng.normal(0, 0.1, rows), 0.02, 0.98)
    return y, p, rng


def test_a_tie_goes_to_the_simpler():
    y, p, rng = losses()
    near = np.clip(p + rng.normal(0, 0.01, len(p)), 0.01, 0.99)
    found = choose({"deep": log_losses(y, p), "line": log_losses(y, near)}, {"deep": 5, "line": 2})
    assert found.name == "line"
    assert "within one standard error" in found.reason or found.candidates[0].name == "line"


def test_a_clear_win_is_a_win():
    y, p, _ = losses()
    flat = np.full(len(y), y.mean())
    found = choose({"deep": log_losses(y, p), "flat": log_losses(y, flat)}, {"deep": 5, "flat": 0})
    assert found.name == "deep"
    assert found.candidates[1].behind > 2 * found.candidates[1].error


def test_error_is_that_of_the_paired_difference_and_grows_with_clusters():
    rng = np.random.default_rng(3)
    a, gap = rng.exponential(size=1000), rng.normal(0.02, 0.1, 1000)
    rank = {"a": 1, "b": 1}
    alone = choose({"a": a, "b": a + gap}, rank).candidates[1]
    assert alone.error == pytest.approx(gap.std(ddof=1) / np.sqrt(1000), rel=1e-6)
    # Each row ten times, as ten clicks of one visitor: the same error, not a third of it.
    many = choose(
        {"a": np.repeat(a, 10), "b": np.repeat(a + gap, 10)},
        rank,
        groups=np.repeat(range(1000), 10),
    ).candidates[1]
    assert many.error == pytest.approx(alone.error, rel=1e-6)


def test_weights_count():
    table = {"a": [1.0, 0.0], "b": [0.0, 1.0]}
    rank = {"a": 1, "b": 1}
    assert choose(table, rank, sample_weight=[3.0, 1.0]).name == "b"
    assert choose(table, rank, sample_weight=[1.0, 3.0]).name == "a"


def test_nothing_to_choose():
    with pytest.raises(DataError, match="no model"):
        choose({}, {})
    with pytest.raises(DataError, match="no validation rows"):
        choose({"a": []}, {"a": 1})
    with pytest.raises(DataError, match="finite"):
        choose({"a": [np.nan]}, {"a": 1})


@pytest.mark.parametrize("folds", [1, 2, 3, 7])
def test_forward_folds_never_look_ahead(folds):
    rng = np.random.default_rng(folds)
    order = rng.integers(0, 30, 500)
    visitors = rng.integers(0, 200, 500)
    parts = forward_folds(order, folds, visitors)
    judged = np.concatenate([judge for _, judge in parts])
    assert len(judged) == len(set(judged.tolist()))
    for fit, judge in parts:
        assert order[fit].max() < order[judge].min()
        assert not set(visitors[fit]) & set(visitors[judge])
    assert order[judged].max() == order.max()


def test_few_moments():
    assert len(forward_folds([1, 1, 2, 2], folds=5)) == 1
    with pytest.raises(DataError, match="at least 2 moments"):
        forward_folds([1, 1, 1])


def test_inner_folds_keep_groups_whole():
    y = np.arange(60) % 2
    groups = np.arange(60) // 4
    for fit, held in inner_folds(y, 3, groups=groups):
        assert not set(groups[fit]) & set(groups[held])
    for fit, held in inner_folds(y * 3.5, 3, groups=groups):
        assert not set(groups[fit]) & set(groups[held])
    with pytest.raises(DataError, match="need at least 3 groups"):
        inner_folds(y, 3, groups=np.arange(60) % 2)
    with pytest.raises(UsageError, match="at least 2"):
        inner_folds(y, 1)
    with pytest.raises(DataError, match="no forward fold"):
        inner_folds(np.array([0, 0, 1, 1]), 2, order=[1, 1, 2, 2])
