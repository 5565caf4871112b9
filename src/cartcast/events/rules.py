"""The rules of the contract: typed columns in SQL, and each reason to reject a row."""

from __future__ import annotations

from typing import NamedTuple

from cartcast.errors import DefinitionError
from cartcast.events import times
from cartcast.events.mapping import Mapped, Resolved
from cartcast.events.schema import EVENT_TYPES
from cartcast.events.sql import literal
from cartcast.events.words import CURRENCIES, EVENT_WORDS

__all__ = ["REASONS", "Rule", "Typed", "event_type_sql", "event_words", "typed"]

REASONS: dict[str, str] = {
    "ragged_row": "more or fewer cells than the header has columns",
    "unreadable_row": "quotes that do not close, or bytes that are not text in the file's encoding",
    "bad_json": "the line is not a JSON object",
    "missing_time": "no time",
    "bad_time": "not a time in the column's form, or a date that does not exist",
    "time_out_of_range": f"before {times.EARLIEST} or after {times.LATEST}: a wrong unit?",
    "ambiguous_time": "no offset, in a column where other times have one",
    "missing_order": "no position in the session, and the source has no clock",
    "bad_order": "the position in the session is not a whole number",
    "bad_seconds": "seconds since the session began are not a number >= 0",
    "no_visitor_or_session": "neither a visitor nor a session",
    "bad_price": "the price is not a finite number",
    "negative_price": "the price is below zero",
    "bad_quantity": "the quantity is not a finite number",
    "negative_quantity": "the quantity is below zero",
    "unknown_currency": "not an ISO 4217 code",
}
"""Reason code of a reject -> what it means."""


class Rule(NamedTuple):
    """A reason to reject: its code, the source column, the SQL condition and the SQL value."""

    reason: str
    column: str
    condition: str
    value: str


class Typed(NamedTuple):
    """SQL of the typed columns (over the columns as text, `t_...`) and the rules over them."""

    columns: dict[str, str]
    rules: list[Rule]


def event_type_sql(resolved: Resolved) -> str:
    """Return SQL for the canonical event type, over the source's own columns."""
    mapped = resolved.mapped.get("event_type")
    return _event_type(mapped.text, resolved) if mapped else literal(resolved.layout.every_event)


def event_words(resolved: Resolved) -> dict[str, str]:
    """Return word (lower case) -> canonical event type, the layout's own words last to say."""
    return {**{k: k for k in EVENT_TYPES}, **EVENT_WORDS, **resolved.layout.events}


def _event_type(text: str, resolved: Resolved) -> str:
    words = event_words(resolved)
    by_type: dict[str, list[str]] = {}
    for word, kind in words.items():
        if kind != "other":
            by_type.setdefault(kind, []).append(literal(word))
    branches = " ".join(
        f"WHEN lower({text}) IN ({', '.join(found)}) THEN {literal(kind)}"
        for kind, found in by_type.items()
    )
    empty = literal(resolved.layout.every_event or "other")
    return f"CASE {branches} WHEN {text} IS NULL THEN {empty} ELSE 'other' END"


def typed(resolved: Resolved, mapped: dict[str, Mapped]) -> Typed:
    """Return SQL of the typed columns, and the rules in the order in which they are tried.

    Rules read the typed columns as `v_...`, so that each is computed once.
    """
    layout = resolved.layout
    out: dict[str, str] = {}
    rules: list[Rule] = []
    out["event_time"], out["__zone"], out["__date_only"], found = _time(resolved, mapped)
    rules += found
    if "known_time" in mapped:
        known = _native_time(mapped["known_time"], "n_known_time", layout.zone) or times.time_sql(
            "t_known_time", "auto", layout.zone
        )
        out["known_time"] = known
        rules.append(
            Rule(
                "bad_time",
                mapped["known_time"].column,
                "t_known_time IS NOT NULL AND v_known_time IS NULL",
                "t_known_time",
            )
        )
    out["session_id"], found = _who(layout.session_per_visitor, mapped)
    rules += found
    clocked = bool(resolved.parts) or "event_time" in mapped
    for target, kind, reason in (
        ("event_order", "BIGINT", "bad_order"),
        ("session_seconds", "DOUBLE", "bad_seconds"),
    ):
        if target not in mapped:
            continue
        text = f"t_{target}"
        out[target] = f"TRY_CAST({text} AS {kind})"
        value = f"v_{target}"
        good = value if kind == "BIGINT" else f"nullif({value} >= 0 AND isfinite({value}), false)"
        rules.append(
            Rule(reason, mapped[target].column, f"{text} IS NOT NULL AND ({good}) IS NULL", text)
        )
        if not clocked and layout.clock == ("order" if target == "event_order" else "session"):
            rules.append(Rule("missing_order", mapped[target].column, f"{text} IS NULL", "NULL"))
    for target in ("price", "quantity"):
        if target in mapped:
            out[target], found = _number(target, mapped[target], layout.decimal)
            rules += found
    if "event_type" in mapped:
        # The statement joins the words' table: a hundred comparisons a row would cost more.
        empty = literal(layout.every_event or "other")
        out["event_type"] = (
            f"CASE WHEN t_event_type IS NULL THEN {empty} ELSE coalesce(kind, 'other') END"
        )
    else:
        out["event_type"] = literal(layout.every_event)
    if "source_event" not in mapped:
        out["source_event"] = "t_event_type" if "event_type" in mapped else "NULL"
    out["currency"] = literal(layout.currency)
    if "currency" in mapped:
        out["currency"] = f"coalesce(upper(t_currency), {literal(layout.currency)})"
        codes = ", ".join(literal(c) for c in sorted(CURRENCIES))
        rules.append(
            Rule(
                "unknown_currency",
                mapped["currency"].column,
                f"t_currency IS NOT NULL AND upper(t_currency) NOT IN ({codes})",
                "t_currency",
            )
        )
    return Typed(out, rules)


