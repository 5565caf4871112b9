"""Daily sufficient statistics: all that the watch over a model keeps of its scored moments.

A moment is one score (visitor, session, click, time, probability) whose outcome is known. A day of
millions of moments becomes one row, so a year is 365 rows, and the state of every detector can be
computed again from them. Moments of one session share their outcome, and sessions of one visitor
are alike, so squares are summed over visitors, never over moments.

With y the outcome, p the probability cut to CLIP, g = -log(p / (1 - p)) and G the mean of g
weighted by p within the day, a moment adds

    rate     y - p                 purchases beyond those expected
    shape    (y - p) (g - G)       log loss beyond that expected, the day's rate being granted
    shape_b  (y - p) (-2) (p - P)  the same for the Brier score, with P the mean of p weighted by p

`excess`, (y - p) g, is realised log loss less the expected one. `shape` and `shape_b` have mean 0
when all probabilities are wrong by one factor: a season that sells more is no fault of the model.
The realised losses themselves are kept beside them.
"""

from __future__ import annotations

from typing import Final

import duckdb
import pandas as pd

from cartcast.errors import DataError

__all__ = ["CLIP", "COLUMNS", "days_of", "group_by"]

CLIP: Final = 1e-4
"""Probabilities are cut to CLIP and 1 - CLIP, so that a log loss is at most 9.2."""

COLUMNS: Final = (
    "visitors", "moments", "expected", "realised", "log_loss", "log_loss_expected", "brier",
    "brier_expected", "rate_var", "rate_scale", "shape", "shape_var", "shape_scale", "shape_b",
    "shape_b_var", "shape_b_scale", "excess_var", "excess_scale", "revenue", "revenue_expected",
    "revenue_var",
)  # fmt: skip
"""Sums of a day. `*_var` are squares summed over visitors, `*_scale` what they would be if moments
were independent and the probabilities right; their quotient is the design effect."""

_PART: Final = 1_000_000
"""Moments whose visitors are summed at a time; it bounds the memory of the sums."""
_NEEDED: Final = {"visitor_id", "time", "probability", "label"}

_ROWS: Final = """
SELECT *, -ln(p / (1 - p)) AS g FROM (
    SELECT date_trunc('day', time) AS day, {keys} visitor_id AS visitor, label AS y,
        least(greatest(probability, {clip}), 1 - {clip}) AS p,
        {amount} AS amount, {money} AS money
    FROM moments)
"""

_MEANS: Final = """
CREATE TEMP TABLE means AS
SELECT day AS d, sum(p * g) / sum(p) AS mean_g, sum(p * p) / sum(p) AS mean_p
FROM ({rows}) GROUP BY day
"""

_DAYS: Final = """
WITH g AS (
    SELECT * FROM ({rows}) JOIN means ON day = d WHERE hash(visitor) % {parts} = {part}
), v AS (
    SELECT day, {names} visitor, count(*) AS moments, sum(p) AS expected, sum(y) AS realised,
        sum(y - p) AS rate, sum(p * (1 - p)) AS rate_scale,
        sum(-y * ln(p) - (1 - y) * ln(1 - p)) AS log_loss,
        sum(-p * ln(p) - (1 - p) * ln(1 - p)) AS log_loss_expected,
        sum((y - p) * (y - p)) AS brier,
        sum((y - p) * g) AS excess, sum(p * (1 - p) * g ** 2) AS excess_scale,
        sum((y - p) * (g - mean_g)) AS shape,
        sum(p * (1 - p) * (g - mean_g) ** 2) AS shape_scale,
        sum(-2 * (y - p) * (p - mean_p)) AS shape_b,
        sum(4 * p * (1 - p) * (p - mean_p) ** 2) AS shape_b_scale,
        sum(amount) AS revenue, sum(money) AS revenue_expected
    FROM g GROUP BY day, {names} visitor
)
SELECT day, {names} count(*)::DOUBLE AS visitors, sum(moments)::DOUBLE AS moments,
    sum(expected) AS expected, sum(realised) AS realised, sum(log_loss) AS log_loss,
    sum(log_loss_expected) AS log_loss_expected, sum(brier) AS brier,
    sum(rate_scale) AS brier_expected, sum(rate ** 2) AS rate_var, sum(rate_scale) AS rate_scale,
    sum(shape) AS shape, sum(shape ** 2) AS shape_var, sum(shape_scale) AS shape_scale,
    sum(shape_b) AS shape_b, sum(shape_b ** 2) AS shape_b_var, sum(shape_b_scale) AS shape_b_scale,
    sum(excess ** 2) AS excess_var, sum(excess_scale) AS excess_scale,
    sum(revenue) AS revenue, sum(revenue_expected) AS revenue_expected,
    sum((revenue - revenue_expected) ** 2) AS revenue_var
FROM v GROUP BY ALL ORDER BY ALL
"""


def days_of(moments: pd.DataFrame) -> pd.DataFrame:
    """Return one row a day of moments whose outcome is known: `day` and `COLUMNS`.

    Args:
        moments: visitor_id, time (the shop's clock), probability, label (0 or 1); and, for money,
            amount and expected_revenue. Moments without a visitor are each their own.

    Raises:
        DataError: a column is missing, or a probability or label lies outside 0 and 1.

    >>> made = pd.DataFrame({"visitor_id": ["a", "a", "b"], "label": [1.0, 1.0, 0.0],
    ...     "time": pd.to_datetime(["2026-03-02"] * 3), "probability": [0.5, 0.5, 0.5]})
    >>> days_of(made)[["visitors", "expected", "realised", "rate_var"]].iloc[0].tolist()
    [2.0, 1.5, 2.0, 1.25]
    """
    return _sums(moments, ())


def group_by(moments: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the same sums by day and the column `key`, such as click or segment."""
    return _sums(moments, (key,))


def _sums(moments: pd.DataFrame, keys: tuple[str, ...]) -> pd.DataFrame:
    missing = sorted({*_NEEDED, *keys} - set(moments.columns))
    if missing:
        raise DataError(f"scored moments without {', '.join(missing)} cannot be watched.")
    for name in ("probability", "label"):
        outside = ~moments[name].between(0, 1)
        if outside.any():
            raise DataError(
                f"{name} must lie within 0 and 1 in every moment, got "
                f"{moments[name][outside].iloc[0]} and {int(outside.sum()) - 1:,} more like it."
            )
    if moments["visitor_id"].isna().any():
        own = "moment " + moments.index.to_series().astype(str)
        moments = moments.assign(visitor_id=moments["visitor_id"].astype(object).fillna(own))
    has_money = {"amount", "expected_revenue"} <= set(moments.columns)
    names = "".join(f'"{k}", ' for k in keys)
    rows = _ROWS.format(
        clip=CLIP,
        amount="coalesce(amount, 0)" if has_money else "NULL::DOUBLE",
        money="expected_revenue" if has_money else "NULL::DOUBLE",
        keys=names,
    )
    parts = 1 + len(moments) // _PART
    with duckdb.connect() as con:
        con.register("moments", moments)
        con.execute(_MEANS.format(rows=rows))
        found = [
            con.execute(_DAYS.format(rows=rows, names=names, parts=parts, part=part)).df()
            for part in range(parts)
        ]
    if parts == 1:
        return found[0]
    # A visitor is in one part, so what is summed over visitors adds up.
    return pd.concat(found).groupby(["day", *keys], as_index=False, dropna=False).sum(min_count=1)
