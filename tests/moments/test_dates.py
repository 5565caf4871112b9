"""Rows at times, against a slow loop over every list and every visitor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast import events
from cartcast.moments import Moment
from cartcast.moments.dates import Due, dated, end_of
from cartcast.moments.moment import SO_FAR, with_horizon
from cartcast.targets import Purchase

GAP = 1800.0
HOUR = pd.Timedelta(hours=1)
MOMENTS = {
    "during": Moment(every=1800),
    "after": Moment("after", every=6 * 3600),
    "day": Moment("day", every=24 * 3600, seen=3 * 86400),
}


def shop(seed: int, ties: bool = False) -> pd.DataFrame:
    """Clicks of a few visitors who come again and again, some without an id."""
    random = np.random.default_rng(seed)
    rows = []
    for k in range(14):
        time = pd.Timestamp("2026-03-01") + HOUR * random.uniform(0, 72)
        for _ in range(int(random.integers(1, 25))):
            step = random.choice([0, 1, 5, 20, 40, 600, 2000]) * random.uniform(0.5, 1.5)
            time += pd.Timedelta(minutes=round(step) if ties else step)
            kind = random.choice(["page_view", "view_item", "add_to_cart", "purchase"],
                                 p=[0.4, 0.3, 0.15, 0.15])  # fmt: skip
            rows.append(
                {
                    "event_time": time.floor("min" if ties else "us"),
                    "visitor_id": f"v{k}",
                    "event_type": kind,
                    "order_id": f"o{len(rows)}" if kind == "purchase" else None,
                    "price": round(random.uniform(5, 50), 2) if kind != "page_view" else None,
                    "quantity": 1 if kind == "purchase" else None,
                }
            )
    return pd.DataFrame(rows).sort_values("event_time", kind="stable", ignore_index=True)


def slow(log: events.Log, moment: Moment, horizon: pd.Timedelta | None) -> pd.DataFrame:
    """Who would be on each list, by looking at the log as it was then."""
    every = log.table().to_pandas().sort_values(["event_time", "event_order"], kind="stable")
    end = pd.Timestamp(log.summary.end).tz_localize(None)
    gap, step, out = pd.Timedelta(seconds=GAP), pd.Timedelta(seconds=moment.every), []
    reach = {"during": gap, "after": gap + step, "day": pd.Timedelta(seconds=moment.seen)}
    due, first = end, every["event_time"].min()
    while due >= first:
        past = every[every["event_time"] <= due]
        # Who was idle for longer than the list reaches back is not on it.
        recent = past.loc[past["event_time"] > due - reach[moment.kind], "visitor_id"]
        for visitor, own in past[past["visitor_id"].isin(recent)].groupby("visitor_id"):
            # Of events at one time, the last of a session stands for it.
            newest = own.sort_values(["event_time", "event_order", "session_id"]).iloc[-1]
            session = own[own["session_id"] == newest["session_id"]]
            bought = (session["event_type"] == "purchase").any()
            idle = due - newest["event_time"]
            on_list = {
                "during": idle < gap and not bought,
                "after": gap <= idle < gap + step and not bought,
                "day": idle < pd.Timedelta(seconds=moment.seen),
            }[moment.kind]
            if not on_list:
                continue
            sales = own[own["event_type"] == "purchase"]
            later = every[(every["visitor_id"] == visitor) & (every["event_type"] == "purchase")]
            if horizon is None:
                later = later[
                    (later["session_id"] == newest["session_id"])
                    & (later["event_order"] > newest["event_order"])
                ]
            else:
                later = later[(later["event_time"] > due) & (later["event_time"] <= due + horizon)]
            day = pd.Timedelta(days=1)
            out.append(
                {
                    "session_id": newest["session_id"],
                    "event_order": newest["event_order"],
                    "anchor_time": due,
                    "outcome": len(later) > 0,
                    "amount": later["revenue"].sum(),
                    "days_since_last_event": idle / day,
                    "days_known": (due - own["event_time"].min()) / day,
                    "sessions_so_far": own["session_id"].nunique(),
                    "orders_so_far": sales["order_id"].nunique(),
                    "money_so_far": sales["revenue"].sum() if len(sales) else np.nan,
                    "days_since_last_order": (due - sales["event_time"].max()) / day
                    if len(sales)
                    else np.nan,
                }
            )
        due -= step
    return pd.DataFrame(out).sort_values(["anchor_time", "session_id"], ignore_index=True)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("kind", MOMENTS)
@pytest.mark.parametrize("seed", range(3))
def test_lists_are_those_of_a_slow_loop(seed: int, kind: str, ties: bool, tmp_path: Path) -> None:
    log = events.load(shop(seed, ties), session_gap=GAP, folder=tmp_path)
    moment = MOMENTS[kind]
    target = with_horizon(Purchase(), moment, None if kind == "during" else "2d")
    horizon = None if kind == "during" else pd.Timedelta(days=2)
    wanted = slow(log, moment, horizon)
    found = dated(log, target, Due(moment, end_of(log), GAP))
    found = found.sort_values(["anchor_time", "session_id"], ignore_index=True)
    assert len(found) == len(wanted) > 20
    for name in wanted.columns:
        left, right = found[name], wanted[name]
        if name in ("amount", *SO_FAR):
            np.testing.assert_allclose(
                left.fillna(0 if name == "amount" else np.nan).astype(float), right.astype(float),
                err_msg=name,
            )  # fmt: skip
        else:
            assert left.tolist() == right.tolist(), name
    now = dated(log, target, Due(moment, end_of(log), GAP).now)
    last = wanted[wanted["anchor_time"] == end_of(log)]
    assert sorted(now["session_id"]) == sorted(last["session_id"])
