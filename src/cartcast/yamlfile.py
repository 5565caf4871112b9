"""YAML that people write: of a bounded size and depth, read in one way everywhere.

Only `true` and `false` are truth values, as in YAML 1.2: `NO` is Norway, and a column may be called
`no` or `on`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cartcast.errors import DefinitionError

__all__ = ["DEEPEST", "parse_yaml", "read_yaml", "require_bounded"]

DEEPEST = 50
"""Levels that a definition may be nested: people write five, RecursionError comes at a thousand."""
_LARGEST = 1_000_000
_MOST_VALUES = 200_000
_LONGEST_NUMBER = 400
_WRONG = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)
"""What the parser's own makers of numbers and times raise of what is none, beside its errors."""

_DIGITS = re.compile(r"[-+0-9a-fA-FxXob_:.]+")


def read_yaml(path: Path, loader: Any = None) -> Any:
    """Return what a YAML file holds, as plain data.

    Raises:
        DefinitionError: it is not YAML, or larger or deeper than a person writes.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise DefinitionError(f"{path}: must be at most {_LARGEST:,} bytes.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{path}: not valid YAML: {error}") from error
    return parse_yaml(text, str(path), loader)


def parse_yaml(text: str, where: str, loader: Any = None) -> Any:
    """Return what a YAML text holds, as plain data; `loader` is a kind of `yaml.SafeLoader`.

    Raises:
        DefinitionError: as `read_yaml`.

    >>> parse_yaml("a: [1, 2, no, false]", "here")
    {'a': [1, 2, 'no', False]}
    """
    import yaml

    try:
        _require_small(yaml.parse(text, yaml.SafeLoader), where)
        data = _loaded(text, where, _plain_words(loader or yaml.SafeLoader))
    except (yaml.YAMLError, *_WRONG) as error:
        raise DefinitionError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error
    require_bounded(data, where)
    return data


def _require_small(events: Iterable[Any], where: str) -> None:
    """Refuse a text that would be too deep, or too large with all it repeats, before it is built.

    The parser needs no stack of its own; what builds the values does, and it writes out what `<<`
    takes in.
    """
    import yaml

    sizes: dict[str | None, int] = {}
    open_: list[tuple[str | None, int]] = [(None, 0)]
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_.pop()
            sizes |= {anchor: size} if anchor else {}
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 0))
            size = 1
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if len(event.value) > _LONGEST_NUMBER and _DIGITS.fullmatch(event.value):
                raise DefinitionError(f"{where}: numbers have at most {_LONGEST_NUMBER} digits.")
        else:
            continue
        if len(open_) > DEEPEST + 1:
            raise _too_deep(where)
        open_[-1] = (open_[-1][0], open_[-1][1] + size)
        if open_[-1][1] > _MOST_VALUES:
            raise _too_many(where)


@cache
def _plain_words(loader: Any) -> Any:
    """Return the loader, for which words such as `no` and `on` are words."""
    known = loader.yaml_implicit_resolvers.items()
    rest = {k: [(t, r) for t, r in v if not t.endswith(":bool")] for k, v in known}
    plain: Any = type("PlainWords", (loader,), {"yaml_implicit_resolvers": rest})
    truth = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")
    plain.add_implicit_resolver("tag:yaml.org,2002:bool", truth, list("tTfF"))
    return plain


def _loaded(text: str, where: str, loader: Any) -> Any:
    import yaml

    try:
        return yaml.load(text, loader)  # noqa: S506 (a SafeLoader)
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {error}") from error


def require_bounded(data: Any, where: str) -> None:
    """Refuse plain data that is nested too deeply, or that repeats itself into too many values.

    Raises:
        DefinitionError: it is.
    """
    todo, seen = [(data, 0)], 0
    while todo:
        value, depth = todo.pop()
        seen += 1
        if depth > DEEPEST:
            raise _too_deep(where)
        if seen > _MOST_VALUES:
            raise _too_many(where)
        if isinstance(value, Mapping):
            todo += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list | tuple | set):
            todo += [(v, depth + 1) for v in value]


def _too_many(where: str) -> DefinitionError:
    return DefinitionError(f"{where}: must hold at most {_MOST_VALUES:,} values.")


def _too_deep(where: str) -> DefinitionError:
    return DefinitionError(f"{where}: must be nested at most {DEEPEST} levels deep; flatten it.")
