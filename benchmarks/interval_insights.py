"""The intervals of insights: both shops of `cartcast simulate`, and one of loyal visitors.

`loyal`: who comes more often also buys more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from interval_samples import Case, Draw, Ends, Visitors, ends, simulated

from cartcast import insights
from cartcast.datasets import Missions
from cartcast.evaluate.share import Clusters, share

__all__ = ["cases"]


def _loyal(rng: np.random.Generator, visitors: int, sessions: int) -> tuple[Any, Any]:
    """Return sessions, and sessions with a purchase, of visitors; who is loyal also buys more."""
    taste = rng.normal(size=visitors)
    n = rng.poisson((sessions - 1) * np.exp(0.6 * taste - 0.18)) + 1
    return n, rng.binomial(n, 1 / (1 + np.exp(2.5 - 0.9 * taste)))


def _often(sessions: int) -> tuple[dict[str, float], Draw]:
    n, x = _loyal(np.random.default_rng(10**6), 1_000_000, sessions)

    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        n, x = _loyal(rng, 600, sessions)
        known = Clusters(600, n.sum(), x.sum(), n @ n, x @ x, n @ x)
        return {"share of sessions": ends(share(int(x.sum()), int(n.sum()), clusters=known))}

    return {"share of sessions": x.sum() / n.sum()}, draw


def _loyal_log() -> pa.Table:
    """Return a log of visitors who come four times on average, the loyal more often."""
    rng = np.random.default_rng(0)
    visitors = 20_000
    n, bought = _loyal(rng, visitors, 4)
    v = np.repeat(np.arange(visitors), n)
    place = np.arange(len(v)) - np.repeat(np.cumsum(n) - n, n)
    start = rng.uniform(0, 56 * 86400, len(v))
    device = rng.choice(["mobile", "desktop"], visitors)[v]
    buys = place < bought[v]
    carts = buys | (rng.uniform(size=len(v)) < 0.2)
    steps = {"view_item": np.ones(len(v), bool), "add_to_cart": carts, "purchase": buys}
    parts = [
        pd.DataFrame(
            {"visitor_id": v[on], "session_id": np.flatnonzero(on), "event_order": k + 1,
             "event_type": name, "device": device[on],
             "event_time": pd.Timestamp("2024-01-01") + pd.to_timedelta(start[on] + 60 * k, unit="s")}
        )
        for k, (name, on) in enumerate(steps.items())
    ]  # fmt: skip
    return pa.Table.from_pandas(pd.concat(parts), preserve_index=False)


def _log_of(shop: Missions | None) -> pa.Table:
    names = ["visitor_id", "session_id", "event_order", "event_type", "device", "event_time"]
    return simulated(60_000, 1, shop, lambda log: log.table(names))


def _shown_shares(log: pa.Table) -> dict[str, Ends]:
    """Return every kind of share that the dashboard and the analysis show."""
    whole = insights.overview(log, grain="week")
    found = {"dashboard: conversion": whole.conversion}
    found["trend: conversion of a week"] = whole.trend[2].conversion
    steps = ["view_item", "add_to_cart", "purchase"]
    for unit in ("session", "visitor"):
        made = insights.funnel(log, steps, unit=unit).steps
        found[f"funnel by {unit}: of the first step"] = made[1].of_first
        found[f"funnel by {unit}: of the step before"] = made[2].of_previous
    for column, value in (("device", "mobile"), ("weekday", "6")):
        rows = {str(r.value): r.conversion for r in insights.breakdown(log, column).rows}
        found[f"breakdown: {column} {value}"] = rows[value]
    hours = {(c.weekday, c.hour): c.conversion for c in insights.heat_map(log).cells}
    found["hours: Tuesday, 20 to 21"] = hours[2, 20]
    cohorts = insights.cohorts(log, within=2, periods=3)
    found["cohorts: came back"] = cohorts.returned
    found["cohorts: bought again"] = cohorts.bought_again
    found["cohorts: one week's, came back"] = cohorts.cohorts[2].returned
    found["cohorts: one week's, in its second week"] = cohorts.weeks[2 * 3 + 1].returned
    return {name: ends(found) for name, found in found.items() if found is not None}


def _shares(log: Callable[[], pa.Table], count: int) -> tuple[dict[str, float], Draw]:
    whole = log()
    visitors = Visitors(whole.to_pandas())

    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        return _shown_shares(pa.Table.from_pandas(visitors(rng, count), preserve_index=False))

    return {name: value for name, (value, _, _) in _shown_shares(whole).items()}, draw


def cases() -> dict[str, Case]:
    """Return the cases by name."""
    found: dict[str, Case] = {}
    for n in (1, 3, 8, 20):
        found[f"often-{n}"] = Case(
            "How often visitors come", "loyal", f"{n} sessions a visitor", 0.95,
            lambda n=n: _often(n),  # type: ignore[misc]
        )  # fmt: skip
    logs: dict[str, tuple[Callable[[], pa.Table], int]] = {
        "first": (lambda: _log_of(None), 1500),
        "second": (lambda: _log_of(Missions()), 1500),
        "loyal": (_loyal_log, 800),
    }
    for shop, (log, count) in logs.items():
        found[f"insights-{shop}"] = Case(
            "Insights", shop, f"{count:,} visitors", 0.95,
            lambda log=log, count=count: _shares(log, count),  # type: ignore[misc]
        )  # fmt: skip
    return found
