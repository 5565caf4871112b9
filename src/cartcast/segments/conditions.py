"""What a segment asks: values of a column, ranges, events done or not, purchases, scores, recency.

A condition is plain data: it says itself as YAML and in words, and `cartcast.segments.sql` asks it
of a log.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cartcast.features.words import event_words
from cartcast.segments.columns import Range, Values
from cartcast.segments.steps import step_words

__all__ = [
    "COHORT",
    "Bought",
    "Cohort",
    "Condition",
    "Did",
    "Found",
    "Reached",
    "Scored",
    "Seen",
    "Walk",
]

DAY = 86_400.0
COHORT = {"returned": "came back", "bought": "bought", "bought_again": "bought again"}
"""What a cohort can do, in words."""


@dataclass(frozen=True)
class Did:
    """Events of a kind are there at least `times`, or, with `negated`, fewer times than that.

    `event` is written as a step of a funnel (`segments.steps`): an event type, or `column=value`.
    """

    event: str
    times: int = 1
    negated: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        more = {"times": self.times} if self.times != 1 else {}
        return {"did_not" if self.negated else "did": self.event, **more}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Did("add_to_cart", 2, negated=True).describe(), Did("page=2").describe()
        ('fewer than 2 of: cart', 'with page=2')
        """
        spoken = step_words(self.event)
        if self.times == 1:
            return f"{'without' if self.negated else 'with'} {spoken}"
        return f"{'fewer than' if self.negated else 'at least'} {self.times} of: {spoken}"


@dataclass(frozen=True)
class Bought:
    """There is a purchase, or there is none."""

    yes: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        return {"bought": self.yes}

    def describe(self) -> str:
        """Return the condition in words."""
        return "bought" if self.yes else "did not buy"


@dataclass(frozen=True)
class Scored:
    """A run's score was at least `least` at some moment that the run is asked at.

    `table` is the Parquet file of these scores, once they were made for the log that is asked.
    """

    run: str
    least: float
    table: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        return {"score_from": self.least, "run": self.run}

    def describe(self) -> str:
        """Return the condition in words."""
        return f"score of {self.run} at least {self.least:g}"


@dataclass(frozen=True)
class Found:
    """The run puts the session into this one of the kinds of sessions that it found.

    `table` is the Parquet file of them, once they were made for the log that is asked.
    """

    run: str
    name: str
    table: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        return {"found": self.name, "run": self.run}

    def describe(self) -> str:
        """Return the condition in words."""
        return f"found by {self.run}: {self.name}"


@dataclass(frozen=True)
class Walk:
    """From its first event `anchor` a session goes this way: at `step` from `near` to `far`.

    Repeats in a row are one step. With `to` it is followed back in time. `near` lies towards the
    anchor, and is the anchor itself at step 1; `far` is None where the session ends (or begins).
    """

    anchor: str
    step: int
    near: str
    far: str | None
    to: bool = False
    column: str = "event_type"

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        more = {} if self.column == "event_type" else {"by": self.column}
        way = {"path_to" if self.to else "path_from": self.anchor, "step": self.step}
        return {**way, "near": self.near, "far": self.far, **more}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Walk("add_to_cart", 1, "add_to_cart", None).describe()
        'step 1 after the first cart: cart, then the end'
        """
        spoken = event_words if self.column == "event_type" else str
        far = ("the start" if self.to else "the end") if self.far is None else spoken(self.far)
        both = (far, spoken(self.near)) if self.to else (spoken(self.near), far)
        place = "before" if self.to else "after"
        return f"step {self.step} {place} the first {spoken(self.anchor)}: {', then '.join(both)}"


@dataclass(frozen=True)
class Reached:
    """The session does the first steps of a funnel in order; with `lost`, not the next one.

    Steps are written as `segments.steps` says. `next` is the event that then came instead; "" is
    the end of the session.
    """

    steps: tuple[str, ...]
    reached: int
    lost: bool = False
    next: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        more: dict[str, Any] = {"lost": True} if self.lost else {}
        if self.next is not None:
            more["next"] = self.next
        return {"funnel": list(self.steps), "reached": self.reached, **more}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Reached(("view_item", "add_to_cart", "purchase"), 2, lost=True).describe()
        'did, in order, product page, cart, but not then purchase'
        """
        did = ", ".join(map(step_words, self.steps[: self.reached]))
        rest = self.steps[self.reached : self.reached + 1]
        lost = f", but not then {step_words(rest[0])}" if self.lost and rest else ""
        if self.next is not None:
            lost += f"; next came {event_words(self.next) if self.next else 'the end'}"
        return f"did, in order, {did}{lost}"


@dataclass(frozen=True)
class Cohort:
    """The visitor's first session began in this week (its Monday), and what he did `after` weeks.

    `did` is returned, bought or bought_again, in the seven days that begin `after` weeks after the
    first session; without it all of the week's visitors.
    """

    week: str
    after: int = 0
    did: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        more = {} if self.did is None else {"cohort_did": self.did, "after": self.after}
        return {"cohort": self.week, **more}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Cohort("2024-03-04", 2, "returned").describe()
        'first seen in the week of 2024-03-04; came back after 2 weeks'
        """
        first = f"first seen in the week of {self.week}"
        return (
            first if self.did is None else f"{first}; {COHORT[self.did]} after {self.after} weeks"
        )


@dataclass(frozen=True)
class Seen:
    """The visitor was there within these seconds before the end of the log."""

    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as the YAML holds it."""
        days = self.seconds / DAY
        return {"seen": f"{days:.0f}d" if days % 1 == 0 else f"{self.seconds:.15g}s"}

    def describe(self) -> str:
        """Return the condition in words.

        >>> Seen(86_400.0).describe(), Seen(3600.0 * 36).describe()
        ('seen in the last day', 'seen in the last 1.5 days')
        """
        whole = self.seconds >= DAY
        count, word = (self.seconds / DAY, "day") if whole else (self.seconds / 3600, "hour")
        return f"seen in the last {word if count == 1 else f'{count:g} {word}s'}"


Condition = Values | Range | Did | Bought | Scored | Found | Walk | Reached | Cohort | Seen
