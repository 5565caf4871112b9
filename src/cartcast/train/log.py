"""Training from an event log: anchors, features as known then, split, audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cartcast import events
from cartcast.errors import UsageError
from cartcast.events import Log
from cartcast.features import FeatureSet, load_set
from cartcast.findings import Finding, require_unblocked, waive
from cartcast.reading import recorded
from cartcast.rows import from_log
from cartcast.scratch import scratch
from cartcast.splits import split_by_time
from cartcast.targets import Proxy, Target, parse_target
from cartcast.train.answer import answer
from cartcast.train.audits import audit_rows
from cartcast.train.choose import DECLARATIONS, model_names
from cartcast.train.options import Options
from cartcast.train.parts import cut
from cartcast.train.question import Question
from cartcast.train.result import Run
from cartcast.train.steps import Progress, Steps

__all__ = ["train_log"]


def train_log(
    sources: Sequence[Any],
    options: Options,
    run_dir: Path,
    progress: Progress | None = None,
    engine: str = "duckdb",
) -> Run:
    """Train on an event log and write the run folder; models are fitted here, whatever the engine.

    Raises:
        DataError: the log breaks the contract or lacks the outcome.
        BlockedError: the audit found a leak that was not waived.
        UsageError: an option does not fit, or ids are to be replaced and the key is missing.
        StorageError: the run folder cannot be written.
    """
    steps = Steps(progress)
    target = parse_target(options.target, dict(options.targets))
    privacy = events.privacy_from(options.privacy)
    names = model_names(options.models, "regressor" if target.money else "classifier")
    features = load_set(options.features)
    # What Spark cleans lies on the disk that its machines share, as the run must.
    with scratch(run_dir.parent if engine == "spark" else None) as work:
        with steps("reading the log"):
            log = events.load(
                *sources,
                layout=options.layout,
                orders=options.orders,
                session_gap=options.session_gap,
                session_breaks=options.session_breaks,
                max_reject_share=options.max_reject_share,
                folder=work,
                privacy=privacy,
                zone=options.zone,
                rates=options.rates or None,
                engine=engine,
            )
        question = _ask(log, target, features, options, steps, sources)
        question = _with_events(question, names, options, steps)
        with steps("audit"):
            found = [
                *log.findings,
                *question.rows.findings,
                *_audit(question, log, target, features),
            ]
            found = waive(found, options.waivers)
            require_unblocked(found)
        return answer(question, options, names, found, run_dir, steps)


def _ask(
    log: Log,
    target: Target | Proxy,
    features: FeatureSet,
    options: Options,
    steps: Steps,
    sources: Sequence[Any],
) -> Question:
    with steps("features at each anchor"):
        rows = from_log(
            log,
            target,
            features,
            options.anchors,
            session_gap=options.session_gap,
            most_rows=options.most_rows,
            seed=options.seed,
        )
    with steps("split"):
        split = split_by_time(rows.table, options.split, log.clock in ("time", "day"))
        parts = cut(rows, split)
    return Question(
        kind="regressor" if target.money else "classifier",
        target={
            "name": target.name,
            "asked": options.target,
            "kind": target.kind,
            "describe": target.describe(),
            "horizon": target.horizon,
        },
        rows=rows,
        split=split,
        parts=parts,
        source={
            "files": [_called(s) for s in sources],
            "layout": log.layout,
            "clock": log.clock,
            "licence": options.licence,
            "privacy": log.privacy,
            "columns": _columns_with_values(log),
            **recorded(
                log,
                features,
                layout=options.layout,
                session_gap=options.session_gap,
                session_breaks=options.session_breaks,
            ),
        },
        data=log.summary.as_dict(),
        units={name: feature.unit for name, feature in features.features.items()},
        log=log,
        features=features,
    )


def _called(source: Any) -> str:
    if isinstance(source, Log):
        return str(source.path)
    return str(source) if isinstance(source, str | Path) else "a table in memory"


def _with_events(q: Question, names: Sequence[str], options: Options, steps: Steps) -> Question:
    """Add the events up to each row where a model reads them.

    Raises:
        UsageError: rows are to be resampled, which sessions cannot be.
    """
    readers = [n for n in names if DECLARATIONS[q.kind][n].reads == "events"]
    if not readers or q.log is None:
        return q
    if options.resample is not None:
        raise UsageError(
            f"model {readers[0]!r} reads whole sessions, which cannot be resampled; leave "
            "--resample or the model out."
        )
    from cartcast.models.sequence import prefixes

    with steps("events at each anchor"):
        parts = {
            name: replace(part, events=prefixes(q.log, part.table))
            for name, part in q.parts.items()
        }
    return replace(q, parts=parts)


def _columns_with_values(log: Log) -> list[str]:
    """Return the columns of the log that have any value: what a log to be scored must have."""
    found = set().union(*log.map_parts(_with_values))
    return [c for c in log.columns if c in found]


def _with_values(part: Log) -> set[str]:
    with part.connect() as con:
        columns = [str(r[0]) for r in con.execute("DESCRIBE events").fetchall()]
        counts = ", ".join('count("' + c.replace('"', '""') + '")' for c in columns)
        row = con.execute(f"SELECT {counts} FROM events").fetchone() or ()
    return {c for c, n in zip(columns, row, strict=True) if n}


def _audit(q: Question, log: Log, target: Target | Proxy, features: FeatureSet) -> list[Finding]:
    table = q.rows.table.assign(part=q.split.part, weight=q.split.weight)
    clock = str(q.source["clock"])
    return audit_rows(
        table[table["part"].notna()],
        q.rows.features,
        session="session_id",
        visitor="visitor_id",
        time="anchor_time" if clock in ("time", "day") else None,
        click="click",
        lineage={name: feature.lineage for name, feature in features.features.items()},
        reads=target.reads,
        kind=target.kind,
        describe=target.describe(),
        clock=clock,
        horizon=target.seconds,
        data_end=log.summary.end if clock == "time" else None,
        dropped={**q.rows.dropped, **q.split.dropped},
    )
