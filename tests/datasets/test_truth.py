"""The truth against independent ways of getting it: enumeration, value iteration, frequencies."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast import datasets
from cartcast.datasets import simulate_model as model
from cartcast.datasets.simulate_model import BOT, HIDDEN, OPTIONS, Shop
from cartcast.datasets.truth import solve

SHOP = Shop()
PAGE = {"home": 0, "list": 1, "search": 2, "item": 3, "checkout": 6}
LANDING, CHAIN, CHOICES = model.landing(), model.chain(), model.choices()
TIERS = model.tier_share()
NUMBER = {"add_to_cart": 4, "remove_from_cart": 5}


def next_states(
    state: tuple[int, int, int], option: str
) -> list[tuple[float, tuple[int, int, int]]]:
    """Where an option leads, with the share of each tier still to be multiplied for new items."""
    _, cart, tier = state
    if option == "add":
        return [(1.0, (4, cart + 1, tier))]
    if option == "remove":
        return [(1.0, (5, cart - 1, tier))]
    if option == "same_item":
        return [(1.0, (3, cart, tier))]
    return [(1.0, (PAGE[option], cart, tier))]


def value_iteration(rounds: int) -> dict[tuple[int, int, int], np.ndarray]:
    """P(payment details are given within `rounds` clicks), by plain recursion over dictionaries."""
    states = [(p, c, t) for p in range(7) for c in range(4) for t in range(4)]
    value = {s: np.zeros(HIDDEN) for s in states}
    for _ in range(rounds):
        new = {}
        for s in states:
            ahead = np.zeros(HIDDEN)  # by the hidden state after its own step
            row = CHOICES[model.state(*s)]
            for o, option in enumerate(OPTIONS):
                if option == "payment":
                    ahead += row[:, o]
                elif option == "new_item":
                    for t in (1, 2, 3):
                        ahead += row[:, o] * TIERS[:, t - 1] * value[(3, s[1], t)]
                elif option != "exit" and row[:, o].any():
                    for share, s2 in next_states(s, option):
                        ahead += row[:, o] * share * value[s2]
            new[s] = CHAIN @ ahead
        value = new
    return value


def test_values_solve_the_chain() -> None:
    values = solve(SHOP)
    iterated = value_iteration(400)
    for s, value in iterated.items():
        if s[2] > 0 or s[0] not in (3, 4):
            assert values.pay[model.state(*s)] == pytest.approx(value, abs=1e-7)
    assert (values.pay[:, BOT] == 0).all()
    assert values.pay.min() >= 0
    assert values.pay.max() < 1


def weight_of_path(path: tuple[int, ...], clicks: list[dict[str, Any]], prior: np.ndarray) -> float:
    """P(hidden path and all that was seen), up to what does not depend on the path."""
    goods = model.catalogue()
    first = clicks[0]
    weight = prior[path[0]] * LANDING[first["channel"], path[0], first["page"]]
    if first["item"] >= 0:
        weight *= TIERS[path[0], goods.tier[first["item"]] - 1]
    for (before, now), (z, z2) in zip(pairwise(clicks), pairwise(path), strict=True):
        row = CHOICES[model.state(before["page"], before["cart"], before["tier"]), z2]
        weight *= CHAIN[z, z2]
        if now["page"] == 3:
            i = now["item"]
            seen = 0.0
            if before["cat"] < 0 or goods.cat[i] == before["cat"]:
                seen = row[3] * TIERS[z2, goods.tier[i] - 1] * goods.share[i]
            weight *= seen + (row[4] if i == before["last"] else 0.0)
        else:
            weight *= row[{0: 0, 1: 1, 2: 2, 4: 5, 5: 6, 6: 7}[now["page"]]]
        mean, spread = math.log(model.HUMAN_SECONDS[before["page"]]), model.HUMAN_SPREAD
        if z2 == BOT:
            mean, spread = math.log(model.BOT_SECONDS), model.BOT_SPREAD
        x = (math.log(now["gap"]) - mean) / spread
        weight *= math.exp(-0.5 * x * x) / spread
    return weight


def paths(n: int) -> list[tuple[int, ...]]:
    """All hidden paths of `n` clicks: sensitivity stays, bots stay bots."""
    found: list[tuple[int, ...]] = [(BOT,) * n]
    for sensitive in (0, 1):
        grown: list[tuple[int, ...]] = [()]
        for _ in range(n):
            grown = [(*g, 2 * intent + sensitive) for g in grown for intent in range(4)]
        found += grown
    return found


def clicks_of(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The visible state after each click, rebuilt from the canonical columns alone."""
    goods = model.catalogue()
    index = {name: i for i, name in enumerate(goods.item)}
    cats = {name: int(c) for name, c in zip(goods.category, goods.cat, strict=True)}
    channels = [c[0] for c in SHOP.channels]
    cart, last, cat = 0, -1, -1
    result = []
    for row in rows.itertuples():
        item = index[row.item_id] if isinstance(row.item_id, str) else -1
        page = NUMBER.get(row.event_type, PAGE.get(row.page, -1))
        cart += {4: 1, 5: -1}.get(page, 0)
        if page == 3:
            last = item
        if page in (1, 2, 3):
            cat = cats[row.category]
        result.append(
            {
                "page": page, "item": item if page == 3 else -1, "cart": cart, "last": last,
                "cat": cat, "tier": int(goods.tier[last]) if last >= 0 else 0,
                "channel": channels.index(row.channel), "gap": row.gap,
                "value": row.cart_value,
            }
        )  # fmt: skip
    return result


