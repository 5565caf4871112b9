"""`cartcast simulate` and `cartcast fetch` through the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq


def cartcast(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cartcast", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


def test_simulate_writes_a_log_and_its_truth(tmp_path: Path) -> None:
    log, truth = tmp_path / "log.parquet", tmp_path / "truth.parquet"
    words = ["--sessions", "200", "--seed", "4", "--out", str(log), "--truth", str(truth)]
    done = cartcast("simulate", *words, "--arms", "a:0.5,b:0.5:0.1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sessions"] == 200
    assert told["arms"]["b"] == {"share": 0.5, "lift": 0.1}
    assert pq.read_metadata(log).num_rows == pq.read_metadata(truth).num_rows == told["events"]
    shown = cartcast("simulate", *words)
    assert "200 sessions" in shown.stdout


def test_simulate_refuses_an_unknown_suffix(tmp_path: Path) -> None:
    done = cartcast("simulate", "--sessions", "5", "--out", str(tmp_path / "log.xls"))
    assert done.returncode == 2
    assert done.stderr.startswith("cartcast: error: ")
    assert "the suffix must be one of" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_simulate_writes_the_form_of_a_tracker(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    words = ["--sessions", "40", "--layout", "segment", "--out", str(log)]
    told = json.loads(cartcast("simulate", *words, "--json").stdout)
    assert told["files"] == [str(log)]
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert len({r["anonymousId"] for r in rows if "anonymousId" in r}) == told["truth"]["visitors"]
    assert "revenue" in cartcast("simulate", *words).stdout
    refused = cartcast("simulate", *words, "--truth", str(tmp_path / "t.parquet"))
    assert (refused.returncode, "--truth" in refused.stderr) == (2, True)


def test_simulate_knows_two_shops_and_writes_either_in_codes(tmp_path: Path) -> None:
    log, truth = tmp_path / "log.parquet", tmp_path / "truth.parquet"
    words = ["--sessions", "150", "--shop", "2", "--out", str(log), "--truth", str(truth)]
    told = json.loads(cartcast("simulate", *words, "--json").stdout)
    assert pq.read_metadata(log).num_rows == pq.read_metadata(truth).num_rows == told["events"]
    assert "p_purchase_7d" in pq.read_schema(truth).names
    shown = cartcast("simulate", *words, "--opaque", "--opaque-form", "bare")
    assert shown.returncode == 0, shown.stderr
    assert all(name.startswith("c") for name in pq.read_schema(log).names)
    beside = {"log-orders.parquet", "log-layout.yaml", "log-key.csv"}
    assert {p.name for p in tmp_path.iterdir()} == {log.name, truth.name} | beside
    assert all(name in shown.stdout for name in beside)
    words = ["validate", str(log), "--layout", str(tmp_path / "log-layout.yaml"), "--json"]
    read = cartcast(*words, "--orders", str(tmp_path / "log-orders.parquet"))
    read_back = json.loads(read.stdout)
    assert read_back["sessions"] == 150
    assert read_back["purchase_sessions"] == told["purchase_sessions"]
    assert cartcast("simulate", "--sessions", "5", "--out", str(log), "--shop", "3").returncode == 2


def test_fetch_lists_and_refuses(tmp_path: Path) -> None:
    listed = cartcast("fetch", "--json")
    assert {d["name"] for d in json.loads(listed.stdout)["datasets"]} == {
        "eshop-2008", "shoppers", "hillstrom",
    }  # fmt: skip
    assert cartcast("fetch", "nothing").returncode == 2
    bad = tmp_path / "uci_online_shoppers" / "online_shoppers_intention.csv"
    bad.parent.mkdir()
    bad.write_text("not it")
    done = cartcast("fetch", "shoppers", CARTCAST_DATA=str(tmp_path))
    assert done.returncode == 5
    assert "sha256 must be" in done.stderr
