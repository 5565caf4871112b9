"""The audit of table files: read, take roles by name, examine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from cartcast.errors import UsageError, did_you_mean
from cartcast.leakage.checks import FAMILIES, Family
from cartcast.leakage.given import AuditInput
from cartcast.leakage.prepared import as_times
from cartcast.leakage.run import Examination, examine

__all__ = ["examine_tables"]

_SESSION = re.compile(r"session|visit_?id|^visit$|^sid$", re.IGNORECASE)


def examine_tables(
    rows: Any,
    target: str,
    *,
    test: Any = None,
    split: str | None = None,
    group: str | None = None,
    visitor: str | None = None,
    time: str | None = None,
    click: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    predictions: str | None = None,
    baseline: str | None = None,
    proxy: str | None = None,
    seed: int = 42,
    families: Sequence[Family] = FAMILIES,
) -> Examination:
    """Return the examination of one or two tables, given as paths or tables in memory.

    `group` is taken as the session when its name says so, else as the visitor. `predictions` and
    `baseline` name columns of the test rows (of `rows` when there is no test); they, and the
    columns of `drop`, are not features.

    Raises:
        NotFoundError: there is no such file.
        UsageError: there is no such column, or both `test` and `split` are given.
        DataError: the table is empty or cannot be read.
    """
    from cartcast.rows import read_table

    if test is not None and split is not None:
        raise UsageError("give --test or --split, not both: each of them names the test rows.")
    train_table = read_table(rows)
    test_table = None if test is None else read_table(test)
    session = group if group is not None and _SESSION.search(group) else None
    if group is not None and session is None:
        if visitor is not None and visitor != group:
            session = group
        else:
            visitor = group
    names = [str(c) for c in train_table.columns]
    for name in (*drop, *(features or ())):
        if name not in names:
            raise UsageError(f"{rows}: no column {name!r}.{did_you_mean(name, names)}")
    apart = {target, session, visitor, split, predictions, baseline, *drop}
    if time is not None and time in names and as_times(train_table[time]) is not None:
        apart.add(time)
    shared = [n for n in names if n not in apart]
    if test_table is not None and features is None:
        shared = [n for n in shared if n in test_table.columns]
    judged = train_table if test_table is None else test_table
    if split is not None and split in names:
        judged = train_table[train_table[split].astype(str).str.lower() == "test"]
    return examine(
        AuditInput(
            train=train_table,
            target=target,
            test=test_table,
            split=split,
            features=tuple(features) if features is not None else tuple(shared),
            session=session,
            visitor=visitor,
            time=time,
            click=click,
            kind="proxy" if proxy else None,
            describe=proxy or "",
            predictions=_column(judged, predictions),
            baseline=_column(judged, baseline),
            seed=seed,
        ),
        families,
    )


def _column(table: pd.DataFrame, name: str | None) -> Any:
    if name is None:
        return None
    if name not in table.columns:
        known = [str(c) for c in table.columns]
        raise UsageError(f"no column {name!r} with scores.{did_you_mean(name, known)}")
    return table[name].to_numpy(dtype=float)
