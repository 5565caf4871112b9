"""The newest looks as metrics for Prometheus, for the service or a textfile collector."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from cartcast.config import STATE_FOLDER
from cartcast.errors import CartcastError
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.store import Store
from cartcast.runs.registry import Registry

if TYPE_CHECKING:
    from cartcast.monitoring.check import Look

__all__ = ["STATE_FILE", "WatchedRuns", "collect", "told"]

logger = logging.getLogger(__name__)

STATE_FILE = "monitor.db"
_KINDS = ("page", "ticket")


def told(look: Look) -> dict[str, Any]:
    """Return what a look says in numbers, as the store keeps it; what is not known is None."""
    evidence = {k: v for k, v in look.evidence.items() if v > float("-inf")}
    estimated = None if look.estimate is None else look.estimate.value
    newest = look.days["day"].iloc[-1].timestamp() + 86_400 if len(look.days) else None
    return {"evidence": evidence, **look.risk, "estimated": estimated, "newest": newest}


def collect(looks: Mapping[str, Mapping[str, Any]], alarms: Sequence[Alarm]) -> Iterator[Metric]:
    """Yield the metrics of what looks told, by run; rules for them are in `deploy/prometheus`."""
    evidence = _gauge(
        "evidence", "Log of a process's detector; it pages at the threshold.", "process"
    )
    threshold = _gauge("threshold", "Log of the threshold that the budget of pages gives.")
    losses = _gauge("loss", "Mean log loss of a moment over the last 28 days.", "kind")
    brier = _gauge("brier", "Mean Brier score of a moment over the last 28 days.", "kind")
    share = _gauge("realised_share", "Realised over expected, over the last 28 days.", "of")
    newest = _gauge("newest_day_seconds", "End of the newest day with known outcomes.")
    for run, look in looks.items():
        for name, value in look["evidence"].items():
            (threshold if name == "threshold" else evidence).add_metric(
                [run] if name == "threshold" else [run, name], value
            )
        for family, kind, column in (
            (losses, "realised", "log_loss"), (losses, "expected", "log_loss_expected"),
            (losses, "estimated", "estimated"), (brier, "realised", "brier"),
            (brier, "expected", "brier_expected"), (share, "purchases", "purchases"),
            (share, "revenue", "revenue"),
        ):  # fmt: skip
            if look.get(column) is not None:
                family.add_metric([run, kind], look[column])
        if look["newest"] is not None:
            newest.add_metric([run], look["newest"])
    yield from (evidence, threshold, losses, brier, share, newest)
    states = GaugeMetricFamily(
        "cartcast_monitor_alarms", "Alarms that are not resolved.", labels=["severity", "state"]
    )
    for severity in _KINDS:
        for state in ("open", "acknowledged"):
            n = sum(a.severity == severity and a.state == state for a in alarms)
            states.add_metric([severity, state], n)
    yield states


class WatchedRuns:
    """What a project's watch last said of the runs that hold an alias, for a service's scrapes.

    Args:
        project: folder of the project.
        catalogue: URL of its catalogue, or None.
    """

    def __init__(self, project: Path, catalogue: str | None = None) -> None:
        self._store = Store(project / STATE_FOLDER / STATE_FILE)
        self._registry = Registry(project, catalogue)

    def collect(self) -> list[Metric]:
        """Return the metrics; none before the first look, nor while the state cannot be read."""
        if self._store.path is None or not self._store.path.is_file():
            return []
        try:
            looks, alarms = self._store.looks(), self._store.alarms()
            held = self._registry.aliases()
        except CartcastError as error:
            logger.warning("the watch is not told: %s", error)
            return []
        info = _gauge("run_info", "Aliases that a watched run holds.", "target", "alias")
        last = _gauge("last_look_seconds", "Time of the newest look.")
        shown = {}
        for run, (at, look) in looks.items():
            own = [key for key, run_id in held.items() if run_id == run.partition("/")[0]]
            for target, alias in own:
                info.add_metric([run, target, alias], 1)
            if own:
                last.add_metric([run], datetime.fromisoformat(at).timestamp())
                shown[run] = look
        return [*collect(shown, alarms), info, last]


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"cartcast_monitor_{name}", what, labels=["run", *labels])
