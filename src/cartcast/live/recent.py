"""What a service did lately, for people who look: rates, scores, slow requests, errors, trackers.

Counting costs a request a few dictionary accesses; what needs a history is sampled every few
seconds. Nothing here names a visitor.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

from cartcast.live.metrics import Metrics

__all__ = ["BINS", "KEPT", "Recent"]

EVERY: Final = 5.0
"""Seconds between samples."""
KEPT: Final = 120
"""Samples that are kept: ten minutes."""
BINS: Final = 20
"""Ranges of equal width into which probabilities are counted."""
_SLOWEST: Final = 10
_ERRORS: Final = 20
_LONGEST: Final = 120
_REASONS: Final = 200
"""Reasons that are counted apart; a rule may hold a limit's number, so they could be many."""
LOOKS: Final = "/v1/status"
"""Anyone who looks is not among what is looked at."""


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class _Sample(NamedTuple):
    time: float
    accepted: int
    set_aside: int
    refused: int
    scores: tuple[int, ...]


class _Slow(NamedTuple):
    seconds: float
    time: float
    path: str
    status: int


class _Sent:
    """What one tracker sent: events, those set aside, and when (seconds since 1970)."""

    __slots__ = ("events", "last", "set_aside")

    def __init__(self) -> None:
        self.events = self.set_aside = 0
        self.last = 0.0


class Recent:
    """Keeps what happened in the last ten minutes, by what `metrics` counts.

    >>> recent = Recent(Metrics(), clock=lambda: 0.0)
    >>> recent.took("Matomo", events=3, set_aside=1)
    >>> recent.scored(0.07)
    >>> recent.document()["trackers"][0]["events"], recent.document()["scores"]["counts"][1]
    (3, 1)
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._scores = [0] * BINS
        self._slow: list[_Slow] = []
        self._bar = 0.0
        self._reasons: Counter[tuple[int, str]] = Counter()
        self._errors: deque[dict[str, Any]] = deque(maxlen=_ERRORS)
        self._sent: dict[str, _Sent] = {}
        self._samples: deque[_Sample] = deque([self._now()], KEPT)

    def took(self, tool: str, events: int, set_aside: int) -> None:
        """Count what a tracker sent in one request."""
        sent = self._sent.get(tool)
        if sent is None:
            sent = self._sent[tool] = _Sent()
        sent.events += events
        sent.set_aside += set_aside
        sent.last = self._clock()

    def scored(self, probability: float) -> None:
        """Count a score that was answered."""
        self._scores[min(int(probability * BINS), BINS - 1)] += 1

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Note a request if it is among the slowest."""
        if seconds <= self._bar or path == LOOKS:
            return
        slow = self._slow
        slow.append(_Slow(seconds, self._clock(), path, status))
        if len(slow) > _SLOWEST:
            slow.sort(reverse=True)
            slow.pop()
            self._bar = slow[-1].seconds

    def failed(self, path: str, status: int, field: str | None, rule: str, request: str) -> None:
        """Note a refusal; not what was sent."""
        reason = (status, rule[:_LONGEST])
        if len(self._reasons) >= _REASONS and reason not in self._reasons:
            reason = (status, "other")
        self._reasons[reason] += 1
        self._errors.append(
            {
                "time": _iso(self._clock()),
                "path": path,
                "status": status,
                "field": field and field[:_LONGEST],
                "rule": rule[:_LONGEST],
                "request_id": request,
            }
        )

    async def watch(self) -> None:
        """Sample every few seconds until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.sample()

    def sample(self) -> None:
        """Note where the counters stand; forget slow requests of more than ten minutes ago."""
        self._samples.append(self._now())
        oldest = self._samples[0].time
        self._slow = [one for one in self._slow if one.time >= oldest]
        if len(self._slow) < _SLOWEST:
            self._bar = 0.0

    def _now(self) -> _Sample:
        count = self._metrics
        accepted = count.events["accepted"] + count.events["late_accepted"]
        aside, refused = sum(count.set_aside.values()), sum(count.refused.values())
        return _Sample(self._clock(), accepted, aside, refused, tuple(self._scores))

    def document(self) -> dict[str, Any]:
        """Return it as plain data; rates are per second, over five seconds each."""
        samples, now = list(self._samples), self._now()
        if now.time - samples[-1].time >= EVERY / 2:
            samples.append(now)
        rates = []
        for one, other in pairwise(samples):
            seconds = max(other.time - one.time, 1e-3)
            rates.append(
                {
                    "time": _iso(other.time),
                    "accepted": (other.accepted - one.accepted) / seconds,
                    "set_aside": (other.set_aside - one.set_aside) / seconds,
                    "refused": (other.refused - one.refused) / seconds,
                }
            )
        first = samples[0]
        return {
            "per_second": rates,
            "reasons": [
                {"status": status, "rule": rule, "count": count}
                for (status, rule), count in self._reasons.most_common(50)
            ],
            "scores": {
                "since": _iso(first.time),
                "counts": [n - k for n, k in zip(now.scores, first.scores, strict=True)],
            },
            "trackers": [
                {"tool": tool, "events": sent.events, "set_aside": sent.set_aside,
                 "last": _iso(sent.last)}
                for tool, sent in sorted(self._sent.items(), key=lambda item: -item[1].events)
            ],
            "slowest": [
                {"time": _iso(one.time), "path": one.path, "status": one.status,
                 "seconds": one.seconds}
                for one in sorted(self._slow, reverse=True)
            ],
            "errors": list(self._errors)[::-1],
        }  # fmt: skip
