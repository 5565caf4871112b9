"""Training from an event log: anchors, features as known then, split, audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cartcast import events
from cartcast.errors import UsageError
from cartcast.events import Log
from cartcast.features import FeatureSet, load_set
from cartcast.findings import Finding, require_unblocked, waive
from cartcast.leakage import audit, of_rows
from cartcast.moments import SO_FAR, from_log, with_horizon
from cartcast.moments.anchors import require_outcome
from cartcast.rows.table import called_source
from cartcast.runs.counts import recorded
from cartcast.runs.reading import Reading
from cartcast.runs.run import Run
from cartcast.scratch import scratch
from cartcast.segments import Segment
from cartcast.splits import split_by_time
from cartcast.targets import Proxy, Target, asked_as, parse_target
from cartcast.train.budget import Budget
from cartcast.train.candidates import model_names
from cartcast.train.fit import declared
from cartcast.train.options import Options
from cartcast.train.pipeline import carry_out
from cartcast.train.proposals import Proposed, propose_features
from cartcast.train.task import Part, Task, parts_of

__all__ = ["train_log"]

READING_MEMORY = "1200MB"
"""What the engine may take to read a log: no more than the training takes later."""


def train_log(
    sources: Sequence[Any],
    options: Options,
    run_dir: Path,
    budget: Budget,
    engine: str = "duckdb",
) -> Run:
    """Train on an event log and write the run folder; models are fitted here, whatever the engine.

    Raises:
        DataError: the log breaks the contract or lacks the outcome.
        BlockedError: the audit found a leak that was not waived.
        UsageError: an option does not fit, or ids are to be replaced and the key is missing.
        StorageError: the run folder cannot be written.
    """
    moment = options.asked_at
    target = parse_target(options.target, dict(options.targets))
    target = with_horizon(target, moment, options.horizon)
    privacy = events.privacy_from(options.privacy)
    kind = "regressor" if target.money else "classifier"
    names = model_names(options.models, kind)
    chosen = None
    if options.features != "auto":
        chosen = load_set(options.features).without(options.drop)
    reading = Reading.from_settings(options)
    # What Spark cleans lies on the disk that its machines share, as the run must.
    with scratch(run_dir.parent if engine == "spark" else None) as work:
        with budget("reading the log"):
            log = reading.load(
                *sources, orders=options.orders, folder=work, privacy=privacy, engine=engine,
                memory=READING_MEMORY,
            )  # fmt: skip
        reading = reading.settled(log)
        require_outcome(log, target)
        proposed: Proposed | None = None
        if chosen is None:
            with budget("proposing features"):
                proposed = propose_features(
                    log, target, moment, train=sum(options.split[:2]),
                    session_gap=reading.sessions.gap, seed=options.seed, drop=options.drop,
                )  # fmt: skip
        features = chosen or proposed.features  # type: ignore[union-attr]
        task = _task(log, reading, target, features, options, budget, sources)
        task = replace(task, proposed=proposed.as_dict() if proposed else None)
        task = _with_events(task, names, options, budget)
        with budget("audit"):
            found = [*log.findings, *task.rows.findings, *_audit(task, log, target, features)]
            found = waive(found, options.waivers)
            require_unblocked(found)
        task = replace(task, findings=tuple(found))
        return carry_out(task, options, names, run_dir, budget)


def _task(
    log: Log,
    reading: Reading,
    target: Target | Proxy,
    features: FeatureSet,
    options: Options,
    budget: Budget,
    sources: Sequence[Any],
) -> Task:
    with budget("features at each anchor"):
        rows = from_log(
            log,
            target,
            features,
            options.asked_at,
            session_gap=reading.sessions.gap,
            most_rows=options.most_rows,
            seed=options.seed,
            segment=options.chosen,
        )
    with budget("split"):
        split = split_by_time(rows.table, options.split, log.clock in ("time", "day"))
        train, test = parts_of(rows, split)
    return Task(
        kind="regressor" if target.money else "classifier",
        target={
            "name": target.name,
            "asked": asked_as(target, options.target),
            "kind": target.kind,
            "describe": described(target.describe(), options.chosen),
            "horizon": target.horizon,
            "proxy": asdict(target) if isinstance(target, Proxy) else None,
        },
        rows=rows,
        split=split,
        train=train,
        test=test,
        source={
            "files": [str(s.path) if isinstance(s, Log) else called_source(s) for s in sources],
            "layout": log.layout,
            "licence": options.licence,
            "columns": log.filled(),
            **recorded(log, features),
        },
        data=log.summary.as_dict(),
        units={
            **{name: feature.unit for name, feature in features.features.items()},
            **{name: unit for name, (unit, _) in SO_FAR.items() if options.asked_at.dated},
        },
        log=log,
        reading=reading,
        outcome=target,
        features=features,
        segment=options.chosen,
    )


def described(target: str, segment: Segment | None) -> str:
    """Return what is predicted, and of whom where it is not of everybody."""
    return target if segment is None else f"{target}, of segment {segment.name!r}"


def _with_events(task: Task, names: Sequence[str], options: Options, budget: Budget) -> Task:
    """Add the events up to each row where a model reads them.

    Raises:
        UsageError: rows are to be resampled, which sessions cannot be.
    """
    known = declared(task.kind, options.own)
    readers = [n for n in names if known[n].reads == "events"]
    if not readers or task.log is None:
        return task
    if options.resample is not None:
        raise UsageError(
            f"model {readers[0]!r} reads whole sessions, which cannot be resampled; leave "
            "--resample or the model out."
        )
    from cartcast.models.sequence import prefixes

    with budget("events at each anchor"):
        events = prefixes(task.log, task.rows.table, task.features)

    def reading(part: Part) -> Part:
        return replace(part, events=events)

    return replace(task, train=reading(task.train), test=reading(task.test))


def _audit(task: Task, log: Log, target: Target | Proxy, features: FeatureSet) -> list[Finding]:
    clock = log.clock
    roles = {"session": "session_id", "visitor": "visitor_id"}
    if clock in ("time", "day"):
        roles["time"] = "anchor_time"
    if task.rows.table["click"].notna().any():
        roles["click"] = "click"
    given = of_rows(
        task.rows,
        roles,
        task.split,
        lineage={
            **{name: feature.lineage for name, feature in features.features.items()},
            **{name: lineage for name, (_, lineage) in SO_FAR.items()},
        },
        reads=target.reads,
        kind=target.kind,
        describe=target.describe(),
        clock=clock,
        horizon=target.seconds,
        data_end=log.summary.end if clock == "time" else None,
        dropped={**task.rows.dropped, **task.split.dropped},
    )
    return audit(given)
