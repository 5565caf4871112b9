"""Clean training tables of made-up shops: point-in-time features, visitors in one part, no leak.

Shops differ in size, prevalence, strength of signal, drift and dirt. Nothing here uses Cartcast, so
that an audit which stays silent on them does so on tables that it did not make.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

LETTERS = np.array(["a", "b", "c", "d"], dtype=object)
CLICKS = (1, 2, 3, 5, 8, 13)
FEATURES = (
    "click", "price_mean", "price_max", "items", "categories", "carts", "idle_seconds", "elapsed",
    "hour", "weekday", "country", "device", "category_last", "past_sessions", "past_purchases",
    "days_since",
)  # fmt: skip


class Shop(NamedTuple):
    """A shop: its rows before and after a day, and the ROC AUC of the true intent."""

    train: pd.DataFrame
    test: pd.DataFrame
    auc: float


def clean_shop(seed: int, sessions: int | None = None, signal: float | None = None) -> Shop:
    """Return the rows of one shop; everything is drawn from `seed`."""
    rng = np.random.default_rng(seed)
    n = sessions or int(rng.choice([600, 1500, 4000, 8000]))
    strength = signal if signal is not None else float(rng.uniform(0.2, 2.5))
    base = float(rng.uniform(-5.5, -1.0))
    visitors = rng.integers(0, max(int(n * rng.uniform(0.5, 1.5)), 2), n)
    start = np.sort(rng.uniform(0, 90, n) ** rng.uniform(0.8, 1.2))
    start *= 90 / start.max()
    intent = strength * (
        rng.normal(size=visitors.max() + 1)[visitors] * 0.7 + rng.normal(size=n) * 0.7
    )
    country = rng.choice(["PL", "CZ", "DE", "LT", "other"], n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    device = np.where(rng.random(n) < 0.5 + 0.3 * start / 90, "mobile", "desktop")
    device = np.where((start > 60) & (rng.random(n) < 0.1), "watch", device)
    bought = np.zeros(n, bool)
    rows, alive, state = [], np.ones(n, bool), _start(n)
    hazards = []
    for click in range(1, 21):
        _step(state, rng, click, intent, alive)
        if click in CLICKS:
            rows.append(_rows(state, click, alive & ~bought, visitors, start, country, device))
        hazard = 1 / (1 + np.exp(-(base + intent + 0.8 * np.minimum(state["carts"], 3))))
        hazards.append(hazard)
        bought |= alive & ~bought & (rng.random(n) < hazard) & (click >= 2)
        alive &= rng.random(n) < 1 / (1 + np.exp(-(1.2 + 0.5 * np.tanh(intent))))
        alive &= ~bought
    table = pd.concat(rows, ignore_index=True)
    table["label"] = bought[table["session_id"]].astype(float)
    _history(table, visitors, start, bought)
    table["session_id"] = "s" + table["session_id"].astype(str)
    table["visitor_id"] = "v" + table["visitor_id"].astype(str)
    first = table[table["click"] == 1]
    truth = _auc(
        bought[first["session_id"].str[1:].astype(int)],
        intent[first["session_id"].str[1:].astype(int)],
    )
    return _split(table, truth)


def _start(n: int) -> dict[str, np.ndarray]:
    zeros = ("price_sum", "price_max", "carts", "elapsed", "idle", "category")
    state = {name: np.zeros(n) for name in zeros}
    state["seen"] = np.zeros((n, 40), bool)
    return state


def _step(state, rng, click, intent, alive) -> None:
    n = len(alive)
    item = np.minimum(rng.zipf(1.4, n) - 1, 39)
    price = np.round(np.exp(3.5 + 0.5 * np.sin(item) + 0.02 * rng.normal(size=n)), 2)
    state["idle"] = np.where(click == 1, np.nan, np.round(rng.exponential(40, n), 1))
    state["elapsed"] = state["elapsed"] + np.nan_to_num(state["idle"])
    state["price_sum"] = state["price_sum"] + price
    state["price_max"] = np.maximum(state["price_max"], price)
    state["seen"][np.arange(n), item] = True
    state["category"] = item % 4
    state["carts"] = state["carts"] + (rng.random(n) < 0.12 / (1 + np.exp(-intent)))


def _rows(state, click, keep, visitors, start, country, device) -> pd.DataFrame:
    at = np.flatnonzero(keep)
    seen = state["seen"][at]
    time = pd.Timestamp("2026-01-05") + pd.to_timedelta(
        start[at] * 86400 + state["elapsed"][at], unit="s"
    )
    return pd.DataFrame(
        {
            "session_id": at, "visitor_id": visitors[at], "anchor_time": time,
            "click": float(click), "price_mean": state["price_sum"][at] / click,
            "price_max": state["price_max"][at], "items": seen.sum(axis=1).astype(float),
            "categories": sum(seen[:, c::4].any(axis=1) for c in range(4)).astype(float),
            "carts": state["carts"][at], "idle_seconds": state["idle"][at],
            "elapsed": state["elapsed"][at], "hour": time.hour.astype(float),
            "weekday": time.day_of_week.astype(float), "country": country[at],
            "device": device[at], "category_last": LETTERS[state["category"][at].astype(int)],
        }
    )  # fmt: skip


def _history(table, visitors, start, bought) -> None:
    """Add what was known of the visitor before the session began."""
    frame = pd.DataFrame({"v": visitors, "t": start, "b": bought.astype(float)})
    before = frame.groupby("v").cumcount().astype(float)
    purchases = frame.groupby("v")["b"].cumsum() - frame["b"]
    since = frame.groupby("v")["t"].diff()
    at = table["session_id"].to_numpy()
    table["past_sessions"] = before.to_numpy()[at]
    table["past_purchases"] = purchases.to_numpy()[at]
    table["days_since"] = since.to_numpy()[at]


def _split(table: pd.DataFrame, truth: float) -> Shop:
    """Cut at 70 % of the time; a visitor of both parts stays in the earlier one."""
    table = table.sort_values("anchor_time", ignore_index=True)
    cut = table["anchor_time"].quantile(0.7)
    begins = table.groupby("session_id")["anchor_time"].transform("min")
    train = table[begins <= cut]
    test = table[(begins > cut) & ~table["visitor_id"].isin(train["visitor_id"])]
    return Shop(train.reset_index(drop=True), test.reset_index(drop=True), truth)


def _auc(y: np.ndarray, score: np.ndarray) -> float:
    order = pd.Series(score).rank().to_numpy()
    m, n = y.sum(), (~y).sum()
    return float((order[y].sum() - m * (m + 1) / 2) / (m * n)) if m and n else float("nan")
