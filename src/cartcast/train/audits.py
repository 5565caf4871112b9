"""The audit as training calls it: before a model is fitted, and once its figures are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from cartcast.findings import Finding
from cartcast.leakage import AuditInput, audit
from cartcast.train.fit import Fitted
from cartcast.train.parts import Part

__all__ = ["audit_fitted", "audit_rows"]


def audit_rows(table: pd.DataFrame, features: Sequence[str], **roles: Any) -> list[Finding]:
    """Return the findings on rows with a column `part` (train, validation, test) and `label`."""
    given = AuditInput(
        train=table, target="label", split="part", features=list(features), weight="weight", **roles
    )
    return audit(given)


def audit_fitted(test: Part, champion: Fitted, models: Sequence[Fitted]) -> list[Finding]:
    """Return the findings on how good the champion is against the best baseline, on test."""
    from cartcast.leakage.performance import too_good

    baselines = [m for m in models if m.declaration.family == "baseline"]
    if champion.declaration.kind != "classifier" or not baselines:
        return []
    clicks = test.table["click"] if test.table["click"].notna().any() else None
    return too_good(
        test.label,
        champion.predictions["test"],
        {m.name: m.predictions["test"] for m in baselines},
        click=clicks,
        weights=test.weight,
        groups=test.groups,
    )
