"""The keeper: decisions of one moment go to the outbox in one transaction, beside the loop."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from cartcast.activation.counts import waiting
from cartcast.activation.judge import Verdict
from cartcast.activation.outbox import Outbox
from cartcast.activation.plan import Activation
from cartcast.activation.run import decide_in
from cartcast.errors import CartcastError, StorageError
from cartcast.live.problems import Problem

__all__ = ["Asked", "Keeper"]

logger = logging.getLogger(__name__)

SAVE_SECONDS: Final = 10.0
"""How often the counts of decisions are written down."""


@dataclass
class Asked:
    """Activations of one session whose caps and arm are to be asked.

    Attributes:
        rows: activation and what is known, by name.
        at: the moment of decision.
        occasion: the session; asked again, it is the same contact.
        keep: whether what is decided counts.
        verdicts: what came of each; a text says why it could not be judged.
    """

    rows: Mapping[str, tuple[Activation, Mapping[str, Any]]]
    at: dt.datetime
    occasion: str
    keep: bool
    verdicts: dict[str, Verdict | str] = field(default_factory=dict)


class Keeper:
    """Keeps decisions in an outbox, durably before they are told.

    Caps are looked at and contacts written in one transaction, so that several workers contact
    nobody twice; those who wait at one moment share it.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.told: Counter[tuple[str, str]] = Counter()
        self._unsaved: Counter[tuple[str, str]] = Counter()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cartcast-decisions")
        self._open = False
        self._held = contextlib.ExitStack()
        self._lock = asyncio.Lock()
        self._waiting: list[Asked] = []
        self._next: asyncio.Task[None] | None = None

    def count(self, activation: str, reason: str) -> None:
        """Count a decision; it is written down within seconds."""
        self.told[activation, reason] += 1
        self._unsaved[activation, reason] += 1

    async def settle(self, asked: Asked) -> None:
        """Judge and keep; return when it is durable.

        Raises:
            Problem: 503, when the outbox refuses; nothing of it is kept then.
        """
        self._waiting.append(asked)
        if self._next is None:
            self._next = asyncio.create_task(self._take_waiting())
        await asyncio.shield(self._next)

    async def _take_waiting(self) -> None:
        async with self._lock:
            asked, self._waiting, self._next = self._waiting, [], None
            try:
                await self._beside(self._judge, asked)
            except StorageError as error:
                logger.warning("the outbox cannot be used: %s", error)
                raise Problem(
                    503, "decisions cannot be kept now; nobody was told one",
                    rule="every decision that is told is on disk", headers={"Retry-After": "2"},
                ) from error  # fmt: skip

    def _judge(self, asked: Sequence[Asked]) -> None:
        if not self._open:
            self._held.enter_context(self.outbox.held())
            self._open = True
        with self.outbox.transaction() as con:
            for one in asked:
                for key, (activation, row) in one.rows.items():
                    con.execute("SAVEPOINT one")
                    try:
                        one.verdicts[key] = decide_in(
                            con, activation, row, self.outbox, at=one.at, occasion=one.occasion,
                            keep=one.keep,
                        )  # fmt: skip
                    except CartcastError as error:
                        con.execute("ROLLBACK TO one")
                        one.verdicts[key] = str(error)
                    con.execute("RELEASE one")

    async def _beside(self, work: Callable[..., None], *what: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *what)

    async def save_counts(self) -> None:
        """Write counts down now and then, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()

    async def _save(self) -> None:
        async with self._lock:
            counted, self._unsaved = self._unsaved, Counter()
            try:
                if counted:
                    await self._beside(self._write_counts, counted)
            except StorageError as error:
                self._unsaved += counted
                logger.warning("the counts of decisions are not written down: %s", error)

    def _write_counts(self, counted: Counter[tuple[str, str]]) -> None:
        now = dt.datetime.now(dt.UTC)
        with self.outbox.transaction() as con:
            for (key, reason), n in counted.items():
                self.outbox.count(con, key, now, {reason: n})

    def collect(self, names: Iterable[str]) -> Iterator[Metric]:
        """Yield what Prometheus may know; reads the outbox, so not for the loop."""
        told = CounterMetricFamily(
            "cartcast_decisions", "Decisions of activations, by what was decided.",
            labels=["activation", "reason"],
        )  # fmt: skip
        for (key, reason), n in sorted(self.told.copy().items()):
            told.add_metric([key, reason], n)
        yield told
        undelivered = GaugeMetricFamily(
            "cartcast_outbox_messages", "Messages that are not delivered: due, or dead letters.",
            labels=["activation", "state"],
        )  # fmt: skip
        oldest = GaugeMetricFamily(
            "cartcast_outbox_oldest_seconds", "Age of the oldest message that is due.",
            labels=["activation"],
        )  # fmt: skip
        try:
            for one in waiting(self.outbox, names):
                undelivered.add_metric([one.activation, "due"], one.due)
                undelivered.add_metric([one.activation, "dead"], one.dead)
                oldest.add_metric([one.activation], one.age)
        except StorageError as error:
            logger.warning("the outbox cannot be read: %s", error)
            return
        yield from (undelivered, oldest)

    async def close(self) -> None:
        """Finish what is being decided, and write the counts down."""
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)
        await self._save()
        await self._beside(self._held.close)
        self._thread.shutdown()
