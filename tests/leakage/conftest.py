"""Clean shops for planting leaks in: the generator of the false-alarm benchmark, loaded by path."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cartcast.findings import Finding
from cartcast.leakage import AuditInput, audit

ROLES = {
    "target": "label",
    "session": "session_id",
    "visitor": "visitor_id",
    "time": "anchor_time",
    "click": "click",
    "clock": "time",
}


@pytest.fixture(scope="session")
def shops() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "clean_shops.py"
    spec = importlib.util.spec_from_file_location("clean_shops", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shop(shops: ModuleType) -> Any:
    """A clean shop with a few hundred buyers; copy its tables before planting anything."""
    return shops.clean_shop(3, sessions=3000, signal=1.0)


Find = Callable[..., dict[str, Finding]]


@pytest.fixture
def find(shop: Any, shops: ModuleType, request: pytest.FixtureRequest) -> Find:
    """Audit the clean shop with some of its input replaced; findings by code (the last of each).

    Only the family that the test's file is about is asked; `FAMILIES` of the file may say others.
    """
    families = request.module.FAMILIES

    def run(*, add: tuple[str, ...] = (), **changes: Any) -> dict[str, Finding]:
        given = {
            "train": shop.train,
            "test": shop.test,
            "features": (*shops.FEATURES, *add),
            **ROLES,
            **changes,
        }
        return {f.code: f for f in audit(AuditInput(**given), families)}

    return run
