"""The newest look in the Prometheus text format, for the service or a textfile collector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartcast.monitoring.check import Look

__all__ = ["exposition"]

_KINDS = ("page", "ticket")


def exposition(look: Look) -> Iterator[str]:
    """Yield the lines of a look; rules for them are in `deploy/prometheus`."""
    run = look.run.replace("\\", r"\\").replace('"', r"\"")
    yield "# HELP cartcast_monitor_evidence Log of a process's detector; it pages at the threshold."
    yield "# TYPE cartcast_monitor_evidence gauge"
    for name, value in look.evidence.items():
        if name != "threshold" and value > float("-inf"):
            yield f'cartcast_monitor_evidence{{run="{run}",process="{name}"}} {value:.6g}'
    yield "# HELP cartcast_monitor_threshold Log of the threshold that the budget of pages gives."
    yield "# TYPE cartcast_monitor_threshold gauge"
    if "threshold" in look.evidence:
        yield f'cartcast_monitor_threshold{{run="{run}"}} {look.evidence["threshold"]:.6g}'
    yield "# HELP cartcast_monitor_loss Mean log loss of a moment over the last 28 days."
    yield "# TYPE cartcast_monitor_loss gauge"
    kinds = {"realised": look.risk["log_loss"], "expected": look.risk["log_loss_expected"]}
    if look.estimate is not None:
        kinds["estimated"] = look.estimate.value
    for kind, loss in kinds.items():
        if loss is not None:
            yield f'cartcast_monitor_loss{{run="{run}",kind="{kind}"}} {loss:.6g}'
    yield "# HELP cartcast_monitor_newest_day_seconds End of the newest day with known outcomes."
    yield "# TYPE cartcast_monitor_newest_day_seconds gauge"
    if len(look.days):
        end = look.days["day"].iloc[-1].timestamp() + 86_400
        yield f'cartcast_monitor_newest_day_seconds{{run="{run}"}} {end:.0f}'
    yield "# HELP cartcast_monitor_alarms Alarms that are not resolved."
    yield "# TYPE cartcast_monitor_alarms gauge"
    for severity in _KINDS:
        for state in ("open", "acknowledged"):
            n = sum(a.severity == severity and a.state == state for a in look.alarms)
            yield f'cartcast_monitor_alarms{{severity="{severity}",state="{state}"}} {n}'
