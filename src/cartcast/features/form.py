"""Feature sets as YAML, for people who do not program.

    features:
      clicks: {count: }
      price_mean: {mean: price}
      carts: {count: {where: {event_type: add_to_cart}}}
      cart_share: {ratio: [carts, clicks]}        # other features by name, in any order

The word is the class's name in lower case with `_`; a lone value is its first parameter, a list
its parameters in order, a mapping its parameters by name. In `where`, `{column: value}` is `Eq`,
`{column: [values]}` is `In`, several columns are `And`; `not`, `and`, `or`, `above`, `below`,
`previous`, `not_null` and `same_as_previous` are the other conditions.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cartcast.atomic import write_text
from cartcast.errors import DefinitionError, NotFoundError, did_you_mean
from cartcast.features import algebra, conditions, expressions, reductions, timing, visitor
from cartcast.features.algebra import Feature
from cartcast.features.conditions import And, Condition, Eq, In
from cartcast.features.expressions import Expression
from cartcast.yamlfile import DEEPEST, read_yaml, require_bounded

if TYPE_CHECKING:
    from cartcast.features.featureset import FeatureSet

__all__ = ["from_yaml", "to_yaml"]


def _word(name: str) -> str:
    """Return the YAML word of a class.

    >>> _word("DayOfWeek"), _word("NUnique"), _word("In")
    ('day_of_week', 'n_unique', 'in')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _table(*modules: Any) -> dict[str, Callable[..., Any]]:
    return {
        _word(name): getattr(module, name)
        for module in modules
        for name in module.__all__
        if callable(getattr(module, name)) and not name.islower()
    }


_ABSTRACT = ("feature", "reduction", "expression", "condition")
_FEATURES = _table(algebra, reductions, timing, visitor)
_EXPRESSIONS = _table(expressions)
_CONDITIONS = _table(conditions)
for _name in _ABSTRACT:
    for _words in (_FEATURES, _EXPRESSIONS, _CONDITIONS):
        _words.pop(_name, None)
# Natural words beside the systematic ones.
_FEATURES |= {"distinct": _FEATURES["n_unique"], "nunique": _FEATURES["n_unique"]}


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, where YAML would keep the last without a message."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            line = key_node.start_mark.line + 1
            raise DefinitionError(f"line {line}: {key!r} is declared twice; names are unique.")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def from_yaml(source: Path | str) -> FeatureSet:
    """Read a feature set from a YAML file.

    Raises:
        NotFoundError: there is no such file.
        DefinitionError: it is not YAML, or a definition is wrong.
    """
    path = Path(source)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; see `cartcast features --set usual --yaml`.")
    data = read_yaml(path, _Loader)
    try:
        return parse(data)
    except DefinitionError as error:
        raise DefinitionError(f"{path}: {error}") from error


def parse(data: Any) -> FeatureSet:
    """Return the feature set of plain data, as read from YAML.

    Raises:
        DefinitionError: naming the feature and the rule.
    """
    from cartcast.features.featureset import FeatureSet

    require_bounded(data, "features")
    if not isinstance(data, Mapping) or not isinstance(data.get("features"), Mapping):
        raise DefinitionError("needs `features:` and below it `name: {definition}` lines.")
    if extra := set(data) - {"features"}:
        raise DefinitionError(f"unknown key {sorted(map(str, extra))[0]!r}; only `features` here.")
    reader = _Reader(data["features"])
    return FeatureSet.of((str(name), reader.named(str(name))) for name in data["features"])


class _Reader:
    """Definitions by name, resolved when asked for."""

    def __init__(self, definitions: Mapping[Any, Any]) -> None:
        self._definitions = {str(k): v for k, v in definitions.items()}
        self._done: dict[str, Feature] = {}
        self._open: list[str] = []

    def named(self, name: str) -> Feature:
        if name in self._done:
            return self._done[name]
        if name not in self._definitions:
            known = did_you_mean(name, self._definitions)
            raise DefinitionError(f"feature {self._open[-1]!r} uses {name!r}, unknown.{known}")
        if name in self._open:
            round_ = " -> ".join([*self._open[self._open.index(name) :], name])
            raise DefinitionError(f"features are defined in a cycle: {round_}.")
        if len(self._open) >= DEEPEST:
            raise DefinitionError(f"features are defined through more than {DEEPEST} others.")
        self._open.append(name)
        try:
            self._done[name] = self._feature(self._definitions[name])
        except DefinitionError as error:
            if str(error).startswith("feature"):
                raise
            raise DefinitionError(f"feature {name!r}: {error}") from error
        finally:
            self._open.pop()
        return self._done[name]

    def _feature(self, data: Any) -> Feature:
        if isinstance(data, str) and data in self._definitions:
            return self.named(data)
        word, rest = _single(data, _FEATURES, "feature")
        made = self._call(_FEATURES[word], word, rest)
        assert isinstance(made, Feature)
        return made

    def _call(self, make: Callable[..., Any], word: str, rest: Any) -> Any:
        names = _parameters(make)
        variadic = word in ("and", "or")
        if variadic:
            return make(*(_condition(c) for c in rest or ()))
        if rest is None:
            given: dict[str, Any] = {}
        elif isinstance(rest, Mapping) and (not rest or set(rest) <= set(names)):
            given = dict(rest)
        elif isinstance(rest, list):
            given = dict(zip(names, rest, strict=False))
            if len(rest) > len(names):
                raise DefinitionError(f"{word}: takes {len(names)} values, got {len(rest)}.")
        elif isinstance(rest, Mapping) and not _is_nested(rest):
            wrong = sorted(set(map(str, rest)) - set(names))[0]
            raise DefinitionError(
                f"{word}: unknown parameter {wrong!r}.{did_you_mean(wrong, names)}"
            )
        else:
            given = {names[0]: rest} if names else {}
        values = {name: self._value(name, value) for name, value in given.items()}
        try:
            return make(**values)
        except TypeError as error:
            raise DefinitionError(f"{word}: {error}; parameters: {', '.join(names)}.") from error

    def _value(self, name: str, value: Any) -> Any:
        if name in ("where", "of", "condition"):
            return None if value is None else _condition(value)
        if name in ("num", "den", "left", "right") and not (
            isinstance(value, str) and value not in self._definitions
        ):
            return self._feature(value)
        if name in ("column", "operand") and isinstance(value, Mapping):
            word, rest = _single(value, _EXPRESSIONS, "expression")
            return self._call(_EXPRESSIONS[word], word, rest)
        return value


