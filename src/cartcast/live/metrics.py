"""Counts and durations of the live service, kept as plain numbers, shown for Prometheus.

The counting is ours, the text is the library's: a scrape is rare, an event is not
(decision 0040).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

__all__ = ["BUCKETS", "Metrics", "exposition"]

BUCKETS: tuple[float, ...] = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
"""Upper ends of the duration buckets, in seconds."""


class _Scrape(NamedTuple):
    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def exposition(families: Iterable[Metric]) -> str:
    """Return metrics in the Prometheus text format (version 0.0.4)."""
    return generate_latest(_Scrape(families)).decode()


class Metrics:
    """What the service counts; incrementing costs a dictionary access.

    >>> m = Metrics()
    >>> m.observe("/v1/events", 200, 0.002)
    >>> [x for x in exposition(m.collect()).splitlines() if x.startswith("cartcast_requests_total")]
    ['cartcast_requests_total{path="/v1/events",status="200"} 1.0']
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.set_aside: Counter[str] = Counter()
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

    def collect(self) -> Iterator[Metric]:
        """Yield what is counted, for a scrape."""
        events = CounterMetricFamily(
            "cartcast_events", "Events by what became of them.", labels=["status"]
        )
        for status, count in sorted(self.events.items()):
            events.add_metric([status], count)
        refused = CounterMetricFamily(
            "cartcast_refused", "Requests refused, by reason.", labels=["reason"]
        )
        for reason, count in sorted(self.refused.items()):
            refused.add_metric([reason], count)
        aside = CounterMetricFamily(
            "cartcast_events_set_aside", "Events of a body that was taken, set aside by the rule "
            "that they break.", labels=["rule"],
        )  # fmt: skip
        for rule, count in sorted(self.set_aside.items()):
            aside.add_metric([rule], count)
        requests = CounterMetricFamily(
            "cartcast_requests", "Requests by path and status.", labels=["path", "status"]
        )
        for (path, code), count in sorted(self.requests.items()):
            requests.add_metric([path, str(code)], count)
        seconds = HistogramMetricFamily(
            "cartcast_request_seconds", "Time from headers to answer.", labels=["path"]
        )
        edges = [*map(str, BUCKETS), "+Inf"]
        for path, buckets in sorted(self._durations.items()):
            totals = list(zip(edges, accumulate(buckets), strict=True))
            seconds.add_metric([path], totals, self._seconds[path])
        taken = CounterMetricFamily(
            "cartcast_models_taken", "Champions taken up since the start.", self.models_taken
        )
        yield from (events, aside, refused, taken, requests, seconds)
