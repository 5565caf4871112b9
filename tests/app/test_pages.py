"""Every page in its empty, ready and failing state, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import cartcast.app
from cartcast.app import headlines
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.state import Project
from cartcast.app.ui import PAGES, plain
from cartcast.errors import CartcastError, DataError
from cartcast.features.words import event_words
from cartcast.insights import Slice, compare, list_sessions, overview
from cartcast.insights.listing import session_ids
from cartcast.score import predict
from cartcast.segments import Did, Segment, Values, save_segment

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

from .conftest import sound  # noqa: E402

FOLDER = Path(cartcast.app.__file__).parent

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def open_page(monkeypatch, folder):
    """Return a function that runs one page of the project."""

    def run(name: str, **query: str) -> AppTest:
        monkeypatch.setenv(PROJECT_VARIABLE, str(folder))
        st.cache_data.clear()
        at = AppTest.from_file(str(FOLDER / "views" / f"{name}.py"), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        return at.run()

    return run


@pytest.mark.parametrize("name", PAGES)
def test_empty_says_what_would_be_here_and_offers_the_button(open_page, folder, name):
    (folder / "cartcast.yaml").write_text("currency: EUR\n")
    at = sound(open_page(name))
    assert at.title[0].value
    if name != "training":
        assert at.title[0].value.startswith("No ")
        assert "This page will show" in at.title[0].value
        assert len(at.button) == 1


def test_a_project_with_sources_offers_to_read_them(open_page):
    at = sound(open_page("dashboard"))
    at = sound(at.button[0].click().run())
    assert "of sessions buy" in at.title[0].value
    assert {m.label for m in at.metric} >= {"Conversion", "Sessions", "Revenue"}


def test_the_dashboard_holds_one_slice_against_another(open_page, with_data):
    data = with_data.data()[0]
    at = sound(open_page("dashboard", device="mobile", against="device: desktop"))
    (told,) = (c.value for c in at.caption if "Compared with" in c.value)
    slices = (Slice(values={"device": d}) for d in ("mobile", "desktop"))
    found = compare(data.log, *slices)
    assert told.replace("\\", "") == headlines.differences(found, "device: desktop")
    plain = sound(open_page("dashboard", device="mobile"))
    assert [m.value for m in at.metric] == [m.value for m in plain.metric]
    # The whole log has no period before it.
    at = sound(open_page("dashboard", against="the period before"))
    assert any("Choose a period first" in c.value for c in at.caption)


def test_a_list_of_sessions_counts_what_was_asked(open_page, with_data):
    funnel = overview(with_data.data()[0].log).funnel
    step, count = funnel[-1]
    at = sound(open_page("analysis", topic="Sessions", reached=f"reached {event_words(step)}"))
    assert at.title[0].value.startswith(f"{count} sessions of ")
    every = sound(open_page("analysis", topic="Sessions", did="cart", did_not="purchase"))
    asked = Segment("asked", (Did("add_to_cart"), Did("purchase", negated=True)))
    found = list_sessions(with_data.data()[0].log, Slice(segments=(asked,)))
    assert every.title[0].value.startswith(f"{found.sessions} sessions of ")


def test_dashboard_filters_change_the_answer(open_page, with_data):
    at = sound(open_page("dashboard"))
    every = at.metric[1].value
    at = sound(at.selectbox(key="device").set_value("mobile").run())
    assert at.metric[1].value != every
    assert sound(open_page("dashboard", device="mobile")).metric[1].value == at.metric[1].value


@pytest.mark.parametrize(
    "topic",
    [
        "Funnel",
        "Paths",
        "Cohorts",
        "Items",
        "Conversion by",
        "Distributions",
        "Hours",
        "Correlations",
    ],
)
def test_analysis_answers_with_a_sentence(open_page, with_data, topic):
    at = sound(open_page("analysis", topic=topic))
    assert at.title[0].value.rstrip("\\").endswith(".")
    assert len(at.dataframe) >= 1


def test_analysis_says_what_a_clock_cannot_tell(open_page, folder, project):
    lines = (folder / "shop.csv").read_text().splitlines()
    dated = [lines[0], *(x.replace("T", " ", 1) for x in lines[1:])]
    day = [
        ",".join([*x.split(",")[:2], x.split(",")[2][:10], *x.split(",")[3:]]) for x in dated[1:]
    ]
    (folder / "shop.csv").write_text("\n".join([lines[0], *day]) + "\n")
    project.read(project.source_paths())
    at = open_page("analysis", topic="Hours")
    assert not at.exception
    assert "time of day" in at.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    "part",
    ["Models", "By click", "Calibration", "Lift and profit", "Slices", "Drivers", "Revenue",
     "Findings", "Card", "All runs"],
)  # fmt: skip
def test_performance_is_measured(open_page, with_run, part):
    at = sound(open_page("performance", view=part))
    assert "ROC AUC 0" in at.title[0].value.replace("\\", "")
    assert "prevalence" in at.title[0].value


def test_promote_asks_the_registry(open_page, with_run):
    at = sound(open_page("performance", view="All runs"))
    at.text_input(key="promote_reason").set_value("better")
    at = next(b for b in at.button if b.label == "Promote").click().run()
    # The run of this test has no model: the registry refuses it, in one line.
    assert not at.exception
    assert at.error
    assert with_run.access.audit()[0].action == "promote"


def test_segments_in_words(open_page, with_run):
    at = sound(open_page("segments"))
    assert "of the money" in at.title[0].value


def test_training_shows_what_the_contract_found(open_page, with_data):
    at = sound(open_page("training"))
    assert "sessions" in at.title[0].value
    assert {m.label for m in at.metric} >= {"Events", "Rejected"}
    for part in ("Train", "Trainings", "People"):
        sound(open_page("training", part=part))


def test_a_bad_file_is_refused_beside_its_name(open_page, folder):
    (folder / "cartcast.yaml").write_text("currency: EUR\n")
    (folder / "bad.csv").write_text("a;b\n1;2\n")
    at = open_page("training")
    at = at.selectbox(key="picked").set_value("bad.csv").run()
    at = next(b for b in at.button if b.label == "Read and validate").click().run()
    assert not at.exception
    assert plain("bad.csv").replace("\\", "") in at.error[0].value.replace("\\", "")


HEADER = "visitor_id,session_id,event_time,event_type,item_id,price"
BAD = {
    "empty": b"",
    "header only": HEADER.encode() + b"\n",
    "wrong separator": HEADER.replace(",", "~").encode() + b"\nv1~s1~2024-03-01 10:00~view~i1~2\n",
    "no times": (HEADER + "\n" + "v1,s1,never,view,i1,2\n" * 20).encode(),
    "no table at all": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_get_the_words_of_the_command_line(open_page, folder, monkeypatch, what):
    from cartcast import events

    name = "b\u00e4d <b>bold<.csv"
    (folder / "cartcast.yaml").write_text("currency: EUR\n")
    (folder / name).write_bytes(BAD[what])
    monkeypatch.chdir(folder)
    with pytest.raises(CartcastError) as caught:
        events.load(name)
    at = open_page("training")
    at = at.selectbox(key="picked").set_value(name).run()
    at = next(b for b in at.button if b.label == "Read and validate").click().run()
    assert not at.exception
    (said,) = at.error
    assert said.value == plain(caught.value)
    assert "<b>" not in said.value.replace("\\<", "")


def test_messages_do_not_tell_where_things_are_kept(open_page, folder):
    from cartcast.app import ui

    kept = folder.resolve() / ".cartcast" / "uploads" / "0123456789abcdef" / "x.csv"
    open_page("training")
    assert ui.local(f"{kept}: broken") == "x.csv: broken"
    assert ui.local(f"{folder.resolve()}/a/b.csv: broken") == "a/b.csv: broken"


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("what", ["settings", "unexpected", "known"])
def test_failing_is_one_line_never_a_traceback(open_page, folder, monkeypatch, name, what):
    if what == "settings":
        (folder / "cartcast.yaml").write_text("nonsense: [\n")
    else:
        error = DataError("x.csv: broken.") if what == "known" else KeyError("surprise")

        def fail(self):
            raise error

        monkeypatch.setattr("cartcast.app.state.Project.data", fail)
    at = open_page(name)
    assert not at.exception
    assert len(at.error) == 1
    assert "Traceback" not in at.error[0].value


def test_a_damaged_model_is_refused_in_words(open_page, with_run):
    at = open_page("predictions")
    assert not at.exception
    assert at.error


def test_a_viewer_sees_but_is_offered_nothing(open_page, folder, with_run, monkeypatch):
    from cartcast.app.access import Person

    viewer = Person("https://id.example", "eve", "Eve", "viewer")
    monkeypatch.setattr("cartcast.app.ui.who", lambda project: viewer)
    at = sound(open_page("training"))
    assert not [b for b in at.button if b.label in ("Read and validate", "Delete")]
    at = sound(open_page("training", part="Train"))
    assert "can look, but not train" in at.caption[-1].value
    at = sound(open_page("performance", view="All runs"))
    assert not [b for b in at.button if b.label in ("Promote", "Roll back")]
    at = sound(open_page("training", part="People"))
    assert not at.text_input


def test_a_table_of_a_database_is_read(open_page, folder):
    import duckdb

    (folder / "cartcast.yaml").write_text("currency: EUR\n")
    with duckdb.connect(folder / "lake.duckdb") as con:
        con.execute(f"CREATE TABLE clicks AS SELECT * FROM read_csv('{folder / 'shop.csv'}')")
    (folder / "shop.csv").unlink()
    at = sound(open_page("training"))
    at = sound(at.selectbox(key="database").set_value("lake.duckdb").run())
    at = sound(at.selectbox(key="database_table").set_value("clicks").run())
    at = sound(next(b for b in at.button if b.label == "Read and validate").click().run())
    assert "lake.duckdb::clicks: " in at.title[0].value.replace("\\", "")


@pytest.fixture
def open_trained(monkeypatch, trained):
    def run(name: str, **query: str) -> AppTest:
        monkeypatch.setenv(PROJECT_VARIABLE, str(trained))
        at = AppTest.from_file(str(FOLDER / "views" / f"{name}.py"), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        return at.run()

    return run


def press(at: AppTest, label: str) -> AppTest:
    return sound(next(b for b in at.button if b.label == label).click().run())


def test_a_session_is_predicted_after_each_click(open_trained):
    at = sound(open_trained("predictions"))
    assert "Add a first click" in at.title[0].value
    for _ in range(2):
        at = press(at, "Add")
        assert "probability of" in at.title[0].value
    assert "Probability" in {m.label for m in at.metric}
    assert {"Why", "What would change it"} <= {s.value for s in at.header}
    assert len(at.dataframe[0].value) == 2
    assert len(press(at, "Undo").dataframe[0].value) == 1


def test_a_form_asks_for_features_within_their_real_ranges(open_trained):
    at = sound(open_trained("predictions", kind="Features"))
    assert "probability of" in at.title[0].value
    before = at.title[0].value
    field = max(at.number_input, key=lambda n: n.value or 0)
    assert "Nine in ten sessions" in field.help
    at = sound(field.set_value((field.value or 0) * 50).run())
    assert at.title[0].value != before or at.metric


def test_a_batch_is_scored_and_its_log_is_not_looked_at(open_trained, trained):
    before = [d.key for d in Project.open(trained).data()]
    (trained / "new.parquet").write_bytes((trained / "shop.parquet").read_bytes())
    at = sound(open_trained("predictions", kind="Batch"))
    at = sound(at.selectbox(key="batch_picked").set_value("new.parquet").run())
    at = press(at, "Score")
    log = pd.read_parquet(trained / "shop.parquet")
    last = log.groupby("session_id")["event_time"].max()
    late = set(last.index[last > last.max() - pd.Timedelta(minutes=30)])
    still = late - set(log.loc[log["event_type"] == "purchase", "session_id"])
    said = at.title[0].value.replace("\\", "")
    assert f"Sessions that are still open, without it so far: {len(still)};" in said
    assert set(at.dataframe[0].value["session_id"]) == still
    at = sound(at.radio(key="list").set_value("the highest scores").run())
    assert len(at.dataframe[0].value) == len(still)
    assert [d.key for d in Project.open(trained).data()] == before


def test_segments_have_a_map_and_lists(open_trained, trained):
    at = sound(open_trained("segments"))
    assert "Map of the sessions" in {s.value for s in at.header}
    project = Project.open(trained)
    run, log = project.run(), project.data()[0].log
    name = run.data["segments"][0]["name"]
    names = run.loaded().segment_names(run.behaviour.replay(log, at="end").to_pandas())
    ask = json.dumps({"found": name, "run": run.id})
    at = sound(open_trained("analysis", topic="Sessions", ask=ask))
    sessions = f"{(names == name).sum():,}"
    assert at.title[0].value.replace("\\", "").startswith(f"{sessions} sessions of ")


def test_a_list_is_of_a_segment_of_the_loaded_log(open_trained, trained):
    project = Project.open(trained)
    log = project.data()[0].log
    whole, _ = predict(log, project.run())
    sizes = []
    # At the end of a log few sessions are open: all of them are in one or the other.
    for exclude in (False, True):
        device = Segment("phones", (Values("device", ("mobile", "phone"), exclude),))
        save_segment(trained, device)
        at = press(sound(open_trained("predictions", kind="Batch", list_segment="phones")), "Score")
        kept = pd.read_parquet(at.session_state["batch"]["path"])
        mine = session_ids(log, Slice(segments=(device,)))
        assert set(kept["session_id"]) == set(whole["session_id"]) & mine
        sizes.append(len(kept))
    assert sum(sizes) == len(whole) > 0
