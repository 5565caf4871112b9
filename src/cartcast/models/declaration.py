"""What a model is, before it is fitted: a frozen declaration with its search space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Literal

from cartcast.errors import UsageError, did_you_mean

__all__ = ["ROWS_OF_A_THREAD", "Choice", "Declaration", "Dimension", "Integer", "Real", "pick"]

ROWS_OF_A_THREAD = 10_000
"""Fewer rows than this for each thread: they wait for each other longer than they work."""


@dataclass(frozen=True)
class Choice:
    """One of `values`.

    >>> Choice((None, 5)).grid(2)
    (None, 5)
    """

    values: tuple[Any, ...]

    def grid(self, points: int) -> tuple[Any, ...]:
        """Return all values; `points` does not thin a choice."""
        return self.values


@dataclass(frozen=True)
class Real:
    """A number in [low, high], searched on a log scale when `log`.

    >>> Real(0.01, 1.0, log=True).grid(3)
    (0.01, 0.1, 1.0)
    """

    low: float
    high: float
    log: bool = False

    def grid(self, points: int) -> tuple[float, ...]:
        """Return `points` values (at least 2) evenly spread over the range."""
        steps = max(points, 2) - 1
        if self.log:
            ratio = self.high / self.low
            values = [self.low * ratio ** (i / steps) for i in range(steps + 1)]
        else:
            values = [self.low + (self.high - self.low) * i / steps for i in range(steps + 1)]
        return tuple(float(f"{v:.6g}") for v in values)


@dataclass(frozen=True)
class Integer:
    """A whole number in [low, high], searched on a log scale when `log`.

    >>> Integer(4, 64, log=True).grid(3)
    (4, 16, 64)
    """

    low: int
    high: int
    log: bool = False

    def grid(self, points: int) -> tuple[int, ...]:
        """Return up to `points` distinct values evenly spread over the range."""
        reals = Real(self.low, self.high, self.log).grid(points)
        return tuple(sorted({round(v) for v in reals}))


Dimension = Choice | Real | Integer
"""One dimension of a search space."""


@dataclass(frozen=True)
class Declaration:
    """A model that can be made: name, title, maker, search space, and what to know about it.

    Attributes:
        name: the word used in the API, the command line and the YAML.
        title: the same for people.
        kind: `classifier` or `regressor`.
        family: `baseline`, `linear`, `kernel`, `tree`, `forest`, `boosting`, `ensemble`,
            `sequence`.
        build: `(seed, n_jobs, categorical) -> estimator`, unfitted.
        search_space: parameter path (`model__num_leaves`) to its `Dimension`; empty: not tuned.
        simplicity: rank from 0 (simplest); the selection prefers the lower one when figures tie.
        notes: what a reader of the figures should know, in a sentence.
        reads: `features`: a row of features; `events`: the events up to the row's moment.
        extra: the optional extra that it needs, or None.
        requires: the module that the extra brings.
    """

    name: str
    title: str
    kind: Literal["classifier", "regressor"]
    family: str
    build: Callable[[int, int, tuple[str, ...] | None], Any]
    search_space: Mapping[str, Dimension] = field(default_factory=lambda: MappingProxyType({}))
    simplicity: int = 5
    notes: str = ""
    reads: Literal["features", "events"] = "features"
    extra: str | None = None
    requires: str | None = None

    @property
    def available(self) -> bool:
        """Whether the library that it needs is installed."""
        return self.requires is None or find_spec(self.requires) is not None

    def make(
        self,
        seed: int = 42,
        n_rows: int | None = None,
        categorical: tuple[str, ...] | list[str] | None = None,
        n_jobs: int = 1,
        **params: Any,
    ) -> Any:
        """Return a new, unfitted estimator.

        Args:
            seed: seed of everything random in it.
            n_rows: rows of the training table, if known.
            categorical: columns to be treated as categories; None means by type.
            n_jobs: threads at most: never more than cores, nor than `ROWS_OF_A_THREAD` in
                `n_rows`. Their number changes no prediction.
            **params: parameters by path, as in `search_space`.

        Raises:
            UsageError: the extra is not installed, or a parameter does not exist.
        """
        if not self.available:
            raise UsageError(
                f"model {self.name!r} needs the extra {self.extra!r}: "
                f"pip install 'cartcast[{self.extra}]'."
            )
        import os

        worth = n_jobs if n_rows is None else n_rows // ROWS_OF_A_THREAD
        jobs = max(1, min(n_jobs, worth, os.cpu_count() or 1))
        names = None if categorical is None else tuple(categorical)
        estimator = self.build(seed, jobs, names)
        unknown = sorted(set(params) - set(estimator.get_params()))
        if unknown:
            known = did_you_mean(unknown[0], estimator.get_params())
            raise UsageError(f"model {self.name!r} has no parameter {unknown[0]!r}.{known}")
        return estimator.set_params(**params)


def pick(declarations: Mapping[str, Declaration], names: list[str] | tuple[str, ...]) -> list[str]:
    """Return the model names meant by `names`; `all` means every installed one on features.

    Raises:
        UsageError: a name does not exist, or needs an extra that is not installed.
    """
    chosen: list[str] = []
    for name in names:
        if name == "all":
            chosen += [
                d.name for d in declarations.values() if d.available and d.reads == "features"
            ]
            continue
        if name not in declarations:
            raise UsageError(f"unknown model {name!r}.{did_you_mean(name, declarations)}")
        if not declarations[name].available:
            declarations[name].make()
        chosen.append(name)
    return list(dict.fromkeys(chosen))