def _time(resolved: Resolved, mapped: dict[str, Mapped]) -> tuple[str, str, str, list[Rule]]:
    """Return SQL of the time, the kind of its zone, whether it is a date only, and its rules."""
    layout = resolved.layout
    if resolved.parts:
        text = "(p_0 || '-' || lpad(p_1, 2, '0') || '-' || lpad(p_2, 2, '0'))"
        time = f"CAST(TRY_CAST({text} AS DATE) AS TIMESTAMP)"
        column, zone, date_only = "+".join(layout.columns["event_time"].parts), "0", "true"
    elif "event_time" in mapped:
        text = "t_event_time"
        column = mapped["event_time"].column
        native = _native_time(mapped["event_time"], "n_event_time", layout.zone)
        if native is not None:
            kind = mapped["event_time"].native
            aware = kind is not None and kind[1].startswith("TIMESTAMP WITH")
            time, zone = native, "1" if aware else "0"
            date_only = str(kind is not None and kind[1] == "DATE").lower()
        else:
            time = times.time_sql(text, layout.time_format, layout.zone)
            iso = layout.time_format in ("iso", "auto")
            zone = times.zone_sql(text) if iso and layout.zone is None else "NULL"
            date_only = f"length({text}) <= 10 AND contains({text}, '-')"
    else:
        return "CAST(NULL AS TIMESTAMP)", "NULL", "NULL", []
    rules = [
        Rule("missing_time", column, f"{text} IS NULL", "NULL"),
        Rule("bad_time", column, "v_event_time IS NULL", text),
        Rule(
            "time_out_of_range",
            column,
            f"v_event_time NOT BETWEEN TIMESTAMP '{times.EARLIEST}' AND TIMESTAMP '{times.LATEST}'",
            text,
        ),
    ]
    if layout.clock == "day":
        time = f"date_trunc('day', {time})"
    return time, zone, date_only, rules


def _native_time(mapped: Mapped, column: str, zone: str | None) -> str | None:
    """Return SQL for a column that is a date or timestamp already, or None."""
    if mapped.native is None:
        return None
    kind = mapped.native[1]
    if kind.startswith("TIMESTAMP WITH"):
        return f"timezone('UTC', {column})"
    if kind.startswith(("TIMESTAMP", "DATETIME")) or kind == "DATE":
        plain = f"TRY_CAST({column} AS TIMESTAMP)"
        if zone and zone != "UTC":
            return f"timezone('UTC', timezone({literal(zone)}, {plain}))"
        return plain
    return None


def _who(per_visitor: bool, mapped: dict[str, Mapped]) -> tuple[str, list[Rule]]:
    session = "t_session_id" if "session_id" in mapped else None
    visitor = "t_visitor_id" if "visitor_id" in mapped else None
    known = [m for m in (session, visitor) if m]
    if not known:
        raise DefinitionError("a layout must name session_id or visitor_id.")
    column = mapped["session_id" if session else "visitor_id"].column
    missing = " AND ".join(f"{m} IS NULL" for m in known)
    rules = [Rule("no_visitor_or_session", column, missing, "NULL")]
    if session and visitor and per_visitor:
        session = f"({visitor} || '-' || {session})"
    return session or "NULL", rules


def _number(target: str, mapped: Mapped, decimal: str) -> tuple[str, list[Rule]]:
    text = f"t_{target}"
    if mapped.native is not None and mapped.native[1] != "BOOLEAN":
        number = f"TRY_CAST(n_{target} AS DOUBLE)"
    elif decimal == ",":
        number = f"TRY_CAST(replace(replace({text}, '.', ''), ',', '.') AS DOUBLE)"
    else:
        number = f"TRY_CAST({text} AS DOUBLE)"
    if mapped.divide:
        number = f"({number} / {mapped.divide})"
    finite = f"nullif(isfinite(v_{target}), false)"
    return number, [
        Rule(f"bad_{target}", mapped.column, f"{text} IS NOT NULL AND ({finite}) IS NULL", text),
        Rule(f"negative_{target}", mapped.column, f"v_{target} < 0", text),
    ]
