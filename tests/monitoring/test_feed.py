"""The feed: holes found at the end of their hour, quiet days that are none, and what a log tells."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from cartcast import events
from cartcast.monitoring.feed import SIGNALS, Feed, feed_of, unusual
from cartcast.monitoring.history import keep_feed
from cartcast.monitoring.holes import holes, usual_hours
from cartcast.monitoring.notices import feed_notices, hole_notices
from cartcast.monitoring.plan import Plan
from cartcast.monitoring.store import Store

PLAN = Plan()


def hours(seed: int, weeks: int = 12, sessions: float = 40.0) -> pd.DataFrame:
    """Hours of a shop whose events come in sessions; one day in ten has half the visitors."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2026-01-05", periods=24 * 7 * weeks, freq="h")
    shape = 0.1 + np.exp(-0.5 * ((index.hour.to_numpy() - 14.5) / 4.5) ** 2)
    quiet = np.where(rng.random(7 * weeks) < 0.1, 0.5, 1.0) * np.exp(
        0.1 * rng.normal(size=7 * weeks)
    )
    visits = rng.poisson(sessions * shape * np.repeat(quiet, 24))
    return pd.DataFrame(
        {"hour": index, "events": [float(rng.geometric(1 / 7, k).sum()) for k in visits]}
    )


def test_a_hole_is_found_in_its_hour() -> None:
    for seed in range(5):
        table = hours(seed)
        at = 24 * 60 + 14
        table.loc[at, "events"] = 0.0
        # Only what was known at the end of the hour.
        assert table["hour"][at] in set(holes(table[: at + 1], PLAN)["hour"])


def test_quiet_days_and_nights_are_no_holes() -> None:
    false = sum(len(holes(hours(seed), PLAN)) for seed in range(12))
    years = 12 * 9 / 52
    assert false / years <= PLAN.tickets


def test_a_small_shop_is_not_judged_by_the_hour() -> None:
    table = hours(3, sessions=1.0)
    table.loc[24 * 60 + 14, "events"] = 0.0
    assert holes(table, PLAN).empty


def test_no_judgement_before_three_weeks() -> None:
    table = hours(4, weeks=3)
    table.loc[24 * 20 + 14, "events"] = 0.0
    assert holes(table, PLAN).empty


def rows(days: int, per_day: int = 40) -> pd.DataFrame:
    out = []
    for day in range(days):
        for s in range(per_day):
            at = pd.Timestamp("2026-03-02 08:00") + pd.Timedelta(days=day, minutes=10 * s)
            steps = (
                ["page_view", "view_item"]
                + ["add_to_cart"] * (s % 4 == 0)
                + ["purchase"] * (s % 8 == 0)
            )
            for k, kind in enumerate(steps):
                out.append({
                    "event_id": f"{day}-{s}-{k}", "visitor_id": f"v{day}-{s}", "session_id": f"s{day}-{s}",
                    "event_time": at + pd.Timedelta(seconds=40 * k), "event_type": kind,
                    "item_id": None if kind == "page_view" else "i1", "price": None if kind == "page_view" else 20.0,
                    "quantity": 1.0, "currency": "EUR",
                    "order_id": f"o{day}-{s}" if kind == "purchase" else None,
                })  # fmt: skip
    return pd.DataFrame(out)


def test_a_log_tells_its_days() -> None:
    log = events.load(rows(4))
    told = feed_of(log, {"source": {"words": {}, "read_by": {}, "filled": {}}})
    assert len(told.days) == 2, "the first and last day are cut"
    day = told.days.iloc[0]
    assert (day["sessions"], day["carts"], day["buying"]) == (40, 10, 5)
    assert day["revenue"] == 100.0
    assert np.exp(day["price"]) == pytest.approx(20.0)
    assert day["doubled"] == day["late"] == day["fast"] == 0
    assert told.hours["events"].sum() == len(rows(4))
    assert (told.hours["hour"].diff().dropna() == pd.Timedelta(hours=1)).all()


