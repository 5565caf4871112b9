"""The rules of a row: typed columns in SQL, and each reason to reject a row."""

from __future__ import annotations

from typing import NamedTuple

from cartcast.errors import DefinitionError
from cartcast.events import times
from cartcast.events.ids import nothing_word_sql
from cartcast.events.kinds import event_kind_sql
from cartcast.events.mapping import Resolved
from cartcast.events.numbers import EITHER_SIGN, LARGEST, NUMBER_COLUMNS, doubtful_sql, number_sql
from cartcast.events.sql import literal
from cartcast.events.values import Mapped
from cartcast.events.words import CURRENCIES
from cartcast.events.zones import doubled_sql, skipped_sql, to_utc_sql

__all__ = [
    "REASONS",
    "SALES",
    "Rule",
    "Typed",
    "as_it_is",
    "event_type_sql",
    "first_values",
    "typed",
]  # fmt: skip

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
    "unknown_currency": "not an ISO 4217 code",
    **{f"bad_{c}": f"the {c.replace('_', ' ')} is no number up to 1e12" for c in NUMBER_COLUMNS},
    **{f"negative_{c}": f"the {c.replace('_', ' ')} is below zero" for c in NUMBER_COLUMNS},
}
"""Reason code of a reject -> what it means."""

SALES = ("purchase", "refund")
"""Event types with money of their own; a purchase below zero is a refund."""


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


def event_type_sql(resolved: Resolved, text: str) -> str:
    """Return SQL for the canonical event type of a word; `text` is SQL of the word."""
    empty = literal(resolved.layout.every_event or "other")
    kind = event_kind_sql(text, resolved.words, resolved.layout)
    return f"CASE WHEN {text} IS NULL THEN {empty} ELSE coalesce({kind}, 'other') END"


def typed(resolved: Resolved, mapped: dict[str, Mapped]) -> Typed:
    """Return SQL of the typed columns, and the rules in the order in which they are tried.

    Rules read the typed columns as `v_...`, so that each is computed once. Besides the canonical
    columns there are `__zone` (kind of the time's zone), `__date_only`, `__clock` (1 where the
    local time exists twice, 2 where the clock skips it) and `__doubt_...`: numbers as text where
    their decimal mark is not sure.
    """
    layout = resolved.layout
    out, rules = _time(resolved, mapped)
    if "known_time" in mapped:
        known = mapped["known_time"]
        native = _native_time(known, "n_known_time", layout.zone)
        read = times.time_sql("t_known_time", "auto", layout.zone, "k_known_time")
        out["known_time"] = native or read.utc
        rules.append(
            Rule(
                "bad_time", known.column, "t_known_time IS NOT NULL AND v_known_time IS NULL "
                f"AND NOT {nothing_word_sql('t_known_time')}", "t_known_time",
            )
        )  # fmt: skip
    session, found = _who(layout.session_per_visitor, mapped)
    if session is not None:
        out["session_id"] = session
    rules += found
    rules += _positions(resolved, mapped, out)
    _event_type(resolved, mapped, out)
    for target in NUMBER_COLUMNS:
        if target in mapped:
            number = _number(target, mapped[target], resolved)
            out |= number.columns
            rules += number.rules
    out["currency"] = literal(layout.currency)
    if "currency" in mapped:
        code = f"CASE WHEN NOT {nothing_word_sql('t_currency')} THEN upper(t_currency) END"
        out["currency"] = f"coalesce({code}, {literal(layout.currency)})"
        codes = literal(f" {' '.join(sorted(CURRENCIES))} ")
        rules.append(
            Rule(
                "unknown_currency",
                mapped["currency"].column,
                f"strlen(v_currency) <> 3 OR NOT contains({codes}, ' ' || v_currency || ' ')",
                "t_currency",
            )
        )
    return Typed(out, rules)


