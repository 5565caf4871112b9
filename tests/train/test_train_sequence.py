"""A model that reads events, trained and judged beside those that read features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.datasets import simulate
from cartcast.errors import UsageError
from cartcast.insights.explain import explain_sessions
from cartcast.live.model import load_scorer as load_live
from cartcast.score import predict
from cartcast.train import Run, train
from cartcast.train.candidates import model_names


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    simulate(4000, seed=8, out=folder / "shop.parquet")
    return folder / "shop.parquet"


@pytest.fixture(scope="module")
def run(shop: Path) -> Run:
    return train(
        shop,
        models=("sequence",),
        run_dir=shop.parent / "run",
        seed=3,
        anchors=(1, 3, 6),
        refit=False,
        segments=3,
    )


def test_judged_on_the_same_rows_by_the_same_figures(run: Run) -> None:
    assert run.champion == "sequence"
    assert run.data["models"]["sequence"]["reads"] == "events"
    assert run.data["models"]["sequence"]["calibration"] in ("sigmoid", "isotonic")
    ours, base = run.metrics["sequence"], run.metrics["click_count"]
    assert set(ours) == set(base)
    assert ours["log_loss"] < base["log_loss"]
    clicks = {m: [c["rows"] for c in run.data["by_click"] if c["model"] == m] for m in run.metrics}
    assert clicks["sequence"] == clicks["click_count"]
    assert run.data["importance"] == []
    assert "sequence" in (run.dir / "card.md").read_text()


def test_a_stored_run_scores_a_log_as_training_did(run: Run, shop: Path) -> None:
    scored, _ = predict(shop, run.dir, everything=True)
    assert scored["probability"].between(0, 1).all()
    assert (scored["revenue_if_purchase_low"] <= scored["revenue_if_purchase_high"]).all()
    said = pd.read_parquet(run.dir / "predictions.parquet").query("part == 'test'")
    both = said.merge(scored, on=["session_id", "click"])
    assert len(both) > 100
    np.testing.assert_allclose(both["p__sequence"], both["probability"], atol=1e-9)


def test_what_it_cannot_do_is_said(run: Run, shop: Path) -> None:
    scorer = Run.open(run.dir)
    X = pd.DataFrame([dict.fromkeys(run.data["features"]["names"])])
    for refused in (
        lambda: scorer.score(X),
        lambda: explain_sessions(shop, run.dir),
        lambda: load_live(run.dir),
    ):
        with pytest.raises(UsageError, match="reads the events of whole sessions"):
            refused()
    with pytest.raises(UsageError, match="cannot be resampled"):
        train(shop, models=("sequence",), resample="smote", run_dir=run.dir / "x")
    table = pd.DataFrame({"a": np.arange(100.0), "bought": np.arange(100) % 2})
    with pytest.raises(UsageError, match="give a log, not a ready table"):
        train(rows=table, target="bought", models=("sequence",), run_dir=run.dir / "x")


def test_it_is_trained_only_when_named() -> None:
    assert "sequence" not in model_names(["all"], "classifier")
    assert "sequence" not in model_names(["default"], "classifier")
    assert model_names(["sequence"], "classifier")[-1] == "sequence"
    with pytest.raises(UsageError, match="'sequence'"):
        model_names(["sequence"], "regressor")
