"""The hurdle model against a shop whose true amounts are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from cartcast.errors import DataError
from cartcast.evaluate.revenue import coverage
from cartcast.models.hurdle import Hurdle
from cartcast.models.intervals import (
    AmountInterval,
    PlainInterval,
    conformal_quantile,
)
from cartcast.models.regressors import REGRESSORS


def shop(rows: int, seed: int):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"clicks": rng.geometric(0.2, rows).astype(float), "price": rng.lognormal(3, 0.6, rows)}
    )
    p = 1 / (1 + np.exp(4 - 0.15 * X["clicks"]))
    mean = 1.5 * X["price"] * np.exp(0.5**2 / 2)
    amount = (rng.random(rows) < p) * 1.5 * X["price"] * rng.lognormal(0, 0.5, rows)
    return X, amount.to_numpy(), (p * mean).to_numpy()


@pytest.fixture(scope="module")
def fitted():
    X, amount, _ = shop(12_000, 0)
    return REGRESSORS["hurdle"].make().fit(X, amount)


def test_the_mean_is_right_for_all_and_for_buyers(fitted):
    X, amount, truth = shop(20_000, 1)
    bought = amount > 0
    assert fitted.predict(X).mean() == pytest.approx(truth.mean(), rel=0.12)
    given = fitted.predict_given_purchase(X[bought]).mean()
    assert given == pytest.approx(amount[bought].mean(), rel=0.08)
    assert fitted.smearing_ > 1  # exp(E log) is below E: without smearing the mean is too low.
    assert np.corrcoef(fitted.predict(X), truth)[0, 1] > 0.8


def test_another_classifier_takes_over(fitted):
    X, _, _ = shop(50, 2)

    class Always:
        def predict_proba(self, X):
            return np.tile([0.75, 0.25], (len(X), 1))

    other = fitted.with_classifier(Always())
    np.testing.assert_allclose(other.predict(X), 0.25 * fitted.predict_given_purchase(X))
    alone = fitted.with_classifier(None)
    np.testing.assert_allclose(alone.predict(X), fitted.predict_given_purchase(X))


def test_bad_amounts_and_few_buyers():
    X, _, _ = shop(200, 3)
    with pytest.raises(DataError, match="must not be negative, 1 rows are"):
        REGRESSORS["hurdle"].make().fit(X, np.where(np.arange(200) == 0, -1.0, 1.0))
    with pytest.raises(DataError, match="no row has a positive amount"):
        REGRESSORS["hurdle"].make().fit(X, np.zeros(200))
    few = np.where(np.arange(200) < 10, 30.0, 0.0)
    model = REGRESSORS["hurdle"].make().fit(X, few)
    assert "only 10 buyers" in model.note_
    np.testing.assert_allclose(model.predict_given_purchase(X), 30.0)


@pytest.mark.parametrize("visitors", [60, 150, 400])
def test_smearing_brings_the_mean_back_when_the_model_knows_visitors_again(visitors):
    """A full tree repeats what a visitor paid: held out by rows, nothing is left to smear."""
    bias = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(visitors), rng.integers(2, 7, visitors))
        X = pd.DataFrame({"x": rng.uniform(size=visitors)[g]})
        amount = rng.lognormal(3, 0.6, visitors)[g]
        model = Hurdle(None, DecisionTreeRegressor(random_state=0)).fit(X, amount, groups=g)
        fresh = pd.DataFrame({"x": rng.uniform(size=2000)})
        bias.append(model.predict(fresh).mean() / np.exp(3 + 0.6**2 / 2) - 1)
        assert model.buyers_ <= visitors
    assert abs(np.mean(bias)) < 2.6 * np.std(bias) / np.sqrt(20) + 0.01
    assert Hurdle(None, DecisionTreeRegressor(random_state=0)).fit(
        X, amount
    ).smearing_ == pytest.approx(1, abs=0.1)


def test_each_tenth_of_the_buyers_is_covered():
    """Dear baskets spread more; rows of a visitor repeat what the visitor paid."""

    def buyers(seed, visitors):
        rng = np.random.default_rng(seed)
        g = np.repeat(np.arange(visitors), rng.integers(1, 6, visitors))
        price = rng.lognormal(3, 0.6, visitors)
        paid = price * np.exp(np.where(price > 30, 0.8, 0.2) * rng.normal(size=visitors))
        return pd.DataFrame({"price": price[g]}), paid[g], g

    class Price:
        def predict(self, X):
            return X["price"].to_numpy()

        predict_given_purchase = predict

    fresh, paid, _ = buyers(0, 20_000)
    tenth = np.argsort(np.argsort(fresh["price"])) * 10 // len(fresh)
    reached = []
    for seed in range(1, 25):
        X, amount, g = buyers(seed, 500)
        interval = AmountInterval(Price()).fit(X, amount, groups=g)
        assert interval.groups_ >= 8
        low, high = interval.predict(fresh)
        reached.append([((paid >= low) & (paid <= high))[tenth == k].mean() for k in range(10)])
    assert np.mean(reached, axis=0).min() > 0.875


def test_interval_given_purchase_covers_buyers_where_the_plain_one_does_not(fitted):
    X, amount, _ = shop(20_000, 4)
    bought = amount > 0
    given = AmountInterval(fitted).fit(X[bought], amount[bought])
    plain = PlainInterval(fitted).fit(X, amount)
    fresh, paid, _ = shop(20_000, 5)
    expected = fitted.predict(fresh)
    honest = coverage(paid, *given.predict(fresh), expected, level=0.95).set_index("part")
    naive = coverage(paid, *plain.predict(fresh), expected, level=0.95).set_index("part")
    for part in ("buyers", "buyers in the top decile"):
        assert honest.loc[part, "low"] <= 0.91
        assert honest.loc[part, "high"] >= 0.89
        assert naive.loc[part, "coverage"] < 0.5
    assert naive.loc["all", "coverage"] == pytest.approx(0.9, abs=0.02)


def test_conformal_quantile_is_the_order_statistic():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))
    assert conformal_quantile(scores, 0.9) == 18.0  # ceil(20 * 0.9) of 19
    assert conformal_quantile(scores, 0.95) == 19.0
    assert conformal_quantile(scores, 0.96) == np.inf
    assert conformal_quantile(scores, 0.9, np.full(19, 7.0)) == 18.0


def test_conformal_coverage_over_many_small_samples():
    rng = np.random.default_rng(1)
    hits = [
        rng.exponential() <= conformal_quantile(rng.exponential(size=39), 0.9) for _ in range(4000)
    ]
    assert np.mean(hits) == pytest.approx(0.9, abs=0.015)


def test_interval_refusals(fitted):
    X, amount, _ = shop(2000, 6)
    with pytest.raises(DataError, match="buyers only"):
        AmountInterval(fitted).fit(X, amount)
    rows = np.flatnonzero(amount > 0)[:10]
    with pytest.raises(DataError, match="needs 19 buyers"):
        AmountInterval(fitted).fit(X.iloc[rows], amount[rows])


def test_coverage_of_an_empty_part_is_null():
    table = coverage([0.0, 0.0], [0.0, 1.0], [1.0, 2.0], [1.0, 2.0]).set_index("part")
    assert table.loc["all", "coverage"] == 0.5
    assert pd.isna(table.loc["buyers", "coverage"])
