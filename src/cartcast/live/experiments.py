"""Arms of running experiments: an id in, arms out, exposures written before anybody is told.

A unit keeps the arm that it saw. What an id means is what it means in a log: words for nothing,
such as `guest`, are no id, so that strangers do not become one unit.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily

from cartcast.errors import did_you_mean
from cartcast.events.ids import PERSON_COLUMNS, text_reader
from cartcast.experiments.allocation import Kept
from cartcast.experiments.exposures import Exposure, ExposureFile
from cartcast.experiments.plan import Plan, read_plans
from cartcast.live.arms import Arm, Arms, Assign
from cartcast.live.changes import follow, stamps
from cartcast.live.event import Event, moment
from cartcast.live.problems import Problem
from cartcast.live.service import Answer

__all__ = ["Experiments", "meant", "require_meaning"]

logger = logging.getLogger(__name__)

MOST_AHEAD: Final = 300_000_000
"""Microseconds by which a device's clock may be ahead where it names the moment itself."""
_TURN: Final = 200
_meaning = text_reader("visitor_id")


class Experiments:
    """The experiments of one service.

    Args:
        paths: files and folders of plans.
        record: keeps the exposures.
        clock: microseconds since 1970 (UTC).

    Raises:
        NotFoundError, DefinitionError: see `read_plans`.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        record: ExposureFile,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._paths = tuple(map(Path, paths))
        self._seen = stamps(self._paths)
        self.plans = read_plans(paths)
        self.record = record
        self.written = 0
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cartcast-exposures")
        self._lock = asyncio.Lock()
        self._waiting: list[Exposure] = []
        self._next: asyncio.Task[None] | None = None

    async def assign(self, asked: Assign) -> Arms:
        """Return the arms that a request asks for; exposures are durable when it returns.

        Raises:
            Problem: 422 without an id, for one that means nothing, for an unknown experiment, or
                for a time that lies ahead; 503, when exposures cannot be written.
        """
        now = self._clock()
        at = now if asked.at is None else moment(asked.at, now, MOST_AHEAD, "at")
        given = {n: v for n in (*PERSON_COLUMNS, "unit") if (v := getattr(asked, n)) is not None}
        if not given:
            detail = f"unit: one of {', '.join(PERSON_COLUMNS)} and unit must be given"
            raise Problem(422, detail, field="unit", rule="must name who it is")
        ids = {name: require_meaning(name, value) for name, value in given.items()}
        for place, key in enumerate(asked.experiments or ()):
            self._check_named(f"experiments[{place}]", key, ids)
        arms, rows = self._look_up(ids, at, asked.experiments)
        if asked.expose:
            await self._write(arms, rows)
        return Arms(arms)

    async def tell(self, events: Sequence[Event], answers: Sequence[Answer], expose: bool) -> None:
        """Add arms to the answers that carry a score; with `expose` they count as seen.

        Raises:
            Problem: 503, when exposures cannot be written.
        """
        rows: list[Exposure] = []
        for place, (event, answer) in enumerate(zip(events, answers, strict=True)):
            if answer.model is None:
                continue
            ids = self.ids_of(event) | {"session_id": answer.session_id}
            arms, new = self._look_up(meant(ids), self._clock())
            answer.arms = {key: one.arm for key, one in arms.items()}
            rows += new
            if place % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        if expose:
            await self._write({}, rows)

    def ids_of(self, event: Event) -> dict[str, Any]:
        """Return the ids in an event by which experiments divide."""
        own = event.extra or {}
        return {p.unit: getattr(event, p.unit, own.get(p.unit)) for p in self.plans.values()}

    def look(self, ids: Mapping[str, Any]) -> dict[str, str | None]:
        """Return the arms of all running experiments for ids by name; nobody is exposed."""
        arms, _ = self._look_up(meant(ids), self._clock())
        return {key: one.arm for key, one in arms.items()}

    def _look_up(
        self, ids: Mapping[str, str], at: int, named: Sequence[str] | None = None
    ) -> tuple[dict[str, Arm], list[Exposure]]:
        """Return arms by experiment at a moment, and the exposures that would be new."""
        now = dt.datetime.fromtimestamp(at / 1e6, dt.UTC)
        found: dict[str, Arm] = {}
        new = []
        known: dict[str, Mapping[str, Kept]] = {}
        for key in self.plans if named is None else named:
            plan = self.plans[key]
            if (closed := plan.closed(now)) is not None:
                if named is not None:
                    found[key] = Arm(None, closed)
                continue
            unit = ids.get(plan.unit) or ids.get("unit")
            if unit is None:
                found[key] = Arm(None, "no unit")
                continue
            if unit not in known:
                try:
                    known[unit] = self.record.kept(unit)
                except sqlite3.Error as error:
                    raise _refused(error) from error
            given = plan.allocation.assign(unit, known[unit].get(key))
            found[key] = Arm(given.arm, given.reason, unit)
            if given.arm is not None and given.reason != "kept":
                new.append(Exposure(unit, key, plan.allocation.version, given.arm, at))
        return found, new

    def _check_named(self, field: str, key: str, ids: Mapping[str, str]) -> None:
        plan = self.plans.get(key)
        if plan is None:
            rule = "must be an experiment that the service knows"
            detail = f"{field} {rule}, got {key[:80]!r}.{did_you_mean(key[:80], self.plans)}"
            raise Problem(422, detail, field=field, rule=rule)
        if plan.unit not in ids and "unit" not in ids:
            unit = plan.unit if plan.unit in PERSON_COLUMNS else "unit"
            rule = f"needs {unit}, the id it divides by"
            raise Problem(422, f"{field}: {key} {rule}", field=field, rule=rule)

    async def _write(self, arms: Mapping[str, Arm], rows: Sequence[Exposure]) -> None:
        """Write exposures; return when they are durable, and mark the arms as seen.

        Raises:
            Problem: 503, when the disk refuses; nobody is told an arm then.
        """
        if rows:
            self._waiting += rows
            if self._next is None:
                self._next = asyncio.create_task(self._write_waiting())
            await asyncio.shield(self._next)
        for one in arms.values():
            one.exposed = one.arm is not None

    async def _write_waiting(self) -> None:
        """Write what waits once the write before is done: those of one moment share a sync."""
        async with self._lock:
            rows, self._waiting, self._next = self._waiting, [], None
            loop = asyncio.get_running_loop()
            try:
                self.written += await loop.run_in_executor(self._thread, self.record.add, rows)
            except sqlite3.Error as error:
                raise _refused(error) from error

    async def watch(self) -> None:
        """Take up changed plans; what is wrong with them is logged, and the old ones stay."""

        def take(plans: dict[str, Plan]) -> str:
            self.plans = plans
            return f"{len(plans)} experiments"

        await follow(lambda: self._paths, self._seen, lambda: read_plans(self._paths), take)

    def collect(self) -> Iterator[Metric]:
        """Yield what Prometheus may know."""
        what = "Units that saw an arm for the first time."
        yield CounterMetricFamily("cartcast_exposures", what, self.written)

    async def close(self) -> None:
        """Finish what is being written and let go of the record."""
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)
        async with self._lock:
            self._thread.shutdown()
            self.record.close()


def _refused(error: sqlite3.Error) -> Problem:
    logger.warning("the record of exposures cannot be used: %s", error)
    return Problem(
        503,
        "exposures cannot be kept now; nobody was told an arm",
        rule="every exposure that is acknowledged is on disk",
        headers={"Retry-After": "2"},
    )


def meant(ids: Mapping[str, Any]) -> dict[str, str]:
    """Return the ids that mean somebody, as a log has them."""
    return {name: text for name, v in ids.items() if (text := _meaning(v)) is not None}


def require_meaning(name: str, value: str) -> str:
    """Return an id as a log has it.

    Raises:
        Problem: 422, when it is a word for nothing.
    """
    text = _meaning(value)
    if text is None:
        rule = "must be an id of somebody"
        raise Problem(422, f"{name} {rule}, got {value[:80]!r}", field=name, rule=rule)
    return text