def _event_type(resolved: Resolved, mapped: dict[str, Mapped], out: dict[str, str]) -> None:
    """Add the kind of the event; a purchase below zero is a refund."""
    kind = "kind" if "event_type" in mapped else literal(resolved.layout.every_event)
    signs = [f"f_{t}" for t in NUMBER_COLUMNS[:4] if t in mapped]
    if signs:
        below = " OR ".join(f"{s} < 0" for s in signs)
        kind = f"CASE WHEN ({kind}) = 'purchase' AND ({below}) THEN 'refund' ELSE {kind} END"
    out["event_type"] = kind
    if "source_event" not in mapped:
        out["source_event"] = "t_event_type" if "event_type" in mapped else "NULL"


def _positions(resolved: Resolved, mapped: dict[str, Mapped], out: dict[str, str]) -> list[Rule]:
    layout = resolved.layout
    rules: list[Rule] = []
    clocked = bool(resolved.parts) or "event_time" in mapped
    for target, kind, reason in (
        ("event_order", "BIGINT", "bad_order"),
        ("session_seconds", "DOUBLE", "bad_seconds"),
    ):
        if target not in mapped:
            continue
        text = f"t_{target}"
        out[target] = f"TRY_CAST({text} AS {kind})"
        if mapped[target].divide:
            out[target] = f"({out[target]} / {mapped[target].divide})"
        value = f"v_{target}"
        good = value if kind == "BIGINT" else f"nullif({value} >= 0 AND isfinite({value}), false)"
        word = nothing_word_sql(text)
        rules.append(
            Rule(reason, mapped[target].column,
                 f"{text} IS NOT NULL AND ({good}) IS NULL AND NOT {word}", text)
        )  # fmt: skip
        if not clocked and layout.clock == ("order" if target == "event_order" else "session"):
            rules.append(Rule("missing_order", mapped[target].column, f"{value} IS NULL", "NULL"))
    return rules


def _time(resolved: Resolved, mapped: dict[str, Mapped]) -> tuple[dict[str, str], list[Rule]]:
    """Return SQL of the time with what is known of its clock, and its rules."""
    layout = resolved.layout
    if resolved.parts:
        text = "(p_0 || '-' || lpad(p_1, 2, '0') || '-' || lpad(p_2, 2, '0'))"
        day = f"CAST(TRY_CAST({text} AS DATE) AS TIMESTAMP)"
        column = "+".join(layout.columns["event_time"].parts)
        found = times.TimeSql("NULL", day, "0", "CAST(NULL AS TIMESTAMP)")
        date_only = "true"
    elif "event_time" in mapped:
        text, column = "t_event_time", mapped["event_time"].column
        found, date_only = _read_time(mapped["event_time"], resolved.time_form, layout.zone)
    else:
        none = {"event_time": "CAST(NULL AS TIMESTAMP)", "__zone": "NULL", "__date_only": "NULL"}
        return {**none, "__clock": "0"}, []
    utc = found.utc
    if "event_time" in mapped and mapped["event_time"].plus:
        utc, date_only = f"({utc} + to_microseconds(n_plus))", "false"
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
        utc = f"date_trunc('day', {utc})"
    clock = "0"
    if layout.zone not in (None, "UTC"):
        doubled, skipped = (sql(found.local, layout.zone) for sql in (doubled_sql, skipped_sql))
        clock = f"CASE WHEN {doubled} THEN 1 WHEN {skipped} THEN 2 ELSE 0 END"
    zone = found.zone if layout.zone is None else "NULL"
    return {"event_time": utc, "__zone": zone, "__date_only": date_only, "__clock": clock}, rules


def first_values(resolved: Resolved, mapped: dict[str, Mapped]) -> dict[str, str]:
    """Return SQL of what `typed` reads by name: how times are written, the kind of the event."""
    found: dict[str, str] = {}
    for target, form in (("event_time", resolved.time_form), ("known_time", "auto")):
        if target in mapped and mapped[target].native is None:
            way = times.time_sql(f"t_{target}", form, resolved.layout.zone).written
            if way != "NULL":
                found[f"k_{target}"] = way
    for target in NUMBER_COLUMNS:
        if target in mapped:
            found[f"f_{target}"] = _plain_number(target, mapped[target], resolved.mark)
    if "event_type" in mapped:
        found["kind"] = event_type_sql(resolved, "t_event_type")
    return found


