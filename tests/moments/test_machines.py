"""Machines are on no list: those of the simulator, by its own truth, and hand-made ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast import events
from cartcast.datasets import Missions, simulate
from cartcast.features import load_set
from cartcast.moments import Moment
from cartcast.moments.dates import Due, end_of
from cartcast.moments.lists import listed
from cartcast.moments.machines import left_out, machines, sends_alone
from cartcast.targets import Purchase

GAP = 1800.0


def told(lines: list[str], folder: Path) -> events.Log:
    folder.mkdir(exist_ok=True)
    (folder / "log.csv").write_text(
        "visitor_id,session_id,event_time,event_type\n" + "\n".join(lines)
    )
    return events.load(folder / "log.csv", folder=folder / "clean")


def visit(
    who: str, step: float, clicks: int, last: str = "view_item", begin: float = 0
) -> list[str]:
    base = pd.Timestamp("2025-03-01T10:00:00") + pd.Timedelta(seconds=begin)
    times = [base + pd.Timedelta(seconds=step * k) for k in range(clicks)]
    words = ["view_item"] * (clicks - 1) + [last]
    return [f"{who},{who}-{begin},{t.isoformat()},{w}" for t, w in zip(times, words, strict=True)]


def test_the_simulated_bots_are_found_and_nobody_else() -> None:
    made = simulate(3000, seed=5)
    rows = made.events.to_pandas()
    found = machines(events.load(made.events))
    # Of the first shop's people none waits 1.5 s a click; its bots do, at every click.
    pause = rows.sort_values(["session_id", "event_order"]).groupby("visitor_id")["event_time"]
    middle = pause.apply(lambda t: t.diff().dt.total_seconds().median())
    assert (middle[found["visitor"]] < 2).all()
    assert not set(found["visitor"]) & set(rows.loc[rows["event_type"] == "purchase", "visitor_id"])
    assert 0.6 * made.counts["bot_sessions"] < len(found) <= made.counts["bot_sessions"]
    # The second shop has bursts, and no bots.
    assert machines(events.load(simulate(1000, seed=5, shop=Missions()).events)).empty


CALM = [line for who in "abcd" for line in visit(who, 40, 3)]
"""Other visitors: where most are fast, it is the tracker."""


def test_a_tracker_that_sends_on_its_own_makes_no_machines(tmp_path: Path) -> None:
    lines = [line for who in "uvw" for line in visit(who, 1.0, 15)]
    log = told([*lines, *CALM], tmp_path)
    assert sends_alone(log)
    assert not left_out(log)
    assert not sends_alone(told([*lines[:15], *CALM], tmp_path / "few"))


@pytest.mark.parametrize(
    ("lines", "fast"),
    [
        (visit("v", 1.9, 10), True),
        (visit("v", 1.9, 9), False),
        (visit("v", 2.5, 60), False),
        (visit("v", 1.0, 12, last="purchase"), False),
        # A slow start, then the speed of a machine.
        ([*visit("v", 60, 5), *visit("v", 1, 12, begin=300)], True),
        # Several events of each page at one moment: three pages, eighteen events.
        (visit("v", 5, 3) * 6, False),
    ],
)
def test_ten_clicks_in_eighteen_seconds(lines: list[str], fast: bool, tmp_path: Path) -> None:
    lines = [*lines, *visit("p", 30, 5, begin=1), *CALM]
    log = told(lines, tmp_path)
    found = machines(log)
    assert list(found["visitor"][found["bought"].isna()]) == (["v"] if fast else [])
    assert bool(left_out(log)) is fast
    for moment in (Moment(), Moment("day", seen=86_400.0)):
        due = Due(moment, end_of(log), GAP).now
        rows, known = listed(log, Purchase(), load_set("usual"), due)
        assert len(rows) == len(known)
        assert ("v" in set(rows["visitor_id"])) is (not fast and not _over(moment, lines))
        assert "p" in set(rows["visitor_id"])
        everyone, _ = listed(log, Purchase(), load_set("usual"), due, machines=True)
        assert ("v" in set(everyone["visitor_id"])) is not _over(moment, lines)


def _over(moment: Moment, lines: list[str]) -> bool:
    """Whether the visitor's session has its outcome, or ended, so that it is on no list of open."""
    return moment.kind == "during" and any(",purchase" in line for line in lines)


def test_a_list_due_before_holds_who_was_no_machine_yet(tmp_path: Path) -> None:
    log = told([*visit("v", 30, 3), *visit("v", 1, 12, begin=172_800), *CALM], tmp_path)
    due = Due(Moment("day", every=86_400.0, seen=5 * 86_400.0), end_of(log), GAP)
    rows, _ = listed(log, Purchase(), load_set("usual"), due)
    rows = rows[rows["visitor_id"] == "v"]
    when = (end_of(log) - rows["anchor_time"]) / np.timedelta64(1, "D")
    assert sorted(when.round()) == [1.0, 2.0]
