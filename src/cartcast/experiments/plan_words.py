"""Words of a plan, and the kinds of their values: slips of YAML are told in one line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from cartcast.errors import DefinitionError, UsageError, did_you_mean

__all__ = ["REFUSED", "built", "check_kinds", "is_a", "moment"]

REFUSED: Mapping[str, str] = {
    "switchback": "arms that alternate in time need an analysis by period, which is not offered",
    "staggered": "units that start at different times by design need an analysis by cohort, which "
    "is not offered",
    "interleaving": "ranked lists that are mixed need an analysis by click, which is not offered",
}
"""Designs that are refused by name, and why."""
_WORDS: tuple[tuple[tuple[str, ...], tuple[type, ...], str], ...] = (
    (("metrics", "quantities", "layer", "holdout", "prior"), (dict,), "`name: value` lines"),
    (("looks", "scope", "segments"), (list, tuple), "a list"),
    (("unit", "cluster", "correction"), (str,), "a name"),
    (("expected_units", "version", "blocked_below", "hash_version"), (int,), "a whole number"),
    (("level", "coverage"), (int, float), "a number"),
)
"""Words of a plan, the kinds that their values may have, and how they are called."""


def check_kinds(key: str, data: Mapping[str, Any]) -> None:
    """Refuse words whose values are of another kind, as a slip of YAML makes them.

    Raises:
        DefinitionError: one is.
    """
    for names, kinds, meant in _WORDS:
        for name in names:
            value = data.get(name)
            wrong = value is None if name == "metrics" else False
            if name in data and (wrong or (value is not None and not is_a(value, kinds))):
                raise DefinitionError(f"{key}: {name} must be {meant}, got {value!r}.")
    for name in ("looks", "scope", "segments"):
        kinds = (int, float) if name == "looks" else (str,)
        if any(not is_a(v, kinds) for v in data.get(name) or ()):
            what = "numbers" if name == "looks" else "names"
            raise DefinitionError(f"{key}: {name} must be a list of {what}, got {data[name]!r}.")


_T = TypeVar("_T")


def built(kind: type[_T], where: str, data: Any) -> _T:
    """Return a part of a plan from its words, each of the kind that it must have.

    Raises:
        DefinitionError: a word is unknown, lacks, or has a value of another kind.
    """
    if not isinstance(data, Mapping):
        raise DefinitionError(f"{where}: must be `name: value` lines, got {data!r}.")
    declared: Any = kind
    known, given = {f.name: str(f.type) for f in fields(declared)}, dict(data)
    for name, value in data.items():
        if name not in known:
            raise DefinitionError(
                f"{where}: unknown word {name!r}.{did_you_mean(str(name), known)}"
            )
        told = known[name].split(" | ")
        kinds = (int, float) if told[0] == "float" else (str, int, float)
        if not (is_a(value, kinds) or (value is None and "None" in told)):
            what = "a number" if told[0] == "float" else "a name"
            raise DefinitionError(f"{where}: {name} must be {what}, got {value!r}.")
        if value is not None and "float" not in told:
            given[name] = str(value)
    lacking = [f.name for f in fields(declared) if f.default is MISSING and f.name not in given]
    if lacking:
        raise DefinitionError(f"{where}: lacks {', '.join(lacking)}.")
    try:
        return kind(**given)
    except (DefinitionError, UsageError) as error:
        raise DefinitionError(f"{where}: {error}") from error


def is_a(value: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether a value is of one of these kinds; yes and no are no numbers."""
    return isinstance(value, kinds) and not isinstance(value, bool)


def moment(key: str, value: Any) -> dt.datetime | None:
    """Return a moment of YAML in UTC; without a zone it is UTC.

    Raises:
        DefinitionError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime):
        raise DefinitionError(f"{key}: a moment must look like 2026-03-02, got {value!r}.")
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
