from __future__ import annotations

import numpy as np
import pandas as pd

from cartcast.leakage import AuditInput, audit

FAMILIES = ("evidence", "meaning")


def test_page_values_change_their_meaning_in_june(shoppers_file) -> None:
    """UCI online shoppers: PageValues tells almost everything until May, far less from June."""
    rows = pd.read_csv(shoppers_file)
    found = audit(AuditInput(train=rows, target="Revenue", time="Month"))
    (jump,) = [f for f in found if f.code == "LK407"]
    assert jump.evidence["column"] == "PageValues"
    each = jump.evidence["by_period"]
    assert min(each["Mar"], each["May"]) > 0.95
    assert max(each[m] for m in ("June", "Jul", "Aug", "Sep", "Nov", "Dec")) < 0.88
    assert not [f for f in found if f.severity == "block"]
    without = audit(
        AuditInput(train=rows.drop(columns="PageValues"), target="Revenue", time="Month")
    )
    assert "LK407" not in {f.code for f in without}


def test_a_column_filled_with_the_outcome_in_one_month(find, shop) -> None:
    month = shop.train["anchor_time"].dt.month
    x = np.random.default_rng(0).normal(size=len(shop.train))
    leaky = shop.train.assign(x=np.where(month == 1, x + 2.5 * shop.train["label"], x))
    test = shop.test.assign(x=0.0)
    found = find(train=leaky, test=test, add=("x",))
    assert found["LK407"].evidence["column"] == "x"
    steady = shop.train.assign(x=x + 1.0 * shop.train["label"])
    assert "LK407" not in find(train=steady, test=test, add=("x",))


def test_prevalence_shift(find, shop) -> None:
    buyers = shop.test[shop.test["label"] == 1]
    many = pd.concat(
        [shop.test, *[buyers.assign(session_id=buyers["session_id"] + f"{i}") for i in range(5)]]
    )
    assert find(test=many)["LK505"].evidence["test"] > find(test=many)["LK505"].evidence["train"]
    assert "LK505" not in find()


def test_label_recorded_for_half_the_time(find, shop) -> None:
    half = shop.train["anchor_time"].quantile(0.5)
    dark = shop.train.assign(label=shop.train["label"].where(shop.train["anchor_time"] > half, 0.0))
    found = find(train=dark)
    assert found["LK506"].severity == "block"
    assert 0.3 < found["LK506"].evidence["share"] < 0.6
    missing = shop.train.assign(label=shop.train["label"].where(shop.train["anchor_time"] > half))
    assert find(train=missing)["LK506"].severity == "block"
    assert "LK506" not in find()


def test_a_period_column_instead_of_a_clock() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"month": rng.choice(["Jan", "Feb", "Mar"], 3000), "x": rng.normal(size=3000)}
    )
    table["y"] = (rng.random(3000) < 0.2).astype(int)
    given = {"target": "y", "time": "month", "features": ["x"]}
    assert "LK506" not in {f.code for f in audit(AuditInput(train=table, **given))}
    table.loc[table["month"] == "Mar", "y"] = 0
    (found,) = [f for f in audit(AuditInput(train=table, **given)) if f.code == "LK506"]
    assert found.evidence["periods"] == ["Mar"]
    assert found.severity == "warn"
