"""The second shop's log: canonical, reproducible, and unlike the first shop's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast import datasets, events
from cartcast.datasets import Missions
from cartcast.datasets.missions import behaviour, market
from cartcast.errors import UsageError
from cartcast.events.schema import COLUMNS, EVENT_TYPES

SHOP = Missions()


@pytest.fixture(scope="module")
def made() -> datasets.Simulation:
    return datasets.simulate(8_000, seed=6, truth=True, shop=SHOP)


@pytest.fixture(scope="module")
def rows(made: datasets.Simulation) -> pd.DataFrame:
    return made.events.to_pandas()


def test_the_same_seed_gives_the_same_log_whatever_the_chunk() -> None:
    whole, pieces = (
        datasets.simulate(1_500, seed=9, truth=True, shop=SHOP, chunk=c) for c in (20_000, 37)
    )
    assert whole.events.equals(pieces.events)
    assert whole.truth.equals(pieces.truth)
    assert not whole.events.equals(datasets.simulate(1_500, seed=10, shop=SHOP).events)


def test_the_log_is_the_same_without_its_truth() -> None:
    with_it, without = (datasets.simulate(500, seed=2, truth=t, shop=SHOP) for t in (True, None))
    assert with_it.events.equals(without.events)
    assert without.truth is None


def test_columns_are_canonical_and_events_in_time_order(rows: pd.DataFrame) -> None:
    assert set(rows) - set(COLUMNS) == {"event_id", "query", "sale"}
    assert set(rows["event_type"]) <= set(EVENT_TYPES)
    assert (rows["event_type"].eq("other") == rows["source_event"].eq("compare_items")).all()
    assert rows["event_time"].is_monotonic_increasing
    needed = ["visitor_id", "session_id", "event_order", "country", "device", "channel", "page"]
    assert rows[needed].notna().all().all()


def test_a_reader_finds_what_was_made(made: datasets.Simulation, tmp_path: Path) -> None:
    log = events.load(made.events, folder=tmp_path / "log", session_gap=1800)
    counts = made.counts
    assert log.summary.sessions == counts["sessions"] == 8_000
    assert log.summary.visitors == counts["visitors"]
    assert log.summary.purchase_sessions == counts["purchase_sessions"]
    assert log.table()["revenue"].to_pandas().sum() == pytest.approx(counts["revenue"])


def test_session_ids_agree_with_sessions_by_a_gap_of_thirty_minutes(rows: pd.DataFrame) -> None:
    rows = rows.sort_values(["visitor_id", "event_time", "event_order"])
    gap = rows.groupby("visitor_id")["event_time"].diff()
    new = gap.isna() | (gap > pd.Timedelta(minutes=30))
    assert (new == (rows["session_id"] != rows["session_id"].shift())).all()


def test_what_is_bought_is_what_was_left_in_the_cart(rows: pd.DataFrame) -> None:
    rows = rows.drop_duplicates("event_id")
    amount = rows["price"] * rows["quantity"]
    sign = rows["event_type"].map({"add_to_cart": 1.0, "remove_from_cart": -1.0})
    cart = (amount * sign).groupby(rows["session_id"]).sum()
    paid = amount[rows["event_type"] == "purchase"].groupby(rows["session_id"]).sum()
    assert len(paid) > 150
    assert np.allclose(cart[paid.index], paid)


def test_people_search_one_item_over_several_visits(rows: pd.DataFrame) -> None:
    views = rows[rows["event_type"] == "view_item"]
    visits = views.groupby("session_id").agg(
        visitor=("visitor_id", "first"), start=("event_time", "min"),
        most=("item_id", lambda i: i.mode()[0]), category=("category", lambda c: c.mode()[0]),
    )  # fmt: skip
    visits = visits.sort_values(["visitor", "start"])
    before = visits.groupby("visitor")[["most", "category", "start"]].shift()
    soon = (visits["start"] - before["start"]) < pd.Timedelta(days=5)
    assert (visits["category"] == before["category"])[soon].mean() > 0.5  # by chance 0.22
    assert (visits["most"] == before["most"])[soon].mean() > 0.15  # by chance 0.02


def test_clicks_come_in_bursts_and_pauses(rows: pd.DataFrame) -> None:
    rows = rows.drop_duplicates("event_id").sort_values(["session_id", "event_order"])
    gap = rows.groupby("session_id")["event_time"].diff().dt.total_seconds()
    log_gap = np.log(gap.where(rows["event_type"] != "purchase"))
    histogram, edges = np.histogram(log_gap.dropna(), bins=np.arange(0, 7.1, 0.5))
    low, high = edges[:-1][histogram[:7].argmax()], edges[:-1][7 + histogram[7:].argmax()]
    valley = histogram[(edges[:-1] > low) & (edges[:-1] < high)].min()
    assert low < np.log(15)
    assert high > np.log(60)
    assert valley < 0.9 * histogram[7:].max()
    before = log_gap.groupby(rows["session_id"]).shift()
    assert log_gap.corr(before) > 0.1  # a burst goes on


def test_items_come_into_fashion_and_go_out(rows: pd.DataFrame) -> None:
    share = market.fashion(SHOP, 20_000, 180)
    grouped = share.reshape(180, len(SHOP.categories), SHOP.items).sum(axis=2)
    assert np.allclose(grouped, 1)
    assert np.median(share.max(axis=0) / share.min(axis=0)) > 3
    assert np.array_equal(share[10:], market.fashion(SHOP, 20_010, 170))  # the date alone decides
    views = rows[rows["event_type"] == "view_item"]
    day = (views["event_time"] - views["event_time"].min()).dt.days
    items = market.goods(SHOP).item
    first = int((views["event_time"].min().normalize() - pd.Timestamp(0)).days)
    expected = market.fashion(SHOP, first, 91)
    early, late = (
        views["item_id"][part].value_counts().reindex(items).fillna(0) + 1
        for part in (day < 20, day > 70)
    )
    change = np.log(expected[71:].mean(axis=0) / expected[:20].mean(axis=0))
    assert np.corrcoef(np.log(late / early), change)[0, 1] > 0.7


def test_sales_cut_the_price_and_bring_bargain_hunters(rows: pd.DataFrame) -> None:
    priced = rows.dropna(subset=["price"])
    on = priced["category"] == priced["sale"]
    full = dict(zip(market.goods(SHOP).item, market.goods(SHOP).price, strict=True))
    ratio = priced["price"] / priced["item_id"].map(full)
    day = priced["event_order"].le(5)  # later rows may lie past midnight
    assert np.allclose(ratio[on & day], SHOP.cut, atol=2e-3)
    assert np.allclose(ratio[~on & day], 1)
    viewed = priced["event_type"] == "view_item"
    added = priced["event_type"] == "add_to_cart"
    rates = [(added & part).sum() / (viewed & part).sum() for part in (on, ~on)]
    assert rates[0] > 1.3 * rates[1]


def test_tables_are_probabilities() -> None:
    for table in (
        behaviour.choices(), behaviour.chain(), behaviour.daily(SHOP), behaviour.landing(),
        behaviour.channels_again(SHOP),
    ):  # fmt: skip
        assert (table >= 0).all()
        assert np.allclose(table.sum(axis=-1), 1)
    checkout = behaviour.OPTIONS.index("checkout")
    assert (behaviour.choices()[:, :, 0, :, :, :, checkout] == 0).all()  # window shoppers


def test_new_visitors_come_every_day(rows: pd.DataFrame) -> None:
    """Those who come back never crowd out new visitors: then some of them would be lost."""
    first = rows[rows["session_id"].str.endswith("-0") & (rows["event_order"] == 1)]
    assert first.groupby(first["event_time"].dt.date).size().min() > 10
    assert first["event_time"].dt.date.nunique() == 90


def test_an_experiment_changes_purchases_by_its_lift() -> None:
    arms = (datasets.Arm("a", 0.5), datasets.Arm("b", 0.5, -0.5))
    made = datasets.simulate(20_000, seed=3, truth=True, experiment=arms, shop=SHOP)
    rows = made.events.to_pandas()
    rows["p"] = made.truth["p_purchase"].to_numpy()
    first = rows[rows["event_order"] == 1]
    new = first[first["session_id"].str.endswith("-0")]
    said = new.groupby("arm")["p"].mean()
    assert said["b"] / said["a"] == pytest.approx(0.5, abs=0.02)
    buyers = set(rows["session_id"][rows["event_type"] == "purchase"])
    first = first.assign(y=first["session_id"].isin(buyers))
    for _, part in first.groupby("arm"):
        spread = np.sqrt((part["p"] * (1 - part["p"])).sum())
        assert abs(part["y"].sum() - part["p"].sum()) < 4 * spread
    with pytest.raises(UsageError, match="lift must"):
        datasets.simulate(
            10, experiment=(datasets.Arm("a", 0.5), datasets.Arm("b", 0.5, 1.0)), shop=SHOP
        )
