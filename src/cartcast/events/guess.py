"""Guess the layout of a source, with reasons and a confidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cartcast.errors import DataError
from cartcast.events.builtin import LAYOUTS
from cartcast.events.byname import has_who_and_when, layout_by_names, require_who_and_when
from cartcast.events.byproperties import with_properties
from cartcast.events.byrecords import lists_of_records
from cartcast.events.byvalues import kinds_told, known_words
from cartcast.events.layouts import Layout, Value
from cartcast.events.read import Source
from cartcast.events.references import matching
from cartcast.events.sql import snake_case
from cartcast.events.time_forms import are_serials, find_format
from cartcast.events.times import SERIAL
from cartcast.events.words import COLUMN_WORDS
from cartcast.findings import Finding, declare, finding

__all__ = ["Guess", "bare_names", "choose", "guess", "known_layout", "with_times"]

GUESSED = declare(
    "EV101",
    "note",
    "The layout was guessed",
    "No layout was named, so columns were recognised by their names and a sample.",
    "Check `cartcast layout FILE`; name the layout with --layout to be sure.",
)
GENERIC = declare(
    "EV102",
    "warn",
    "The layout is a guess from column names alone",
    "The header is of no known source; a wrong guess makes every figure wrong.",
    "Run `cartcast layout FILE > my.yaml`, correct it, and give --layout my.yaml.",
)


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
    source = bare_names(source, layout)
    if layout is None:
        proposal = _guess_among(source)
        layout = proposal.layout
        if layout.name in LAYOUTS:
            findings.append(
                finding(
                    GUESSED,
                    f"{source.short}: read as layout {layout.name!r}{_besides(layout)}.",
                    layout=layout.name,
                    confidence=proposal.confidence,
                )
            )
        else:
            used = ", ".join(f"{t}={_named(v)}" for t, v in layout.columns.items())
            findings.append(
                finding(
                    GENERIC,
                    f"{source.short}: columns were guessed by name: {used}.{_own_words(layout)}",
                    count=len(layout.columns),
                    confidence=proposal.confidence,
                )
            )
    source, layout = _fit(source, layout)
    return source, with_times(source, layout), findings


def _guess_among(source: Source) -> Guess:
    """Return the guess by rows of the source's kin, if it reads what the source's own does."""
    if not source.kin:
        return guess(source)
    try:
        own = guess(source)
    except DataError:
        return guess(source.together)
    try:
        shared = guess(source.together)
    except DataError:
        return own
    return shared if _reads(own.layout) <= _reads(shared.layout) else own


def _reads(layout: Layout) -> set[str]:
    return {r.lower() for value in layout.columns.values() for r in value.references}


def bare_names(source: Source, layout: Layout | None = None) -> Source:
    """Return the source by the bare names of its columns, where one table's stands before all.

    Where both together are a known word (`order.id`), the name is that. A layout that knows the
    full names keeps them.
    """
    tables = {c.partition(".")[0] if "." in c else "" for c in source.columns}
    if len(source.columns) < 3 or len(tables) > 1 or "" in tables:
        return source
    whole = {c: snake_case(c) for c in source.columns}
    bare = [n if n in _KNOWN else c.partition(".")[2] for c, n in whole.items()]
    if layout is not None:
        wanted = {r.lower() for v in layout.columns.values() for r in v.references}
        if not wanted & set(map(str.lower, bare)) or wanted & set(map(str.lower, source.columns)):
            return source
    return source.renamed(bare) if len(set(map(str.lower, bare))) == len(bare) else source


_KNOWN = {word for words in COLUMN_WORDS.values() for word in words}


def _own_words(layout: Layout) -> str:
    """Return what words were found to mean by their rows, for messages."""
    said = [f" {w!r} is taken as a {k}." for w, k in layout.events.items()]
    if layout.status:
        said.append(f" {' and '.join(map(repr, layout.status))} may say that an order is no sale.")
    return "".join(said)


def _named(value: Value) -> str:
    if value.joined or value.parts:
        return "+".join(value.columns or value.parts)
    return " or ".join(dict.fromkeys(value.references)) or str(value.constant)


def _fit(source: Source, layout: Layout) -> tuple[Source, Layout]:
    """Return the variant of the layout whose shape the source has, and name unnamed columns.

    The others are its variants then: files of the other shapes may come after.
    """
    family = (replace(layout, variants=()), *layout.variants)

    def first(shape: Layout) -> Layout:
        return replace(shape, variants=tuple(v for v in family if v is not shape))

    shapes = [v for v in family if v.header]
    if source.kind == "csv" and not source.header_line and shapes:
        for shape in shapes:
            if len(shape.header) == len(source.columns):
                return source.renamed(shape.header), first(shape)
        widths = " or ".join(str(len(s.header)) for s in shapes)
        raise DataError(
            f"{source.name}: layout {layout.name!r} must have {widths} columns, "
            f"got {len(source.columns)}."
        )
    if layout.variants:
        known = list(source.columns)
        lower = {c.lower() for c in known}

        def fit(shape: Layout) -> tuple[float, int, int, int]:
            whole = _score(shape, known) if shape.signature else 0.0
            headed = len(lower & {h.lower() for h in shape.header})
            exact = sum(not s.endswith("*") for s in shape.signature)
            here = sum(_first_present(source, v.references) is not None
                       for v in shape.columns.values())  # fmt: skip
            return whole, headed, exact, here

        return source, first(max((*family[1:], family[0]), key=fit))
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
    if value.joined and (after := _first_present(source, value.columns[1:])):
        values = [" ".join(map(str, both)) for both in source.rows_of(column, after) if all(both)]
    form, ambiguous = find_format(values)
    if form == "iso" and are_serials(column, values):
        form = SERIAL
    if form is None and source.kin:
        # Its own days may all be up to the 12th: others of its kind tell what comes first.
        told = with_times(replace(source.together, kin=()), layout).time_format
        form = told if told in ambiguous else None
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
    if source.kind == "csv" and not source.has_header:
        return _guess_without_header(source)
    scores = _scores(source)
    best = max(scores, key=lambda n: scores[n])
    others = {
        n: s
        for n, (s, _, _) in sorted(scores.items(), key=lambda x: x[1], reverse=True)
        if 0.5 <= s < 1
    }
    if scores[best][0] == 1:
        layout = LAYOUTS[best]
        if best == "cartcast":
            layout = _completed(layout, source)
        elif not layout.strict:
            layout = with_properties(layout, source)
        reasons = {"": f"the header has {', '.join(layout.signature)}"}
        for target, value in layout.columns.items():
            if found := _first_present(source, value.references):
                reasons[target] = f"{layout.title}: column {found!r}"
        return Guess(layout, 1.0, reasons, others)
    by_names, reasons = _in_records(source, *layout_by_names(source))
    require_who_and_when(source, by_names)
    telling = ("event_time", "event_type", "item_id", "price")
    confidence = round((2 + sum(t in by_names.columns for t in telling)) / 8, 2)
    return Guess(by_names, confidence, reasons, others)


def _in_records(
    source: Source, whole: Layout, reasons: dict[str, str]
) -> tuple[Layout, dict[str, str]]:
    """Return the layout of the events in a list of records, where the rows themselves are none."""
    complete = has_who_and_when(whole)
    orders = complete and whole.every_event == "purchase"
    if source.kind == "csv" or orders or _tells_events(source, whole):
        return whole, reasons
    for column, opened in lists_of_records(source):
        found, why = layout_by_names(opened)
        if not has_who_and_when(found):
            continue
        if not complete or _are_events(opened, column, found):
            why["records"] = f"each {column!r} is a list of events"
            return replace(with_times(opened, found), records=(column,)), why
    return whole, reasons


def _are_events(source: Source, column: str, layout: Layout) -> bool:
    """Return whether the elements of a list are events: mostly known words, and times of theirs."""
    named = [layout.columns[t].columns for t in ("event_type", "event_time") if t in layout.columns]
    if len(named) < 2 or not all(c[0].startswith(f"{column}.") for c in named):
        return False
    word = named[0][0]
    return kinds_told(source, word)[0] > 1 and known_words(source, word) > 0.5


def _tells_events(source: Source, layout: Layout) -> bool:
    value = layout.columns.get("event_type")
    return value is not None and kinds_told(source, value.columns[0])[0] > 0


def _completed(layout: Layout, source: Source) -> Layout:
    """Return the layout of Cartcast's own names, and what it lacks by the names of other columns.

    A table may call its events and items as Cartcast does, and its money otherwise.
    """
    known = {c.lower() for c in source.columns}
    own = {t: v for t, v in layout.columns.items() if known & {c.lower() for c in v.columns}}
    found, _ = layout_by_names(source)
    more = {t: v for t, v in found.columns.items() if t not in own}
    if {"order_value", "line_value", "price"} & set(own):
        more = {t: v for t, v in more.items() if t not in ("order_value", "line_value", "price")}
    return replace(layout, columns={**layout.columns, **more}, amount=found.amount)


def _besides(layout: Layout) -> str:
    """Return the columns that a layout takes by other names than its own, for messages."""
    usual = LAYOUTS[layout.name].columns
    other = [f"{t}={v.columns[0]}" for t, v in layout.columns.items() if v != usual.get(t)]
    return f", and by their names: {', '.join(other)}" if other else ""


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
