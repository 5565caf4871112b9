"""No model: sessions are followed and arms told, and there is no score yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.scorer import Past, Reason, Score

__all__ = ["NONE", "NoModel"]

NONE: Final = "none"
"""What a service without a model is started with, and its version in answers."""
_NO_SCORE: Final = Score(None, None, None, "the service was started without a model")


class NoModel:
    """A `Scorer` that folds nothing: an experiment needs arms before a shop has a model.

    >>> NoModel().score(None).p_buy is None
    True
    """

    version = NONE
    fingerprint = NONE
    reads_history = False
    history_types: frozenset[str] = frozenset()

    def check(self, event: Event) -> None:
        """Take every event."""

    def start(self, past: Past | None = None) -> None:
        """Return the state, of which there is none."""

    def step(self, state: None, event: Event) -> None:
        """Fold nothing."""

    def let_go(self) -> None:
        """Keep nothing, as always."""

    def copy(self, state: None) -> None:
        """Copy nothing."""

    def score(self, state: None) -> Score:
        """Return no score, and why."""
        return _NO_SCORE

    def scores(self, states: Sequence[None]) -> list[Score]:
        """Return no scores, and why."""
        return [_NO_SCORE] * len(states)

    def score_row(self, values: Mapping[str, float | str | None]) -> Score:
        """Refuse.

        Raises:
            Problem: 422, always.
        """
        field = next(iter(values), "row")
        rule = f"cannot be scored: {_NO_SCORE.why}"
        raise Problem(422, f"{field} {rule}", field=field, rule=rule)

    def reasons(self, state: None, most: int) -> list[Reason]:
        """Return none."""
        return []

    def describe(self) -> dict[str, Any]:
        """Return that there is none."""
        return {"version": NONE}

    def values(self, state: None) -> dict[str, float | str | None]:
        """Return no features."""
        return {}

    def weight(self, state: None) -> int:
        """Return that it weighs nothing."""
        return 0

    def pack(self, state: None) -> bytes:
        """Return nothing."""
        return b""

    def unpack(self, data: bytes) -> None:
        """Read nothing."""

    def dump(self, state: None) -> bytes:
        """Return nothing."""
        return b""

    def load(self, data: bytes) -> None:
        """Read nothing."""
