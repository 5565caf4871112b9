"""Streams: read, fold, make durable, write the result, then commit; at least once, counted once.

A message that cannot be read goes to the dead-letter sink with its reason and is committed. A
batch read again after a crash is told by its event ids (a message without one gets its place in
the source), and its results by their keys: a session and its click number.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cartcast.errors import UsageError
from cartcast.live.event import Event, now_micros
from cartcast.live.problems import Problem
from cartcast.live.protocols import Context, Protocol, cartcast, ga4, segment, snowplow
from cartcast.live.service import Answer, Live
from cartcast.live.streams import Message, Row, Sink, Source

__all__ = ["PROTOCOLS", "Report", "pump", "sink_of", "source_of"]

logger = logging.getLogger(__name__)

PROTOCOLS: dict[str, Protocol] = {
    "cartcast": cartcast.parse,
    "segment": segment.parse,
    "ga4": ga4.parse,
    "snowplow": snowplow.parse,
}
_RETRY_SECONDS = 0.5


@dataclass
class Report:
    """What a stream run did.

    Attributes:
        messages: messages taken from the source and committed.
        events: events by what became of them.
        rows: results written (or found written already).
        dead: messages sent to the dead-letter sink.
    """

    messages: int = 0
    events: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    dead: int = 0

    def as_dict(self) -> dict[str, object]:
        """Return plain data."""
        return dict(self.__dict__)


async def pump(
    live: Live,
    source: Source,
    sink: Sink,
    dead: Sink,
    *,
    protocol: Protocol = cartcast.parse,
    batch: int = 500,
    stop: asyncio.Event | None = None,
    idle_seconds: float | None = None,
    event_clock: bool = False,
) -> Report:
    """Move messages until the source ends or `stop` is set; the batch in hand is finished.

    One batch is in work at a time: a slow sink slows the reading (back-pressure).

    Args:
        live: opened before, closed by the caller.
        source: opened and closed here, as `sink` and `dead` are.
        sink: takes the results.
        dead: takes messages that cannot be read, with the reason.
        protocol: how bodies are read.
        batch: messages in one batch.
        stop: set to end gracefully.
        idle_seconds: stop after this long without a message; None never stops.
        event_clock: let sessions expire by the events' own time, for logs of the past.
    """
    report = Report()
    stop = stop or asyncio.Event()
    clock = 0
    try:
        for part in (source, sink, dead):
            await part.open()
        idle = 0.0
        while not stop.is_set():
            messages = await source.read(batch, 0.5)
            if not messages:
                idle += 0.5
                if source.ended or (idle_seconds is not None and idle >= idle_seconds):
                    break
                continue
            idle = 0.0
            events, letters = _parse(messages, protocol, live.scorer.check)
            if event_clock:
                times = [e.event_time for e in events if isinstance(e.event_time, int)]
                clock = max([clock, *times])
            answers = await _ingest(live, events, (clock or None) if event_clock else None, stop)
            if answers is None:
                break
            rows, refused = _rows(events, answers)
            await sink.write(rows)
            await dead.write([*letters, *refused])
            await source.commit(messages)
            _count(report, messages, answers, rows, len(letters) + len(refused))
    finally:
        for part in (source, sink, dead):
            await part.close()
    return report


def _parse(
    messages: Sequence[Message], protocol: Protocol, check: Callable[[Event], None]
) -> tuple[list[Event], list[Row]]:
    """Return the events, and a letter for each message or event that cannot be taken."""
    events: list[Event] = []
    letters: list[Row] = []
    now = now_micros()
    for message in messages:
        try:
            parsed = protocol(message.body, Context(now))
        except Problem as problem:
            letters.append(_letter(message, problem))
            continue
        letters += [_letter(message, wrong, at) for at, wrong in parsed.problems]
        for at, event in enumerate(parsed.events):
            if event.event_id is None:
                event.event_id = f"{message.id}#{at}"[-256:]
            try:
                check(event)
            except Problem as problem:
                letters.append(_letter(message, problem, at))
                continue
            events.append(event)
    return events, letters


def _letter(message: Message, problem: Problem, at: int = 0) -> Row:
    text = message.body[:20_000].decode("utf-8", "backslashreplace")
    reason = {"detail": problem.detail, "field": problem.field, "status": problem.status}
    return Row(f"{message.id}#{at}", {"message": message.id, "reason": reason, "body": text})


async def _ingest(
    live: Live, events: Sequence[Event], now: int | None, stop: asyncio.Event
) -> list[Answer] | None:
    """Ingest until the state is durable; None when asked to stop while it cannot be."""
    while events:
        try:
            return await live.ingest(events, features=True, now=now)
        except Problem as problem:
            if problem.status != 503:
                raise
            logger.warning("%s; trying again", problem.detail)
            if stop.is_set():
                return None
            await asyncio.sleep(_RETRY_SECONDS)
    return []


def _rows(events: Sequence[Event], answers: Sequence[Answer]) -> tuple[list[Row], list[Row]]:
    rows, refused = [], []
    for event, answer in zip(events, answers, strict=True):
        if answer.status in ("too_late", "too_many"):
            reason = {"detail": answer.status, "field": "event_time", "status": 422}
            letter = {"message": str(event.event_id), "reason": reason, "body": ""}
            refused.append(Row(f"{event.event_id}", letter))
        if answer.model is None:
            continue
        value: dict[str, Any] = {
            "session_id": answer.session_id,
            "click": answer.click,
            "visitor_id": event.visitor_id,
            "p_buy": answer.p_buy,
            "revenue": answer.revenue,
            "segment": answer.segment,
            "model": answer.model,
            "features": answer.features,
        }
        rows.append(Row(f"{answer.session_id}:{answer.click}", value))
    return rows, refused


def _count(
    report: Report,
    messages: Sequence[Message],
    answers: Sequence[Answer],
    rows: Sequence[Row],
    dead: int,
) -> None:
    report.messages += len(messages)
    report.rows += len(rows)
    report.dead += dead
    for answer in answers:
        report.events[answer.status] = report.events.get(answer.status, 0) + 1


def source_of(text: str, group: str, consumer: str, state: Path | None) -> Source:
    """Return the source that `redis://host/0?stream=S`, `kafka://host/topic` or a path names.

    Raises:
        UsageError: the form is not one of these.
    """
    scheme, parts, options = _split(text)
    if scheme in ("redis", "rediss"):
        from cartcast.live.streams.redis import RedisSource

        return RedisSource(_bare(text), _need(options, "stream", text), group, consumer)
    if scheme == "kafka":
        from cartcast.live.streams.kafka import KafkaSource

        return KafkaSource(*parts, group)
    from cartcast.live.streams.files import FileSource

    path = Path(text)
    return FileSource(path, None if state is None else state / f"{path.name}.place")


def sink_of(text: str) -> Sink:
    """Return the sink that `redis://host/0?stream=S`, `kafka://host/topic` or a path names.

    Raises:
        UsageError: the form is not one of these.
    """
    scheme, parts, options = _split(text)
    if scheme in ("redis", "rediss"):
        from cartcast.live.streams.redis import RedisSink

        return RedisSink(_bare(text), _need(options, "stream", text))
    if scheme == "kafka":
        from cartcast.live.streams.kafka import KafkaSink

        return KafkaSink(*parts)
    from cartcast.live.streams.files import FileSink

    return FileSink(Path(text))


def _split(text: str) -> tuple[str, tuple[str, str], dict[str, str]]:
    if "://" not in text:
        return "", ("", ""), {}
    url = urlsplit(text)
    options = {name: values[-1] for name, values in parse_qs(url.query).items()}
    topic = url.path.strip("/")
    if url.scheme == "kafka" and (not url.netloc or not topic):
        raise UsageError(f"kafka must look like kafka://host:9092/topic, got {text!r}.")
    if url.scheme not in ("redis", "rediss", "kafka"):
        raise UsageError(f"a stream must be redis://, kafka:// or a file, got {text!r}.")
    return url.scheme, (url.netloc, topic), options


def _bare(text: str) -> str:
    return text.partition("?")[0]


def _need(options: dict[str, str], name: str, text: str) -> str:
    if name not in options:
        raise UsageError(f"redis must look like redis://host:6379/0?{name}=NAME, got {text!r}.")
    return options[name]
