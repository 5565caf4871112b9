"""The leakage audit: what makes a perfect score impossible to miss.

`audit(table, "label")` returns findings in five families: by lineage, time, split, evidence and
meaning. It takes logs, and plain tables, so it also judges what other tools made.
"""

from __future__ import annotations

# Importing a family adds its checks to the list.
from cartcast.leakage import (  # noqa: F401
    copies,
    dominance,
    encoded,
    evidence,
    interpolated,
    lineage,
    meaning,
    performance,
    periods,
    resampled,
    split,
    time,
)
from cartcast.leakage.checks import CHECKS, Check
from cartcast.leakage.given import AuditInput, HasLineage
from cartcast.leakage.performance import too_good
from cartcast.leakage.report import as_dict, in_words, markdown
from cartcast.leakage.run import Asked, Examination, examine
from cartcast.leakage.sources import audit, of_rows
from cartcast.leakage.tables import examine_tables

__all__ = [
    "CHECKS",
    "Asked",
    "AuditInput",
    "Check",
    "Examination",
    "HasLineage",
    "as_dict",
    "audit",
    "examine",
    "examine_tables",
    "in_words",
    "markdown",
    "of_rows",
    "too_good",
]
