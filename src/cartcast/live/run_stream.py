"""A stream from its options: model, state, source, sinks, and a graceful stop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cartcast import system
from cartcast.errors import UsageError, did_you_mean
from cartcast.live.log import Durability
from cartcast.live.model import load_scorer
from cartcast.live.place import note_state
from cartcast.live.service import Live, Store
from cartcast.live.state import MemoryStore
from cartcast.live.stream import PROTOCOLS, pump, sink_of, source_of
from cartcast.runs.run import Run

__all__ = ["StreamPlan", "run_stream"]


@dataclass(frozen=True)
class StreamPlan:
    """What a stream is started with; see `cartcast stream --help`."""

    model: str
    project: str | None
    source: str
    sink: str
    dead: str | None
    group: str
    consumer: str
    protocol: str
    state: str
    state_dir: Path
    durability: str
    batch: int
    idle_seconds: float | None


def run_stream(plan: StreamPlan) -> dict[str, Any]:
    """Move messages until the source ends or the process is asked to stop.

    Raises:
        UsageError: a source, sink, state or protocol does not exist.
        NotFoundError, NotTrustedError: the model is not there, or not as recorded.
        StorageError: the state cannot be kept, or results not be delivered.
    """
    if plan.protocol not in PROTOCOLS:
        raise UsageError(
            f"unknown protocol {plan.protocol!r}.{did_you_mean(plan.protocol, PROTOCOLS)}"
        )
    if plan.durability not in ("fsync", "write", "none"):
        raise UsageError(f"--durability must be fsync, write or none, got {plan.durability!r}.")
    note_state(plan.project, plan.state)
    return asyncio.run(_main(plan))


async def _main(plan: StreamPlan) -> dict[str, Any]:
    project = Path(plan.project) if plan.project else None
    scorer = load_scorer(Run.open(plan.model, project))
    rules = scorer.rules
    from_file = "://" not in plan.source
    store: Store
    if plan.state == "memory":
        durability = cast("Durability", plan.durability)
        store = MemoryStore(scorer, rules, plan.state_dir, durability, event_clock=from_file)
    else:
        from cartcast.live.redis import RedisStore

        store = RedisStore(scorer, rules, plan.state)
    source = source_of(plan.source, plan.group, plan.consumer, plan.state_dir)
    sink, dead = sink_of(plan.sink), sink_of(plan.dead or _dead_of(plan.source))
    stop = asyncio.Event()
    with system.at_stop(lambda _: stop.set()):
        await store.open()
        try:
            report = await pump(
                Live(scorer, store),
                source,
                sink,
                dead,
                protocol=PROTOCOLS[plan.protocol],
                batch=plan.batch,
                stop=stop,
                idle_seconds=plan.idle_seconds,
                event_clock=from_file,
            )
        finally:
            await store.close()
    return report.as_dict()


def _dead_of(source: str) -> str:
    """Return where unreadable messages go by default: beside the source."""
    if "://" not in source:
        return f"{source}.dead.jsonl"
    if source.startswith("kafka://"):
        return f"{source.partition('?')[0]}.dead"
    return f"{source}.dead"
