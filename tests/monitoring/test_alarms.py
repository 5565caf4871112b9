"""Alarms: their states, what joins what, silences on record, one writer at a time."""

from __future__ import annotations

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import cartcast.monitoring.codes  # noqa: F401
from cartcast.errors import NotFoundError, StorageError, UsageError
from cartcast.monitoring.alarms import Notice
from cartcast.monitoring.store import Store

NOW = datetime(2026, 3, 9, 8, tzinfo=UTC)


def notice(
    day: int, code: str = "MO101", subject: str = "purchases_down", money: float | None = -10.0
) -> Notice:
    return Notice(
        code,
        subject,
        "page",
        pd.Timestamp(2026, 3, 1),
        pd.Timestamp(2026, 3, day),
        "fewer.",
        money,
        ("look",),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / ".cartcast" / "monitor.db")


def test_the_same_finding_joins_its_alarm(store: Store) -> None:
    (first,) = store.notice("r", [notice(5)], "EUR", NOW)
    assert (first.state, first.times, first.since[:10], first.money) == (
        "open",
        1,
        "2026-03-01",
        -10.0,
    )
    assert store.notice("r", [notice(5)], "EUR", NOW) == [], "found again on the same day"
    assert store.notice("r", [notice(5), notice(7, money=-30.0)], "EUR", NOW) == []
    (held,) = store.alarms()
    assert (held.times, held.through[:10], held.money) == (2, "2026-03-07", -30.0)


def test_other_runs_codes_and_subjects_have_alarms_of_their_own(store: Store) -> None:
    store.notice("r", [notice(5)], "EUR", NOW)
    store.notice("q", [notice(5)], "EUR", NOW)
    store.notice("r", [notice(5, "MO104", "revenue_down"), notice(5, subject="x")], "EUR", NOW)
    assert len(store.alarms("open")) == 4


def test_resolved_opens_again_only_on_later_days(store: Store) -> None:
    (first,) = store.notice("r", [notice(5)], "EUR", NOW)
    store.change(first.number, "acknowledged", "looking", "ann")
    assert store.notice("r", [notice(6)], "EUR", NOW) == [], "acknowledged: nobody is called twice"
    store.change(first.number, "resolved", "rolled back", "ann")
    assert store.notice("r", [notice(5), notice(6)], "EUR", NOW) == [], "days that were resolved"
    (second,) = store.notice("r", [notice(8)], "EUR", NOW)
    assert second.number != first.number
    assert [h[1:] for h in store.history(first.number)[1:]] == [
        ("ann", "acknowledged", "looking"), ("ann", "resolved", "rolled back"),
    ]  # fmt: skip


def test_changes_that_cannot_be(store: Store) -> None:
    (first,) = store.notice("r", [notice(5)], None, NOW)
    with pytest.raises(NotFoundError, match="no alarm 9 here; there are 1"):
        store.change(9, "resolved")
    store.change(first.number, "resolved")
    with pytest.raises(UsageError, match="is resolved"):
        store.change(first.number, "acknowledged")


def test_a_silence_holds_back_and_is_recorded(store: Store) -> None:
    store.silence("MO101", NOW + timedelta(hours=8), "moving the shop", "ann", NOW)
    (quiet,) = store.notice("r", [notice(5)], None, NOW + timedelta(hours=1))
    assert quiet.silenced == 1
    (loud,) = store.notice(
        "r", [notice(5, "MO104", "revenue_down")], None, NOW + timedelta(hours=1)
    )
    assert loud.silenced is None
    (later,) = store.notice("q", [notice(5)], None, NOW + timedelta(hours=9))
    assert later.silenced is None
    assert [(s.code, s.who, s.why) for s in store.silences()] == [
        ("MO101", "ann", "moving the shop")
    ]
    assert "silenced by 1" in store.history(quiet.number)[0][2]


@pytest.mark.parametrize(
    ("code", "hours", "why", "says"),
    [
        ("MO101", 8, " ", "needs a reason"),
        ("MO999", 8, "x", "unknown finding code"),
        ("*", -1, "x", "later than now"),
    ],
)
def test_silences_that_cannot_be(
    store: Store, code: str, hours: float, why: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        store.silence(code, NOW + timedelta(hours=hours), why, at=NOW)
    assert store.silences() == []


def test_many_writers_make_one_alarm(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(
            pool.map(lambda k: store.notice("r", [notice(5 + k % 3)], None, NOW), range(24))
        )
    assert sum(map(len, opened)) == 1
    assert len(store.alarms()) == 1


def test_a_day_that_is_kept_stays(store: Store) -> None:
    store.keep_rows("days", "r", {"2026-03-01": {"x": 1}})
    store.keep_rows("days", "r", {"2026-03-01": {"x": 2}, "2026-03-02": {"x": 3}})
    assert store.rows("days", "r") == {"2026-03-01": {"x": 1}, "2026-03-02": {"x": 3}}
    assert store.keep_hours("r", {"h": 4.0}) == {"h": 4.0}
    assert store.keep_hours("r", {"h": 3.0}) == {"h": 4.0}, (
        "an hour that was cut does not shrink it"
    )


def test_state_of_a_later_version_and_damage(store: Store) -> None:
    store.notice("r", [notice(5)], None, NOW)
    assert store.path is not None
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as con:
        con.execute("PRAGMA user_version = 9")
    with pytest.raises(StorageError, match="later version"):
        store.alarms()
    store.path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="monitor.db"):
        store.alarms()


def test_without_a_file_it_is_kept_for_the_process() -> None:
    store = Store(None)
    store.notice("r", [notice(5)], None, NOW)
    assert len(store.alarms()) == 1


def test_a_later_hole_is_another_alarm_and_hours_of_one_are_not(store: Store) -> None:
    def hole(begin: str, last: str) -> Notice:
        return Notice("MO111", "events", "ticket", pd.Timestamp(begin), pd.Timestamp(last), "few.",
                      apart=True)  # fmt: skip

    monday = hole("2026-03-02T13", "2026-03-02T14")
    assert len(store.notice("r", [hole("2026-03-02T13", "2026-03-02T13"), monday], "EUR", NOW)) == 1
    thursday = hole("2026-03-05T02", "2026-03-05T02")
    assert [a.number for a in store.notice("r", [monday, thursday], "EUR", NOW)] == [2]
    assert store.notice("r", [monday, thursday], "EUR", NOW) == []
    assert {a.number: a.state for a in store.alarms()} == {1: "open", 2: "open"}
