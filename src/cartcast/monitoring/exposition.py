"""The newest look as metrics for Prometheus; a service reads them from the state instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric

from cartcast.live import watched

if TYPE_CHECKING:
    from cartcast.monitoring.check import Look

__all__ = ["collect", "told"]


def told(look: Look) -> dict[str, Any]:
    """Return what a look says in numbers, as the state keeps it; what is not known is None."""
    evidence = {k: v for k, v in look.evidence.items() if v > float("-inf")}
    estimated = None if look.estimate is None else look.estimate.value
    newest = look.days["day"].iloc[-1].timestamp() + 86_400 if len(look.days) else None
    return {"evidence": evidence, **look.risk, "estimated": estimated, "newest": newest}


def collect(look: Look) -> Iterator[Metric]:
    """Yield the metrics of a look; rules for them are in `deploy/prometheus`."""
    return watched.collect(
        {look.run: told(look)}, Counter((a.severity, a.state) for a in look.alarms)
    )
