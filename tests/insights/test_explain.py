"""Reasons for single sessions from a stored run: the right ones, in words, refused when unknown."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cartcast.errors import DataError, UsageError
from cartcast.insights.explain import explain_run, explain_sessions
from cartcast.train import train


def table(n=900, seed=0):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "carts": rng.poisson(0.7, n).astype(float),
            "price": rng.lognormal(3, 0.5, n).round(2),
            "noise": rng.normal(size=n).round(3),
        }
    )
    p = 1 / (1 + np.exp(-(-2 + 1.5 * made["carts"])))
    return made.assign(bought=(rng.uniform(size=n) < p).astype(int))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    path = folder / "rows.csv"
    table().to_csv(path, index=False)
    made = train(
        rows=path, target="bought", models=("logistic_regression",), run_dir=folder / "run"
    )
    return made.dir, path


def test_the_drivers_of_a_run(run):
    found = explain_run(run[0])
    assert found["feature"].iloc[0] == "carts"
    assert found["direction"].iloc[0] == "raises"
    kept = json.loads((run[0] / "run.json").read_text(encoding="utf-8"))["effects"]
    points = [p["prediction"] for p in kept[0]["points"]]
    assert kept[0]["feature"] == "carts"
    assert points == sorted(points)
    assert "chart-effect-0" in (run[0] / "report.html").read_text(encoding="utf-8")


def test_the_highest_scored_rows_are_explained(run):
    found = explain_sessions(run[1], run[0], count=3, top=2)
    assert len(found) == 3
    assert found[0].value >= found[1].value >= found[2].value
    assert found[0].reasons["feature"].iloc[0] == "carts"
    assert found[0].reasons["words"].iloc[0] == "raises"
    assert "raise" in found[0].sentence
    assert all(len(reasons.reasons) <= 2 for reasons in found)


def test_named_rows_are_explained(run):
    rows = table()
    none = str(int(np.flatnonzero(rows["carts"] == 0)[0]) + 1)
    (found,) = explain_sessions(run[1], run[0], sessions=[none])
    assert found.session == none
    carts = found.reasons.set_index("feature").loc["carts"]
    assert carts["words"] == "lowers"


def test_what_is_not_there_is_refused(run):
    with pytest.raises(UsageError, match="no session '5000'"):
        explain_sessions(run[1], run[0], sessions=["5000"])
    with pytest.raises(UsageError, match="at least 1"):
        explain_sessions(run[1], run[0], top=0)
    with pytest.raises(DataError, match="no column 'carts'"):
        explain_sessions(table().drop(columns="carts"), run[0])


def test_the_verb(run):
    command = [sys.executable, "-m", "cartcast", "explain", str(run[0])]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["importance"][0]["feature"] == "carts"
    words = [*command, str(run[1]), "--session", "1", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    assert found["session"] == "1"
    assert found["reasons"]