def _read_time(mapped: Mapped, form: str, zone: str | None) -> tuple[times.TimeSql, str]:
    text = "t_event_time"
    native = _native_time(mapped, "n_event_time", zone)
    if native is not None and mapped.native is not None:
        aware = mapped.native[1].startswith("TIMESTAMP WITH")
        local = "NULL::TIMESTAMP" if aware else "TRY_CAST(n_event_time AS TIMESTAMP)"
        found = times.TimeSql("NULL", native, "1" if aware else "0", local)
        return found, str(mapped.native[1] == "DATE").lower()
    found = times.time_sql(text, form, zone, "k_event_time")
    if form.startswith("epoch"):
        return found, "false"
    if form == times.SERIAL:
        return found, f"NOT regexp_matches({text}, '[.,]')"
    if "%" in form:
        return found, str("%H" not in form and "%I" not in form).lower()
    return found, f"strlen({text}) <= 10 AND contains({text}, '-')"


def _native_time(mapped: Mapped, column: str, zone: str | None) -> str | None:
    """Return SQL for a column that is a date or timestamp already, or None."""
    if mapped.native is None:
        return None
    kind = mapped.native[1]
    if kind.startswith("TIMESTAMP WITH"):
        return f"timezone('UTC', {column})"
    if kind.startswith(("TIMESTAMP", "DATETIME")) or kind == "DATE":
        return to_utc_sql(f"TRY_CAST({column} AS TIMESTAMP)", zone)
    return None


def as_it_is(target: str, mapped: Mapped) -> bool:
    """Return whether a value of the source's own type is read: only a reject's becomes text."""
    if mapped.native is None:
        return False
    if target == "event_time":
        return _native_time(mapped, "", None) is not None
    return target in NUMBER_COLUMNS and mapped.native[1] != "BOOLEAN"


def _who(per_visitor: bool, mapped: dict[str, Mapped]) -> tuple[str | None, list[Rule]]:
    known = [t for t in ("session_id", "visitor_id", "user_id") if t in mapped]
    if not known:
        raise DefinitionError("a layout must name session_id, visitor_id or user_id.")
    missing = " AND ".join(f"t_{t} IS NULL" for t in known)
    rules = [Rule("no_visitor_or_session", mapped[known[0]].column, missing, "nothing")]
    if "session_id" not in mapped:
        return None, rules
    if per_visitor and "visitor_id" in mapped:
        # Without a visitor the session's own number is all that there is.
        return "coalesce(t_visitor_id || '-' || t_session_id, t_session_id)", rules
    return "t_session_id", rules


def _plain_number(target: str, mapped: Mapped, mark: str) -> str:
    if as_it_is(target, mapped):
        return f"TRY_CAST(n_{target} AS DOUBLE)"
    return number_sql(f"t_{target}", mark)


def _number(target: str, mapped: Mapped, resolved: Resolved) -> Typed:
    text = f"t_{target}"
    word = nothing_word_sql(f"CAST({text} AS VARCHAR)")
    number = f"f_{target}"
    divided = f"({number} / {mapped.divide})" if mapped.divide else number
    out = {target: f"CASE WHEN abs({divided}) <= {LARGEST:g} THEN {divided} END"}
    if mapped.native is None and not resolved.sure:
        out[f"__doubt_{target}"] = doubtful_sql(text)
    sales = ", ".join(literal(s) for s in SALES)
    rules = [
        Rule(
            f"bad_{target}", mapped.column,
            f"{text} IS NOT NULL AND v_{target} IS NULL AND NOT {word}", text,
        ),
        Rule(
            f"negative_{target}", mapped.column,
            f"v_{target} < 0 AND v_event_type NOT IN ({sales})", text,
        ),
    ]  # fmt: skip
    return Typed(out, rules[:1] if target in EITHER_SIGN else rules)
