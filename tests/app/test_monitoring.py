"""The page Monitoring: what the watch kept, and what may be done with an alarm, by whom."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import cartcast.app
from cartcast.app import actions, jobs
from cartcast.app.access import Person, RefusedError
from cartcast.app.launch import PROJECT_VARIABLE
from cartcast.app.state import Project
from cartcast.findings import finding
from cartcast.monitoring import codes
from cartcast.monitoring.alarms import Notice
from cartcast.monitoring.days import COLUMNS
from cartcast.monitoring.store import Store, open_store

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402

from .conftest import sound  # noqa: E402

VIEW = Path(cartcast.app.__file__).parent / "views" / "monitoring.py"
RUN = "run-1"
ODD = "![x](http://evil.example/x.png)<script>"
VIEWER = Person("https://id", "eve", "Eve", "viewer")
ANALYST = Person("https://id", "ann", "Ann", "analyst")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

RISK = {"log_loss": 0.31, "log_loss_expected": 0.25, "brier": 0.09, "brier_expected": 0.08,
        "purchases": 0.8, "revenue": 0.7}  # fmt: skip
PART = {"moments": 100.0, "visitors": 90.0, "expected": 20.0, "realised": 10.0, "ratio": 0.5,
        "low": 0.3, "high": 0.7, "revenue_expected": 400.0, "revenue": 210.0}  # fmt: skip
DRIFT = {"feature": "channel", "size": 0.4, "usual": 0.01, "e": 90.0, "weight": 0.2, "named": True}


def fill(store: Store) -> None:
    """Keep what five weeks of checks leave behind."""
    days = pd.date_range("2026-03-02", periods=35, freq="D")
    sums = {**dict.fromkeys(COLUMNS, 1.0), "moments": 100.0, "log_loss": 31.0,
            "log_loss_expected": 25.0, "revenue": None}  # fmt: skip
    store.keep_rows("days", RUN, {str(d.date()): sums for d in days})
    store.keep_rows("feed", RUN, {str(d.date()): {"sessions": 9.0, "events": 48.0} for d in days})
    hours = pd.date_range("2026-03-02", periods=35 * 24, freq="h")
    store.keep_hours(RUN, {h.isoformat(): 2.0 for h in hours})
    told = {
        "run": f"{RUN}/logistic_regression", "days": 35, "first_day": days[0], "last_day": days[-1],
        "risk": RISK, "calibration": [{"by": "click", "value": 1, **PART},
                                      {"by": "segment", "value": ODD, **PART}],
        "estimate": {"value": 0.3, "low": 0.2, "high": 0.4, "label": "an estimate"},
        "drift": [DRIFT], "rows": {"events": 970, "rejects": 20, "doubled": 10},
        "findings": [finding(codes.CALIBRATION, f"does not hold for {ODD}").as_dict()],
    }  # fmt: skip
    store.keep_look(RUN, told, datetime(2026, 4, 6, 8, tzinfo=UTC))
    begin, end = pd.Timestamp("2026-03-20"), pd.Timestamp("2026-04-05")
    down = Notice("MO101", "purchases_down", "page", begin, end, "purchases were 80%; more.",
                  -1234.5, (f"look at {ODD}",))  # fmt: skip
    hole = Notice("MO111", "events", "ticket", begin, begin, f"3 events {ODD}")
    other = dataclasses.replace(down, code="MO103", message="of another run")
    store.notice(RUN, [hole, down], "EUR")
    store.notice("run-2", [other], "EUR")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, folder: Path):
    def run(who: Person | None = None, **query: str) -> AppTest:
        monkeypatch.setenv(PROJECT_VARIABLE, str(folder))
        if who is not None:
            monkeypatch.setattr("cartcast.app.ui.who", lambda project: who)
        at = AppTest.from_file(str(VIEW), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        return at.run()

    return run


@pytest.fixture
def watched(with_run: Project) -> Project:
    fill(open_store(with_run.folder))
    return with_run


def words(elements: object) -> str:
    return " ".join(e.value.replace("\\", "") for e in elements)  # type: ignore[attr-defined]


def test_the_gravest_alarm_is_the_headline_with_day_and_money(open_page, watched: Project) -> None:
    at = sound(open_page())
    assert words(at.title) == "Since 20 March 2026: purchases were 80%; 1 more alarm."
    assert "about −€1,234 so far" in words(at.caption)
    shown = words(at.markdown)
    assert shown.index("MO101") < shown.index("MO111")
    assert "another run" not in shown
    assert {m.label: m.value for m in at.metric}["Revenue"] == "70 %"


def test_every_part_is_drawn(open_page, watched: Project) -> None:
    drawn = {
        p: sound(open_page(watch=p)) for p in ("Risk", "Calibration", "Feed", "Drift", "Checks")
    }
    told = "Of 1,000 rows of the newest log, 2.0 % were rejected and 1.0 % came twice."
    assert told in words(drawn["Feed"].caption)
    assert drawn["Calibration"].dataframe[0].value["value"].tolist() == ["1", ODD]
    assert drawn["Drift"].dataframe[0].value["moved"].tolist() == ["yes"]
    assert [b.label for b in drawn["Checks"].button] == ["Check on the loaded log"]


def test_an_alarm_is_acknowledged_then_resolved_by_name(open_page, watched: Project) -> None:
    store = open_store(watched.folder)
    number = next(a.number for a in store.alarms() if a.code == "MO101")
    at = sound(open_page(ANALYST))
    at.text_input(key=f"why_{number}").set_value("asked the shop")
    at = sound(at.button(key=f"acknowledge_{number}").click().run())
    assert f"acknowledge_{number}" not in [b.key for b in at.button]
    at = sound(at.button(key=f"resolve_{number}").click().run())
    assert store.alarms("resolved")[0].number == number
    done = [(who, what, why) for _, who, what, why in store.history(number)][1:]
    assert done == [
        ("Ann", "acknowledged", "asked the shop"),
        ("Ann", "resolved", "asked the shop"),
    ]
    assert [x.action for x in watched.access.audit(2)] == ["alarm", "alarm"]
    # An analyst silences nobody's pager.
    assert "Silence" not in [b.label for b in at.button]
    with pytest.raises(RefusedError, match="needs the role admin"):
        actions.silence(watched, ANALYST, "*", 8, "release")


def test_an_owner_silences_with_a_reason(open_page, watched: Project) -> None:
    at = sound(open_page())
    silence = next(b for b in at.button if b.label == "Silence")
    at = silence.click().run()
    assert "needs a reason" in at.error[0].value
    assert "--" not in at.error[0].value
    at.text_input(key="silence_why").set_value("moving the shop")
    sound(next(b for b in at.button if b.label == "Silence").click().run())
    (kept,) = open_store(watched.folder).silences()
    assert (kept.code, kept.why) == ("*", "moving the shop")


def test_a_viewer_sees_and_changes_nothing(open_page, watched: Project) -> None:
    at = sound(open_page(VIEWER))
    assert "MO101" in words(at.markdown)
    assert not at.button
    assert "ask an analyst" in words(sound(open_page(VIEWER, watch="Checks")).caption)
    with pytest.raises(RefusedError, match="needs the role analyst"):
        actions.change_alarm(watched, VIEWER, 1, "resolved", "")
    with pytest.raises(RefusedError, match="needs the role analyst"):
        jobs.watch(watched, VIEWER, watched.folder, [])


def test_a_proxy_is_never_given_money(open_page, watched: Project) -> None:
    path = watched.runs()[0].path / "run.json"
    run = json.loads(path.read_text())
    run["target"] = {**run["target"], "name": "proxy:long", "kind": "proxy", "describe": "PROXY x"}
    path.write_text(json.dumps(run))
    at = sound(open_page(watch="Calibration"))
    assert "a declared rule, not an outcome" in words(at.warning)
    assert "Revenue" not in [m.label for m in at.metric]
    assert not [c for c in at.dataframe[0].value.columns if "revenue" in c]


def test_a_look_at_an_unwatched_run_writes_nothing(open_page, with_run: Project) -> None:
    at = sound(open_page())
    assert "not watched yet" in words(at.title)
    assert not (with_run.state / "monitor.db").exists()


def test_a_check_is_a_job_that_says_why_it_failed(open_page, with_run: Project) -> None:
    data = with_run.get_data(None)
    assert data is not None
    at = sound(open_page())
    sound(at.button(key="check").click().run())
    (job,) = jobs.jobs(with_run, "watch")
    try:
        for _ in range(1200):
            job = jobs.get(with_run, job.id)
            if job.state not in jobs.OPEN:
                break
            time.sleep(0.1)
        # The run of this test has no model.
        assert (job.kind, job.target, job.state) == ("watch", RUN, "failed")
        assert "Traceback" not in job.message
        assert jobs.jobs(with_run) == []
        assert [x.action for x in with_run.access.audit(1)] == ["watch"]
        assert job.message.split(":")[0] in words(open_page().error)
    finally:
        for process in jobs._PROCESSES.values():
            process.wait(120)
        jobs._PROCESSES.clear()
