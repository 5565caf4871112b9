"""`cartcast segment`, and a segment in the verbs that are asked of a part of a log."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from cartcast import insights
from cartcast.cli import app
from cartcast.errors import CartcastError
from cartcast.events import Log, load
from cartcast.insights import Slice
from cartcast.segments import read_segment

from ..insights.conftest import random_events


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Log:
    made = tmp_path_factory.mktemp("clean")
    pd.DataFrame(random_events(5, sessions=80)).to_csv(made / "shop.csv", index=False)
    return load(made / "shop.csv", folder=made)


@pytest.fixture
def project(tmp_path, monkeypatch, clean) -> Path:
    (tmp_path / "cartcast.yaml").write_text("currency: EUR\n")
    (tmp_path / "log.parquet").symlink_to(clean.path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(*words: str) -> dict:
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


def refused(*words: str) -> CartcastError:
    error = CliRunner().invoke(app, list(words)).exception
    assert isinstance(error, CartcastError)
    return error


def test_made_listed_counted_exported_and_removed(project):
    words = ["--where", "device=mobile,unknown", "--where", "events>=2", "--did", "add_to_cart:2",
             "--did-not", "search", "--not-bought", "--seen", "30d"]  # fmt: skip
    asked("segment", "make", "warm", *words)
    segment = read_segment(project, "warm")
    assert segment.describe() == (
        "Sessions: device is mobile or unknown; events at least 2; at least 2 of: cart; without "
        "search; did not buy; seen in the last 30 days."
    )
    assert asked("segment", "list") == [{"name": "warm", **segment.as_dict()}]
    assert asked("segment", "make", "warm", *words)["version"] == 1
    assert asked("segment", "make", "warm", *words, "--of", "visitor")["version"] == 2
    asked("segment", "make", "mobile", "--where", "device=mobile")
    where = Slice(segments=(read_segment(project, "mobile"),))
    found = insights.list_sessions("log.parquet", where=where)
    told = asked("segment", "count", "mobile", "log.parquet")
    assert (told["sessions"], told["visitors"]) == (found.sessions, found.visitors)
    asked("segment", "export", "mobile", "log.parquet", "--out", "who.csv")
    who = pd.read_csv("who.csv")
    assert set(who["visitor_id"]) == set(found.rows["visitor"])
    assert who["sessions"].sum() == found.sessions
    for verb, function in (("funnel", insights.funnel), ("paths", insights.paths),
                           ("cohorts", insights.cohorts)):  # fmt: skip
        truth = function("log.parquet", where=where).as_dict()
        told = asked(verb, "log.parquet", "--segment", "mobile")
        assert told == json.loads(json.dumps(truth, default=str))
    words = ["--by", "category", "--least", "1", "--days", "7", "--segment", "mobile"]
    told = asked("items", "log.parquet", *words)
    assert told["sessions"] < found.sessions
    assert set() < {c["measure"] for c in told["changes"]} <= {"x", "y", 'qu"oted'}
    assert "values of category" in CliRunner().invoke(app, ["items", "log.parquet", *words]).stdout
    assert "twice as many days" in str(refused("items", "log.parquet", "--days", "90"))
    assert CliRunner().invoke(app, ["segment", "remove", "mobile"]).exit_code == 0
    assert refused("funnel", "log.parquet", "--segment", "mobile").exit_status == 5


def test_what_is_wrong_is_refused_with_its_status(project):
    assert refused("segment", "make", "s").exit_status == 2
    assert "a condition is column=value" in str(
        refused("segment", "make", "s", "--where", "device")
    )
    assert "takes a number" in str(refused("segment", "make", "s", "--where", "events>=few"))
    (project / "segments").mkdir(exist_ok=True)
    asked("segment", "make", "fine", "--bought")
    (project / "segments" / "broken.yaml").write_text("where: [bougt: true]")
    done = CliRunner().invoke(app, ["segment", "list"])
    assert done.stdout == "fine                     Sessions: bought.\n"
    assert "broken.yaml: a condition is one of" in str(done.exception)
    assert refused("segment", "list", "--json").exit_status == 2
    asked("segment", "make", "s", "--where", "colour=red")
    assert "no column 'colour'" in str(refused("segment", "count", "s", "log.parquet"))
    asked("segment", "make", "s", "--score-from", "0.5")
    assert refused("segment", "count", "s", "log.parquet").exit_status == 5
    asked("segment", "make", "s", "--bought")
    why = refused("segment", "export", "s", "log.parquet", "--out", "who.txt")
    assert ".csv or .parquet" in str(why)
