"""Items, brands and categories: what sells, what is bought together, what rises and falls."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from cartcast.app import filters, headlines, ui
from cartcast.app.parts.columns import filled
from cartcast.app.parts.listed import open_condition
from cartcast.app.state import Data
from cartcast.charts import bars
from cartcast.charts.theme import number
from cartcast.features.words import in_words
from cartcast.insights.items import Items
from cartcast.segments import Values

__all__ = ["show_items"]

_COLUMNS = ("item_id", "brand", "category")
_DRAWN = 15


def show_items(view: ui.View, data: Data, top: Any) -> None:
    """Draw what sessions do with each item, brand or category."""
    columns = [c for c in _COLUMNS if c in filled(data)]
    if not columns:
        with top:
            ui.headline("This log does not say what was looked at or bought.")
        return
    a, b, c = st.columns([1, 1, 2])
    column = a.selectbox("Of", columns, key="sold_by", bind="query-params", format_func=in_words)
    shown = b.selectbox("Show", ["revenue", "purchase rate"], key="sold_show", bind="query-params")
    least = c.slider("Orders that a pair, or a change, needs", 2, 100, 10, key="sold_least",
                     bind="query-params")  # fmt: skip
    where, (place,) = filters.row(view, data, extra=1)
    with st.spinner("Counting …"):
        found: Items = filters.insight("items", data, where, column=column, largest=200)
        pairs = filters.insight("bought_together", data, where, column=column, least=least)
    with top:
        under = f"{number(found.values)} values in {number(found.sessions)} sessions."
        ui.headline(headlines.of_items(found, view.currency), under)
        ui.findings(found.findings)
    if not found.rows:
        return
    _chart(view, found, shown)

    def turn(k: int) -> None:
        open_condition(Values(column, (found.rows[k].value,)))

    ui.note(
        "Shares are of the sessions that looked at it. The rate is drawn towards that of all, the "
        "more so the fewer looked (beta-binomial, empirical Bayes). Choose a row to see its "
        "sessions."
    )
    ui.table(
        _table(found), view, "items", on_row=turn,
        shares=("put into cart", "bought", "rate", "rate from", "rate to"),
    )  # fmt: skip
    st.header("Bought together", anchor=False)
    if pairs:
        ui.note("Lift: how many times as often in one order as if they had nothing to do with "
                "each other.")  # fmt: skip
        ui.table(
            pd.DataFrame(pairs), view, "together", shares=("support", "of_first", "of_second"),
            units={"lift": "factor"},
        )  # fmt: skip
    else:
        ui.note(f"No two are in {number(least)} orders together.")
    st.header("What rises and falls", anchor=False)
    against = filters.held_against(view, data, where, place)
    if against is None:
        ui.note("Choose what to compare with above, such as the period before.")
        return
    changes = filters.insight(
        "compare_items", data, where, there=against[0], column=column, least=least
    )
    told = pd.DataFrame(changes).drop(columns="change", errors="ignore")
    if told.empty:
        ui.note(f"None is in {number(least)} buying sessions.")
        return
    told.insert(3, "change", [c.change for c in changes])
    ui.note(
        f"Sessions that buy it, here against {against[1]}; the surest first. Intervals: 95 %, over "
        "visitors."
    )
    ui.table(
        told.rename(columns={"measure": column, "low": "change from", "high": "change to"}),
        view, "changes", shares=("change", "change from", "change to"),
        units={"here": "count", "there": "count"},
    )  # fmt: skip


def _chart(view: ui.View, found: Items, shown: str) -> None:
    rows = [r for r in found.rows if shown == "revenue" or r.rate is not None][:_DRAWN]
    table = pd.DataFrame({"name": [r.value for r in rows], "n": [r.views for r in rows]})
    if shown == "revenue":
        table["value"] = [r.revenue for r in rows]
        if table["value"].isna().any():
            ui.note("No price is known: choose the purchase rate.")
            return
        drawn = bars.bars(
            table, label="own revenue", unit="money", currency=view.currency, theme=view.theme
        )
    else:
        for end in ("value", "low", "high"):
            table[end] = [getattr(r.rate, end) for r in rows]
        prior = found.prior
        drawn = bars.bars(
            table, label="purchase rate of the sessions that look, drawn towards that of all",
            overall=prior.a / (prior.a + prior.b) if prior else None, theme=view.theme,
        )  # fmt: skip
    alt = headlines.of_items(found, view.currency)
    ui.chart(
        drawn, "items", alt,
        on_click=lambda k: open_condition(Values(found.column, (str(table["name"][k]),))),
    )  # fmt: skip


def _table(found: Items) -> pd.DataFrame:
    return pd.DataFrame(
        {
            found.column: [r.value for r in found.rows],
            "revenue": [r.revenue for r in found.rows],
            "views": [r.views for r in found.rows],
            "put into cart": [r.to_cart.value for r in found.rows],
            "bought": [r.bought.value for r in found.rows],
            "rate": [r.rate and r.rate.value for r in found.rows],
            "rate from": [r.rate and r.rate.low for r in found.rows],
            "rate to": [r.rate and r.rate.high for r in found.rows],
            "buying sessions": [r.buyers for r in found.rows],
        }
    )
