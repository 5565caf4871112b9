from __future__ import annotations

import numpy as np
import pandas as pd

FAMILIES = ("split",)


def pooled(shop) -> pd.DataFrame:
    return pd.concat([shop.train, shop.test], ignore_index=True)


def by_rows(shop, seed: int = 0) -> dict[str, pd.DataFrame]:
    table = pooled(shop)
    inside = np.random.default_rng(seed).random(len(table)) < 0.8
    return {"train": table[inside], "test": table[~inside]}


def test_split_by_rows_puts_sessions_on_both_sides(find, shop) -> None:
    given = by_rows(shop)
    found = find(**given)
    both = set(given["train"]["session_id"]) & set(given["test"]["session_id"])
    assert found["LK301"].severity == "block"
    assert found["LK301"].count == len(both)
    assert found["LK302"].severity == "block"
    assert found["LK309"].severity == "warn"
    clean = find()
    assert not {"LK301", "LK302", "LK303", "LK308", "LK309"} & set(clean)


def test_one_reused_session_id_is_a_slip(find, shop) -> None:
    test = shop.test.copy()
    test.loc[0, "session_id"] = shop.train.loc[0, "session_id"]
    one_per_thousand = pd.concat(
        [test.assign(session_id=test["session_id"] + f"-{i}") for i in range(5)]
    )
    found = find(test=pd.concat([one_per_thousand, test.head(1)], ignore_index=True))
    assert found["LK301"].severity == "warn"


def test_labels_that_differ_between_the_sides(find, shop) -> None:
    first = shop.train[shop.train["click"] == 1]
    turned = first.assign(label=1 - first["label"])
    found = find(train=first, test=turned, features=("price_mean", "carts", "hour"))
    assert found["LK301"].evidence["labels_differ"] == 1.0


def test_returning_visitors_after_training_are_a_warning(find, shop) -> None:
    test = shop.test.copy()
    test["visitor_id"] = (
        shop.train["visitor_id"].sample(len(test), replace=True, random_state=0).values
    )
    assert find(test=test)["LK302"].severity == "warn"
    earlier = test.assign(
        anchor_time=shop.train["anchor_time"].sample(len(test), replace=True).values
    )
    assert find(test=earlier)["LK302"].severity == "block"


def test_copied_rows(find, shop) -> None:
    copies = shop.train.sample(len(shop.test) // 4, random_state=0)
    copies = copies.assign(session_id=copies["session_id"] + "x", visitor_id="w")
    leaky = pd.concat([shop.test, copies], ignore_index=True)
    found = find(test=leaky)
    assert found["LK303"].severity == "block"
    assert found["LK303"].count >= 0.6 * len(copies)
    assert "LK303" not in find()


def test_a_table_that_holds_every_row_twice(find, shop) -> None:
    # Training has as many twins as the test, so that their number alone tells nothing.
    rows = pd.concat([shop.train, shop.test], ignore_index=True)
    twice = pd.concat([rows, rows], ignore_index=True)
    for name in ("session_id", "visitor_id"):
        twice[name] = [f"{name}{i}" for i in range(len(twice))]
    twice = twice.sample(frac=1.0, random_state=0)
    found = find(train=twice.iloc[: len(rows)], test=twice.iloc[len(rows) :])["LK303"]
    assert found.severity == "block"
    assert found.evidence["across"] > 0.05


def test_a_few_copies_are_a_warning(find, shop) -> None:
    copies = shop.train.sample(9, random_state=0).assign(session_id="x", visitor_id="w")
    assert find(test=pd.concat([shop.test, copies], ignore_index=True))["LK303"].severity == "warn"


def test_rows_that_look_alike_by_nature_are_not_copies(find, shop) -> None:
    few = ("click", "country", "device", "categories")
    assert "LK303" not in find(features=few)


def test_copies_through_a_file_are_still_copies(find, shop) -> None:
    copies = shop.train.sample(len(shop.test) // 4, random_state=0)
    copies = copies.assign(
        session_id="x",
        visitor_id="w",
        price_mean=copies["price_mean"].map(lambda v: float(f"{v:.10g}")),
    )
    assert "LK303" in find(test=pd.concat([shop.test, copies], ignore_index=True))


def test_test_before_train(find, shop) -> None:
    found = find(train=shop.test, test=shop.train)
    assert found["LK308"].severity == "block"
