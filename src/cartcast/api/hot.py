"""The hot routes: bytes in, bytes out, msgspec and no framework between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from cartcast.api.lane import HEAVY, in_turn
from cartcast.api.settings import Served
from cartcast.api.trackers import GIF, Hot, Request
from cartcast.live.arms import Assign
from cartcast.live.event import Event, check
from cartcast.live.problems import Problem, from_decoding
from cartcast.live.protocols import Context
from cartcast.live.scorer import Scorer
from cartcast.live.service import Answer, Answers, Live

if TYPE_CHECKING:
    from cartcast.activation.decisions import Decisions

__all__ = [
    "Request",
    "ScoreBody",
    "Scores",
    "answer_assign",
    "answer_decide",
    "answer_events",
    "answer_scores",
    "in_turn",
]

_encode = msgspec.json.Encoder().encode


class ScoreBody(msgspec.Struct, forbid_unknown_fields=True):
    """Feature rows by name, or finished sessions as lists of events; one of the two."""

    rows: list[dict[str, float | str | None]] | None = None
    sessions: list[list[Event]] | None = None


class Scores(msgspec.Struct):
    """Scores in the order of the body."""

    model: str
    scores: list[dict[str, float | str | dict[str, str | None] | None]]


_ASSIGN = msgspec.json.Decoder(Assign)
_SCORE_BODY = msgspec.json.Decoder(ScoreBody)

MOST_DECIDED: Final = 100
"""Events of a body that is answered with decisions."""
_TURN: Final = 50
"""Entries that are scored before others get their turn."""


async def answer_events(
    live: Live, request: Request, hot: Hot, served: Served, decisions: Decisions | None = None
) -> bytes:
    """Take the events of one body, or of the query of a pixel; return the answer.

    Raises:
        Problem: what is wrong with the body, or 503.
    """
    protocol = hot.pixel if request.pixel else hot.protocol
    assert protocol is not None
    where = context(live, served)
    body = request.body
    small = len(body) < HEAVY
    parsed = protocol(body, where) if small else await in_turn(body, protocol, where)
    for _, problem in parsed.problems:
        live.metrics.set_aside[problem.rule or problem.detail[:80]] += 1
    live.recent.took(hot.tool, len(parsed.events), len(parsed.problems))
    live.leads.put_right(parsed.events, where.received)
    query = request.query
    wanted = bool(query) and request.scores
    arms = live.running if wanted and _flag(query, "arms") else None
    expose = wanted and _flag(query, "expose")
    if expose and arms is None:
        raise Problem(422, "expose needs arms=true", field="expose", rule="needs arms=true")
    page = request.own and not request.scores
    deciding = None
    if query and (request.scores or page) and _flag(query, "decide"):
        deciding = _require(decisions)
        if len(parsed.events) > MOST_DECIDED:
            rule = f"is for bodies of at most {MOST_DECIDED} events"
            raise Problem(422, f"decide {rule}", field="decide", rule=rule)
    answers = await live.ingest(
        parsed.events,
        every=wanted and _flag(query, "every"),
        features=wanted and _flag(query, "features"),
        reasons=_count(query, "reasons", 10) if wanted else 0,
        scores=request.scores,
        own=request.own,
    )
    if arms is not None:
        await arms.tell(parsed.events, answers, expose)
    if deciding is not None:
        await deciding.tell(parsed.events, answers, page)
    if hot.reply is not None:
        return hot.reply(request, len(answers), len(parsed.problems))
    if request.pixel:
        return GIF
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


def context(live: Live, served: Served) -> Context:
    """Return the context in which a body is read."""
    now, latest = live.clock.read()
    return Context(now, int(served.max_ahead * 1e6) + latest - now, served.max_events)


def _refuse_single(answer: Answer) -> None:
    if answer.status == "too_many":
        rule = "a session may hold a bounded number of events"
        raise Problem(422, f"session_id: {rule}; start a new one", field="session_id", rule=rule)
    if answer.status == "too_late":
        rule = "must lie within the late window of the session's newest event"
        raise Problem(422, f"event_time {rule}", field="event_time", rule=rule)


async def answer_assign(live: Live, request: Request) -> bytes:
    """Tell the arms of an id.

    Raises:
        Problem: what is wrong with the body, 404 without experiments, or 503.
    """
    running = live.running
    try:
        asked = _ASSIGN.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise from_decoding(error) from error
    if asked.at is not None and not request.scores:
        rule = "needs a key of the scope score: a page tells what it shows now"
        raise Problem(403, f"at {rule}", field="at", rule=rule)
    return _encode(await running.assign(asked))


async def answer_decide(decisions: Decisions | None, request: Request) -> bytes:
    """Tell what activations say of an open session.

    Raises:
        Problem: what is wrong with the body, 404 without activations, or 503.
    """
    asking = _require(decisions)
    try:
        asked = asking.read(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise from_decoding(error) from error
    return _encode(await asking.decide(asked, request.own and not request.scores))


def _require(decisions: Decisions | None) -> Decisions:
    if decisions is None:
        detail = "no activation is decided here; start the service with --activation PLAN.yaml"
        raise Problem(404, detail, rule="--activation")
    return decisions


async def answer_scores(live: Live, request: Request, served: Served) -> bytes:
    """Score rows or finished sessions without keeping anything.

    Raises:
        Problem: what is wrong with the body.
    """
    body = await in_turn(request.body, _decode_scores)
    if (body.rows is None) == (body.sessions is None):
        raise Problem(422, "rows: give either rows or sessions", field="rows", rule="one of two")
    scorer, name = live.scorer, "rows" if body.rows is not None else "sessions"
    entries = len(body.rows or body.sessions or ())
    asked = entries + sum(max(len(events) - 1, 0) for events in body.sessions or ())
    if not 1 <= asked <= served.max_events:
        rule = f"must hold 1 to {served.max_events} entries, events of sessions counted"
        raise Problem(422, f"{name} {rule}, got {asked}", field=name, rule=rule)
    arms = live.running if _flag(request.query, "arms") else None
    if arms is not None and body.rows is not None:
        raise Problem(422, "arms needs sessions: a row names nobody", field="arms", rule="sessions")
    scores: list[Any] = []
    for index, row in enumerate(body.rows or ()):
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            scores.append(scorer.score_row(row)._asdict())
        except Problem as problem:
            field = f"rows[{index}].{problem.field}"
            raise Problem(422, f"{field} {problem.rule}", field=field, rule=problem.rule) from None
    where = context(live, served)
    for index, events in enumerate(body.sessions or ()):
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        ids = arms.ids_of(events[-1]) if arms is not None and events else {}
        scores.append(_score_session(scorer, events, where, f"sessions[{index}]"))
        if arms is not None:
            scores[-1]["arms"] = arms.look(ids)
    return _encode(Scores(scorer.version, scores))


def _decode_scores(body: bytes) -> ScoreBody:
    try:
        return _SCORE_BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise from_decoding(error) from error


def _score_session(
    scorer: Scorer, events: list[Event], where: Context, name: str
) -> dict[str, float | str | None]:
    if not events:
        raise Problem(422, f"{name} must hold an event", field=name)
    for place, event in enumerate(events):
        if event.visitor_id is None and event.session_id is None:
            event.session_id = "scored"
        check(event, where.received, where.max_ahead, f"{name}[{place}].")
        scorer.check(event)
    state = scorer.start()
    for event in sorted(events, key=_place):
        state = scorer.step(state, event)
    return scorer.score(state)._asdict()


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
    if not (word.isascii() and word.isdecimal()) or not 0 <= int(word[:9]) <= most:
        rule = f"must be 0 to {most}"
        raise Problem(422, f"{name} {rule}, got {word[:20]!r}", field=name, rule=rule)
    return int(word)