def prior_of(row: Any) -> np.ndarray:
    """The distribution of the hidden state before the first click, from visible things alone."""
    effect = {n: e for group in (SHOP.countries, SHOP.devices, SHOP.channels) for n, _, e in group}
    readiness = effect[row.country] + effect[row.device] + effect[row.channel]
    readiness += SHOP.campaign_effect * isinstance(row.campaign, str)
    readiness += SHOP.weekend_effect * (row.event_time.weekday() >= 5)
    readiness += SHOP.month_effect[row.event_time.month - 1]
    visit = int(row.session_id.split("-")[1])
    readiness += SHOP.returning_effect * (visit > 0) + SHOP.visit_effect * min(visit, 3)
    readiness += SHOP.buyer_effect * row.bought_before
    sensitive = SHOP.sensitive[[c[0] for c in SHOP.channels].index(row.channel)]
    bot = SHOP.bot_share if visit == 0 else 0.0
    return model.prior(np.array([readiness]), np.array([sensitive]), np.array([bot]))[0]


@pytest.fixture(scope="module")
def known() -> pd.DataFrame:
    made = datasets.simulate(6_000, seed=21, truth=True, late=0, twice=0)
    rows = made.events.to_pandas()
    truth = made.truth.to_pandas()
    rows["p"], rows["r"] = truth.p_purchase, truth.expected_revenue
    rows["gap"] = rows.groupby("session_id").event_time.diff().dt.total_seconds()
    sign = rows.event_type.map({"add_to_cart": 1.0, "remove_from_cart": -1.0}).fillna(0.0)
    amount = (sign * rows.price * rows.quantity).fillna(0.0)
    rows["cart_value"] = amount.groupby(rows.session_id).cumsum()
    buys = rows[rows.event_type == "purchase"]
    first_buy = buys.groupby("visitor_id").event_time.min()
    rows["bought_before"] = rows.visitor_id.map(first_buy) < rows.groupby(
        "session_id"
    ).event_time.transform("min")
    return rows


