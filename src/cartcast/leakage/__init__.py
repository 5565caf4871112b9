"""The leakage audit: what makes a perfect score impossible to miss.

`audit(AuditInput(train=rows, target="label"))` returns findings in five families: by lineage,
time, split, evidence and meaning. It takes plain tables, so it also judges what other tools made.
"""

from __future__ import annotations

# Importing a family adds its checks to the list, in the order of a report.
from cartcast.leakage import evidence, lineage, meaning, periods, resampled, results, split, time  # noqa: F401
from cartcast.leakage.checks import CHECKS, Check
from cartcast.leakage.given import AuditInput, HasLineage
from cartcast.leakage.report import as_dict, markdown
from cartcast.leakage.run import Asked, Examination, audit, examine

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
    "markdown",
]
