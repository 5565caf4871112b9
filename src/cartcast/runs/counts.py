"""What a log is like: its words, how often its columns have a value, its prices.

A run keeps it of its own log, so that every other can be held against it (`cartcast.runs.foreign`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from cartcast.events import Log
from cartcast.events.sql import identifier
from cartcast.features import FeatureSet

__all__ = ["Counts", "count", "readers_of", "recorded"]

_MOST_WORDS: Final = 200
_SHOWN: Final = (0.05, 0.5, 0.95)
"""Quantiles of the prices that a run keeps."""


class _PartCounts(NamedTuple):
    """What `Counts` is made of, of a part of a log; prices with how often each stands there."""

    words: dict[tuple[str, str], int]
    kinds: dict[str, int]
    values: dict[str, dict[str, int]]
    prices: pa.Table


@dataclass(frozen=True)
class Counts:
    """What is compared of a log.

    Attributes:
        words: (kind, word) -> events.
        kinds: kind -> events.
        values: column -> kind -> events with a value.
        prices: quantiles 5, 50, 95 % of the prices, or None.
    """

    words: Mapping[tuple[str, str], int]
    kinds: Mapping[str, int]
    values: Mapping[str, Mapping[str, int]]
    prices: Sequence[float] | None

    @property
    def events(self) -> int:
        """All events."""
        return sum(self.kinds.values())


def recorded(log: Log, features: FeatureSet) -> dict[str, Any]:
    """Return what `run.json` keeps of its log."""
    readers = readers_of(features)
    counts = count(log, [c for c in readers if c in log.columns])
    total = max(counts.events, 1)
    often = sorted(counts.words.items(), key=lambda w: (-w[1], w[0]))[:_MOST_WORDS]
    return {
        "kinds": {kind: n / total for kind, n in counts.kinds.items()},
        "words": {word: {"kind": kind, "share": n / total} for (kind, word), n in often},
        "filled": {
            column: {kind: n / counts.kinds[kind] for kind, n in values.items()}
            for column, values in counts.values.items()
            if values
        },
        "read_by": {c: names for c, names in readers.items() if counts.values.get(c)},
        "prices": counts.prices,
    }


def readers_of(features: FeatureSet) -> dict[str, list[str]]:
    """Return the features that read each column of a log."""
    found: dict[str, list[str]] = {}
    for name, feature in features.features.items():
        for column in sorted(feature.lineage.columns):
            found.setdefault(column, []).append(name)
    return found


def count(log: Log, columns: Sequence[str]) -> Counts:
    """Count what is compared of a log, part by part."""
    words: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    values = {c: Counter[str]() for c in columns}
    prices = []
    for part in log.map_parts(partial(_count_part, columns=tuple(columns))):
        words.update(part.words)
        kinds.update(part.kinds)
        for column, found in part.values.items():
            values[column].update(found)
        prices.append(part.prices)
    ordered = {c: dict(sorted(found.items())) for c, found in values.items()}
    return Counts(words, dict(sorted(kinds.items())), ordered, _quantiles(pa.concat_tables(prices)))


def _quantiles(prices: pa.Table) -> list[float] | None:
    """Return the quantiles of prices that occur a number of times; None of no prices."""
    found = prices.group_by("price").aggregate([("n", "sum")]).sort_by("price")
    if not len(found):
        return None
    price, upto = found["price"].to_numpy(), np.cumsum(found["n_sum"].to_numpy())
    place = np.array(_SHOWN) * (upto[-1] - 1)
    low, high = (
        price[np.searchsorted(upto, p, "right")] for p in (np.floor(place), np.ceil(place))
    )
    return [float(q) for q in low + (high - low) * (place % 1)]


def _count_part(log: Log, columns: Sequence[str]) -> _PartCounts:
    counted = "".join(f", count({identifier(c)})" for c in columns)
    with log.connect() as con:
        words = con.execute(
            "SELECT event_type, coalesce(source_event, event_type), count(*) FROM events "
            "GROUP BY 1, 2"
        ).fetchall()
        rows = con.execute(
            f"SELECT event_type, count(*){counted} FROM events GROUP BY 1 ORDER BY 1"
        ).fetchall()
        prices = con.execute(
            "SELECT price, count(*) AS n FROM events WHERE price > 0 GROUP BY 1"
        ).to_arrow_table()
    values = {
        c: {r[0]: r[place + 2] for r in rows if r[place + 2]} for place, c in enumerate(columns)
    }
    return _PartCounts({(k, w): n for k, w, n in words}, {r[0]: r[1] for r in rows}, values, prices)
