"""The hot routes: bytes in, bytes out, msgspec and no framework between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from cartcast.api.settings import Served
from cartcast.live.event import Event, check, now_micros
from cartcast.live.problems import Problem, from_decoding
from cartcast.live.protocols import Context, Parsed, Protocol, cartcast, ga4, segment, snowplow
from cartcast.live.service import Answer, Answers, Live

__all__ = ["HOT", "Hot", "Request", "ScoreBody", "Scores", "answer_events", "answer_scores"]

_encode = msgspec.json.Encoder().encode


class Request(NamedTuple):
    """One request to a hot route, after its key and body were read.

    `scores` tells whether the key may see scores; without keys everybody may.
    """

    body: bytes
    query: dict[str, str]
    scores: bool
    parsed: Parsed | None = None


class Hot(NamedTuple):
    """A hot route: the scope it needs, how it reads bodies, whether the body may hold the key."""

    scope: str
    protocol: Protocol | None
    title: str
    body_key: bool = False


HOT: Final[dict[str, Hot]] = {
    "/v1/events": Hot("ingest", cartcast.parse, "Take events in Cartcast's own form"),
    "/v1/batch": Hot("ingest", segment.parse, "Take a batch of a Segment library", True),
    "/v1/track": Hot("ingest", segment.parse, "Take one Segment track call", True),
    "/v1/page": Hot("ingest", segment.parse, "Take one Segment page call", True),
    "/v1/screen": Hot("ingest", segment.parse, "Take one Segment screen call", True),
    "/v1/identify": Hot("ingest", segment.parse, "Acknowledge a Segment identify call", True),
    "/v1/b": Hot("ingest", segment.parse, "Take a batch of Segment's browser library", True),
    "/v1/t": Hot("ingest", segment.parse, "Take a track call of the browser library", True),
    "/v1/p": Hot("ingest", segment.parse, "Take a page call of the browser library", True),
    "/v1/i": Hot("ingest", segment.parse, "Acknowledge identify of the browser library", True),
    "/v1/m": Hot("ingest", segment.parse, "Acknowledge metrics of the browser library", True),
    "/mp/collect": Hot("ingest", ga4.parse, "Take events of GA4's Measurement Protocol"),
    "/com.snowplowanalytics.snowplow/tp2": Hot(
        "ingest", snowplow.parse, "Take events of a Snowplow tracker", True
    ),
    "/v1/score": Hot("score", None, "Score feature rows or finished sessions, keeping nothing"),
}


class ScoreBody(msgspec.Struct, forbid_unknown_fields=True):
    """Feature rows by name, or finished sessions as lists of events; one of the two."""

    rows: list[dict[str, float | str | None]] | None = None
    sessions: list[list[Event]] | None = None


class Scores(msgspec.Struct):
    """Scores in the order of the body."""

    model: str
    scores: list[dict[str, float | str | None]]


_SCORE_BODY = msgspec.json.Decoder(ScoreBody)

Handler = Callable[[Live, Request, Served], Awaitable[bytes]]


async def answer_events(live: Live, request: Request, hot: Hot, served: Served) -> bytes:
    """Take the events of one body; return the answer as JSON.

    Raises:
        Problem: what is wrong with the body, or 503.
    """
    assert hot.protocol is not None
    now = now_micros()
    parsed = request.parsed or hot.protocol(request.body, context(served, now))
    query = request.query
    wanted = bool(query) and request.scores
    answers = await live.ingest(
        parsed.events,
        every=wanted and _flag(query, "every"),
        features=wanted and _flag(query, "features"),
        reasons=_count(query, "reasons", 10) if wanted else 0,
        now=now,
        scores=request.scores,
    )
    if parsed.single and len(answers) == 1:
        _refuse_single(answers[0])
        return _encode(answers[0])
    problems = [{"position": at, **p.document()} for at, p in parsed.problems[:20]]
    return _encode(
        Answers(
            answers,
            live.scorer.version if request.scores else None,
            len(parsed.problems),
            parsed.ignored,
            problems or None,
        )
    )


def context(served: Served, now: int) -> Context:
    """Return the context in which a body is read."""
    return Context(now, int(served.max_ahead * 1e6), served.max_events)


def _refuse_single(answer: Answer) -> None:
    if answer.status == "too_many":
        rule = "a session may hold a bounded number of events"
        raise Problem(422, f"session_id: {rule}; start a new one", field="session_id", rule=rule)
    if answer.status == "too_late":
        rule = "must lie within the late window of the session's newest event"
        raise Problem(422, f"event_time {rule}", field="event_time", rule=rule)


async def answer_scores(live: Live, request: Request, served: Served) -> bytes:
    """Score rows or finished sessions without keeping anything.

    Raises:
        Problem: what is wrong with the body.
    """
    try:
        body = _SCORE_BODY.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise from_decoding(error) from error
    if (body.rows is None) == (body.sessions is None):
        raise Problem(422, "rows: give either rows or sessions", field="rows", rule="one of two")
    scorer, now = live.scorer, now_micros()
    name = "rows" if body.rows is not None else "sessions"
    asked = len(body.rows or body.sessions or ())
    if not 1 <= asked <= served.max_events:
        rule = f"must hold 1 to {served.max_events} entries"
        raise Problem(422, f"{name} {rule}, got {asked}", field=name, rule=rule)
    scores = []
    for index, row in enumerate(body.rows or ()):
        try:
            scores.append(scorer.score_row(row)._asdict())
        except Problem as problem:
            field = f"rows[{index}].{problem.field}"
            raise Problem(422, f"{field} {problem.rule}", field=field, rule=problem.rule) from None
    for index, events in enumerate(body.sessions or ()):
        if not events:
            raise Problem(422, f"sessions[{index}] must hold an event", field=f"sessions[{index}]")
        for place, event in enumerate(events):
            ahead = int(served.max_ahead * 1e6)
            if event.visitor_id is None and event.session_id is None:
                event.session_id = "scored"
            check(event, now, ahead, f"sessions[{index}][{place}].")
        state = scorer.start()
        for event in sorted(events, key=_place):
            state = scorer.step(state, event)
        scores.append(scorer.score(state)._asdict())
    return _encode(Scores(scorer.version, scores))


def _place(event: Event) -> tuple[int, int]:
    return event.event_time or 0, event.event_order or 2**62  # type: ignore[return-value]


def _flag(query: dict[str, str], name: str) -> bool:
    word = query.get(name)
    if word is None or word in ("0", "false"):
        return False
    if word in ("1", "true"):
        return True
    raise Problem(422, f"{name} must be true or false, got {word[:20]!r}", field=name)


def _count(query: dict[str, str], name: str, most: int) -> int:
    word = query.get(name)
    if word is None:
        return 0
    if not word.isdigit() or not 0 <= int(word[:9]) <= most:
        rule = f"must be 0 to {most}"
        raise Problem(422, f"{name} {rule}, got {word[:20]!r}", field=name, rule=rule)
    return int(word)
