"""Saved views: kept in order, drawn as the page draws them, shown, sent, and honest when broken."""

from __future__ import annotations

import io
import json
import re
import time
from email import message_from_string
from email.policy import default
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import cartcast.app
from cartcast.app import actions, headless, saved_views, summary
from cartcast.app.access import Person
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.saved_views import SavedView, move_view, read_views, remove_view, save_view
from cartcast.cli import main
from cartcast.errors import DefinitionError, NotFoundError, StorageError, UsageError
from cartcast.webhook import SendError, verify

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

from .conftest import ODD, SETTINGS, sound, write_shop  # noqa: E402

VIEWS = [
    SavedView("The shop", "dashboard"),
    SavedView(f"Funnel {ODD}", "analysis?topic=Funnel&unit=visitor"),
    SavedView("Cohorts", "analysis?topic=Cohorts"),
    SavedView("Phones of March", "dashboard?device=mobile&days=chosen+days"
              "&period=2024-03-04&period=2024-03-10"),
    SavedView("Toaster", "dashboard?device=toaster"),
    SavedView("Gone", "dashboard?data=0123"),
    SavedView("Other", "nopage"),
    SavedView("Model", "performance"),
    SavedView("Tests", "experiments"),
    SavedView("Renamed", "analysis?topic=Hours&gizmo=3"),
    SavedView("To a cart", "analysis?topic=Paths&direction=to&anchor_to_event_type=cart"),
]  # fmt: skip


def test_views_are_kept_in_order(tmp_path):
    assert read_views(tmp_path) == []
    for view in VIEWS[:3]:
        save_view(tmp_path, view)
    assert read_views(tmp_path) == VIEWS[:3]
    again = SavedView("The shop", "dashboard?days=last+7+days")
    save_view(tmp_path, again)
    move_view(tmp_path, "Cohorts", -1)
    move_view(tmp_path, "The shop", -1)
    assert [v.name for v in read_views(tmp_path)] == ["The shop", "Cohorts", VIEWS[1].name]
    assert read_views(tmp_path)[0] == again
    remove_view(tmp_path, "The shop")
    assert len(read_views(tmp_path)) == 2
    with pytest.raises(NotFoundError, match=r"'Cohort'.*Cohorts"):
        move_view(tmp_path, "Cohort", 1)


@pytest.mark.parametrize(
    ("name", "address"),
    [("", "dashboard"), ("a\nb", "dashboard"), ("a" * 81, "dashboard"), ("a", ""),
     ("a", "dashboard?device=\ud800"), ("a", "dashboard?a\nb=1"), ("a", "analysis?brand=Größe"),
     ("a", "https://evil.example/x"), ("a", "../x"), ("a", "dashboard?" + "x" * 4000)],
)  # fmt: skip
def test_what_cannot_be_a_view(name, address):
    with pytest.raises(DefinitionError):
        SavedView(name, address)


@pytest.mark.parametrize("text", ["a: 1", "- 1", "- {name: a}", "- {name: a, address: ''}",
                                  "[{name: a, address: live}, {name: a, address: live}]"])  # fmt: skip
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / saved_views.FILE).write_text(text)
    with pytest.raises(DefinitionError, match=r"views\.yaml"):
        read_views(tmp_path)


def test_there_are_not_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_views, "_MOST", 1)
    save_view(tmp_path, VIEWS[0])
    save_view(tmp_path, VIEWS[0])
    with pytest.raises(UsageError, match="at most 1"):
        save_view(tmp_path, VIEWS[1])
    file = tmp_path / saved_views.FILE
    file.write_text(file.read_text() + "- {name: by hand, address: live}\n")
    with pytest.raises(DefinitionError, match="at most 1 views, has 2"):
        read_views(tmp_path)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / ".cartcast" / "views.lock").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"views\.yaml: cannot be changed"):
        save_view(tmp_path, VIEWS[0])
    assert SavedView("a", "dashboardx?a=1").path == "/dashboardx?a=1"


def test_a_viewer_may_look_but_not_keep(project):
    viewer = Person("local", "eve", "Eve", "viewer")
    with pytest.raises(Exception, match="board needs the role analyst"):
        actions.keep_view(project, viewer, VIEWS[0])
    assert read_views(project.folder) == []


@pytest.fixture(scope="module")
def summed(tmp_path_factory) -> tuple[Path, summary.Summary]:
    """A project with views of all kinds, and what they say of its last week: drawn once."""
    folder = tmp_path_factory.mktemp("summed")
    write_shop(folder / "shop.csv", sessions=160)
    auth = {"client_id": "app", "redirect_uri": "https://shop.example/oauth2callback"}
    (folder / "cartcast.yaml").write_text(f"{SETTINGS}auth: {json.dumps(auth)}\n")
    for view in VIEWS:
        save_view(folder, view)
    # A module that somebody left in the project's folder is no part of the program.
    (folder / "streamlit.py").write_text("raise SystemExit('planted')")
    # Access is on: the pages are drawn for the least role, and links lead to the app's address.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = summary.summarise(folder)
    # Read aside: nothing is left in the project but the views and the locks.
    assert not list(folder.glob(".cartcast/app/logs/*"))
    return folder, made


