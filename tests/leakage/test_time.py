from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import UsageError

FAMILIES = ("time",)


def both(shop, **columns):
    """Return train and test with columns made by functions of the pooled table."""
    pooled = pd.concat([shop.train, shop.test], ignore_index=True)
    for name, make in columns.items():
        pooled[name] = make(pooled)
    rows = len(shop.train)
    return {
        "train": pooled.iloc[:rows].reset_index(drop=True),
        "test": pooled.iloc[rows:].reset_index(drop=True),
        "add": tuple(columns),
    }


def test_known_after_the_anchor(find, shop) -> None:
    late = shop.train["anchor_time"] + pd.Timedelta("3h")
    early = shop.train["anchor_time"] - pd.Timedelta("3h")
    test = shop.test.assign(known=shop.test["anchor_time"])
    found = find(train=shop.train.assign(known=late), test=test, known={"carts": "known"})
    assert found["LK201"].severity == "block"
    assert found["LK201"].count == len(shop.train)
    assert "LK201" not in find(
        train=shop.train.assign(known=early), test=test, known={"carts": "known"}
    )
    with pytest.raises(UsageError, match="no column 'knwon'"):
        find(known={"carts": "knwon"})


@pytest.mark.parametrize(("shift", "told"), [("2D", True), ("-2D", False)])
def test_time_among_the_features(find, shop, shift, told) -> None:
    given = both(shop, shipped=lambda t: t["anchor_time"] + pd.Timedelta(shift))
    assert ("LK202" in find(**given)) is told


def test_text_times_are_read(find, shop) -> None:
    given = both(
        shop,
        shipped=lambda t: (t["anchor_time"] + pd.Timedelta("2D")).dt.strftime("%Y-%m-%d %H:%M"),
    )
    assert find(**given)["LK202"].count == len(shop.train)


def test_aggregate_fitted_on_the_future(find, shop) -> None:
    end = shop.train["anchor_time"].max()
    found = find(fitted_until={"past_purchases": end + pd.Timedelta("30D")})
    assert found["LK203"].severity == "block"
    assert found["LK203"].count > 100
    assert "LK203" not in find(fitted_until={"past_purchases": end})
    with pytest.raises(UsageError, match="must be a time"):
        find(fitted_until={"carts": "soon"})


def test_target_encoding_before_the_split(find, shop) -> None:
    leaky = both(shop, country_rate=lambda t: t.groupby("country")["label"].transform("mean"))
    found = find(**leaky)
    assert found["LK204"].severity == "block"
    assert found["LK204"].evidence["column"] == "country_rate"
    own = shop.train.groupby("country")["label"].mean()
    assert "LK204" not in find(**both(shop, country_rate=lambda t: t["country"].map(own)))


def test_scaled_over_both_parts(find, shop) -> None:
    mean, spread = shop.train["price_max"].mean(), shop.train["price_max"].std(ddof=0)
    leaky = both(
        shop, scaled=lambda t: (t["price_max"] - t["price_max"].mean()) / t["price_max"].std(ddof=0)
    )
    assert find(**leaky)["LK205"].evidence["columns"] == ["scaled"]
    assert "LK205" not in find(**both(shop, scaled=lambda t: (t["price_max"] - mean) / spread))


def test_counts_of_later_rows(find, shop) -> None:
    leaky = both(shop, visits=lambda t: t.groupby("visitor_id")["label"].transform("size"))
    assert find(**leaky)["LK206"].severity == "block"
    honest = both(shop, visits=lambda t: t.groupby("visitor_id").cumcount() + 1.0)
    assert "LK206" not in find(**honest)


def test_clicks_against_time(find, shop) -> None:
    turned = shop.train.copy()
    turned["click"] = turned["click"].max() + 1 - turned["click"]
    assert find(train=turned)["LK207"].count > 1000
    assert "LK207" not in find()


def test_missing_times(find, shop) -> None:
    holes = shop.train.copy()
    holes.loc[np.arange(0, 50), "anchor_time"] = pd.NaT
    assert find(train=holes)["LK208"].count == 50
    assert "LK208" not in find()
