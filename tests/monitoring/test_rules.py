"""The alert rules: what they read exists, and promtool agrees where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cartcast.activation import Outbox
from cartcast.activation.keeper import Keeper
from cartcast.live.metrics import Metrics, exposition
from cartcast.monitoring.alarms import Alarm
from cartcast.monitoring.check import Look
from cartcast.monitoring.estimate import LossEstimate
from cartcast.monitoring.exposition import collect

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"

HOSTILE = 'r"1\\m\n} 7 # ü'
"""A run's name that would end its label, its line or its sample if it were not escaped."""


def look() -> Look:
    alarm = Alarm(1, "r", "MO101", "x", "page", "open", "", "", "", 1, None, None, "m")
    risk = {
        "log_loss": 0.2, "log_loss_expected": 0.2, "brier": None, "brier_expected": None,
        "purchases": 0.9, "revenue": None,
    }  # fmt: skip
    return Look(
        HOSTILE, pd.DataFrame({"day": [pd.Timestamp("2026-03-02")]}), {},
        {"purchases_down": 1.5, "brier": float("-inf"), "threshold": 7.7}, risk,
        LossEstimate(0.2, 0.1, 0.3, 10.0), pd.DataFrame(), [], [alarm], [alarm],
    )  # fmt: skip


def test_the_text_says_what_the_look_says() -> None:
    read = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition(collect(look())))
        for sample in family.samples
    }
    run = ("run", HOSTILE)
    name = "cartcast_monitor_"
    assert read == {
        (f"{name}evidence", ("process", "purchases_down"), run): 1.5,
        (f"{name}threshold", run): 7.7,
        **{(f"{name}loss", ("kind", k), run): 0.2 for k in ("realised", "expected", "estimated")},
        (f"{name}realised_share", ("of", "purchases"), run): 0.9,
        (f"{name}newest_day_seconds", run): pd.Timestamp("2026-03-03").timestamp(),
        **{
            (f"{name}alarms", ("severity", severity), ("state", state)): float(
                (severity, state) == ("page", "open")
            )
            for severity in ("page", "ticket")
            for state in ("open", "acknowledged")
        },
    }


def test_rules_read_what_there_is(tmp_path: Path) -> None:
    rules = yaml.safe_load((FOLDER / "cartcast.rules.yml").read_text())["groups"][0]["rules"]
    kept = Keeper(Outbox(tmp_path / "outbox.db")).collect(["mail"])
    told = exposition([*collect(look()), *Metrics().collect(), *kept])
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
