"""Parity: the features of the live service against the batch table, after every click.

A log is replayed event by event through the stream's own code (or through a running server), and
what it knew after each click is compared, feature by feature, with `FeatureSet.replay`. After
Chronon's online/offline consistency: mismatches, missing and extra rows, size of differences.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cartcast import events
from cartcast.errors import BlockedError, DataError, UsageError
from cartcast.events.rates import Rates
from cartcast.features.kernels.words import NOTHING, hash_text
from cartcast.findings import declare, finding
from cartcast.live.event import Event
from cartcast.live.model import ModelScorer, load_scorer
from cartcast.live.session import Session
from cartcast.live.state import MemoryStore
from cartcast.progress import Progress, quiet
from cartcast.runs.run import Run
from cartcast.scratch import scratch

__all__ = ["TOLERANCE", "Difference", "Parity", "parity", "require_parity"]

TOLERANCE = 1e-9
_BATCH = 10_000
_HTTP_BATCH = 500

UNEQUAL = declare(
    "LV101", "block", "Live features differ from batch features",
    "A model scored with other features than it was trained on is not the model that was measured.",
    "Report it with the log's layout and the feature named; do not serve this model until it is "
    "explained.",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """One feature: cells that differ, the largest and the median difference of all cells."""

    feature: str
    mismatches: int
    max_difference: float
    typical_difference: float


@dataclass(frozen=True)
class Parity:
    """The result.

    Attributes:
        rows: clicks of the batch table.
        mismatches: cells (click and feature) that differ by more than the tolerance.
        missing: clicks that the live service did not answer for.
        extra: clicks that only the live service has.
        max_difference: largest difference, relative to the larger of 1 and the batch value.
        typical_difference: median of the differences that are not zero, 0 when there are none.
        tolerance: what is still equal.
        features: one entry per feature.
        late: events that arrived late and were sorted in; repeats: events sent twice.
        restarts: times the service was killed and came back in between.
        refused: events that the server did not take, by what it said.
    """

    rows: int
    mismatches: int
    missing: int
    extra: int
    max_difference: float
    typical_difference: float
    tolerance: float
    features: tuple[Difference, ...] = ()
    late: int = 0
    repeats: int = 0
    restarts: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether live and batch agree everywhere."""
        return not (self.mismatches or self.missing or self.extra)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        left = {k: v for k, v in self.__dict__.items() if k != "features"}
        return {**left, "features": [f.__dict__ for f in self.features]}


@dataclass
class _Seen:
    """What the live side knew after each row of the log."""

    words: npt.NDArray[np.int64]
    clicks: npt.NDArray[np.int64]
    late: int = 0
    repeats: int = 0
    restarts: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Disturbance:
    """What happens on the way: disorder (seconds), repeats (share), restarts (times)."""

    disorder: float = 0.0
    repeats: float = 0.0
    restarts: int = 0
    seed: int = 1


def parity(
    sources: Sequence[Any],
    run: Path | str | Run,
    *,
    url: str | None = None,
    key: str | None = None,
    layout: str | None = None,
    rates: Rates | Mapping[str, Any] | Path | str | None = None,
    tolerance: float = TOLERANCE,
    disturbance: Disturbance | None = None,
    progress: Progress | None = None,
) -> Parity:
    """Replay a log live and compare every feature after every click with the batch table.

    Args:
        sources: files of the log, or a `Log`.
        run: the run whose feature set is compared.
        url: of a running server with an empty state; None replays in this process.
        key: for the server; needs the scopes `ingest` and `score`.
        layout: of the log.
        rates: between its currencies and the run's; the run's own when not given.
        tolerance: largest difference that is still equal, relative to max(1, |batch|).
        disturbance: what happens on the way; in this process only.
        progress: called with what is done and the share done.

    Raises:
        NotFoundError, NotTrustedError: the run or a file is not there, or not as recorded.
        DataError: the log breaks the contract, the server refused its events, or it is not one
            that can be compared: used before, another model, a key that sees no features.
    """
    say = progress or quiet
    run = Run.open(run)
    scorer = load_scorer(run)
    with scratch() as work:
        say("reading", None)
        log = run.read(*sources, folder=f"{work}/log", layout=layout, rates=rates)
        say("batch table", None)
        table = scorer.features.replay(log, at="every click")
        if url is None:
            where = Path(work) / "state"
            seen = asyncio.run(_in_process(log, scorer, where, disturbance or Disturbance(), say))
        else:
            if disturbance is not None:
                raise UsageError("disorder, repeats and restarts are for parity without --url.")
            seen = _over_http(log, scorer, url, key, say)
        return _compare(log, scorer, table, seen, tolerance)


