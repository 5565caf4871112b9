"""A session's state between its events, and what is known of its visitor before the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from cartcast.errors import NotTrustedError
from cartcast.events.schema import Clock
from cartcast.features.kernels.words import NOTHING

__all__ = ["MOST_KEPT", "History", "State", "Words", "enlarge", "past_value", "text_of"]

Words = npt.NDArray[np.int64]

MOST_KEPT: Final = 32
"""Texts that a state holds before those that no feature needs are dropped."""


@dataclass(frozen=True)
class History:
    """What is known of a visitor before a session: `History()` is a visitor never seen.

    Attributes:
        sessions: sessions begun.
        latest: microseconds since 1970 (UTC) of the latest event, or None.
        counts: events by event type, and those of a text of another column as `column=text`.

    >>> History().after("view_item", 1_000_000, new_session=True)
    History(sessions=1, latest=1000000, counts={'view_item': 1})
    """

    sessions: int = 0
    latest: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def after(
        self, event_type: str | None, time: int | None, new_session: bool, *words: str
    ) -> History:
        """Return the history after one more event; `words`: its other texts, `column=text`."""
        if time is None:
            return self
        counts = dict(self.counts)
        for kind in words if event_type is None else (event_type, *words):
            counts[kind] = counts.get(kind, 0) + 1
        latest = time if self.latest is None else max(self.latest, time)
        return History(self.sessions + new_session, latest, counts)


def past_value(name: str, past: History, time: int) -> float:
    """Return an input that tells the visitor's history at a time (microseconds), NaN for null."""
    if name == "@earlier_sessions":
        return float(past.sessions)
    if name == "@days_since":
        return np.nan if past.latest is None else (time - past.latest) / 86_400e6
    return float(past.counts.get(name.removeprefix("@earlier:"), 0))


class State:
    """One session's state: words, and a pool for what grows.

    Attributes:
        words: int64, laid out by the feature set's program.
        pool: int64, see `kernels.pool`.
        past: the visitor's history, until the first event has taken it in.
        clock: see `events.schema.Clock`.
        features: fingerprint of the feature set; another set's kernels would misread the words.
        texts: by hash, those that text features may still give out.
    """

    __slots__ = ("clock", "features", "past", "pool", "texts", "words")

    def __init__(
        self,
        words: Words,
        pool: Words,
        past: History | None,
        clock: Clock,
        features: str,
        texts: dict[int, str] | None = None,
    ) -> None:
        self.features = features
        self.words = words
        self.pool = pool
        self.past = past
        self.clock = clock
        self.texts = {} if texts is None else texts

    def copy(self) -> State:
        """Return an independent copy."""
        words, pool, texts = self.words.copy(), self.pool.copy(), self.texts.copy()
        return State(words, pool, self.past, self.clock, self.features, texts)


def enlarge(state: State) -> None:
    """Give a state a larger pool.

    By half at least: a session's pool is its largest part, and most sessions are short.
    """
    larger = np.zeros(state.pool.size + max(state.pool.size // 2, 32), np.int64)
    larger[: state.pool.size] = state.pool
    state.pool = larger


def text_of(state: State, word: int) -> str | None:
    """Return the text of a hash that a state gives out.

    Raises:
        NotTrustedError: the state does not hold it.
    """
    if word == NOTHING:
        return None
    if word not in state.texts:
        raise NotTrustedError("a state lacks one of its texts; store states with dump.")
    return state.texts[word]
