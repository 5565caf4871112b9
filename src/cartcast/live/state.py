"""Sessions in memory, every acknowledged event in a log: a killed server comes back whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from filelock import FileLock, Timeout
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from cartcast import atomic
from cartcast.errors import NotTrustedError, StorageError
from cartcast.findings import Finding
from cartcast.live.clocks import age_micros
from cartcast.live.event import Event
from cartcast.live.forgetting import forget, read_request, remove_request
from cartcast.live.log import Damage, Durability, Log, read_segment, segments
from cartcast.live.problems import Problem
from cartcast.live.quarantine import set_aside
from cartcast.live.resting import hash_at_rest, id_hash, pack_visitor, touched_at
from cartcast.live.room import make_room
from cartcast.live.scorer import Scorer
from cartcast.live.service import TURN, Answer, Render, render_in_turn
from cartcast.live.session import Rules, Session, Visitor, load_session
from cartcast.live.sessions import Outcome, Sessions
from cartcast.live.snapshot import Snapshot, newest_snapshot, read_snapshot

__all__ = ["MOST_MEMORY", "MemoryStore"]

SNAPSHOT_BYTES: Final = 64 * 2**20
"""Bytes of log after which a snapshot is taken and the log before it is removed."""
MOST_MEMORY: Final = 2 * 2**30
"""Bytes that sessions and visitors' histories may take."""
_SWEEP_SLICE: Final = 1_000
_SWEEP_PAUSE: Final = 0.02

logger = logging.getLogger(__name__)

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Event).decode


