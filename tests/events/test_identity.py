"""Who: logins, devices, and purchases from the shop's server."""

from __future__ import annotations

import json

import pytest

from cartcast import events


@pytest.fixture
def calls(write):
    def load(*rows: tuple) -> events.Log:
        keys = ("anonymousId", "userId", "event", "timestamp", "sessionId")
        text = ""
        for number, row in enumerate(rows):
            call = dict(zip(keys, row, strict=False))
            session = call.pop("sessionId", None)
            call["context"] = {"sessionId": session} if session else {}
            call |= {"messageId": f"m{number}", "timestamp": f"2024-05-06T{call['timestamp']}Z"}
            text += json.dumps({**call, "properties": {"product_id": "x", "price": 5}}) + "\n"
        return events.load(write(text, "calls.jsonl"), layout="segment")

    return load


def column(log: events.Log, name: str) -> list:
    return log.table([name])[name].to_pylist()


def test_an_order_of_the_server_joins_the_session_in_which_it_falls(calls):
    log = calls(
        ("a1", None, "Product Viewed", "10:00:00", "s1"),
        ("a1", "u1", "Checkout Started", "10:02:00", "s1"),
        (None, "u1", "Order Completed", "10:03:00", None),
    )
    assert (log.summary.sessions, log.summary.visitors) == (1, 1)
    assert column(log, "visitor_id") == ["a1"] * 3
    assert column(log, "session_id") == ["s1"] * 3
    assert column(log, "user_id") == ["u1"] * 3, "a login belongs to its whole session"


def test_an_order_that_joins_nowhere_is_an_orphan(calls):
    log = calls(
        ("a1", "u1", "Product Viewed", "10:00:00", "s1"),
        (None, "u1", "Order Completed", "15:00:00", None),
        (None, "u9", "Order Completed", "15:00:00", None),
    )
    (found,) = [f for f in log.findings if f.code == "EV137"]
    assert (found.count, found.evidence["money"]) == (2, 10.0)


def test_a_login_on_many_devices_links_none(calls):
    rows = [(f"a{i}", "shared", "Product Viewed", f"10:{i:02d}:00", f"s{i}") for i in range(30)]
    log = calls(*rows, (None, "shared", "Order Completed", "10:29:30", None))
    assert "EV136" in {f.code for f in log.findings}
    assert column(log, "visitor_id")[-1] == "shared", "the login stands for the visitor"


def test_words_for_nothing_join_nobody(calls):
    log = calls(
        *((f"a{i}", "guest", "Product Viewed", f"10:{i:02d}:00", f"s{i}") for i in range(5)),
    )
    assert set(column(log, "user_id")) == {None}
    (found,) = [f for f in log.findings if f.code == "EV124"]
    assert found.count == 5
