"""Training from a ready table: one row per session, columns made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cartcast.errors import DataError, UsageError
from cartcast.findings import Finding, by_severity, require_unblocked, waive
from cartcast.leakage import audit, of_rows
from cartcast.models.folds import Fold, inner_folds
from cartcast.rows import Rows, from_table
from cartcast.rows.table import called_source
from cartcast.runs.run import Run
from cartcast.splits import Split, split_by_groups, split_by_shares, split_by_time
from cartcast.train.budget import Budget
from cartcast.train.candidates import model_names
from cartcast.train.fit import declared
from cartcast.train.given_split import folds_of, of_fold, with_test
from cartcast.train.options import Options
from cartcast.train.pipeline import carry_out
from cartcast.train.task import Task, part_of, parts_of

__all__ = ["train_rows"]


def train_rows(source: Any, options: Options, run_dir: Path, budget: Budget) -> Run:
    """Train on a ready table and write the run folder.

    Rows are split by time where `time` names a column, by visitor where `group` does, at random
    otherwise; with `folds`, every row is judged by a model that never saw it. `splitter` and
    `test` say themselves which rows judge.

    Raises:
        NotFoundError: the file is missing.
        DataError: the table or its target break their rules.
        BlockedError: the audit found a leak that was not waived.
        UsageError: a named column does not exist.
        StorageError: the run folder cannot be written.
    """
    with budget("reading the table"):
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
    known = declared(kind, options.own)
    if readers := [n for n in names if known[n].reads == "events"]:
        raise UsageError(
            f"model {readers[0]!r} reads the events of sessions; give a log, not a ready table."
        )
    with budget("split"):
        folds: tuple[Fold, ...] | None = None
        if options.test is not None:
            rows, split = with_test(rows, options)
            splits = [split]
        elif options.splitter is not None:
            folds = folds_of(options.splitter, rows, options)
            splits = [of_fold(fold, folds, rows, options) for fold in reversed(folds)]
        else:
            splits = [_split(rows, options)]
        split = splits[0]
        train, test = parts_of(rows, split)
        if options.folds is not None:
            _enough(rows.table["label"], options.folds)
            groups = None if options.group is None else rows.groups.to_numpy()
            folds = tuple(
                inner_folds(rows.table["label"], options.folds, groups=groups, seed=options.seed)
            )
        if folds is not None:
            # Every row is learnt from, and judged by a model of the other folds.
            train = part_of(rows, pd.Series(True, index=rows.table.index))
            test = train.take(np.sort(np.concatenate([held for _, held in folds])))
    with budget("audit"):
        found = waive([*rows.findings, *_audit(rows, splits, options)], options.waivers)
        require_unblocked(found)
    task = Task(
        kind=kind,  # type: ignore[arg-type]
        target=_target(options, kind, rows.positive),
        rows=rows,
        split=split,
        train=train,
        test=test,
        source={
            "files": [called_source(s) for s in (source, options.test) if s is not None],
            "layout": "ready table",
            "clock": "time" if options.time else "none",
            "currency": None,
            "licence": options.licence,
        },
        data=_summary(rows, kind),
        units=dict.fromkeys(rows.features, ""),
        findings=tuple(found),
        folds=folds,
    )
    return carry_out(task, options, names, run_dir, budget)


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


def _enough(label: pd.Series, folds: int) -> None:
    """Refuse fewer rows, or of a 0/1 label fewer rows of an outcome, than folds."""
    rarer = int(min((label > 0).sum(), (label <= 0).sum()))
    if label.nunique() == 2 and rarer < folds:
        raise DataError(
            f"{folds} folds need at least {folds} rows of each outcome, got {rarer}; use fewer "
            "folds or more data."
        )
    if len(label) < 2 * folds:
        raise DataError(f"{folds} folds need at least {2 * folds} rows, got {len(label)}.")


def _audit(rows: Rows, splits: Sequence[Split], options: Options) -> list[Finding]:
    """Return what the audit finds: of the first split everything, of each further fold its split.

    What the folds' own splits tell is told once, of the fold where it is worst.
    """
    named = {"visitor": ("visitor_id", options.group), "time": ("anchor_time", options.time)}
    roles = {role: key for role, (key, is_so) in named.items() if is_so}
    found = list(audit(of_rows(rows, roles, splits[0])))
    later = [
        f for s in splits[1:] for f in audit(of_rows(rows, roles, s), families=["split"])
    ]  # fmt: skip
    of_splits = {f.code for f in later}
    worst: dict[str, Finding] = {}
    for f in by_severity([*(f for f in found if f.code in of_splits), *later]):
        worst.setdefault(f.code, f)
    return [*(f for f in found if f.code not in of_splits), *worst.values()]


def _summary(rows: Rows, kind: str) -> dict[str, Any]:
    label = rows.table["label"]
    counts = {"rows": len(label), "features": len(rows.features)}
    if kind == "classifier":
        return {**counts, "positives": int(label.sum())}
    return {**counts, "total": float(label.sum())}