def by_hand(folder: Path) -> pd.DataFrame:
    log = pd.read_csv(folder / "shop.csv", parse_dates=["event_time"])
    log["at"] = log.groupby("session_id")["event_time"].transform("min").dt.normalize()
    log["bought"] = (log["event_type"] == "purchase").groupby(log["session_id"]).transform("any")
    return log.drop_duplicates("session_id")


def test_a_summary_has_the_figures_of_the_log(summed):
    folder, made = summed
    sessions = by_hand(folder)
    last = sessions["at"].max()
    week = sessions[sessions["at"] > last - pd.Timedelta(days=7)]
    before = sessions[
        sessions["at"].between(last - pd.Timedelta(days=13), last - pd.Timedelta(days=7))
    ]
    shop = dict(zip((v.name for v in made.views), made.drawn, strict=True))["The shop"]
    told = {label: (value, change) for label, value, change in shop.figures}
    assert told["Sessions"][0] == str(len(week))
    assert told["Conversion"][0] == f"{100 * week['bought'].mean():.2g} %"
    change = len(week) / len(before) - 1
    assert f"sessions {100 * change:+.{0 if abs(change) >= 0.0995 else 1}f} % (" in shop.compared
    march = made.drawn[3]
    mine = sessions[
        sessions["at"].between("2024-03-04", "2024-03-10") & (sessions["device"] == "mobile")
    ]
    assert {f[0]: f[1] for f in march.figures}["Sessions"] == str(len(mine))


def test_what_cannot_be_told_is_said(summed):
    _, made = summed
    told = {v.name: d.problem for v, d in zip(made.views, made.drawn, strict=True)}
    assert [v for v in VIEWS if told[v.name] is None] == [*VIEWS[:4], VIEWS[-1]]
    assert " sessions with cart, " in made.drawn[-1].headline
    assert "device toaster" in told["Toaster"]
    assert "deleted" in told["Gone"]
    assert "no page 'nopage'" in told["Other"]
    assert told["Model"].startswith("No model yet.")
    assert told["Tests"].startswith("No experiment yet")
    assert "gizmo 3" in told["Renamed"]
    # A part of a week of cohorts tells nothing: it is of the whole log, and said to be.
    whole = "It is of the whole log, not the last 7 days."
    by_name = {v["name"]: v for v in made.as_dict()["views"]}
    assert [name for name, v in by_name.items() if v["of"] == whole] == ["Cohorts", "To a cart"]
    for shown in (made.text, made.html):
        assert whole in shown.partition("Cohorts")[2].partition("Phones of March")[0]
        assert shown.count(whole) == 2
    assert by_name["Cohorts"]["compared"] == ""
    assert "Not counted: The log that this view was saved with" in made.text
    assert "days ago: what came since is not in it." in made.text


def test_one_bad_view_does_not_take_the_others_along(project, monkeypatch):
    def one(project, data, view, days):
        if view.name == "The shop":
            raise ValueError("of no known kind")
        return headless.Drawn(headline=view.name)

    def here(words, *, timeout, **given):
        out = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(given["input"]))
            patch.setattr("sys.stdout", out)
            headless.main()
        # Many views do not hold those up who wait for as long as each of them may take.
        assert timeout == 600
        return SimpleNamespace(stdout=out.getvalue(), stderr="")

    monkeypatch.setenv(PROJECT_VARIABLE, "")
    monkeypatch.setattr(headless, "_draw_here", one)
    monkeypatch.setattr(headless.subprocess, "run", here)
    bad, good, *_ = headless.draw(project, None, VIEWS)
    assert bad.problem == "It could not be drawn (ValueError: of no known kind)."
    assert (good.problem, good.headline) == (None, VIEWS[1].name)


def test_days_are_those_of_the_shops_clock():
    # 05:30 UTC of the 10th is 21:30 of the 9th in Los Angeles, in winter.
    told = SimpleNamespace(summary=SimpleNamespace(end="2024-03-10T05:30:00+00:00"), zone=None)
    data = SimpleNamespace(name="shop.csv", log=told)
    notes = " ".join(summary._notes(data, 28))
    assert "The last 28 days of shop.csv, to 10 March 2024" in notes
    assert "until 05:30" in notes
    told.zone = "America/Los_Angeles"
    notes = " ".join(summary._notes(data, 28))
    assert "to 9 March 2024" in notes
    assert "until" not in notes


