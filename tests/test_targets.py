"""Targets are declared by a word, say what they read, and refuse what does not fit."""

from __future__ import annotations

import pytest

from cartcast.errors import DefinitionError, UsageError
from cartcast.targets import AddToCart, Checkout, Proxy, Purchase, Revenue, parse_target


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("purchase", Purchase()),
        ("purchase:7d", Purchase("7d")),
        ("revenue", Revenue()),
        ("add_to_cart", AddToCart()),
        ("checkout:1d", Checkout("1d")),
        ("proxy:browsing", Proxy("browsing", at_least=5)),
        ("proxy:browsing:2", Proxy("browsing", at_least=2)),
        ("proxy:reach:category=4", Proxy("reach", column="category", value="4")),
    ],
)
def test_words_name_targets(word: str, target: object) -> None:
    assert parse_target(word) == target


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("purchse", "Did you mean 'purchase'"),
        ("proxy:browse", "Did you mean 'browsing'"),
        ("purchase:soon", "horizon must be"),
        ("purchase:-7d", "horizon must be"),
    ],
)
def test_unknown_words_are_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_target(word)


def test_a_proxy_of_the_project_is_found() -> None:
    declared = {"big": {"rule": "total_spend > 50"}, "odd": {"at_most": 3}}
    assert parse_target("proxy:big", declared) == Proxy("big", rule="total_spend > 50")
    with pytest.raises(DefinitionError, match="at_most"):
        parse_target("proxy:odd", declared)


@pytest.mark.parametrize(
    "parts",
    [{"at_least": 0}, {"column": "category"}, {"rule": "a > 1", "at_least": 2}, {"rule": "a("}],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, object]) -> None:
    with pytest.raises(DefinitionError, match="x|rule"):
        Proxy("x", **parts)  # type: ignore[arg-type]


def test_a_rule_on_the_session_reads_what_its_features_read() -> None:
    reads = Proxy("usual", rule="session_length > 5 and total_spend > 50").reads
    assert reads.window == "whole session"
    assert "price" in reads.columns
    with pytest.raises(DefinitionError, match="Did you mean 'total_spend'"):
        Proxy("typo", rule="total_spent > 50").reads  # noqa: B018


def test_a_proxy_says_so_in_words() -> None:
    for proxy in (Proxy("a"), Proxy("b", rule="session_length > 5")):
        assert proxy.describe().startswith("PROXY")
        assert proxy.kind == "proxy"
    assert Purchase().kind == "observed"
