"""A small shop and a run of it, shared by the tests of exports."""

from __future__ import annotations

import pytest

import cartcast
from cartcast.features import Count, Eq, Last, Mean
from cartcast.train import train

FEATURES = cartcast.FeatureSet(
    clicks=Count(), carts=Count(where=Eq("event_type", "add_to_cart")), price=Mean("price"),
    device=Last("device"),
)  # fmt: skip


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> cartcast.Log:
    file = tmp_path_factory.mktemp("shop") / "shop.parquet"
    cartcast.simulate(sessions=900, seed=5, out=file)
    return cartcast.load(file)


@pytest.fixture(scope="session")
def run(shop: cartcast.Log, tmp_path_factory: pytest.TempPathFactory) -> cartcast.Run:
    return train(
        shop, target=cartcast.Purchase(), features=FEATURES, models="logistic_regression",
        anchors=[1, 3], run_dir=tmp_path_factory.mktemp("run") / "run-1", threads=1,
        backtest=False,
    )  # fmt: skip
