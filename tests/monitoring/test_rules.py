"""The alert rules: what they read exists, and promtool agrees where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cartcast.live.metrics import Metrics
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.check import Look
from cartcast.monitoring.estimate import LossEstimate
from cartcast.monitoring.exposition import exposition

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"


def look() -> Look:
    alarm = Alarm(1, "r", "MO101", "x", "page", "open", "", "", "", 1, None, None, "m")
    risk = {"log_loss": 0.2, "log_loss_expected": 0.2}
    return Look(
        'r"1/m', pd.DataFrame({"day": [pd.Timestamp("2026-03-02")]}), {},
        {"purchases_down": 1.5, "brier": float("-inf"), "threshold": 7.7}, risk,
        LossEstimate(0.2, 0.1, 0.3, 10.0), pd.DataFrame(), [], [alarm], [alarm],
    )  # fmt: skip


def test_every_line_is_in_the_text_format() -> None:
    for line in exposition(look()):
        if not line.startswith("#"):
            assert re.fullmatch(r'[a-z_]+(\{([a-z]+="(\\.|[^"\\])*",?)+\})? -?[0-9.e+-]+', line), (
                line
            )
    lines = list(exposition(look()))
    assert 'cartcast_monitor_alarms{severity="page",state="open"} 1' in lines
    assert not any("inf" in line for line in lines)


def test_rules_read_what_there_is() -> None:
    rules = yaml.safe_load((FOLDER / "cartcast.rules.yml").read_text())["groups"][0]["rules"]
    told = "\n".join([*exposition(look()), *Metrics().lines()])
    for rule in rules:
        for name in re.findall(r"cartcast_[a-z_]+", rule["expr"]):
            assert f"# TYPE {name} " in told, name
    tested = yaml.safe_load((FOLDER / "cartcast.rules.test.yml").read_text())
    names = {t["alertname"] for case in tested["tests"] for t in case["alert_rule_test"]}
    assert names <= {r["alert"] for r in rules}


def test_promtool() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("needs promtool (Debian's package prometheus), which is not installed here")
    for words in (
        ["check", "rules", "cartcast.rules.yml"],
        ["test", "rules", "cartcast.rules.test.yml"],
    ):
        done = subprocess.run(
            [tool, *words], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
