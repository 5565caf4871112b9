"""Segments of one's own in the app: figures lead to sessions, sessions to segments, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import cartcast.app
from cartcast import insights
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.charts.theme import number
from cartcast.segments import Bought, Did, Segment, Values, read_segment, save_segment

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

from .conftest import sound  # noqa: E402
from .test_figures import Shop  # noqa: E402

VIEWS = Path(cartcast.app.__file__).parent / "views"
CARTS = Segment("carts", (Did("add_to_cart"), Values("device", ("mobile",))))

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def page(monkeypatch, folder, with_data):
    monkeypatch.setenv(PROJECT_VARIABLE, str(folder))

    def run(name: str, **query: str) -> AppTest:
        at = AppTest.from_file(str(VIEWS / f"{name}.py"), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        return at.run()

    return run


@pytest.fixture
def mobile_carts(folder):
    """The sessions of `CARTS` as the CSV has them."""
    s = Shop(folder / "shop.csv").sessions
    return s[(s["device"] == "mobile") & s["kinds"].map(lambda k: "add_to_cart" in k)]


def told(at: AppTest) -> str:
    return at.title[0].value.replace("\\", "")


def test_a_way_and_a_cell_lead_to_their_sessions(page, with_data):
    from cartcast.app.parts.ways import walk_of

    log = with_data.data()[0].log
    found = insights.paths(log, "view_item", depth=2)
    flow = next(f for f in found.flows if f.step == 2)
    walk = walk_of(found, flow)
    assert walk is not None
    at = sound(page("analysis", topic="Sessions", ask=json.dumps(walk.as_dict())))
    assert told(at).startswith(f"{flow.sessions} sessions of ")
    assert walk_of(found, flow._replace(target="(other)")) is None
    cohort = insights.cohorts(log).cohorts[1]
    ask = json.dumps({"cohort": str(cohort.week)})
    at = sound(page("analysis", topic="Sessions", ask=ask))
    assert told(at).endswith(f"sessions of {cohort.visitors} visitors.")
    at = page("analysis", topic="Sessions", ask="what")
    assert not at.exception
    assert "a condition holds" in at.error[0].value


def test_what_is_looked_at_becomes_a_segment_for_every_page(page, folder, mobile_carts):
    at = sound(page("analysis", topic="Sessions", did="cart", device="mobile"))
    at = at.text_input(key="segment_name").set_value("carts").run()
    sound(at.button(key="segment_save").click().run())
    assert set(read_segment(folder, "carts").where) == set(CARTS.where)
    at = sound(page("dashboard", segment="carts"))
    tiles = {m.label: m.value for m in at.metric}
    assert tiles["Sessions"] == number(len(mobile_carts))
    assert tiles["Conversion"] == number(mobile_carts["bought"].mean(), "share")
    rows = sound(page("analysis", topic="Conversion by", segment="carts")).dataframe[0].value
    assert rows["sessions"].sum() == len(mobile_carts)
    at = sound(page("dashboard", against="segment: carts"))
    assert any("Compared with segment: carts" in c.value.replace("\\", "") for c in at.caption)
    # One button takes every filter back.
    at = sound(page("dashboard", segment="carts", device="mobile"))
    at = sound(at.button(key="reset").click().run())
    assert (at.selectbox(key="segment").value, at.selectbox(key="device").value) == ("all", "all")


def test_saved_segments_are_made_counted_and_removed(page, folder, mobile_carts):
    save_segment(folder, CARTS)
    save_segment(folder, Segment("phones", (Values("device", ("mobile",)),)))
    (folder / "segments" / "broken.yaml").write_text("where: [bougt: true]")
    at = page("segments", segments_part="Saved")
    assert not at.exception
    assert "Did you mean 'bought'" in at.error[0].value.replace("\\", "")
    rows = at.dataframe[0].value.set_index("segment")
    assert rows["sessions"]["carts"] == len(mobile_carts)
    assert rows["visitors"]["carts"] == mobile_carts["visitor"].nunique()
    assert rows["conversion"]["carts"] == pytest.approx(mobile_carts["bought"].mean())
    at = at.selectbox(key="saved").set_value("broken").run()
    at.button(key="saved_remove").click().run()
    assert not (folder / "segments" / "broken.yaml").exists()
    at = sound(page("segments", segments_part="Saved"))
    at.multiselect(key="new_device").set_value(["mobile"])
    at.selectbox(key="new_bought").set_value("no")
    at = sound(at.text_input(key="new_name").set_value("unsold").run())
    sound(at.button(key="new_save").click().run())
    unsold = Segment("unsold", (Values("device", ("mobile",)), Bought(False)))
    assert read_segment(folder, "unsold") == unsold
    # A way, and the week in which a visitor came first.
    at = sound(page("segments", segments_part="Saved"))
    at.multiselect(key="new_order").set_value(["add_to_cart", "purchase"])
    s = Shop(folder / "shop.csv").sessions
    monday = s["start"].dt.normalize() - pd.to_timedelta(s["start"].dt.weekday, "D")
    first = monday.groupby(s["visitor"]).transform("min")
    week = sorted(set(first))[1]
    at = sound(
        at.date_input(key="new_cohort").set_value((week + pd.Timedelta(days=2)).date()).run()
    )
    mine = s[(first == week) & s["kinds"].map(lambda k: {"add_to_cart", "purchase"} <= set(k))]
    assert 0 < len(mine) < len(s)
    said = next(m.value for m in at.markdown if " visitors" in m.value)
    assert said.startswith(f"{len(mine)} sessions of {mine['visitor'].nunique()} visitors")
    # What is known only later chooses no rows to learn from.
    at = sound(page("training", part="Train"))
    assert at.selectbox(key="train_segment").options == ["all sessions", "phones"]


def test_shares_are_compared_with_a_segment_and_the_period_before(page, folder, mobile_carts):
    save_segment(folder, CARTS)
    at = sound(page("analysis", topic="Funnel", against="segment: carts"))
    (note,) = (c.value.replace("\\", "") for c in at.caption if "Compared with" in c.value)
    s = Shop(folder / "shop.csv").sessions
    here = s["kinds"].map(lambda k: "add_to_cart" in k).sum() / len(s)
    # Every session of the segment has a cart after its view.
    assert f"cart {100 * (here - 1):+.0f} points" in note
    at = sound(page("analysis", topic="Conversion by", by_column="device",
                    against="segment: carts"))  # fmt: skip
    rows = at.dataframe[0].value.set_index("device")
    change = s[s["device"] == "mobile"]["bought"].mean() - mobile_carts["bought"].mean()
    assert rows["change in points"]["mobile"] == pytest.approx(100 * change)
    assert rows["change from"]["mobile"] < 100 * change < rows["change to"]["mobile"]
    at = sound(page("dashboard", against="segment: carts"))
    drawn = json.loads(at.get("plotly_chart")[0].proto.spec)
    assert {"this", "segment: carts"} <= {t.get("name") for t in drawn["data"]}
    # Usual periods: the days of the log end with its last.
    at = sound(page("dashboard"))
    at = sound(at.selectbox(key="days").set_value("last 7 days").run())
    end = s["start"].max().normalize()
    last = s[s["start"] >= end - pd.Timedelta(days=6)]
    assert {m.label: m.value for m in at.metric}["Sessions"] == number(len(last))
