"""A feature in three lines, and everywhere: replay, chosen clicks, finished sessions, live."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cartcast import features as F
from cartcast.errors import DefinitionError

sys.path.insert(0, str(Path(__file__).parent))
from logs import table
from test_replay import long_log

YAML = """features:
  cheap: {count: {where: {below: {price: 20}}}}
  clicks: count
"""


@pytest.fixture
def files(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(YAML)
    log = tmp_path / "log.parquet"
    pq.write_table(table(long_log(60, sessions=4)), log)
    return mine, log


def test_three_lines_of_yaml_or_python_appear_in_all_faces(files, tmp_path):
    mine, log = files
    declared = F.FeatureSet(
        cheap=F.Count(where=F.Below("price", 20)),
        clicks=F.Count(),
    )
    features = F.load_set(str(mine))
    assert features == declared
    rows = [e for e in long_log(60, sessions=4) if e["session_id"] == "s0"]
    truth = float(sum(e["price"] < 20 for e in rows))
    by_end = {r["session_id"]: r for r in features.replay(log, at="end").to_pylist()}
    assert by_end["s0"]["cheap"] == truth
    every = [r["cheap"] for r in features.replay(log).to_pylist() if r["session_id"] == "s0"]
    assert every[-1] == truth
    state = declared.start()
    for event in rows:
        state = declared.step(state, event)
    assert declared.value(state)["cheap"] == truth
    assert declared.value(declared.load(declared.dump(state)))["cheap"] == truth
    assert F.FeatureSet.from_yaml(declared_file(declared, tmp_path)) == declared
    out = features.replay(log, at=[1, 3], out=tmp_path / "out.parquet")
    assert pq.read_schema(out).names == ["session_id", "event_order", "click", "cheap", "clicks"]


def declared_file(features, folder):
    path = folder / "again.yaml"
    features.to_yaml(path)
    return path


BAD = {
    "a string summed": ("  a: {sum: category}", "needs a column of numbers"),
    "a cycle": ("  a: {ratio: [b, b]}\n  b: {ratio: [a, a]}", "cycle: a -> b -> a"),
    "a duplicate name": ("  a: count\n  a: {sum: price}", "'a' is declared twice"),
    "an unknown reduction": ("  a: {summ: price}", "Did you mean 'sum'"),
    "an unknown event type": (
        "  a: {count: {where: {event_type: add_to_card}}}", "Did you mean 'add_to_cart'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_yaml_is_refused_by_name_when_it_is_declared(tmp_path, name):
    lines, words = BAD[name]
    path = tmp_path / "bad.yaml"
    path.write_text(f"features:\n{lines}\n")
    with pytest.raises(DefinitionError, match=words):
        F.load_set(str(path))


def test_an_unknown_column_is_refused_before_an_event_is_read(files, tmp_path, monkeypatch):
    from cartcast.features.source import Source

    def read(*_, **__):
        raise AssertionError("events were read")

    monkeypatch.setattr(Source, "batches", read)
    path = tmp_path / "bad.yaml"
    path.write_text("features:\n  a: {sum: prise}\n")
    with pytest.raises(DefinitionError, match="'prise'.*Did you mean 'price'"):
        F.load_set(str(path)).replay(files[1])
