"""Inputs: prefixes as whole sessions of codes and numbers, each event once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cartcast.errors import DataError
from cartcast.models.encode import levels_of

__all__ = ["Events", "Reader", "gather"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
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


def gather(X: pd.DataFrame, names: tuple[str, ...]) -> Events:
    """Return the events of prefixes; the rows of one session share its longest prefix.

    Raises:
        DataError: a column is missing, or a prefix has no events.
    """
    for name in ("session_id", *names):
        if name not in X.columns:
            raise DataError(f"column {name!r} is missing; the sequence model reads it.")
    session = pd.factorize(X["session_id"].to_numpy())[0].astype(np.int64)
    counts = np.array([len(cell) for cell in X[names[0]]], dtype=np.int64)
    if len(counts) and counts.min() < 1:
        raise DataError("a prefix has no events; a moment comes after at least one click.")
    # A session without a name stands alone.
    alone = session < 0
    session[alone] = session.max(initial=-1) + 1 + np.arange(alone.sum())
    order = np.lexsort((-counts, session))
    longest = order[np.unique(session[order], return_index=True)[1]]
    length = counts[longest]
    columns = {
        name: np.concatenate([np.asarray(cell) for cell in X[name].to_numpy()[longest]])
        if len(longest)
        else np.empty(0)
        for name in names
    }
    start = np.concatenate([[0], np.cumsum(length)[:-1]]) if len(length) else length
    return Events(columns, start.astype(np.int64), length, session, counts - 1)


@dataclass(frozen=True)
class Reader:
    """What was learnt of the columns: codes of categories, centre and spread of numbers.

    Attributes:
        levels: category to its values by frequency; code 0 is null, 1 a value not kept.
        centre, spread: of the signed logarithm of each number; columns without values are out.
    """

    levels: dict[str, list[str]]
    centre: dict[str, float]
    spread: dict[str, float]

    @classmethod
    def learn(
        cls, events: Events, categories: tuple[str, ...], numbers: tuple[str, ...], most: int
    ) -> Reader:
        """Return a reader of the columns that have more than one value in `events`."""
        levels: dict[str, list[str]] = {}
        for name in categories:
            found = pd.Series(levels_of(pd.Series(events.columns[name])))
            counts = found.dropna().value_counts()
            if len(counts) > 1 or (len(counts) and found.isna().any()):
                ordered = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
                levels[name] = [str(v) for v, _ in ordered[:most]]
        centre, spread = {}, {}
        for name in numbers:
            logs = _logs(events.columns[name])
            seen = logs[np.isfinite(logs)]
            if len(seen) and (seen.min() < seen.max() or len(seen) < len(logs)):
                centre[name] = float(seen.mean())
                spread[name] = float(seen.std()) or 1.0
        return cls(levels, centre, spread)

    @property
    def size(self) -> int:
        """Number of codes of all categories together."""
        return sum(len(known) + 2 for known in self.levels.values())

    @property
    def width(self) -> int:
        """Number of numbers per event: the click, then each number and whether it is null."""
        return 1 + 2 * len(self.centre)

    def codes(self, events: Events) -> NDArray[np.int32]:
        """Return the code of each event's categories, shape (events, categories).

        The codes of one category follow those of the one before.
        """
        out = np.zeros((int(events.length.sum()), len(self.levels)), dtype=np.int32)
        first = 0
        for j, (name, known) in enumerate(self.levels.items()):
            place = {level: first + 2 + i for i, level in enumerate(known)}
            values = levels_of(pd.Series(events.columns[name]))
            out[:, j] = [first if v is None else place.get(v, first + 1) for v in values]
            first += len(known) + 2
        return out

    def numbers(self, events: Events) -> NDArray[np.float32]:
        """Return the standardised numbers of each event, shape (events, width)."""
        clicks = np.arange(int(events.length.sum())) - np.repeat(events.start, events.length)
        columns = [np.log1p(clicks) - 1.0]
        for name in self.centre:
            logs = (_logs(events.columns[name]) - self.centre[name]) / self.spread[name]
            null = ~np.isfinite(logs)
            columns += [np.where(null, 0.0, logs), null.astype(np.float64)]
        return np.column_stack(columns).astype(np.float32)


def _logs(column: NDArray[Any]) -> Floats:
    values = column.astype(np.float64)
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)
