"""What changes a project: only with `--allow-write`, and each attempt is in the audit log."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cartcast.mcp.answer import Answer
from cartcast.mcp.ask import Word
from cartcast.mcp.desk import Desk

__all__ = ["Promote", "promote"]

Reason = Annotated[str, Meta(min_length=5, max_length=300, description="Why; it is kept.")]


class Promote(msgspec.Struct, forbid_unknown_fields=True):
    """Which run gets which alias, and why."""

    run: Word
    reason: Reason
    alias: Literal["champion", "challenger"] = "champion"


def promote(desk: Desk, asked: Promote) -> Answer:
    """Give an alias to a run, after its files were checked.

    Raises:
        NotFoundError, NotTrustedError: there is no such run, or it is not as recorded.
    """
    from cartcast.monitoring.changes import announce

    registry = desk.registry()
    entry = registry.promote(asked.run, asked.alias, asked.reason)
    told = announce(registry, entry.target, asked.alias)
    a = Answer(desk)
    a.say(f"{a.quote(entry.target)}: {asked.alias} is now {a.quote(entry.run_id)}.")
    if told:
        a.say(f"{a.quote(told)}.")
    return a
