"""What scores are worth: calibration, lift and profit, money."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cartcast.app import ui
from cartcast.charts import lift, reliability, revenue
from cartcast.charts.theme import number
from cartcast.evaluate import curves
from cartcast.evaluate.once import once
from cartcast.evaluate.revenue import deciles
from cartcast.runs.run import Run


def test_rows(run: Run) -> pd.DataFrame:
    """Return the test rows with the champion's prediction as `p`; empty for amounts."""
    table: pd.DataFrame = run.predictions
    column = f"p__{run.data['champion']}"
    if column not in table:
        return pd.DataFrame()
    test = table[(table["part"] == "test") & table[column].notna() & table["label"].notna()].copy()
    return test.assign(p=test[column], who=visitors(test))


def visitors(test: pd.DataFrame) -> pd.Series:
    """Return the visitor of each row, its session where unknown, itself without both."""
    fallback = test["session_id"]
    if fallback.isna().all():
        fallback = pd.Series(range(len(test)), index=test.index).astype(str)
    return test["visitor_id"].fillna(fallback)


def show_calibration(view: ui.View, run: Run) -> None:
    """Do sessions with a score of 10 % buy in 10 % of cases?"""
    test = test_rows(run)
    if test.empty:
        ui.note("This run predicts an amount; see Revenue.")
        return
    table = curves.reliability(test["label"], test["p"], test["weight"], test["who"])
    ui.chart(
        reliability.reliability(table, theme=view.theme), "reliability", "observed over predicted"
    )
    outside = table[(table["predicted"] < table["low"]) | (table["predicted"] > table["high"])]
    ui.note(
        "On the line, scores mean what they say. "
        f"{len(outside)} of {len(table)} groups lie off it by more than chance (90 % intervals)."
    )
    told = ["left", "right", "predicted", "observed", "low", "high", "n", "share"]
    ui.table(table[told], view, "reliability", shares=[c for c in told if c != "n"])


def show_lift(view: ui.View, run: Run) -> None:
    """What contacting the best sessions reaches, and at which share it pays most."""
    test = test_rows(run)
    if test.empty:
        ui.note("This run predicts an amount; see Revenue.")
        return
    if test["label"].sum() == 0:
        ui.note("Nobody buys in the test part: nothing can be reached.")
        return
    if run.data.get("anchors"):
        # A session is acted on once, however many of its moments are scored.
        test = test.iloc[once(test["p"], test["session_id"])]
    whom = "sessions" if run.data.get("anchors") else "rows"
    table = curves.gain(test["label"], test["p"], test["weight"], test["who"], draws=100)
    best = table.iloc[int((table["contacted"] - 0.1).abs().argmin())]
    ui.note(
        f"The best tenth of the {whom} holds {number(best['reached'], 'share')} of the buyers "
        f"({number(best['reached_low'], 'share')} to {number(best['reached_high'], 'share')}), "
        f"{number(best['lift'], 'factor')} as many as at random."
    )
    left, right = st.columns(2, gap="large")
    told = table.rename(columns={"reached_low": "low", "reached_high": "high"})
    with left:
        ui.chart(lift.gain(told, theme=view.theme), "gain", "buyers reached over contacted")
    costs = view.project.settings.costs
    currency = view.run_currency
    with right:
        a, b = st.columns(2)
        unit = f" ({currency})" if currency else ""
        cost = a.number_input(
            f"Cost of a contact{unit}", 0.0, value=float(costs.get("contact", 0.5)), key="cost",
            bind="query-params",
        )  # fmt: skip
        value = b.number_input(
            f"Value of a buyer reached{unit}", 0.0, value=float(costs.get("value", 20.0)),
            key="value", bind="query-params",
        )  # fmt: skip
        money = curves.profit(
            test["label"], test["p"], test["weight"], test["who"], cost=cost, value=value, draws=100
        )
        ui.chart(
            lift.profit(money, currency=currency, theme=view.theme), "profit", "profit by share"
        )
        top = money.iloc[int(money["profit"].argmax())]
        if top["profit"] > 0:
            ui.note(
                f"If every contacted buyer buys because of the contact, it pays to contact "
                f"{number(top['contacted'], 'share')} of the {whom}, for at most "
                f"{number(top['profit'] * 1000, 'money', currency)} per 1,000 of them. What a "
                "contact adds, only an experiment tells."
            )
        else:
            ui.note("At these costs no contact pays.")
    ui.table(table, view, "gain", shares=("precision",))


def show_revenue(view: ui.View, run: Run) -> None:
    """Expected against observed money."""
    table = run.predictions
    column = next((c for c in table.columns if c.startswith("r__")), None)
    champion_column = f"r__{run.data['champion']}"
    column = champion_column if champion_column in table else column
    if column is None:
        ui.note("This run says nothing about money: no purchase of its log has a price.")
        return
    test = table[(table["part"] == "test") & table[column].notna() & table["amount"].notna()].copy()
    if len(test) < 50:
        ui.note("Too few test rows with money to compare.")
        return
    told = deciles(test["amount"], test[column], test["weight"], visitors(test))
    currency = view.run_currency
    drawn = revenue.deciles(told, currency=currency, theme=view.theme)
    ui.chart(drawn, "deciles", "observed and predicted revenue by tenth")
    facts = run.data.get("revenue") or {}
    cover = pd.DataFrame(facts.get("coverage") or [])
    if not cover.empty and {"part", "nominal", "coverage", "low", "high", "n"} <= set(
        cover.columns
    ):
        ui.chart(revenue.coverage(cover, theme=view.theme), "coverage", "coverage of intervals")
    money = dict.fromkeys(("predicted", "observed", "low", "high"), "money")
    ui.table(told, view, "revenue_deciles", units=money, currency=currency)
