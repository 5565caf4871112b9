"""Guess the layout of a source, with reasons and a confidence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cartcast.errors import DataError
from cartcast.events.builtin import LAYOUTS
from cartcast.events.layouts import Layout, Value
from cartcast.events.numbers import NUMBER_COLUMNS
from cartcast.events.read import Source
from cartcast.events.references import matching
from cartcast.events.sql import snake_case
from cartcast.events.times import find_format
from cartcast.events.words import AMOUNT_WORDS, COLUMN_WORDS, EVENT_WORDS
from cartcast.findings import Finding, declare, finding

__all__ = ["Guess", "choose", "guess", "known_layout", "named", "with_times"]

GUESSED = declare(
    "EV101",
    "note",
    "The layout was guessed",
    "No layout was named, so columns were recognised by their names and a sample.",
    "Check `cartcast layout FILE`; name the layout with --layout to make it sure.",
)
GENERIC = declare(
    "EV102",
    "warn",
    "The layout is a guess from column names alone",
    "The header is of no known source; a wrong guess makes every figure wrong.",
    "Run `cartcast layout FILE > my.yaml`, correct it, and give --layout my.yaml.",
)

_SURE = {"event_time": ("timestamp", "event_timestamp", "datetime"), "price": ("unit_price",)}
"""Names that mean a column for sure, besides its canonical one."""

_TIME_WORDS = COLUMN_WORDS["event_time"]


@dataclass(frozen=True)
class Guess:
    """A proposed layout.

    Attributes:
        layout: the proposal.
        confidence: 0 to 1: share of the layout's telling columns that are there.
        reasons: canonical column (or "") -> why.
        others: other layouts that fit in part -> confidence.
    """

    layout: Layout
    confidence: float
    reasons: dict[str, str] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)


def choose(source: Source, layout: Layout | None) -> tuple[Source, Layout, list[Finding]]:
    """Return the source and the layout, named or guessed, made ready for each other.

    Raises:
        DataError: nothing fits, or the form of the times is ambiguous.
    """
    findings: list[Finding] = []
    if layout is None:
        proposal = guess(source)
        layout = proposal.layout
        if layout.name in LAYOUTS:
            findings.append(
                finding(
                    GUESSED,
                    f"{source.short}: read as layout {layout.name!r}.",
                    layout=layout.name,
                    confidence=proposal.confidence,
                )
            )
        else:
            used = ", ".join(
                f"{t}={v.columns[0] if v.columns else v.constant or '+'.join(v.parts)}"
                for t, v in layout.columns.items()
            )
            findings.append(
                finding(
                    GENERIC,
                    f"{source.short}: columns were guessed by name: {used}.",
                    count=len(layout.columns),
                    confidence=proposal.confidence,
                )
            )
    source, layout = _fit(source, layout)
    return source, with_times(source, layout), findings


def _fit(source: Source, layout: Layout) -> tuple[Source, Layout]:
    """Return the variant of the layout whose shape the source has, and name unnamed columns."""
    shapes = [v for v in (layout, *layout.variants) if v.header]
    if source.kind == "csv" and not source.header_line and shapes:
        for shape in shapes:
            if len(shape.header) == len(source.columns):
                return source.renamed(shape.header), shape
        widths = " or ".join(str(len(s.header)) for s in shapes)
        raise DataError(
            f"{source.name}: layout {layout.name!r} must have {widths} columns, "
            f"got {len(source.columns)}."
        )
    if layout.variants:
        known = list(source.columns)
        lower = {c.lower() for c in known}

        def fit(shape: Layout) -> tuple[float, int, int]:
            whole = _score(replace(shape, variants=()), known) if shape.signature else 0.0
            headed = len(lower & {h.lower() for h in shape.header})
            return whole, headed, sum(not s.endswith("*") for s in shape.signature)

        return source, max((*layout.variants, layout), key=fit)
    return source, layout


def with_times(source: Source, layout: Layout) -> Layout:
    """Return the layout with the form of its times settled from the sample."""
    value = layout.columns.get("event_time")
    if layout.time_format != "auto" or value is None or value.parts or not value.columns:
        return layout
    column = _first_present(source, value.columns)
    if column is None:
        return layout
    values = source.values(column)
    form, ambiguous = find_format(values)
    if form is None:
        raise DataError(
            f"{source.name}: times in {column!r} such as {values[0]!r} fit {ambiguous[0]!r} and "
            f"{ambiguous[1]!r}; state `time_format:` in a layout (`cartcast layout FILE`)."
        )
    return replace(layout, time_format=form)


def _first_present(source: Source, columns: Sequence[str]) -> str | None:
    by_name = {c.lower(): c for c in source.columns}
    return next((by_name[c.lower()] for c in columns if c.lower() in by_name), None)


def guess(source: Source) -> Guess:
    """Return the layout that fits a source best.

    Raises:
        DataError: there is no column for who or when.
    """
    if source.kind == "csv" and not source.header_line:
        return _guess_without_header(source)
    scores = _scores(source)
    best = max(scores, key=lambda n: scores[n])
    others = {
        n: s for n, (s, _, _) in sorted(scores.items(), key=lambda x: x[1], reverse=True) if 0.5 <= s < 1
    }
    if scores[best][0] == 1:
        layout = LAYOUTS[best]
        reasons = {"": f"the header has {', '.join(layout.signature)}"}
        for target, value in layout.columns.items():
            if found := _first_present(source, value.references):
                reasons[target] = f"{layout.title}: column {found!r}"
        return Guess(layout, 1.0, reasons, others)
    return _guess_by_names(source, others)


def known_layout(source: Source) -> Layout | None:
    """Return the built-in layout whose telling columns are all there, or None."""
    scores = _scores(source)
    best = max(scores, key=lambda n: scores[n])
    return LAYOUTS[best] if scores[best][0] == 1 else None


def _scores(source: Source) -> dict[str, tuple[float, bool, int]]:
    """Return how well each layout fits: the more columns tell it, the better."""
    known = list(source.columns)
    return {
        name: (_score(layout, known), name != "cartcast", len(layout.signature))
        for name, layout in LAYOUTS.items()
        if layout.signature
    }


def _score(layout: Layout, known: list[str]) -> float:
    """Return the share of a layout's telling columns that are there, at once or in a variant."""
    hits = sum(any(matching(known, o) for o in s.split("|")) for s in layout.signature)
    own = hits / len(layout.signature)
    return max([own, *(_score(v, known) for v in layout.variants if v.signature)])


