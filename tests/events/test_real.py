"""The figures of the real logs, as their provenance states them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cartcast import events

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def eshop(eshop_file: Path) -> events.Log:
    return events.load(eshop_file)


@pytest.fixture(scope="module")
def rees46(rees46_file: Path) -> events.Log:
    return events.load(rees46_file)


def test_eshop_figures(eshop):
    s = eshop.summary
    assert (s.events, s.sessions, s.rejects, s.items, s.countries) == (165_474, 24_026, 0, 217, 47)
    assert (s.purchases, s.purchase_sessions, s.revenue, s.visitors) == (0, 0, None, None)
    assert (s.start, s.end) == ("2008-04-01T00:00:00Z", "2008-08-13T00:00:00Z")
    assert (eshop.layout, eshop.clock, eshop.order) == ("eshop-2008", "day", "session")
    assert s.gaps == (), "135 days with their weekends are no gaps"


def test_eshop_keeps_the_source_order_and_values(eshop):
    con = eshop.connect()
    first = con.sql(
        "SELECT session_id, event_order, event_time::VARCHAR, country, item_id, color, price, "
        "price_2, page, quantity FROM events LIMIT 1"
    ).fetchone()
    assert first == ("1", 1, "2008-04-01 00:00:00", "29", "A13", "1", 28.0, "2", "1", 1.0)
    broken = con.sql(
        "SELECT count(*) FROM (SELECT session_id, count(*) n, min(event_order) a, max(event_order) "
        "b, count(DISTINCT event_order) d FROM events GROUP BY 1 HAVING a <> 1 OR b <> n OR d <> n)"
    ).fetchone()
    assert broken == (0,)
    together = con.sql(
        "SELECT count(*) FROM (SELECT session_id <> lag(session_id) OVER () AS new FROM events) "
        "WHERE new"
    ).fetchone()
    assert together == (24_025,), "each session's events stand together"


def test_rees46_figures(rees46):
    s = rees46.summary
    assert (s.events, s.sessions, s.visitors, s.rejects) == (17_434, 5_066, 4_504, 0)
    assert (s.purchases, s.purchase_sessions, round(s.revenue)) == (214, 200, 59_443)
    assert (s.price_not_positive, s.duplicate_rows, s.shared_sessions) == (19, 5, 1)
    assert round(s.censored_share, 2) == 0.86
    assert s.event_types == {"view_item": 17_055, "purchase": 214, "add_to_cart": 165}


def test_rees46_feed_gap(rees46):
    (gap,) = rees46.summary.gaps
    assert "2019-10-01T00:15" < gap["start"] <= "2019-10-01T00:20:00Z"
    assert "2019-10-01T02:10" <= gap["end"] < "2019-10-01T02:20"
    assert gap["events"] < 0.1 * gap["expected"]


def test_rees46_findings(rees46):
    found = {f.code: f for f in rees46.findings}
    assert {"EV110", "EV111", "EV112", "EV114", "EV120", "EV122"} <= set(found)
    assert found["EV111"].count == 19
    assert found["EV114"].count == 3
    assert found["EV114"].evidence["money"] == pytest.approx(174.78 + 197.43 + 36.01)


def test_rees46_rows_are_in_time_order(rees46):
    back = rees46.connect().sql(
        "SELECT count(*) FROM (SELECT event_time < lag(event_time) OVER () AS back FROM events) "
        "WHERE back"
    )
    assert back.fetchone() == (0,)


def test_the_same_input_gives_the_same_file(rees46_file, tmp_path):
    digests = set()
    for name in ("a", "b"):
        log = events.load(rees46_file, folder=tmp_path / name)
        digests.add(hashlib.sha256(log.path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_clean_log_is_opened_not_cleaned_again(rees46, tmp_path):
    opened = events.load(rees46.path)
    assert opened.path == rees46.path
    assert opened.summary == rees46.summary
    assert opened.findings == rees46.findings
    assert events.open_log(rees46.path).columns == rees46.columns
    copied = events.load(rees46.path, out=tmp_path / "copy.parquet")
    assert copied.path == tmp_path / "copy.parquet"
    assert copied.path.read_bytes() == rees46.path.read_bytes()
