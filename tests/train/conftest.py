"""One small trained run, shared by the tests that only look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cartcast.datasets import simulate
from cartcast.train import Run, train


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    simulate(sessions=6000, seed=11, out=folder / "shop.parquet", truth=folder / "truth.parquet")
    return folder / "shop.parquet"


@pytest.fixture(scope="session")
def run(shop: Path) -> Run:
    return train(shop, models=("logistic_regression",), run_dir=shop.parent / "run", threads=1)