def require_parity(result: Parity) -> None:
    """Stop when live and batch differ.

    Raises:
        BlockedError: with the finding LV101.
    """
    if result.equal:
        return
    said = []
    if result.mismatches:
        worst = max(result.features, key=lambda d: (d.mismatches, d.max_difference))
        said.append(
            f"{result.mismatches} cells differ (most in {worst.feature!r}: {worst.mismatches}, by "
            f"up to {worst.max_difference:g})"
        )
    if result.missing:
        refused = ", ".join(f"{count} {why}" for why, count in sorted(result.refused.items()))
        said.append(f"{result.missing} clicks are missing" + (f" ({refused})" if refused else ""))
    if result.extra:
        said.append(f"{result.extra} are extra")
    found = finding(
        UNEQUAL,
        f"{', '.join(said)}.",
        count=result.mismatches + result.missing + result.extra,
    )
    raise BlockedError(f"{found.code}: {found.message} {found.advice}", [found])


def _rows(log: events.Log, scorer: ModelScorer) -> Iterator[tuple[int, Event]]:
    """Yield (row number, event); the event's id is the row's number."""
    made = _sessions_were_made(log)
    fields = [f for f in Event.__struct_fields__ if f not in ("extra", "event_id", "user_id")]
    columns = [c for c in fields if c in log.columns]
    own = [c for c in scorer.features.program.columns if c not in fields and c in log.columns]
    number = 0
    for batch in pq.ParquetFile(log.path).iter_batches(_BATCH, columns=[*columns, *own]):
        times = batch.schema.get_field_index("event_time")
        if times >= 0:
            stamps = batch.column(times).cast(pa.timestamp("us")).cast(pa.int64())
            batch = batch.set_column(times, "event_time", stamps)
        for row in batch.to_pylist():
            extra = {name: row.pop(name) for name in own}
            if made:
                row["session_id"] = None
            yield number, Event(**row, event_id=str(number), extra=extra or None)
            number += 1


def _sessions_were_made(log: events.Log) -> bool:
    """Tell whether the session ids are those that the contract makes from visitor and start."""
    if log.clock != "time":
        return False
    with log.connect() as con:
        row = con.execute(
            "SELECT count(*) = 0 FROM (SELECT 1 FROM events GROUP BY session_id, visitor_id HAVING "
            "visitor_id IS NULL OR NOT starts_with(session_id, "
            "visitor_id || '-' || epoch_ms(min(event_time))::VARCHAR))"
        ).fetchone()
    return bool(row and row[0])


async def _in_process(
    log: events.Log, scorer: ModelScorer, folder: Path, way: Disturbance, say: Progress
) -> _Seen:
    total = int(pq.ParquetFile(log.path).metadata.num_rows)
    seen = _Seen(
        np.full((total, len(scorer.features)), NOTHING + 1, np.int64), np.zeros(total, np.int64)
    )

    def watch(_: Session, click: int, event: Event, state: Any) -> None:
        place = int(event.event_id or -1)
        seen.words[place] = scorer.words(state)
        seen.clicks[place] = click

    moment = [0]
    store = await _store(scorer, folder if way.restarts else None, moment, watch)
    stops = {int(total * (k + 1) / (way.restarts + 1)) for k in range(way.restarts)}
    for count, event in enumerate(_arrivals(_rows(log, scorer), way)):
        if count in stops:
            # As a killed process: nothing but the log is left.
            await store.abandon()
            store = await _store(scorer, folder, moment, watch)
            seen.restarts += 1
        time = event.event_time
        moment[0] = max(moment[0], time if isinstance(time, int) else 0)
        (answer,) = await store.ingest((event,), moment[0], lambda outcomes, _: list(outcomes))  # type: ignore[arg-type]
        seen.late += answer.status == "late_accepted"
        seen.repeats += answer.status == "duplicate"
        if count % _BATCH == 0:
            say("live", min(count / max(total, 1), 1.0))
            store.sweep(list(store.sessions.index))
    await store.abandon()
    return seen


