"""What can be audited: a log, the moments of one, a ready table, or a full `AuditInput`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cartcast.config import DEFAULTS
from cartcast.errors import UsageError, did_you_mean
from cartcast.events import Log
from cartcast.findings import Finding
from cartcast.leakage import run
from cartcast.leakage.checks import FAMILIES, Family
from cartcast.leakage.given import AuditInput
from cartcast.rows import Rows

if TYPE_CHECKING:
    from cartcast.features import FeatureSet
    from cartcast.splits import Split
    from cartcast.targets import Proxy, Target

__all__ = ["audit", "of_rows"]

_OF_TABLES = ("test", "split", "group", "visitor", "time", "click", "drop", "predictions",
              "baseline", "proxy", "seed")  # fmt: skip


def audit(
    given: AuditInput | Log | Rows | Path | str | Any,
    target: Target | Proxy | str | None = None,
    *,
    families: Sequence[Family] = FAMILIES,
    features: FeatureSet | Sequence[str] | str | None = None,
    clicks: Sequence[int] = DEFAULTS.anchors,
    **roles: Any,
) -> list[Finding]:
    """Return the findings of the leakage audit, `block` first; none is waived yet.

    Args:
        given: a `Log`; the moments of one (`cartcast.moments.table`); a ready table, in memory or
            a file; or an `AuditInput` that says everything.
        target: of a log (`Purchase()`, or its word; default purchase), or a table's column.
        families: some of lineage, time, split, evidence, meaning.
        features: the feature set of a log, or names of a table's columns.
        clicks: moments of a log that are looked at.
        **roles: of a ready table: `test`, `split`, `group`, `visitor`, `time`, `click`, `drop`,
            `predictions`, `baseline`, `proxy`, `seed`, as `cartcast audit` has them.

    Raises:
        UsageError: a named column or role is not there.
        DataError: there are no rows, or the label has more than two words.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"spent": [0, 9] * 300, "seen": [3, 4, 5] * 200, "buys": [0, 1] * 300})
    >>> [f.code for f in audit(rows, "buys") if f.severity == "block"]
    ['LK401']
    """
    if unknown := set(families) - set(FAMILIES):
        name = str(sorted(unknown)[0])
        raise UsageError(f"no family of checks {name!r}.{did_you_mean(name, FAMILIES)}")
    for role in roles:
        if role not in _OF_TABLES:
            raise UsageError(f"the audit has no {role!r}.{did_you_mean(role, _OF_TABLES)}")
    if isinstance(given, AuditInput):
        return run.audit(given, families)
    if isinstance(given, Log):
        return run.audit(_of_log(given, target, features, clicks), families)
    if isinstance(given, Rows):
        keys = {"visitor": "visitor_id", "time": "anchor_time", "click": "click"}
        known = {role: key for role, key in keys.items() if given.table[key].notna().any()}
        return run.audit(of_rows(given, {"session": "session_id", **known}), families)
    if not isinstance(target, str):
        raise UsageError(f"which column is the target? Give its name, got {target!r}.")
    from cartcast.leakage.tables import examine_tables

    names = None if features is None else [str(n) for n in features]
    return list(examine_tables(given, target, features=names, families=families, **roles).findings)


def of_rows(
    rows: Rows, roles: Mapping[str, str], split: Split | None = None, **more: Any
) -> AuditInput:
    """Return what the checks are given of rows, of those that a split has in a part.

    `roles` name key columns: `visitor`, `time` ...; `more` are other attributes.
    """
    keys = rows.table if split is None else rows.table.assign(weight=split.weight)
    # A feature may be called like a key: an amount, a weight, a position.
    named = {name: _other_than(name, rows.features) for name in map(str, keys)}
    table = pd.concat([keys.rename(columns=named), rows.values], axis=1)
    if split is not None:
        more |= {"test": table[split.part == "test"], "weight": named["weight"]}
        table = table[split.part == "train"]
    given = {role: named[key] for role, key in roles.items()}
    return AuditInput(train=table, target=named["label"], features=rows.features, **more | given)


def _other_than(name: str, taken: Sequence[str]) -> str:
    return _other_than(f"{name}_", taken) if name in taken else name


def _of_log(log: Log, target: Any, features: Any, clicks: Sequence[int]) -> AuditInput:
    """Return what a log's moments and declarations say, split as a training would."""
    from cartcast.features import load_set
    from cartcast.moments import table
    from cartcast.splits import split_by_time
    from cartcast.targets import parse_target

    asked = parse_target(target or DEFAULTS.target)
    # What would be proposed from the log is known in a training only.
    chosen = load_set(features or "shop")
    rows = table(log, asked, chosen, clicks)
    timed = log.clock in ("time", "day")
    split = split_by_time(rows.table, DEFAULTS.split, timed)
    roles = {"session": "session_id", "visitor": "visitor_id", "click": "click"}
    return of_rows(
        rows,
        {**roles, "time": "anchor_time"} if timed else roles,
        split,
        lineage={name: feature.lineage for name, feature in chosen.items()},
        reads=asked.reads,
        kind=asked.kind,
        describe=asked.describe(),
        clock=log.clock,
        horizon=asked.seconds,
        data_end=log.summary.end if log.clock == "time" else None,
        dropped={**rows.dropped, **split.dropped},
    )
