"""Words of a plan, and the kinds of their values: slips of YAML are told in one line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from cartcast.errors import DefinitionError

__all__ = ["REFUSED", "check_kinds", "is_a", "moment"]

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
    (("expected_units",), (int,), "a whole number"),
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