async def _store(
    scorer: ModelScorer, folder: Path | None, moment: list[int], watch: Any
) -> MemoryStore:
    rules = replace(scorer.rules, session_ttl=2_592_000.0)
    store = MemoryStore(
        scorer, rules, folder, "write" if folder else "none", lambda: moment[0], sweeps=False
    )
    store.sessions.watch = watch
    await store.open()
    return store


def _arrivals(rows: Iterator[tuple[int, Event]], way: Disturbance) -> Iterator[Event]:
    """Yield the events in the order in which they arrive."""
    if not way.disorder and not way.repeats:
        yield from (event for _, event in rows)
        return
    import heapq

    import msgspec

    random = np.random.default_rng(way.seed)
    waiting: list[tuple[int, int, Event]] = []
    number = 0
    for _, event in rows:
        now = event.event_time or 0
        assert isinstance(now, int)
        while waiting and waiting[0][0] <= now:
            yield heapq.heappop(waiting)[2]
        for _copy in range(1 + (random.random() < way.repeats)):
            delay = int(random.random() * way.disorder * 1e6)
            number += 1
            heapq.heappush(waiting, (now + delay, number, msgspec.structs.replace(event)))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _over_http(
    log: events.Log, scorer: ModelScorer, url: str, key: str | None, say: Progress
) -> _Seen:
    import httpx
    import msgspec

    total = int(pq.ParquetFile(log.path).metadata.num_rows)
    shape = (total, len(scorer.features))
    seen = _Seen(np.full(shape, NOTHING + 1, np.int64), np.zeros(total, np.int64))
    headers = {"content-type": "application/json", **({"x-api-key": key} if key else {})}

    def send(http: httpx.Client, batch: list[Event]) -> None:
        body = msgspec.json.encode({"events": batch})
        answer = http.post("/v1/events?every=1&features=1", content=body, headers=headers)
        if answer.status_code != 200:
            raise DataError(f"{url}: {answer.status_code}: {_detail(answer)}.")
        _note(answer.json(), scorer, seen, url)

    try:
        with httpx.Client(base_url=url, timeout=60.0) as http:
            _require_comparable(http, url, headers, scorer.version)
            batch: list[Event] = []
            for number, event in _rows(log, scorer):
                batch.append(event)
                if len(batch) == _HTTP_BATCH or number == total - 1:
                    send(http, batch)
                    say("live", number / max(total, 1))
                    batch = []
    except httpx.TransportError as error:
        raise DataError(f"{url}: the server does not answer ({error}).") from error
    return seen


def _require_comparable(http: Any, url: str, headers: dict[str, str], version: str) -> None:
    """Refuse, before anything is sent, a key, a model or a state that cannot be compared."""
    models = http.get("/v1/models", headers=headers)
    if models.status_code in (401, 403):
        raise DataError(
            f"{url}: {_detail(models)}: parity needs --key with the scopes ingest and score."
        )
    ready = http.get("/readyz")
    for answer in (models, ready):
        if answer.status_code != 200:
            raise DataError(f"{url}: {answer.status_code}: {_detail(answer)}.")
    served = models.json()["champion"]["version"]
    if served != version:
        raise DataError(f"{url}: serves the model {served}, not {version}; give --model that one.")
    state = ready.json()
    if state.get("sessions") or state.get("visitors"):
        raise DataError(
            f"{url}: the server has been used: it holds {state.get('sessions', 0)} keys of open "
            f"sessions and {state.get('visitors', 0)} visitors' histories, which would mix with "
            "the log's. Start one with an empty --state-dir; nothing was sent."
        )


