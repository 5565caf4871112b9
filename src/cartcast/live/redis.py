"""Sessions in Redis, shared by several workers or hosts.

Requests of one moment are read together (one MGET), folded here, and written by one script that
compares versions first: when another worker was quicker, everything is read and folded again.
Nothing is acknowledged before Redis has answered. Needs one Redis (7.0 or later), not a cluster;
what Redis survives is Redis' own setting: `appendonly yes` with `appendfsync always`. With
`everysec` Redis may answer before it has written, while an earlier fsync is still running.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from random import random
from typing import Any, Final, NamedTuple

from prometheus_client import Metric
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as SlowError

from cartcast.errors import NotTrustedError, StorageError
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.scorer import Scorer
from cartcast.live.service import TURN, Answer, Render, render_in_turn
from cartcast.live.session import (
    Rules,
    Session,
    Visitor,
    decode,
    dump_session,
    encode,
    load_session,
)
from cartcast.live.sessions import Outcome, Sessions, visitor_of

__all__ = ["RedisStore"]

logger = logging.getLogger(__name__)

# Writes all values when every key still has the version (first 8 bytes) that was read.
_WRITE: Final = """
local checked = tonumber(ARGV[1])
for i = 1, checked do
  if redis.call('GETRANGE', KEYS[i], 0, 7) ~= ARGV[1 + i] then return 0 end
