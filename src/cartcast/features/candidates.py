"""Candidate features, proposed from what a log holds and how it is distributed.

Every candidate is an ordinary fold, so it means the same in batch, at a moment, on Spark and live.
What a log's columns are called does not matter: words, values and scales are read from the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cartcast.events import Log
from cartcast.features.algebra import Difference, Feature
from cartcast.features.conditions import And, Condition, Eq, In, Not, NotNull, SameAsPrevious
from cartcast.features.expressions import AboveAverage, Gap
from cartcast.features.featureset import FeatureSet
from cartcast.features.profile import ColumnProfile, LogProfile, profile_log
from cartcast.features.reductions import (
    Count,
    First,
    Last,
    Max,
    Mean,
    Min,
    NUnique,
    Revisits,
    Share,
    Std,
    Sum,
)
from cartcast.features.timing import (
    CountWithin,
    DayOfWeek,
    DecayedCount,
    Hour,
    SecondsInSession,
    SecondsSince,
)
from cartcast.features.visitor import (
    DaysSinceLastSession,
    EarlierEvents,
    EarlierSessions,
    EarlierWords,
)

__all__ = ["Candidates", "propose"]

MOST = 300
"""Candidates beyond this number are left out, those of rare words and values first."""
_CLICKS = (2, 6)
"""Half-lives in clicks: what was done last, and of late."""
_MOST_NUMBERS, _MOST_WORDS = 4, 8
"""Numbers and kinds of event that are crossed."""
_OUTCOMES = ("purchase", "refund")
"""The outcome of the session itself never feeds the features that predict it."""


@dataclass(frozen=True)
class Candidates:
    """Features proposed, and why.

    Attributes:
        features: the set.
        reasons: why each feature was proposed, by name.
        words: the kind of event that a feature tells of, for those that tell of one.
        left_out: why a column of the log is read by none, by column.
    """

    features: FeatureSet
    reasons: Mapping[str, str]
    words: Mapping[str, str]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class _Offer:
    """One candidate: how much of the log it speaks of ranks it among its like."""

    name: str
    feature: Feature
    reason: str
    rank: float
    word: str = ""


def propose(log: Log, most: int = MOST) -> Candidates:
    """Return candidate features for a log.

    Args:
        log: a clean log.
        most: how many at the most.

    Raises:
        DataError: the log has no event but purchases.
    """
    profile = profile_log(log)
    browsing = _browsing(profile)
    offers = [
        *_pace(profile, browsing),
        *_visitor(profile),
        *(o for c in profile.columns for o in _column(c, profile, browsing)),
        *_by_word(profile),
    ]
    kept = sorted(offers, key=lambda o: -o.rank)[:most]
    order = {id(o): place for place, o in enumerate(offers)}
    named = _named(sorted(kept, key=lambda o: order[id(o)]))
    return Candidates(
        FeatureSet.of((name, o.feature) for name, o in named),
        {name: o.reason for name, o in named},
        {name: o.word for name, o in named if o.word},
        profile.left_out,
    )


def _browsing(profile: LogProfile) -> Condition | None:
    if not set(_OUTCOMES) & set(profile.kinds):
        return None
    return Not(In("event_type", _OUTCOMES))


def _pace(profile: LogProfile, browsing: Condition | None) -> Iterator[_Offer]:
    """How much was done, how fast, and when."""

    def offer(name: str, feature: Feature, reason: str) -> _Offer:
        return _Offer(name, feature, reason, 2.0)

    yield offer("clicks", Count(where=browsing), "how much was done")
    if profile.clock in ("time", "day"):
        yield offer("day_of_week", DayOfWeek(), "the shop's calendar")
    if profile.clock == "time":
        yield offer("hour", Hour(), "the shop's calendar")
    if profile.clock not in ("time", "session"):
        return
    yield offer("seconds_in_session", SecondsInSession(), "how long the visit has lasted")
    for name, feature in (
        ("pause_last", Last(Gap())),
        ("pause_mean", Mean(Gap())),
        ("pause_max", Max(Gap())),
        ("pause_spread", Std(Gap())),
    ):
        yield offer(name, feature, "pauses between clicks")
    for scale in profile.scales:
        why = f"pace; the middle pause of this log is {profile.pause:.3g} s"
        recent = DecayedCount(scale, where=browsing)
        yield offer(f"clicks_decayed_{_short(scale)}s", recent, why)
        within = CountWithin(scale, where=browsing)
        yield offer(f"clicks_within_{_short(scale)}s", within, why)


def _visitor(profile: LogProfile) -> Iterator[_Offer]:
    """What the visitor did in earlier sessions."""
    if profile.clock not in ("time", "day") or not profile.returning:
        return
    why = f"{profile.returning:.0%} of the sessions are of a visitor who came before"
    yield _Offer("earlier_sessions", EarlierSessions(), why, 2.0)
    yield _Offer("days_since_last_session", DaysSinceLastSession(), why, 2.0)
    for kind, share in profile.kinds.items():
        yield _Offer(f"earlier_{kind}", EarlierEvents(kind), why, 1.0 + share)
    for column in (c for c in profile.columns if c.text and _counts(c.name)):
        for value, share in column.values:
            words = EarlierWords(column.name, str(value))
            rank = (1.0 if column.name == profile.word else 0.65) + share
            yield _Offer(f"earlier_{column.name}_{value}", words, why, rank)


def _counts(column: str) -> bool:
    """Return whether `EarlierWords` takes a column: event types have a feature of their own."""
    return column != "event_type" and "=" not in column


def _column(
    column: ColumnProfile, profile: LogProfile, browsing: Condition | None
) -> Iterator[_Offer]:
    name, why = column.name, column.why
    if column.role == "constant":
        yield _Offer(name, First(name, text=column.text or None), why, 1.5 + column.filled)
        return
    if column.role == "number":
        yield from _numbers(column)
    if column.role in ("words", "codes"):
        last = Last(name, where=browsing, text=column.text or None)
        yield _Offer(f"last_{name}", last, why, 1.5 + column.filled)
        for value, share in column.values:
            yield from _value(column, value, share, profile)
    if column.role in ("words", "many"):
        yield _Offer(f"different_{name}", NUnique(name, browsing), why, 1.2 + column.filled)
        yield _Offer(f"back_to_{name}", Revisits(name, browsing), why, 1.2 + column.filled)
        again = Count(where=_and(browsing, SameAsPrevious(name)))
        yield _Offer(f"same_{name}_again", again, why, 1.2 + column.filled)
        if column.filled < 0.98:
            yield _Offer(f"with_{name}", Count(where=_and(browsing, NotNull(name))), why, 1.0)


def _value(
    column: ColumnProfile, value: str | float, share: float, profile: LogProfile
) -> Iterator[_Offer]:
    """One frequent word of a column: how often, how lately, in what share of the events."""
    is_it = Eq(column.name, value)
    stem = f"{column.name}_{value if isinstance(value, str) else _short(value)}"
    why = f"{column.name} is {value!r} in {share:.1%} of the events"
    # Kinds of event come first: they are what a log is made of.
    word, first = (str(value), 1.0) if column.name == profile.word else ("", 0.0)

    def offer(name: str, feature: Feature, rank: float) -> _Offer:
        return _Offer(f"{name}_{stem}", feature, why, first + rank + share, word)

    yield offer("count", Count(where=is_it), 1.0)
    for clicks in _CLICKS:
        recent = DecayedCount(clicks, where=is_it, by="clicks")
        yield replace(offer("recent", recent, 0.9 - clicks / 100), name=f"recent_{stem}_{clicks}")
    yield offer("share", Share(is_it), 0.8)
    if profile.clock in ("time", "session"):
        yield offer("seconds_since", SecondsSince(is_it), 0.7)


def _numbers(column: ColumnProfile) -> Iterator[_Offer]:
    name, why = column.name, column.why
    rank = 1.0 + column.filled
    for word, feature in (
        ("last", Last(name, text=None)),
        ("mean", Mean(name)),
        ("min", Min(name)),
        ("max", Max(name)),
        ("spread", Std(name)),
        ("sum", Sum(name)),
        ("trend", Difference(Last(name), Mean(name))),
    ):
        yield _Offer(f"{name}_{word}", feature, why, rank)
    for by in column.within:
        above = Mean(AboveAverage(name, by=by))
        yield _Offer(f"{name}_above_average_of_{by}", above, f"{why}, among its {by}", rank)


def _by_word(profile: LogProfile) -> Iterator[_Offer]:
    """A number where the event is of one kind, as the value put into a cart."""
    words = next((c for c in profile.columns if c.name == profile.word), None)
    numbers = [c for c in profile.columns if c.role in ("number", "codes") and not c.text]
    if words is None:
        return
    for column in numbers[:_MOST_NUMBERS]:
        for value, share in words.values[:_MOST_WORDS]:
            where = Eq(words.name, value)
            why = f"{column.name} where {words.name} is {value!r}"
            stem = f"{column.name}_of_{value}"
            yield _Offer(f"sum_{stem}", Sum(column.name, where), why, 0.8 + share)
            yield _Offer(f"last_{stem}", Last(column.name, where), why, 0.6 + share)


def _and(first: Condition | None, second: Condition) -> Condition:
    return second if first is None else And(first, second)


def _short(x: float) -> str:
    return f"{x:g}".replace(".", "_").replace("-", "minus_").replace("+", "")


def _named(offers: list[_Offer]) -> list[tuple[str, _Offer]]:
    """Give every candidate a name that is a word, and no name twice."""
    taken: set[str] = {"session_id", "event_order", "click"}
    found = []
    for offer in offers:
        stem = re.sub(r"\W+", "_", offer.name.lower()).strip("_")[:60] or "feature"
        stem = stem if stem[0].isalpha() else f"f_{stem}"
        name, n = stem, 2
        while name in taken:
            name, n = f"{stem}_{n}", n + 1
        taken.add(name)
        found.append((name, offer))
    return found