def test_words_and_empty_values_are_counted_against_the_run() -> None:
    table = rows(4)
    table.loc[
        (table["event_type"] == "view_item") & (table["event_id"].str.startswith("1-")), "item_id"
    ] = None
    told = feed_of(events.load(table), {"source": {
        "words": {w: {} for w in ("page_view", "view_item", "purchase")},
        "read_by": {"item_id": ["x"]},
        "filled": {"item_id": {"view_item": 1.0, "add_to_cart": 1.0, "purchase": 1.0}},
    }}).days  # fmt: skip
    assert told["unseen"].tolist() == [10, 10]
    assert told["nulls"].tolist() == [40, 0]


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: s.name)
def test_every_signal_is_silent_when_steady_and_speaks_when_material(signal) -> None:
    rng = np.random.default_rng(9)
    n = 120
    feed = {"sessions": np.full(n, 4000.0), "events": np.full(n, 28_000.0)}
    of = feed["sessions" if signal.name in ("carts", "buying", "fast") else "events"]
    if signal.kind == "share":
        usual = rng.binomial(of.astype(int), max(signal.least, 0.02) * 1.2).astype(float)
        factor = 4.0 if signal.up else 0.3
    else:
        usual, factor = 3 + 0.02 * rng.normal(size=n), 0.0
    feed[signal.name] = usual.copy()
    assert not unusual(feed, signal, 1.0).alarm.any()
    feed[signal.name][100:] = usual[100:] * factor if factor else usual[100:] + 2 * signal.material
    found = unusual(feed, signal, 1.0).alarm[:, 0]
    assert found[100]
    assert not found[:100].any()


def test_the_clock_is_round() -> None:
    rng = np.random.default_rng(1)
    signal = next(s for s in SIGNALS if s.name == "clock")
    centre = (23.9 + 0.1 * rng.normal(size=120)) % 24
    feed = {"sessions": np.full(120, 4000.0), "clock": centre}
    assert not unusual(feed, signal, 1.0).alarm.any()
    feed["clock"] = np.where(np.arange(120) >= 100, (centre + 1) % 24, centre)
    assert unusual(feed, signal, 1.0).alarm[:, 0].argmax() == 100


def test_a_small_shop_shows_in_a_week_what_no_day_can() -> None:
    rng = np.random.default_rng(2)
    signal = next(s for s in SIGNALS if s.name == "clock")
    centre = 15 + 0.75 * rng.normal(size=(200, 30))
    feed = {
        "sessions": np.full((200, 30), 75.0),
        "clock": centre + 3.0 * (np.arange(200) >= 150)[:, None],
    }
    found = unusual(feed, signal, 1.2).alarm
    assert found[:150].sum() <= 3
    assert found[150].mean() < 0.6
    assert found[150:160].any(axis=0).mean() > 0.9


def test_what_is_usual_is_the_median_of_the_hours_of_that_weekday() -> None:
    times = pd.date_range("2026-01-05", periods=24 * 7 * 10, freq="h")
    hours = pd.DataFrame(
        {"hour": times, "events": np.random.default_rng(2).poisson(30, len(times))}
    )
    found = usual_hours(hours)
    assert np.isnan(found[: 24 * 21]).all()
    for t in (24 * 21, 24 * 30 + 5, len(times) - 1):
        alike = hours[(hours["hour"].dt.day_of_week == times[t].day_of_week)
                      & (hours["hour"].dt.hour == times[t].hour)
                      & (hours["hour"] < times[t])]  # fmt: skip
        assert found[t] == alike["events"].tail(8).median()


RUN = {"source": {"words": {}, "read_by": {}, "filled": {}}}


