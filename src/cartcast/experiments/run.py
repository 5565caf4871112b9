"""Looking at an experiment, be it a clean log or a table of units; every look is recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cartcast.errors import UsageError
from cartcast.experiments.allocation import Allocation
from cartcast.experiments.analysis import analyze
from cartcast.experiments.exposures import read_exposures
from cartcast.experiments.journal import Journal
from cartcast.experiments.measure import Measured, measure
from cartcast.experiments.measure_spark import measure_spark
from cartcast.experiments.plan import Plan
from cartcast.experiments.results import Analysis
from cartcast.experiments.soundness import peeked
from cartcast.experiments.units import open_units
from cartcast.findings import Finding, by_severity

_STILL = dt.timedelta(days=1)
__all__ = ["look", "measured_of", "past_of", "table_of", "units_of"]


def units_of(
    source: Any, plan: Plan, exposures: Path | str | Sequence[Path | str] | None = None
) -> tuple[Any, tuple[Finding, ...]]:
    """Return the table of units, measured from a log where the plan declares quantities.

    What `measure` made of the log before is taken as it is.

    Raises:
        UsageError: exposures are given, but the plan declares no quantities.
        DataError: the log or table cannot be read.
    """
    if isinstance(source, Measured):
        return source.units, source.findings
    if not plan.quantities:
        if exposures is not None:
            raise UsageError(
                f"{plan.allocation.key}: exposures need `quantities` in the plan; without them the "
                "source is a ready table of units."
            )
        return source, ()
    measured = measured_of(source, plan, exposures)
    return measured.units, measured.findings


def measured_of(
    log: Any, plan: Plan, exposures: Path | str | Sequence[Path | str] | None = None
) -> Measured:
    """Return what the units of a log did, with the exposures of files or live folders.

    Raises:
        DataError: the log or the exposures cannot be read; see `measure` and `read_exposures`.
    """
    given = None
    if exposures is not None:
        paths = [exposures] if isinstance(exposures, Path | str) else exposures
        given = read_exposures(paths, plan.allocation.key, plan.allocation.version, plan.unit)
    return _measured(log, plan, given)


def _measured(log: Any, plan: Plan, exposures: Any = None) -> Measured:
    """Measure where the log lies: one that Spark wrote is a folder of parts, and stays there."""
    path = getattr(log, "path", log)
    parts = isinstance(path, str | Path) and Path(path).is_dir()
    return (measure_spark if parts else measure)(log, plan, exposures)


def table_of(path: Path | str, texts: Sequence[str] = ()) -> Any:
    """Return a file of exposures or of units as an Arrow table; `texts` stay as they are written.

    Raises:
        NotFoundError, UsageError, DataError: it is not there, or cannot be read.
    """
    with open_units(path, texts=texts) as table:
        return table.connection.execute(f"SELECT * FROM {table.relation}").to_arrow_table()


def past_of(log: Any, plan: Plan) -> Measured:
    """Return what all units of a log did, as if the experiment had run over its whole time.

    Args:
        log: a clean log from before the experiment.
        plan: the experiment; its times, coverage, layer and holdout do not count.

    Raises:
        DefinitionError, DataError: see `measure`.
    """
    # Made anew: a copy would keep the ranges that coverage has cut.
    everybody = Allocation(plan.allocation.key, plan.allocation.arms)
    return _measured(log, replace(plan, allocation=everybody, start=None, end=None))


def look(
    source: Any,
    plan: Plan,
    *,
    exposures: Path | str | Sequence[Path | str] | None = None,
    journal: Journal | None = None,
    now: dt.datetime | None = None,
    memory: str | int | None = None,
) -> Analysis:
    """Return the analysis of an experiment, and record in `journal` that it was looked at.

    Args:
        source: a clean log where the plan declares quantities, or what `measure` made of it; else
            a table of units.
        plan: the experiment's plan.
        exposures: files with `unit, arm, exposed`, or folders of the live service; without, see
            `measure`.
        journal: where looks are kept; those before this one count.
        now: present time, against the plan's end.
        memory: limit of the engine, such as `2GB`.

    Raises:
        UsageError, DataError: see `units_of` and `analyze`.
    """
    if plan.quantities and not isinstance(source, Measured):
        source = measured_of(source, plan, exposures)
    units, found = units_of(source, plan, exposures)
    now = now or dt.datetime.now(dt.UTC)
    if isinstance(source, Measured) and source.latest is not None:
        # A log that ends long before the test says nothing of its end; the last hours may be still.
        now = min(now, source.latest.replace(tzinfo=dt.UTC) + _STILL)
    analysis = analyze(
        units,
        plan,
        running=plan.end is not None and now < plan.end,
        information=journal.looks() if journal else (),
        memory=memory,
    )
    if journal is not None:
        # Without an expected number no look has a share; that the units grew says as much.
        if plan.expected_units is None and (
            early := journal.looked_below(sum(analysis.sample_ratio.units.values()))
        ):
            found = (*found, peeked(early))
        journal.add("look", {"progress": analysis.progress,
                             "units": dict(analysis.sample_ratio.units)})  # fmt: skip
    return replace(analysis, findings=tuple(by_severity([*found, *analysis.findings])))
