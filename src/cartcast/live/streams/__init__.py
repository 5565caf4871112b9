"""Sources and sinks of streams: Redis Streams, Kafka, files; one small protocol for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

__all__ = ["Message", "Row", "Sink", "Source"]


class Message(NamedTuple):
    """One message: its id in the source (for dead letters and repeats) and its body."""

    id: str
    body: bytes


class Row(NamedTuple):
    """One result: `key` is the same whenever the same result is written again."""

    key: str
    value: dict[str, Any]


class Source(Protocol):
    """Where messages come from; what was not committed comes again."""

    ended: bool
    """Whether there will be no more (files end, streams do not)."""

    async def open(self) -> None:
        """Connect and take up where the last commit was."""
        ...

    async def read(self, most: int, seconds: float) -> list[Message]:
        """Return up to `most` messages, none when nothing came within `seconds`."""
        ...

    async def commit(self, messages: Sequence[Message]) -> None:
        """Note that messages are done: their state is durable and their results written."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Sink(Protocol):
    """Where results go; a row written twice is there once, or can be told by its key."""

    async def open(self) -> None:
        """Connect."""
        ...

    async def write(self, rows: Sequence[Row]) -> None:
        """Write rows and return when the other side has them."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
