"""Layouts: how a source's columns become canonical ones, as data (built in, or a YAML file)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cartcast.errors import DefinitionError, NotFoundError, UsageError, did_you_mean
from cartcast.events.schema import COLUMNS, EVENT_TYPES

__all__ = [
    "EXTRA_TARGETS",
    "Layout",
    "Value",
    "find_layout",
    "from_mapping",
    "read_layout",
    "to_yaml",
]

EXTRA_TARGETS: tuple[str, ...] = ("event_id",)
"""Targets a layout may map besides the canonical columns: the source's own id of an event."""

_CLOCKS = ("time", "day", "session", "order")
_SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Value:
    """Where one canonical column comes from.

    Attributes:
        columns: candidate references, the first that is not null wins. `params[key]` reads a
            key of a key/value list, `contexts[0].a` a field of a list's first element, `a.b` a
            nested field.
        parts: year, month and day columns that make a date.
        constant: one value for all rows.
        divide: number by which to divide (micros, cents).
        plus: column of a time since then that is added to a time, such as a hit's since its
            session's start.
        plus_unit: its unit: `s`, `ms` or `us`.
        nulls: words that stand for nothing in this column, besides the usual ones.
    """

    columns: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    constant: str | None = None
    divide: float | None = None
    plus: str | None = None
    plus_unit: str = "ms"
    nulls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A source's columns, words and clock.

    Attributes:
        name: what `--layout` and the metadata call it.
        title: one line for people.
        columns: canonical column (or `event_id`) -> where it comes from.
        events: the source's word (lower case) -> canonical event type; added to the known words.
        every_event: the event type of all rows, for sources that have no such column.
        time_format: `auto`, `iso`, `epoch_s`, `epoch_ms`, `epoch_us` or a strptime format.
        zone: time zone of times without an offset; None means UTC unless offsets are mixed in.
        clock: what the source's clock can tell.
        currency: ISO 4217 code of all prices, or None.
        header: column names of a file that has none.
        separator: separator of a CSV file; None means look.
        decimal: decimal mark of numbers; None means decide by all values of a column.
        skip: lines before the header of a CSV file; None means look.
        records: candidate list columns whose elements are the events (hits of a session); their
            fields are referred to as `hits.field`.
        ties: columns that order events of the same moment, the first the most telling.
        numbers: other columns to keep as numbers.
        session_per_visitor: session ids are unique only within a visitor (GA4).
        strict: every column that the layout names must be there.
        items: list column whose elements are items, with `each` event types that become one row
            per item, and `fields` (canonical column -> field of an item).
        amount: what the name of a guessed column of money says that it is (`price`, `line_value`
            or `order_value`); the log decides. Empty where the layout states it.
        variants: further layouts for files of other shapes that belong to the same source.
        signature: column names that together tell this layout from others.
    """

    name: str
    title: str = ""
    columns: Mapping[str, Value] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    every_event: str | None = None
    time_format: str = "auto"
    zone: str | None = None
    clock: str = "time"
    currency: str | None = None
    header: tuple[str, ...] = ()
    separator: str | None = None
    decimal: str | None = None
    skip: int | None = None
    records: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    session_per_visitor: bool = False
    strict: bool = True
    items: tuple[ItemList, ...] = ()
    amount: str = ""
    variants: tuple[Layout, ...] = ()
    signature: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemList:
    """A list column whose elements are items: which events explode, and the items' fields."""

    columns: tuple[str, ...]
    each: tuple[str, ...]
    fields: Mapping[str, Value]


def find_layout(name: str) -> Layout:
    """Return a built-in layout by name, or read a YAML file when the name looks like one.

    Raises:
        UsageError: no layout has that name.
        NotFoundError: the YAML file is not there.
    """
    from cartcast.events.builtin_layouts import LAYOUTS

    if name in LAYOUTS:
        return LAYOUTS[name]
    if name.endswith((".yaml", ".yml")):
        return read_layout(Path(name))
    raise UsageError(f"unknown layout {name!r}.{did_you_mean(name, LAYOUTS)} Or give a .yaml file.")


