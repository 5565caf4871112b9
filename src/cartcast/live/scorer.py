"""What the live service needs of a model: fold one event, read the score, carry the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from cartcast.live.event import Event

__all__ = ["Past", "Reason", "Score", "Scorer", "State"]

State = Any
"""The state of a session's features; only the scorer looks inside."""


class Past(NamedTuple):
    """A visitor's history when a session began: sessions, events by type, newest event's time."""

    sessions: int
    counts: dict[str, int]
    last: int | None


class Reason(NamedTuple):
    """One feature's part in a prediction.

    Attributes:
        feature: its name.
        value: its value now.
        effect: probability with it minus probability without it.
    """

    feature: str
    value: float | str | None
    effect: float


class Score(NamedTuple):
    """What the model says of a session now.

    Attributes:
        p_buy: calibrated probability (0 to 1) of the target after this event, or None.
        revenue: expected revenue after this event, in the log's currency, or None.
        segment: name of the segment, or None when the run has none.
        why: why there is no probability, or None.
    """

    p_buy: float | None
    revenue: float | None
    segment: str | None
    why: str | None = None


@runtime_checkable
class Scorer(Protocol):
    """A feature set folded one event at a time, with the champion's prediction on top.

    `step` may change the state it is given and returns the state to keep; `copy` makes one that
    can be stepped apart. `dump` and `load` carry states between processes; `load` refuses bytes
    of another feature set.
    """

    version: str
    fingerprint: str
    reads_history: bool
    """Whether features read the visitor's earlier sessions."""
    history_types: frozenset[str]
    """Event types, and texts of other columns as `column=text`, that are counted of a visitor."""

    def check(self, event: Event) -> None:
        """Refuse an event that cannot be folded, before anything is changed.

        Raises:
            Problem: 422 naming the column.
        """
        ...

    def start(self, past: Past | None = None) -> State:
        """Return the state before a session's first event; `past` is the visitor's history."""
        ...

    def step(self, state: State, event: Event) -> State:
        """Fold one event."""
        ...

    def copy(self, state: State) -> State:
        """Return an independent copy."""
        ...

    def let_go(self) -> None:
        """Keep nothing of sessions and their events but what their states hold."""
        ...

    def score(self, state: State) -> Score:
        """Return the prediction for the session as it stands."""
        ...

    def scores(self, states: Sequence[State]) -> list[Score]:
        """Return the prediction for each of several sessions."""
        ...

    def score_row(self, values: Mapping[str, float | str | None]) -> Score:
        """Return the prediction for one row of features.

        Raises:
            Problem: 422 naming a feature that is missing, unknown or of the wrong type.
        """
        ...

    def reasons(self, state: State, most: int) -> list[Reason]:
        """Return what moves the prediction most, the strongest first."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what there is to say of the model, as plain data."""
        ...

    def values(self, state: State) -> dict[str, float | str | None]:
        """Return the features by name; None where undefined."""
        ...

    def weight(self, state: State) -> int:
        """Return about how many bytes a state takes in memory."""
        ...

    def pack(self, state: State) -> bytes:
        """Return the state as bytes for sessions at rest in this process."""
        ...

    def unpack(self, data: bytes) -> State:
        """Return the state of what `pack` returned."""
        ...

    def dump(self, state: State) -> bytes:
        """Return the state as bytes."""
        ...

    def load(self, data: bytes) -> State:
        """Return the state of bytes that `dump` made.

        Raises:
            NotTrustedError: the bytes belong to another feature set.
        """
        ...
