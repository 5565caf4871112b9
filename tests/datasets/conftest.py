from __future__ import annotations

import pytest

from cartcast import datasets


@pytest.fixture(scope="session")
def shop_log() -> datasets.Simulation:
    return datasets.simulate(30_000, seed=5, truth=True)