def test_a_summary_goes_by_mail_and_signed_webhook(summed, receiver, smtp):
    _, made = summed
    (webhook, hook), (email, mail) = receiver, smtp
    plan = summary.Plan(webhook=webhook, email=email)
    assert summary.send(plan, made) == (["webhook", "email"], [])
    headers, body = hook.seen[0]
    assert verify(webhook["secret"], headers, body)
    told = json.loads(body)
    assert told["type"] == "cartcast.summary"
    assert next(v["link"] for v in told["views"]) == "https://shop.example/"
    assert len(told["views"]) == len(VIEWS)
    letter = message_from_string(mail.mails[0][2], policy=default)
    assert letter["subject"] == f"Cartcast summary of {made.project}: {made.answer}"
    text = letter.get_content()
    for view in told["views"]:
        assert view["link"] in text
        assert (view["problem"] or view["compared"] or view["headline"]) in text
    # One way that fails is told; when none delivers nothing counts as sent.
    mail.refuse.append(True)
    assert summary.send(plan, made) == (["webhook"], ["email"])
    with pytest.raises(SendError):
        summary.send(summary.Plan(email=email), made)


def test_a_page_to_send_is_whole_and_harmless(summed):
    _, made = summed
    page = made.html
    assert not re.search(r"<(?:link|img|iframe)\b|<script[^>]*\bsrc=", page)
    assert "<script>alert(1)" not in page
    assert page.count("data-chart=") == sum(len(d.charts) for d in made.drawn if not d.problem)
    for d in made.drawn[:3]:
        assert d.headline.replace(" %", "\u00a0%") in page


def test_nothing_is_read_that_cannot_be_sent(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["summary", "--project", str(folder), "--send"])
    assert stop.value.code == 2
    assert "nowhere to send to" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no view is saved"):
        summary.summarise(folder)
    save_view(folder, VIEWS[0])
    with pytest.raises(UsageError, match="7, 28 or 90"):
        summary.summarise(folder, days=8)


def test_the_command_sends_what_it_prints(folder, monkeypatch, receiver, summed, capsys, tmp_path):
    webhook, hook = receiver
    monkeypatch.setattr(summary, "summarise", lambda *_, **__: summed[1])
    told = {"monitoring": {"webhook": webhook}}
    (folder / "cartcast.yaml").write_text(json.dumps(told))
    out = tmp_path / "week.html"
    with pytest.raises(SystemExit) as stop:
        main(["summary", "--project", str(folder), "--send", "--json", "--out", str(out)])
    assert not stop.value.code
    assert json.loads(capsys.readouterr().out) == json.loads(hook.seen[0][1])
    assert out.read_text() == summed[1].html


def test_the_start_page_shows_each_view(with_data, summed, monkeypatch):
    folder = with_data.folder
    for view in VIEWS:
        save_view(folder, view)
    calls = []

    drawn_once = {v.address: d for v, d in zip(VIEWS, summed[1].drawn, strict=True)}

    def drawn(project, data, views, days=None):
        calls.extend(v.address for v in views)
        if [v.address for v in views] == ["live"]:
            raise headless.DrawingError("the saved views take too long to draw.")
        return [drawn_once[v.address] for v in views]

    monkeypatch.setattr("cartcast.app.headless.draw", drawn)
    monkeypatch.setenv(PROJECT_VARIABLE, str(folder))
    st.cache_resource.clear()
    file = Path(cartcast.app.__file__).parent / "views" / "start.py"
    at = sound(AppTest.from_file(str(file), default_timeout=60).run())
    names = [h.value.replace("\\", "") for h in at.header]
    assert names == [v.name for v in VIEWS]
    assert len(at.get("plotly_chart")) == sum(
        bool(d.charts) and not d.problem for d in summed[1].drawn
    )
    assert len(at.warning) == 6
    assert at.title[0].value.replace("\\", "") == summed[1].answer
    # A view of no page leads nowhere.
    closed = [at.button(key=f"view_open_{k}").disabled for k in range(len(VIEWS))]
    assert closed == [v.name == "Other" for v in VIEWS]
    # The order is the project's own; what was drawn is not drawn again.
    at = sound(at.button(key="view_Move down_0").click().run())
    assert [v.name for v in read_views(folder)][:2] == [VIEWS[1].name, "The shop"]
    at = sound(at.button(key="view_remove_0").click().run())
    assert len(at.header) == len(VIEWS) - 1
    assert calls == [v.address for v in VIEWS]
    # Only a new view is, its failure is not tried again at once, and a second name costs nothing.
    calls.clear()
    save_view(folder, SavedView("New", "live"))
    save_view(folder, SavedView("The shop again", "dashboard"))
    assert "too long to draw" in sound(at.run()).warning[-1].value
    assert len(at.run().header) == len(VIEWS) + 1
    assert calls == ["live"]
    # In time all is drawn once more, each address once.
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + 601)
    calls.clear()
    remove_view(folder, "New")
    sound(at.run())
    assert sorted(calls) == sorted({v.address for v in read_views(folder)})
