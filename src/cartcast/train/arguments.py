"""What a caller may give to `train`, made what `Options` holds; what does not fit is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cartcast.config import parse_duration
from cartcast.errors import UsageError, did_you_mean
from cartcast.events import Log
from cartcast.features import load_set
from cartcast.models.own import OwnModel, own_model
from cartcast.moments import Moment, whole_clicks
from cartcast.rows.table import open_table
from cartcast.segments import Segment
from cartcast.targets import Proxy, Target
from cartcast.train.options import Options
from cartcast.train.scorer import scorer_of

__all__ = ["changes_of", "is_column", "sources_of", "table_with"]

_WHOLE = ("folds", "capacity", "segments", "most_rows", "seed", "threads")
_NUMBERS = ("max_reject_share",)
_FLAGS = ("tune", "refit", "backtest")
_LISTS = ("session_breaks", "drop", "split")
_MAPPINGS = ("targets", "costs", "waivers", "privacy")
_WORDS = (
    "choose_by", "group", "moment", "horizon", "time", "resample", "calibration", "licence", "zone",
)  # fmt: skip


def changes_of(given: Mapping[str, Any], unknown: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, in the types of `Options`.

    Raises:
        UsageError: an option does not exist, or is not of its kind.
    """
    known = {f.name for f in dataclasses.fields(Options)}
    for name in unknown:
        more = [*known, "rows", "run_dir", "project", "progress", "engine"]
        raise UsageError(f"training has no such option: {name!r}.{did_you_mean(name, more)}")
    if isinstance(moment := given.get("moment"), Moment):
        given = {**given, "moment": moment.kind, "anchors": moment.clicks,
                 "every": moment.every, "seen": moment.seen}  # fmt: skip
    changes = {k: v for k, v in given.items() if k in known and v is not None}
    if "scorer" in changes:
        changes["scorer"] = scorer_of(changes["scorer"])
    if "splitter" in changes and not callable(getattr(changes["splitter"], "split", None)):
        raise UsageError(
            "splitter must be one of scikit-learn's, such as GroupKFold(5), got "
            f"{type(changes['splitter']).__name__}."
        )
    if "models" in changes:
        changes["models"] = _models(changes["models"])
    for name, value in changes.items():
        if name in ("models", "scorer", "splitter", "test"):
            continue
        changes[name] = _fitted(name, value)
    if isinstance(segment := changes.get("segment"), Segment):
        changes["segment"] = {"name": segment.name, **segment.as_dict()}
    if isinstance(target := changes.get("target"), Target | Proxy):
        changes |= _target(target, changes.get("targets", {}))
    return changes


def _fitted(name: str, value: Any) -> Any:
    if name in _WHOLE:
        if isinstance(value, bool) or not isinstance(value, Real) or float(value) % 1:
            raise UsageError(f"{name} must be a whole number, got {value!r}.")
        return int(float(value))
    if name in _NUMBERS and (isinstance(value, bool) or not isinstance(value, Real)):
        raise UsageError(f"{name} must be a number, got {value!r}.")
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise UsageError(f"{name} must be True or False, got {value!r}.")
        return value
    if name in _LISTS:
        return _listed(name, value)
    if name in _MAPPINGS and not isinstance(value, Mapping):
        raise UsageError(f"{name} must hold `name: value` pairs, got {value!r}.")
    if name in _WORDS and not isinstance(value, str | Integral):
        raise UsageError(f"{name} must be a word, got {value!r}.")
    if name == "segment" and not isinstance(value, Segment | Mapping):
        raise UsageError(f"segment must be a Segment or a name, got {value!r:.80}.")
    if name in ("layout", "orders", "rates") and isinstance(value, Path):
        return str(value)
    if name in ("every", "seen"):
        return parse_duration(value) if isinstance(value, str) else float(value)
    if name == "anchors":
        return whole_clicks(value)
    if name == "features":
        return value if isinstance(value, str) else str(value) if isinstance(value, Path) else (
            load_set(value)
        )  # fmt: skip
    if name == "positive":
        return str(value)
    if name == "target" and not isinstance(value, str | Target | Proxy | Integral):
        raise UsageError(
            "target must be a word, a column's name, or an object such as Purchase('7d'), got "
            f"{type(value).__name__}."
        )
    return (
        value
        if not isinstance(value, Integral) or name in ("session_gap", "budget")
        else str(value)
    )


