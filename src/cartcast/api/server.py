"""One server process, or several behind one port: load the model, open the state, serve."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import uvicorn

from cartcast import system
from cartcast.access.keys import KeyFile, Keys
from cartcast.api.app import Service
from cartcast.api.fast import FastProtocol
from cartcast.api.logs import configure
from cartcast.api.settings import Served, require_safe
from cartcast.config import read_settings
from cartcast.errors import CartcastError, StorageError, UsageError
from cartcast.live.event import Event, now_micros
from cartcast.live.model import ModelScorer, load_scorer
from cartcast.live.no_model import NONE, NoModel
from cartcast.live.place import note_state
from cartcast.live.record import ScoreRecord
from cartcast.live.scorer import Scorer
from cartcast.live.service import Live, Store
from cartcast.live.session import Rules
from cartcast.live.state import MOST_MEMORY, MemoryStore
from cartcast.live.watched import WatchedRuns

if TYPE_CHECKING:
    from cartcast.activation.decisions import Decisions
    from cartcast.live.experiments import Experiments

__all__ = ["Plan", "make_experiments", "make_store", "serve"]

logger = logging.getLogger(__name__)
GRACE_SECONDS: Final = 5
"""Time that requests in flight have after SIGTERM; then they are answered with 503."""
SWITCH_SECONDS: Final = 0.001
"""How long the thread that reads large bodies may keep the loop waiting."""
CHAMPION_SECONDS = 2.0
"""How often the registry is asked for a new champion."""


@dataclass(frozen=True)
class Plan:
    """Everything a server is started with.

    Attributes:
        model: run folder, run id or alias; `none` tells arms without scores.
        project: project folder of the registry, or None.
        host, port: address; port 0 takes a free one.
        state: `memory` or `redis://...`.
        state_dir: folder of the log and snapshots of `memory`; None keeps nothing.
        durability: `fsync`, `write` or `none`.
        late_window, session_ttl: see `cartcast.live.session.Rules`.
        record_dir: folder of the record of scores, or None.
        most_record: bytes that it may hold; 0 keeps no record.
        shadow: run folder, run id or alias of a model that is scored beside, for the record.
        most_memory: bytes that sessions and histories in memory may take.
        keys: file of keys, or None.
        open_to_all: serve other machines without keys.
        workers: processes; more than one need Redis.
        tls_cert, tls_key: files, or None.
        log_level: `debug`, `info`, `warning` or `error`.
        experiments: files and folders of plans whose arms are told.
        activation: file of the activations that are decided, or None.
        outbox: file that keeps what was decided.
        served: limits.
    """

    model: str
    project: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    state: str = "memory"
    state_dir: str | None = None
    durability: Literal["fsync", "write", "none"] = "fsync"
    late_window: float = 120.0
    session_ttl: float = 14_400.0
    record_dir: str | None = None
    most_record: int = 0
    shadow: str | None = None
    most_memory: int = MOST_MEMORY
    keys: str | None = None
    open_to_all: bool = False
    workers: int = 1
    tls_cert: str | None = None
    tls_key: str | None = None
    log_level: str = "info"
    experiments: tuple[str, ...] = ()
    activation: str | None = None
    outbox: str = ""
    served: Served = field(default_factory=Served)


def serve(plan: Plan, announce: Callable[[str], None]) -> None:
    """Serve until stopped; `announce` is told the address once events can be taken.

    Raises:
        UsageError: the plan would be unsafe, or does not fit together.
        NotFoundError, NotTrustedError: the model is not there, or not as recorded.
        NotFoundError, DefinitionError: a plan is not there, or declared wrongly.
        StorageError: the port is taken, or the state cannot be opened.
    """
    has_keys = bool(plan.keys and KeyFile(Path(plan.keys)).read())
    require_safe(plan.host, has_keys, plan.open_to_all)
    if bool(plan.tls_cert) != bool(plan.tls_key):
        raise UsageError("--tls-cert and --tls-key must be given together.")
    if plan.durability not in ("fsync", "write", "none"):
        raise UsageError(f"--durability must be fsync, write or none, got {plan.durability!r}.")
    if plan.shadow and not plan.most_record:
        raise UsageError("--shadow is for the record of scores, and there is none: --record 1GB.")
    if plan.model == NONE and (plan.most_record or not plan.experiments):
        raise UsageError(
            "--model none tells arms, without scores: give --experiments, and no --record."
        )
    if plan.experiments:
        from cartcast.experiments.plan import read_plans

        read_plans(plan.experiments)
    if plan.activation:
        from cartcast.activation.decisions import declared

        _require_ids_as_sent(plan)
        declared(Path(plan.activation))
    configure(plan.log_level)
    note_state(plan.project, plan.state)
    if plan.workers > 1:
        if plan.state == "memory":
            raise UsageError(
                "several workers need shared sessions: give --state redis://host:6379/0, or shard "
                "by visitor over single workers (docs/sizing.md)."
            )
        _several(plan, announce)
        return
    with system.listen(plan.host, plan.port) as listener:
        _run(_one(plan, listener, announce))


def make_store(plan: Plan, scorer: Scorer) -> Store:
    """Return the store that the plan names, not yet opened."""
    trained = scorer.rules if isinstance(scorer, ModelScorer) else Rules()
    rules = replace(trained, late_window=plan.late_window, session_ttl=plan.session_ttl)
    if plan.state == "memory":
        folder = Path(plan.state_dir) if plan.state_dir else None
        durability = plan.durability if folder else "none"
        return MemoryStore(scorer, rules, folder, durability, most_memory=plan.most_memory)
    if plan.state.startswith(("redis://", "rediss://")):
        from cartcast.live.redis import RedisStore

        return RedisStore(scorer, rules, plan.state)
    raise UsageError(f"--state must be memory or redis://..., got {plan.state!r}.")


def make_experiments(plan: Plan) -> Experiments | None:
    """Return the experiments that the plan names, None without any.

    Raises:
        NotFoundError, DefinitionError: a plan is not there, or declared wrongly.
        StorageError: the record of exposures cannot be opened.
    """
    if not plan.experiments:
        return None
    from cartcast.experiments.exposures import FILE, ExposureFile
    from cartcast.live.experiments import Experiments

    kept = plan.state_dir is not None and plan.durability != "none"
    path = Path(plan.state_dir or "") / FILE if kept else None
    return Experiments(plan.experiments, ExposureFile(path, plan.durability))


def make_decisions(plan: Plan, live: Live) -> Decisions | None:
    """Return the activations that the plan names, None without any.

    Raises:
        NotFoundError, DefinitionError, UsageError: the file is not there, or declared wrongly.
    """
    if not plan.activation:
        return None
    from cartcast.activation.decisions import Decisions
    from cartcast.activation.outbox import Outbox

    made = Decisions(plan.activation, Outbox(plan.outbox), live)
    live.gauges.append(made.collect)
    return made


def _require_ids_as_sent(plan: Plan) -> None:
    """Refuse a project that lists know by pseudonyms: caps would not hold across both."""
    if plan.project and read_settings(Path(plan.project)).privacy:
        raise UsageError(
            "--activation: this project replaces ids by pseudonyms, and pages and trackers do not, "
            "so that caps and opt-outs would not hold across lists and the service."
        )


def resolve(plan: Plan, name: str | None = None) -> Path:
    """Return the run folder that the plan's model, or `name`, names now."""
    from cartcast.runs.registry import resolve_run

    project = Path(plan.project) if plan.project else None
    return resolve_run(name or plan.model, project)


