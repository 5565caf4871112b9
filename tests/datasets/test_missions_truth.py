"""The second shop's truth against a particle filter, brute simulation, and frequencies."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast import datasets
from cartcast.datasets import Missions

sys.path.insert(0, str(Path(__file__).parent))
from particles import Filter, follow

SOON, LATER = "soon_by_truth", "later_by_truth"
TINY = Missions(
    categories=(("a", 0.6, 3.0), ("b", 0.4, 3.5)),
    items=2,
    countries=(("US", 1.0, 0.0),),
    devices=(("mobile", 1.0, 0.0),),
    start=(0.0, 0.2, 0.4, 0.4),
)


def with_truth(made: datasets.Simulation, days: int = 7) -> pd.DataFrame:
    """Events with their truth, their day, and what came of them: `y`, `amount`, `soon`, `then`."""
    rows = made.events.to_pandas()
    truth = made.truth.to_pandas()
    rows["p"], rows["r"] = truth["p_purchase"], truth["expected_revenue"]
    rows[[SOON, LATER]] = truth[[f"p_purchase_{days}d", f"p_later_{days}d"]]
    rows["start"] = rows.groupby("session_id")["event_time"].transform("min")
    rows["day"] = (rows["start"] - rows["start"].min().normalize()).dt.days
    buys = rows[rows["event_type"] == "purchase"]
    first = buys.groupby("session_id")["event_order"].min()
    rows["bought"] = rows["session_id"].map(first)
    rows["y"] = rows["bought"] > rows["event_order"]
    line = (rows["price"] * rows["quantity"]).where(rows["event_type"] == "purchase", 0.0)
    line = line.where(~rows["event_id"].duplicated(), 0.0)
    rows["amount"] = line.groupby(rows["session_id"]).transform("sum")
    # The next visit with a purchase that begins after the event, as a merge in time order.
    visits = buys.drop_duplicates("session_id")[["visitor_id", "start"]].sort_values("start")
    visits = visits.rename(columns={"start": "next"})
    rows = pd.merge_asof(
        rows.sort_values("event_time"), visits, left_on="event_time", right_on="next",
        by="visitor_id", direction="forward", allow_exact_matches=False,
        tolerance=pd.Timedelta(days=days),
    )  # fmt: skip
    rows["then"] = rows["next"].notna()
    rows["soon"] = rows["y"] | rows["then"]
    return rows


def off(part: pd.DataFrame, said: str, came: str) -> float:
    """By how many standard errors what came differs from what the truth said."""
    spread = math.sqrt((part[said] * (1 - part[said])).sum())
    return abs(part[came].sum() - part[said].sum()) / (spread + 0.5)


@pytest.fixture(scope="module")
def made() -> datasets.Simulation:
    return datasets.simulate(24_000, seed=5, truth=True, shop=Missions())


@pytest.fixture(scope="module")
def known(made: datasets.Simulation) -> pd.DataFrame:
    return with_truth(made)


@pytest.fixture(scope="module")
def open_rows(known: pd.DataFrame) -> pd.DataFrame:
    """Rows before the purchase, if any, whose horizon the log covers."""
    end = known["event_time"].max() - pd.Timedelta(days=8)
    return known[~(known["bought"] <= known["event_order"]) & (known["event_time"] < end)]


SMALL = Missions(categories=(("a", 0.6, 3.0), ("b", 0.4, 3.5)), items=3, horizon=3)
"""Few items: particles that do not move lose sight of the wanted item among many."""


def test_particle_filters_find_the_same_truth() -> None:
    made = datasets.simulate(1_500, seed=8, truth=True, late=0, twice=0, shop=SMALL)
    known = with_truth(made, days=3)
    by_visitor = known.groupby("visitor_id")
    visits, events = by_visitor["session_id"].nunique(), by_visitor.size()
    few = visits[(visits >= 2) & (events >= 6) & (events <= 13)].index
    buyers = known[known["event_type"] == "purchase"]["visitor_id"]
    chosen = [few.intersection(buyers)[0], few.difference(buyers)[0]]
    first_day = (known["start"].min().normalize() - pd.Timestamp(0)).days
    scores = []
    for visitor in chosen:
        rows = known[known["visitor_id"] == visitor].sort_values(["start", "event_order"])
        clouds = pd.concat(
            follow(Filter(SMALL, first_day, 90, 5_000, seed), rows, 2_500) for seed in range(9)
        )
        told = clouds.groupby(["session_id", "event_order"]).agg(["mean", "sem"])
        true = rows.set_index(["session_id", "event_order"]).loc[told.index]
        assert len(told) >= 5
        for said, name, least in (("p", "p", 5e-4), ("soon", SOON, 5e-4), ("r", "r", 0.02)):
            mean, error = told[said]["mean"], np.maximum(told[said]["sem"], least)
            scores += list((mean - true[name]) / error)
            assert (abs(mean - true[name]) < 0.06 * true[name] + 8 * least).all()
    assert len(scores) > 40
    assert max(np.abs(scores)) < 6  # Student's t with eight degrees of freedom, correlated
    assert np.mean(np.square(scores)) < 3


def test_after_every_common_prefix_as_many_buy_as_the_truth_says() -> None:
    rows = with_truth(datasets.simulate(40_000, seed=3, truth=True, late=0, twice=0, shop=TINY))
    rows = rows.sort_values(["session_id", "event_order"])
    gap = rows.groupby("session_id")["event_time"].diff().dt.total_seconds()
    step = rows["page"] + "/" + rows["event_type"].str[:8] + "/" + rows["item_id"].fillna("")
    step += "/" + rows["query"].fillna("") + rows["category"].fillna("")
    step += np.where(gap > 40, " slow", "")
    visit = rows["session_id"].str.split("-").str[1].astype(int).clip(upper=2).astype(str)
    rows["prefix"] = visit + rows["channel"] + step
    for _ in range(2):
        before = rows.groupby("session_id")["prefix"].shift()
        rows["prefix"] = (before + ";" + step).fillna(rows["prefix"])
    some = rows[(rows["event_order"] <= 3) & ~(rows["bought"] <= rows["event_order"])]
    sizes = some.groupby("prefix").size()
    common = sizes[sizes >= 60].index
    assert len(common) > 120
    distances = [off(p, "p", "y") for _, p in some[some["prefix"].isin(common)].groupby("prefix")]
    assert max(distances) < 4.5
    assert np.mean(np.square(distances)) < 1.4


@pytest.mark.parametrize("click", [1, 2, 3, 5, 10])
def test_purchases_come_as_often_as_the_truth_says(open_rows: pd.DataFrame, click: int) -> None:
    rows = open_rows[open_rows["event_order"] == click]
    for said, came in (("p", "y"), (SOON, "soon")):
        for _, part in rows.groupby(pd.qcut(rows[said], 8, labels=False, duplicates="drop")):
            assert off(part, said, came) < 4


def test_after_a_visit_purchases_come_as_often_as_the_truth_says(known: pd.DataFrame) -> None:
    end = known["event_time"].max() - pd.Timedelta(days=8)
    rows = known[known[LATER].notna()]
    assert rows["session_id"].is_unique
    assert len(rows) == known["session_id"].nunique()
    rows = rows[rows["event_time"] < end]
    for _, part in rows.groupby(pd.qcut(rows[LATER], 8, labels=False, duplicates="drop")):
        assert off(part, LATER, "then") < 4


@pytest.mark.parametrize("click", [1, 3, 5])
def test_revenue_comes_as_the_truth_says(open_rows: pd.DataFrame, click: int) -> None:
    rows = open_rows[open_rows["event_order"] == click]
    for _, part in rows.groupby(pd.qcut(rows["r"], 3, labels=False)):
        error = part["amount"].std() / math.sqrt(len(part))
        assert abs(part["amount"].mean() - part["r"].mean()) < 4 * error + 0.1


def test_no_column_says_more_than_the_truth(open_rows: pd.DataFrame) -> None:
    """Where a column let the hidden state through, the truth would be wrong given its value."""
    rows = open_rows.copy()
    rows["late"] = rows["known_time"] > rows["event_time"]
    rows["hour"], rows["second"] = rows["event_time"].dt.hour, rows["event_time"].dt.second
    rows["visitor"] = rows["visitor_id"].str[1:].astype(int)
    rows["visit"] = rows["session_id"].str.split("-").str[1].astype(int)
    own = {
        "event_id",
        "visitor_id",
        "session_id",
        "event_time",
        "known_time",
        "order_id",
        "currency",
    }
    names = set(rows) & {"late", "hour", "second", "visitor", "visit", "day", "query", "sale",
                         "campaign", "channel", "country", "device", "page", "event_type", "item_id",
                         "category", "brand", "color", "price", "quantity", "source_event"}  # fmt: skip
    assert own | names >= set(datasets.simulate(5, shop=Missions()).events.column_names) - {
        "event_order"
    }
    checked = 0
    for click in (1, 2, 4):
        at = rows[rows["event_order"] == click]
        for name in names:
            values = at[name]
            if pd.api.types.is_numeric_dtype(values) and values.nunique() > 12:
                values = pd.qcut(values, 12, labels=False, duplicates="drop")
            for _, part in at.groupby(values, dropna=False, observed=True):
                if len(part) >= 150:
                    assert off(part, "p", "y") < 4.5, (click, name)
                    checked += 1
    assert checked > 300


def test_the_truth_tells_buyers_apart_better_with_every_click(open_rows: pd.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    auc = [
        roc_auc_score(rows["y"], rows["p"])
        for rows in (open_rows[open_rows["event_order"] == k] for k in (1, 3, 5))
    ]
    assert 0.7 < auc[0] < auc[1] < auc[2] < 0.95


def test_probabilities_are_certain_only_when_all_is_over(known: pd.DataFrame) -> None:
    paid = Missions().paid
    assert known["p"].between(0, paid).all()
    assert (known[SOON] >= known["p"] - 1e-12).all()
    assert (known["p"][known["event_type"] == "purchase"] == 0).all()
    assert (known["p"][known["event_type"] == "add_payment_info"] == paid).all()
    assert (known["r"] >= 0).all()
