"""One person, or several, told by their ids, and the sessions that are only theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["PEOPLE", "Person"]

PEOPLE = ("visitor_id", "user_id", "visitor", "unit")
"""Columns of our tables that name a person; the last are the app's table of sessions, and the id
that experiments divide by."""


@dataclass
class Person:
    """Whom a row belongs to.

    A session id is a person's in the folder where it was seen: "17" of another shop's log is
    somebody else's. It counts elsewhere only when nobody else has it anywhere.

    Attributes:
        holds: tells whether an id is the person's.
        names: the ids in plain text, the pseudonym among them; none when only hashes are known.
        sessions: session ids by the folder where they were seen.
        others: session ids that other people have as well.
    """

    holds: Callable[[object], bool]
    names: frozenset[str] = frozenset()
    sessions: dict[Path, set[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def saw(self, folder: Path, session: str) -> None:
        """Note a session of the person."""
        self.sessions.setdefault(folder, set()).add(session)

    def sessions_in(self, folder: Path) -> set[str]:
        """Return the session ids that mean the person in a folder."""
        everywhere: set[str] = set().union(*self.sessions.values())
        return self.sessions.get(folder, set()) | (everywhere - self.others)
