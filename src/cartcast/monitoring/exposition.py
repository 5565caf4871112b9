"""The newest look as metrics for Prometheus, for the service or a textfile collector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from cartcast.monitoring.check import Look

__all__ = ["collect"]

_KINDS = ("page", "ticket")


def collect(look: Look) -> Iterator[Metric]:
    """Yield the metrics of a look; rules for them are in `deploy/prometheus`."""
    evidence = _gauge(
        "evidence", "Log of a process's detector; it pages at the threshold.", "process"
    )
    for name, value in look.evidence.items():
        if name != "threshold" and value > float("-inf"):
            evidence.add_metric([look.run, name], value)
    yield evidence
    threshold = _gauge("threshold", "Log of the threshold that the budget of pages gives.")
    if "threshold" in look.evidence:
        threshold.add_metric([look.run], look.evidence["threshold"])
    yield threshold
    losses = _gauge("loss", "Mean log loss of a moment over the last 28 days.", "kind")
    kinds = {"realised": look.risk["log_loss"], "expected": look.risk["log_loss_expected"]}
    if look.estimate is not None:
        kinds["estimated"] = look.estimate.value
    for kind, loss in kinds.items():
        if loss is not None:
            losses.add_metric([look.run, kind], loss)
    yield losses
    newest = _gauge("newest_day_seconds", "End of the newest day with known outcomes.")
    if len(look.days):
        newest.add_metric([look.run], look.days["day"].iloc[-1].timestamp() + 86_400)
    yield newest
    alarms = GaugeMetricFamily(
        "cartcast_monitor_alarms", "Alarms that are not resolved.", labels=["severity", "state"]
    )
    for severity in _KINDS:
        for state in ("open", "acknowledged"):
            n = sum(a.severity == severity and a.state == state for a in look.alarms)
            alarms.add_metric([severity, state], n)
    yield alarms


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"cartcast_monitor_{name}", what, labels=["run", *labels])
