"""Layouts as YAML: what `cartcast layout` proposes and a person edits, checked word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cartcast.config import check_zone
from cartcast.errors import DefinitionError, NotFoundError, did_you_mean
from cartcast.events.layouts import EXTRA_TARGETS, ItemList, Layout, Value
from cartcast.events.schema import COLUMNS, EVENT_TYPES
from cartcast.yamlfile import read_yaml

__all__ = ["from_mapping", "read_layout", "to_yaml"]

_CLOCKS = ("time", "day", "session", "order")
_UNITS = ("s", "ms", "us")
_AMOUNTS = ("price", "line_value", "order_value")
_PLAIN = ("title", "every_event", "time_format", "zone", "clock", "currency", "separator",
          "decimal", "skip", "amount")  # fmt: skip
_LISTS = ("event_prefixes", "status", "header", "numbers", "records", "ties", "event")
_KEYS = ("name", *_PLAIN, *_LISTS, "session_per_visitor", "columns", "events", "items",
         "refund", "signature", "variants")  # fmt: skip
_VALUE_KEYS = ("columns", "column", "parts", "constant", "divide", "plus", "plus_unit", "nulls",
               "says", "pattern", "without", "unlike", "joined", "one", "otherwise")  # fmt: skip


def read_layout(path: Path) -> Layout:
    """Read a layout that `cartcast layout FILE` proposed and a person edited.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it is not YAML or breaks a rule.
    """
    if not path.is_file():
        raise NotFoundError(f"{path}: no such layout file; `cartcast layout FILE` proposes one.")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise DefinitionError(f"{path}: must hold `name: value` lines, got {type(data).__name__}.")
    return from_mapping(data, str(path))


def from_mapping(data: Mapping[str, Any], where: str = "layout") -> Layout:
    """Return a layout from plain data, checking every name in it.

    Raises:
        DefinitionError: a key, column, event type or format does not exist.

    >>> layout = from_mapping({"columns": {"visitor_id": "who", "event_time": ["at", "day"]}})
    >>> layout.columns["event_time"].columns
    ('at', 'day')
    """
    for key in data:
        _one_of(str(key), _KEYS, where, "key")
    columns = data.get("columns")
    if not isinstance(columns, dict) or not columns:
        raise DefinitionError(f"{where}: needs `columns:` with canonical names and source columns.")
    values: dict[str, Value] = {}
    for target, given in columns.items():
        _one_of(str(target), (*COLUMNS, *EXTRA_TARGETS), f"{where}, columns", "canonical column")
        if given is not None:
            values[str(target)] = _value(given, f"{where}, columns, {target}")
    events = {str(k).strip().lower(): str(v) for k, v in (data.get("events") or {}).items()}
    for word, kind in events.items():
        _one_of(kind, EVENT_TYPES, f"{where}, events, {word}", "event type")
    if data.get("every_event"):
        _one_of(str(data["every_event"]), EVENT_TYPES, f"{where}, every_event", "event type")
    clock = str(data.get("clock") or "time")
    _one_of(clock, _CLOCKS, f"{where}, clock", "clock")
    if data.get("amount"):
        _one_of(str(data["amount"]), _AMOUNTS, f"{where}, amount", "meaning of an amount")
    _text_rules(data, where)
    return Layout(
        name=str(data.get("name") or Path(where).stem),
        title=str(data.get("title") or ""),
        columns=values,
        events=events,
        event_prefixes=tuple(map(str.lower, _texts(data.get("event_prefixes")))),
        status=_texts(data.get("status")),
        every_event=data.get("every_event"),
        time_format=str(data.get("time_format") or "auto"),
        zone=data.get("zone"),
        clock=clock,
        currency=_currency(data.get("currency"), where),
        separator=data.get("separator"),
        decimal=data.get("decimal"),
        skip=data.get("skip"),
        amount=str(data.get("amount") or ""),
        session_per_visitor=_flag(data, "session_per_visitor", where),
        items=tuple(_items(i, where) for i in data.get("items") or ()),
        refund=_value(data["refund"], f"{where}, refund") if data.get("refund") else None,
        header=_texts(data.get("header")),
        numbers=_texts(data.get("numbers")),
        records=_texts(data.get("records")),
        ties=_texts(data.get("ties")),
        event=_texts(data.get("event")),
        signature=_texts(data.get("signature")),
        variants=tuple(_variants(data.get("variants"), where)),
    )


def _flag(data: Mapping[str, Any], key: str, where: str) -> bool:
    given = data.get(key) or False
    if not isinstance(given, bool):
        raise DefinitionError(f"{where}: {key} must be true or false, got {given!r}.")
    return given


def _variants(given: Any, where: str) -> Iterator[Layout]:
    """Yield the layouts of files of other shapes, each told by its `header` or `signature`."""
    if given is not None and not isinstance(given, list):
        raise DefinitionError(f"{where}: variants must be a list of layouts, got {given!r}.")
    for number, one in enumerate(given or (), 1):
        place = f"{where}, variants, {number}"
        if not isinstance(one, dict) or not (one.get("signature") or one.get("header")):
            raise DefinitionError(
                f"{place}: needs `signature:`, the columns by which its files are told from the "
                "others, or `header:` where they have none."
            )
        yield from_mapping(one, place)


def _text_rules(data: Mapping[str, Any], where: str) -> None:
    """Check how the file is written: its separator, decimal mark, preamble and zone."""
    separator, skip = data.get("separator"), data.get("skip")
    if separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        raise DefinitionError(f"{where}: separator must be one character, got {separator!r}.")
    if data.get("decimal") not in (None, ".", ","):
        raise DefinitionError(f"{where}: decimal must be '.' or ',', got {data['decimal']!r}.")
    if skip is not None and (not isinstance(skip, int) or skip < 0):
        raise DefinitionError(f"{where}: skip must be a number of lines >= 0, got {skip!r}.")
    check_zone(data.get("zone"), where)


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


def _value(given: Any, where: str) -> Value:
    if isinstance(given, str | int):
        return Value(columns=(str(given),))
    if isinstance(given, list) and given:
        return Value(columns=tuple(str(g) for g in given))
    if not isinstance(given, dict):
        raise _no_value(given, where)
    for key in given:
        _one_of(str(key), _VALUE_KEYS, where, "key")
    _one_of(str(given.get("plus_unit", "ms")), _UNITS, where, "plus_unit")
    parts, divide, pattern = given.get("parts"), given.get("divide"), given.get("pattern")
    if parts and len(parts) != 3:
        raise DefinitionError(f"{where}: parts must be [year, month, day], got {parts}.")
    if divide is not None and not (isinstance(divide, int | float) and divide > 0):
        raise DefinitionError(f"{where}: divide must be a number > 0, got {divide!r}.")
    if pattern is not None:
        _check_pattern(pattern, where)
    otherwise = given.get("otherwise")
    value = Value(
        columns=_texts(given.get("columns", given.get("column"))),
        parts=_texts(parts),
        constant=_text(given.get("constant")),
        divide=divide,
        plus=_text(given.get("plus")),
        plus_unit=given.get("plus_unit", "ms"),
        nulls=_texts(given.get("nulls")),
        says=_text(given.get("says")),
        pattern=pattern,
        without=_text(given.get("without")),
        unlike=_text(given.get("unlike")),
        joined=_flag(given, "joined", where),
        one=_text(given.get("one")),
        otherwise=None if otherwise is None else _value(otherwise, f"{where}, otherwise"),
    )
    if not value.columns and not value.parts and value.constant is None:
        raise _no_value(given, where)
    return value


def _text(given: Any) -> str | None:
    return None if given is None else str(given)


def _check_pattern(pattern: Any, where: str) -> None:
    """Refuse what no regular expression is, here and in the engine."""
    import duckdb

    try:
        re.compile(str(pattern))
        with duckdb.connect() as con:
            con.execute("SELECT regexp_full_match('', ?)", [str(pattern)])
    except (re.error, duckdb.Error) as error:
        why = str(error).split("\n")[0]
        raise DefinitionError(f"{where}: pattern {pattern!r} is none ({why}).") from error


def _no_value(given: Any, where: str) -> DefinitionError:
    return DefinitionError(
        f"{where}: must be a column name, a list of them, or one of columns, parts, constant; "
        f"got {given!r}."
    )


def _items(given: Any, where: str) -> ItemList:
    if not isinstance(given, dict) or not given.get("columns") or not given.get("fields"):
        raise DefinitionError(f"{where}, items: needs columns, each and fields, got {given!r}.")
    for target in given["fields"]:
        _one_of(str(target), tuple(COLUMNS), f"{where}, items, fields", "canonical column")
    return ItemList(
        columns=_texts(given["columns"]),
        each=_texts(given.get("each")),
        fields={str(k): _value(v, f"{where}, items, {k}") for k, v in given["fields"].items()},
        product_strings=_flag(given, "product_strings", where),
    )


def to_yaml(layout: Layout, comments: Mapping[str, str] | None = None) -> str:
    """Return the layout as YAML to edit; `comments` are put beside the columns."""
    import yaml

    def dump(value: Any) -> str:
        text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
        return text.replace("\n...", "").strip()

    lines = [f"name: {dump(layout.name)}"]
    lines += [f"{key}: {dump(getattr(layout, key))}" for key in _PLAIN if getattr(layout, key)]
    if layout.session_per_visitor:
        lines.append("session_per_visitor: true")
    lines += [
        f"{key}: {dump(list(getattr(layout, key)))}" for key in _LISTS if getattr(layout, key)
    ]
    lines.append("columns:")
    for target, value in layout.columns.items():
        note = (comments or {}).get(target)
        lines.append(f"  {target}: {dump(_plain(value))}" + (f"  # {note}" if note else ""))
    if layout.events:
        lines.append("events:")
        lines.extend(f"  {dump(word)}: {kind}" for word, kind in layout.events.items())
    if layout.refund:
        lines.append(f"refund: {dump(_plain(layout.refund))}")
    if layout.items:
        lines.append("items: " + dump(list(_plain_items(layout.items, _plain))))
    if layout.variants:
        # Which shape a file has is told by the columns of its signature.
        lines += [*_signature(layout), "variants:"]
        for one in layout.variants:
            first, *rest = to_yaml(replace(one, variants=())).splitlines()
            lines += [f"  - {first}", *(f"    {line}" for line in [*rest, *_signature(one)])]
    return "\n".join(lines) + "\n"


def _signature(layout: Layout) -> list[str]:
    names = json.dumps(list(layout.signature), ensure_ascii=False)
    return [f"signature: {names}"] if layout.signature else []


def _plain_items(
    items: Iterable[ItemList], plain: Callable[[Value], Any]
) -> Iterable[dict[str, Any]]:
    for one in items:
        yield {
            "columns": list(one.columns),
            "each": list(one.each),
            "fields": {k: plain(v) for k, v in one.fields.items()},
            **({"product_strings": True} if one.product_strings else {}),
        }


def _plain(value: Value) -> Any:
    """Return a value as `_value` reads it: a name alone, a list, or keys that differ from usual."""
    usual = Value()
    more: dict[str, Any] = {}
    for key in _VALUE_KEYS:
        if key in ("columns", "column") or (given := getattr(value, key)) == getattr(usual, key):
            continue
        more[key] = list(given) if isinstance(given, tuple) else given
    if value.otherwise is not None:
        more["otherwise"] = _plain(value.otherwise)
    if not value.columns:
        return more
    columns: Any = value.columns[0] if len(value.columns) == 1 else list(value.columns)
    return {"columns": columns, **more} if more else columns