def _note(said: Any, scorer: ModelScorer, seen: _Seen, url: str) -> None:
    """Note what the server knew after each event of a batch."""
    names, text = scorer.features.names, scorer.features.program.text
    for problem in said.get("problems") or ():
        seen.refused[str(problem.get("detail"))] += 1
    for event in said["answers"]:
        status = event["status"]
        if status == "duplicate":
            raise DataError(
                f"{url}: the server has been used: it knows the event {event['event_id']!r} of an "
                "earlier replay. Start one with an empty state."
            )
        if status != "accepted":
            seen.refused[status] += 1
            continue
        place = int(event["event_id"])
        seen.clicks[place] = event["click"]
        for k, name in enumerate(names):
            value = event["features"].get(name)
            if text[k]:
                seen.words[place, k] = NOTHING if value is None else hash_text(value)
            else:
                seen.words[place].view(np.float64)[k] = np.nan if value is None else value


def _detail(answer: Any) -> str:
    """Return what a refusal says; a proxy's page is not JSON."""
    try:
        return str(answer.json().get("detail"))
    except (ValueError, AttributeError):
        return str(answer.reason_phrase)


def _compare(
    log: events.Log, scorer: ModelScorer, table: pa.Table, seen: _Seen, tolerance: float
) -> Parity:
    keys = pq.read_table(log.path, columns=["session_id", "event_order"]).to_pandas()
    keys["place"] = np.arange(len(keys))
    batch = table.select(["session_id", "event_order", "click"]).to_pandas()
    joined = batch.merge(keys, on=["session_id", "event_order"], how="left", validate="one_to_one")
    place = joined["place"].to_numpy()
    known = ~np.isnan(place)
    at = place[known].astype(np.int64)
    answered = seen.clicks[at] > 0
    at, rows = at[answered], np.flatnonzero(known)[answered]
    wrong_click = seen.clicks[at] != batch["click"].to_numpy()[rows]
    differences = [Difference("click", int(wrong_click.sum()), float(wrong_click.any()), 0.0)]
    sizes: list[npt.NDArray[np.float64]] = []
    for k, name in enumerate(scorer.features.names):
        column = table.column(name).take(pa.array(rows))
        words = np.ascontiguousarray(seen.words[at, k])
        if scorer.features.program.text[k]:
            apart = (words != _hashes(column)).astype(np.float64)
        else:
            apart = _apart(words.view(np.float64), column.to_numpy(zero_copy_only=False))
        wrong = int((apart > tolerance).sum())
        largest = float(apart.max(initial=0.0))
        differences.append(
            Difference(name, wrong, largest, float(np.median(apart)) if len(apart) else 0.0)
        )
        sizes.append(apart[apart > 0])
    everything = np.concatenate(sizes) if sizes else np.zeros(0)
    return Parity(
        rows=len(batch),
        mismatches=sum(d.mismatches for d in differences),
        missing=len(batch) - len(at),
        extra=int((seen.clicks > 0).sum()) - len(at),
        max_difference=max(d.max_difference for d in differences),
        typical_difference=float(np.median(everything)) if len(everything) else 0.0,
        tolerance=tolerance,
        features=tuple(differences),
        late=seen.late,
        repeats=seen.repeats,
        restarts=seen.restarts,
        refused=dict(seen.refused),
    )


def _hashes(column: Any) -> npt.NDArray[np.int64]:
    """Return the texts of a column as hashes."""
    coded = column.combine_chunks().dictionary_encode()
    words = np.array(
        [hash_text(str(t)) for t in coded.dictionary.to_pylist()] + [NOTHING], np.int64
    )
    codes = coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(words[codes.astype(np.int64)], dtype=np.int64)


def _apart(live: npt.NDArray[np.float64], batch: Any) -> npt.NDArray[np.float64]:
    """Return the relative differences; null against a value is infinitely far."""
    batch = np.asarray(batch, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(live - batch) / np.maximum(1.0, np.abs(batch))
    apart[np.isnan(live) & np.isnan(batch)] = 0.0
    apart[np.isnan(live) != np.isnan(batch)] = np.inf
    return np.asarray(apart, dtype=np.float64)
