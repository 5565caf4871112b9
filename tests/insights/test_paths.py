from __future__ import annotations

import itertools
from collections import Counter

import pytest

from cartcast.errors import UsageError
from cartcast.insights import Slice, paths, write_sessions
from cartcast.insights.paths import END, OTHER, START, UNKNOWN


def walk(rows, anchor, column, direction, collapse, depth):
    words = [UNKNOWN if r[column] is None else r[column] for r in rows]
    if anchor not in words:
        return None
    at = words.index(anchor)
    steps = words[at:] if direction == "from" else words[: at + 1][::-1]
    if collapse:
        steps = [w for i, w in enumerate(steps) if i == 0 or w != steps[i - 1]]
    stop = END if direction == "from" else START
    steps = [*steps, stop][: depth + 1]
    return steps


@pytest.mark.parametrize("direction", ["from", "to"])
@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize(("column", "anchor"), [("event_type", "add_to_cart"), ("category", "x")])
def test_equals_walking_each_session(
    events, log, oracle_units, direction, collapse, column, anchor
):
    depth = 3
    got = paths(
        log,
        anchor,
        direction=direction,
        column=column,
        collapse=collapse,
        depth=depth,
        largest=99,
    )
    walks = [
        w
        for rows in oracle_units["session"](events).values()
        if (w := walk(rows, anchor, column, direction, collapse, depth))
    ]
    truth = Counter(
        (k, *((a, b) if direction == "from" else (b, a)))
        for w in walks
        for k, (a, b) in enumerate(itertools.pairwise(w), 1)
    )
    assert got.sessions == len(walks)
    assert {(f.step, f.source, f.target): f.sessions for f in got.flows} == dict(truth)


def test_small_flows_are_folded_and_nothing_is_lost(log):
    whole = paths(log, "view_item", largest=99)
    folded = paths(log, "view_item", largest=1)
    for k in range(1, 5):
        assert sum(f.sessions for f in whole.flows if f.step == k) == sum(
            f.sessions for f in folded.flows if f.step == k
        )
    names = {f.target for f in folded.flows if f.step == 2}
    assert OTHER in names
    assert len(names - {OTHER, END}) == 1


def test_flow_out_of_a_step_is_the_flow_into_it(log):
    got = paths(log, "view_item", largest=2)
    for k in range(1, 4):
        into = Counter()
        for f in got.flows:
            if f.step == k and f.target != END:
                into[f.target] += f.sessions
        out = Counter()
        for f in got.flows:
            if f.step == k + 1:
                out[f.source] += f.sessions
        assert into == out


def test_usual_anchors(log):
    assert paths(log, direction="to").anchor == "purchase"
    assert paths(log).sessions > 0


def test_slice_limits_the_sessions(events, log):
    where = Slice(values={"device": "mobile"})
    mobile = {e["session_id"] for e in events if e["device"] == "mobile"}
    viewed = {e["session_id"] for e in events if e["event_type"] == "view_item"}
    assert paths(log, "view_item", where=where).sessions == len(mobile & viewed)


def test_what_cannot_be_asked(log):
    with pytest.raises(UsageError, match=r"Did you mean 'purchase'\?"):
        paths(log, "purchas")
    with pytest.raises(UsageError, match="depth"):
        paths(log, depth=0)
    with pytest.raises(UsageError, match="no column"):
        paths(log, column="pge")
    with pytest.raises(UsageError, match="no values"):
        paths(log, column="brand")


@pytest.mark.parametrize("direction", ["from", "to"])
@pytest.mark.parametrize("anchor", ["add_to_cart", "purchase", None])
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("where", [Slice(), Slice(values={"device": "mobile"})])
def test_the_session_table_gives_the_same_paths(log, tmp_path, direction, anchor, depth, where):
    sessions = write_sessions(log, tmp_path / "sessions.parquet")
    asked = {"direction": direction, "depth": depth, "where": where, "largest": 3}
    assert paths(log, anchor, sessions=sessions, **asked) == paths(log, anchor, **asked)
    with pytest.raises(UsageError, match="Did you mean 'purchase'"):
        paths(log, "purchse", sessions=sessions)
