"""Anchors and labels against a slow, obvious loop over the events."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast import events
from cartcast.errors import DataError
from cartcast.moments.anchors import find_anchors
from cartcast.targets import AddToCart, Proxy, Purchase, Revenue

CLICKS = (1, 2, 3, 5)
GAP = 1800.0


def shop(seed: int, sessions: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    start = datetime(2024, 5, 1)
    for i in range(sessions):
        at = start + timedelta(hours=float(rng.uniform(0, 24 * 12)))
        for n in range(int(rng.integers(1, 9))):
            kind = rng.choice(["view_item", "add_to_cart", "purchase"], p=[0.7, 0.2, 0.1])
            rows.append(
                {
                    "visitor_id": f"v{i % 25}",
                    "session_id": f"s{i}",
                    "event_time": at,
                    "event_type": str(kind),
                    "item_id": f"i{rng.integers(9)}",
                    "category": str(rng.choice(["a", "b"])),
                    "price": float(rng.integers(1, 50)),
                    "quantity": float(rng.integers(1, 3)),
                    "order_id": f"o{i}-{n}" if kind == "purchase" else None,
                    "currency": "EUR",
                }
            )
            at += timedelta(seconds=float(rng.uniform(0, 600)))
    return pd.DataFrame(rows)


def load(table: pd.DataFrame, folder: Path) -> events.Log:
    return events.load(table, layout="cartcast", folder=folder)


def by_session(log: events.Log) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in log.table().to_pylist():
        out[row["session_id"]].append(row)
    for rows in out.values():
        rows.sort(key=lambda r: r["event_order"])
    return out


def horizon(sessions: dict[str, list[dict[str, Any]]], end: datetime) -> timedelta:
    """How long after a click of the first half all but 0.5 % of its sessions are over."""
    moments = [
        (rows[click - 1]["event_time"], rows[-1]["event_time"])
        for rows in sessions.values()
        for click in CLICKS
        if click <= len(rows)
    ]
    first = min(m for m, _ in moments)
    left = sorted(last - m for m, last in moments if m <= first + (end - first) / 2)
    return left[math.ceil(0.995 * (len(left) - 1))] + timedelta(seconds=GAP)


def oracle(log: events.Log, target: Any) -> dict[tuple[str, int], tuple[float, float]]:
    """(session, click) -> (outcome, money), by a loop that anyone can check."""
    sessions = by_session(log)
    everything = [e for rows in sessions.values() for e in rows]
    end = max(e["event_time"] for e in everything)
    over = horizon(sessions, end)
    want = {}
    for session, rows in sessions.items():
        for click in CLICKS:
            if click > len(rows):
                continue
            anchor, past, future = rows[click - 1], rows[:click], rows[click:]
            if isinstance(target, Proxy):
                hits = [e for e in future if target.column in (None, "category")]
                if target.column:
                    hits = [e for e in future if e[target.column] == target.value]
                    if target.at_least == 1 and any(e[target.column] == target.value for e in past):
                        continue
                if anchor["event_time"] + over > end:
                    continue
                want[session, click] = (float(len(hits) >= target.at_least), 0.0)
                continue
            if any(e["event_type"] == target.event_type for e in past):
                continue
            if target.seconds is None:
                if anchor["event_time"] + over > end:
                    continue
                hits = [e for e in future if e["event_type"] == target.event_type]
            else:
                until = anchor["event_time"] + timedelta(seconds=target.seconds)
                if until > end:
                    continue
                later = [
                    e
                    for other, rows2 in sessions.items()
                    for e in rows2
                    if other != session
                    and e["visitor_id"] == anchor["visitor_id"]
                    and anchor["event_time"] < e["event_time"] <= until
                ]
                later += [e for e in future if e["event_time"] <= until]
                hits = [e for e in later if e["event_type"] == target.event_type]
            money = 0.0
            if target.event_type == "purchase":
                money = sum(e["price"] * e["quantity"] for e in hits)
            want[session, click] = (float(bool(hits)), money)
    return want


TARGETS = [
    Purchase(),
    Purchase("2d"),
    Revenue(),
    AddToCart(),
    Proxy("browsing", at_least=3),
    Proxy("reach", column="category", value="b"),
    Proxy("twice", at_least=2, column="category", value="b"),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.describe())
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_equal_the_oracle(seed: int, target: Any, tmp_path: Path) -> None:
    log = load(shop(seed), tmp_path)
    found = find_anchors(log, target, CLICKS, GAP).table
    got = {(r.session_id, int(r.click)): (r.label, r.amount) for r in found.itertuples(index=False)}
    want = oracle(log, target)
    assert set(got) == set(want)
    for key, (outcome, money) in want.items():
        label, amount = got[key]
        assert label == pytest.approx(money if target.money else outcome), key
        if not isinstance(target, Proxy):
            assert amount == pytest.approx(money), key


def test_no_weight_depends_on_what_comes_later(tmp_path: Path) -> None:
    found = find_anchors(load(shop(3), tmp_path), Purchase(), CLICKS).table
    assert (found["weight"] == 1.0).all()


def test_an_order_logged_twice_counts_once(tmp_path: Path) -> None:
    rows = [
        ("view_item", 1, None), ("view_item", 1, None), ("purchase", 10, "o1"),
        ("purchase", 10, "o1"), ("purchase", 7, "o2"),
    ]  # fmt: skip
    table = pd.DataFrame(
        {
            "visitor_id": "v",
            "session_id": "s",
            "event_time": pd.date_range("2024-01-01", periods=5, freq="min"),
            "event_type": [r[0] for r in rows],
            "item_id": ["x"] * 5,
            "price": [float(r[1]) for r in rows],
            "order_id": [r[2] for r in rows],
            "currency": "EUR",
        }
    )
    later = table.assign(
        session_id="z", visitor_id="w", event_time=table["event_time"] + pd.Timedelta(days=2)
    ).head(1)
    log = load(pd.concat([table, later]), tmp_path)
    found = find_anchors(log, Revenue(), (1, 2)).table
    assert found[found.session_id == "s"]["label"].tolist() == [17.0, 17.0]


def test_no_outcome_says_what_can_be_chosen(tmp_path: Path) -> None:
    table = shop(0)
    log = load(table[table["event_type"] != "purchase"], tmp_path)
    with pytest.raises(DataError, match=r"no purchase event.*add_to_cart.*proxy:browsing"):
        find_anchors(log, Purchase(), CLICKS)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'categry'.*Did you mean 'category'"):
        find_anchors(load(shop(0), tmp_path), Proxy("r", column="categry", value="b"), CLICKS)


def busy(seed: int, hours: float, rate: int = 40) -> pd.DataFrame:
    """Sessions of a shop that is open all the time: the longer one is, the likelier it buys."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for i in range(int(rate * hours)):
        at, clicks = float(rng.uniform(0, hours)) * 3600, int(rng.geometric(0.15))
        bought = clicks > 2 and rng.uniform() < 1 - 0.97**clicks
        for n in range(clicks):
            kind = "purchase" if bought and n == clicks - 1 else "view_item"
            rows.append(
                {"session_id": f"s{i}", "visitor_id": f"v{i}", "at": at, "event_type": kind}
            )
            at += float(rng.exponential(240))
    rows.append({**rows[0], "session_id": "late", "visitor_id": "late", "at": 4 * hours * 3600})
    table = pd.DataFrame(rows)
    moment = pd.Timestamp("2024-05-01") + pd.to_timedelta(table["at"], unit="s")
    return table.assign(event_time=moment)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_end_of_the_log_takes_moments_away_and_not_sessions(seed: int, tmp_path: Path) -> None:
    """A log cut in the middle of sessions keeps all moments up to one, with their true labels."""
    table = busy(seed, 24.0).drop(columns="at")
    end = pd.Timestamp("2024-05-02")
    whole = find_anchors(load(table, tmp_path / "whole"), Purchase(), CLICKS, GAP).table
    seen = load(table[table["event_time"] < end], tmp_path / "seen")
    found = find_anchors(seen, Purchase(), CLICKS, GAP).table
    key = ["session_id", "click"]
    both = whole.merge(found[[*key, "label"]], on=key, how="left", suffixes=("", "_seen"))
    kept = both["label_seen"].notna()
    assert both[kept]["anchor_time"].max() < both[~kept]["anchor_time"].min()
    assert both[kept]["anchor_time"].max() > end - pd.Timedelta(hours=5)
    assert (both[kept]["label"] != both[kept]["label_seen"]).mean() < 0.002


