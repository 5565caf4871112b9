"""Who may do what in the app: roles by (issuer, subject), expiry, and an audit log.

Access is off without `auth:` in `cartcast.yaml`; then everybody at the machine is its owner.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cartcast.access.auditlog import AuditLine, AuditLog, open_database
from cartcast.access.roles import ACTIONS, ROLES, RefusedError, Role, covers, require_role
from cartcast.errors import UsageError, did_you_mean
from cartcast.system import account

__all__ = [
    "ACTIONS",
    "ROLES",
    "Access",
    "AuditLine",
    "Person",
    "RefusedError",
    "Role",
    "check",
]

NONE = "none"
"""A role taken away: kept in the table, so that it wins over the file and the default."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS people (issuer TEXT NOT NULL, subject TEXT NOT NULL, "
    "name TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (issuer, subject))",
)


@dataclass(frozen=True)
class Person:
    """Who is at the browser.

    Attributes:
        issuer: who vouches for the person: the URL of the sign-in service, or `local`.
        subject: the person's id there, which never changes.
        name: what to call the person; for show only.
        role: None means signed in but without a role.
        expires: seconds since 1970 (UTC) until which the sign-in holds; None means no limit.
    """

    issuer: str
    subject: str
    name: str
    role: Role | None
    expires: float | None = None

    def may(self, action: str) -> bool:
        """Return whether the role covers `action`.

        Raises:
            UsageError: there is no such action.
        """
        return covers(self.role, action)


def check(person: Person, action: str, now: float | None = None) -> None:
    """Stop unless `person` may do `action` now.

    Raises:
        RefusedError: the role does not cover it, or the sign-in has expired.
    """
    moment = datetime.now(UTC).timestamp() if now is None else now
    if person.expires is not None and moment >= person.expires:
        raise RefusedError("your sign-in has expired; sign in again to continue.")
    require_role(person.role, action)


