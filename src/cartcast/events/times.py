"""Parse times of any usual form to UTC, in SQL, without trusting the engine's own casts.

DuckDB casts `2019-10-01T00:00:00+02:00` to a timestamp and drops the offset, and takes the words
`epoch` and `infinity`; here an offset is converted, and only digits make a time.
"""

from __future__ import annotations

import contextlib
import math
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cartcast.events.sql import literal
from cartcast.events.time_words import IN_WORDS, plain, plain_sql
from cartcast.events.zones import to_utc_sql

__all__ = ["EARLIEST", "EPOCH", "LATEST", "SERIAL", "TimeSql", "iso_moment", "moment_of",
           "time_sql", "unit_of", "zone_sql"]  # fmt: skip

EARLIEST, LATEST = "1990-01-01", "2100-01-01"
"""Times outside are impossible for a shop on the web: a wrong unit, or a default date."""

_OF_UTC = ("GMT", "Z", "UTC")
"""How forms end that are in UTC, whatever the shop's zone is."""
_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
SERIAL = "excel"
"""Days since the end of 1899, as spreadsheets count them; rounded to the second."""
_EPOCH_DAY = 25_569
EPOCH = r"\d{9,19}(\.\d+)?"
"""Digits that may count from 1970 on: seconds, or thousandths to thousand-millionths of one."""


def unit_of(digits: int) -> str:
    """Return the unit of an epoch by the digits before its point; `auto` for nanoseconds."""
    if digits <= 11:
        return "epoch_s"
    return "epoch_ms" if digits <= 14 else "epoch_us" if digits <= 17 else "auto"


def zone_sql(text: str) -> str:
    """Return SQL for the kind of a time's zone: 0 none, 1 UTC, 2 another offset."""
    return (
        f"CASE WHEN {text} IS NULL THEN NULL "
        f"WHEN right({text}, 1) = 'Z' OR right({text}, 3) IN ('UTC', 'GMT') THEN 1 "
        f"WHEN NOT contains(substr({text}, 12), '+') AND NOT contains(substr({text}, 12), '-') "
        f"THEN 0 "
        f"WHEN length({text}) > 15 AND regexp_matches(right({text}, 6), "
        f"'[+-]00(:?00)?$') THEN 1 "
        f"WHEN length({text}) > 15 AND regexp_matches(right({text}, 6), "
        f"'[+-]\\d\\d(:?\\d\\d)?$') THEN 2 ELSE 0 END"
    )


class TimeSql(NamedTuple):
    """SQL of a time: how it is written, and over that its time in UTC, its zone and its local form.

    `written` is a number for each way of writing ISO 8601, which the others read from the column
    `kind`; `local` is the time where it has no zone of its own, else null.
    """

    written: str
    utc: str
    zone: str
    local: str


_PLAIN, _PLAIN_UTC, _OFFSET, _NAIVE, _UTC = range(5)


def time_sql(text: str, form: str, zone: str | None, kind: str = "kind") -> TimeSql:
    """Return SQL that makes a UTC timestamp of `text`, null when it is impossible.

    `kind` is the name of the column that holds what `written` gives.
    """
    none = "CAST(NULL AS TIMESTAMP)"
    if form.startswith(IN_WORDS):
        return time_sql(plain_sql(text), form.removeprefix(IN_WORDS), zone, kind)
    if form in _UNITS:
        return TimeSql("NULL", _epoch(text, form), "1", none)
    if form == "iso":
        return _iso(text, zone, kind)
    if form == SERIAL:
        days = f"TRY_CAST(replace({text}, ',', '.') AS DOUBLE)"
        seconds = f"CAST(round(({days} - {_EPOCH_DAY}) * 86400) AS BIGINT)"
        local = f"CASE WHEN {days} BETWEEN 0 AND 1e5 THEN make_timestamp({seconds} * 1000000) END"
        return TimeSql("NULL", to_utc_sql(local, zone), "0", local)
    if form == "auto":
        digits = f"length(split_part({text}, '.', 1))"
        iso = _iso(text, zone, kind)
        number = f"regexp_full_match({text}, '\\d{{9,19}}(\\.\\d+)?')"
        return TimeSql(
            iso.written,
            f"CASE WHEN {number} THEN CASE WHEN {digits} <= 11 THEN {_epoch(text, 'epoch_s')} "
            f"WHEN {digits} <= 14 THEN {_epoch(text, 'epoch_ms')} "
            f"WHEN {digits} <= 17 THEN {_epoch(text, 'epoch_us')} "
            f"ELSE {_micros(f'TRY_CAST({text} AS BIGINT) // 1000')} END ELSE {iso.utc} END",
            f"CASE WHEN {number} THEN 1 ELSE {iso.zone} END",
            f"CASE WHEN {number} THEN NULL ELSE {iso.local} END",
        )
    parsed = f"try_strptime({text}, {literal(form)})"
    if "%z" in form.lower():
        return TimeSql("NULL", f"timezone('UTC', CAST({parsed} AS TIMESTAMPTZ))", "2", none)
    if form.endswith(_OF_UTC):
        return TimeSql("NULL", parsed, "1", none)
    return TimeSql("NULL", to_utc_sql(parsed, zone), "0", parsed)


