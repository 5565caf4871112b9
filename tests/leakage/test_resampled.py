from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

NUMBERS = (
    "click", "price_mean", "price_max", "items", "categories", "carts", "elapsed", "hour",
    "past_sessions",
)  # fmt: skip
MEANS = ("price_mean", "price_max", "elapsed", "noise")

FAMILIES = ("split",)


def resampled(shop, sampler, columns) -> pd.DataFrame:
    table = pd.concat([shop.train, shop.test], ignore_index=True)
    table["noise"] = np.random.default_rng(0).normal(size=len(table))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X, y = sampler.fit_resample(table[list(columns)], table["label"])
    return X.assign(label=y)


def split(table: pd.DataFrame, seed: int = 0) -> dict[str, pd.DataFrame]:
    inside = np.random.default_rng(seed).random(len(table)) < 0.8
    return {"train": table[inside], "test": table[~inside]}


NO_KEYS = {"session": None, "visitor": None, "time": None, "click": None}


def smote():
    from imblearn.over_sampling import SMOTE

    return SMOTE(random_state=0)


def test_smote_before_the_split_leaves_fractions(find, shop) -> None:
    given = split(resampled(shop, smote(), NUMBERS))
    found = find(**given, **NO_KEYS, features=NUMBERS)
    assert found["LK305"].severity == "block"
    assert "fraction" in found["LK305"].message


def test_smote_on_real_numbers_leaves_straight_lines(find, shop) -> None:
    given = split(resampled(shop, smote(), MEANS))
    found = find(**given, **NO_KEYS, features=MEANS)
    assert found["LK305"].severity == "block"
    assert "line" in found["LK305"].message


def test_smote_inside_training_is_a_note(find, shop) -> None:
    from imblearn.over_sampling import SMOTE

    noise = np.random.default_rng(1)
    train = shop.train.assign(noise=noise.normal(size=len(shop.train)))
    test = shop.test.assign(noise=noise.normal(size=len(shop.test)))
    X, y = SMOTE(random_state=0).fit_resample(train[list(MEANS)], train["label"])
    found = find(train=X.assign(label=y), test=test, **NO_KEYS, features=MEANS)
    assert "LK305" not in found
    assert found["LK307"].severity == "note"


def test_oversampling_before_the_split(find, shop) -> None:
    from imblearn.over_sampling import RandomOverSampler

    given = split(resampled(shop, RandomOverSampler(random_state=0), NUMBERS))
    found = find(**given, **NO_KEYS, features=NUMBERS)
    assert found["LK304"].severity == "block"


@pytest.mark.parametrize("columns", [NUMBERS, MEANS])
def test_clean_split_is_not_called_resampled(find, shop, columns) -> None:
    noise = np.random.default_rng(1)
    train = shop.train.assign(noise=noise.normal(size=len(shop.train)))
    test = shop.test.assign(noise=noise.normal(size=len(shop.test)))
    found = find(train=train, test=test, features=columns)
    assert not {"LK304", "LK305", "LK306", "LK307"} & set(found)


def test_positives_that_look_alike_by_nature(find, shop) -> None:
    """Short sessions as the positive class share rows, but with both labels."""
    few = ("click", "country", "device", "categories")
    rng = np.random.default_rng(0)
    parts = {}
    for name, table in (("train", shop.train), ("test", shop.test)):
        short = table["click"].le(2) & (rng.random(len(table)) < 0.5)
        parts[name] = table.assign(label=short.astype(float))
    assert "LK304" not in find(**parts, features=few)


def test_balanced_evaluation(find, shop) -> None:
    buyers = shop.test[shop.test["label"] == 1]
    others = shop.test[shop.test["label"] == 0].sample(len(buyers), random_state=0)
    test = pd.concat([buyers, others] * 3, ignore_index=True)
    assert len(test) >= 200
    assert find(test=test)["LK306"].severity == "warn"
