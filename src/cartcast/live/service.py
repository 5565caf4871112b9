"""The service behind every shell: events in, answers out, one model at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from prometheus_client import Metric

from cartcast.errors import NotTrustedError
from cartcast.live.clocks import Clock, Leads, age_micros
from cartcast.live.event import Event
from cartcast.live.metrics import Metrics
from cartcast.live.own import is_own
from cartcast.live.problems import Problem
from cartcast.live.recent import Recent
from cartcast.live.record import ScoreRecord
from cartcast.live.scorer import Scorer
from cartcast.live.session import Session
from cartcast.live.sessions import Outcome, visitor_of

if TYPE_CHECKING:
    from cartcast.live.experiments import Experiments

__all__ = ["TURN", "Answer", "Answers", "Live", "Render", "Store", "render_in_turn"]

logger = logging.getLogger(__name__)


class Answer(msgspec.Struct, omit_defaults=True):
    """What is known after one event; in a batch the score stands on a session's last event.

    `status` is `accepted`, `late_accepted`, `duplicate`, `too_late`, `too_many` or `ignored`.
    """

    status: str
    event_id: str | None = None
    session_id: str | None = None
    click: int | None = None
    p_buy: float | None = None
    revenue: float | None = None
    segment: str | None = None
    why: str | None = None
    model: str | None = None
    features: dict[str, float | str | None] | None = None
    reasons: list[dict[str, Any]] | None = None
    arms: dict[str, str | None] | None = None
    decisions: dict[str, Any] | None = None


class Answers(msgspec.Struct, omit_defaults=True):
    """What is known after a batch; `refused` counts events set aside, with `problems`."""

    answers: list[Answer]
    model: str | None = None
    refused: int = 0
    ignored: int = 0
    problems: list[dict[str, Any]] | None = None


Render = Callable[[Sequence[Outcome], set[str]], list[Answer]]
"""Answers outcomes; sessions in the set have their score already, those scored are added."""
TURN: Final = 200
"""Events that are folded, or answered, before others get their turn."""


async def render_in_turn(outcomes: Sequence[Outcome], render: Render) -> list[Answer]:
    """Return the answers of a batch, rendered from its end on; others get their turn between."""
    scored: set[str] = set()
    if len(outcomes) <= TURN:
        return render(outcomes, scored)
    parts: list[list[Answer]] = []
    for stop in range(len(outcomes), 0, -TURN):
        parts.append(render(outcomes[max(stop - TURN, 0) : stop], scored))
        await asyncio.sleep(0)
    return [answer for part in reversed(parts) for answer in part]


class Store(Protocol):
    """Where sessions are kept."""

    async def open(self) -> None:
        """Get ready."""
        ...

    async def close(self) -> None:
        """Make everything durable and let go."""
        ...

    async def ingest(
        self, events: Sequence[Event], now: int, render: Render, each: bool = False
    ) -> list[Answer]:
        """Put events into their sessions, render the answers, return when all is durable.

        With `each` the answer of an event is rendered before the next one is taken.

        Raises:
            Problem: 503, when the state cannot be kept; nothing is acknowledged.
        """
        ...

    async def find(self, identity: str) -> Session | None:
        """Return the open session with this id."""
        ...

    async def find_visitor(self, event: Event) -> Session | None:
        """Return the open session that an event of this visitor would join."""
        ...

    async def ready(self) -> None:
        """Return when the state can be written.

        Raises:
            Problem: 503, when it cannot.
        """
        ...

    def take(self, scorer: Scorer) -> None:
        """Use another model of the same feature set from the next event on."""
        ...

    def counts(self) -> dict[str, int]:
        """Return the numbers of `sessions` (keys of open ones) and `visitors`, where known."""
        ...

    def status(self) -> dict[str, int]:
        """Return what there is to say of the state, in plain numbers; empty where not known."""
        ...

    def collect(self) -> Iterable[Metric]:
        """Return what Prometheus may know of the state."""
        ...


class Live:
    """Ingests events, scores sessions, takes up new champions.

    Args:
        scorer: the model.
        store: where sessions are kept.
        experiments: whose arms are told, or None.

    Attributes:
        record: keeps each score that was told; None keeps none.
        shadow: a challenger, scored beside for the record and told to nobody.
    """

    def __init__(
        self, scorer: Scorer, store: Store, experiments: Experiments | None = None
    ) -> None:
        self.scorer = scorer
        self.store = store
        self.experiments = experiments
        self.metrics = Metrics()
        self.recent = Recent(self.metrics)
        self.clock = Clock()
        self.leads = Leads()
        self.record: ScoreRecord | None = None
        self.shadow: Scorer | None = None
        self.gauges: list[Callable[[], Iterable[Metric]]] = []
        """What else a scrape is told; asked beside the loop."""
        self.refused_model: str | None = None
        self.started = self.taken_up = time.time()

    @property
    def running(self) -> Experiments:
        """The experiments.

        Raises:
            Problem: 404, when the service has none.
        """
        if self.experiments is None:
            detail = "no experiment runs here; start the service with --experiments PLAN.yaml"
            raise Problem(404, detail, rule="--experiments")
        return self.experiments

    async def ingest(
        self,
        events: Sequence[Event],
        *,
        every: bool = False,
        features: bool = False,
        reasons: int = 0,
        now: int | None = None,
        scores: bool = True,
        own: bool = False,
    ) -> list[Answer]:
        """Take events; answer each, scoring the last of each session, or `every` one.

        Without `scores` the answers only say what became of the events; with `own` they also tell
        probability and segment where that is the device's own session (`cartcast.live.own`).

        Raises:
            Problem: 422 for an own column that a feature cannot read; 503, when the state cannot
                be kept; nothing is acknowledged.
        """
        for event in events:
            if event.extra or event.currency is not None:
                self.scorer.check(event)

        def render(outcomes: Sequence[Outcome], scored: set[str]) -> list[Answer]:
            answers = self._render(outcomes, scores, scored, features, reasons)
            if own and not scores:
                self._tell_own(outcomes, answers)
            return answers

        return await self.store.ingest(events, now or age_micros(), render, every)

    def _tell_own(self, outcomes: Sequence[Outcome], answers: Sequence[Answer]) -> None:
        for outcome, answer in zip(outcomes, answers, strict=True):
            if is_own(outcome.session, outcome.event):
                score = self.scorer.score(outcome.session.state)
                answer.p_buy, answer.segment = score.p_buy, score.segment
                self._note(outcome, score.p_buy)

    def _note(self, outcome: Outcome, p: float | None) -> None:
        """Record a score that is told of an event that counts, and what the shadow says."""
        _, session, event = outcome
        if self.record is None or p is None or not outcome.counts:
            return
        said = shadow = None
        if self.shadow is not None:
            try:
                said, shadow = self.shadow.score(session.state).p_buy, self.shadow.version
            except Exception:
                # Nobody waits for the shadow: whatever ails it must not cost an answer.
                logger.exception("model %s leaves the shadow", self.shadow.version)
                self.shadow = None
        self.record.add(
            session.last_time, session.id, visitor_of(event), session.clicks, p,
            self.scorer.version, said, shadow,
        )  # fmt: skip

    def take_shadow(self, scorer: Scorer | None) -> None:
        """Score another model beside the champion; None scores none.

        Raises:
            NotTrustedError: it has another feature set than the states.
        """
        self.shadow = None
        if scorer is not None and scorer.fingerprint != self.scorer.fingerprint:
            raise NotTrustedError(
                f"model {scorer.version}: its feature set is {scorer.fingerprint[:12]}, the "
                f"champion's is {self.scorer.fingerprint[:12]}; only a model of the same features "
                "can be its shadow."
            )
        self.shadow = scorer

    async def close(self) -> None:
        """Make everything durable and let go."""
        await self.store.close()
        if self.experiments is not None:
            await self.experiments.close()

    def take(self, scorer: Scorer) -> None:
        """Use a new champion from the next event on; no request is lost.

        Raises:
            NotTrustedError: it has another feature set than the states.
        """
        if scorer.fingerprint != self.scorer.fingerprint:
            self.refused_model = scorer.version
            raise NotTrustedError(
                f"model {scorer.version}: its feature set is {scorer.fingerprint[:12]}, the "
                f"states' is {self.scorer.fingerprint[:12]}; start a server with its own "
                "--state-dir for it."
            )
        self.refused_model = None
        self.scorer = scorer
        self.store.take(scorer)
        self.metrics.models_taken += 1
        self.taken_up = time.time()

    def _render(
        self,
        outcomes: Sequence[Outcome],
        scores: bool,
        scored: set[str],
        features: bool,
        reasons: int,
    ) -> list[Answer]:
        """Answer events, the last first; sessions in `scored` have their score already."""
        counts, answers = self.metrics.events, []
        last: list[tuple[Outcome, Answer]] = []
        for outcome in reversed(outcomes):
            status, session, event = outcome
            counts[status] += 1
            answer = Answer(status, event.event_id, session.id, session.clicks)
            if scores and session.id not in scored:
                scored.add(session.id)
                last.append((outcome, answer))
            answers.append(answer)
        if last:
            self._score(last, features, reasons)
        answers.reverse()
        return answers

    def _score(self, last: Sequence[tuple[Outcome, Answer]], features: bool, reasons: int) -> None:
        """Tell the scores of sessions in the answers to their last events."""
        scorer = self.scorer
        found = scorer.scores([outcome.session.state for outcome, _ in last])
        for (outcome, answer), score in zip(last, found, strict=True):
            answer.p_buy, answer.revenue, answer.segment, answer.why = score
            if answer.p_buy is not None:
                self.recent.scored(answer.p_buy)
                if self.record is not None:
                    self._note(outcome, answer.p_buy)
            answer.model = scorer.version
            if features:
                answer.features = scorer.values(outcome.session.state)
            if reasons:
                told = scorer.reasons(outcome.session.state, reasons)
                answer.reasons = [reason._asdict() for reason in told]
