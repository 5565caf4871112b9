"""The live scorer says what the Python model says, keeps states, and is refused or taken up."""

from __future__ import annotations

import json
import shutil
import struct
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

TARGET = {"name": "purchase", "kind": "observed"}


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


def test_after_the_outcome_there_is_a_reason_and_no_probability(small_run: Path) -> None:
    """No row of training lies at or after the outcome (`moments.anchors`)."""
    scorer = load_scorer(small_run)
    before, bought, later = (
        Event(kind, 1_700_100_000_000_000 + n * 10**7, "v", item_id="i", price=5.0)
        for n, kind in enumerate(("add_to_cart", "purchase", "view_item"))
    )
    state = scorer.step(scorer.start(), before)
    assert scorer.score(state).p_buy is not None
    unmoved = scorer.copy(state)
    for event in (bought, later):
        state = scorer.step(state, event)
        for kept in (state, scorer.copy(state), scorer.unpack(scorer.pack(state)),
                     scorer.load(scorer.dump(state))):  # fmt: skip
            said = scorer.score(kept)
            assert (said.p_buy, said.revenue) == (None, None)
            assert said.why is not None
            assert "after purchase" in said.why
    assert scorer.score(unmoved).p_buy is not None
    assert scorer.score(scorer.load(scorer.dump(unmoved))).why is None


def test_a_batch_scored_in_one_call_is_as_each_session_scored_alone(small_run: Path) -> None:
    """Also where pools must grow in the middle of a queue, and after the outcome."""
    from cartcast.features import Count, FeatureSet, Mode, NUnique, Sum
    from cartcast.live.arrays import SegmentModel
    from cartcast.live.model import ModelScorer

    stored = load_scorer(small_run)
    own = FeatureSet(n=Count(), items=NUnique("item_id"), spend=Sum("price"), usual=Mode("device"))
    meta = {"counts": ["n", "items"], "shares": ["spend"], "categories": {"usual": ["mobile"]},
            "centre": {"n": 1.0, "items": 1.0}, "spread": {"n": 0.5, "items": 0.7},
            "fill": {"n": 0.0, "items": 0.0, "spend": 0.0}, "share_weight": 0.01,
            "count_weight": 1.0, "centres": [[0, 0, 0, 0], [2, 2, 1, 0.01], [4, 1, 3, 0]],
            "names": {"0": "few", "1": "some", "2": "many"}}  # fmt: skip
    scorer = ModelScorer(
        stored.run, stored.features, stored._champion, (stored._champion, 1.5),
        (own, SegmentModel(meta, own.names)), {},
    )  # fmt: skip
    states = [scorer.start() for _ in range(7)]
    told = set()
    for turn in range(20):
        for n in range(turn * 11, turn * 11 + 60):
            event = Event("purchase" if n == 200 else "view_item", 1_700_100_000_000_000 + n * 10**6,
                          "v", item_id=f"i{n * 7 % 97}", category=f"c{n % 31}", price=float(n % 5),
                          device="mobile" if n % 3 else None)  # fmt: skip
            scorer.step(states[n * n % 7], event)
        asked = states if turn % 3 else [states[turn % 7]]
        scores = scorer.scores(asked)
        # A copy is in no queue: its features are read anew, its models asked one by one.
        assert scores == [scorer.score(scorer.copy(state)) for state in asked]
        told |= {score.segment for score in scores}
    assert len(told) > 1
    assert any(state.over for state in states)


def test_an_event_that_cannot_be_packed_leaves_its_session_as_it_was(small_run: Path) -> None:
    scorer, at = load_scorer(small_run), 1_700_100_000_000_000
    own, other = scorer.start(), scorer.start()
    scorer.step(own, Event("view_item", at, "a", item_id="i", price=1.0))
    before = scorer.score(own)
    with pytest.raises(struct.error):
        scorer.step(own, Event("view_item", at + 1, "a", price="7"))  # type: ignore[arg-type]
    scorer.step(other, Event("add_to_cart", at + 2, "b", item_id="j", price=800.0))
    assert scorer.score(own) == before
    scorer.let_go()
    assert (own.queue, scorer._queue.rows.any()) == (None, False)
    assert scorer.score(own) == before


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


def leaf(trees: dict[str, list[Any]], node: int, x: Any) -> float:
    """Return the value of the leaf that a row comes to; the slow way."""
    while (column := trees["feature"][node]) >= 0:
        null, at = trees["null_left"][node], trees["threshold"][node]
        # 2: a null is read as 0.
        left = x[column] <= at if x[column] == x[column] else null == 1 or (null == 2 and at >= 0)
        node = trees["left" if left else "right"][node]
    return float(trees["value"][node])


