from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError
from cartcast.leakage import too_good

FAMILIES = ("evidence",)
RNG = np.random.default_rng(5)
Y = RNG.integers(0, 2, 3000).astype(float)


def codes(*arguments, **words) -> list[str]:
    return [f.code for f in too_good(*arguments, **words)]


def test_perfect_predictions_block() -> None:
    (found,) = too_good(Y, Y + RNG.normal(0, 0.05, 3000), {"prevalence": np.zeros(3000)})
    assert found.code == "LK405"
    assert found.severity == "block"
    assert found.evidence["baseline"] == 0.5


def test_good_predictions_do_not() -> None:
    assert codes(Y, Y * 2.1 + RNG.normal(size=3000)) == []


def test_perfect_at_one_click_only() -> None:
    click = np.repeat([1.0, 2, 3], 1000)
    y_pred = np.where(click == 3, Y + RNG.normal(0, 0.05, 3000), RNG.normal(size=3000))
    (found,) = too_good(Y, y_pred, click=click)
    assert found.evidence["where"] == "at click 3"
    assert found.count == 1000


def test_knowing_at_once_what_is_known_later() -> None:
    click = np.repeat([1.0, 5.0], 1500)
    strong = Y * 2.3 + RNG.normal(size=3000)
    base = {"click_count": click}
    assert codes(Y, strong, base, click=click) == ["LK408"]
    grows = np.where(click == 1, Y * 0.8, Y * 2.3) + RNG.normal(size=3000)
    assert codes(Y, grows, base, click=click) == []


def test_few_groups_prove_nothing() -> None:
    groups = np.arange(3000) % 10
    y = (groups % 2).astype(float)
    assert codes(y, y, groups=groups) == []
    assert codes(y, y) == ["LK405"]


def test_numbers_explained_entirely() -> None:
    money = RNG.lognormal(size=3000)
    assert codes(money, money * 1.01) == ["LK405"]
    assert codes(money, money + RNG.normal(0, 2, 3000)) == []


def test_lengths_are_checked() -> None:
    with pytest.raises(DataError, match=r"one per row \(3,000\), got 2"):
        too_good(Y, [0.1, 0.2])
    with pytest.raises(DataError, match="groups"):
        too_good(Y, Y, groups=[1])


def test_predictions_inside_an_audit(find, shop) -> None:
    perfect = shop.train["label"] + np.random.default_rng(0).normal(0, 0.01, len(shop.train))
    found = find(
        test=None, predictions=perfect, baseline=shop.train["click"], visitor=None, click=None
    )
    assert found["LK405"].severity == "block"
    honest = np.random.default_rng(0).random(len(shop.test))
    assert "LK405" not in find(predictions=honest)


def test_parts_told_apart(find, shop) -> None:
    drifted = shop.test.assign(price_mean=shop.test["price_mean"] * 100 + 1000)
    found = find(test=drifted)
    assert found["LK406"].severity == "warn"
    assert "price_mean" in found["LK406"].evidence["columns"]
    assert "LK406" not in find()


def test_memory_of_a_session_is_not_drift(find, shop) -> None:
    """Rows of one session in one part would be recognised; groups are kept whole instead."""
    names = {s: i for i, s in enumerate(pd.concat([shop.train, shop.test])["session_id"].unique())}
    rng = np.random.default_rng(0).permutation(len(names)).astype(float)
    tables = [t.assign(mark=rng[t["session_id"].map(names)]) for t in (shop.train, shop.test)]
    assert "LK406" not in find(train=tables[0], test=tables[1], add=("mark",))
