from __future__ import annotations

import numpy as np
import pytest

from cartcast.app import frames, headlines
from cartcast.charts import heatmap
from cartcast.evaluate.share import Share
from cartcast.insights import Slice, breakdown, cohorts, funnel, heat_map, overview, paths
from cartcast.insights.heatmap import HeatCell, HeatMap


@pytest.fixture
def data(with_data):
    return with_data.get_data(None)


def test_the_dashboard_names_the_greatest_loss(data):
    o = overview(data.log, sessions=data.sessions)
    counts = dict(o.funnel)
    losses = {
        "product page and cart": counts["view_item"] - counts["add_to_cart"],
        "cart and purchase": counts["add_to_cart"] - counts["purchase"],
    }
    text = headlines.dashboard(o)
    assert max(losses, key=losses.__getitem__) in text
    assert f"{100 * o.conversion.value:.0f} % of sessions buy" in text
    nobody = overview(data.log, where=Slice(values={"device": "fridge"}))
    assert headlines.dashboard(nobody) == "No session matches these filters."


def test_every_answer_is_one_sentence(data):
    for told in (
        headlines.of_funnel(funnel(data.log)),
        headlines.of_funnel(funnel(data.log, by="device")),
        headlines.of_paths(paths(data.log, "add_to_cart")),
        headlines.of_paths(paths(data.log, direction="to")),
        headlines.of_cohorts(cohorts(data.log)),
        headlines.predicted(3, "visitors", 0.5, 1),
        headlines.predicted(3, "rows", None, None),
    ):
        assert told.endswith(".")
        assert "None" not in told
        assert "nan" not in told


def test_a_proxy_is_called_a_proxy(with_run):
    facts = with_run.run().data
    assert "PROXY" not in headlines.performance(facts)
    proxy = {**facts, "target": {**facts["target"], "kind": "proxy"}}
    assert "PROXY" in headlines.performance(proxy)


def test_performance_names_the_best_baseline_and_its_figure(with_run):
    assert headlines.performance(with_run.run().data) == (
        "Logistic regression: ROC AUC 0.710 (0.650 to 0.770), against 0.500 for prevalence alone."
    )


def test_segments_are_weighed_by_what_they_bring():
    rows = [
        {"name": "a", "size": 90, "share": 0.9, "revenue_per_session": 1.0},
        {"name": "b", "size": 10, "share": 0.1, "revenue_per_session": 21.0},
    ]
    assert headlines.segments(rows) == "b: 10 % of sessions bring 70 % of the money."
    unknown = [{**r, "revenue_per_session": None} for r in rows]
    assert headlines.segments(unknown).startswith("2 kinds of sessions; the largest, a")


def test_tables_for_the_charts_have_their_columns(data):
    o = overview(data.log)
    columns = ["time", "partial", "value", "low", "high"]
    assert list(frames.trend(o, "conversion").columns) == columns
    # The log begins and ends within a day; what is known of the others is whole.
    days = frames.trend(o, "sessions", (o.start.replace(hour=9), o.end.replace(hour=12)))
    assert list(days["partial"]) == [True, *([False] * (len(days) - 2)), True]
    assert list(frames.trend(o, "revenue").columns) == ["time", "partial", "value"]
    f = funnel(data.log)
    assert list(frames.funnel(f.steps)["count"]) == [s.reached for s in f.steps]
    h = frames.heat_map(heat_map(data.log), "conversion")
    assert h["n"].sum() == o.sessions
    assert h.loc[h["n"] == 0, "value"].isna().all()
    b = breakdown(data.log, "device")
    assert frames.breakdown(b)["n"].sum() == o.sessions
    p = paths(data.log, "view_item")
    assert frames.paths(p)["count"].sum() == sum(x.sessions for x in p.flows)


def test_an_hour_of_few_sessions_does_not_stand_out():
    """Two of three buy on Wednesday night; of hours that tell, Thursday's 25 in 200 is highest."""
    did = {(3, 3): (2, 3), (4, 17): (25, 200), (1, 20): (9, 290)}
    cells = [
        HeatCell(d, h, of, Share(k, of, k / of, 0.05, 0.2))
        for d in range(1, 8)
        for h in range(24)
        for k, of in [did.get((d, h), (5, 140))]
    ]
    week = HeatMap(True, tuple(cells))
    least = headlines.telling_hours(week)
    assert 3 < least < 140
    said, note = headlines.of_hours(week, least)
    assert said == "Conversion is highest on Thursday between 17 and 18 o'clock (UTC): 12 %."
    assert "highest of 167 hours" in note
    busy, _ = headlines.of_hours(week, None)
    assert busy == "Most sessions begin on Monday between 20 and 21 o'clock (UTC): 290."
    none = HeatMap(True, tuple(c for c in cells if c.sessions == 3))
    assert "No hour" in headlines.of_hours(none, headlines.telling_hours(none) + 9)[1]
    drawn = heatmap.hour_weekday(frames.heat_map(week, "conversion"), label="buy", least=least)
    shown, faded = drawn.data
    assert shown.zmax == 0.125
    assert np.argwhere(np.isfinite(faded.z)).tolist() == [[2, 3]]
