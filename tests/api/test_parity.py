"""`cartcast parity --url` against a server that cannot be compared: it says so, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cartcast_test_stand_in import make_run

from cartcast.access.keys import KeyFile, Keys
from cartcast.errors import BlockedError, DataError
from cartcast.live.model import load_scorer
from cartcast.live.parity import Parity, parity, require_parity
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("parity"), seed=1, trees=5)


@pytest.fixture
def model(run_dir: Path) -> Live:
    scorer = load_scorer(run_dir)
    return Live(scorer, MemoryStore(scorer, Rules(session_ttl=10**7), durability="none"))


@pytest.mark.slow
def test_a_fresh_server_is_equal_and_then_it_has_been_used(
    serve: Callable[..., str], run_dir: Path, model: Live, key_file: KeyFile
) -> None:
    shop = [run_dir.parent / "shop.parquet"]
    whole = key_file.add("parity", ["ingest", "score"])
    url = serve(model, Keys(key_file))
    for scopes in (["ingest"], ["score"]):
        narrow = key_file.add(f"narrow {scopes}", scopes)
        while httpx.get(f"{url}/v1/models", headers={"x-api-key": narrow}).status_code == 401:
            pass  # until the server has read its file of keys again
        with pytest.raises(DataError, match="scope"):
            parity(shop, run_dir, url=url, key=narrow)
    with pytest.raises(DataError, match="a key must be given.*scopes ingest and score"):
        parity(shop, run_dir, url=url)
    require_parity(parity(shop, run_dir, url=url, key=whole))
    with pytest.raises(DataError, match="has been used.*nothing was sent"):
        parity(shop, run_dir, url=url, key=whole)
    model.store.sessions.index.clear()  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="0 keys of open sessions and [1-9]"):
        parity(shop, run_dir, url=url, key=whole)


@pytest.mark.slow
def test_a_server_of_another_model_is_named(serve: Callable[..., str], run_dir: Path) -> None:
    with pytest.raises(DataError, match="serves the model stand-in-1"):
        parity([run_dir.parent / "shop.parquet"], run_dir, url=serve())


def test_only_what_is_so_is_said() -> None:
    refused: Any = {"too_late": 3}
    missing = Parity(10, 0, 3, 0, 0.0, 0.0, 1e-9, refused=refused)
    with pytest.raises(BlockedError, match=r"LV101: 3 clicks are missing \(3 too_late\)\."):
        require_parity(missing)
