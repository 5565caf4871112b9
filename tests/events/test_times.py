"""Every form of a time is found, and read alike from a column and from one record."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import duckdb
import pytest

from cartcast.events.time_forms import FORMATS, find_format
from cartcast.events.times import moment_of, time_sql

ZONE = "Europe/Berlin"
TIMES = [
    dt.datetime(2024, 1, 3, 0, 4, 5) + dt.timedelta(days=17 * k, hours=7 * k, minutes=13 * k)
    for k in range(40)
]  # fmt: skip


@pytest.mark.parametrize("form", [*FORMATS, "%Y%m%d%H%M"])
def test_a_form_is_found_and_read_alike_in_bulk_and_alone(form):
    aware = "%z" in form
    times = [t.replace(tzinfo=dt.UTC) for t in TIMES] if aware else TIMES
    texts = [t.strftime(form) for t in times]
    assert find_format(texts) == (form, ())
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        sql = time_sql("word", form, ZONE).utc
        words = "SELECT word, 0 AS kind FROM (SELECT unnest(?) AS word)"
        read = [r[0] for r in con.execute(f"SELECT {sql} FROM ({words})", [texts]).fetchall()]
    # What the form leaves out (hours, seconds, the century's years) is gone for Python, too.
    own = dt.UTC if form.endswith(("GMT", "Z")) else ZoneInfo(ZONE)
    truth = [dt.datetime.strptime(text, form) for text in texts]
    if "%S" in form:
        assert [t.replace(tzinfo=None) for t in truth] == TIMES
    truth = [t if aware else t.replace(tzinfo=own) for t in truth]
    assert [t.replace(tzinfo=dt.UTC) for t in read] == truth
    start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    micros = [(t - start) // dt.timedelta(microseconds=1) for t in truth]
    assert [moment_of(text, form, ZONE) for text in texts] == micros


def test_a_month_that_is_short_and_long_is_no_doubt():
    assert find_format(["3 May 2024 10:00", "4 May 2024 11:30"]) == ("%d %b %Y %H:%M", ())


@pytest.mark.parametrize("text", ["20241399120000", "1709280000000", "17092800000000"])
def test_digits_that_are_no_written_time_are_counts(text):
    assert find_format([text])[0] == "epoch_ms"