def read_layout(path: Path) -> Layout:
    """Read a layout that `cartcast layout FILE` proposed and a person edited.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it is not YAML or breaks a rule.
    """
    import yaml

    if not path.is_file():
        raise NotFoundError(f"{path}: no such layout file; `cartcast layout FILE` proposes one.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DefinitionError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise DefinitionError(f"{path}: must hold `name: value` lines, got {type(data).__name__}.")
    return from_mapping(data, str(path))


def from_mapping(data: Mapping[str, Any], where: str = "layout") -> Layout:
    """Return a layout from plain data, checking every name in it.

    Raises:
        DefinitionError: a key, column, event type or format does not exist.
    """
    known = (
        "name",
        "title",
        "columns",
        "events",
        "every_event",
        "time_format",
        "zone",
        "clock",
        "currency",
        "header",
        "separator",
        "decimal",
        "skip",
        "records",
        "ties",
        "numbers",
        "session_per_visitor",
        "items",
    )
    for key in data:
        _one_of(str(key), known, where, "key")
    columns = data.get("columns")
    if not isinstance(columns, dict) or not columns:
        raise DefinitionError(f"{where}: needs `columns:` with canonical names and source columns.")
    targets = (*COLUMNS, *EXTRA_TARGETS)
    values: dict[str, Value] = {}
    for target, given in columns.items():
        _one_of(str(target), targets, f"{where}, columns", "canonical column")
        if given is not None:
            values[str(target)] = _value(given, f"{where}, columns, {target}")
    events = {str(k).strip().lower(): str(v) for k, v in (data.get("events") or {}).items()}
    for word, kind in events.items():
        _one_of(kind, EVENT_TYPES, f"{where}, events, {word}", "event type")
    if data.get("every_event"):
        _one_of(str(data["every_event"]), EVENT_TYPES, f"{where}, every_event", "event type")
    clock = str(data.get("clock") or "time")
    _one_of(clock, _CLOCKS, f"{where}, clock", "clock")
    separator = data.get("separator")
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        raise DefinitionError(f"{where}: separator must be one character, got {separator!r}.")
    if data.get("decimal") not in (None, ".", ","):
        raise DefinitionError(f"{where}: decimal must be '.' or ',', got {data['decimal']!r}.")
    skip = data.get("skip")
    if skip is not None and (not isinstance(skip, int) or skip < 0):
        raise DefinitionError(f"{where}: skip must be a number of lines >= 0, got {skip!r}.")
    check_zone(data.get("zone"), where)
    return Layout(
        name=str(data.get("name") or Path(where).stem),
        title=str(data.get("title") or ""),
        columns=values,
        events=events,
        every_event=data.get("every_event"),
        time_format=str(data.get("time_format") or "auto"),
        zone=data.get("zone"),
        clock=clock,
        currency=_currency(data.get("currency"), where),
        header=tuple(str(h) for h in data.get("header") or ()),
        separator=separator,
        decimal=data.get("decimal"),
        skip=skip,
        records=_texts(data.get("records")),
        ties=_texts(data.get("ties")),
        numbers=tuple(str(n) for n in data.get("numbers") or ()),
        session_per_visitor=bool(data.get("session_per_visitor", False)),
        items=tuple(_items(i, where) for i in data.get("items") or ()),
    )


def _one_of(name: str, known: tuple[str, ...], where: str, what: str) -> None:
    if name not in known:
        raise DefinitionError(f"{where}: unknown {what} {name!r}.{did_you_mean(name, known)}")


def _currency(code: Any, where: str) -> str | None:
    from cartcast.events.words import CURRENCIES

    if code is None:
        return None
    if str(code).upper() not in CURRENCIES:
        raise DefinitionError(
            f"{where}: currency must be an ISO 4217 code such as EUR, got {code!r}."
        )
    return str(code).upper()


def _texts(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(str(g) for g in given or ())


def check_zone(zone: Any, where: str) -> None:
    """Refuse a time zone that does not exist.

    Raises:
        DefinitionError: naming the nearest one.
    """
    if zone is None:
        return
    from zoneinfo import available_timezones

    if zone not in available_timezones():
        raise DefinitionError(
            f"{where}: unknown time zone {zone!r}.{did_you_mean(str(zone), available_timezones())}"
        )


def _value(given: Any, where: str) -> Value:
    if isinstance(given, str | int):
        return Value(columns=(str(given),))
    if isinstance(given, list) and given:
        return Value(columns=tuple(str(g) for g in given))
    if isinstance(given, dict):
        keys = ("columns", "column", "parts", "constant", "divide", "plus", "plus_unit", "nulls")
        for key in given:
            _one_of(str(key), keys, where, "key")
        _one_of(str(given.get("plus_unit", "ms")), ("s", "ms", "us"), where, "plus_unit")
        columns: Any = given.get("columns", given.get("column")) or ()
        value = Value(
            columns=(columns,) if isinstance(columns, str) else tuple(columns),
            parts=tuple(given.get("parts", ())),
            constant=None if given.get("constant") is None else str(given["constant"]),
            divide=given.get("divide"),
            plus=given.get("plus"),
            plus_unit=given.get("plus_unit", "ms"),
            nulls=_texts(given.get("nulls")),
        )
        if value.parts and len(value.parts) != 3:
            raise DefinitionError(
                f"{where}: parts must be [year, month, day], got {given['parts']}."
            )
        if value.divide is not None and not (
            isinstance(value.divide, int | float) and value.divide > 0
        ):
            raise DefinitionError(f"{where}: divide must be a number > 0, got {value.divide!r}.")
        if value.columns or value.parts or value.constant is not None:
            return value
    raise DefinitionError(
        f"{where}: must be a column name, a list of them, or one of columns, parts, constant; "
        f"got {given!r}."
    )


def _items(given: Any, where: str) -> ItemList:
    if not isinstance(given, dict) or not given.get("columns") or not given.get("fields"):
        raise DefinitionError(f"{where}, items: needs columns, each and fields, got {given!r}.")
    for target in given["fields"]:
        _one_of(str(target), tuple(COLUMNS), f"{where}, items, fields", "canonical column")
    columns = given["columns"]
    return ItemList(
        columns=(columns,) if isinstance(columns, str) else tuple(columns),
        each=tuple(given.get("each") or ()),
        fields={
            str(k): _value(v, f"{where}, items, {k}") for k, v in given["fields"].items()
        },
    )


def to_yaml(layout: Layout, comments: Mapping[str, str] | None = None) -> str:
    """Return the layout as YAML to edit; `comments` are put beside the columns."""
    import yaml

    def dump(value: Any) -> str:
        text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
        return text.replace("\n...", "").strip()

    lines = [f"name: {dump(layout.name)}"]
    plain = (
        "title", "every_event", "time_format", "zone", "clock", "currency", "separator", "decimal",
        "skip",
    )  # fmt: skip
    lines += [f"{key}: {dump(getattr(layout, key))}" for key in plain if getattr(layout, key)]
    if layout.session_per_visitor:
        lines.append("session_per_visitor: true")
    lists = [key for key in ("header", "numbers", "records", "ties") if getattr(layout, key)]
    lines += [f"{key}: {dump(list(getattr(layout, key)))}" for key in lists]
    lines.append("columns:")
    for target, value in layout.columns.items():
        note = (comments or {}).get(target)
        lines.append(f"  {target}: {dump(_plain(value))}" + (f"  # {note}" if note else ""))
    if layout.events:
        lines.append("events:")
        lines.extend(f"  {dump(word)}: {kind}" for word, kind in layout.events.items())
    if layout.items:
        listed: list[dict[str, Any]] = [
            {
                "columns": list(i.columns),
                "each": list(i.each),
                "fields": {k: _plain(v) for k, v in i.fields.items()},
            }
            for i in layout.items
        ]
        lines.append("items: " + dump(listed))
    return "\n".join(lines) + "\n"


def _plain(value: Value) -> Any:
    if value.parts:
        return {"parts": list(value.parts)}
    if value.constant is not None and not value.columns:
        return {"constant": value.constant}
    columns: Any = value.columns[0] if len(value.columns) == 1 else list(value.columns)
    more: dict[str, Any] = {}
    if value.divide is not None:
        more["divide"] = value.divide
    if value.plus is not None:
        more |= {"plus": value.plus, "plus_unit": value.plus_unit}
    if value.nulls:
        more["nulls"] = list(value.nulls)
    return {"columns": columns, **more} if more else columns
