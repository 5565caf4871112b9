"""Holes in the feed: stretches in which far fewer events arrived than must have happened.

With three days or more, a stretch is compared with the same time of day on the other days, so an
ordinary night is no hole. With less, only a sudden fall followed by a sudden rise is one: shops
fall asleep and wake up over hours, a broken feed does so within minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from cartcast.events.summed import counted, decided, grouped

__all__ = ["Gap", "bin_counts", "find_gaps"]

_WIDTHS = (60, 300, 600, 1800, 3600, 10_800, 86_400)
_DAY = 86_400
_ENOUGH = 20.0
_LOW = 0.2
_SIGMAS = 6.0
_MAX_BINS = 20_000
_SUDDEN = 1800

Floats = NDArray[np.float64]


class Gap(NamedTuple):
    """One hole: its edges (seconds since 1970), the events that came, and those expected."""

    start: float
    end: float
    events: int
    expected: float


def bin_counts(con: duckdb.DuckDBPyConnection, rows: str, clock: str) -> tuple[float, int, Floats]:
    """Return the start of the first bin (seconds since 1970), the bin width, and events per bin."""
    first, last, events = counted(
        con,
        "span",
        f"SELECT epoch_us(min(event_time)), epoch_us(max(event_time)), count(*) FROM {rows}",
        least=[0],
        most=[1],
    )
    if first is None:
        return 0.0, 1, np.zeros(0)
    first, last = first // 1_000_000, last // 1_000_000
    width = _DAY if clock == "day" else _width(last - first + 1, events)
    width = decided("width of bins", width)
    bins = grouped(
        con,
        "bins",
        f"SELECT epoch_us(event_time) // {width * 1_000_000} AS bin, count(*) FROM {rows} "
        "GROUP BY 1 ORDER BY 1",
    )
    start = first // width
    counts = np.zeros(int(last // width - start) + 1)
    for bin_, count in bins:
        counts[int(bin_ - start)] = count
    return float(start * width), width, counts


def _width(span: int, events: int) -> int:
    """Return the narrowest bin that holds enough events on average, in seconds."""
    for width in _WIDTHS:
        bins = span / width
        if bins <= _MAX_BINS and events / max(bins, 1.0) >= 2 * _ENOUGH:
            return width
    return _WIDTHS[-1]


def find_gaps(origin: float, width: int, counts: Floats) -> list[Gap]:
    """Return the holes in a feed of `counts` events per bin of `width` seconds.

    >>> busy = np.full(60, 100.0)
    >>> busy[20:30] = 2
    >>> find_gaps(0.0, 60, busy)
    [Gap(start=1200.0, end=1800.0, events=20, expected=1000.0)]
    """
    if counts.size < 4:
        return []
    days = counts.size * width / _DAY
    expected = _usual(counts, width) if days >= 3 else None
    runs = _low_runs(counts, expected) if expected is not None else _sudden_runs(counts, width)
    spread = _dispersion(counts, expected)
    gaps = []
    for start, end, level in runs:
        # The log's edges are its start and end, not holes.
        if start == 0 or end == counts.size:
            continue
        got = float(counts[start:end].sum())
        far = level - got > _SIGMAS * math.sqrt(spread * level)
        if far and level >= _ENOUGH and got < _LOW * level:
            gaps.append(
                Gap(origin + start * width, origin + end * width, int(got), round(level, 1))
            )
    return gaps


def _dispersion(counts: Floats, expected: Floats | None) -> float:
    """Return how much more the counts vary than independent events would (variance over mean).

    Events come in sessions, so counts scatter more than Poisson's. The median over bins is used,
    which a hole does not move; 0.455 is the median of a chi-squared with one degree of freedom.
    """
    if expected is not None:
        known = expected > 0
        squares = (counts[known] - expected[known]) ** 2 / expected[known]
    else:
        pairs = counts[1:] + counts[:-1]
        squares = np.diff(counts)[pairs > 0] ** 2 / pairs[pairs > 0]
    return max(1.0, float(np.median(squares)) / 0.455) if squares.size else 1.0


def _usual(counts: Floats, width: int) -> Floats:
    """Return what is usual in each bin: the median of the same time of day, scaled to the week."""
    per_day = max(_DAY // width, 1)
    place = np.arange(counts.size)
    slot, day = place % per_day, place // per_day
    table = np.full((day[-1] + 1, per_day), np.nan)
    table[day, slot] = counts
    if per_day == 1:
        return _week(counts)
    usual = np.nanmedian(table, axis=0)
    # Weekends and seasons: a day is scaled by its own busiest hours, which a hole does not fill.
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(usual > 0, table / usual, np.nan)
    scale = np.ones(len(table))
    for d, row in enumerate(ratio):
        known = row[np.isfinite(row)]
        if known.size:
            scale[d] = min(1.0, float(np.quantile(known, 0.75)))
    found: Floats = usual[slot] * scale[day]
    return found


def _week(counts: Floats) -> Floats:
    """Return the usual count of each day: the median of the days around it, by weekday if known."""
    usual = np.empty(counts.size)
    weeks = counts.size >= 21
    for d in range(counts.size):
        near = counts[max(0, d - 28) : d + 29]
        if weeks:
            near = counts[d % 7 :: 7][max(0, d // 7 - 4) : d // 7 + 5]
        usual[d] = np.median(near)
    return usual


def _low_runs(counts: Floats, expected: Floats) -> list[tuple[int, int, float]]:
    """Return runs of bins far below what is usual, with the events expected in them."""
    # A single bin may be low by chance where little is expected: a run is judged as a whole.
    low = counts < _LOW * expected
    return [(a, b, float(expected[a:b].sum())) for a, b in _runs(low)]


def _sudden_runs(counts: Floats, width: int) -> list[tuple[int, int, float]]:
    """Return runs between a sudden fall and a sudden rise, with the events of the lower edge."""
    if width > _SUDDEN:
        return []
    runs: list[tuple[int, int, float]] = []
    # A feed that breaks may take some minutes to fall silent: these are left out of the edge.
    edge = 5 * 60 // width
    place, bins = 1 + edge, counts.size
    while place < bins:
        before = float(counts[max(0, place - 5 - edge) : place - edge].mean())
        if before < _ENOUGH or counts[place] >= _LOW * before:
            place += 1
            continue
        end = place
        while end < bins and counts[end] < _LOW * before:
            end += 1
        after = float(counts[end : end + 5 + edge].mean()) if end < bins else 0.0
        if after >= 2 * _LOW * before and not _daily(counts, place, end, width, before):
            runs.append((place, end, min(before, after) * (end - place)))
        place = max(end, place + 1)
    return runs


def _daily(counts: Floats, start: int, end: int, width: int, before: float) -> bool:
    """Return whether the same hours of the day before or after were as quiet."""
    for shift in (-_DAY // width, _DAY // width):
        a, b = start + shift, end + shift
        if a >= 0 and b <= counts.size and counts[a:b].mean() < 2 * _LOW * before:
            return True
    return False


def _runs(flags: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
