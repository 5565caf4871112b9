"""A small shop with a run on its first months and a log of the later ones."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from cartcast.datasets import simulate
from cartcast.train import train


class Watched(NamedTuple):
    run: Path
    first: pd.DataFrame
    later: pd.DataFrame


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    made = simulate(9_000, seed=5, start=date(2025, 3, 3), days=120)
    assert made.events is not None
    table = made.events.to_pandas()
    cut = pd.Timestamp("2025-05-05")
    first, later = table[table["event_time"] < cut], table[table["event_time"] >= cut]
    first.to_parquet(folder / "first.parquet")
    run = train(
        folder / "first.parquet", models=("click_count",), run_dir=folder / "run", threads=1,
        segments=3, backtest=False,
    )  # fmt: skip
    return Watched(run.dir, first, later.reset_index(drop=True))
