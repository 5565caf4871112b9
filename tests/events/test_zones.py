"""The shop's clock in SQL against Python's own time zones, around every change."""

from __future__ import annotations

import datetime as dt
import random
from zoneinfo import ZoneInfo

import duckdb
import pytest

from cartcast import events
from cartcast.errors import DataError
from cartcast.events.zones import changes, doubled_sql, offset_sql, skipped_sql, to_utc_sql

ZONES = (
    "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kolkata",
    "America/Sao_Paulo", "Africa/Casablanca", "UTC",
)  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_every_time_equals_pythons(zone):
    rng = random.Random(zone)
    times = [dt.datetime(1995, 1, 1) + dt.timedelta(minutes=rng.randrange(31_000_000))
             for _ in range(500)]  # fmt: skip
    for change in changes(zone)[1][10:40]:
        near = change.at + dt.timedelta(minutes=change.before)
        times += [near + dt.timedelta(minutes=m) for m in range(-130, 130, 13)]
    found = duckdb.execute(
        f"SELECT {offset_sql('x', zone)}, {to_utc_sql('x', zone)}, {doubled_sql('x', zone)}, "
        f"{skipped_sql('x', zone)} FROM (SELECT unnest(?::TIMESTAMP[]) AS x)",
        [times],
    ).fetchall()
    info = ZoneInfo(zone)
    for time, got in zip(times, found, strict=True):
        offset = time.replace(tzinfo=dt.UTC).astimezone(info).utcoffset()
        first, second = (
            time.replace(tzinfo=info, fold=f).astimezone(dt.UTC).replace(tzinfo=None)
            for f in (0, 1)
        )
        assert offset is not None
        assert got == (offset.total_seconds() / 60, first, first < second, first > second), time


def local_log(times: list[str], zone: str = "Europe/Berlin") -> dict:
    text = "user_id,event_time,event_type,product_id\n"
    text += "".join(f"w1,{t},view,i1\n" for t in times)
    layout = {
        "name": "local", "zone": zone,
        "columns": {"visitor_id": "user_id", "event_time": "event_time",
                    "event_type": "event_type", "item_id": "product_id"},
    }  # fmt: skip
    return {"text": text, "layout": layout}


@pytest.fixture
def read(write):
    def load(times: list[str], zone: str = "Europe/Berlin") -> events.Log:
        from cartcast.events.layoutfile import from_mapping

        made = local_log(times, zone)
        return events.load(write(made["text"]), layout=from_mapping(made["layout"]))

    return load


def utc(log: events.Log) -> list[str]:
    return [str(t)[11:16] for t in log.table(["event_time"])["event_time"].to_pylist()]


def test_a_doubled_hour_is_resolved_by_the_order_of_rows(read):
    day = "2024-10-27 "
    log = read([day + t for t in ("01:50", "02:20", "02:50", "02:10", "02:40", "03:05")])
    assert utc(log) == ["23:50", "00:20", "00:50", "01:10", "01:40", "02:05"]
    assert log.summary.sessions == 1
    assert "EV128" not in {f.code for f in log.findings}
    offsets = log.table(["utc_offset"])["utc_offset"].to_pylist()
    assert offsets == [120, 120, 120, 60, 60, 60]


def test_a_doubled_hour_that_nothing_tells_is_said(read):
    log = read(["2024-10-27 01:50", "2024-10-27 02:20", "2024-10-27 03:05"])
    (found,) = [f for f in log.findings if f.code == "EV128"]
    assert found.count == 1


def test_a_skipped_hour_is_said(read):
    log = read(["2024-03-31 01:50", "2024-03-31 02:30", "2024-03-31 03:05"])
    assert sorted(utc(log)) == ["00:50", "01:05", "01:30"]
    assert "EV129" in {f.code for f in log.findings}


def test_a_date_is_not_moved_by_the_clock(write, as_csv, shop):
    log = events.load(write(as_csv(shop(30, event_time="2024-03-01"))), zone="America/Los_Angeles")
    assert (log.clock, log.zone) == ("day", None)
    assert set(log.table(["utc_offset"])["utc_offset"].to_pylist()) == {0}


def test_a_clean_log_keeps_its_clock(write, as_csv, shop, tmp_path):
    made = events.load(write(as_csv(shop(30))), zone="Europe/Berlin", out=tmp_path / "c.parquet")
    assert events.load(made.path, zone="Europe/Berlin").zone == "Europe/Berlin"
    with pytest.raises(DataError, match="cleaned by the clock of Europe/Berlin"):
        events.load(made.path, zone="Asia/Tokyo")
