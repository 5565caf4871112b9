"""Explanation against models whose truth is known: exact sums, order, directions, words."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import UsageError
from cartcast.explain import by_click, contributions, describe, effect, importance, in_points
from cartcast.explain.phrases import phrase, sentence
from cartcast.explain.predict import log_odds
from cartcast.features import default, usual
from cartcast.features.words import titled
from cartcast.models.calibrate import calibrate
from cartcast.models.classifiers import CLASSIFIERS
from cartcast.models.encoded import encoders
from cartcast.models.resample import Resampled
from cartcast.models.stack import Stack

UNITS = {"carts": "event", "price": "currency", "device": "", "noise": ""}


class Known:
    """log-odds = 1.2 carts - 0.02 price; the other columns do nothing."""

    def predict_proba(self, X):
        score = -2 + 1.2 * X["carts"].to_numpy(float) - 0.02 * X["price"].to_numpy(float)
        p = 1 / (1 + np.exp(-score))
        return np.column_stack([1 - p, p])


def table(n=1500, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "carts": rng.poisson(0.8, n).astype(float),
            "price": rng.lognormal(3, 0.6, n),
            "device": rng.choice(np.array(["phone", "desktop", None], dtype=object), n),
            "noise": rng.normal(size=n),
        }
    )
    y = (rng.uniform(size=n) < Known().predict_proba(X)[:, 1]) * 1.0
    return X, y, np.repeat(np.arange(n // 3), 3)


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = table(2000, seed=1)
    X.loc[::7, "price"] = np.nan
    made = {
        name: CLASSIFIERS[name].make(seed=0).fit(X, y)
        for name in ("lightgbm", "xgboost", "logistic_regression")
    }
    return X, y, made


def test_importance_finds_what_matters_and_shows_nothing_of_noise():
    X, y, g = table()
    found = importance(Known(), X, y, None, g).set_index("feature")
    assert list(found.index[:2]) == ["carts", "price"]
    assert found.loc["carts", "low"] > 0
    assert found.loc["noise", "mean_drop"] == 0.0
    assert found.loc["carts", "direction"] == "raises"
    assert found.loc["price", "direction"] == "lowers"
    assert found.loc["device", "direction"] is None or pd.isna(found.loc["device", "direction"])
    assert (found["low"] <= found["mean_drop"]).all()
    assert (found["mean_drop"] <= found["high"]).all()


def test_importance_is_the_loss_that_shuffling_adds():
    X, y, _ = table(800)
    (row,) = importance(Known(), X, y, features=["carts"], repeats=1, seed=4).itertuples()
    from sklearn.metrics import log_loss

    order = np.random.default_rng(4).permutation(800)
    shuffled = X.assign(carts=X["carts"].to_numpy()[order])
    model = Known()
    added = log_loss(y, model.predict_proba(shuffled)) - log_loss(y, model.predict_proba(X))
    assert row.mean_drop == pytest.approx(added, rel=1e-9)


def test_importance_is_the_same_of_rows_that_are_encoded_once(fitted):
    X, y, made = fitted
    parts = tuple((n, Resampled(made[n], "undersample")) for n in ("lightgbm", "xgboost"))
    for _, part in parts:
        part.estimator_, part.trained_, part.natural_ = part.estimator, 0.5, 0.2
    line = (("line", made["logistic_regression"]),)
    model = calibrate(Stack.of(parts + line, np.array([0.5, 0.3, 0.2]), -0.1), X, y)
    odd = X.assign(device=X["device"].where(X.index % 50 > 0, "never seen"), unread=1.0)

    class Opaque:
        predict_proba = staticmethod(model.predict_proba)

    assert len(encoders(model)) == 3
    assert encoders(Opaque()) is None
    once, each_time = (importance(m, odd[:400], y[:400], draws=20) for m in (model, Opaque()))
    pd.testing.assert_frame_equal(once, each_time, rtol=1e-12, atol=1e-12)
    assert once["mean_drop"].abs().gt(0).sum() >= 3


def test_importance_of_a_regressor_is_r2_lost():
    class Line:
        def predict(self, X):
            return X["carts"].to_numpy(float) * 10

    X, _, _ = table(600)
    y = X["carts"].to_numpy() * 10 + np.random.default_rng(0).normal(size=600)
    found = importance(Line(), X, y, task="regressor").set_index("feature")
    assert found.loc["carts", "mean_drop"] == pytest.approx(2.0, abs=0.3)


def test_importance_samples_whole_visitors_and_repeats_itself():
    X, y, g = table()
    once = importance(Known(), X, y, None, g, max_rows=300, features=["carts"])
    again = importance(Known(), X, y, None, g, max_rows=300, features=["carts"])
    pd.testing.assert_frame_equal(once, again)


def loyal(rng, visitors):
    """Return rows of visitors, one to eight each and much alike, with their labels."""
    g = np.repeat(np.arange(visitors), rng.integers(1, 9, visitors))
    carts = rng.normal(1, 1, visitors)[g] + 0.2 * rng.normal(size=len(g))
    X = pd.DataFrame({"carts": carts, "price": 20.0})
    return X, (rng.uniform(size=len(g)) < Known().predict_proba(X)[:, 1]) * 1.0, g


def test_the_interval_of_an_importance_covers():
    """The values shuffled in are a sample of visitors, too: without that it holds 80 %."""
    X, y, g = loyal(np.random.default_rng(0), 30_000)
    options = {"features": ["carts"], "draws": 200}
    truth = importance(Known(), X, y, None, g, max_rows=len(X), **options)["mean_drop"][0]
    rng, held, runs = np.random.default_rng(1), 0, 200
    for _ in range(runs):
        X, y, g = loyal(rng, 120)
        (row,) = importance(Known(), X, y, None, g, **options).itertuples()
        held += row.low <= truth <= row.high
    assert held / runs == pytest.approx(0.9, abs=0.05)


def test_importance_by_click():
    X, y, g = table()
    clicks = np.tile([1, 2, 5], 500)
    found = by_click(Known(), X, y, clicks, g, features=["carts"])
    assert list(found["click"]) == [1, 2, 5]
    assert by_click(Known(), X, y, clicks, g, minimum=10_000).empty
    weights = np.where(np.arange(1500) < 750, 1.0, 0.0)
    half = by_click(Known(), X, y, clicks, g, weights=weights, features=["carts"])
    only = weights > 0
    alone = by_click(Known(), X[only], y[only], clicks[only], g[only], features=["carts"])
    np.testing.assert_allclose(half["mean_drop"], alone["mean_drop"], rtol=0.4)


def test_an_unknown_feature_is_named():
    X, y, _ = table(50)
    with pytest.raises(UsageError, match="Did you mean 'carts'"):
        importance(Known(), X, y, features=["cart"])
    with pytest.raises(UsageError, match="Did you mean 'price'"):
        effect(Known(), X, "prise")


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_tree_contributions_sum_to_the_score(fitted, name):
    X, _, made = fitted
    found = contributions(made[name], X[:50])
    score = log_odds(made[name].predict_proba(X[:50])[:, 1])
    assert found.method == "tree"
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, score, atol=1e-4)
    assert list(found.values.columns) == list(X.columns)


def test_a_calibrated_booster_is_explained_before_its_curve(fitted):
    X, y, made = fitted
    found = contributions(calibrate(made["lightgbm"], X, y), X[:5])
    assert found.scale == "log-odds before calibration"
    pd.testing.assert_frame_equal(found.values, contributions(made["lightgbm"], X[:5]).values)


@pytest.mark.parametrize("name", ["lightgbm", "logistic_regression", "calibrated"])
def test_points_of_probability_sum_to_the_probability(fitted, name):
    X, y, made = fitted
    model = calibrate(made["lightgbm"], X, y) if name == "calibrated" else made[name]
    rows, background = X[:40], X[200:500]
    found = in_points(model, rows, background)
    p = model.predict_proba(rows)[:, 1]
    told = found.values.sum(axis=1) + found.base
    scores = contributions(model, rows, background)
    moved = scores.values.sum(axis=1)
    # A row whose score is the usual one within the draws' own error may be told by the slope.
    away = np.abs(moved) > 0.05
    np.testing.assert_allclose(told[away], p[away], atol=1e-9)
    assert np.array_equal(np.sign(found.values), np.sign(scores.values))
    if name == "calibrated":
        usual = model.curve(1 / (1 + np.exp(-scores.base)))
        np.testing.assert_allclose(found.base, usual, atol=0.01)
    else:
        np.testing.assert_allclose(found.base, 1 / (1 + np.exp(-scores.base)))


def test_sampled_contributions_are_exact_for_a_straight_line():
    X, _, _ = table()
    X = X[["carts", "price", "noise"]]
    found = contributions(Known(), X[:4], X[:500])
    score = log_odds(Known().predict_proba(X[:4])[:, 1])
    assert found.method == "sampled"
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, score, atol=1e-9)
    assert (found.values["noise"].abs() < 1e-9).all()
    expected = 1.2 * (X["carts"][:4] - X["carts"][:500].mean())
    np.testing.assert_allclose(found.values["carts"], expected, atol=0.8)


def test_sampled_contributions_are_near_shapleys_own():
    """All coalitions of features, over all background rows: Shapley 1953."""
    X, _, _ = table(120, seed=3)
    X["noise"] = X["noise"].where(X["noise"] > -1)
    background, row = X[:100].reset_index(drop=True), X[100:101]

    class Together(Known):
        def predict_proba(self, X):
            known = np.nan_to_num(X["noise"].to_numpy(float)) * X["carts"].to_numpy(float)
            p = 1 / (1 + np.exp(-known - (X["device"] == "phone").to_numpy(float)))
            return np.column_stack([1 - p, p])

    names, model = list(X.columns), Together()

    def value(known: tuple[str, ...]) -> float:
        asked = background.assign(**{n: row[n].iloc[0] for n in known})
        return float(log_odds(model.predict_proba(asked)[:, 1]).mean())

    exact = {
        name: np.mean(
            [
                value((*order[: order.index(name)], name)) - value(order[: order.index(name)])
                for order in itertools.permutations(names)
            ]
        )
        for name in names
    }
    found = [contributions(model, row, background, seed=s).values.iloc[0] for s in range(12)]
    error = pd.DataFrame(found) - pd.Series(exact)
    assert float(np.sqrt((error**2).mean().mean())) < 0.06
    assert (error.mean().abs() < 0.04).all()
    # A table too small for the draws is used evenly, so that the base is exact.
    few = contributions(model, row, background[:4])
    assert few.base[0] == pytest.approx(
        log_odds(model.predict_proba(background[:4])[:, 1]).mean(), abs=1e-12
    )


def test_a_model_without_trees_needs_a_background(fitted):
    X, _, made = fitted
    with pytest.raises(UsageError, match="give background rows"):
        contributions(made["logistic_regression"], X[:1])
    found = contributions(made["logistic_regression"], X[:2], X[:200])
    score = log_odds(made["logistic_regression"].predict_proba(X[:2])[:, 1])
    np.testing.assert_allclose(found.values.sum(axis=1) + found.base, score, atol=1e-6)


def test_an_effect_follows_the_model():
    X, _, g = table()
    found = effect(Known(), X, "carts", groups=g)
    assert found["prediction"].is_monotonic_increasing
    assert found["share"].sum() == pytest.approx(1.0)
    assert (found["low"] <= found["prediction"]).all()
    flat = effect(Known(), X, "device", groups=g)
    assert set(flat["value"]) == {"phone", "desktop"}
    assert flat["prediction"].nunique() == 1


def test_an_effect_of_nothing_known_is_empty():
    X, _, _ = table(60)
    assert effect(Known(), X.assign(noise=np.nan), "noise").empty


def test_words():
    told = describe(
        {"carts": 6.0, "price": np.nan, "noise": 0.1},
        {"carts": 0.9, "price": -0.3, "noise": 0.0},
        UNITS,
    )
    assert list(told["text"]) == ["6 carts", "price unknown"]
    assert sentence(told) == "6 carts raise the chance of a purchase; price unknown lowers it."
    assert sentence(told.iloc[:0]) == (
        "Nothing moves the chance of a purchase away from the average."
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("day_of_week", 0.0, "day, Monday 0"), "on a Monday"),
        (("hour", 14.0, "hour"), "at 14 o'clock"),
        (("carts", 0.0, "event"), "no carts"),
        (("price_max", 1500.0, "currency", "EUR"), "highest price seen €1,500"),
        (("price_max", 15.0, "currency", None), "highest price seen 15"),
        (("days_since_last_session", 2.5, "day"), "2.5 days since the last session"),
        (("seconds_since_click", 12.0, "s"), "last pause 12 s"),
        (("seconds_since_cart", 0.0, "s"), "0 s since the last cart"),
        (("lists_decayed_6", 0.891, "event"), "0.89 recent list views (6 clicks)"),
        (("item_revisits", 1.0, "event"), "1 return to an item"),
        (("price_std", 0.0, "currency", "EUR"), "no spread of prices seen"),
        (("share_of_sale", 0.25), "share of sale 25 %"),
        (("dwell_mean", 90.0, "s"), "average pause 90 s"),
        (("avg_price_per_click", 2.0, "currency/event", "EUR"), "average price per click €2"),
        (("device", "phone", ""), "device phone"),
        (("x", None), "x unknown"),
    ],
)
def test_phrases(arguments, text):
    assert phrase(*arguments) == text


def test_every_feature_that_comes_with_cartcast_has_words():
    """No label shows a raw name, a statistician's suffix or a number without its unit."""
    for features in (default, usual):
        labels = [titled(n, f.unit, "EUR") for n, f in features.features.items()]
        assert len(set(labels)) == len(labels)
        for label in labels:
            assert not re.search(r"_|\b(std|avg|max|min|decayed|diversity)\b(?!\))", label), label


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("2 carts", "raise"),
        ("1 cart", "raises"),
        ("no searches", "raise"),
        ("2 min in the session", "raises"),
        ("no spread of prices seen", "raises"),
        ("device mobile", "raises"),
    ],
)
def test_a_sentence_agrees_with_its_subject(text, verb):
    one = pd.DataFrame({"text": [text], "words": ["raises"]})
    assert f" {verb} the chance" in sentence(one)