@pytest.mark.parametrize("seed", [0, 1])
def test_the_rest_of_sessions_open_at_the_beginning_is_no_session(
    seed: int, tmp_path: Path
) -> None:
    """A log cut out of an open shop has no row of a session that began before it."""
    table = busy(seed, 12.0, rate=120).drop(columns="at")
    whole = find_anchors(load(table, tmp_path / "whole"), Purchase(), CLICKS, GAP)
    assert "begun_before" not in whole.dropped
    begin = table["event_time"].min() + pd.Timedelta(hours=3)
    seen = table[table["event_time"] >= begin]
    open_then = set(table[table["event_time"] < begin]["session_id"]) & set(seen["session_id"])
    assert len(open_then) > 20
    found = find_anchors(load(seen, tmp_path / "seen"), Purchase(), CLICKS, GAP)
    assert not open_then & set(found.table["session_id"])
    assert found.dropped["begun_before"] > 0
    first = seen["event_time"].min() + pd.Timedelta(seconds=GAP)
    true = whole.table[whole.table["session_start"] >= first]
    key = ["session_id", "click"]
    both = found.table.merge(true[[*key, "label"]], on=key, how="left", suffixes=("", "_true"))
    assert both["label_true"].notna().all()
    assert (both["label"] == both["label_true"]).mean() > 0.998


def test_a_log_too_short_for_its_sessions_says_so(tmp_path: Path) -> None:
    found = find_anchors(load(shop(0), tmp_path / "long"), Purchase(), CLICKS, GAP)
    assert not found.findings
    table = shop(0)
    first = table["event_time"].min()
    starts = table.groupby("session_id")["event_time"].transform("min")
    hour = table.assign(event_time=first + (table["event_time"] - starts) + (starts - first) / 150)
    short = find_anchors(load(hour, tmp_path / "short"), Purchase(), CLICKS, GAP)
    assert [f.code for f in short.findings] == ["MD102"]
