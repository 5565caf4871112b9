"""Figures of the pages against a script of its own: pandas over the shop's CSV, nothing of ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import cartcast.app
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.charts.theme import number
from cartcast.features.words import in_words

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

VIEWS = Path(cartcast.app.__file__).parent / "views"
STEPS = ["view_item", "add_to_cart", "purchase"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Shop:
    """The shop as its CSV has it."""

    def __init__(self, path: Path) -> None:
        self.events = pd.read_csv(path, parse_dates=["event_time"])
        e = self.events
        e["money"] = (e["price"] * e["quantity"]).where(e["event_type"] == "purchase")
        by = e.groupby("session_id", sort=False)
        self.sessions = pd.DataFrame(
            {
                "visitor": by["visitor_id"].first(), "start": by["event_time"].min(),
                "device": by["device"].first(), "events": by.size(),
                "kinds": by["event_type"].agg(list), "money": by["money"].sum(),
                "orders": by["order_id"].nunique(), "last": by["event_type"].last(),
            }
        )  # fmt: skip
        self.sessions["bought"] = self.sessions["orders"] > 0

    def reached(self, steps: list[str]) -> int:
        """Return the sessions that do the steps in this order."""

        def does(kinds: list[str]) -> bool:
            rest = iter(kinds)
            return all(step in rest for step in steps)

        return int(self.sessions["kinds"].map(does).sum())


@pytest.fixture
def page(monkeypatch, folder, with_data):
    monkeypatch.setenv(PROJECT_VARIABLE, str(folder))

    def run(name: str, **query: str) -> AppTest:
        at = AppTest.from_file(str(VIEWS / f"{name}.py"), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        at.run()
        assert not at.exception
        return at

    return run


def drawn(at: AppTest, place: int, axis: str, series: int = 0) -> list[Any]:
    """Return what a series of a chart holds along an axis; numbers are sent as bytes."""
    held = json.loads(at.get("plotly_chart")[place].proto.spec)["data"][series][axis]
    if isinstance(held, dict):
        held = np.frombuffer(base64.b64decode(held["bdata"]), held["dtype"]).tolist()
    return list(held)


def test_figures_are_those_of_the_file(page, folder):
    shop = Shop(folder / "shop.csv")
    wrong, known = [], 0
    for name, told, truth in [*on_dashboard(page, shop), *on_analysis(page, shop)]:
        known += 1
        if told != (pytest.approx(truth, rel=1e-9) if isinstance(truth, float) else truth):
            wrong.append(f"{name}: the page says {told}, the file {truth}")
    assert not wrong, "\n".join(wrong)
    assert known >= 30


def on_dashboard(page: Any, shop: Shop) -> Iterator[tuple[str, Any, Any]]:
    s = shop.sessions
    at = page("dashboard")
    tiles = {m.label: m.value for m in at.metric}
    yield "conversion", tiles["Conversion"], number(s["bought"].mean(), "share")
    yield "sessions", tiles["Sessions"], number(len(s))
    yield "visitors", tiles["Visitors"], number(s["visitor"].nunique())
    yield "revenue", tiles["Revenue"], number(s["money"].sum(), "money", "EUR")
    average = s["money"].sum() / s["orders"].sum()
    yield "average order", tiles["Average order"], number(average, "money", "EUR")
    (orders,) = (m.delta for m in at.metric if m.label == "Average order")
    yield "orders", orders, f"{s['orders'].sum()} orders"
    # The trend's first series is its band.
    days = s.groupby(s["start"].dt.date)["bought"].mean()
    trend = zip(drawn(at, 0, "x", -1), drawn(at, 0, "y", -1), strict=True)
    told = {pd.Timestamp(x).date(): y for x, y in trend}
    for day in (days.index[1], days.index[-2]):
        yield f"conversion on {day}", told.get(day), float(days[day])
    bars = drawn(at, 1, "x")
    for k in range(len(STEPS)):
        yield f"funnel, step {k + 1}", int(bars[k]), shop.reached(STEPS[: k + 1])
    left = s[~s["bought"]]["last"].value_counts(normalize=True)
    yield "left after views", float(drawn(at, 2, "x")[0]), float(left["view_item"])
    at = page("dashboard", device="mobile", against="device: desktop")
    mobile, desktop = (s[s["device"] == d] for d in ("mobile", "desktop"))
    (sold,) = (m.value for m in at.metric if m.label == "Revenue")
    yield "revenue, mobile", sold, number(mobile["money"].sum(), "money", "EUR")
    change = mobile["bought"].mean() - desktop["bought"].mean()
    (said,) = (m.delta for m in at.metric if m.label == "Conversion")
    yield "against desktop", said.replace("\\", "").split(" points")[0], f"{100 * change:+.0f}"


def on_analysis(page: Any, shop: Shop) -> Iterator[tuple[str, Any, Any]]:
    s, e = shop.sessions, shop.events

    def table(topic: str, **query: str) -> pd.DataFrame:
        return page("analysis", topic=topic, **query).dataframe[0].value

    rows = table("Funnel")
    for k, step in enumerate(STEPS):
        yield f"funnel, {step}", int(rows["sessions"][k]), shop.reached(STEPS[: k + 1])
    paths = table("Paths")
    # After the first view of a session that has one: what comes next, repeats left out.
    after = s["kinds"].map(lambda kinds: [k for k in kinds[1:] if k != "view_item"][:1])
    told = {r["target"]: r["sessions"] for _, r in paths[paths["step"] == 1].iterrows()}
    yield "paths, next a cart", told["add_to_cart"], sum(a == ["add_to_cart"] for a in after)
    ends = next(n for name, n in told.items() if "end" in name)
    yield "paths, next the end", ends, sum(a == [] for a in after)
    rows = table("Conversion by", by_column="device").set_index("device")
    for device, own in s.groupby("device"):
        yield f"{device}: sessions", int(rows["sessions"][device]), len(own)
        yield f"{device}: conversion", float(rows["conversion"][device]), own["bought"].mean()
        yield f"{device}: revenue", float(rows["revenue"][device]), float(own["money"].sum())
    rows = table("Conversion by", by_column=in_words("item_id")).set_index("item_id")
    own = e.groupby("item_id")["money"].sum()
    for item in ("i1", "i2"):
        yield f"own revenue of {item}", float(rows["revenue"][item]), float(own[item])
    yield "items add up", float(rows["revenue"].sum()), float(s["money"].sum())
    rows = table("Items").set_index("item_id")
    yield "money of i1, again", float(rows["revenue"]["i1"]), float(own["i1"])
    did = e[e["item_id"] == "i1"].groupby("session_id")["event_type"].agg(set)
    viewed = did[did.map(lambda k: "view_item" in k)]
    yield "sessions that view i1", int(rows["views"]["i1"]), len(viewed)
    for column, kind in (("put into cart", "add_to_cart"), ("bought", "purchase")):
        share = viewed.map(lambda k, kind=kind: kind in k).mean()
        yield f"i1: {column}", float(rows[column]["i1"]), share
    rows = table("Distributions", distribution="events").set_index("name")
    for length in (1, 5):
        told_length = int(rows["count"][str(length)])
        yield f"sessions of {length} events", told_length, int((s["events"] == length).sum())
    rows = table("Hours")
    busiest = rows.loc[rows["sessions"].idxmax()]
    hours = s.groupby([s["start"].dt.day_name(), s["start"].dt.hour]).size()
    yield "the busiest hour", int(busiest["sessions"]), int(hours.max())
    rows = table("Correlations").set_index("column")
    carts = s["kinds"].map(lambda kinds: kinds.count("add_to_cart"))
    yield "rank correlation", rows["carts"]["events"], float(spearmanr(s["events"], carts)[0])
    listed = page("analysis", topic="Sessions", did="cart", did_not="purchase").title[0].value
    some = sum("add_to_cart" in k and "purchase" not in k for k in s["kinds"])
    yield "sessions with a cart, unsold", int(listed.split()[0]), some
    rows = table("Cohorts")
    first = s.sort_values("start").groupby("visitor")["start"].first().dt.to_period("W-SUN")
    week = first.dt.start_time.dt.date.astype(str)
    day = str(rows["week of first visit"][1])[:10]
    yield f"visitors first seen from {day}", int(rows["visitors"][1]), int((week == day).sum())
