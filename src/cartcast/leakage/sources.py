"""What can be audited: a log, the moments of one, a ready table, or a full `AuditInput`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from cartcast.targets import Proxy, Target

__all__ = ["audit"]

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
        known = {str(name) for name in given.table if given.table[name].notna().any()}
        moments = AuditInput(
            train=given.table,
            target="label",
            features=given.features,
            session="session_id",
            visitor="visitor_id" if "visitor_id" in known else None,
            time="anchor_time" if "anchor_time" in known else None,
            click="click" if "click" in known else None,
        )
        return run.audit(moments, families)
    if not isinstance(target, str):
        raise UsageError(f"which column is the target? Give its name, got {target!r}.")
    from cartcast.leakage.tables import examine_tables

    names = None if features is None else [str(n) for n in features]
    return list(examine_tables(given, target, features=names, families=families, **roles).findings)


def _of_log(log: Log, target: Any, features: Any, clicks: Sequence[int]) -> AuditInput:
    """Return what a log's moments and declarations say, split as a training would."""
    from cartcast.features import load_set
    from cartcast.moments import table
    from cartcast.splits import split_by_time
    from cartcast.targets import parse_target

    asked = parse_target(target or DEFAULTS.target)
    chosen = load_set(features or DEFAULTS.features)
    rows = table(log, asked, chosen, clicks)
    timed = log.clock in ("time", "day")
    split = split_by_time(rows.table, DEFAULTS.split, timed)
    parts = rows.table.assign(part=split.part, weight=split.weight)
    return AuditInput(
        train=parts[parts["part"].notna()],
        target="label",
        split="part",
        features=rows.features,
        session="session_id",
        visitor="visitor_id",
        time="anchor_time" if timed else None,
        click="click",
        weight="weight",
        lineage={name: feature.lineage for name, feature in chosen.items()},
        reads=asked.reads,
        kind=asked.kind,
        describe=asked.describe(),
        clock=log.clock,
        horizon=asked.seconds,
        data_end=log.summary.end if log.clock == "time" else None,
        dropped={**rows.dropped, **split.dropped},
    )
