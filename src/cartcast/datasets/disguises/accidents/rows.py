"""Rows in another order, in several files, or delivered again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from random import Random

from cartcast.datasets.disguises.accidents.accident import Accident, Sheets, each_log, flat
from cartcast.datasets.disguises.form import Form
from cartcast.datasets.disguises.sheet import Sheet
from cartcast.datasets.disguises.shop import Event, TrueLog

__all__ = ["ACCIDENTS"]

_ROWS = frozenset({"rows"})


def _any(form: Form) -> bool:
    return True


def _told_once(form: Form) -> bool:
    return "events" in form.tells


def _json_lines(form: Form) -> bool:
    return form.lines and "row_order" in form.tells


def _shuffle(sheets: Sheets, rng: Random) -> Sheets:
    return tuple(
        s.with_rows(rng.sample(s.rows, len(s.rows))) if s.role == "log" else s for s in sheets
    )


def _small_carts(log: TrueLog) -> TrueLog:
    """Keep one item in what is no order: in disorder no flat file tells which came first."""
    return log.change(lambda e: e if e.order else replace(e, lines=e.lines[:1]))


def _named(sheet: Sheet, word: str) -> str:
    path = PurePath(sheet.name)
    return f"{path.stem}-{word}{path.suffix}"


def _overlap(sheets: Sheets, rng: Random) -> Sheets:
    """Cut every log into two files that share the middle fifth of its rows."""
    out: list[Sheet] = []
    for sheet in sheets:
        if sheet.role != "log":
            out.append(sheet)
            continue
        n = len(sheet.rows)
        out.append(sheet.with_rows(sheet.rows[: n * 6 // 10], _named(sheet, "1")))
        out.append(sheet.with_rows(sheet.rows[n * 4 // 10 :], _named(sheet, "2")))
    return tuple(out)


def _again(sheets: Sheets, rng: Random) -> Sheets:
    copies = (replace(s, name=_named(s, "again")) for s in sheets if s.role == "log")
    return (*sheets, *copies)


_FILLERS = 20


def pad(log: TrueLog, events: int) -> TrueLog:
    """Return the log after `events` page views by visitors who do nothing else."""
    begin = log.events[0].time - 90 * 86_400
    padding = [
        Event(
            event_id=f"pad-{n}", visitor_id=str(200_001 + n // _FILLERS), user_id=None,
            session_id=str(300_001 + n // _FILLERS), session_number=1,
            time=begin + 30 * n, position=n % _FILLERS + 1, event_type="page_view",
            country="DE", device="mobile", channel="direct", page="https://shop.example/home",
        )
        for n in range(events)
    ]  # fmt: skip
    return replace(log, events=(*padding, *log.events))


ACCIDENTS = (
    Accident("shuffled", _ROWS, _any, _small_carts, _shuffle, lacks=frozenset({"row_order"})),
    Accident("newest-first", _ROWS, _any, sheets=each_log(lambda s: s.with_rows(reversed(s.rows)))),
    Accident("overlapping-files", frozenset({"rows", "files"}), _told_once, sheets=_overlap),
    Accident("delivered-twice", frozenset({"files"}), _told_once, sheets=_again),
    Accident(
        "every-row-doubled",
        frozenset({"rows", "times"}),
        lambda form: _told_once(form) and (flat(form) or form.lines),
        sheets=each_log(lambda s: s.with_rows(row for row in s.rows for _ in (1, 2))),
        says=True,
    ),
    Accident("late-keys", frozenset({"length"}), _json_lines, lambda log: pad(log, 2_000)),
    Accident(
        "late-keys-deep",
        frozenset({"all"}),
        lambda form: form.name in ("ga4-jsonl", "plain-jsonl"),
        lambda log: pad(log, 25_000),
    ),
)
"""Shuffled, newest first, overlapping, delivered again, doubled, and keys that come late."""
