"""Training from a log: what a run holds, how near it comes to the truth, what stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from cartcast import events
from cartcast.datasets import simulate
from cartcast.errors import BlockedError, DataError, NotTrustedError, UsageError
from cartcast.score import predict, predict_to
from cartcast.train import Options, Run, train


def predictions(run: Run, part: str = "test") -> pd.DataFrame:
    table = pd.read_parquet(run.dir / "predictions.parquet")
    return table[table["part"] == part]


def test_a_run_is_whole(run: Run) -> None:
    names = {p.name for p in run.dir.iterdir()}
    assert names >= {
        "run.json", "findings.json", "metrics.parquet", "predictions.parquet", "report.html",
        "card.md", "model",
    }  # fmt: skip
    assert not list(run.dir.parent.glob(".run*")), "nothing half-written is left beside it"
    data = json.loads((run.dir / "run.json").read_text())
    assert data["target"]["kind"] == "observed"
    assert set(data["metrics"]) >= {"prevalence", "click_count", "logistic_regression"}
    assert [f["code"] for f in json.loads((run.dir / "findings.json").read_text())] == [
        f.code for f in run.findings
    ]
    assert "http://" not in (run.dir / "report.html").read_text().split("<body", 1)[0]


def test_figures_equal_scikit_learn(run: Run) -> None:
    table = predictions(run)
    y, p, w = table["label"], table["p__logistic_regression"], table["weight"]
    said = run.metrics["logistic_regression"]
    assert said["roc_auc"] == pytest.approx(roc_auc_score(y, p, sample_weight=w), abs=1e-9)
    assert said["log_loss"] == pytest.approx(log_loss(y, p, sample_weight=w), abs=1e-9)
    first = next(
        e for e in run.data["by_click"] if e["click"] == 1 and e["model"] == "logistic_regression"
    )
    at_one = table[table["click"] == 1]
    assert first["rows"] == len(at_one)
    expected = log_loss(
        at_one["label"], at_one["p__logistic_regression"], sample_weight=at_one["weight"]
    )
    assert first["log_loss"] == pytest.approx(expected, abs=1e-9)


def test_the_model_comes_near_the_truth_and_never_beats_it(run: Run, shop: Path) -> None:
    truth = pd.read_parquet(shop.with_name("truth.parquet"))
    table = predictions(run).merge(
        truth[["session_id", "event_order", "p_purchase"]], on=["session_id", "event_order"]
    )
    y, w = table["label"], table["weight"]
    losses = {
        name: log_loss(y, table[column], sample_weight=w)
        for name, column in [
            ("truth", "p_purchase"), ("model", "p__logistic_regression"),
            ("prevalence", "p__prevalence"),
        ]
    }  # fmt: skip
    gap = (losses["model"] - losses["truth"]) / (losses["prevalence"] - losses["truth"])
    assert -0.05 < gap < 0.5, f"{gap:.0%} of the gap between truth and prevalence"


def test_parts_hold_other_visitors_later(run: Run) -> None:
    table = pd.read_parquet(run.dir / "predictions.parquet")
    validation, test = (table[table["part"] == p] for p in ("validation", "test"))
    assert not set(validation["visitor_id"]) & set(test["visitor_id"])
    assert validation["anchor_time"].min() < test["anchor_time"].min()


def test_scores_of_a_log_are_those_of_its_features(run: Run, shop: Path, tmp_path: Path) -> None:
    table, _ = predict(shop, run.dir, everything=True)
    log = events.load(shop, folder=tmp_path)
    assert table["session_id"].nunique() == log.summary.sessions
    scorer = Run.open(run.dir)
    assert scorer.features is not None
    assert scorer.behaviour is not None
    X = scorer.features.replay(log, at=scorer.moment.clicks).to_pandas()
    # The estimators themselves: scores come of their exported forms.
    models, known = scorer.models, X[list(scorer.features.names)]
    direct = models["champion"].predict_proba(known)[:, 1]
    low, high = models["interval"].predict(known)
    expected = direct * models["amount"].predict_given_purchase(known)
    joined = table.merge(
        X[["session_id", "click"]].assign(probability=direct, expected_revenue=expected,
                                          revenue_if_purchase_low=low,
                                          revenue_if_purchase_high=high),
        on=["session_id", "click"], suffixes=("", "_direct"),
    )  # fmt: skip
    assert len(joined) == len(table)
    for said in [c.removesuffix("_direct") for c in joined if c.endswith("_direct")]:
        np.testing.assert_allclose(joined[said], joined[f"{said}_direct"], rtol=1e-12, atol=1e-12)
    behaviour = scorer.behaviour.replay(log, at=scorer.moment.clicks).to_pandas()
    names = {p["label"]: p["name"] for p in scorer.data["segments"]}
    kinds = [names[k] for k in models["segments"].predict(behaviour)]
    assert scorer.segment_names(behaviour).tolist() == kinds
    assert (table["revenue_if_purchase_low"] < table["revenue_if_purchase_high"]).all()
    assert table["segment"].notna().all()
    assert table["model"].str.startswith(run.data["run_id"]).all()


def test_csv_and_parquet_say_the_same(run: Run, shop: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        predict_to(shop, run.dir, tmp_path / f"out.{suffix}", everything=True)
    a, b = pd.read_csv(tmp_path / "out.csv"), pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_allclose(a["probability"], b["probability"], rtol=1e-12)
    with pytest.raises(UsageError, match=r"must end in \.csv or \.parquet"):
        predict_to(shop, run.dir, tmp_path / "out.xlsx")


def test_a_log_that_does_not_match_is_refused(run: Run, shop: Path, eshop_file: Path) -> None:
    with pytest.raises(DataError, match="clock is 'day', the model was trained on 'time'"):
        predict(eshop_file, run.dir)
    bare = pd.read_parquet(shop).drop(columns=["device", "channel"])
    with pytest.raises(DataError, match="no values in channel, device"):
        predict(bare, run.dir, layout="cartcast")


def test_a_changed_model_is_not_trusted(run: Run, shop: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(run.dir, copy)
    data = json.loads((copy / "run.json").read_text())
    declared = data["features"]["yaml"].replace("half_life: 60\n", "half_life: 61\n")
    assert declared != data["features"]["yaml"]
    data["features"]["yaml"] = declared
    (copy / "run.json").write_text(json.dumps(data))
    with pytest.raises(NotTrustedError, match="feature set"):
        predict(shop, copy)
    (copy / "model" / "champion.skops").write_bytes(b"PK")
    with pytest.raises(NotTrustedError):
        Run.open(copy).loaded()


def test_a_rule_over_its_own_features_is_blocked(shop: Path, tmp_path: Path) -> None:
    declared = {"big": {"rule": "session_length > 5 and total_spend > 50"}}
    with pytest.raises(BlockedError) as caught:
        train(
            shop, target="proxy:big", targets=declared, models=("logistic_regression",),
            run_dir=tmp_path / "run",
        )  # fmt: skip
    codes = {f.code for f in caught.value.findings if f.severity == "block"}
    assert any(code.startswith("LK1") for code in codes), codes
    assert not (tmp_path / "run").exists()


def test_no_purchase_says_which_proxies_there_are(eshop_file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no purchase event.*--target proxy:browsing"):
        train(eshop_file, run_dir=tmp_path / "run")


def test_training_again_needs_what_a_run_does_not_keep(run: Run) -> None:
    def told(**changes: object) -> Options:
        options = {**run.data["options"], **changes}
        return Options.from_run(replace(run, data={**run.data, "options": options}))

    assert told() == Options.from_run(run)
    with pytest.raises(UsageError, match="models of its user's own .mine."):
        told(own={"mine": "Mine(), given by its user"})
    again = told(scorer="roc_auc", choose_by="scorer")
    assert (again.scorer and again.scorer.name, again.choose_by) == ("roc_auc", "scorer")


def test_an_existing_run_is_never_overwritten(run: Run, shop: Path) -> None:
    before = (run.dir / "run.json").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        train(shop, models=("logistic_regression",), run_dir=run.dir)
    assert (run.dir / "run.json").read_bytes() == before


def test_two_trainings_do_not_write_one_run(tmp_path: Path) -> None:
    """The second is refused while the first is under way, and the first is not harmed."""
    refused: list[str] = []
    shop = simulate(sessions=900, seed=3).events
    assert shop is not None

    def second(step: str, share: float | None) -> None:
        if not refused:
            with pytest.raises(UsageError, match="another training writes this run now") as caught:
                train(shop, models=("prevalence",), run_dir=tmp_path / "run", segments=3)
            refused.append(str(caught.value))

    train(shop, models=("prevalence",), run_dir=tmp_path / "run", segments=3, progress=second)
    assert refused
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_run(run: Run, shop: Path, tmp_path: Path) -> None:
    """Kill once a model was kept; the second try takes it over and ends as if left alone."""
    where = tmp_path / "run"
    code = (
        "from cartcast.train import checkpoint, train\ncheckpoint.WORTH_KEEPING = 0\n"
        f"train({str(shop)!r}, models=('logistic_regression',), run_dir={str(where)!r}, threads=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    kept = tmp_path / ".run.part"
    deadline = time.monotonic() + 300
    while not list(kept.glob("*/model-*logistic_regression")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not where.exists()
    again = train(shop, models=("logistic_regression",), run_dir=where, threads=1)
    for name, found in run.metrics.items():
        assert again.metrics[name] == pytest.approx(found, rel=1e-9)
    assert not kept.exists()
