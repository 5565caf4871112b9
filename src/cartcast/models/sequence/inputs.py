"""Inputs: prefixes as whole sessions of codes and numbers, each event once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.models.encoding import levels_of
from cartcast.models.sequence.prefixes import EVENTS

__all__ = ["Reader", "Sessions", "gather"]

Indices = NDArray[np.int64]
LEAST = 5
"""A value has a code of its own from this many events on."""


class Sessions(NamedTuple):
    """The events behind a table of prefixes: the longest prefix of each session, end to end.

    Attributes:
        columns: name to one value per event.
        start: number of the first event of each session, shape (sessions,).
        length: number of events of each session.
        session: session of each row of the table, shape (rows,).
        click: place of each row's last event in its session, from 0.
    """

    columns: dict[str, NDArray[Any]]
    start: Indices
    length: Indices
    session: Indices
    click: Indices


def gather(X: pd.DataFrame) -> Sessions:
    """Return the sessions of a table; its rows of one session share the longest prefix.

    Raises:
        DataError: there are no prefixes, of several logs, or one without an event.
    """
    if EVENTS not in X.columns:
        raise DataError(f"column {EVENTS!r} is missing; the sequence model reads it.")
    cells = X[EVENTS].to_numpy()
    columns = cells[0].columns
    if any(cell.columns is not columns for cell in cells):
        raise DataError("the rows are of several logs; score each log apart.")
    first, stop = (np.array([cell[k] for cell in cells], dtype=np.int64) for k in (1, 2))
    if (stop <= first).any():
        raise DataError("a prefix has no events; a moment comes after at least one click.")
    began, session = np.unique(first, return_inverse=True)
    end = np.zeros(len(began), dtype=np.int64)
    np.maximum.at(end, session, stop)
    length = end - began
    start = np.cumsum(length) - length
    place = np.arange(length.sum()) + np.repeat(began - start, length)
    read = {name: values[place] for name, values in columns.items()}
    return Sessions(read, start, length, session, stop - first - 1)


@dataclass(frozen=True)
class Reader:
    """What was learnt of the columns: codes of categories, centre and spread of numbers.

    Attributes:
        levels: category to its values by frequency; code 0 is null, 1 a value without a code.
        scale: centre and spread of the signed logarithm of each number.
    """

    levels: dict[str, list[str]]
    scale: dict[str, tuple[float, float]]

    @classmethod
    def learn(cls, events: Sessions, most: int) -> Reader:
        """Return a reader of the columns that have more than one value in `events`."""
        levels: dict[str, list[str]] = {}
        scale: dict[str, tuple[float, float]] = {}
        for name, column in events.columns.items():
            if column.dtype == object:
                counts = Counter(levels_of(pd.Series(column)).tolist())
                if len(counts) > 1:
                    counts.pop(None, None)
                    ordered = sorted(counts, key=lambda value: (-counts[value], value))
                    levels[name] = [v for v in ordered[:most] if counts[v] >= LEAST]
                continue
            logs = _logs(column)
            seen = logs[np.isfinite(logs)]
            if len(seen) and (seen.min() < seen.max() or len(seen) < len(logs)):
                scale[name] = float(seen.mean()), float(seen.std()) or 1.0
        return cls(levels, scale)

    @property
    def slices(self) -> dict[str, slice]:
        """The codes of each category among all: those of one follow those of the one before."""
        ends = np.cumsum([0, *(len(known) + 2 for known in self.levels.values())]).tolist()
        return {n: slice(a, b) for n, a, b in zip(self.levels, ends[:-1], ends[1:], strict=True)}

    def read(self, events: Sessions) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return codes (events, categories) and numbers (events, width) of each event.

        The numbers: the click; for each category, whether its value came before in the session;
        then each number and whether it is null.

        Raises:
            DataError: a column that training had is missing.
        """
        if lost := {*self.levels, *self.scale} - set(events.columns):
            raise DataError(f"column {min(lost)!r} is missing; the model was trained with it.")
        session = np.repeat(np.arange(len(events.length)), events.length)
        numbers = [np.log1p(np.arange(len(session)) - events.start[session]) - 1.0]
        codes = np.zeros((len(session), len(self.levels)), dtype=np.int64)
        for j, (name, at) in enumerate(self.slices.items()):
            values = pd.Series(levels_of(pd.Series(events.columns[name])), dtype=object)
            place = pd.Index(self.levels[name], dtype=object).get_indexer(pd.Index(values))
            codes[:, j] = at.start + np.where(values.isna(), 0, np.where(place < 0, 1, place + 2))
            again = pd.DataFrame({"session": session, "value": values}).duplicated()
            numbers.append((again & values.notna()).to_numpy(np.float64))
        for name, (centre, spread) in self.scale.items():
            logs = (_logs(events.columns[name]) - centre) / spread
            null = ~np.isfinite(logs)
            numbers += [np.where(null, 0.0, logs), null.astype(np.float64)]
        return codes, np.column_stack(numbers).astype(np.float32)


def _logs(column: NDArray[Any]) -> NDArray[np.float64]:
    values = column.astype(np.float64)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)
