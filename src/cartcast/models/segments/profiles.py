"""Segments in plain words: a name and one computed sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartcast.evaluate.arrays import codes_of
from cartcast.evaluate.share import Clusters, wilson
from cartcast.features.words import in_words, plural, singular
from cartcast.models.encoding import as_frame, is_number, levels_of
from cartcast.models.segments.space import Space
from cartcast.numbers import number

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

    `words` gives a column's name for people, where `features.words` does not tell it. `groups` is
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
        marks = _marks(frame, inside, space, words, currency)
        name = _name(marks, taken, label)
        taken.add(name)
        share = size / len(labels)
        conversion, ends = None, None
        if bought is not None:
            conversion = float(bought[inside].mean())
            ends = _ends(bought[inside], visitors[inside])
        revenue = None if amount is None else float(np.mean(np.asarray(amount)[inside]))
        sentence = _sentence(share, marks, conversion, revenue, currency)
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
    """What sets a segment apart in one column.

    Attributes:
        strength: distance from all sessions, in standard deviations.
        grade: "mostly", "some", "no", "many", "few", "high", "low", "long" or "short".
        word: the column for people, without the grade.
        long: words and figures, for the sentence; empty when the figures would read the same.
        middle: median of a count, None otherwise.
    """

    strength: float
    grade: str
    word: str
    long: str
    middle: float | None = None


def _marks(
    frame: Any,
    inside: NDArray[np.bool_],
    space: Space,
    words: Mapping[str, str],
    currency: str | None,
) -> list[_Mark]:
    marks: list[_Mark] = []
    for column in (*space.counts_, *space.shares_):
        values = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        here, all_ = values[inside], values
        here, all_ = here[np.isfinite(here)], all_[np.isfinite(all_)]
        if not len(here):
            continue
        word = words.get(column) or in_words(column).removesuffix(" seen")
        if column in space.shares_:
            marks.append(_share_mark(word, here, all_))
        else:
            money = currency if word.split()[-1:] in (["price"], ["prices"]) else None
            marks.append(_count_mark(word, here, all_, money))
    for column, levels in space.categories_.items():
        found = levels_of(frame[column])
        for level in levels:
            hit = (found == level).astype(np.float64)
            word = in_words(level) if _tells(level) else f"{in_words(column)} {level}"
            marks.append(_share_mark(word, hit[inside], hit))
    return sorted(marks, key=lambda m: (-m.strength, m.grade, m.word))


def _tells(level: str) -> bool:
    """Return whether a level says by itself what it is: "mobile" does, "yes", "DE" and "3" do not.

    >>> [_tells(w) for w in ("mobile", "new_visitor", "yes", "DE", "3")]
    [True, True, False, False, False]
    """
    letters = level.replace("_", "").replace(" ", "").isalpha()
    return len(level) > 3 and letters and level.lower() not in ("true", "false", "none")


def _share_mark(word: str, here: Floats, everyone: Floats) -> _Mark:
    mean, overall = float(here.mean()), float(everyone.mean())
    strength = abs(mean - overall) / (float(everyone.std()) or 1.0)
    if mean >= 0.5 and mean > overall:
        grade = "mostly"
    elif mean > overall:
        grade = "some"
    else:
        grade = "no" if mean < 0.005 else "few" if plural(word) else "little"
        strength *= 0.4  # What is absent says less than what is there.
    return _Mark(strength, grade, word, _against(f"{grade} {word}", mean, overall, "share"))


def _count_mark(word: str, here: Floats, everyone: Floats, currency: str | None) -> _Mark:
    logs = np.sign(everyone) * np.log1p(np.abs(everyone))
    mine = np.sign(here) * np.log1p(np.abs(here))
    lift = float(mine.mean() - logs.mean()) / (float(logs.std()) or 1.0)
    if word.startswith(("time ", "seconds ")) or word.endswith(("pause", "duration")):
        grade = "long" if lift > 0 else "short"
    elif plural(word) and not word.endswith("prices"):
        grade = "many" if lift > 0 else "few"
    else:
        grade = "high" if lift > 0 else "low"
    unit = "money" if currency else "count"
    middle = float(np.median(here))
    pairs = (middle, float(np.median(everyone)), "median "), (here.mean(), everyone.mean(), "mean ")
    told = [_against(f"{grade} {word}", a, b, unit, currency, what) for a, b, what in pairs]
    long = next(filter(None, told), "")
    return _Mark(abs(lift), grade, word, long, middle if grade in ("many", "few") else None)


def _against(
    words: str, here: float, everyone: float, unit: str, currency: str | None = None, what: str = ""
) -> str:
    """Return words with the figure here and that of all sessions; nothing when both read alike."""
    shown = [
        f"{round(float(x), 2 if abs(x) < 1 else 1):,g}"
        if unit == "count"
        else number(x, unit, currency)
        for x in (here, everyone)
    ]
    if shown[0] == shown[1]:
        return ""
    return f"{words} ({what}{shown[0]}, all sessions {shown[1]})"


def _name(marks: list[_Mark], taken: set[str], label: int) -> str:
    """Return a short name that no other segment has: what sets this one apart most."""
    strong = [m for m in marks if m.strength >= 0.5] or marks[:1]
    if not strong:
        return f"Segment {label + 1}"
    short = _short_visits(strong)
    if short and short not in taken:
        return short
    # One thing that most of the session is about is a name; of counts, two say more than one.
    first = 1 if strong[0].grade == "mostly" else min(2, len(strong))
    for n in range(first, len(strong) + 1):
        name = _joined(strong[:n])
        if name not in taken:
            return name
    return f"{_joined(strong[:first])} ({label + 1})"


def _short_visits(marks: list[_Mark]) -> str | None:
    """Return the name of sessions that are above all short: what little is done in them."""
    few = [m for m in marks[:3] if m.grade == "few" and m.middle is not None and m.middle <= 3]
    clicks = next((m for m in few if m.word.startswith("clicks")), None)
    if clicks is None or marks[0] not in few:
        return None
    others = [m for m in few if m is not clicks and m.middle != clicks.middle][:1]
    return "Short visits: " + ", ".join(_so_few(m) for m in [*others, clicks])


def _so_few(mark: _Mark) -> str:
    n = round(mark.middle or 0.0)
    return f"{('no', 'one', 'two', 'three')[n]} {singular(mark.word) if n == 1 else mark.word}"


def _joined(marks: list[_Mark]) -> str:
    """Return marks as a name; what has the same grade shares the word: "many carts and clicks"."""
    by: dict[str, list[str]] = {}
    for mark in marks:
        by.setdefault(mark.grade, []).append(mark.word)
    name = ", ".join(
        f"{grade} {' and '.join([', '.join(words[:-1]), words[-1]] if words[1:] else words)}"
        for grade, words in by.items()
    )
    return name[0].upper() + name[1:]


def _sentence(
    share: float,
    marks: list[_Mark],
    conversion: float | None,
    revenue: float | None,
    currency: str | None,
) -> str:
    told = [m.long for m in marks if m.long and m.strength >= 0.3][:3]
    text = f"{number(share, 'share')} of sessions: " + ("; ".join(told) or "like all sessions")
    results = []
    if conversion is not None:
        results.append(f"{number(conversion, 'share')} buy")
    if revenue is not None:
        results.append(f"{number(revenue, 'money', currency)} revenue a session")
    return f"{text}. {', '.join(results)}." if results else f"{text}."