def _models(given: Any) -> tuple[str | OwnModel, ...]:
    """Return the models: names, and declarations of those that are no names.

    Raises:
        UsageError: one is neither a name nor an estimator, or two have one name.
    """
    alone = hasattr(given, "fit") or (
        isinstance(given, tuple) and len(given) == 2 and hasattr(given[1], "fit")
    )
    if isinstance(given, str) or not (alone or isinstance(given, Iterable)):
        return _listed("models", given)
    found: list[str | OwnModel] = []
    for one in [given] if alone else given:
        if isinstance(one, str):
            found.append(one)
            continue
        if not (isinstance(one, tuple) or hasattr(one, "fit")):
            raise UsageError(
                "models must be a list of names, scikit-learn estimators, and pairs (name, "
                f"estimator), got {type(one).__name__} in it."
            )
        model = own_model(one)
        if model.name in [m if isinstance(m, str) else m.name for m in found]:
            raise UsageError(
                f"two models are called {model.name!r}; give one of them another name: "
                f'("other", {type(model.estimator).__name__}(...)).'
            )
        found.append(model)
    return tuple(found)


def _listed(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return tuple(w.strip() for w in value.split(",") if w.strip())
    try:
        found = tuple(value)
    except TypeError:
        raise UsageError(f"{name} must be a list, got {value!r}.") from None
    if name == "split":
        return found
    for one in found:
        if not isinstance(one, str | Integral):
            raise UsageError(f"{name} must be a list of names, got {type(one).__name__} in it.")
    return tuple(str(one) for one in found)


def _target(target: Target | Proxy, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target object as the words that name and declare it."""
    if isinstance(target, Target):
        horizon = "" if target.horizon == "session" else f":{target.horizon}"
        return {"target": f"{target.name}{horizon}"}
    fields = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    name = fields.pop("name")
    return {"target": f"proxy:{name}", "targets": {**declared, name: fields}}


def sources_of(given: Sequence[Any]) -> tuple[Any, ...]:
    """Return the sources of a log; lists and generators of them are taken apart."""
    found: list[Any] = []
    for source in given:
        found += source if isinstance(source, list | tuple | set | Iterator) else [source]
    return tuple(found)


def table_with(X: Any, y: Any) -> tuple[pa.Table, str]:
    """Return features and target as one table, and the name of the target.

    Raises:
        UsageError: they are not of the same rows, or `X` holds the target too.

    >>> table_with({"a": [1, 2]}, [0, 1])[0].column_names
    ['a', 'y']
    """
    table = open_table(X).arrow
    name = str(getattr(y, "name", None) or "y")
    column = open_table(pd.DataFrame({name: _series(y)})).arrow
    if name in table.column_names:
        raise UsageError(f"X holds the target {name!r} too: leave it out of X.")
    if len(column) != len(table):
        raise UsageError(f"X has {len(table):,} rows and y {len(column):,}; give the same rows.")
    return table.append_column(name, column[name]), name


def is_column(value: Any) -> bool:
    """Return whether this is a column of values: the `y` of `X, y`."""
    if isinstance(value, pd.Series | pa.Array | pa.ChunkedArray):
        return True
    if isinstance(value, np.ndarray):
        return value.ndim == 1 or (value.ndim == 2 and value.shape[1] == 1)
    if type(value).__module__.startswith("polars"):
        return type(value).__name__ == "Series"
    plain = isinstance(value, list | tuple) and bool(value)
    return plain and not any(isinstance(v, Path | Log | pd.DataFrame | pa.Table) for v in value)


def _series(y: Any) -> pd.Series:
    values = y.to_pandas() if hasattr(y, "to_pandas") else y
    return pd.Series(np.ravel(values) if isinstance(values, np.ndarray) else values).reset_index(
        drop=True
    )