def _guess_without_header(source: Source) -> Guess:
    width = len(source.columns)
    layout = LAYOUTS["yoochoose"]
    shape = next((v for v in (layout, *layout.variants) if len(v.header) == width), None)
    times = source.values(source.columns[1]) if width > 1 else []
    if shape is None or not times or not re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", times[0]):
        first = ", ".join(str(v) for v in source.sample[0][:4])
        raise DataError(
            f"{source.name}: no header (the first line is {first}); "
            "name the columns with `header:` in a layout."
        )
    return Guess(layout, 0.7, {"": f"no header, {width} columns, the second an ISO time with Z"})


_CONTAINERS = ("properties", "event_properties", "props", "params", "event_params", "attributes",
               "event_data", "data", "payload", "segmentation", "sg", "event")  # fmt: skip
"""Structures in which trackers keep what they know of an event."""


def named(columns: Sequence[str]) -> dict[str, str]:
    """Return each column by the names that it may be meant by, the fullest first.

    >>> list(named(["ym:pv:clientID"])), named(["properties.sku"])["sku"]
    (['ym_pv_client_id', 'ym:pv:clientid', 'ympvclientid', 'client_id', 'clientid'], 'properties.sku')
    """
    found: dict[str, str] = {}
    for name in (lambda c: c, _bare):
        for column in columns:
            plain = name(column)
            for word in (snake_case(plain), plain.lower(), snake_case(plain).replace("_", "")):
                found.setdefault(word, column)
    return found


def _bare(column: str) -> str:
    """Return a name without the space of names that it is in."""
    container, _, inner = column.rpartition(".")
    if container.lower() in _CONTAINERS:
        return inner
    return column.rpartition(":")[2] or column


