from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.leakage import AuditInput, audit

FAMILIES = ("meaning",)


def test_proxy_is_said(find) -> None:
    found = find(kind="proxy", describe="at least 5 more clicks")
    assert found["LK501"].severity == "warn"
    assert "at least 5 more clicks" in found["LK501"].message
    assert "LK501" not in find(kind="observed")


def test_one_class_blocks(find, shop) -> None:
    nobody = shop.train.assign(label=0.0)
    assert find(train=nobody)["LK502"].severity == "block"
    assert find(test=shop.test.assign(label=0.0))["LK502"].evidence["part"] == "test"
    assert "LK502" not in find()


def test_few_positives(find, shop) -> None:
    assert find()["LK503"].evidence["positives"] < 1000
    buyers = shop.train[shop.train["label"] == 1].head(40)
    few = pd.concat([shop.train[shop.train["label"] == 0], buyers])
    assert find(train=few, test=None)["LK503"].severity == "warn"
    again = pd.concat([shop.train] * 40, ignore_index=True)
    copy = np.repeat(np.arange(40), len(shop.train)).astype(str)
    assert "LK503" in find(train=again, test=None), "rows of one visitor are not news"
    ids = {c: again[c] + "." + copy for c in ("session_id", "visitor_id")}
    assert "LK503" not in find(train=again.assign(**ids), test=None)


def test_censored_rows(find, shop) -> None:
    end = shop.test["anchor_time"].max()
    found = find(horizon=7 * 86400.0, data_end=end)
    late = int((shop.test["anchor_time"] > end - pd.Timedelta("7D")).sum())
    assert found["LK504"].count == late
    assert "LK504" not in find(horizon=7 * 86400.0, data_end=end + pd.Timedelta("7D"))
    assert find(dropped={"censored": 12})["LK504"].severity == "note"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("customer", lambda n: [f"c{i:05d}" for i in range(n)]),
        ("orderId", lambda n: np.random.default_rng(0).permutation(n * 3)[:n]),
        ("row", lambda n: np.arange(n) + 17),
    ],
)
def test_ids_as_features(find, shop, name, make) -> None:
    tables = {k: getattr(shop, k) for k in ("train", "test")}
    marked = {k: t.assign(**{name: make(len(t))}) for k, t in tables.items()}
    found = find(**marked, add=(name,))
    assert found["LK507"].severity == "block"
    assert found["LK507"].evidence["column"] == name


def test_group_as_feature_and_honest_numbers(find, shop) -> None:
    assert find(add=("visitor_id",))["LK507"].evidence["column"] == "visitor_id"
    money = np.random.default_rng(0).permutation(10**7)[: len(shop.train)]
    whole = {"train": shop.train.assign(spent=money), "test": shop.test.assign(spent=1)}
    assert "LK507" not in find(**whole, add=("spent",))
    assert "LK507" not in find()


def test_clock(find) -> None:
    assert "a date only" in find(clock="day")["LK508"].message
    assert "LK508" not in find(clock="time")


def test_missing_labels(find, shop) -> None:
    holes = shop.train.copy()
    holes.loc[np.arange(0, len(holes), 10), "label"] = np.nan
    assert find(train=holes)["LK509"].count == len(range(0, len(holes), 10))
    assert "LK509" not in find()


def test_constant_columns(find, shop) -> None:
    flat = {"train": shop.train.assign(a=1, b=None), "test": shop.test.assign(a=1, b=None)}
    assert find(**flat, add=("a", "b"))["LK510"].evidence["columns"] == ["a", "b"]
    assert "LK510" not in find()


def test_a_copy_of_the_group_names_it_whatever_it_is_called() -> None:
    draw = np.random.default_rng(2)
    who = draw.integers(0, 90, 600)
    table = pd.DataFrame({
        "visitor": who, "account": np.array([f"u{11 * k % 97}" for k in range(90)])[who],
        "code": draw.permutation(900)[:90][who], "visits": draw.poisson(3, 90)[who],
        "worth": draw.normal(size=90)[who], "y": draw.integers(0, 2, 600),
    })  # fmt: skip
    names = ["account", "code", "visits", "worth"]
    given = AuditInput(train=table, target="y", features=names, visitor="visitor")
    found = [f.evidence["column"] for f in audit(given) if f.code == "LK507"]
    assert found == ["account", "code"]