def test_a_model_walks_its_trees_as_the_export_says() -> None:
    from cartcast.live.arrays import RowModel
    from cartcast.live.fold import Row

    random = np.random.default_rng(0)
    names = [f"f{k}" for k in range(6)]
    trees: dict[str, list[Any]] = {
        n: [] for n in ("roots", "feature", "threshold", "null_left", "left", "right", "value")
    }

    def grow(depth: int) -> int:
        at = len(trees["feature"])
        leaf = depth == 0 or random.random() < 0.2
        row = (-1 if leaf else int(random.integers(6)), random.normal(), int(random.integers(3)))
        for name, value in zip(("feature", "threshold", "null_left"), row, strict=True):
            trees[name].append(value)
        trees["value"].append(random.normal() if leaf else 0.0)
        trees["left"].append(-1)
        trees["right"].append(-1)
        if not leaf:
            # Children in either order: the layout of the export is its own.
            for name in random.permutation(["left", "right"]):
                trees[name][at] = grow(depth - 1)
        return at

    trees["roots"] = [grow(int(random.integers(9))) for _ in range(23)]
    kinds = {"threshold": np.float64, "value": np.float64, "null_left": np.uint8}
    arrays = {n: np.array(v, kinds.get(n, np.int32)) for n, v in trees.items()}
    number = {"fill": 0.0, "centre": 0.0, "spread": 1.0, "marks_null": False}
    meta = {"numbers": [{"name": n, **number} for n in names], "categories": [], "columns": names,
            "base": 0.25, "steps": [], "scale": False, "keep_nulls": True}  # fmt: skip
    model = RowModel(meta, arrays | {"weights": np.empty(0)}, names, [False] * 6)
    for _ in range(200):
        x = np.where(random.random(6) < 0.2, np.nan, random.normal(size=6))
        truth = 0.25 + sum(leaf(trees, root, x) for root in trees["roots"])
        assert model.raw(Row(x.view(np.int64), np.arange(6))) == pytest.approx(truth, abs=1e-12)


def test_texts_are_kept_by_the_sessions_that_need_them() -> None:
    from cartcast.features import FeatureSet, Last, Mode
    from cartcast.live.model import ModelScorer

    run = {"source": {"clock": "time"}, "run_id": "r", "champion": "c", "target": TARGET}
    features = FeatureSet(now=Last("category"), usual=Mode("category"), page=Last("page"))
    scorer = ModelScorer(run, features, None, None, None, {})
    state = scorer.start()
    for n in range(3000):
        event = Event("view_item", 10**15 + n, "v", item_id=f"sku-{n}", category=f"c{n % 5}",
                      page=f"/search?q={n}")  # fmt: skip
        state = scorer.step(state, event)
        assert len(state.texts) <= 32
    assert scorer.values(state) == {"now": "c4", "usual": "c0", "page": "/search?q=2999"}


def test_an_own_column_that_cannot_be_read_is_refused_before_anything_changes() -> None:
    from cartcast.features import FeatureSet, Sum
    from cartcast.live.model import ModelScorer

    run = {"source": {"clock": "time"}, "run_id": "r", "champion": "c", "target": TARGET}
    scorer = ModelScorer(run, FeatureSet(w=Sum("weight")), None, None, None, {})
    scorer.check(Event("view_item", 10**15, "v", extra={"weight": 2.0, "other": "x"}))
    with pytest.raises(Problem) as caught:
        scorer.check(Event("view_item", 10**15, "v", extra={"weight": "heavy"}))
    assert (caught.value.status, caught.value.field) == (422, "extra.weight")


def test_a_champion_with_other_segments_leaves_the_states_of_the_old_ones_alone() -> None:
    from cartcast.features import Count, Eq, FeatureSet, Mean, NUnique
    from cartcast.live.model import ModelScorer

    class Fixed:
        def probability(self, row: Any) -> float:
            return 0.5

        def name(self, row: Any) -> str:
            return "some"

    run = {"source": {"clock": "time"}, "run_id": "r", "champion": "c", "target": TARGET}
    features = FeatureSet(n=Count(), price=Mean("price"))
    small = FeatureSet(n=Count())
    large = FeatureSet(items=NUnique("item_id"), tops=Count(where=Eq("category", "tops")))
    old, new, none = (
        ModelScorer(run, features, Fixed(), None, None if s is None else (s, Fixed()), {})  # type: ignore[arg-type]
        for s in (small, large, None)
    )
    event = Event("view_item", 10**15, "v", item_id="a", category="tops", price=2.0)
    for later in (new, none):
        for way in ("as it is", "at rest", "stored"):
            state = old.step(old.start(), event)
            if way == "at rest":
                state = later.unpack(old.pack(state))
            elif way == "stored":
                state = later.load(old.dump(state))
            assert later.score(state).segment is None
            for _ in range(50):
                state = later.step(state, event)
            assert later.score(state).segment is None
            assert later.values(later.unpack(later.pack(later.copy(state))))["n"] == 51.0
    again = old.unpack(old.pack(old.step(old.start(), event)))
    assert old.score(again).segment == "some"
