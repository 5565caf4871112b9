"""The newest look as metrics for Prometheus; a service reads them from the state instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Metric

from cartcast.live import watched

if TYPE_CHECKING:
    from cartcast.monitoring.check import Look

__all__ = ["collect"]


def collect(look: Look) -> Iterator[Metric]:
    """Yield the metrics of a look; rules for them are in `deploy/prometheus`."""
    alarms = Counter[tuple[str, str]]((a.severity, a.state) for a in look.alarms)
    return watched.collect([look.as_dict()], alarms)