def warm(scorer: Scorer) -> None:
    """Fold and score once, so that the first visitor does not wait for compiled code."""
    state = scorer.step(scorer.start(), Event("page_view", now_micros(), "warm"))
    scorer.score(state)
    scorer.score(scorer.copy(state))


async def _one(plan: Plan, listener: socket.socket, announce: Callable[[str], None]) -> None:
    run_dir = None if plan.model == NONE else resolve(plan)
    scorer: Scorer = NoModel() if run_dir is None else load_scorer(run_dir)
    warm(scorer)
    live = Live(scorer, make_store(plan, scorer), make_experiments(plan))
    await live.store.open()
    try:
        keys = Keys(KeyFile(Path(plan.keys)) if plan.keys else None)
        watch = () if run_dir is None else (_watch(plan, live, run_dir),)
        background = [*watch, *_recorded(plan, live)]
        decisions = make_decisions(plan, live)
        service = Service(live, keys, plan.served, background, opens=False, decisions=decisions)
        config = uvicorn.Config(
            service,
            http=FastProtocol,
            access_log=False,
            log_config=None,
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=512,
            server_header=False,
            date_header=False,
            ssl_certfile=plan.tls_cert,
            ssl_keyfile=plan.tls_key,
        )
        scheme = "https" if plan.tls_cert else "http"
        host, port = listener.getsockname()[:2]
        _spare_garbage_collection()
        sys.setswitchinterval(SWITCH_SECONDS)
        announce(f"serving {scorer.version} on {scheme}://{host}:{port}")
        await _Server(config).serve(sockets=[listener])
    finally:
        await live.close()


