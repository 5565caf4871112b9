"""A small project on disk: a source file, a clean log, and a run written by hand."""

from __future__ import annotations

import csv
import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cartcast.app.state import Project
from cartcast.events import Log
from cartcast.runs.reading import Reading

STEPS = ["view_item", "view_item", "view_item", "add_to_cart", "purchase"]
SETTINGS = "sources: [shop.csv]\ncurrency: EUR\n"
ODD = "![x](http://evil.example/x.png)<script>alert(1)</script>"


def sound(at: Any) -> Any:
    """No traceback, no error; and nothing of the data became markup."""
    assert not at.exception
    assert not at.error, [e.value for e in at.error]
    for element in (*at.title, *at.markdown, *at.caption, *at.warning, *at.info):
        # Escaped: no Markdown image, link or tag is left.
        assert "![x](" not in element.value
        assert "<script>" not in element.value.replace("\\<", "")
    return at


def write_shop(path: Path, sessions: int = 120) -> None:
    """Write a shop's log under canonical names; one brand is an attack on whatever shows it."""
    rng = random.Random(5)
    at = datetime(2024, 3, 1, 9)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ["visitor_id", "session_id", "event_time", "event_type", "item_id", "category",
             "brand", "price", "quantity", "currency", "order_id", "device"]
        )  # fmt: skip
        for s in range(sessions):
            at += timedelta(hours=rng.randint(1, 9))
            moment = at
            for k, kind in enumerate(STEPS[: rng.randint(1, 5)]):
                moment += timedelta(seconds=rng.randint(5, 90))
                item = rng.randint(1, 6)
                out.writerow(
                    [f"v{s % 50}", f"s{s}", moment.isoformat(), kind, f"i{item}", f"c{item % 3}",
                     ODD if item == 6 else "=cmd()", 10 + item, 1, "EUR",
                     f"o{s}" if kind == "purchase" else "", ["mobile", "desktop"][s % 2]]
                )  # fmt: skip
                del k


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh project: settings and a source, nothing read yet."""
    made = tmp_path / "shop"
    made.mkdir()
    write_shop(made / "shop.csv")
    (made / "cartcast.yaml").write_text(SETTINGS)
    return made


@pytest.fixture
def project(folder: Path) -> Project:
    return Project.open(folder)


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The shop's log, cleaned once for all projects."""
    made = tmp_path_factory.mktemp("clean")
    write_shop(made / "shop.csv")
    (made / "cartcast.yaml").write_text(SETTINGS)
    reading = Reading.from_settings(Project.open(made).settings)
    return reading.load(made / "shop.csv", folder=made)


@pytest.fixture
def with_data(project: Project, clean: Log) -> Project:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reading, "load", lambda *_, **__: clean)
        project.read(project.source_paths())
    return project


def write_run(folder: Path, run_id: str = "run-1") -> Path:
    """Write a run folder as a training leaves it, its model apart."""
    rng = np.random.default_rng(3)
    n = 400
    p = rng.beta(1, 6, n)
    label = (rng.random(n) < p).astype(float)
    parts = ["validation"] * (n // 2) + ["test"] * (n // 2)
    predictions = pd.DataFrame(
        {
            "part": parts,
            "session_id": [f"s{k // 2}" for k in range(n)],
            "visitor_id": [f"v{k // 4}" for k in range(n)],
            "event_order": 1,
            "click": np.tile([1, 2], n // 2),
            "anchor_time": pd.Timestamp("2024-03-01"),
            "weight": 0.5,
            "label": label,
            "amount": label * 20,
            "p__prevalence": label.mean(),
            "p__logistic_regression": p,
            "r__logistic_regression": p * 20,
        }
    )
    metrics = pd.DataFrame(
        [
            ("logistic_regression", "test", "device", d, None, "roc_auc", v, v - 0.1, v + 0.1, 90)
            for d, v in (("mobile", 0.6), ("desktop", 0.75))
        ],
        columns=["model", "part", "slice_by", "slice", "click", "metric", "value", "low", "high",
                 "n"],
    )  # fmt: skip
    path = folder / ".cartcast" / "runs" / run_id
    path.mkdir(parents=True)
    figures = {"roc_auc": 0.71, "log_loss": 0.31, "brier": 0.09}
    run = {
        "schema": 1,
        "run_id": run_id,
        "created": "2024-04-01T10:00:00+00:00",
        "source": {"files": ["shop.csv"], "layout": "canonical", "clock": "time",
                   "currency": "EUR"},
        "target": {"name": "purchase", "kind": "observed",
                   "describe": "a later purchase before the session ends"},
        "split": {"describe": "By time and visitor.",
                  "parts": {"test": {"sessions": 100, "positives": 14, "prevalence": 0.14}}},
        "features": {"names": ["clicks"], "categorical": [], "units": {}, "yaml": "clicks: count",
                     "fingerprint": "x", "set": "default"},
        "models": {"logistic_regression": {"kind": "classifier", "seconds": 1.0}},
        "champion": "logistic_regression",
        "baselines": ["prevalence"],
        "metrics": {"logistic_regression": figures,
                    "prevalence": {"roc_auc": 0.5, "log_loss": 0.4, "brier": 0.12}},
        "intervals": {"logistic_regression": {"roc_auc": [0.65, 0.77]}},
        "by_click": [{"click": c, "rows": 100, "prevalence": 0.14, "model": m, "roc_auc": v}
                     for c in (1, 2) for m, v in (("logistic_regression", 0.7),
                                                  ("prevalence", 0.5))],
        "importance": [{"feature": "clicks", "mean_drop": 0.1, "low": 0.05, "high": 0.15,
                        "direction": "raises"}],
        "revenue": {},
        "segments": [
            {"name": "browsers", "sentence": "look at much", "size": 80, "share": 0.8,
             "conversion": 0.05, "revenue_per_session": 1.0},
            {"name": ODD, "sentence": "buy", "size": 20, "share": 0.2, "conversion": 0.6,
             "revenue_per_session": 12.0},
        ],
        "segmentation": {},
        "model_manifest": "",
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(run))
    finding = {"code": "LK401", "severity": "warn", "message": f"one feature tells all {ODD}",
               "count": 1, "evidence": {}, "advice": "look", "waived": None}  # fmt: skip
    (path / "findings.json").write_text(json.dumps([finding]))
    (path / "card.md").write_text("# Card\n")
    (path / "report.html").write_text("<!doctype html>")
    predictions.to_parquet(path / "predictions.parquet")
    metrics.to_parquet(path / "metrics.parquet")
    return path


@pytest.fixture
def with_run(with_data: Project) -> Project:
    with_data.registry.add(write_run(with_data.folder))
    return with_data


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A project with a simulated shop, read, and a run trained on it."""
    from cartcast.datasets import simulate
    from cartcast.train import train

    made = tmp_path_factory.mktemp("trained")
    simulate(sessions=1500, seed=3, out=made / "shop.parquet")
    (made / "cartcast.yaml").write_text("sources: [shop.parquet]\n")
    project = Project.open(made)
    project.read(project.source_paths())
    train(project=made, models=("logistic_regression",), segments=3, backtest=False)
    return made
