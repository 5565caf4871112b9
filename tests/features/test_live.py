"""Live states: bytes, merging, history, refusals; and hashes equal in bulk and live."""

from __future__ import annotations

import datetime as dt
import random
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings

from cartcast import features as F
from cartcast.errors import DataError, DefinitionError, NotTrustedError
from cartcast.features.encode import hash_array
from cartcast.features.kernels.words import NOTHING, hash_text

sys.path.insert(0, str(Path(__file__).parent))
from logs import EVERYTHING, differences, logs


def after(features, events, history=None):
    state = features.start(history)
    for event in events:
        state = features.step(state, event)
    return state


EVENT = {"event_time": dt.datetime(2026, 1, 1, 12), "event_type": "search", "price": 2.0}


def test_a_state_is_never_changed_by_step():
    features = F.FeatureSet(n=F.Count(), items=F.NUnique("item_id"), m=F.Mode("item_id"))
    state = after(features, [{"item_id": f"i{k}"} for k in range(9)])
    before = features.dump(state)
    features.step(state, {"item_id": "x"})
    assert features.dump(state) == before
    assert features.value(state) == {"n": 9.0, "items": 9.0, "m": "i0"}


def test_before_the_first_event_all_is_empty():
    found = EVERYTHING.value(EVERYTHING.start())
    zero = {
        "n",
        "priced",
        "carts",
        "items",
        "prices",
        "revisits",
        "repeats",
        "cheap",
        "dear",
        "viewed_then_carted",
        "total",
    }
    assert {name for name, v in found.items() if v == 0} >= zero
    assert {name for name, v in found.items() if v is not None} - zero <= {"fading_carts"}


def test_a_state_of_another_set_is_refused_by_its_fingerprint():
    a, b = F.FeatureSet(n=F.Count()), F.FeatureSet(n=F.Count("price"))
    with pytest.raises(NotTrustedError, match=a.fingerprint[:12]):
        b.load(a.dump(a.start()))


@pytest.mark.parametrize("damage", [b"", b"xx", b"CCS1" + bytes(60)])
def test_bytes_that_are_no_state(damage):
    features = F.FeatureSet(n=F.Count())
    with pytest.raises(NotTrustedError):
        features.load(damage)


def test_a_flipped_bit_is_noticed():
    features = F.FeatureSet(n=F.Count(), m=F.NUnique("item_id"))
    data = bytearray(features.dump(after(features, [{"item_id": str(k)} for k in range(50)])))
    for place in random.Random(1).sample(range(36, len(data)), 20):
        hurt = bytearray(data)
        hurt[place] ^= 4
        with pytest.raises(NotTrustedError):
            features.load(bytes(hurt))


def test_words_that_a_kernel_would_follow_are_looked_over():
    """A checksum tells damage, not intent: any word may come, and none may lead a kernel astray."""
    features = F.FeatureSet(
        i=F.NUnique("item_id"), m=F.Mode("item_id"), w=F.CountWithin(1e6),
        a=F.Mean(F.AboveAverage("price", by="item_id")),
    )  # fmt: skip
    events = [{"item_id": f"i{k % 40}", "price": float(k), "event_time": k} for k in range(60)]
    data = features.dump(after(features, events))
    head = 48 + int.from_bytes(data[44:48], "little")
    words = np.frombuffer(data[head:], np.int64)
    rng, refused, handle = random.Random(3), 0, F.program(features)
    for _ in range(150):
        hurt = words.copy()
        for _ in range(rng.choice([1, 1, 3])):
            place = rng.randrange(features.program.words + 48 if rng.random() < 0.8 else len(hurt))
            hurt[place] = rng.choice(
                [-1, 1, 2**40, NOTHING, rng.randrange(4000), rng.choice(words)]
            )
        body = data[44:head] + hurt.tobytes()
        sealed = data[:36] + xxhash.xxh64_digest(body)[::-1] + body
        try:
            state = features.load(sealed)
        except NotTrustedError:
            refused += 1
            continue
        for k in range(60):
            event = {"item_id": f"j{k}", "price": 1.0, "event_time": 60 + k}
            handle.step(handle.encode(event), state)
    assert 50 < refused < 150


def test_a_stored_state_brings_its_texts_to_another_process():
    features = F.FeatureSet(c=F.Last("category"), m=F.Mode("brand"))
    data = features.dump(after(features, [{"category": "łóżka", "brand": "a"}, {"brand": "b"}]))
    from cartcast.features import live

    live._handles.made.cache_clear()
    state = features.step(features.load(data), {"brand": "b"})
    assert features.value(state) == {"c": "łóżka", "m": "b"}


def test_history_is_taken_in_on_the_first_event_and_stored_before_it():
    features = F.FeatureSet(
        s=F.EarlierSessions(), p=F.EarlierPurchases(), d=F.DaysSinceLastSession()
    )
    time = F.microseconds(EVENT["event_time"])
    known = F.History(2, time - 86_400_000_000, {"purchase": 1})
    state = features.load(features.dump(features.start(known)))
    state = features.step(features.step(state, EVENT), EVENT | {"event_type": "purchase"})
    assert features.value(state) == {"s": 2.0, "p": 1.0, "d": 1.0}
    new = features.value(after(features, [EVENT], F.History()))
    assert new == {"s": 0.0, "p": 0.0, "d": None}
    assert features.value(after(features, [EVENT])) == {"s": None, "p": None, "d": None}


