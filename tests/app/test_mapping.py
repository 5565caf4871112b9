"""The part Columns: foreign headers, words and times are given their meaning, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

import cartcast.app
from cartcast.app import actions, layouts
from cartcast.app.access import Person, RefusedError
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.state import Project
from cartcast.errors import UsageError
from cartcast.events.draft import draft
from cartcast.events.layouts import Layout
from cartcast.events.privacy import KEY_VARIABLE

pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest

VIEW = Path(cartcast.app.__file__).parent / "views" / "training.py"
FOREIGN = """wer|wann|tat|ding|stueckpreis|zettel
10|05/03/2024 09:10|guck|A-1||
10|05/03/2024 09:12|rein|A-1|59,90|
10|05/03/2024 09:15|her damit|A-1|59,90|B-77
11|04/03/2024 19:15|guck|A-2||
11|04/03/2024 19:16|her damit|A-2|19,90|B-78
"""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cartcast.yaml").write_text("currency: EUR\n")
    (tmp_path / "foreign.csv").write_text(FOREIGN)
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    return tmp_path


def press(page: AppTest, label: str) -> AppTest:
    (button,) = (b for b in page.button if b.label == label)
    button.click().run()
    assert not page.exception
    return page


def look(name: str) -> AppTest:
    page = AppTest.from_file(str(VIEW), default_timeout=60).run()
    page.selectbox(key="picked").set_value(name).run()
    return press(page, "Look at the columns")


def test_a_foreign_file_is_given_its_meaning_and_read(shop):
    page = look("foreign.csv")
    assert [i.value for i in page.info] == [
        "Choose the column that tells who came: Visitor, Login or Visit."
    ]
    for target, column in (
        ("visitor_id", "wer"),
        ("event_type", "tat"),
        ("item_id", "ding"),
        ("order_id", "zettel"),
    ):
        page.selectbox(key=f"as_{target}").set_value(column)
    page.run()
    # Two forms fit: nothing is read until one is chosen.
    assert "fit several forms" in page.info[0].value
    page.radio(key="form_wann").set_value("%d/%m/%Y %H:%M").run()
    for word, kind in (("guck", "view_item"), ("rein", "add_to_cart"), ("her damit", "purchase")):
        page.selectbox(key=f"word_{word}").set_value(kind)
    page.run()
    told = {m.label: m.value for m in page.metric}
    assert (told["Events"], told["Purchases"], told["Revenue"]) == ("5", "2", "79.80")
    press(page, "Keep and read")
    assert page.title[0].value.startswith("foreign\\.csv\\: 5 events in 2 sessions, 2 of them buy")
    project = Project.open(shop)
    (data,) = project.data()
    assert data.log.summary.start == "2024-03-04T19:15:00Z"
    kept = shop / "layouts" / "foreign.yaml"
    assert layouts.known(project)["foreign"] == str(kept)
    # What is kept is read again when it changes.
    again = project.read([str(shop / "foreign.csv")], layout=str(kept))
    assert again.key == data.key
    kept.write_text(kept.read_text().replace("%d/%m/%Y", "%m/%d/%Y"))
    other = project.read([str(shop / "foreign.csv")], layout=str(kept))
    assert other.log.summary.start == "2024-04-03T19:15:00Z"


def test_a_refused_file_leads_to_its_columns(shop):
    page = AppTest.from_file(str(VIEW), default_timeout=60).run()
    page.selectbox(key="picked").set_value("foreign.csv").run()
    press(page, "Read and validate")
    assert page.error
    press(page, "Say what its columns mean")
    assert page.title[0].value == "What the columns of foreign\\.csv mean"


def test_a_layout_in_use_is_not_changed(shop):
    project, owner = Project.open(shop), Project.open(shop).access.owner()
    told = draft(shop / "foreign.csv")
    first = told.changed({"visitor_id": "wer"})
    actions.keep_layout(project, owner, "mine", first)
    actions.keep_layout(project, owner, "mine", first)
    with pytest.raises(UsageError, match="another layout goes by that name"):
        actions.keep_layout(project, owner, "mine", told.changed({"visitor_id": "zettel"}))
    with pytest.raises(UsageError, match="another layout"):
        actions.keep_layout(project, owner, "ga4", first)
    assert layouts.free_name(project, "mine") == "mine-2"
    viewer = Person("https://id", "eve", "Eve", "viewer")
    with pytest.raises(RefusedError):
        actions.keep_layout(project, viewer, "other", Layout("other"))
    with pytest.raises(RefusedError):
        actions.draft_of(project, viewer, [str(shop / "foreign.csv")])


def test_a_look_leaves_no_upload_where_ids_are_replaced(shop, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "a key of at least sixteen characters")
    (shop / "cartcast.yaml").write_text("privacy: {pseudonymise: [visitor_id]}\n")
    project = Project.open(shop)
    with (shop / "foreign.csv").open("rb") as sent:
        path = actions.add_upload(project, project.access.owner(), "foreign.csv", sent)
    told = actions.draft_of(project, project.access.owner(), [str(path)])
    assert told.rows.num_rows == 5
    assert not path.exists()
