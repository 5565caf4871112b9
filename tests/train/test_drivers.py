"""What drives a run is kept by click, and shown."""

from __future__ import annotations

import pandas as pd

from cartcast.train import Run


def test_importance_is_kept_by_click(run: Run) -> None:
    table = pd.DataFrame(run.data["importance_by_click"])
    assert list(table.columns) == ["click", "feature", "mean_drop", "low", "high"]
    assert table["click"].nunique() >= 2
    strongest = [row["feature"] for row in run.data["importance"]][:6]
    assert set(table["feature"]) <= set(strongest)
    assert (table["low"] <= table["high"]).all()
    assert "chart-importance-by-click" in run.report.read_text(encoding="utf-8")


def test_how_the_champion_was_chosen_is_on_the_card(run: Run) -> None:
    assert run.data["choice"]["reason"] in (run.dir / "card.md").read_text().replace("\\", "")


def test_the_backtest_is_kept_drawn_and_said(run: Run) -> None:
    found = run.data["backtest"]
    assert len(found["weeks"]) >= 3
    assert found["ageing"][0]["age"] == 1
    assert "chart-backtest" in run.report.read_text(encoding="utf-8")
    card = (run.dir / "card.md").read_text(encoding="utf-8").replace("\\", "")
    assert found["words"] in card
    assert "fitted again to all" in card
