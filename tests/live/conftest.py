"""A stand-in for a trained model, whose features can be told by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cartcast.errors import NotTrustedError
from cartcast.live.event import Event
from cartcast.live.problems import Problem
from cartcast.live.scorer import Past, Reason, Score


class StandIn:
    """Counts clicks, sums prices, keeps the last category; scores by a known formula."""

    reads_history = True
    history_types = frozenset({"view_item", "search", "purchase", "category=x"})

    def __init__(self, version: str = "stand-in-1", fingerprint: str = "f" * 64) -> None:
        self.version = version
        self.fingerprint = fingerprint

    def check(self, event: Event) -> None:
        """Fold everything."""

    def start(self, past: Past | None = None) -> list[Any]:
        earlier = None if past is None else past.sessions
        bought = None if past is None else past.counts.get("purchase", 0)
        liked = None if past is None else past.counts.get("category=x", 0)
        return [0, None, None, None, earlier, bought, 0.0, liked]

    def step(self, state: list[Any], event: Event) -> list[Any]:
        state[0] += 1
        if event.price is not None:
            state[1] = (state[1] or 0.0) + event.price
        if event.category is not None:
            state[2] = event.category
        time = event.event_time or 0
        if state[3] is not None:
            state[6] = state[6] * 0.5 + (time - state[3]) / 1e6
        state[3] = time
        return state

    def let_go(self) -> None:
        """Nothing is kept."""

    def copy(self, state: list[Any]) -> list[Any]:
        return list(state)

    def score(self, state: list[Any]) -> Score:
        return Score(1 / (1 + math.exp(4 - 0.1 * state[0])), 0.5 * (state[1] or 0.0), "browsers")

    def scores(self, states: Sequence[list[Any]]) -> list[Score]:
        return [self.score(state) for state in states]

    def score_row(self, values: Mapping[str, Any]) -> Score:
        if "clicks" not in values:
            raise Problem(422, "clicks must be given", field="clicks", rule="must be given")
        return self.score([values["clicks"], values.get("spend")])

    def reasons(self, state: list[Any], most: int) -> list[Reason]:
        return [Reason("clicks", float(state[0]), 0.01)][:most]

    def describe(self) -> dict[str, Any]:
        return {"version": self.version, "features": list(self.values(self.start()))}

    def values(self, state: list[Any]) -> dict[str, Any]:
        names = ("clicks", "spend", "last_category", "last_time", "earlier", "bought", "decayed")
        names = (*names, "liked")
        return dict(zip(names, state, strict=True))

    def weight(self, state: list[Any]) -> int:
        return 250

    def pack(self, state: list[Any]) -> bytes:
        return msgspec.msgpack.encode(state)

    def unpack(self, data: bytes) -> list[Any]:
        return msgspec.msgpack.decode(data)

    def dump(self, state: list[Any]) -> bytes:
        return msgspec.msgpack.encode([self.fingerprint[:8], state])

    def load(self, data: bytes) -> list[Any]:
        mark, state = msgspec.msgpack.decode(data)
        if mark != self.fingerprint[:8]:
            raise NotTrustedError(f"state of {mark}, the model's is {self.fingerprint[:8]}")
        return state


@pytest.fixture
def scorer() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def stand_in() -> Callable[..., StandIn]:
    return StandIn


def make_run(folder: Path, seed: int, features: Any = None, trees: int = 60) -> Path:
    """Fit a small model of a simulated shop and store it as `cartcast train` stores a run."""
    import json

    import numpy as np

    from cartcast.datasets import simulate
    from cartcast.events import load
    from cartcast.features import load_set
    from cartcast.models.calibrate import Calibrated
    from cartcast.models.classifiers import CLASSIFIERS
    from cartcast.models.persist import save_all
    from cartcast.rows import typed

    shop = folder / "shop.parquet"
    if not shop.is_file():
        simulate(sessions=400, seed=5, out=shop)
    log = load(shop, folder=folder / f"log-{seed}")
    chosen = features or load_set("default")
    table = chosen.replay(log, at="every click").to_pandas()
    X = typed(table, chosen.names, chosen.categorical)
    y = (np.arange(len(X)) * 7919 % 13 < 1 + table["click"].to_numpy() % 5).astype(int)
    model = CLASSIFIERS["lightgbm"].make(seed=seed, n_jobs=1, categorical=chosen.categorical)
    model.set_params(model__n_estimators=trees)
    half = len(X) // 2
    model.fit(X.iloc[:half], y[:half])
    model = Calibrated(model).fit(X.iloc[half:], y[half:])
    run_dir = folder / f"run-{seed}-{chosen.fingerprint[:6]}"
    run_dir.mkdir()
    manifest = save_all({"champion": model}, run_dir / "model")
    run = {
        "schema": 1, "run_id": run_dir.name, "champion": "lightgbm", "created": "2026-05-04",
        "source": {"clock": log.clock, "session_gap": 1800.0},
        "features": {"yaml": chosen.to_yaml(), "fingerprint": chosen.fingerprint,
                     "names": list(chosen.names), "categorical": list(chosen.categorical)},
        "models": {"lightgbm": {"kind": "classifier"}}, "target": {"name": "purchase", "kind": "observed"},
        "segments": [], "model_manifest": manifest, "metrics": {},
    }  # fmt: skip
    (run_dir / "run.json").write_text(json.dumps(run))
    return run_dir


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored run; the simulated log `shop.parquet` lies beside it."""
    return make_run(tmp_path_factory.mktemp("runs"), seed=1)


@pytest.fixture(scope="session")
def another_run(small_run: Path) -> Path:
    """A run of the same features, trained otherwise."""
    return make_run(small_run.parent, seed=2, trees=30)


@pytest.fixture(scope="session")
def foreign_run(small_run: Path) -> Path:
    """A run of other features."""
    from cartcast.features import Count, FeatureSet, Mean

    return make_run(small_run.parent, 3, FeatureSet(n=Count(), price=Mean("price")), trees=5)