MERGEABLE = EVERYTHING.only(
    ["n", "priced", "carts", "spend", "low", "high", "mean", "spread", "first", "last",
     "last_price", "first_price", "items", "prices", "revisits", "share", "cheap", "cart",
     "seconds", "since_cart", "since_first_view", "hour", "month", "sessions", "days"]
)  # fmt: skip


@settings(max_examples=30, deadline=None, derandomize=True)
@given(log=logs(max_events=30))
def test_merged_parts_equal_the_whole(log):
    session = [e for e in log if e["session_id"] == log[0]["session_id"]]
    past = F.History()
    for cut in {0, 1, len(session) // 2, len(session)}:
        earlier = after(MERGEABLE, session[:cut], past)
        later = after(MERGEABLE, session[cut:], None if cut else past)
        merged = MERGEABLE.merge(earlier, later)
        whole = after(MERGEABLE, session, past)
        assert differences([MERGEABLE.value(merged)], [MERGEABLE.value(whole)], session) == []


def test_merging_what_depends_on_the_seam_is_refused():
    features = F.FeatureSet(n=F.Count(), dwell=F.Mean(F.Gap()))
    with pytest.raises(DefinitionError, match="'dwell'"):
        features.merge(features.start(), features.start())


@pytest.mark.parametrize(
    "event",
    [
        {"price": "5"},
        {"price": 10**400},
        {"event_time": "yesterday"},
        {"event_time": 1.5},
        {"event_time": 2**63},
        {"event_type": 3},
        {"event_type": [3]},
        {"event_type": "half \ud83d"},
        {"own": [1]},
        {"own": "half \ud83d"},
    ],
)
def test_wrong_values_are_refused(event):
    features = F.FeatureSet(
        a=F.Sum("price"), b=F.SecondsInSession(), c=F.Count(where=F.Eq("event_type", "search")),
        d=F.NUnique("own"),
    )  # fmt: skip
    with pytest.raises(DataError):
        features.step(features.start(), EVENT | event)


@pytest.mark.parametrize("seconds", ["1", float("inf"), 1e300, 10**400])
def test_wrong_seconds_are_refused_live_and_in_bulk(seconds):
    features = F.FeatureSet(s=F.SecondsInSession())
    with pytest.raises(DataError, match="session_seconds"):
        features.step(features.start(clock="session"), {"session_seconds": seconds})
    if isinstance(seconds, float):
        with pytest.raises(DataError, match="session_seconds"):
            features.replay(pa.table({"session_id": ["a"], "session_seconds": [seconds]}))


def test_indices_beyond_their_dictionary_are_refused():
    """Another library may hand over what Arrow itself would not make."""
    wrong = pa.DictionaryArray.from_arrays(pa.array([0, 7]), pa.array(["x"]), safe=False)
    for name in ("session_id", "item_id"):
        log = pa.table({"session_id": ["a", "b"]} | {name: wrong})
        with pytest.raises(DataError, match="beyond its dictionary"):
            F.FeatureSet(i=F.NUnique("item_id")).replay(log)


def test_times_in_all_forms_are_the_same():
    features = F.FeatureSet(h=F.Hour(), s=F.SecondsInSession())
    utc = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    forms = [utc, utc.replace(tzinfo=None), "2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00",
             np.datetime64("2026-01-01T12:00:00"), int(utc.timestamp() * 1e6)]  # fmt: skip
    for form in forms:
        state = features.step(features.start(), {"event_time": form})
        assert features.value(state) == {"h": 12.0, "s": 0.0}


def test_the_handle_gives_the_values_after_each_step():
    handle = F.program(F.default)
    state, pure = handle.start(F.History()), F.default.start(F.History())
    for k in range(30):
        event = EVENT | {"item_id": f"i{k % 7}", "category": "c", "country": "PL"}
        vector = handle.step(handle.encode(event), state)
        pure = F.default.step(pure, event)
        truth = F.default.value(pure)
        assert handle.decode(state) == truth
        numbers = [np.nan if isinstance(v, str) or v is None else v for v in truth.values()]
        np.testing.assert_array_equal(vector, numbers)
    assert handle.texts(state) == {n: truth[n] for n in F.default.categorical}


def test_hashes_in_bulk_equal_hashes_live_at_every_length():
    rng = random.Random(5)
    texts = ["".join(rng.choice("abcdefgh żółć€😀") for _ in range(n)) for n in range(150)]
    for array in (pa.array([*texts, None]), pa.array([*texts, None], pa.large_string()),
                  pa.array(["x", *texts, None])[1:]):  # fmt: skip
        out = np.empty(len(array), np.int64)
        hash_array(array, out)
        assert out.tolist() == [*map(hash_text, texts), NOTHING]
