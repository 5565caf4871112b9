"""What the watch over models last said, as metrics: for the service, or a textfile collector.

A service reads the state of `cartcast monitor` at each scrape, and loads nothing of the watch.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from cartcast.config import STATE_FOLDER
from cartcast.errors import CartcastError
from cartcast.runs.registry import Registry
from cartcast.statefile import reading

__all__ = ["STATE_FILE", "WatchedRuns", "collect"]

logger = logging.getLogger(__name__)

STATE_FILE: Final = "monitor.db"
"""Of `cartcast.monitoring.store`, in the project's state."""
_KINDS: Final = ("page", "ticket")


def collect(
    looks: Iterable[Mapping[str, Any]], alarms: Mapping[tuple[str, str], int]
) -> Iterator[Metric]:
    """Yield the metrics of looks as the state keeps them, and of alarms by severity and state.

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
    for look in looks:
        run, risk = look["run"], look["risk"]
        for name, value in look["evidence"].items():
            if name == "threshold":
                threshold.add_metric([run], value)
            elif value is not None and value > float("-inf"):
                evidence.add_metric([run, name], value)
        estimated = look["estimate"] and look["estimate"]["value"]
        for family, kind, value in (
            (losses, "realised", risk["log_loss"]), (losses, "expected", risk["log_loss_expected"]),
            (losses, "estimated", estimated), (brier, "realised", risk["brier"]),
            (brier, "expected", risk["brier_expected"]), (share, "purchases", risk["purchases"]),
            (share, "revenue", risk["revenue"]),
        ):  # fmt: skip
            if value is not None:
                family.add_metric([run, kind], value)
        if look["last_day"] is not None:
            day = datetime.fromisoformat(str(look["last_day"])).replace(tzinfo=UTC)
            newest.add_metric([run], day.timestamp() + 86_400)
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
    """

    def __init__(self, project: Path) -> None:
        self._state = project / STATE_FOLDER / STATE_FILE
        self._registry = Registry.of(project)

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
        shown = []
        for run_id, (at, look) in looks.items():
            own = [key for key, holder in held.items() if holder == run_id]
            for target, alias in own:
                info.add_metric([look["run"], target, alias], 1)
            if own:
                last.add_metric([look["run"]], datetime.fromisoformat(at).timestamp())
                shown.append(look)
        return [*collect(shown, alarms), info, last]

    def _read(self) -> tuple[dict[str, tuple[str, dict[str, Any]]], dict[tuple[str, str], int]]:
        """Return the newest look at each run, and alarms counted; nothing is locked or written."""
        with reading(self._state, timeout=1) as con:
            looks = con.execute("SELECT run, at, told FROM looks ORDER BY run").fetchall()
            counts = con.execute("SELECT severity, state, count(*) FROM alarms GROUP BY 1, 2")
            alarms = {(severity, state): n for severity, state, n in counts.fetchall()}
        return {run: (at, json.loads(text)) for run, at, text in looks}, alarms


def _gauge(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"cartcast_monitor_{name}", what, labels=["run", *labels])
