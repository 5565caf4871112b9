"""One door to a run: what is opened, how its logs are read, what is written with it."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cartcast import events
from cartcast.app.scoring import feature_row
from cartcast.errors import NotFoundError, NotTrustedError, UsageError
from cartcast.features.registers import microseconds
from cartcast.live.event import Event
from cartcast.live.model import load_scorer
from cartcast.live.parity import parity
from cartcast.models.persist import save_all
from cartcast.runs.reading import Reading
from cartcast.runs.registry import Registry
from cartcast.runs.run import Run
from cartcast.score import predict
from cartcast.sessions import SessionRules
from cartcast.train import train

QUICK: Any = {"models": ("logistic_regression",), "threads": 1, "anchors": (1, 2, 3), "segments": 2}


def days() -> pd.DataFrame:
    """A log whose times are dates, with every tenth row no event; some visits end in a purchase."""
    rows = []
    for visit in range(1200):
        day = dt.date(2024, 1, 1) + dt.timedelta(days=visit // 15)
        for click in range(2 + visit % 3):
            bought = click == 1 + visit % 3 and (visit * 7) % 5 < 2
            rows.append({
                "session_id": f"s{visit}", "visitor_id": f"v{visit % 400}",
                "event_time": day.isoformat(), "event_order": click + 1,
                "event_type": "purchase" if bought else "view_item",
                "item_id": f"i{(visit + click) % 7}", "price": 5.0 + (visit + 3 * click) % 11,
                "category": "ab"[visit % 2],
            })  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "days.csv"
    table = days()
    table.loc[table.index % 10 == 9, "event_time"] = "never"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(log: Path) -> Run:
    how = {"features": "shop", "max_reject_share": 0.2, **QUICK}
    return train(log, run_dir=log.parent / "run-by-days", **how)


def test_the_folder_is_the_id_and_the_run_is_what_training_returned(run: Run) -> None:
    assert run.id == run.dir.name == run.data["run_id"] == "run-by-days"
    opened = Run.open(str(run.dir))
    assert opened == run
    assert opened.findings == run.findings
    assert Run.open(run) is run
    assert opened.as_dict() == run.as_dict()
    far = pickle.loads(pickle.dumps(opened.loaded()))
    assert far == run.__class__(run.dir.absolute(), run.data)
    assert "models" not in vars(far)


def test_its_own_log_is_read_as_in_training(run: Run, log: Path) -> None:
    assert run.reading.clock == "day"
    assert run.reading.max_reject_share == 0.2
    # Without the share that training was given, a tenth of bad rows would be refused.
    table, _ = predict(log, run, everything=True)
    kept = days()[lambda rows: rows.index % 10 != 9].groupby("session_id")["event_type"].first()
    assert table["session_id"].nunique() == (kept != "purchase").sum()
    assert parity([log], run).equal


def test_a_session_of_a_day_clock_has_no_seconds(run: Run) -> None:
    moment = dt.datetime(2024, 3, 20)
    clicks = [
        {"session_id": "s", "visitor_id": None, "event_order": n, "event_type": "view_item",
         "event_time": moment, "item_id": "i1", "price": 5.0, "session_seconds": 10.0 * n}
        for n in (1, 2, 3)
    ]  # fmt: skip
    live = load_scorer(run)
    state = live.start()
    for click in clicks:
        state = live.step(state, Event("view_item", microseconds(click["event_time"]), None, "s",
                                       item_id="i1", price=5.0))  # fmt: skip
    assert feature_row(run, clicks) == live.values(state)
    unknown = {"seconds_since_start", "session_seconds", "seconds_since_last"} & set(
        run.data["features"]["names"]
    )
    null = {n for n, v in feature_row(run, clicks).items() if v is None}
    assert unknown <= null
    assert run.features is not None
    other = run.features.start(clock="time")
    for click in clicks:
        other = run.features.step(other, click)
    assert {n for n, v in run.features.value(other).items() if v is None} < null


def test_a_run_from_before_its_reading_was_recorded_is_read_by_its_source(run: Run) -> None:
    told = json.loads(json.dumps(run.data))
    reading = told.pop("reading")
    told["source"] |= {**reading, "stated_layout": reading["layout"]}
    assert Reading.from_run(told) == run.reading
    bare = {"source": {"clock": "time"}, "run_id": "r"}
    usual = Reading.from_run(bare)
    assert (usual.sessions, usual.zone, usual.max_reject_share) == (SessionRules(), None, 0.01)


@pytest.mark.parametrize(
    "made",
    [
        Reading(),
        Reading.from_settings(layout="cartcast", session_gap="10m", session_breaks=["purchase"],
                              zone="Europe/Berlin", rates={"into": "EUR", "USD": 0.9}),
    ],
)  # fmt: skip
def test_a_reading_survives_its_record(made: Reading) -> None:
    told = json.loads(json.dumps(made.as_dict()))
    assert Reading.from_run({"reading": told}) == made


def test_scores_need_no_training_library(run: Run) -> None:
    code = (
        "import sys\n"
        "from cartcast import Run\n"
        "from cartcast.live.model import load_scorer\n"
        f"run = Run.open({str(run.dir)!r}).loaded()\n"
        "assert sorted(run.scorers) == ['amount', 'champion', 'interval', 'segments']\n"
        "s = load_scorer(run)\n"
        "print(s.score(s.start()))\n"
        "assert not {'sklearn', 'skops', 'lightgbm'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (run.dir / "live").exists()


def test_a_run_without_exported_files_says_the_same_live(run: Run, tmp_path: Path) -> None:
    old = tmp_path / run.id
    shutil.copytree(run.dir, old)
    shutil.rmtree(old / "model")
    told = {**run.data, "model_manifest": save_all(run.models, old / "model")}
    (old / "run.json").write_text(json.dumps(told))
    scorers = [load_scorer(run), load_scorer(old)]
    said = []
    for scorer in scorers:
        state = scorer.start()
        for n in range(3):
            state = scorer.step(state, Event("view_item", 10**15 + n, "v", "s", price=5.0 + n))
        said.append(scorer.score(state))
    assert said[0] == said[1]
    assert None not in said[0][:3]


def test_a_changed_export_is_refused(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.dir, copy)
    path = copy / "model" / "exported.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(NotTrustedError, match=r"exported\.json"):
        load_scorer(copy)


def test_an_id_is_one_run_of_a_registry(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "cartcast.yaml").write_text("seed: 1\n")
    Registry(tmp_path).add(run.dir)
    assert Run.open("champion", tmp_path) == Run(run.dir.resolve(), run.data)
    assert Run.open(run.id, tmp_path).id == run.id
    with pytest.raises(UsageError, match="a run's id is the name of its folder"):
        train(log, run_dir=tmp_path / "elsewhere" / run.id, project=tmp_path, **QUICK)
    with pytest.raises(NotFoundError, match="no run or alias 'challenger'"):
        Run.open("challenger", tmp_path)


def test_a_log_without_its_orders_is_told(run: Run, log: Path) -> None:
    told = json.loads(json.dumps(run.data))
    told["reading"]["orders"] = True
    clean = events.load(log, max_reject_share=0.2)
    assert "SC106" in [f.code for f in Run(run.dir, told).read(clean).findings]
    assert "SC106" not in [f.code for f in run.read(clean).findings]
