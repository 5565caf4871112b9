"""A few kills -9 of the real server in the middle of a replay; `kills.py` does twenty of each."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def kills() -> Any:
    spec = importlib.util.spec_from_file_location(
        "cartcast_test_kills", Path(__file__).with_name("kills.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["server", "consumer", pytest.param("redis", marks=pytest.mark.redis)]
)
def test_nothing_acknowledged_is_lost_or_counted_twice(
    kills: Any, small_run: Path, tmp_path: Path, what: str
) -> None:
    if what == "redis" and kills.shutil.which("redis-server") is None:
        pytest.skip("needs the program redis-server, which is not installed here")
    log = kills.log_of(small_run.parent / "shop.parquet", tmp_path / "log")
    result = getattr(kills, what)(small_run, log, 2, tmp_path)
    assert result["kills"] == 2
    assert (result["lost"], result["twice"], result["cells"]) == (0, 0, 0)
