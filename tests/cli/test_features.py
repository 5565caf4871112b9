"""`cartcast features` through its shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cartcast import features as F
from cartcast.cli import main

sys.path.insert(0, str(Path(__file__).parents[1] / "features"))
from logs import table
from test_replay import long_log


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    rows = table(long_log(60, sessions=9)).select(
        ["visitor_id", "session_id", "event_time", "event_type", "item_id", "category", "price"]
    )
    rows.to_pandas().to_csv(path, index=False)
    return path


def run(*words):
    with pytest.raises(SystemExit) as end:
        main(["features", *map(str, words)])
    return end.value.code


def test_a_table_is_written(log, tmp_path, capsys):
    out = tmp_path / "t.parquet"
    assert run(log, "--out", out, "--set", "usual", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["rows"] == 9
    assert report["fingerprint"] == F.usual.fingerprint
    assert pq.read_table(out).column_names == ["session_id", *F.usual.names]


@pytest.mark.parametrize(("at", "rows"), [("all", 60), ("1,2", 18), ("end", 9)])
def test_moments(log, tmp_path, at, rows, capsys):
    out = tmp_path / "t.parquet"
    assert run(log, "--out", out, "--at-clicks", at, "--memory", "500MB") == 0
    assert pq.read_metadata(out).num_rows == rows
    assert f"{rows} rows of {len(F.default)} features" in capsys.readouterr().out


def test_an_own_set_in_yaml(log, tmp_path):
    mine, out = tmp_path / "mine.yaml", tmp_path / "t.parquet"
    mine.write_text("features:\n  n: count\n  mean: {mean: price}\n")
    assert run(log, "--out", out, "--set", mine) == 0
    assert pq.read_table(out).column_names == ["session_id", "n", "mean"]


def test_list_and_yaml_need_no_file(capsys):
    assert run("--list", "--set", "usual") == 0
    assert "session_length" in capsys.readouterr().out
    assert run("--list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["features"]) == len(F.default)
    assert run("--yaml", "--set", "usual") == 0
    assert capsys.readouterr().out.startswith("features:")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--out", "t.parquet"], 2, "give a FILE"),
        (["LOG"], 2, "--out"),
        (["LOG", "--out", "t.parquet", "--set", "usul"], 2, "Did you mean 'usual'"),
        (["LOG", "--out", "t.parquet", "--at-clicks", "one"], 2, "--at-clicks"),
        (["LOG", "--out", "t.parquet", "--at-clicks", "0"], 2, "whole numbers from 1"),
        (["LOG", "--out", "t.parquet", "--engine", "flink"], 2, "duckdb and spark"),
        (["LOG", "--out", "t.parquet", "--set", "no.yaml"], 5, "no such file"),
        (["none.csv", "--out", "t.parquet"], 5, "none.csv"),
    ],
)
def test_wrong_words(words, status, said, log, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*[str(log) if w == "LOG" else w for w in words]) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "t.parquet").exists()