def test_filter_equals_the_sum_over_all_hidden_paths(known: pd.DataFrame) -> None:
    values, goods = solve(SHOP), model.catalogue()
    deviation = goods.mean - goods.cat_share @ goods.mean
    early = known[(known.event_order <= 4) & ~known.page.isin(["payment", "thanks", "account"])]
    carts = early[early.event_type == "add_to_cart"].session_id.unique()[:15]
    returning = early[early.bought_before].session_id.unique()[:10]
    bots = early[early.gap < 2.5].session_id.unique()[:10]
    some = early.session_id.unique()[:15]
    checked = 0
    for session in {*carts, *returning, *bots, *some}:
        rows = early[early.session_id == session].sort_values("event_order")
        clicks = clicks_of(rows)
        prior = prior_of(rows.iloc[0])
        for n in range(1, len(clicks) + 1):
            belief = np.zeros(HIDDEN)
            for path in paths(n):
                belief[path[-1]] += weight_of_path(path, clicks[:n], prior)
            belief /= belief.sum()
            now, row = clicks[n - 1], rows.iloc[n - 1]
            at = model.state(now["page"], now["cart"], now["tier"])
            assert row.p == pytest.approx(SHOP.paid * belief @ values.pay[at], rel=1e-9, abs=1e-15)
            worth = values.cart[at] * now["value"] + values.base[at]
            worth += values.last[at] * (goods.price[now["last"]] if now["last"] >= 0 else 0.0)
            if now["cat"] >= 0:
                worth += values.category[at] @ deviation[now["cat"]]
            assert row.r == pytest.approx(SHOP.paid * belief @ worth, rel=1e-9, abs=1e-12)
            checked += 1
    assert checked > 90


@pytest.fixture(scope="module")
def outcomes(shop_log: datasets.Simulation) -> pd.DataFrame:
    rows = shop_log.events.select(
        ["session_id", "event_order", "event_type", "event_id", "price", "quantity"]
    ).to_pandas()
    truth = shop_log.truth.to_pandas()
    rows["p"], rows["r"] = truth.p_purchase, truth.expected_revenue
    buy = rows.event_type == "purchase"
    first = rows[buy].groupby("session_id").event_order.min()
    rows["first"] = rows.session_id.map(first)
    rows["y"] = rows["first"] > rows.event_order
    amount = (rows.price * rows.quantity).where(buy & ~rows.event_id.duplicated(), 0.0)
    rows["amount"] = amount.groupby(rows.session_id).transform("sum")
    return rows[~(rows["first"] <= rows.event_order)]


@pytest.mark.parametrize("click", [1, 3, 5, 10])
def test_purchases_come_as_often_as_the_truth_says(outcomes: pd.DataFrame, click: int) -> None:
    rows = outcomes[outcomes.event_order == click]
    bins = pd.qcut(rows.p, 8, labels=False, duplicates="drop")
    for _, part in rows.groupby(bins):
        error = math.sqrt((part.p * (1 - part.p)).sum())
        assert abs(part.y.sum() - part.p.sum()) < 4 * error + 1


@pytest.mark.parametrize("click", [1, 3, 5, 10])
def test_revenue_comes_as_the_truth_says(outcomes: pd.DataFrame, click: int) -> None:
    rows = outcomes[outcomes.event_order == click]
    for _, part in rows.groupby(pd.qcut(rows.r, 3, labels=False)):
        error = part.amount.std() / math.sqrt(len(part))
        assert abs(part.amount.mean() - part.r.mean()) < 4 * error


def test_the_truth_tells_buyers_apart_better_with_every_click(outcomes: pd.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    auc = [
        roc_auc_score(rows.y, rows.p)
        for rows in (outcomes[outcomes.event_order == k] for k in (1, 3, 5))
    ]
    assert 0.72 < auc[0] < auc[1] < auc[2] < 0.9


def test_probability_is_certain_only_when_all_is_over(shop_log: datasets.Simulation) -> None:
    truth = shop_log.truth.to_pandas()
    assert truth.p_purchase.between(0, SHOP.paid).all()
    assert (truth.expected_revenue >= 0).all()
    kind = np.array(shop_log.events["event_type"].to_pylist())
    assert (truth.p_purchase[kind == "purchase"] == 0).all()
    assert (truth.p_purchase[kind == "add_payment_info"] == SHOP.paid).all()
