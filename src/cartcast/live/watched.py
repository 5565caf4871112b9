"""What the watch over models last said, as metrics: for the service, or a textfile collector.

A service reads the state of `cartcast monitor` at each scrape, and loads nothing of the watch.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from cartcast.config import STATE_FOLDER
from cartcast.errors import CartcastError
from cartcast.runs.registry import Registry

__all__ = ["STATE_FILE", "WatchedRuns", "collect"]

logger = logging.getLogger(__name__)

STATE_FILE: Final = "monitor.db"
"""Of `cartcast.monitoring.store`, in the project's state."""
_KINDS: Final = ("page", "ticket")


def collect(
    looks: Mapping[str, Mapping[str, Any]], alarms: Mapping[tuple[str, str], int]
) -> Iterator[Metric]:
    """Yield the metrics of what looks told by run, and of alarms counted by severity and state.

    Rules for them are in `deploy/prometheus`.
    """
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
            states.add_metric([severity, state], alarms.get((severity, state), 0))
    yield states


class WatchedRuns:
    """What a project's watch last said of the runs that hold an alias, for a service's scrapes.

    Args:
        project: folder of the project.
        catalogue: URL of its catalogue, or None.
    """

    def __init__(self, project: Path, catalogue: str | None = None) -> None:
        self._state = project / STATE_FOLDER / STATE_FILE
        self._registry = Registry(project, catalogue)

    def collect(self) -> list[Metric]:
        """Return the metrics; none before the first look, nor while the state cannot be read."""
        if not self._state.is_file():
            return []
        try:
            looks, alarms = self._read()
            held = self._registry.aliases()
        except (CartcastError, sqlite3.Error, ValueError) as error:
            logger.warning("%s: what the watch said cannot be told: %s", self._state, error)
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

    def _read(self) -> tuple[dict[str, tuple[str, dict[str, Any]]], dict[tuple[str, str], int]]:
        """Return the newest look at each run, and alarms counted; nothing is locked or written."""
        uri = f"{self._state.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1)) as con:
            looks = con.execute("SELECT run, at, told FROM looks ORDER BY run").fetchall()
            counts = con.execute("SELECT severity, state, count(*) FROM alarms GROUP BY 1, 2")
            alarms = {(severity, state): n for severity, state, n in counts.fetchall()}
        return {run: (at, json.loads(text)) for run, at, text in looks}, alarms


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"cartcast_monitor_{name}", what, labels=["run", *labels])
