"""Candidates: every word and column is offered, or its omission explained; live equals batch."""

from __future__ import annotations

import random

import pytest

from cartcast.errors import DataError, DefinitionError
from cartcast.events import load
from cartcast.features import EarlierWords, FeatureSet
from cartcast.features.candidates import propose

HEAD = "visitor_id,session_id,event_time,event_type,kind,seconds,code,token,same,empty\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log in words of its own; `kind` is text, `seconds` and `code` numbers, `token` an id."""
    draw, lines = random.Random(7), [HEAD]
    for s in range(150):
        for k in range(draw.randint(1, 9)):
            word = draw.choice(["blick", "suche", "korb hinein", "hilfe?"])
            lines.append(
                f"v{s // 3},s{s},2025-03-{1 + s // 8:02d} 1{s % 8}:{k:02d}:{draw.randint(0, 59):02d},{word},"
                f"{draw.choice(['alt', 'neu', 'ß', ''])},{draw.random() * 40:.2f},{draw.randint(1, 4)},"
                f"t{draw.random()},x,\n"
            )
    folder = tmp_path_factory.mktemp("own words")
    (folder / "log.csv").write_text("".join(lines), encoding="utf-8")
    (folder / "layout.yaml").write_text(
        "name: own\ncolumns: {visitor_id: visitor_id, session_id: session_id, "
        "event_time: event_time, event_type: event_type}\nnumbers: [seconds, code]\n"
    )
    return load(folder / "log.csv", layout=str(folder / "layout.yaml"), folder=folder / "clean")


@pytest.fixture(scope="module")
def offered(log):
    return propose(log)


def test_every_word_and_column_is_read_or_left_out_with_the_reason(log, offered):
    read = set(offered.features.lineage.columns)
    assert {"source_event", "kind", "seconds", "code"} <= read
    assert set(offered.words.values()) == {"blick", "suche", "korb hinein", "hilfe?"}
    assert "id" in offered.left_out["token"]
    assert "same value" in offered.left_out["same"]
    assert offered.left_out["empty"] == "has no value"
    earlier = {repr(f) for f in offered.features.features.values() if "Earlier" in repr(f)}
    assert "EarlierWords('source_event', 'korb hinein')" in earlier
    assert set(offered.reasons) == set(offered.features.names)
    outcome = {"order_id", "order_value", "revenue", "tax", "shipping", "discount"}
    assert not read & outcome
    assert not outcome & set(offered.left_out)


def test_a_number_of_the_whole_session_may_be_its_total_and_is_not_read(tmp_path):
    """As visits of some exports hold their pages and transactions: no click knows them yet."""
    draw = random.Random(3)
    lines = ["visitor_id,session_id,event_time,event_type,pages,pages_as_text,browser\n"]
    for s in range(120):
        count, browser = draw.randint(1, 9), draw.choice(["fox", "owl"])
        lines += [
            f'v{s},s{s},2025-03-{1 + s // 8:02d} 10:{k:02d}:00,view_item,{count},"{count}.0",{browser}\n'
            for k in range(count)
        ]
    (tmp_path / "log.csv").write_text("".join(lines))
    own = propose(load(tmp_path / "log.csv", folder=tmp_path / "clean"))
    assert "browser" in own.features.lineage.columns
    for column in ("pages", "pages_as_text"):
        assert "may be a total" in own.left_out[column]
        assert column not in own.features.lineage.columns


def test_scales_are_those_of_the_log(tmp_path, log):
    """The same log ten times slower gets scales ten times as long."""
    table = log.table().to_pandas()
    begin = table.groupby("session_id")["event_time"].transform("min")
    slow = table.assign(event_time=begin + 10 * (table["event_time"] - begin))
    slow[["visitor_id", "session_id", "event_time", "event_type"]].to_csv(tmp_path / "slow.csv")
    fast, late = propose(log), propose(load(tmp_path / "slow.csv", folder=tmp_path / "clean"))

    def scales(found):
        return [
            float(n.split("_")[2][:-1]) for n in found.features.names if n[:15] == "clicks_decayed_"
        ]

    assert scales(late) == [10 * s for s in scales(fast)]


def test_a_set_read_back_from_its_yaml_is_the_same(offered):
    from cartcast.features.form import parse
    from cartcast.yamlfile import parse_yaml

    assert parse(parse_yaml(offered.features.to_yaml(), "the set")) == offered.features


def test_live_equals_batch(log, offered):
    features: FeatureSet = offered.features
    batch = features.replay(log, at="every click").to_pandas()
    events = log.table().to_pandas()
    for session in ("s0", "s77", "s149"):
        state = features.start(clock=log.clock)
        own = events[events["session_id"] == session].sort_values("event_order")
        rows = batch[batch["session_id"] == session].sort_values("event_order")
        for event, expected in zip(own.to_dict("records"), rows.to_dict("records"), strict=True):
            state = features.step(state, {k: v for k, v in event.items() if v == v})
            for name, value in features.value(state).items():
                if "earlier" in name or name == "days_since_last_session":
                    continue  # the visitor's past is not told here
                want = expected[name]
                assert (
                    value == pytest.approx(want)
                    or (value is None and want != want)
                    or (value == want)
                ), name


def test_four_thousand_words_stay_within_the_bound(tmp_path):
    lines = ["visitor_id,session_id,event_time,event_type"]
    for s in range(2000):
        lines += [
            f"v{s},s{s},2025-03-01 10:{s % 60:02d}:{k:02d},w{(7 * s + k) % 4000}" for k in range(4)
        ]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    found = propose(load(tmp_path / "log.csv", folder=tmp_path / "clean"), most=100)
    assert 5 < len(found.features) <= 100


def test_a_log_of_purchases_only_is_refused(tmp_path):
    lines = ["visitor_id,session_id,event_time,event_type,order_id,revenue"]
    lines += [f"v{s},s{s},2025-03-01 10:00:{s % 60:02d},purchase,o{s},5" for s in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="no event but purchases"):
        propose(load(tmp_path / "log.csv", folder=tmp_path / "clean"))


def test_event_types_have_a_count_of_their_own() -> None:
    with pytest.raises(DefinitionError, match="EarlierEvents"):
        EarlierWords("event_type", "search")
