"""Roles: what they are, and the least one that each action needs."""

from __future__ import annotations

from typing import Literal

from cartcast.errors import CartcastError, UsageError, did_you_mean

__all__ = ["ACTIONS", "ROLES", "RefusedError", "Role", "covers", "require_role"]

Role = Literal["viewer", "analyst", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "analyst", "admin")
"""From least to most; each may do all that the one before may."""

ACTIONS: dict[str, Role] = {
    "view": "viewer",
    "predict": "viewer",
    "export": "analyst",
    "upload": "analyst",
    "train": "analyst",
    "cancel": "analyst",
    "experiment": "analyst",
    "segment": "analyst",
    "board": "analyst",
    "watch": "analyst",
    "alarm": "analyst",
    "silence": "admin",
    "promote": "admin",
    "rollback": "admin",
    "delete": "admin",
    "restore": "admin",
    "people": "admin",
}
"""The least role for each action."""


class RefusedError(CartcastError):
    """The person may not do this, or is not signed in any more."""

    exit_status = 5


def covers(role: Role | None, action: str) -> bool:
    """Return whether a role, or None for no role, covers `action`.

    Raises:
        UsageError: there is no such action.

    >>> covers("admin", "promote"), covers("analyst", "promote"), covers(None, "view")
    (True, False, False)
    """
    if action not in ACTIONS:
        raise UsageError(f"unknown action {action!r}.{did_you_mean(action, ACTIONS)}")
    return role is not None and ROLES.index(role) >= ROLES.index(ACTIONS[action])


def require_role(role: Role | None, action: str, whose: str = "yours") -> None:
    """Stop unless the role covers `action`.

    Raises:
        RefusedError: it does not.
    """
    if not covers(role, action):
        raise RefusedError(
            f"{action} needs the role {ACTIONS[action]}; {whose} is {role or 'none'}. "
            "Ask an admin of this project."
        )
