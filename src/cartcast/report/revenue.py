"""Expected revenue: who brings the money, forecast against outcome, and whether intervals hold."""

from __future__ import annotations

import numpy as np

from cartcast.charts import lift as lift_chart
from cartcast.charts import revenue as revenue_chart
from cartcast.charts.theme import number
from cartcast.report import answers
from cartcast.report.block import Block, made
from cartcast.report.evidence import Evidence

__all__ = ["coverage", "deciles", "gain"]


def gain(e: Evidence) -> Block | None:
    """Return the chart of the money reached by ranking; None where a run says no probability."""
    table = e.revenue_gain
    if table.empty or table["reached"].isna().all():
        return None
    tenth = table[np.isclose(table["contacted"], answers.TOP)].set_index("model")["reached"]
    mine, alone = (
        number(tenth[name], "share") for name in ("expected revenue", "probability alone")
    )
    words = (
        f"The best {number(answers.TOP, 'share')} by expected revenue bring {mine} of the money, "
        f"by probability alone {alone}."
    )
    units = {"model": "words", "contacted": "share", "reached": "share", "lift": "factor"}
    shown = table[table["contacted"].isin([0.01, 0.05, 0.1, 0.2, 0.3, 0.5])]
    figure = lift_chart.gain(table, of="revenue", subject="expected revenue")
    return made("revenue-gain", "revenue", words, figure, shown, units)


def deciles(e: Evidence) -> Block | None:
    """Return the chart of forecast and outcome by tenth; None with fewer than two."""
    table = e.revenue_deciles
    if len(table) < 2:
        return None
    units = {
        "decile": "count", "predicted": "money", "observed": "money", "low": "money",
        "high": "money", "share": "share",
    }  # fmt: skip
    words = "Expected and observed revenue per session, by tenth of the forecast."
    figure = revenue_chart.deciles(table, currency=e.run.currency)
    return made("deciles", "revenue", words, figure, table, units, e.run.currency)


def coverage(e: Evidence) -> Block | None:
    """Return the chart of how often the intervals held; None without intervals."""
    table = e.coverage
    if table is None or table["coverage"].isna().all():
        return None
    buyers = e.run.data.get("revenue", {}).get("given") == "purchase"
    parts = ["buyers", "buyers in the top decile"] if buyers else list(table["part"])
    nominal = float(table["nominal"].iloc[0])
    what = "given a purchase, so it is judged on buyers" if buyers else "of all sessions"
    words = f"Does the {number(nominal, 'share')} interval hold? It is an interval {what}."
    units = {
        "part": "words", "nominal": "share", "coverage": "share", "low": "share", "high": "share",
        "width": "money", "n": "count",
    }  # fmt: skip
    figure = revenue_chart.coverage(table[table["part"].isin(parts)])
    return made("coverage", "revenue", words, figure, table, units, e.run.currency)
