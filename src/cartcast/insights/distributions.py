"""How a column is distributed, and which numbers of a session go together."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartcast.errors import UsageError, did_you_mean
from cartcast.events.sql import identifier
from cartcast.insights.sessions import MEASURES, make_sessions
from cartcast.insights.source import Slice, Source, opened

__all__ = ["Bar", "Correlations", "Distribution", "correlations", "distribution"]


class Bar(NamedTuple):
    """One bar: a range of numbers (`low` to `high`), or one word; and how many have it.

    Of whole numbers `high` is the last that counts here; of others the first that does not.
    """

    label: str | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Distribution:
    """Counts of one column.

    Attributes:
        column: its name.
        unit: its unit, or "".
        of: what is counted, `session` or `event`.
        kind: `number` or `word`.
        count: known values.
        unknown: null values.
        quantiles: for numbers: 5, 25, 50, 75 and 95 %; else None.
        mean: for numbers; None without any.
        bars: for numbers equally wide ranges up to the 99th percentile and one for the rest;
            for words the largest values and "other".
        whole: all are whole numbers, and so are the ends of the bars.
    """

    column: str
    unit: str
    of: Literal["session", "event"]
    kind: Literal["number", "word"]
    count: int
    unknown: int
    quantiles: tuple[float, float, float, float, float] | None
    mean: float | None
    bars: tuple[Bar, ...]
    whole: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "bars": [b._asdict() for b in self.bars]}


@dataclass(frozen=True)
class Correlations:
    """Spearman's rank correlation of the numbers of a session, pair by pair.

    Attributes:
        columns: names, in the order of the rows and columns of `values`.
        sessions: sessions read.
        values: from -1 to 1; None where a column does not vary or a pair is never known.
    """

    columns: tuple[str, ...]
    sessions: int
    values: tuple[tuple[float | None, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def distribution(
    log: Any,
    column: str,
    *,
    where: Slice | None = None,
    bins: int = 30,
    largest: int = 15,
    sessions: Path | str | None = None,
) -> Distribution:
    """Return how `column` is distributed: over sessions if the session table has it, else events.

    Raises:
        UsageError: there is no such column, or bins < 2.
    """
    if bins < 2 or largest < 1:
        raise UsageError(f"needs bins >= 2 and largest >= 1, got {bins} and {largest}.")
    with opened(log) as source:
        columns = make_sessions(source, sessions)
        where = where or Slice()
        of: Literal["session", "event"] = "session" if column in columns else "event"
        if of == "event" and column not in source.columns:
            raise UsageError(
                f"no column {column!r}.{did_you_mean(column, (*columns, *source.columns))}"
            )
        condition, parameters = where.condition(source, columns)
        source.connection.execute(
            f"CREATE TEMP TABLE picked AS SELECT session_id FROM sessions WHERE {condition}",
            parameters,
        )
        relation = "sessions" if of == "session" else "events"
        source.connection.execute(
            f"CREATE TEMP TABLE v AS SELECT {identifier(column)} AS x FROM {relation} "
            + ("SEMI JOIN picked USING (session_id)" if where else "")
        )
        kind = source.row("SELECT typeof(x) FROM v UNION ALL SELECT 'VARCHAR' LIMIT 1")[0]
        number = any(word in kind for word in ("INT", "DOUBLE", "FLOAT", "DECIMAL"))
        known, unknown = source.row("SELECT count(x), count(*) - count(x) FROM v")
        unit = MEASURES.get(column, "currency" if column == "price" else "")
        if not number:
            return Distribution(
                column, unit, of, "word", known, unknown, None, None, _words(source, largest)
            )
        mean, quantiles = source.row(
            "SELECT avg(x)::DOUBLE, quantile_cont(x::DOUBLE, [0.05, 0.25, 0.5, 0.75, 0.95]) FROM v"
        )
        told = tuple(quantiles) if quantiles else None
        bars, whole = _bins(source, bins)
        return Distribution(column, unit, of, "number", known, unknown, told, mean, bars, whole)


def _words(source: Source, largest: int) -> tuple[Bar, ...]:
    found = source.rows(
        "SELECT x::VARCHAR, count(*) AS n FROM v WHERE x IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1"
    )
    bars = [Bar(word, None, None, n) for word, n in found[:largest]]
    rest = sum(n for _, n in found[largest:])
    return (*bars, *((Bar("other", None, None, rest),) if rest else ()))


def _bins(source: Source, bins: int) -> tuple[tuple[Bar, ...], bool]:
    low, top, high, values = source.row(
        "SELECT min(x)::DOUBLE, quantile_cont(x::DOUBLE, 0.99), max(x)::DOUBLE, "
        "approx_count_distinct(x) FROM v"
    )
    if low is None:
        return (), False
    whole = bool(source.row("SELECT bool_and(x = round(x::DOUBLE)) FROM v")[0])
    if whole:
        # No bar may hold more whole numbers than its neighbour: the shape would lie.
        wide = max(math.ceil((top - low + 1) / bins), 1)
        edges = [low + k * wide for k in range(int(top - low) // wide + 2)]
    elif values <= 1 or top <= low:
        edges = [low, high]
    else:
        part = (top - low) / bins
        edges = [low + k * part for k in range(bins + 1)]
    counts = source.rows(
        "SELECT least(greatest(floor((x - ?) / ?), 0), ?)::INT AS b, count(*) FROM v "
        "WHERE x IS NOT NULL GROUP BY b",
        [low, (edges[1] - low) or 1.0, len(edges) - 1],
    )
    by_bar = dict(counts)
    last = 1 if whole else 0
    bars = [
        Bar(f"{a:g}" if a == b - last else f"{a:g} to {b - last:g}", a, b - last, by_bar.get(k, 0))
        for k, (a, b) in enumerate(itertools.pairwise(edges))
    ]
    rest = by_bar.get(len(edges) - 1, 0)
    if rest:
        bars.append(Bar(f"{edges[-1]:g} and more", edges[-1], high, rest))
    return tuple(bars), whole


def correlations(
    log: Any, *, where: Slice | None = None, sessions: Path | str | None = None
) -> Correlations:
    """Return the rank correlations of the session table's numbers, over all its sessions.

    Source: Spearman (1904), https://doi.org/10.2307/1412159; ties get their mean rank.
    """
    from scipy.stats import rankdata

    with opened(log) as source:
        columns = make_sessions(source, sessions)
        condition, parameters = (where or Slice()).condition(source, columns)
        names = tuple(MEASURES)
        picked = ", ".join(f"{identifier(n)}::DOUBLE AS {identifier(n)}" for n in names)
        fetched = source.connection.execute(
            f"SELECT {picked} FROM sessions WHERE {condition}",
            parameters,
        ).fetchnumpy()
    data = {n: np.ma.filled(np.ma.asarray(fetched[n]).astype(float), np.nan) for n in names}
    known = {n: ~np.isnan(x) for n, x in data.items()}
    ranks = {n: rankdata(x) if known[n].all() else None for n, x in data.items()}

    def correlate(a: str, b: str) -> float | None:
        both = known[a] & known[b]
        if both.sum() < 3:
            return None
        if both.all():
            x, y = ranks[a], ranks[b]
        else:
            x, y = rankdata(data[a][both]), rankdata(data[b][both])
        return _pearson(x, y)

    names = tuple(n for n in names if known[n].any())
    table = [[correlate(a, b) for b in names] for a in names]
    return Correlations(names, len(next(iter(data.values()))), tuple(map(tuple, table)))


def _pearson(x: NDArray[np.float64] | Any, y: NDArray[np.float64] | Any) -> float | None:
    a, b = x - x.mean(), y - y.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None
