"""`cartcast layout`: the guess, its reasons, and YAML that `--layout` accepts."""

from __future__ import annotations

import json

import pytest

from cartcast.cli import main


@pytest.fixture
def call(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


def test_the_yaml_reads_the_file_alike(call, rees46_file, tmp_path):
    status, text, _ = call("layout", rees46_file)
    assert status == 0
    assert "confidence 100%" in text
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    status, out, _ = call("validate", rees46_file, "--layout", mine, "--json")
    assert status == 0
    assert json.loads(out)["events"] == 17_434


def test_json(call, eshop_file):
    found = json.loads(call("layout", eshop_file, "--json")[1])
    assert (found["layout"], found["confidence"]) == ("eshop-2008", 1.0)
    assert found["columns"]["event_time"] == ["year", "month", "day"]


def test_a_missing_file(call, tmp_path):
    status, _, err = call("layout", tmp_path / "no.csv")
    assert (status, err.count("\n")) == (5, 1)
