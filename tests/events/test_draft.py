"""A draft of a layout: what is kept of it reads as the guess does, and changes are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartcast import events
from cartcast.datasets.disguises import product, write_case
from cartcast.events.draft import draft

FORMS = ("ga4-flat-totals", "ga4-jsonl", "otto", "posthog", "segment", "shopify",
         "snowplow-classic", "rees46", "diginetica", "yoochoose")  # fmt: skip
TOTALS = """visitor,time,event,product,order,{name}
a,2024-01-01 10:00:00,view_item,x,,
a,2024-01-01 10:01:00,purchase,x,o1,30.00
a,2024-01-01 10:01:00,purchase,y,o1,30.00
a,2024-01-01 10:01:00,purchase,z,o1,30.00
b,2024-01-02 10:01:00,purchase,x,o2,12.00
b,2024-01-02 10:01:00,purchase,y,o2,12.00
c,2024-01-02 10:01:00,purchase,y,o3,17.00
c,2024-01-02 10:01:00,purchase,z,o3,17.00
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_kept_proposal_reads_as_the_guess(form: str, tmp_path: Path) -> None:
    written = write_case(next(product([form])), tmp_path, 1)
    orders = written.orders[0] if written.orders else None
    mine = tmp_path / "mine.yaml"
    by_guess = events.load(*written.log, orders=orders)
    for file in written.log:
        # The proposal for one file of several reads the others as well: views, then purchases.
        mine.write_text(events.propose(file).yaml)
        by_layout = events.load(*written.log, layout=mine, orders=orders)
        assert by_layout.summary == by_guess.summary
        assert by_layout.table().equals(by_guess.table())


@pytest.mark.parametrize("name", ["amount", "value", "betrag", "price"])
def test_a_kept_proposal_does_not_triple_the_money(name: str, tmp_path: Path) -> None:
    path, mine = tmp_path / "log.csv", tmp_path / "mine.yaml"
    path.write_text(TOTALS.format(name=name))
    mine.write_text(events.propose(path).yaml)
    assert events.load(path).summary.revenue == 59.0
    assert events.load(path, layout=mine).summary.revenue == 59.0


def test_a_change_says_what_money_is(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(TOTALS.format(name="amount"))
    told = draft(path)
    assert told.column("price") == "amount"
    assert told.unused == ()
    stated = told.changed({"price": None, "line_value": "amount"})
    assert events.load(path, layout=stated).summary.revenue == 148.0
    same = told.changed({t: told.column(t) for t in told.layout.columns})
    assert events.load(path, layout=same).summary.revenue == 59.0


def test_a_draft_holds_what_is_told_and_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("wer,wann,tat\n1,2024-01-01 10:00,gekauft\n2,2024-01-01 11:00,gekauft\n")
    told = draft(path)
    assert "no column looks like a visitor or session" in told.problem
    assert told.column("event_time") == "wann"
    assert told.values("tat") == {"gekauft": 2}
    whole = told.changed({"visitor_id": "wer", "event_type": "tat"})
    assert events.load(path, layout=whole).summary.purchases == 2