class Access:
    """The role table and the audit log of one project, in `.cartcast/app.db`.

    Args:
        folder: the project folder.
        auth: `auth:` of `cartcast.yaml`; empty means access is off.
    """

    def __init__(self, folder: Path, auth: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.auth = dict(auth or {})

    @property
    def on(self) -> bool:
        """Whether people must sign in."""
        return bool(self.auth)

    def owner(self) -> Person:
        """Return the person of a project with access off: anyone who runs the app.

        Raises:
            RefusedError: access is on; then nobody is the owner unasked.
        """
        if self.on:
            raise RefusedError("this project asks for a sign-in.")
        name = account("owner")
        return Person("local", name, name, "admin")

    def reader(self) -> Person:
        """Return nobody in particular, with the least role: for what everybody may read."""
        return Person("local", "reader", "reader", ROLES[0])

    def person(self, claims: Mapping[str, Any], now: float | None = None) -> Person:
        """Return who signed in, from the claims of the identity token, with the role held here.

        Raises:
            RefusedError: the claims are incomplete, or have expired.
        """
        issuer, subject = str(claims.get("iss") or ""), str(claims.get("sub") or "")
        if not issuer or not subject:
            raise RefusedError("the sign-in service sent no issuer and subject; sign in again.")
        name = str(claims.get("name") or claims.get("email") or subject)
        moment = datetime.now(UTC).timestamp() if now is None else now
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or moment >= expires:
            raise RefusedError("your sign-in has expired; sign in again to continue.")
        return Person(issuer, subject, name, self.role(issuer, subject), float(expires))

    def role(self, issuer: str, subject: str) -> Role | None:
        """Return the role of (issuer, subject): the table's, else `auth.admins`, else the default.

        A `none` in the table is a role taken away, and wins over the file. Only when nobody at all
        would be admin does the file's list hold against it: anyone who keeps the file gets back in.

        Raises:
            UsageError: `auth.default_role` is no role, or `auth.admins` names nobody.
        """
        with self._open() as sql:
            return self._role_in(_held(sql), (issuer, subject))

    def people(self) -> list[Person]:
        """Return everybody in the role table; a role of None was taken away."""
        with self._open() as sql:
            rows = sql("SELECT issuer, subject, name, role FROM people ORDER BY name, subject")
        return [Person(i, s, n, None if r == NONE else _role(r)) for i, s, n, r in rows]

    def admins(self) -> set[tuple[str, str]]:
        """Return who is admin by name, as (issuer, subject).

        Raises:
            UsageError: `auth.admins` names nobody.
        """
        with self._open() as sql:
            return self._admins_in(_held(sql))

    def set_role(self, by: Person, issuer: str, subject: str, role: str | None, name: str) -> None:
        """Give (issuer, subject) a role, or take it away with None.

        What `by` may do is asked again while the table is locked: of two admins who remove each
        other, the first one does.

        Raises:
            RefusedError: `by` is no admin (any more), or nobody would be admin afterwards.
            UsageError: the role does not exist, or issuer or subject is empty.
        """
        detail = f"{issuer} {subject}: {role}"
        self.require(by, "people", detail)
        if not issuer.strip() or not subject.strip():
            raise UsageError("a role needs the issuer (a URL) and the subject of the person.")
        who, word = (issuer.strip(), subject.strip()), NONE if role is None else _role(role)
        try:
            with self._open("BEGIN IMMEDIATE") as sql:
                held = _held(sql)
                if self._admins_in(held):
                    check(replace(by, role=self._role_in(held, (by.issuer, by.subject))), "people")
                    if not self._admins_in({**held, who: word}, floor=False):
                        raise RefusedError(
                            "this is the last admin; make somebody else admin first, else nobody "
                            "could give roles any more."
                        )
                sql(
                    "INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)",
                    (*who, name or subject, word),
                )
        except RefusedError:
            self._note(by, "people", detail, allowed=False)
            raise

    def _listed(self) -> list[tuple[str, str]]:
        """Return `auth.admins`."""
        listed = self.auth.get("admins") or ()
        if not isinstance(listed, list | tuple):
            raise UsageError("auth: admins must be a list of {issuer: ..., subject: ...}.")
        found = []
        for one in listed:
            told = one if isinstance(one, Mapping) else {}
            who = tuple(str(told.get(k) or "").strip() for k in ("issuer", "subject"))
            if not all(who):
                raise UsageError(f"auth: an admin needs an issuer and a subject, got {one!r}.")
            found.append((who[0], who[1]))
        return found

    def _admins_in(
        self, held: Mapping[tuple[str, str], str], *, floor: bool = True
    ) -> set[tuple[str, str]]:
        """Return the admins by a role table; with `floor`, the file's list when there are none."""
        listed = set(self._listed())
        found = {w for w, r in held.items() if r == "admin"} | (listed - set(held))
        return found or (listed if floor else set())

    def _role_in(self, held: Mapping[tuple[str, str], str], who: tuple[str, str]) -> Role | None:
        if who in self._admins_in(held):
            return "admin"
        word = held.get(who) or self.auth.get("default_role")
        return None if word is None or word == NONE else _role(word)

    def require(self, person: Person, action: str, detail: str = "") -> None:
        """Stop unless `person` may do `action`; either way it goes into the audit log.

        Raises:
            RefusedError: it is not allowed.
        """
        try:
            if self.on and person.issuer == "local":
                raise RefusedError("this project asks for a sign-in.")
            check(person, action)
        except RefusedError:
            self._note(person, action, detail, allowed=False)
            raise
        self._note(person, action, detail, allowed=True)

    def audit(self, limit: int = 500) -> list[AuditLine]:
        """Return the newest lines of the audit log."""
        return AuditLog(self.folder).lines(limit)

    def _note(self, person: Person, action: str, detail: str, *, allowed: bool) -> None:
        AuditLog(self.folder).note(
            person.issuer, person.subject, person.name, action, detail, allowed=allowed
        )

    def _open(self, begin: str = "BEGIN") -> contextlib.AbstractContextManager[Any]:
        return open_database(self.folder, begin, _TABLES)


def _held(sql: Any) -> dict[tuple[str, str], str]:
    return {(i, s): r for i, s, r in sql("SELECT issuer, subject, role FROM people")}


def _role(word: Any) -> Role:
    if word not in ROLES:
        raise UsageError(f"unknown role {word!r}.{did_you_mean(str(word), ROLES)}")
    return next(r for r in ROLES if r == word)
