"""Planted bugs: the comparisons of `test_replay` must catch each of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from cartcast import features as F
from cartcast.features import build, encode, live, passes

sys.path.insert(0, str(Path(__file__).parent))
import oracle
import sql
from logs import EVERYTHING, differences, logs, table

# Enough to find an example; it need not be the smallest.
SEARCH = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def caught(wrong, tries: int = 100) -> bool:
    """Whether some log shows a difference."""
    how = settings(parent=SEARCH, max_examples=tries)
    try:
        find(logs(max_events=20), lambda log: wrong(log) != [], settings=how)
    except NoSuchExample:
        return False
    return True


def compared(features):
    def wrong(log):
        found = features.replay(table(log)).select(list(features.names)).to_pylist()
        return differences(found, oracle.replay(features, log), log)

    return wrong


def against_sql(**how):
    def wrong(log):
        found = sql.FEATURES.replay(table(log)).select(list(sql.FEATURES.names)).to_pylist()
        return differences(found, sql.replay(table(log), **how), log)

    return wrong


def test_without_a_bug_nothing_is_caught():
    assert not caught(compared(F.FeatureSet(n=F.Count("price"), sessions=F.EarlierSessions())), 20)


def test_range_instead_of_rows_lets_tied_clicks_see_each_other():
    assert caught(against_sql(frame="PARTITION BY session_id ORDER BY event_time"))


def test_a_prefix_shifted_by_one_click():
    shifted = sql.FRAME.replace("CURRENT ROW", "1 PRECEDING")
    assert caught(against_sql(frame=shifted))


def test_a_ratio_whose_denominator_counts_nulls():
    def count_all(query):
        return query.replace("nullif(count(price) OVER so_far, 0)", "count(*) OVER so_far")

    assert caught(against_sql(change=count_all))


def test_counting_nulls(monkeypatch):
    monkeypatch.setattr(build.Builder, "not_null", lambda self, register: -1)
    assert caught(compared(F.FeatureSet(n=F.Count("price"))))


def test_a_calendar_by_the_clock_of_greenwich(monkeypatch):
    features = F.FeatureSet(hour=F.Hour(), day=F.DayOfWeek(), month=F.Month())
    assert not caught(compared(features), 20)
    monkeypatch.setattr(
        encode, "_shop_time", lambda batch: encode.encode_clock(batch, "event_time")
    )
    assert caught(compared(features))


def test_a_stale_visitor_history(monkeypatch):
    fresh = passes.Past.read

    def forgets(self, visitors, first, now, types):
        types = types.copy()
        types[-5:] = 0  # what came last has not reached the history yet
        return fresh(self, visitors, first, now, types)

    features = F.FeatureSet(p=F.EarlierPurchases())
    assert not caught(compared(features), 10)
    monkeypatch.setattr(passes.Past, "read", forgets)
    assert caught(compared(features), 500)


def test_a_live_history_that_misses_a_session(monkeypatch):
    from test_replay import stepped

    features = F.FeatureSet(s=F.EarlierSessions(), d=F.DaysSinceLastSession())

    def wrong(log):
        return differences(stepped(log, features=features), oracle.replay(features, log), log)

    assert not caught(wrong, 10)
    after = live.History.after
    monkeypatch.setattr(
        live.History, "after", lambda self, kind, time, new: after(self, kind, time, False)
    )
    assert caught(wrong)


@pytest.mark.parametrize(
    ("name", "first"), [("spend", 0.0), ("n", 1.0), ("seconds", 0.0), ("low", float("inf"))]
)
def test_a_state_that_does_not_begin_empty(name, first):
    """Nothing summed is null, not 0; a slot given back must not keep its last session's value."""
    features = EVERYTHING.only([name])
    features.program.init.view(np.float64)[0] = first
    assert caught(compared(features))