def _epoch(text: str, form: str) -> str:
    scale = _UNITS[form]
    whole = f"TRY_CAST({text} AS BIGINT)"
    # A whole number needs no decimal arithmetic.
    exact = f"CAST(round(TRY_CAST({text} AS DECIMAL(28, 6)) * {scale}) AS BIGINT)"
    most = 9223372036854775807 // scale
    return _micros(
        f"CASE WHEN contains({text}, '.') THEN {exact} "
        f"WHEN {whole} BETWEEN 0 AND {most} THEN {whole} * {scale} END"
    )


def _micros(expression: str) -> str:
    # make_timestamp fails on values out of its range, so those are made null first.
    return (
        f"make_timestamp(CASE WHEN {expression} BETWEEN 0 AND 9223372036854 * 1000 "
        f"THEN {expression} END)"
    )


def _iso(text: str, zone: str | None, kind: str) -> TimeSql:
    # Most times are `2024-03-01 10:00:00`, some with ` UTC` or a Z: these need no patterns.
    written = (
        f"CASE WHEN strlen({text}) = 19 AND {text}[17:17] = ':' THEN {_PLAIN} "
        f"WHEN (strlen({text}) = 23 AND ends_with({text}, ' UTC')) OR "
        f"(strlen({text}) = 20 AND ends_with({text}, 'Z')) THEN {_PLAIN_UTC} "
        f"WHEN NOT {text}[1:1] BETWEEN '0' AND '9' THEN NULL "
        f"ELSE CASE {zone_sql(text)} WHEN 0 THEN CASE WHEN {text}[-1:] BETWEEN '0' AND '9' "
        f"THEN {_NAIVE} END WHEN 1 THEN {_UTC} WHEN 2 THEN {_OFFSET} END END"
    )
    # ISO 8601 allows a comma before the fraction of a second.
    dotted = f"replace({text}, ',', '.')"
    bare = f"TRY_CAST(rtrim(rtrim({dotted}, 'ZUTCGM'), ' ') AS TIMESTAMP)"
    # A blank between time and offset, offsets without minutes and times without seconds are made
    # standard first.
    full = (
        f"regexp_replace(regexp_replace(regexp_replace({dotted}, '\\s+([+-]\\d)', '\\1'), "
        f"'([+-]\\d\\d)(\\d\\d)$', '\\1:\\2'), '([T ]\\d\\d?:\\d\\d)([+-])', '\\1:00\\2')"
    )
    aware = f"timezone('UTC', TRY_CAST({full} AS TIMESTAMPTZ))"
    local = f"TRY_CAST(CASE WHEN {kind} = {_PLAIN} THEN {text} ELSE {dotted} END AS TIMESTAMP)"
    naive = f"{kind} IN ({_PLAIN}, {_NAIVE})"
    return TimeSql(
        written,
        f"CASE WHEN {naive} THEN {to_utc_sql(local, zone)} "
        f"WHEN {kind} = {_PLAIN_UTC} THEN TRY_CAST({text}[:19] AS TIMESTAMP) "
        f"WHEN {kind} = {_UTC} AND right({text}, 1) IN ('Z', 'C', 'T') THEN {bare} "
        f"WHEN {kind} IN ({_UTC}, {_OFFSET}) THEN {aware} END",
        f"CASE WHEN {naive} THEN 0 WHEN {kind} IN ({_PLAIN_UTC}, {_UTC}) THEN 1 "
        f"WHEN {kind} = {_OFFSET} THEN 2 END",
        f"CASE WHEN {naive} THEN {local} END",
    )