def _is_nested(rest: Mapping[Any, Any]) -> bool:
    return len(rest) == 1 and str(next(iter(rest))) in {**_EXPRESSIONS, **_FEATURES}


def _parameters(make: Callable[..., Any]) -> list[str]:
    import inspect

    return [p for p in inspect.signature(make).parameters if p != "self"]


def _single(data: Any, known: Mapping[str, Any], what: str) -> tuple[str, Any]:
    """Return the one word of a definition and what stands after it."""
    if isinstance(data, str):
        data = {data: None}
    if not isinstance(data, Mapping) or len(data) != 1:
        raise DefinitionError(
            f"a {what} is one `word: parameters`, such as `count:`, got {data!r}."
        )
    word, rest = next(iter(data.items()))
    if word not in known:
        raise DefinitionError(f"unknown {what} {word!r}.{did_you_mean(str(word), known)}")
    return str(word), rest


def _condition(data: Any) -> Condition:
    if not isinstance(data, Mapping) or not data:
        raise DefinitionError(f"where needs `column: value` lines, got {data!r}.")
    parts = [_one_condition(str(key), value) for key, value in data.items()]
    return parts[0] if len(parts) == 1 else And(*parts)


def _one_condition(key: str, value: Any) -> Condition:
    if key in ("not", "previous"):
        return (conditions.Not if key == "not" else conditions.Previous)(_condition(value))
    if key in ("and", "or"):
        make = conditions.And if key == "and" else conditions.Or
        if not isinstance(value, list):
            raise DefinitionError(f"{key}: needs a list of conditions, got {value!r}.")
        return make(*(_condition(part) for part in value))
    if key in ("above", "below"):
        if not isinstance(value, Mapping) or len(value) != 1:
            raise DefinitionError(f"{key}: needs one `column: number`, got {value!r}.")
        column, limit = next(iter(value.items()))
        return (conditions.Above if key == "above" else conditions.Below)(column, limit)
    if key in ("not_null", "same_as_previous"):
        return conditions.NotNull(value) if key == "not_null" else conditions.SameAsPrevious(value)
    return In(key, tuple(value)) if isinstance(value, list) else Eq(key, value)


def to_yaml(features: FeatureSet, path: Path | str | None = None) -> str:
    """Return the set as YAML that `from_yaml` reads back as an equal set."""
    data = {"features": {name: _write(f) for name, f in features.features.items()}}
    text = yaml.safe_dump(data, sort_keys=False, width=100, allow_unicode=True)
    if path is not None:
        write_text(path, text)
    return text


def _write(declared: Any) -> Any:
    if isinstance(declared, Condition):
        return _write_condition(declared)
    if not isinstance(declared, Feature | Expression):
        return list(declared) if isinstance(declared, tuple) else declared
    values = {
        f.name: _write(getattr(declared, f.name))
        for f in dataclasses.fields(declared)  # type: ignore[arg-type]
        if getattr(declared, f.name) != f.default
    }
    return {_word(type(declared).__name__): values}


def _write_condition(condition: Condition) -> Any:
    if isinstance(condition, Eq):
        return {condition.column: condition.value}
    if isinstance(condition, In):
        return {condition.column: list(condition.values)}
    if isinstance(condition, conditions.Above | conditions.Below):
        return {_word(type(condition).__name__): {condition.column: condition.value}}
    if isinstance(condition, conditions.NotNull | conditions.SameAsPrevious):
        return {_word(type(condition).__name__): condition.column}
    if isinstance(condition, conditions.Not | conditions.Previous):
        return {_word(type(condition).__name__): _write_condition(condition.condition)}
    assert isinstance(condition, conditions.And | conditions.Or)
    word = _word(type(condition).__name__)
    return {word: [_write_condition(c) for c in condition.conditions]}