end
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[1 + checked + 2 * i - 1], 'PX', ARGV[1 + checked + 2 * i])
end
return 1
"""
_MOST_EVENTS: Final = 2_000
_ATTEMPTS: Final = 30
_POINTER = b"@"
CLOSE_SECONDS: Final = 2.0
"""Time that a stopping server gives Redis to take what was begun."""


class _Waiting(NamedTuple):
    events: Sequence[Event]
    now: int
    render: Render
    each: bool
    done: asyncio.Future[list[Answer]]


class _Read(NamedTuple):
    sessions: Sessions
    versions: dict[str, bytes]


class RedisStore:
    """Keeps sessions and visitors' histories in Redis.

    Args:
        scorer: folds and scores.
        rules: of sessions.
        url: `redis://host:port/db` or `rediss://` with TLS.
        prefix: of every key.
        timeout: seconds for one exchange with Redis.
    """

    def __init__(
        self,
        scorer: Scorer,
        rules: Rules,
        url: str,
        prefix: str = "cartcast:",
        timeout: float = 2.0,
    ) -> None:
        self._scorer = scorer
        self._rules = rules
        self._prefix = prefix
        self._url = url
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[LostError],
            protocol=2,
        )
        self._write: Any = None
        self._queue: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Check that Redis is there and holds states of this feature set.

        Raises:
            StorageError: Redis does not answer.
            NotTrustedError: its states belong to another feature set.
        """
        self._write = self._redis.register_script(_WRITE)
        name, fingerprint = f"{self._prefix}features", self._scorer.fingerprint
        try:
            await self._redis.set(name, fingerprint, nx=True)
            recorded = (await self._redis.get(name)).decode()
        except RedisError as error:
            await self._redis.aclose()
            raise StorageError(f"Redis does not answer ({error}); start it first.") from error
        if recorded != fingerprint:
            await self._redis.aclose()
            raise NotTrustedError(
                f"Redis: its states belong to the feature set {recorded[:12]}, the model's is "
                f"{fingerprint[:12]}; serve a model of that set, or give another --prefix."
            )

    async def close(self) -> None:
        """Finish what was begun and disconnect; refuse it when Redis takes too long."""
        if self._worker is not None:
            await asyncio.wait([self._worker], timeout=CLOSE_SECONDS)
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        await self._redis.aclose()

    async def ingest(
        self, events: Sequence[Event], now: int, render: Render, each: bool = False
    ) -> list[Answer]:
        """Put events into their sessions, render the answers, return when Redis has them.

        Raises:
            Problem: 503, when Redis does not answer; nothing is acknowledged.
        """
        done: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(events, now, render, each, done))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await done

    async def ready(self) -> None:
        """Return when Redis answers.

        Raises:
            Problem: 503, when it does not.
        """
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise _gone(error) from error

    def take(self, scorer: Scorer) -> None:
        """Use another model of the same feature set from the next event on."""
        self._scorer = scorer

    def counts(self) -> dict[str, int]:
        """Return nothing: other workers' sessions are not counted here."""
        return {}

    def status(self) -> dict[str, int]:
        """Return nothing, as `counts`."""
        return {}

    def collect(self) -> tuple[Metric, ...]:
        """Return nothing: what Redis holds, Redis tells its own exporter."""
        return ()

    async def find(self, identity: str) -> Session | None:
        """Return the open session with this id."""
        try:
            named = await self._load(["s" + identity], [])
            if found := named.sessions.find(("s" + identity,)):
                return found
            key = await self._redis.get(f"{self._prefix}i:{identity}")
            if key is None:
                return None
            read = await self._load([key.decode()], [])
        except (RedisError, OSError) as error:
            raise _gone(error) from error
        found = read.sessions.find((key.decode(),))
        return found if found is not None and found.id == identity else None

    async def find_visitor(self, event: Event) -> Session | None:
        """Return the open session that an event of this visitor would join."""
        keys = Sessions.keys_of(event)
        try:
            return (await self._load(list(keys), [])).sessions.find(keys)
        except (RedisError, OSError) as error:
            raise _gone(error) from error

    async def _work(self) -> None:
        try:
            while self._queue:
                group = [self._queue.popleft()]
                size = len(group[0].events)
                while self._queue and size + len(self._queue[0].events) <= _MOST_EVENTS:
                    group.append(self._queue.popleft())
                    size += len(group[-1].events)
                await self._serve(group)
        finally:
            self._worker = None

    async def _serve(self, group: list[_Waiting]) -> None:
        """Serve a group; one that meets another worker's writes is served one by one."""
        try:
            if await self._try(group):
                return
            for waiting in group:
                for attempt in range(_ATTEMPTS):
                    if await self._try([waiting]):
                        break
                    await asyncio.sleep(random() * 0.002 * attempt)  # noqa: S311 - a pause
                else:
                    raise Problem(
                        503, "too many writers of one session", headers={"Retry-After": "1"}
                    )
        except asyncio.CancelledError as error:
            _fail([*group, *self._queue], _gone(error))
            self._queue.clear()
            raise
        except (RedisError, OSError) as error:
            logger.warning("Redis does not answer: %s", type(error).__name__)
            _fail(group, _gone(error))
        except Problem as problem:
            _fail(group, problem)
        except Exception as error:
            # Whoever waits must hear of it: the gate answers with 500.
            logger.exception("unexpected error while folding")
            _fail(group, error)

    async def _try(self, group: list[_Waiting]) -> bool:
        """Read, fold and write a group; return whether nobody else wrote meanwhile."""
        events = [event for waiting in group for event in waiting.events]
        keys = {key for event in events for key in Sessions.keys_of(event)}
        who = set()
        if self._scorer.reads_history:
            who = {name for event in events if (name := visitor_of(event)) is not None}
        read = await self._load(sorted(keys), sorted(who))
        sessions, window = read.sessions, int(self._rules.late_window * 1e6)
        answers, dirty = [], {}
        for waiting in group:
            outcomes: list[Outcome] = []
            said: list[Answer] = []
            for place, event in enumerate(waiting.events, 1):
                if place % TURN == 0:
                    await asyncio.sleep(0)
                # As the sweeper does for sessions in memory.
                known = sessions.find(Sessions.keys_of(event))
                if known is not None and not known.settled and waiting.now - known.touched > window:
                    sessions.settle(known)
                outcome = sessions.apply(event, waiting.now)
                if waiting.each:
                    said += waiting.render((outcome,), set())
                else:
                    outcomes.append(outcome)
                if outcome.counts:
                    dirty[id(outcome.session)] = outcome.session
            answers.append(await render_in_turn(outcomes, waiting.render) if outcomes else said)
        if dirty and not await self._store(read, list(dirty.values()), who):
            return False
        for waiting, answer in zip(group, answers, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(answer)
        return True

    async def _load(self, keys: list[str], visitors: list[str]) -> _Read:
        prefix, scorer = self._prefix, self._scorer
        names = [f"{prefix}k:{key}" for key in keys] + [f"{prefix}h:{who}" for who in visitors]
        values = await self._redis.mget(names)
        blobs: dict[str, bytes | None] = dict(zip(keys, values, strict=False))
        pointed = {v[1:].decode() for v in blobs.values() if v is not None and v[:1] == _POINTER}
        missing = sorted(pointed - blobs.keys())
        if missing:
            found = await self._redis.mget([f"{prefix}k:{key}" for key in missing])
            blobs.update(zip(missing, found, strict=True))
        sessions = Sessions(scorer, self._rules)
        versions = {f"{prefix}k:{key}": b"" for key in keys}
        loaded: dict[str, Session] = {}
        for key, blob in blobs.items():
            if blob is not None and blob[:1] != _POINTER:
                versions[f"{prefix}k:{key}"] = blob[:8]
                loaded[key] = load_session(decode(blob[8:]), scorer.load)
            elif blob is not None:
                versions[f"{prefix}k:{key}"] = blob[:8]
        for key, blob in blobs.items():
            at = key
            if blob is not None and blob[:1] == _POINTER:
                at = blob[1:].decode()
            if at in loaded:
                sessions.index[key] = loaded[at]
        for who, value in zip(visitors, values[len(keys) :], strict=True):
            versions[f"{prefix}h:{who}"] = b"" if value is None else value[:8]
            if value is not None:
                sessions.visitors[who] = Visitor.load(decode(value[8:]))
        return _Read(sessions, versions)

    async def _store(self, read: _Read, dirty: list[Session], who: set[str]) -> bool:
        prefix, sessions = self._prefix, read.sessions
        current = {id(s): s for s in sessions.index.values()}
        checked: dict[str, tuple[bytes, int]] = {}
        free: dict[str, tuple[bytes, int]] = {}
        for session in dirty:
            if id(session) not in current:
                continue
            life = max((sessions.expires(session) - session.touched) // 1000, 1)
            primary = session.keys[0]
            blob = encode(dump_session(session, self._scorer.dump))
            checked[f"{prefix}k:{primary}"] = (blob, life)
            for key in session.keys[1:]:
                name = f"{prefix}k:{key}"
                target = checked if name in read.versions else free
                target[name] = (_POINTER + primary.encode(), life)
            if primary[0] != "s":
                free[f"{prefix}i:{session.id}"] = (primary.encode(), life)
        life = int(self._rules.visitor_ttl * 1000)
        for name in who & sessions.visitors.keys():
            checked[f"{prefix}h:{name}"] = (encode(sessions.visitor(name).dump()), life)
        versions, values = [], []
        for name, (value, ms) in checked.items():
            before = read.versions.get(name, b"")
            versions.append(before)
            values += [value if value[:1] == _POINTER else _next(before) + value, ms]
        for value, ms in free.values():
            values += [value, ms]
        arguments = [len(versions), *versions, *values]
        return bool(await self._write(keys=[*checked, *free], args=arguments))


def _next(version: bytes) -> bytes:
    """Return the version after `version`; its first byte is never that of a pointer."""
    number = int.from_bytes(version[1:], "big") if version[:1] == b"\x01" else 0
    return b"\x01" + (number + 1).to_bytes(7, "big")


def _gone(error: BaseException) -> Problem:
    slow = isinstance(error, SlowError)
    return Problem(
        503,
        f"Redis {'is too slow' if slow else 'does not answer'}; send the events again",
        rule="every acknowledged event is in Redis",
        headers={"Retry-After": "2"},
    )


def _fail(group: list[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