def _recorded(plan: Plan, live: Live) -> Iterator[Callable[[], Any]]:
    """Yield what runs beside for the record of scores; tell scrapes what the watch last said."""
    if plan.project:
        live.gauges.append(WatchedRuns(Path(plan.project)).collect)
    if plan.most_record and plan.record_dir:
        live.record = ScoreRecord(Path(plan.record_dir), plan.most_record)
        live.gauges.append(live.record.collect)
        yield live.record.keep


def _spare_garbage_collection() -> None:
    """Keep what was loaded out of the collector, and let it look at the rest less often.

    Sessions are not cyclic: they go when they expire. Looking at all of them as often as Python
    does by default would stop the server for longer the more there are.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Server(uvicorn.Server):
    """Stops on SIGTERM and SIGINT, and returns: the state is closed after it.

    uvicorn's own server raises the signal again, which would end the process before that.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        with system.at_stop(lambda number: self.handle_exit(number, None)):
            yield


def _watch(plan: Plan, live: Live, run_dir: Path) -> Callable[[], Any]:
    """Return a coroutine function that takes up a new champion when the alias moves."""

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        current = run_dir
        shadow: Path | None = None
        while True:
            await asyncio.sleep(CHAMPION_SECONDS)
            if plan.shadow:
                shadow = await _shadowed(plan, live, current, shadow)
            try:
                named = await loop.run_in_executor(None, resolve, plan)
                if named == current:
                    continue
                current = named
                scorer = await loop.run_in_executor(None, load_scorer, named)
                live.take(scorer)
                logger.info("took up model %s", scorer.version)
            except CartcastError as error:
                logger.warning("the model is not taken up: %s", error)

    return watch


async def _shadowed(plan: Plan, live: Live, champion: Path, current: Path | None) -> Path | None:
    """Take up the shadow when its alias moves; return the run whose turn it is."""
    loop = asyncio.get_running_loop()
    try:
        named = await loop.run_in_executor(None, resolve, plan, plan.shadow)
    except CartcastError:
        # Often nobody holds the alias.
        named = None
    named = None if named == champion else named
    if named == current:
        return current
    try:
        scorer = None if named is None else await loop.run_in_executor(None, load_scorer, named)
        live.take_shadow(scorer)
        logger.info("in the shadow: %s", "nobody" if scorer is None else scorer.version)
    except CartcastError as error:
        logger.warning("the shadow is not taken up: %s", error)
    return named


def _several(plan: Plan, announce: Callable[[str], None]) -> None:
    """Start the workers on one port (SO_REUSEPORT), and stop them together."""
    import multiprocessing

    if plan.model != NONE:
        resolve(plan)
    listener = system.listen(plan.host, plan.port, reuse=True)
    port = listener.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    data = asdict(plan) | {"port": port}
    workers = [context.Process(target=_worker, args=(data,)) for _ in range(plan.workers)]
    for worker in workers:
        worker.start()
    listener.close()

    def stop(*_: Any) -> None:
        for worker in workers:
            worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    announce(f"{plan.workers} workers start on port {port}")
    for worker in workers:
        worker.join()
    if any(worker.exitcode not in (0, -signal.SIGTERM) for worker in workers):
        raise StorageError("a worker ended with an error; its reason is above.")


def _worker(data: dict[str, Any]) -> None:
    plan = Plan(**{**data, "served": Served(**data["served"])})
    configure(plan.log_level)
    try:
        with system.listen(plan.host, plan.port, reuse=True) as listener:
            _run(_one(plan, listener, logger.info))
    except CartcastError as error:
        logger.error("%s", error)
        raise SystemExit(error.exit_status) from error


def _run(main: Any) -> None:
    """Run a coroutine, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