_ONE_EPOCH = re.compile(EPOCH, re.ASCII).fullmatch
_ONE_ISO = re.compile(
    r"(\d{4})[-/](\d\d?)[-/](\d\d?)(?:[T ](\d\d?):(\d\d?)(?::(\d\d?)(?:[.,](\d*))?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
).fullmatch
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def moment_of(text: str, form: str = "auto", zone: str | None = None) -> int | None:
    """Return one text as `time_sql` reads a column, in microseconds since 1970, or None.

    >>> moment_of("2026-05-04T12:00:00+02:00") == moment_of("1777888800000")
    True
    """
    if form.startswith(IN_WORDS):
        return moment_of(plain(text), form.removeprefix(IN_WORDS), zone)
    if form in _UNITS:
        return _one_epoch(text, _UNITS[form])
    if form == "auto" and _ONE_EPOCH(text):
        whole = text.partition(".")[0]
        unit = unit_of(len(whole))
        return int(whole) // 1000 if unit == "auto" else _one_epoch(text, _UNITS[unit])
    if form == SERIAL:
        when = _one_serial(text)
    elif form in ("auto", "iso"):
        when = iso_moment(text)
    else:
        try:
            when = datetime.strptime(text, form)
        except ValueError:
            when = None
    if when is None:
        return None
    if when.tzinfo is None:
        own = ZoneInfo(zone) if zone and not form.endswith(_OF_UTC) else UTC
        when = when.replace(tzinfo=own)
    return (when - _START) // _MICROSECOND


def _one_serial(text: str) -> datetime | None:
    days = text.strip().replace(",", ".")
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", days, re.ASCII):
        return None
    seconds = (float(days) - _EPOCH_DAY) * 86400
    return datetime(1970, 1, 1) + timedelta(seconds=math.copysign(int(abs(seconds) + 0.5), seconds))


def _one_epoch(text: str, scale: int) -> int | None:
    if not re.fullmatch(r"\s*\d+(\.\d+)?\s*", text, re.ASCII) or len(text) > 32:
        return None
    whole, _, part = text.strip().partition(".")
    # In millionths first, as the engine's decimal is; halves go up.
    millionths = int(whole + part[:6].ljust(6, "0")) + (part[6:7] >= "5")
    value = (millionths * scale + 500_000) // 1_000_000
    return value if value <= 9_223_372_036_854_000 else None


def iso_moment(text: str) -> datetime | None:
    """Return a text of ISO 8601 as a time, without a zone where it states none, or None."""
    if text[10:11] == "T" and text[13:14] == text[16:17] == ":" and "," not in text:
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(text)
    found = _ONE_ISO(text)
    if found is None:
        return None
    *fields, part, offset = found.groups()
    year, month, day, hour, minute, second = (int(f or 0) for f in fields)
    try:
        when = datetime(year, month, day, hour % 24, minute, second)
    except ValueError:
        return None
    when += timedelta(microseconds=int((part or "").ljust(6, "0")[:6]))
    if hour >= 24:
        if hour > 24 or minute or second or part:
            return None
        when += timedelta(days=1)
    if offset is None:
        return when
    digits = "" if offset[0].isalpha() else offset[1:].replace(":", "")
    east = timedelta(hours=int(digits[:2] or 0), minutes=int(digits[2:] or 0))
    return when.replace(tzinfo=UTC) - (east if offset[0] == "+" else -east)
