"""`check_text` accepts what was handed out and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartcast.mcp.check import check_text
from cartcast.mcp.ledger import Ledger

UNITS = ("share", "EUR", "CHF", "money", "seconds", "points", "sessions", "visitors", "orders")


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.hand(
        0.0316, "share", "conversion", low=0.029, high=0.0351, of="sessions", about="purchase"
    )
    made.hand(1043, "sessions", "sessions")
    made.hand(-1240.4, "EUR", "change")
    made.hand(0.812, "points", "ROC AUC", about="engaged", proxy=True)
    made.hand("2024-03-01", "date", "first day")
    made.hand(95.0, "seconds", "median")
    made.hand(0.4, "share", "reach the cart", about="add_to_cart")
    made.quoted("99 % of all buy")
    made.quoted("LK501")
    return made


GOOD = [
    "", "No number here.", "3.2 % (2.9 % to 3.5 %) [n1]", "Between 2.9 and 3.5 % [n1] of sessions buy",
    "1,043 [n2] sessions", "1043 sessions [n2]", "1.0 thousand sessions [n2]", "1.04k [n2]",
    "−€1,240 [n3]", "-1,240.4 EUR [n3]", "EUR -1,240 [n3]", "from 2024-03-01 [n5]",
    "The proxy engaged (not a purchase) has ROC AUC 0.81 [n4].", "1.6 minutes [n6]",
    "0.032 [n1] buy", "40 % [n7] fill a cart", "low 2.9 % [n1.low]", "３．２％ [n1]", "**3.2 %** [n1]",
    "| 3.2 % [n1] | 1043 [n2] |", "- 3.2 % [n1]", "3.16 percent [n1]", "3.2%[n1] of all visits", "3.2 % of the sessions [N1]", "«99 % of all buy» was found",
    "LK501 and F1", "Entry 1,043 [n2], try 1,043 [n2]", "In order to know more, ask. 0.81 [n4]", "3.2\u00a0% [n1]",
]  # fmt: skip
BAD = [
    ("3.2 %", "no id"), ("3 % [n1]", "rounded"), ("3.3 % [n1]", "rounded"), ("0 % [n1]", "unknown"),
    ("1,043 [n2] visitors", "unit"), ("1,043 visitors [n2]", "unit"), ("1,240 EUR [n3]", "unknown"),
    ("1,043 EUR [n2]", "unit"), ("€1,043 [n2]", "unit"), ("81 % [n4]", "unit"), ("$-1,240 [n3]", "unit"),
    ("0.81 [n4] for purchases", "proxy"), ("We find buyers. AUC is 0.81 [n4].", "proxy"),
    ("0.81 [n4] not only purchases", "proxy"),
    ("Transactions: 0.81 [n4]", "proxy"), ("# Who converts\n\nROC AUC 0.81 [n4]", "proxy"), ("40 % [n7] of sessions buy", "outcome"),
    ("half of them", "no id"), ("one in five", "no id"), ("twice as many", "no id"),
    ("3,2 % [n1]", "unknown"), ("3.2 % [n99]", "unknown"), ("«99 % buy»", "quotation"),
    ("x3", "no id"), ("EUR500", "no id"), ("3.2 % is good. It is [n1]", "no id"), ("1/5", "no id"), ("3.2 % [n1] of visitors", "unit"), ("3.2 % of our customers [n1] buy", "unit"),
    ("3.2 % (2.9 % to 3.5 %) [n1] of all users", "unit"),
    ("3.2 pp [n1]", "unit"), ("2024-03-02 [n5]", "unknown"), ("12k", "no id"), ("٣ %", "no id"),
    ("1 043 [n2]", "no id"), ("3\u200b.2 %", "no id"), ("AB123", "no id"), ("1,000 [n2]", "rounded"),
    ("0.032 [n1] sessions", "unit"), ("1,043 [n2.low]", "unknown"), ("2.9 % (3.2 % to 3.5 %) [n1]", "unknown"), ("USD -1,240 [n3]", "unit"),
    ("3.2 % [n1] of 1,043 sessions", "no id"), ("0.05 hours [n6]", "unknown"), ("½", "no id"),
    ("3.2 % [n1] buy, with AUC 0.81 [n4]", "proxy"),
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_was_handed_out_may_be_said(ledger: Ledger, text: str) -> None:
    assert check_text(text, ledger) == []


@pytest.mark.parametrize(("text", "kind"), BAD)
def test_what_was_not_is_named(ledger: Ledger, text: str, kind: str) -> None:
    found = check_text(text, ledger)
    assert kind in {p.kind for p in found}, found
    assert all(p.why and p.written in text.replace("\u200b", "").replace("٣", "3").replace(
        "½", "1/2") for p in found)  # fmt: skip


@given(
    value=st.floats(1e-6, 1e9), unit=st.sampled_from(UNITS), wide=st.floats(0, 0.9),
    other=st.sampled_from(UNITS), off=st.floats(1.2, 50),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_every_number_round_trips_and_no_other(
    value: float, unit: str, wide: float, other: str, off: float
) -> None:
    ledger = Ledger()
    if unit in ("sessions", "visitors", "orders"):
        value = float(round(value) + 10)
    elif unit == "share":
        value = min(value, 0.99)
    ends = {"low": value * (1 - wide), "high": value * (1 + wide)}
    figure = ledger.hand(value, unit, "it", **ends)
    assert check_text(f"It is {figure.text}.", ledger) == []
    assert check_text(f"It is {figure.written(value)}.", ledger) != []
    for end, told in ends.items():
        assert check_text(f"{figure.written(told)} [{figure.id}.{end}]", ledger) == []
    wrong = ledger.hand(value * off, unit, "another")
    assert check_text(f"{wrong.written(value * off)} [{figure.id}]", ledger) != []
    unlike = ledger.hand(value, other, "of another unit")
    if {unit, other} - {"points", "money"} == {unit, other} and unit != other:
        assert check_text(f"{unlike.written(value)} [{figure.id}]", ledger) != []


def test_a_text_without_numbers_may_not_sell_a_proxy_either() -> None:
    ledger = Ledger()
    ledger.hand(0.8, "points", "ROC AUC", about="engaged", proxy=True)
    assert [p.kind for p in check_text("The model finds buyers.", ledger)] == ["proxy"]
    ledger.hand(0.03, "share", "conversion", about="purchase")
    assert check_text("Some visitors buy.", ledger) == []


def test_the_least_recently_used_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartcast.mcp.ledger.MOST", 3)
    ledger = Ledger()
    for k in range(3):
        ledger.hand(k, "sessions", "it")
    assert ledger.hand(0, "sessions", "it").id == "n1"
    ledger.hand(7, "sessions", "it")
    assert [ledger.find(f"n{k}") is None for k in (1, 2, 3, 4)] == [False, True, False, False]
    assert ledger.hand(1, "sessions", "it").id == "n5"
