"""Counts and durations of the live service, kept as plain numbers, shown for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

__all__ = ["BUCKETS", "Metrics"]

BUCKETS: tuple[float, ...] = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
"""Upper ends of the duration buckets, in seconds."""


class Metrics:
    """What the service counts; incrementing costs a dictionary access.

    >>> m = Metrics()
    >>> m.observe("/v1/events", 200, 0.002)
    >>> [line for line in m.lines() if line.startswith("cartcast_requests_total")]
    ['cartcast_requests_total{path="/v1/events",status="200"} 1']
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.requests: Counter[tuple[str, int]] = Counter()
        self.models_taken = 0
        self._durations: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests[path, status] += 1
        buckets = self._durations.get(path)
        if buckets is None:
            buckets = self._durations[path] = [0] * (len(BUCKETS) + 1)
        buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[path] = self._seconds.get(path, 0.0) + seconds

    def lines(self) -> Iterator[str]:
        """Yield the Prometheus text format (version 0.0.4)."""
        yield "# HELP cartcast_events_total Events by what became of them."
        yield "# TYPE cartcast_events_total counter"
        for status, count in sorted(self.events.items()):
            yield f'cartcast_events_total{{status="{status}"}} {count}'
        yield "# HELP cartcast_refused_total Requests refused, by reason."
        yield "# TYPE cartcast_refused_total counter"
        for reason, count in sorted(self.refused.items()):
            yield f'cartcast_refused_total{{reason="{reason}"}} {count}'
        yield "# HELP cartcast_models_taken_total Champions taken up since the start."
        yield "# TYPE cartcast_models_taken_total counter"
        yield f"cartcast_models_taken_total {self.models_taken}"
        yield "# HELP cartcast_requests_total Requests by path and status."
        yield "# TYPE cartcast_requests_total counter"
        for (path, code), count in sorted(self.requests.items()):
            yield f'cartcast_requests_total{{path="{path}",status="{code}"}} {count}'
        yield "# HELP cartcast_request_seconds Time from headers to answer."
        yield "# TYPE cartcast_request_seconds histogram"
        for path, buckets in sorted(self._durations.items()):
            total = 0
            for edge, count in zip((*BUCKETS, "+Inf"), buckets, strict=True):
                total += count
                yield f'cartcast_request_seconds_bucket{{path="{path}",le="{edge}"}} {total}'
            yield f'cartcast_request_seconds_sum{{path="{path}"}} {self._seconds[path]:.6f}'
            yield f'cartcast_request_seconds_count{{path="{path}"}} {total}'
