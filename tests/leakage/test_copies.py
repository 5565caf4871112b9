"""Copies against rows that are alike by nature, whatever distribution nature has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.leakage import AuditInput, audit
from cartcast.leakage.copies import too_many_twins

FAMILIES = ("split",)


def page_log(sessions: int, seed: int, *, seconds: bool) -> pd.DataFrame:
    """Rows after clicks of a log of few page classes (and seconds): alike by nature."""
    rng = np.random.default_rng(seed)
    share, length = rng.dirichlet(np.ones(6) / 2), rng.geometric(0.3, sessions)
    rows = []
    for click in (1, 2, 4):
        at = np.flatnonzero(length >= click)
        seen = rng.choice(6, (len(at), click), p=share)
        spent = np.round(rng.lognormal(3, 1.2, (len(at), click)))
        spent[:, 0] = 0
        row = {"click": np.full(len(at), click), "last": seen[:, -1], "session": at}
        row |= {f"n{j}": (seen == j).sum(axis=1) for j in range(6)}
        if seconds:
            row |= {"sum": spent.sum(axis=1), "max": spent.max(axis=1)}
        row["label"] = rng.random(len(at)) < 0.05 + 0.3 * (seen == 2).mean(axis=1)
        rows.append(pd.DataFrame(row))
    return pd.concat(rows, ignore_index=True)


def customers(n: int, seed: int) -> pd.DataFrame:
    """Recency, frequency, money: with one order amount, mean, highest and lowest are equal."""
    rng = np.random.default_rng(seed)
    orders = rng.geometric(0.6, n)
    spent = [np.round(rng.lognormal(3, 0.8, k), 2) for k in orders]
    made = {f.__name__: [float(f(s)) for s in spent] for f in (np.sum, np.mean, np.max, np.min)}
    table = pd.DataFrame({"recency": rng.integers(1, 365, n), "orders": orders, **made})
    odds = np.exp(-1.6 + 0.5 * orders - 0.006 * table["recency"])
    return table.assign(label=(rng.random(n) < odds / (1 + odds)).astype(int))


def codes(train: pd.DataFrame, test: pd.DataFrame, **roles: object) -> set[str]:
    found = audit(AuditInput(train=train, test=test, target="label", **roles), FAMILIES)
    return {f.code for f in found if f.severity != "note"} - {"LK302"}


def by_session(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    later = table["session"] % 4 == 0
    return table[~later], table[later]


@pytest.mark.parametrize("seed", range(4))
def test_no_distribution_breaks_the_inequality(seed) -> None:
    rng = np.random.default_rng(seed)
    for shape in (0.05, 0.5, 5.0):
        for scale in (0.01, 1.0, 20.0):
            rates = rng.gamma(shape, scale, 5000)
            assert too_many_twins(rng.poisson(rates)) is None
            assert too_many_twins(rng.poisson(np.round(rates))) is None


@pytest.mark.parametrize("times", [1, 2, 4])
def test_copies_break_the_inequality_at_their_number(times) -> None:
    natural = np.random.default_rng(0).poisson(0.01, 5000)
    found = too_many_twins(np.r_[natural, np.full(1500, times)])
    assert found is not None
    assert found.times == times


@pytest.mark.parametrize("seconds", [True, False])
def test_page_classes_are_alike_by_nature_and_twice_is_not(seconds) -> None:
    table = page_log(4000, 1, seconds=seconds)
    train, test = by_session(table)
    names = [c for c in table if c not in ("label", "session")]
    assert codes(train, test, session="session", features=names) == set()
    assert codes(train, test, features=names) == set()
    twice = pd.concat([table, table]).sample(frac=1.0, random_state=1)
    assert "LK303" in codes(twice[: len(table)], twice[len(table) :], features=names)


@pytest.mark.parametrize("seed", range(3))
def test_tiny_discrete_tables(seed) -> None:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.integers(0, [2, 3, 4, 2, 5], (1500, 5)), columns=list("abcde"))
    table["label"] = (rng.random(1500) < 0.3).astype(int)
    assert codes(table[:1000], table[1000:]) == set()


@pytest.mark.parametrize("seed", range(2))
def test_recency_frequency_money_is_not_interpolated(seed) -> None:
    table = customers(3000, seed)
    assert codes(table[:2000], table[2000:]) == set()
    turned = table.assign(label=1 - table["label"])
    assert codes(turned[:2000], turned[2000:]) == set()


@pytest.mark.parametrize("digits", [None, 2, 0])
def test_smote_then_rounding(digits) -> None:
    from imblearn.over_sampling import SMOTE

    table = customers(3000, 0)
    X, y = SMOTE(random_state=0).fit_resample(
        table.drop(columns="label").astype(float), table.label
    )
    if digits is not None:
        X = X.round(2 if digits == 2 else {"recency": 0, "orders": 0, "sum": 1, "mean": 2})
    made = X.assign(label=y).sample(frac=1.0, random_state=0)
    assert "LK305" in codes(made[:3500], made[3500:])


def words(n: int, seed: int) -> pd.DataFrame:
    """Six columns of few words: most rows are alone, many are not."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.integers(0, [3, 4, 6, 5, 7, 8], (n, 6)) ** 2, columns=list("abcdef"))
    odds = np.exp(-2.6 + 0.3 * table["a"] + 0.02 * table["f"])
    return table.assign(label=(rng.random(n) < odds / (1 + odds)).astype(int))


@pytest.mark.parametrize("times", [2, 4])
def test_oversampling_of_a_discrete_table(times) -> None:
    table = words(5000, 0)
    assert codes(table[:3500], table[3500:]) == set()
    rare = table[table["label"] == 1]
    more = pd.concat([table, *[rare] * (times - 1)]).sample(frac=1.0, random_state=0)
    assert "LK304" in codes(more[:4500], more[4500:])


def test_labels_that_go_by_item_are_not_oversampled() -> None:
    """Popular items convert at rates of their own: twins agree, in both classes alike."""
    rng = np.random.default_rng(0)
    rate, item = rng.beta(0.3, 1.2, 400), rng.zipf(1.3, 6000) % 400
    table = pd.DataFrame({"item": item, "price": rng.integers(5, 90, 400)[item]})
    table["label"] = (rng.random(6000) < rate[item]).astype(int)
    assert codes(table[:4000], table[4000:]) == set()
