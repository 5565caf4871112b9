"""Heads and cells of tables: a computed column in words, and its values as people write them.

>>> head("roc_auc"), head("mean_drop"), head("price_max"), head("my_column")
('ROC AUC', 'loss when shuffled', 'highest price seen', 'my column')
>>> head("brier"), head("ece"), head("rmse")
('Brier score', 'calibration error (ECE)', 'root mean squared error')
>>> cell(0.0316, "share"), cell(1240.4, "money", "EUR"), cell("view_item", "event"), cell(None)
('3.2 %', '€1,240', 'product page', '–')
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from cartcast.evaluate.scores import SCORES
from cartcast.features.words import event_words, in_words
from cartcast.numbers import number
from cartcast.segments.steps import step_words

__all__ = ["cell", "head", "unit_of"]

_HEADS = {
    "average_order": "average order",
    "bin": "group",
    "gain_at_most": "gain at most",
    "high": "interval to",
    "left": "from",
    "lift": "lift",
    "lift_high": "lift, up to",
    "lift_low": "lift, at least",
    "lift_top_decile": "lift in the top tenth",
    "low": "interval from",
    "mean_drop": "loss when shuffled",
    "n": "rows",
    "precision": "precision",
    "prevalence": "share of positives",
    "reached": "buyers reached",
    "reached_high": "reached, up to",
    "reached_low": "reached, at least",
    "revenue_if_purchase": "revenue if bought",
    "revenue_if_purchase_high": "revenue if bought, up to",
    "revenue_if_purchase_low": "revenue if bought, at least",
    "right": "to",
    "session_id": "session",
    "size": "sessions",
    "slice_by": "sliced by",
    "visitor_id": "visitor",
}
_PROPER = ("Brier", "F1", "PR ", "R²", "ROC", "Spearman")
"""How the titles of scores begin that keep their capital."""
_UNITS = {
    "contacted": "share",
    "conversion": "share",
    "gain_at_most": "money",
    "expected_revenue": "money",
    "lift": "factor",
    "prevalence": "share",
    "price": "money",
    "probability": "share",
    "reached": "share",
    "revenue": "money",
    "revenue_if_purchase": "money",
    "revenue_per_session": "money",
    "seconds": "seconds",
    "share": "share",
    "event": "event",
    "event type": "event",
    "feature": "words",
    "model": "words",
    "slice_by": "words",
}


def head(column: Any) -> str:
    """Return the head of a column."""
    name = str(column)
    if name in _HEADS:
        return _HEADS[name]
    if name in SCORES:
        title = SCORES[name].title
        return title if title.startswith(_PROPER) else title[:1].lower() + title[1:]
    return in_words(name)


def unit_of(column: Any) -> str:
    """Return the unit of a column whose name tells it; "" otherwise.

    >>> unit_of("log_loss"), unit_of("reached_low"), unit_of("my_column")
    ('points', 'share', '')
    """
    name = str(column)
    plain = name.removesuffix("_low").removesuffix("_high").replace(" ", "_")
    if name in SCORES:
        unit = SCORES[name].unit
        return unit if unit in ("money", "share", "factor") else "points"
    if name.startswith("proxy_"):
        return "share"
    return _UNITS.get(name) or _UNITS.get(plain, "")


def cell(value: Any, unit: str = "", currency: str | None = None) -> str:
    """Return one value as words; a dash where it is not known."""
    if value is None or value is pd.NA or value != value:
        return "–"
    if unit == "event":
        return event_words(value)
    if unit == "step":
        return step_words(value)
    if unit == "words":
        return in_words(value)
    if isinstance(value, bool) or not hasattr(value, "__float__") or isinstance(value, str):
        return str(value)
    return number(value, unit, currency)