class MemoryStore:
    """Keeps sessions in this process; with a folder, every acknowledged event is also on disk.

    Args:
        scorer: folds and scores.
        rules: of sessions.
        folder: for log and snapshots; None keeps nothing.
        durability: what an acknowledged event survives, see `cartcast.live.log`.
        clock: microseconds by which sessions expire; tests and replays give their own.
        most_memory: bytes that sessions and histories may take (`cartcast.live.room`).
        event_clock: sessions expire by the newest arrival's time, for logs of the past.
        sweeps: look after expired sessions by itself; else `sweep` is called by the owner.
    """

    def __init__(
        self,
        scorer: Scorer,
        rules: Rules,
        folder: Path | None = None,
        durability: Durability = "fsync",
        clock: Callable[[], int] | None = None,
        sweeps: bool = True,
        event_clock: bool = False,
        most_memory: int = MOST_MEMORY,
    ) -> None:
        self.sessions = Sessions(scorer, rules)
        self.folder = folder if durability != "none" else None
        self.newest = 0
        self.clock: Callable[[], int] = clock or (self._newest if event_clock else age_micros)
        self.recovered = 0
        self.findings: list[Finding] = []
        self.most_memory = most_memory
        self.open_sessions = self.memory = self.settled = self.forgotten = self.refused = 0
        self._lane = asyncio.Lock()
        self._sweeps = sweeps
        self._durability: Durability = durability
        self._log: Log | None = None
        self._lock: FileLock | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._snapshot_bytes = 0

    def _newest(self) -> int:
        return self.newest

    async def open(self) -> None:
        """Read the last snapshot and the log after it, and start the housekeeping.

        Raises:
            StorageError: another server uses the folder, or a file in it is damaged.
            NotTrustedError: the states belong to another feature set.
        """
        if self.folder is not None:
            self._recover(self.folder)
        if self._sweeps:
            self._tasks.append(asyncio.create_task(self._sweep_for_ever()))

    async def close(self) -> None:
        """Take a last snapshot, so that the next start is quick, and let go of the folder."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._log is not None:
            await self._log.close()
            if self._log.bytes_written:
                await self._take_snapshot(final=True)
            self._log = None
        if self._lock is not None:
            self._lock.release()

    async def abandon(self) -> None:
        """Let go of the folder as a killed process does: what was acknowledged is in the log."""
        for task in self._tasks:
            task.cancel()
        if self._log is not None:
            await self._log.close()
        if self._lock is not None:
            self._lock.release()

    async def ingest(
        self, events: Sequence[Event], now: int, render: Render, each: bool = False
    ) -> list[Answer]:
        """Put events into their sessions, render the answers, return when all is durable.

        Raises:
            Problem: 503, when the disk refuses; nothing is acknowledged.
        """
        log = self._log
        if now > self.newest:
            self.newest = now
        if log is not None:
            log.check()
        if self.memory > self.most_memory:
            self._refuse_new(events)
        if len(events) <= TURN:
            answers = self._fold(events, now, render, each)
        else:
            async with self._lane:
                answers = await self._fold_in_turn(events, now, render, each)
        if log is None:
            return answers
        # A repeat waits too: the first sending may not be on disk yet.
        await log.commit()
        return answers

    def _fold(self, events: Sequence[Event], now: int, render: Render, each: bool) -> list[Answer]:
        log, apply = self._log, self.sessions.apply
        outcomes: list[Outcome] = []
        answers: list[Answer] = []
        for event in events:
            outcome = apply(event, now)
            if log is not None and outcome.counts:
                log.append(now, _ENCODE(outcome.event))
            if each:
                answers += render((outcome,), set())
            else:
                outcomes.append(outcome)
        return answers if each else render(outcomes, set())

    async def _fold_in_turn(
        self, events: Sequence[Event], now: int, render: Render, each: bool
    ) -> list[Answer]:
        """Fold a large batch; others get their turn in between."""
        outcomes: list[Outcome] = []
        answers: list[Answer] = []

        def hold(found: Sequence[Outcome], _: set[str]) -> list[Answer]:
            outcomes.extend(found)
            return []

        for start in range(0, len(events), TURN):
            answers += self._fold(events[start : start + TURN], now, render if each else hold, each)
            await asyncio.sleep(0)
        return answers if each else await render_in_turn(outcomes, render)

    def _refuse_new(self, events: Sequence[Event]) -> None:
        """Refuse a body that would open a session while there is no room.

        Raises:
            Problem: 503 with Retry-After.
        """
        index = self.sessions.index
        for event in events:
            if not any(key in index for key in Sessions.keys_of(event)):
                self.refused += 1
                raise Problem(
                    503,
                    "there is no room for new sessions; nothing was accepted",
                    rule=f"sessions take at most {self.most_memory} bytes",
                    headers={"Retry-After": "30"},
                )

    async def ready(self) -> None:
        """Return when the state can be written.

        Raises:
            Problem: 503, when the disk refuses.
        """
        if self._log is not None:
            self._log.check()

    def take(self, scorer: Scorer) -> None:
        """Use another model of the same feature set from the next event on."""
        self.sessions.scorer.let_go()
        self.sessions.scorer = scorer

    def counts(self) -> dict[str, int]:
        """Return the numbers of keys of open sessions and of visitors' histories."""
        return {"sessions": len(self.sessions.index), "visitors": len(self.sessions.visitors)}

    async def find_visitor(self, event: Event) -> Session | None:
        """Return the open session that an event of this visitor would join."""
        return self.sessions.find(Sessions.keys_of(event))

    async def find(self, identity: str) -> Session | None:
        """Return the open session with this id."""
        sessions = self.sessions
        named = sessions.find(("s" + identity,))
        if named is not None:
            return named
        wanted = id_hash(identity)
        for place, session in enumerate(list(sessions.index.values())):
            if isinstance(session, bytes):
                if hash_at_rest(session) == wanted:
                    return sessions.unpack(session)
            elif session.id == identity:
                return session
            if place % 10_000 == 9_999:
                await asyncio.sleep(0)
        return None

    def sweep(self, keys: Iterable[str]) -> None:
        """Expire, or put to rest, those of `keys` whose time has come."""
        sessions, now = self.sessions, self.clock()
        window = int(sessions.rules.late_window * 1e6)
        for key in keys:
            session = sessions.index.get(key)
            if session is None:
                continue
            if now > sessions.expires(session):
                del sessions.index[key]
            elif not isinstance(session, bytes) and now - session.touched > window:
                sessions.rest(session)

    async def _sweep_for_ever(self) -> None:
        while True:
            keys = list(self.sessions.index)
            for start in range(0, len(keys), _SWEEP_SLICE):
                self.sweep(keys[start : start + _SWEEP_SLICE])
                await asyncio.sleep(_SWEEP_PAUSE)
            who = list(self.sessions.visitors)
            for start in range(0, len(who), _SWEEP_SLICE):
                self.sweep_visitors(who[start : start + _SWEEP_SLICE])
                await asyncio.sleep(_SWEEP_PAUSE)
            if self._log is not None:
                limit = max(SNAPSHOT_BYTES, self._snapshot_bytes)
                if self._log.bytes_written > limit and self._log.failure is None:
                    await self._take_snapshot()
                await self._forget_asked(self._log)
            await self.make_room()
            await asyncio.sleep(1.0)

    async def make_room(self) -> None:
        """Weigh sessions and histories, and make room when they are too much."""
        room = await make_room(self.sessions, self.most_memory)
        self.memory, self.open_sessions = room.weight, room.sessions
        self.settled += room.settled
        self.forgotten += room.forgotten

    def status(self) -> dict[str, int]:
        """Return what there is to say of the state, in plain numbers; a few seconds old."""
        return {
            "open": self.open_sessions,
            "visitors": len(self.sessions.visitors),
            "memory_bytes": self.memory,
            "memory_limit_bytes": self.most_memory,
            "settled_early": self.settled,
            "visitors_forgotten": self.forgotten,
            "refused": self.refused,
            "recovered": self.recovered,
        }

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus may know of the state."""
        for name, what, now in (
            ("sessions", "Open sessions, by each of their keys.", len(self.sessions.index)),
            ("memory_bytes", "Memory of sessions and histories.", self.memory),
            ("memory_limit_bytes", "The most that they may take.", self.most_memory),
        ):
            yield GaugeMetricFamily(f"cartcast_{name}", what, now)
        for name, what, count in (
            ("sessions_settled_early", "Sessions settled to make room.", self.settled),
            ("visitors_forgotten", "Histories that gave way.", self.forgotten),
            ("sessions_refused", "New sessions without room.", self.refused),
            ("log_findings", "Damages found in the log.", len(self.findings)),
        ):
            yield CounterMetricFamily(f"cartcast_{name}", what, count)

    def sweep_visitors(self, names: Iterable[str]) -> None:
        """Forget, or put to rest, those visitors whose time has come."""
        sessions, now = self.sessions, self.clock()
        edge = now - int(sessions.rules.visitor_ttl * 1e6)
        window = now - int(sessions.rules.late_window * 1e6)
        for who in names:
            visitor = sessions.visitors.get(who)
            if isinstance(visitor, bytes):
                if touched_at(visitor) < edge:
                    del sessions.visitors[who]
            elif visitor is not None and visitor.touched < window:
                if visitor.epoch != sessions.epoch and sessions.before_change is not None:
                    sessions.before_change(visitor)
                sessions.visitors[who] = pack_visitor(visitor)

    async def _forget_asked(self, log: Log) -> None:
        """Forget those whom `cartcast forget` names, in memory and, by a snapshot, on disk."""
        keys = None if self.folder is None else read_request(self.folder)
        if self.folder is None or keys is None or log.failure is not None:
            return
        forget(self.sessions, keys)
        self.sessions.scorer.let_go()
        number = log.number + 1
        await self._take_snapshot()
        if (self.folder / f"snapshot-{number:010d}.bin").is_file():
            remove_request(self.folder)

    async def _take_snapshot(self, final: bool = False) -> None:
        assert self._log is not None
        assert self.folder is not None
        number = self._log.number + 1 if final else self._log.rotate()
        try:
            self._snapshot_bytes = await Snapshot(self.sessions, self.folder, number).run()
        except OSError as error:
            # The log is still whole, so nothing is lost; a later sweep tries again.
            logger.warning("no snapshot could be written: %s", error.strerror)
            return
        self._log.bytes_written = 0
        for old, path in segments(self.folder).items():
            if old < number:
                path.unlink()
        for path in self.folder.glob("snapshot-*.bin"):
            if path.name < f"snapshot-{number:010d}.bin":
                path.unlink()

    def _recover(self, folder: Path) -> None:
        try:
            atomic.make_folder(folder.parent)
            folder.mkdir(exist_ok=True, mode=0o700)
            self._lock = FileLock(folder / "lock", mode=0o600)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StorageError(
                f"{folder}: another server uses this state; give each its own --state-dir, or "
                "share sessions with --state redis://..."
            ) from None
        except OSError as error:
            raise StorageError(f"{folder}: cannot be used ({error.strerror}).") from error
        sessions, scorer = self.sessions, self.sessions.scorer
        first = 1
        self._check_fingerprint(folder, scorer.fingerprint)
        if (newest := newest_snapshot(folder)) is not None:
            first, path = newest
            for row in read_snapshot(path, scorer.fingerprint):
                if row[0] == "s":
                    session = load_session(row[1], lambda data: scorer.copy(scorer.load(data)))
                    for key in session.keys:
                        sessions.index[key] = session
                else:
                    sessions.visitors[row[1]] = Visitor.load(row[2])
        found = {n: p for n, p in segments(folder).items() if n >= first}
        newest_number = max(found, default=first - 1)
        for number, path in found.items():
            for one in read_segment(path, last=number == newest_number):
                if isinstance(one, Damage):
                    self.findings.append(set_aside(one))
                    continue
                now, data = one
                sessions.apply(_DECODE(data), now)
                self.recovered += 1
        self.newest = max(
            (s.touched for s in sessions.index.values() if not isinstance(s, bytes)), default=0
        )
        self._log = Log(folder, newest_number + 1, self._durability)
        self.sweep(list(sessions.index))

    def _check_fingerprint(self, folder: Path, fingerprint: str) -> None:
        path = folder / "features"
        if path.is_file():
            recorded = path.read_text(encoding="utf-8").strip()
            if recorded and recorded != fingerprint:
                raise NotTrustedError(
                    f"{folder}: its states belong to the feature set {recorded[:12]}, the model's "
                    f"is {fingerprint[:12]}; serve a model of that set, or start with an empty "
                    "--state-dir."
                )
            if recorded:
                return
        with atomic.atomic_path(path, secret=True) as temporary:
            temporary.write_text(fingerprint + "\n", encoding="utf-8")
