"""YAML that people write: of a bounded size and depth, read in one way everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cartcast.errors import DefinitionError

__all__ = ["DEEPEST", "parse_yaml", "read_yaml", "require_bounded"]

DEEPEST = 50
"""Levels that a definition may be nested: people write five, RecursionError comes at a thousand."""
_LARGEST = 10_000_000
_MOST_VALUES = 200_000


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

    >>> parse_yaml("a: [1, 2]", "here")
    {'a': [1, 2]}
    """
    import yaml

    try:
        depth = 0
        # The parser needs no stack of its own; what builds the values does.
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _too_deep(where)
        data = _loaded(text, where, loader or yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise DefinitionError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error
    require_bounded(data, where)
    return data


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
            raise DefinitionError(f"{where}: must hold at most {_MOST_VALUES:,} values.")
        if isinstance(value, Mapping):
            todo += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list | tuple | set):
            todo += [(v, depth + 1) for v in value]


def _too_deep(where: str) -> DefinitionError:
    return DefinitionError(f"{where}: must be nested at most {DEEPEST} levels deep; flatten it.")
