"""Models that read events, trained and judged beside those that read features."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartcast.datasets import simulate
from cartcast.errors import UsageError
from cartcast.insights.explain import explain_sessions
from cartcast.live.model import load_scorer as load_live
from cartcast.models.declaration import pick
from cartcast.models.sequence import SEQUENCES, ClickSequence
from cartcast.score import predict
from cartcast.train import Run, train
from cartcast.train.candidates import model_names
from cartcast.train.fit import DECLARATIONS


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequence")
    simulate(4000, seed=8, out=folder / "shop.parquet")
    return folder / "shop.parquet"


@pytest.fixture(scope="module")
def run(shop: Path) -> Run:
    pytest.importorskip("torch", reason="needs the extra deep")

    def small(seed: int, n_jobs: int, categorical: tuple[str, ...] | None) -> ClickSequence:
        return ClickSequence("gru", 1, 16, 1, 4, 64, 0.02, categorical=categorical, seed=seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            DECLARATIONS["classifier"], "sequence", replace(SEQUENCES["sequence"], build=small)
        )
        return train(
            shop, models=("sequence", "deep_blend"), run_dir=shop.parent / "run", seed=3,
            anchors=(1, 3, 6), refit=False, backtest=False, segments=3, budget=float("inf"),
        )  # fmt: skip


def test_judged_on_the_same_rows_by_the_same_figures(run: Run) -> None:
    base = run.metrics["click_count"]
    clicks = {m: [c["rows"] for c in run.data["by_click"] if c["model"] == m] for m in run.metrics}
    for name in ("sequence", "deep_blend"):
        assert run.data["models"][name]["reads"] == "events"
        assert run.data["models"][name]["calibration"] in ("sigmoid", "isotonic")
        assert set(run.metrics[name]) == set(base)
        assert run.metrics[name]["log_loss"] < base["log_loss"]
        assert clicks[name] == clicks["click_count"]
    assert "lightgbm" in run.data["models"]["deep_blend"]["notes"]
    assert run.champion in ("sequence", "deep_blend")
    assert run.data["importance"] == []
    assert "sequence" in (run.dir / "card.md").read_text()


def test_a_stored_run_scores_a_log_as_training_did_without_torch(
    run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cartcast.models.sequence.network", None)
    scored, _ = predict(shop, run.dir, everything=True)
    assert scored["probability"].between(0, 1).all()
    assert (scored["revenue_if_purchase_low"] <= scored["revenue_if_purchase_high"]).all()
    said = pd.read_parquet(run.dir / "predictions.parquet").query("part == 'test'")
    both = said.merge(scored, on=["session_id", "click"])
    assert len(both) > 100
    np.testing.assert_allclose(both[f"p__{run.champion}"], both["probability"], atol=1e-9)


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
    with pytest.raises(UsageError, match="'sequence'"):
        model_names(["sequence"], "regressor")
    absent = replace(SEQUENCES["sequence"], requires="no_such_module_here")
    with pytest.raises(UsageError, match=r"pip install 'cartcast\[deep\]'"):
        pick({"sequence": absent}, ["sequence"])
