"""States on desks, packed, or with arrays of their own are the same states."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from cartcast.features import FeatureSet, Last, Mode, NUnique, Sum
from cartcast.features.kernels.words import NOTHING
from cartcast.live import states
from cartcast.live.codec import pack_states, unpack_states
from cartcast.live.event import Event
from cartcast.live.model import ModelScorer

RUN = {
    "source": {"clock": "time"}, "run_id": "r", "champion": "c",
    "target": {"name": "purchase", "kind": "observed"},
}  # fmt: skip
FEATURES = FeatureSet(
    spend=Sum("price"), items=NUnique("item_id"), usual=Mode("category"), last=Last("category")
)


class Segments:
    def name(self, row: Any) -> str:
        return "some"


class Spend:
    def probability(self, row: Any) -> float:
        return float(row.in_order().view(np.float64)[0])


def _scorer(**more: Any) -> ModelScorer:
    own = FeatureSet(pages=NUnique("page"), **more)
    return ModelScorer(RUN, FEATURES, Spend(), None, (own, Segments()), {})  # type: ignore[arg-type]


def test_any_words_come_back() -> None:
    random = np.random.default_rng(3)
    out = np.zeros(9 * 4 * 1500 + 8, np.uint8)
    for n in (1, 7, 400, 1500):
        words = random.integers(-(2**63), 2**63, (4, n), dtype=np.int64)
        words >>= random.integers(0, 64, words.shape)
        words <<= random.integers(0, 64, words.shape)
        words[random.random(words.shape) < 0.4] = 0
        words[random.random(words.shape) < 0.2] = NOTHING
        words[random.random(words.shape) < 0.1] = words[2, 0]
        words[1:4:2, 0] = n
        size = pack_states(*words, out)
        assert 0 < size < 9 * words.size + 8
        assert pack_states(*words, out[: 9 * words.size + 7]) == -1
        found = np.zeros((4, n), np.int64)
        assert unpack_states(out[:size], found[0], found[1, :-1], found[2], found[3]) == n
        assert not found.any()
        assert not unpack_states(out[:size], *found)
        assert (found == words).all()


def _event(n: int, visitor: int) -> Event:
    return Event(
        "view_item", 10**15 + n, f"v{visitor}", item_id=f"i{n * 7919 % 311}", page=f"p{n % 97}",
        category=f"c{n % (visitor + 2)}", price=n / 7,
    )  # fmt: skip


@pytest.mark.parametrize("large", [0, 150, 10_000])
def test_sessions_that_take_turns_on_few_desks_are_those_that_have_their_own(
    monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    """At 0 words no session is packed, at 10,000 each is, at 150 those that grow no longer are."""
    plenty = _scorer()
    monkeypatch.setattr(states, "DESKS", 3)
    monkeypatch.setattr(states, "LARGE", large)
    few = _scorer()
    there, here = ([s.start() for _ in range(9)] for s in (plenty, few))
    copies = []
    for n in range(400):
        who = n * 5 % 9
        plenty.step(there[who], _event(n, who))
        few.step(here[who], _event(n, who))
        if n == 200:
            copies = [few.copy(state) for state in here]
            expected = [plenty.values(state) for state in there]
    assert [few.values(state) for state in here] == [plenty.values(state) for state in there]
    assert [few.values(state) for state in copies] == expected
    assert few.values(few.load(few.dump(here[4]))) == plenty.values(there[4])
    packed = [state.data is not None for state in here]
    assert (sum(packed) >= 6) == (large > 150)
    assert any(packed) == (large > 150)
    for state in here:
        held = None if state.open is None else state.open.states
        least = len(state.data or b"") if held is None else sum(p.words.nbytes for p in held)
        assert state.desks.weight(state) > least > 0


def test_a_state_without_segments_keeps_its_desk_in_a_scorer_with_them() -> None:
    """After a champion with other segments has taken over, and after a restart on it."""
    former, champion = _scorer(), _scorer(spent=Sum("price"))
    state = former.start()
    for n in range(20):
        former.step(state, _event(n, 0))
    # What waits in the former's queue is folded before the champion reads.
    assert champion.score(state).p_buy == sum(n / 7 for n in range(20))
    for taken in (state, champion.load(former.dump(state))):
        champion.step(taken, _event(20, 0))
        desk = taken.open
        champion.step(taken, _event(21, 0))
        assert taken.open is desk is not None


def test_a_snapshot_takes_no_session_off_its_desk() -> None:
    scorer = _scorer()
    states_ = [scorer.start() for _ in range(5)]
    for n in range(25):
        scorer.step(states_[n % 5], _event(n, n % 5))
    copies = [scorer.copy(state) for state in states_]
    desks = [state.open for state in states_]
    assert [scorer.dump(c) for c in copies] == [scorer.dump(s) for s in states_]
    assert [c.open for c in copies] == [None] * 5
    assert [state.open for state in states_] == desks


def test_a_session_that_is_gone_is_not_kept_by_its_desk() -> None:
    scorer = _scorer()
    state = scorer.start()
    scorer.step(state, _event(0, 0))
    scorer.step(other := scorer.start(), _event(1, 1))
    gone = weakref.ref(state)
    del state
    assert scorer.score(other).why is None
    scorer.step(other, _event(2, 1))
    gc.collect()
    assert gone() is None
    assert scorer.values(other)
