from __future__ import annotations

from typing import NamedTuple

from cartcast.leakage.lineage import shared

FAMILIES = ("lineage",)


class Reads(NamedTuple):
    columns: frozenset[str]
    event_types: frozenset[str] | None
    window: str


def reads(*columns: str, window: str, types: frozenset[str] | None = None) -> Reads:
    return Reads(frozenset(columns), types, window)


FUTURE = reads("event_type", window="after the anchor", types=frozenset({"purchase"}))
RULE = reads("price", "event_order", window="whole session")


def test_same_column_and_window_is_shared() -> None:
    assert shared(reads("price", window="session so far"), RULE) == {"price"}
    assert shared(reads("price", window="whole session"), RULE) == {"price"}
    assert not shared(reads("price", window="visitor before session"), RULE)
    assert not shared(reads("color", window="session so far"), RULE)


def test_counting_events_reads_the_events() -> None:
    assert shared(reads(window="session so far"), RULE)
    assert not shared(reads(window="session so far"), FUTURE)
    assert shared(reads(window="whole session"), reads(window="after the anchor"))


def test_other_event_types_are_not_shared() -> None:
    carts = frozenset({"add_to_cart"})
    future = reads("event_type", window="whole session", types=frozenset({"purchase"}))
    assert not shared(reads("event_type", window="whole session", types=carts), future)
    assert shared(reads("event_type", window="whole session", types=None), future)


def test_rule_over_the_session_blocks_its_own_columns(find) -> None:
    lineage = {"price_mean": reads("price", window="session so far")}
    found = find(lineage=lineage, reads=RULE)
    assert found["LK101"].severity == "block"
    assert found["LK101"].evidence["column"] == "price_mean"
    clean = find(lineage=lineage, reads=FUTURE)
    assert "LK101" not in clean


def test_whole_session_feature_before_an_anchor(find) -> None:
    whole = {"price_mean": reads("price", window="whole session")}
    assert find(lineage=whole, reads=FUTURE)["LK102"].severity == "block"
    so_far = {"price_mean": reads("price", window="session so far")}
    assert "LK102" not in find(lineage=so_far, reads=FUTURE)


def test_label_among_the_features(find, shop) -> None:
    copy = shop.train.assign(outcome=shop.train["label"])
    test = shop.test.assign(outcome=shop.test["label"])
    assert find(train=copy, test=test, add=("outcome",))["LK103"].severity == "block"
    assert find(add=("label",))["LK103"].severity == "block"
    assert "LK103" not in find()


def test_undeclared_features_are_counted(find, shops) -> None:
    some = {"price_mean": reads("price", window="session so far")}
    assert find(lineage=some, reads=FUTURE)["LK104"].count == len(shops.FEATURES) - 1
    every = dict.fromkeys(shops.FEATURES, some["price_mean"])
    assert "LK104" not in find(lineage=every, reads=FUTURE)
