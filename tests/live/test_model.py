"""The live scorer says what the Python model says, keeps states, and is refused or taken up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cartcast.errors import BlockedError, NotTrustedError
from cartcast.events import load
from cartcast.live.event import Event
from cartcast.live.model import load_scorer
from cartcast.live.parity import Difference, Disturbance, Parity, parity, require_parity
from cartcast.live.problems import Problem
from cartcast.live.scorer import Past
from cartcast.live.service import Live
from cartcast.live.session import Rules
from cartcast.live.state import MemoryStore
from cartcast.models.persist import load_all
from cartcast.rows import typed


def test_scores_equal_the_python_model(small_run: Path) -> None:
    scorer = load_scorer(small_run)
    log = load(small_run.parent / "shop.parquet")
    table = scorer.features.replay(log, at="every click").to_pandas().head(400)
    names, words = scorer.features.names, scorer.features.categorical
    X = typed(table, names, words)
    run = json.loads((small_run / "run.json").read_text())
    truth = load_all(small_run / "model", run["model_manifest"])["champion"].predict_proba(X)[:, 1]
    rows = [
        {n: (None if v is None or v != v else v) for n, v in zip(names, row, strict=True)}
        for row in X[list(names)].itertuples(index=False)
    ]
    live = np.array([scorer.score_row(row).p_buy for row in rows])
    assert np.abs(live - truth).max() <= 1e-9


def test_the_state_travels_as_bytes_and_copies_are_apart(small_run: Path) -> None:
    scorer, other = load_scorer(small_run), load_scorer(small_run)
    state = scorer.start(Past(2, {"purchase": 1}, 1_700_000_000_000_000))
    for n in range(12):
        event = Event("view_item", 1_700_100_000_000_000 + n * 10**7, "v", category=f"c{n % 3}",
                      item_id=f"i{n}", price=float(n))  # fmt: skip
        state = scorer.step(state, event)
    values, score = scorer.values(state), scorer.score(state)
    assert (values["earlier_sessions"], values["earlier_purchases"]) == (2, 1)
    assert values["last_category"] == "c2"
    again = other.load(scorer.dump(state))
    assert (other.values(again), other.score(again)) == (values, score)
    copied = scorer.copy(state)
    scorer.step(copied, event)
    assert scorer.values(state) == values
    assert scorer.values(copied)["clicks"] == 13
    reasons = scorer.reasons(state, 3)
    assert len(reasons) == 3
    assert abs(reasons[0].effect) >= abs(reasons[2].effect) > 0


def test_states_and_models_of_other_features_are_refused(
    small_run: Path, another_run: Path, foreign_run: Path
) -> None:
    scorer, other, foreign = map(load_scorer, (small_run, another_run, foreign_run))
    live = Live(scorer, MemoryStore(scorer, Rules(), durability="none"))
    live.take(other)
    assert live.scorer.version == other.version
    with pytest.raises(NotTrustedError):
        live.take(foreign)
    with pytest.raises(NotTrustedError):
        foreign.load(scorer.dump(scorer.start()))


@pytest.mark.parametrize(
    ("change", "field"),
    [({"clicks": "x"}, "clicks"), ({"nope": 1}, "nope"), ({"device": 3.0}, "device")],
)
def test_rows_that_do_not_fit_are_named(small_run: Path, change: Any, field: str) -> None:
    scorer = load_scorer(small_run)
    row = dict.fromkeys(scorer.features.names) | change
    with pytest.raises(Problem) as caught:
        scorer.score_row(row)
    assert caught.value.field == field
    with pytest.raises(Problem, match="must be given"):
        scorer.score_row({})


def test_a_changed_model_file_is_refused(small_run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "run"
    shutil.copytree(small_run, copied)
    path = copied / "model" / "champion.arrays" / "arrays.json"
    path.write_text(path.read_text().replace("0.1", "0.2", 1))
    with pytest.raises(NotTrustedError):
        load_scorer(copied)


def test_live_features_are_the_batch_features_through_disorder_repeats_and_restarts(
    small_run: Path,
) -> None:
    shop = small_run.parent / "shop.parquet"
    way = Disturbance(disorder=90.0, repeats=0.05, restarts=2)
    result = parity([shop], small_run, disturbance=way)
    assert result.equal, result.features
    assert (result.max_difference, result.restarts) == (0.0, 2)
    assert result.late > 100
    assert result.repeats > 20
    require_parity(result)


def test_a_sessionless_log_is_put_into_the_same_sessions(small_run: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(small_run.parent / "shop.parquet")
    kept = [c for c in table.column_names if c not in ("session_id", "event_order")]
    pq.write_table(table.select(kept).replace_schema_metadata(), tmp_path / "bare.parquet")
    result = parity([tmp_path / "bare.parquet"], small_run, disturbance=Disturbance(60.0, 0.02))
    assert result.equal, result.features
    assert result.rows > 1000


def test_a_difference_blocks() -> None:
    one = Difference("clicks", 3, 0.5, 0.0)
    with pytest.raises(BlockedError, match=r"3 cells differ \(most in 'clicks'"):
        require_parity(Parity(10, 3, 0, 0, 0.5, 0.5, 1e-9, (one,)))
