"""Who may change a team's catalogue, and what they did to it.

Names are those of PostgreSQL's users, for which the server vouches. A catalogue without members
lets everybody do all, as one in a file does.
"""

from __future__ import annotations

from dataclasses import dataclass

from cartcast.access.roles import ROLES, Role, require_role
from cartcast.errors import UsageError, did_you_mean
from cartcast.runs.catalogue import Database, Sql, next_number, now

__all__ = ["Act", "Members"]


@dataclass(frozen=True)
class Act:
    """What was done to the catalogue itself: a run deleted, a backup restored, a role given."""

    at: str
    who: str
    action: str
    detail: str


class Members:
    """The members of a catalogue, and the record of what they did."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def roles(self) -> dict[str, str]:
        """Return the role of each database user that has one."""
        with self._database.open() as sql:
            return dict(sql("SELECT name, role FROM members ORDER BY name"))

    def give(self, name: str, role: str) -> None:
        """Give a database user a role, or take it away (`none`).

        Raises:
            UsageError: the catalogue is a file, there is no such role, or no admin would be left.
            RefusedError: the role of one's own user does not cover it.
        """
        if not self._database.url:
            raise UsageError(
                "members are those of a PostgreSQL catalogue; a file belongs to who may write it."
            )
        if role not in (*ROLES, "none"):
            raise UsageError(f"unknown role {role!r}.{did_you_mean(role, (*ROLES, 'none'))}")
        with self._database.open() as sql:
            self.require(sql, "people")
            sql("DELETE FROM members WHERE name = ?", (name,))
            if role != "none":
                sql("INSERT INTO members VALUES (?, ?)", (name, role))
            if not sql("SELECT 1 FROM members WHERE role = 'admin'"):
                raise UsageError("no admin would be left; make another one first.")
            self.note(sql, "people", f"{name} is {role}")

    def require(self, sql: Sql, action: str) -> None:
        """Refuse what the role of the database's user does not cover.

        Raises:
            RefusedError: naming the role that is needed.
        """
        held: dict[str, Role] = dict(sql("SELECT name, role FROM members"))
        if held and self._database.url:
            user = self._database.user(sql)
            require_role(held.get(user), action, f"that of the database user {user!r}")

    def acts(self) -> list[Act]:
        """Return what was done to the catalogue itself, newest first."""
        with self._database.open() as sql:
            rows = sql("SELECT at, who, action, detail FROM acts ORDER BY number DESC")
        return [Act(*row) for row in rows]

    def note(self, sql: Sql, action: str, detail: str, who: str | None = None) -> None:
        """Record what is done in this transaction."""
        told = (next_number(sql, "acts"), now(), self._database.who(sql, who), action, detail)
        sql("INSERT INTO acts VALUES (?, ?, ?, ?, ?)", told)
