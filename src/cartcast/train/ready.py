"""Training from a ready table: one row per session, columns made elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from cartcast.errors import DataError, UsageError
from cartcast.findings import require_unblocked, waive
from cartcast.rows import Rows, from_table
from cartcast.splits import Split, split_by_groups, split_by_shares, split_by_time
from cartcast.train.answer import answer
from cartcast.train.audits import audit_rows
from cartcast.train.choose import DECLARATIONS, model_names
from cartcast.train.options import Options
from cartcast.train.parts import Part, cut, part_of
from cartcast.train.question import Question
from cartcast.train.result import Run
from cartcast.train.steps import Progress, Steps

__all__ = ["train_rows"]


def train_rows(
    source: Any, options: Options, run_dir: Path, progress: Progress | None = None
) -> Run:
    """Train on a ready table and write the run folder.

    Rows are split by time where `time` names a column, by visitor where `group` does, at random
    otherwise; with `folds`, every row is judged by a model that never saw it.

    Raises:
        NotFoundError: the file is missing.
        DataError: the table or its target break their rules.
        BlockedError: the audit found a leak that was not waived.
        UsageError: a named column does not exist.
        StorageError: the run folder cannot be written.
    """
    steps = Steps(progress)
    with steps("reading the table"):
        rows = from_table(
            source,
            options.target,
            drop=options.drop,
            group=options.group,
            time=options.time,
            positive=options.positive,
            most_rows=options.most_rows,
            seed=options.seed,
        )
    kind = "classifier" if set(rows.table["label"].unique()) <= {0.0, 1.0} else "regressor"
    names = model_names(options.models, kind)
    if readers := [n for n in names if DECLARATIONS[kind][n].reads == "events"]:
        raise UsageError(
            f"model {readers[0]!r} reads the events of sessions; give a log, not a ready table."
        )
    with steps("split"):
        split = _split(rows, options)
        parts = _parts(rows, split, options)
    with steps("audit"):
        found = waive([*rows.findings, *_audit(rows, split, options)], options.waivers)
        require_unblocked(found)
    question = Question(
        kind=kind,  # type: ignore[arg-type]
        target=_target(options, kind, rows.positive),
        rows=rows,
        split=split,
        parts=parts,
        source={
            "files": [str(source) if isinstance(source, str | Path) else "a table in memory"],
            "layout": "ready table",
            "clock": "time" if options.time else "none",
            "currency": None,
            "licence": options.licence,
        },
        data=_summary(rows, kind),
        units=dict.fromkeys(rows.features, ""),
    )
    return answer(question, options, names, found, run_dir, steps)


def _target(options: Options, kind: str, positive: str | None) -> dict[str, Any]:
    plain = positive is not None and positive.lower() in ("1", "true")
    what = "(an amount)" if positive is None else "is true" if plain else f"is {positive}"
    return {
        "name": options.target,
        "asked": options.target,
        "kind": "observed",
        "describe": f"column {options.target} {what}, as the table gives it",
        "horizon": None,
        "positive": positive,
    }


def _split(rows: Rows, options: Options) -> Split:
    if options.time is not None:
        return split_by_time(rows.table, options.split, by_clock=True)
    if options.group is not None:
        return split_by_groups(rows.table["visitor_id"], options.split, options.seed)
    return split_by_shares(rows.table["label"], options.split, options.seed)


def _parts(rows: Rows, split: Split, options: Options) -> dict[str, Part]:
    """Return the parts; with folds, `test` holds every row and its part trains the final model."""
    if options.folds is None:
        return cut(rows, split)
    _enough(rows.table["label"], options.folds)
    joined = split.part.where(split.part != "test", "train")
    parts = cut(rows, replace(split, part=joined))
    everything = part_of(rows, pd.Series(True, index=rows.table.index))
    if len(everything) < 2 * (options.folds or 2):
        raise DataError(
            f"{options.folds} folds need at least {2 * (options.folds or 2)} rows, got "
            f"{len(everything)}."
        )
    return {**parts, "test": everything}


def _enough(label: pd.Series, folds: int) -> None:
    """Refuse a 0/1 label with fewer rows of an outcome than folds."""
    rarer = int(min((label > 0).sum(), (label <= 0).sum()))
    if label.nunique() == 2 and rarer < folds:
        raise DataError(
            f"{folds} folds need at least {folds} rows of each outcome, got {rarer}; use fewer "
            "folds or more data."
        )


def _audit(rows: Rows, split: Split, options: Options) -> list[Any]:
    table = rows.table.assign(part=split.part)
    return audit_rows(
        table[table["part"].notna()],
        rows.features,
        visitor="visitor_id" if options.group else None,
        time="anchor_time" if options.time else None,
    )


def _summary(rows: Rows, kind: str) -> dict[str, Any]:
    label = rows.table["label"]
    counts = {"rows": len(label), "features": len(rows.features)}
    if kind == "classifier":
        return {**counts, "positives": int(label.sum())}
    return {**counts, "total": float(label.sum())}
