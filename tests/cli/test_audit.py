"""`cartcast audit` as a person and as a machine see it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.cli import main


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.3).astype(int)
    rows = pd.DataFrame(
        {
            "session_id": [f"s{i}" for i in range(3000)],
            "day": pd.date_range("2026-01-01", periods=3000, freq="h").strftime("%Y-%m-%d %H:%M"),
            "clicks": rng.poisson(3 + y),
            "paid": y * 25.0 + rng.random(3000),
            "converted": np.where(y == 1, "yes", "no"),
        }
    )
    train, test = rows[:2000], rows[2000:]
    paths = {name: tmp_path / f"{name}.csv" for name in ("train", "test", "clean")}
    paths["both"] = tmp_path / "both.parquet"
    train.to_csv(paths["train"], index=False)
    test.to_csv(paths["test"], index=False, sep=";")
    rows.assign(part=["train"] * 2000 + ["test"] * 1000).to_parquet(paths["both"])
    train.drop(columns="paid").to_csv(paths["clean"], index=False)
    return paths


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["audit", *map(str, words)])
    return int(stopped.value.code or 0)


def test_leak_blocks_with_status_4(tables, capsys) -> None:
    assert run("--rows", tables["train"], "--target", "converted", "--group", "session_id") == 4
    out, err = capsys.readouterr()
    assert out.startswith("blocked:")
    assert "LK401 block: column 'paid' alone tells the label" in out
    assert err.startswith("cartcast: error: blocked by the audit (LK401)")
    assert err.count("\n") == 1


def test_clean_table_passes_with_status_0(tables, capsys) -> None:
    assert run("--rows", tables["clean"], "--target", "converted", "--group", "session_id") == 0
    assert capsys.readouterr().out.startswith("not blocked")


def test_json_is_one_document(tables, capsys) -> None:
    words = ("--rows", tables["train"], "--test", tables["test"], "--target", "converted")
    assert run(*words, "--time", "day", "--group", "session_id", "--json") == 4
    data = json.loads(capsys.readouterr().out)
    assert data["blocked"] is True
    assert data["rows"] == {"train": 2000, "test": 1000}
    assert data["features"] == ["clicks", "paid"]
    assert [f["code"] for f in data["findings"] if f["severity"] == "block"] == ["LK401"]


def test_waived_with_a_reason_that_stays(tables, capsys, tmp_path) -> None:
    report = tmp_path / "report.md"
    words = ("--rows", tables["train"], "--target", "converted", "--group", "session_id")
    assert run(*words, "--waive", "LK401=an exercise", "--report", report) == 0
    assert "[waived: an exercise]" in capsys.readouterr().out
    assert "Waived: an exercise" in report.read_text()
    assert run(*words, "--waive", "LK401") == 2
    assert run(*words, "--waive", "LK999=x") == 2


def test_split_column_and_dropped_column(tables) -> None:
    words = ("--rows", tables["both"], "--split", "part", "--target", "converted")
    assert run(*words, "--group", "session_id") == 4
    assert run(*words, "--group", "session_id", "--drop", "paid", "--time", "day") == 0


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ("--rows nowhere.csv --target y", 5, "nowhere.csv"),
        ("--rows {train} --target convertd", 2, "Did you mean 'converted'"),
        ("--rows {train} --target converted --time dy", 2, "for the time"),
        ("--rows {train} --target converted --drop x", 2, "no column 'x'"),
        ("--rows {train} --target converted --test {test} --split day", 2, "not both"),
    ],
)
def test_wrong_words_get_one_line(tables, capsys, words, status, text) -> None:
    filled = words.format(**{k: str(v) for k, v in tables.items()}).split()
    assert run(*filled) == status
    err = capsys.readouterr().err
    assert text in err
    assert err.count("\n") == 1