def test_the_file_of_one_day_tells_that_day() -> None:
    """Days are sent one by one: a day that is there from its first to its last hour is not cut."""
    table = rows(4)
    day = table["event_time"].dt.normalize()
    one = table[day == sorted(day.unique())[1]]
    assert len(feed_of(events.load(one), RUN).days) == 0
    for at in (pd.Timedelta(minutes=20), pd.Timedelta(hours=23, minutes=30)):
        edge = one.iloc[[0]].assign(
            event_time=one["event_time"].dt.normalize().iloc[0] + at, event_id=str(at),
            session_id=str(at), visitor_id=str(at),
        )  # fmt: skip
        one = pd.concat([one, edge])
    told = feed_of(events.load(one), RUN).days
    assert told["sessions"].tolist() == [42]


def test_a_hole_is_told_before_a_day_is_whole() -> None:
    """What is kept of a feed without a whole day."""
    table = rows(4)
    one = table[table["event_time"].dt.normalize() == table["event_time"].dt.normalize().min()]
    kept = keep_feed(Store(None), "run", feed_of(events.load(one), RUN))
    assert kept is not None
    hour = one["event_time"].min().floor("h")
    (told,) = hole_notices(pd.DataFrame([{"hour": hour, "events": 0.0, "usual": 9.0}]), kept)
    assert (told.money, told.code) == (None, "MO111")


def test_lost_carts_are_told_the_same_day_also_in_a_shop_of_some_hundred_visits() -> None:
    """A day that lost two carts of three holds few of them: their number must not hide it."""
    rng = np.random.default_rng(3)
    signal = SIGNALS[0]
    visits = rng.poisson(700, (50, 60)).astype(float)
    share = np.where(np.arange(50) >= 45, 0.11 / 3, 0.11)[:, None]
    share[48:] = 0.11
    carts = rng.binomial(visits.astype(int), share).astype(float)
    found = unusual({"carts": carts, "sessions": visits}, signal, 1.2).alarm
    assert not found[:45].any()
    assert found[45].mean() > 0.8
    assert found[48:].mean() <= 0.03, "it was mended"
    # At 200 visits a day says too little of that, and three days together more.
    visits = rng.poisson(200, (50, 300)).astype(float)
    carts = rng.binomial(visits.astype(int), share).astype(float)
    told = unusual({"carts": carts, "sessions": visits}, signal, 1.2)
    found = told.alarm
    assert found[45].mean() < 0.3
    assert found[45:48].any(axis=0).mean() > 0.5
    assert found[48:].mean() <= 0.05
    # What is told is what alarmed: three days, that together have a third of the carts.
    shop = np.flatnonzero(found[47] & (told.window[47] == 3))[0]
    day = pd.date_range("2026-01-05", periods=48)
    feed = pd.DataFrame({"day": day, "sessions": visits[:48, shop], "carts": carts[:48, shop]})
    *_, last = feed_notices(Feed(feed, feed), Plan(tickets=1.2 * 2))
    assert last.through == day[47]
    three = carts[45:48, shop].sum() / visits[45:48, shop].sum()
    (said,) = re.findall(r"cart, 3 days together: (.*)%, usually 1", last.message)
    assert float(said) / 100 == pytest.approx(three, abs=0.008)


def test_a_bot_in_the_night_hides_no_hole_of_the_day() -> None:
    table = hours(2)
    table.loc[24 * np.arange(22, 60) + 3, "events"] = 3000.0
    at = 24 * 60 + 14
    table.loc[at, "events"] = 0.0
    assert table["hour"][at] in set(holes(table[: at + 1], PLAN)["hour"])


def test_the_clock_is_that_of_visits_not_of_clicks() -> None:
    table = rows(3)
    bot = table.iloc[[70] * 400].assign(session_id="bot")
    bot["event_id"] = [f"bot-{k}" for k in range(400)]
    bot["event_time"] = table["event_time"].iloc[70].normalize() + pd.Timedelta(hours=3)
    clock, with_bot = (
        feed_of(events.load(t), RUN).days["clock"] for t in (table, pd.concat([table, bot]))
    )
    assert abs(with_bot - clock).max() < 0.5
