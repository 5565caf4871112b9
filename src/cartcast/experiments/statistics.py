"""Experiments that come as cumulative statistics: counts, means and variances, without units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cartcast.errors import DataError
from cartcast.experiments import codes
from cartcast.experiments.difference import Difference, Estimate, Linear, compare
from cartcast.experiments.sample_ratio import SampleRatio, sample_ratio
from cartcast.experiments.sequence import TUNED_FOR, always_valid
from cartcast.experiments.soundness import LEAST_UNITS
from cartcast.experiments.units import UnitTable, open_units
from cartcast.findings import Finding, finding

__all__ = ["COLUMNS", "MetricPair", "Pair", "analyze_statistics"]

COLUMNS = (
    "experiment_id", "variant_id", "metric_id", "time_since_start", "count_c", "count_t",
    "mean_c", "mean_t", "variance_c", "variance_t",
)  # fmt: skip
"""Columns of the ASOS data set (https://arxiv.org/abs/2111.10198); c is the control, t the
treatment, and a row holds the statistics from the start up to its time, in days."""


@dataclass(frozen=True)
class MetricPair:
    """One metric of a pair, at its last time.

    Attributes:
        metric: its id.
        looks: times at which there are statistics.
        days: last time since the start.
        difference: the fixed test.
        always_valid: the absolute difference with an interval that holds at every look.
    """

    metric: str
    looks: int
    days: float
    difference: Difference
    always_valid: Estimate | None


@dataclass(frozen=True)
class Pair:
    """One treatment against its control.

    Attributes:
        experiment: id of the experiment.
        variant: id of the treatment.
        sample_ratio: units at the end against the intended shares.
        metrics: every metric.
        findings: what a reader must know.
    """

    experiment: str
    variant: str
    sample_ratio: SampleRatio
    metrics: tuple[MetricPair, ...]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "findings": [f.as_dict() for f in self.findings]}


def analyze_statistics(
    source: Any,
    *,
    shares: tuple[float, float] = (0.5, 0.5),
    level: float = 0.95,
    expected_units: int | None = None,
) -> tuple[Pair, ...]:
    """Return every pair of a table of cumulative statistics with the columns `COLUMNS`.

    Args:
        source: Parquet or CSV file, Arrow table or data frame.
        shares: intended shares of control and treatment.
        level: confidence of the intervals.
        expected_units: units of both arms that were planned for; the always valid intervals are
            narrowest there.

    Raises:
        DataError: a column is missing, or the table is empty.
    """
    with open_units(source, arm="variant_id") as table:
        table.require(COLUMNS)
        found = _last(table)
    if not found:
        raise DataError("the table of statistics has no rows.")
    pairs: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in found:
        pairs.setdefault((str(row[0]), str(row[1])), []).append(row[2:])
    return tuple(
        _pair(key, rows, shares, level, expected_units or TUNED_FOR) for key, rows in pairs.items()
    )


def _last(table: UnitTable) -> list[tuple[Any, ...]]:
    latest = ", ".join(f"arg_max_null({c}, time_since_start)" for c in COLUMNS[4:])
    return table.rows(
        f"SELECT experiment_id, variant_id, metric_id, count(*), max(time_since_start), {latest} "
        f"FROM {table.relation} GROUP BY ALL ORDER BY ALL"
    )


def _pair(
    key: tuple[str, str],
    rows: list[tuple[Any, ...]],
    shares: tuple[float, float],
    level: float,
    tuned_for: int,
) -> Pair:
    findings: list[Finding] = []
    # Metrics may lag behind each other; the ratio is judged where most units are counted.
    most = max(rows, key=lambda r: (r[3] or 0) + (r[4] or 0))
    counts = {"control": int(most[3] or 0), "treatment": int(most[4] or 0)}
    ratio = sample_ratio(counts, dict(zip(counts, shares, strict=True)))
    if ratio.wrong:
        findings.append(
            finding(
                codes.SAMPLE_RATIO,
                f"{key[0]}/{key[1]}: {counts['control']:,} to {counts['treatment']:,} units, meant "
                f"were {shares[0]:g} to {shares[1]:g} (p = {ratio.p_value:.2g}).",
                p_value=ratio.p_value,
            )
        )
    metrics = []
    for row in rows:
        metric = _metric(row, level, tuned_for)
        metrics.append(metric)
        findings += _missing(key, metric, row)
    return Pair(*key, ratio, tuple(metrics), tuple(findings))


def _metric(row: tuple[Any, ...], level: float, tuned_for: int) -> MetricPair:
    name, times, days, *numbers = row
    n_c, n_t, mean_c, mean_t, var_c, var_t = (math.nan if v is None else float(v) for v in numbers)
    d = Difference(mean_c, mean_t, None, None)
    if all(map(math.isfinite, (mean_c, mean_t, var_c, var_t))) and min(n_c, n_t) >= LEAST_UNITS:
        control = Linear.plain(int(n_c), mean_c, var_c)
        d = compare(control, Linear.plain(int(n_t), mean_t, var_t), level=level)
    valid = always_valid(d.absolute, int(n_c + n_t), tuned_for) if d.absolute else None
    return MetricPair(str(name), int(times), float(days), d, valid)


def _missing(key: tuple[str, str], metric: MetricPair, row: tuple[Any, ...]) -> Iterator[Finding]:
    where = f"{key[0]}/{key[1]}, metric {metric.metric}"
    if min(row[3] or 0, row[4] or 0) < LEAST_UNITS:
        yield finding(codes.FEW_UNITS, f"{where}: fewer than {LEAST_UNITS} units in an arm.")
    elif metric.difference.absolute is None:
        yield finding(codes.NO_VARIANCE, f"{where}: a mean or variance is missing or zero.")
