"""Calibration of a watched model: outcomes against probabilities, by click and by segment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from cartcast.findings import Finding, finding
from cartcast.monitoring.codes import CALIBRATION
from cartcast.monitoring.days import group_by
from cartcast.monitoring.evalues import e_bh, e_value

__all__ = ["OWN", "Calibration", "calibrated"]

OWN = "segment:"
"""Begins the column of a declared segment, whose name may be that of another column."""
_LEAST_EXPECTED = 10.0


class Calibration(NamedTuple):
    """Calibration over a window.

    Attributes:
        table: by (a column's name), value, moments, visitors, expected, realised, ratio with low
            and high (95 %, over visitors; null below 10 expected), revenue_expected, revenue.
        findings: MO106, when parts are off by more than the margin.
    """

    table: pd.DataFrame
    findings: tuple[Finding, ...]


def calibrated(
    moments: pd.DataFrame, margin: float = 0.1, keys: tuple[str, ...] = ("click", "segment")
) -> Calibration:
    """Return expected and realised outcomes of moments by each of `keys` that they have.

    Parts are tested together, with e-values: at most 5 % of those named are named wrongly.

    Args:
        moments: as for `days_of`.
        margin: relative deviation that is accepted.
        keys: columns to split by.
    """
    tables = []
    for key in keys:
        if key in moments.columns and moments[key].notna().any():
            sums = group_by(moments[moments[key].notna()], key).drop(columns="day")
            # Visitors of several days count once a day: days are the least that is independent.
            part = sums.groupby(key, as_index=False, sort=True).sum(min_count=1)
            part.insert(0, "by", key.removeprefix(OWN))
            tables.append(part.rename(columns={key: "value"}))
    if not tables:
        return Calibration(pd.DataFrame(), ())
    table = pd.concat(tables, ignore_index=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["ratio"] = table["realised"] / table["expected"]
        error = np.sqrt(table["rate_var"]) / table["expected"]
        known = table["expected"] >= _LEAST_EXPECTED
        table["low"] = np.maximum(table["ratio"] - 1.96 * error, 0.0).where(known)
        table["high"] = (table["ratio"] + 1.96 * error).where(known)
        z = (np.abs(table["ratio"] - 1) - margin) / error
    evidence = {
        f"{row.by} {row.value}": float(e_value(min(2 * float(stats.norm.sf(z[i])), 1.0)))
        for i, row in enumerate(table.itertuples())
        if known[i] and np.isfinite(z[i])
    }
    off = e_bh(evidence) if evidence else []
    names = ["by", "value", "moments", "visitors", "expected", "realised", "ratio", "low", "high",
             "revenue_expected", "revenue"]  # fmt: skip
    return Calibration(table[names], _found(table, off))


def _found(table: pd.DataFrame, off: list[str]) -> tuple[Finding, ...]:
    if not off:
        return ()
    names = table["by"].astype(str) + " " + table["value"].astype(str)
    said = ", ".join(
        f"{name} ({row['realised']:,.0f} where {row['expected']:,.0f} were expected)"
        for name in off[:5]
        for row in [table[names == name].iloc[0]]
    )
    return (finding(CALIBRATION, f"probabilities do not hold for {said}.", count=len(off)),)