def _guess_by_names(source: Source, others: dict[str, float]) -> Guess:
    by_snake = named(source.columns)
    columns: dict[str, Value] = {}
    reasons: dict[str, str] = {}
    taken: set[str] = set()
    for target, candidates in COLUMN_WORDS.items():
        words = [v for w in candidates for v in (w, w.replace("_", ""))]
        called = [c for w in words if (c := by_snake.get(w, "")) and c not in taken]
        fitting = [c for c in called if _plausible(source, target, c)]
        # A column that bears the very name is meant, whatever its values: they become rejects.
        meant = [c for c in called if snake_case(c) in (target, *_SURE.get(target, ()))]
        for column in (fitting or meant)[:1]:
            columns[target] = Value(columns=(column,))
            reasons[target] = f"column {column!r} is called like {target}"
            taken.add(column)
    if "user_id" in columns and "visitor_id" not in columns:
        # The only id of a person that there is stands for the visitor.
        columns["visitor_id"] = columns.pop("user_id")
        reasons["visitor_id"] = reasons.pop("user_id").replace("user_id", "visitor_id")
    every_event = None
    if "event_type" not in columns:
        every_event = "view_item" if "item_id" in columns else "page_view"
        reasons["every_event"] = "no column holds event words, so every row is one kind of event"
    needed = (
        {"session_id", "visitor_id"} & set(columns),
        {"event_time", "event_order", "session_seconds"} & set(columns),
    )
    if not all(needed):
        what = "a visitor or session" if not needed[0] else "a time or order"
        hint = _near_miss(source, by_snake, needed)
        raise DataError(
            f"{source.name}: no column looks like {what} among "
            f"{', '.join(source.columns[:10])}.{hint} Write a layout "
            "(`cartcast layout FILE` starts one) or check the separator."
        )
    found = Layout(
        name="guessed",
        title="guessed from column names",
        columns=columns,
        every_event=every_event,
        clock="time"
        if "event_time" in columns
        else "session"
        if "session_seconds" in columns
        else "order",
        amount=_amount(columns),
    )
    telling = ("event_time", "event_type", "item_id", "price")
    confidence = round((2 + sum(t in columns for t in telling)) / 8, 2)
    return Guess(found, confidence, reasons, others)


def _plausible(source: Source, target: str, column: str) -> bool:
    values = source.values(column)[:200]
    if not values:
        return True
    if target in (*NUMBER_COLUMNS, "session_seconds"):
        return sum(bool(re.fullmatch(r"-?[\d.,]+", v.strip())) for v in values) > 0.8 * len(values)
    if target == "event_order":
        return sum(v.strip().isdigit() for v in values) > 0.8 * len(values)
    if target == "event_time":
        form, ambiguous = find_format(values)
        return bool(ambiguous) or form != "iso" or bool(re.match(r"\s*[12]\d{3}[-/]", values[0]))
    if target == "event_type":
        known = sum(v.strip().lower() in EVENT_WORDS for v in values)
        return known > 0.2 * len(values) or column.lower() != "type"
    return True


def _amount(columns: dict[str, Value]) -> str:
    """Return what the name of the guessed price says that it is, when nothing else holds money."""
    if "price" not in columns or {"line_value", "order_value"} & set(columns):
        return ""
    name = snake_case(columns["price"].columns[0])
    return next((meaning for meaning, words in AMOUNT_WORDS.items() if name in words), "price")


def _near_miss(source: Source, by_snake: dict[str, str], needed: tuple[set[str], set[str]]) -> str:
    """Return a hint where a column is nearly called like one that is missing, or holds no times."""
    missing = ("session_id", "visitor_id") if not needed[0] else ("event_time", "event_order")
    if needed[0] and (column := next((by_snake[w] for w in _TIME_WORDS if w in by_snake), None)):
        value = next(iter(source.values(column)), "")
        return (
            f" {column!r} is called like a time, but {value!r} has none of the usual forms; "
            "state `time_format:` in a layout."
        )
    snake = {snake_case(c): c for c in source.columns}
    for target in missing:
        words = (target, *COLUMN_WORDS[target])
        for word in words:
            if near := difflib.get_close_matches(word, snake, n=1, cutoff=0.8):
                return f" Did you mean {target!r} by {snake[near[0]]!r}?"
    return ""
