"""A feature set: named features in order, frozen, with a fingerprint; run in bulk or live."""

from __future__ import annotations

import hashlib
from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)
from functools import cached_property
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

from cartcast.errors import DefinitionError, did_you_mean
from cartcast.events.schema import Clock
from cartcast.features.algebra import Feature
from cartcast.features.build import FORMAT, Program, compile_features
from cartcast.features.declared import Lineage
from cartcast.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from cartcast.features.state import History, State

__all__ = ["KEYS", "FeatureSet"]

KEYS = ("session_id", "event_order", "click")
"""Key columns of a point-in-time table; a feature cannot have one of these names."""

At = Literal["every click", "end"] | Sequence[int]

_SHOWN = 6
"""A set with more features is not printed in full."""


class FeatureSet:
    """Named features, in order.

    >>> from cartcast.features import Count, Mean, Sum
    >>> browsing = FeatureSet(clicks=Count(), price_mean=Mean("price"))
    >>> browsing.names
    ('clicks', 'price_mean')
    >>> browsing
    FeatureSet(clicks=Count(), price_mean=Ratio(Sum('price'), Count(column='price')))

    It is a mapping of names to features, and sets are joined by `|`:

    >>> list(browsing | {"spent": Sum("price")})
    ['clicks', 'price_mean', 'spent']

    Raises:
        DefinitionError: a value is no feature, or a name is not allowed.
    """

    def __init__(
        self, given: Mapping[str, Feature] | FeatureSet | None = None, /, **features: Feature
    ) -> None:
        if given is not None:
            if not isinstance(given, Mapping | FeatureSet):
                raise DefinitionError(
                    f"FeatureSet(): needs features by name, such as n=Count(), got {given!r}."
                )
            features = {**dict(given.items()), **features}
        if not features:
            raise DefinitionError("FeatureSet(): give at least one feature, such as n=Count().")
        for name, feature in features.items():
            _check_name(name)
            if not isinstance(feature, Feature):
                raise DefinitionError(
                    f"feature {name!r}: needs a feature such as Count(), got {feature!r}."
                )
        self._features = MappingProxyType(dict(features))

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Feature]]) -> FeatureSet:
        """Return the set of (name, feature) pairs.

        Raises:
            DefinitionError: a name comes twice.
        """
        features: dict[str, Feature] = {}
        for name, feature in pairs:
            if name in features:
                raise DefinitionError(f"feature {name!r} is declared twice; names are unique.")
            features[name] = feature
        return cls(features)

    def only(self, names: Iterable[str]) -> FeatureSet:
        """Return the set of some of the features, in the order of `names`.

        Raises:
            DefinitionError: a name is unknown.
        """
        wanted = list(names)
        for name in wanted:
            if name not in self.features:
                raise DefinitionError(f"unknown feature {name!r}.{did_you_mean(name, self.names)}")
        return self.of((name, self.features[name]) for name in wanted)

    def without(self, names: Iterable[str]) -> FeatureSet:
        """Return the set without these features, and without those that read these columns.

        Raises:
            DefinitionError: a name is neither, or nothing is left.

        >>> from cartcast.features import usual
        >>> len(usual.names), len(usual.without(["price", "month"]).names)
        (19, 11)
        """
        left = self.features
        for name in names:
            kept = {n: f for n, f in left.items() if n != name and name not in f.lineage.columns}
            if len(kept) == len(left) and name not in self.features:
                known = sorted({*self.names, *self.lineage.columns})
                raise DefinitionError(
                    f"nothing to drop: {name!r} is no feature, and no feature reads such a column."
                    f"{did_you_mean(name, known)}"
                )
            left = kept
        if not left:
            raise DefinitionError("no feature is left; drop fewer.")
        return self.of(left.items())

    @property
    def features(self) -> Mapping[str, Feature]:
        """Features by name."""
        return self._features

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(self._features)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the features that are text."""
        return tuple(name for name, f in self._features.items() if f.dtype == "string")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex, 64) of names, definitions and the format of the state."""
        return hashlib.sha256(f"{FORMAT}\n{self._written}".encode()).hexdigest()

    @cached_property
    def lineage(self) -> Lineage:
        """What the whole set reads, as one lineage."""
        parts = [f.lineage for f in self._features.values()]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.joined(part)
        return whole

    @cached_property
    def program(self) -> Program:
        """The compiled form."""
        return compile_features(self._features)

    @cached_property
    def _written(self) -> str:
        return f"FeatureSet({', '.join(f'{n}={f!r}' for n, f in self._features.items())})"

    def __repr__(self) -> str:
        if len(self) <= _SHOWN:
            return self._written
        return f"<FeatureSet of {len(self)} features: {', '.join(self.names[:_SHOWN])} ...>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(n)}</th><td><code>{escape(repr(f))}</code></td>"
            f"<td>{escape(f.unit)}</td><td>{escape(f.null_rule)}</td></tr>"
            for n, f in self._features.items()
        )
        head = "<tr><th>feature</th><th>definition</th><th>unit</th><th>null</th></tr>"
        return f"<table>{head}{rows}</table>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureSet) and self._written == other._written

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __len__(self) -> int:
        return len(self._features)

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __contains__(self, name: object) -> bool:
        return name in self._features

    def __getitem__(self, name: str) -> Feature:
        if name not in self._features:
            raise DefinitionError(f"unknown feature {name!r}.{did_you_mean(str(name), self.names)}")
        return self._features[name]

    def keys(self) -> KeysView[str]:
        """Names in order."""
        return self._features.keys()

    def values(self) -> ValuesView[Feature]:
        """Features in order."""
        return self._features.values()

    def items(self) -> ItemsView[str, Feature]:
        """Pairs of name and feature, in order."""
        return self._features.items()

    def __or__(self, other: FeatureSet | Mapping[str, Feature]) -> FeatureSet:
        """Return both sets as one; a name that both have must mean the same.

        Raises:
            DefinitionError: a name means two features.
        """
        added = FeatureSet(other)
        for name, feature in added.items():
            if name in self and self[name] != feature:
                raise DefinitionError(
                    f"feature {name!r} is {self[name]!r} in one set and {feature!r} in the other; "
                    "rename one."
                )
        return FeatureSet({**self._features, **added.features})

    def __ror__(self, other: Mapping[str, Feature]) -> FeatureSet:
        return FeatureSet(other) | self

    def __getstate__(self) -> dict[str, Any]:
        return {"features": dict(self._features)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._features = MappingProxyType(dict(state["features"]))

    # In bulk ----------------------------------------------------------------------------------

    @overload
    def replay(
        self,
        events: Any,
        at: At = ...,
        out: None = None,
        engine: Literal["duckdb", "spark"] = ...,
        memory: int | str | None = ...,
        threads: int | None = ...,
        progress: Progress | None = ...,
        session_gap: float | None = ...,
    ) -> pa.Table: ...

    @overload
    def replay(
        self,
        events: Any,
        at: At = ...,
        out: Path | str = ...,
        engine: Literal["duckdb", "spark"] = ...,
        memory: int | str | None = ...,
        threads: int | None = ...,
        progress: Progress | None = ...,
        session_gap: float | None = ...,
    ) -> Path: ...

    def replay(
        self,
        events: Any,
        at: At = "every click",
        out: Path | str | None = None,
        engine: Literal["duckdb", "spark"] = "duckdb",
        memory: int | str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        session_gap: float | None = None,
    ) -> pa.Table | Path:
        """Replay a log and return the features as known at each click.

        Args:
            events: a `Log`, the path of canonical Parquet, or an Arrow, pandas or Polars table
                of canonical columns.
            at: `every click`, `end` (one row per finished session), or clicks such as `[1, 2, 5]`.
            out: Parquet file to write, whole or not at all; then its path is returned.
            engine: `duckdb` on this machine, or `spark`.
            memory: bytes (or `2GB`) that the whole process may use, as far as it is ours to say.
            threads: kernels at once; by default all cores.
            progress: called with what is done and the share done.
            session_gap: seconds without an event after which a visitor's session ends, for events
                without sessions: they are made in the same pass, with the ids that `events.load`
                would give; `event_order` in the result is the click.

        Returns:
            A table with `session_id, event_order, click` (at the end: `session_id`), then the
            features in order: float64, null where undefined, or string.

        Raises:
            DefinitionError: a feature reads a column that the events do not have.
            DataError: the events break the canonical order.
        """
        from cartcast.features.replay import replay

        return replay(self, events, at, out, engine, memory, threads, progress, session_gap)

    def batches(
        self,
        events: Any,
        at: At = "every click",
        memory: int | str | None = None,
        threads: int | None = None,
        session_gap: float | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield what `replay` returns, batch by batch, in bounded memory."""
        from cartcast.features.replay import batches

        return batches(self, events, at, memory, threads, session_gap)

    # Live -------------------------------------------------------------------------------------

    def start(self, history: History | None = None, clock: Clock = "time") -> State:
        """Return the state of a session before its first event.

        `history` is what is known of the visitor; without it the visitor counts as unknown.
        `clock` is that of the log which the features were trained on.
        """
        from cartcast.features import live

        return live.start(self, history, clock)

    def step(self, state: State, event: Mapping[str, Any]) -> State:
        """Return the state after one more event (a mapping of canonical columns)."""
        from cartcast.features import live

        return live.step(self, state, event)

    def value(self, state: State) -> dict[str, float | str | None]:
        """Return the features as known in this state."""
        from cartcast.features import live

        return live.value(self, state)

    def merge(self, earlier: State, later: State) -> State:
        """Return the state of a session from the states of its earlier and later events.

        Raises:
            DefinitionError: a feature cannot be merged.
        """
        from cartcast.features import stored

        return stored.merge(self, earlier, later)

    def dump(self, state: State) -> bytes:
        """Return a state as bytes, the fingerprint in front."""
        from cartcast.features import stored

        return stored.dump(self, state)

    def load(self, data: bytes) -> State:
        """Return the state that `dump` wrote.

        Raises:
            NotTrustedError: it is of another feature set, or damaged.
        """
        from cartcast.features import stored

        return stored.load(self, data)

    # YAML -------------------------------------------------------------------------------------

    def to_yaml(self, path: Path | str | None = None) -> str:
        """Return the set as YAML; with `path`, write it too."""
        from cartcast.features import form

        return form.to_yaml(self, path)

    @classmethod
    def from_yaml(cls, source: Path | str) -> FeatureSet:
        """Read a set from a YAML file.

        Raises:
            NotFoundError: there is no such file.
            DefinitionError: a definition is wrong; says which and why.
        """
        from cartcast.features import form

        return form.from_yaml(source)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise DefinitionError(f"feature {name!r}: a name is a word, got {type(name).__name__}.")
    if not name.isidentifier() or name.startswith("_"):
        raise DefinitionError(
            f"feature {name!r}: a name is a word of letters, digits and _, not starting with _."
        )
    if name in KEYS:
        raise DefinitionError(
            f"feature {name!r}: this is the name of a key column; choose another."
        )
