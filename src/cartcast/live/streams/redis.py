"""Redis Streams as source (consumer group) and sink."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError, ResponseError

from cartcast.live.streams import Message, Row

__all__ = ["RedisSink", "RedisSource"]

logger = logging.getLogger(__name__)

CLAIM_MILLISECONDS: Final = 30_000
"""A message that another consumer has held this long without an answer is taken over."""
_KEY_MILLISECONDS: Final = 7 * 86_400_000
_WRITE: Final = """
local written = 0
for i = 2, #KEYS do
  if redis.call('SET', KEYS[i], 1, 'NX', 'PX', ARGV[1]) then
    redis.call('XADD', KEYS[1], '*', 'body', ARGV[i])
    written = written + 1
  end
end
return written
"""


def _connect(url: str) -> Any:
    retry = Retry(NoBackoff(), 1)
    return Redis.from_url(
        url, socket_timeout=30.0, socket_connect_timeout=5.0, retry=retry, protocol=2
    )


async def _until_back(what: Callable[[], Awaitable[Any]]) -> Any:
    """Call again until Redis answers; it comes back by itself or is brought back."""
    pause = 0.05
    while True:
        try:
            return await what()
        except (LostError, OSError, TimeoutError) as error:
            logger.warning("Redis does not answer: %s; trying again", type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        except ResponseError as error:
            if not str(error).startswith("LOADING"):
                raise
            await asyncio.sleep(pause)


class RedisSource:
    """Messages of a stream, read by a consumer of a group; the field `body` holds the event.

    Args:
        url: of the Redis server.
        stream: name of the stream.
        group: name of the group; made when it is not there, from the stream's beginning.
        consumer: name of this consumer; one that comes back by its name gets its own first.
        claim: milliseconds after which another consumer's unanswered messages are taken over.
    """

    ended = False

    def __init__(
        self,
        url: str,
        stream: str,
        group: str,
        consumer: str,
        claim: int = CLAIM_MILLISECONDS,
    ) -> None:
        self._redis = _connect(url)
        self._stream, self._group, self._consumer = stream, group, consumer
        self._claim = claim
        self._own = True

    async def open(self) -> None:
        """Make the group when it is not there."""

        async def make() -> None:
            try:
                await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

        await _until_back(make)

    async def read(self, most: int, seconds: float) -> list[Message]:
        """Return messages: first our own unanswered ones, then abandoned ones, then new ones."""

        async def get() -> list[tuple[bytes, dict[bytes, bytes]]]:
            streams = {self._stream: "0" if self._own else ">"}
            if self._own:
                found = await self._redis.xreadgroup(
                    self._group, self._consumer, streams, count=most
                )
                entries = found[0][1] if found else []
                if entries:
                    return list(entries)
                self._own = False
            _, entries, *_ = await self._redis.xautoclaim(
                self._stream, self._group, self._consumer, self._claim, count=most
            )
            if entries:
                return list(entries)
            found = await self._redis.xreadgroup(
                self._group,
                self._consumer,
                {self._stream: ">"},
                count=most,
                block=max(int(seconds * 1000), 1),
            )
            return list(found[0][1]) if found else []

        try:
            entries = await get()
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("Redis does not answer: %s", type(error).__name__)
            self._own = True
            await asyncio.sleep(0.2)
            return []
        return [
            Message(f"{self._stream}:{number.decode()}", (fields or {}).get(b"body", b""))
            for number, fields in entries
        ]

    async def commit(self, messages: Sequence[Message]) -> None:
        """Acknowledge the messages."""
        if messages:
            numbers = [m.id.rpartition(":")[2] for m in messages]
            await _until_back(lambda: self._redis.xack(self._stream, self._group, *numbers))

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose()


class RedisSink:
    """Entries of a stream, each written once: its key is remembered for seven days."""

    def __init__(self, url: str, stream: str) -> None:
        self._redis = _connect(url)
        self._stream = stream
        self._script: Any = None

    async def open(self) -> None:
        """Register the script that writes an entry only once."""
        self._script = self._redis.register_script(_WRITE)

    async def write(self, rows: Sequence[Row]) -> None:
        """Write the rows; returns when Redis has them."""
        if not rows:
            return
        keys = [self._stream, *(f"{self._stream}:written:{row.key}" for row in rows)]
        bodies = [msgspec.json.encode({"key": row.key, **row.value}) for row in rows]
        await _until_back(lambda: self._script(keys=keys, args=[_KEY_MILLISECONDS, *bodies]))

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose()
