"""Segments in plain words: a name and one computed sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.evaluate.arrays import codes_of
from cartcast.evaluate.share import Clusters, wilson
from cartcast.models.encode import as_frame, is_number, levels_of
from cartcast.models.segments.space import Space

__all__ = ["Profile", "profiles"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Profile:
    """One segment.

    Attributes:
        label: number of the segment, from 0 for the largest.
        name: short name made of what sets it apart; unique.
        sentence: one computed sentence.
        size: sessions in it.
        share: share of all sessions, 0 to 1.
        means: mean of each numeric column (median for counts and amounts).
        conversion: share of sessions with the outcome, None when no outcome was given.
        conversion_interval: its ends, sessions of one visitor together; None likewise.
        revenue_per_session: mean amount, None when no amount was given.
    """

    label: int
    name: str
    sentence: str
    size: int
    share: float
    means: Mapping[str, float | None]
    conversion: float | None
    conversion_interval: tuple[float, float] | None
    revenue_per_session: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**self.__dict__, "means": dict(self.means)}


def profiles(
    X: Any,
    labels: Labels,
    space: Space,
    outcome: Any = None,
    amount: Any = None,
    words: Mapping[str, str] | None = None,
    currency: str | None = None,
    groups: Any = None,
) -> tuple[Profile, ...]:
    """Return a profile for each segment (not for noise), the largest first.

    `words` gives a column's name for people; without it underscores become blanks. `groups` is
    the visitor of each session.
    """
    frame = as_frame(X)
    visitors = codes_of(groups, len(frame))
    bought = None if outcome is None else np.asarray(outcome, dtype=np.float64)
    words = words or {}
    found: list[Profile] = []
    taken: set[str] = set()
    for label in range(int(labels.max(initial=-1)) + 1):
        inside = labels == label
        size = int(inside.sum())
        if not size:
            continue
        marks = _marks(frame, inside, space, words)
        name = _name(marks, taken, label)
        taken.add(name)
        share = size / len(labels)
        conversion, ends = None, None
        if bought is not None:
            conversion = float(bought[inside].mean())
            ends = _ends(bought[inside], visitors[inside])
        revenue = None if amount is None else float(np.mean(np.asarray(amount)[inside]))
        sentence = _sentence(name, share, marks, conversion, revenue, currency)
        means = {
            c: _centre(
                frame[c].to_numpy(dtype=np.float64, na_value=np.nan)[inside], c in space.shares_
            )
            for c in frame.columns
            if is_number(frame[c])
        }
        found.append(Profile(label, name, sentence, size, share, means, conversion, ends, revenue))
    return tuple(found)


def _ends(bought: Floats, visitors: Labels) -> tuple[float, float]:
    """Return the ends of a segment's conversion at 95 %, as insights show shares of sessions."""
    known = Clusters.of(bought, np.ones(len(bought)), visitors)
    low, high = wilson(known.x / known.n, known.size, 0.95, known.freedom)
    return float(low), float(high)


def _centre(values: Floats, share: bool) -> float | None:
    seen = values[np.isfinite(values)]
    if not len(seen):
        return None
    return float(seen.mean() if share else np.median(seen))


@dataclass(frozen=True)
class _Mark:
    """What sets a segment apart in one column: strength, short words, words with numbers."""

    strength: float
    short: str
    long: str


def _marks(
    frame: Any, inside: NDArray[np.bool_], space: Space, words: Mapping[str, str]
) -> list[_Mark]:
    marks: list[_Mark] = []
    for column in (*space.counts_, *space.shares_):
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        here, all_ = values[inside], values
        here, all_ = here[np.isfinite(here)], all_[np.isfinite(all_)]
        if not len(here):
            continue
        word = words.get(column, column.replace("_", " "))
        make = _share_mark if column in space.shares_ else _count_mark
        marks.append(make(word, here, all_))
    for column, levels in space.categories_.items():
        found = levels_of(frame[column])
        for level in levels:
            hit = (found == level).astype(np.float64)
            marks.append(_share_mark(f"{column.replace('_', ' ')} {level}", hit[inside], hit))
    return sorted(marks, key=lambda m: (-m.strength, m.short))


def _share_mark(word: str, here: Floats, everyone: Floats) -> _Mark:
    mean, overall = float(here.mean()), float(everyone.mean())
    strength = abs(mean - overall) / (float(everyone.std()) or 1.0)
    if mean >= 0.5 and mean > overall:
        short = f"mostly {word}"
    elif mean <= overall:
        short = f"no {word}" if mean < 0.005 else f"little {word}"
        strength *= 0.4  # What is absent says less than what is there.
    else:
        short = f"much {word}"
    return _Mark(strength, short, f"{short} ({mean:.0%} against {overall:.0%} of all)")


def _count_mark(word: str, here: Floats, everyone: Floats) -> _Mark:
    logs = np.sign(everyone) * np.log1p(np.abs(everyone))
    mine = np.sign(here) * np.log1p(np.abs(here))
    lift = float(mine.mean() - logs.mean()) / (float(logs.std()) or 1.0)
    middle, overall = float(np.median(here)), float(np.median(everyone))
    grade = "very " if abs(lift) > 1.2 else ""
    short = f"{grade}{'high' if lift > 0 else 'low'} {word}"
    return _Mark(abs(lift), short, f"{short} (median {middle:,.4g} against {overall:,.4g})")


def _name(marks: list[_Mark], taken: set[str], label: int) -> str:
    strong = [m for m in marks if m.strength >= 0.5] or marks[:1]
    for n in range(min(2, len(strong)), len(strong) + 1):
        name = ", ".join(m.short for m in strong[:n])
        if name and name not in taken:
            return name[0].upper() + name[1:]
    return f"Segment {label + 1}"


def _sentence(
    name: str,
    share: float,
    marks: list[_Mark],
    conversion: float | None,
    revenue: float | None,
    currency: str | None,
) -> str:
    strong = [m for m in marks if m.strength >= 0.3][:3] or marks[:1]
    told = "; ".join(m.long for m in strong) or "like the average session"
    text = f"{share:.1%} of sessions: {told}"
    if conversion is not None:
        text += f"; {conversion:.2%} buy"
    if revenue is not None:
        unit = f" {currency}" if currency else ""
        text += f"; {revenue:,.2f}{unit} revenue a session"
    return text + "."
