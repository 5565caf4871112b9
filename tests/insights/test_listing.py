"""The sessions behind a figure, against a plain loop over the events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cartcast.errors import UsageError
from cartcast.features import usual
from cartcast.insights import Slice, list_sessions, overview, timeline, write_sessions
from cartcast.insights.listing import visitor_events
from cartcast.segments import Did, Range, Segment

from .conftest import make_log, random_events

UNSOLD = Segment("unsold", (Did("purchase", negated=True),))


@pytest.fixture(scope="module")
def shop():
    events = random_events(9, sessions=120)
    return events, make_log(events)


def kinds_of(events):
    found: dict[str, list[str]] = {}
    for e in sorted(events, key=lambda e: (e["session_id"], e["event_order"])):
        found.setdefault(e["session_id"], []).append(e["event_type"])
    return found


@pytest.mark.parametrize("stored", [False, True])
def test_who_did_and_did_not(shop, tmp_path, stored):
    events, log = shop
    table = write_sessions(log, tmp_path / "sessions.parquet") if stored else None
    asked = Did("view_item"), Did("add_to_cart"), Did("purchase", negated=True)
    found = list_sessions(log, Slice(segments=(Segment("s", asked),)), sessions=table)
    told = {
        s for s, kinds in kinds_of(events).items()
        if {"view_item", "add_to_cart"} <= set(kinds) and "purchase" not in kinds
    }  # fmt: skip
    assert found.sessions == len(told)
    assert set(found.rows["session_id"]) == told
    assert list(found.rows["start"]) == sorted(found.rows["start"], reverse=True)


def test_a_bar_of_the_funnel_and_its_sessions_are_as_many(shop):
    _, log = shop
    where = Slice(values={"device": "mobile"})
    for k, (_, count) in enumerate(overview(log, where=where).funnel):
        reached = Segment("s", (Range("reach", k + 1),))
        assert list_sessions(log, replace(where, segments=(reached,))).sessions == count
    for end in overview(log).leaving:
        page = {"last_event": end.event, "last_page": end.page}
        found = list_sessions(log, Slice(values=page, segments=(UNSOLD,)), most=3)
        assert (found.sessions, len(found.rows)) == (end.sessions, min(end.sessions, 3))


def test_a_timeline_is_the_session_in_order(shop):
    events, log = shop
    for session, kinds in list(kinds_of(events).items())[:5]:
        assert list(timeline(log, session)["event_type"]) == kinds
    with pytest.raises(UsageError, match="no session 'nobody'"):
        timeline(log, "nobody")


def test_what_was_known_of_a_session_is_what_the_whole_log_tells(shop):
    """The features after each click are those of a replay of everything."""
    events, log = shop
    whole = usual.replay(log).to_pandas()
    for session in list(kinds_of(events))[::17]:
        told = usual.replay(visitor_events(log, session)).to_pandas()
        mine, theirs = (
            t[t["session_id"] == session].sort_values("event_order").reset_index(drop=True)
            for t in (told, whole)
        )
        assert len(mine)
        assert mine.equals(theirs)
