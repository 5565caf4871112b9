"""The same rows from Spark as from this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cartcast import features as F
from cartcast.errors import UsageError

sys.path.insert(0, str(Path(__file__).parent))
from logs import EVERYTHING, table
from test_replay import long_log

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]
KEYS = [("session_id", "ascending"), ("event_order", "ascending")]


@pytest.fixture(scope="module", autouse=True)
def small_batches(spark):
    """Several batches of rows a task, as a large log has."""
    before = spark.conf.get("spark.sql.execution.arrow.maxRecordsPerBatch")
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "300")
    yield
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", before)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    rows = long_log(6000, sessions=700)
    for k, row in enumerate(rows):
        row["visitor_id"] = None if k % 97 == 0 else f"v{int(row['session_id'][1:]) % 50}"
        row["event_type"] = ("view_item", "add_to_cart", "purchase", "search")[k % 4]
        row["category"] = (None, "a", "ż")[k % 3]
        row["utc_offset"] = -420 if k < 3000 else -480
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(table(rows), path, row_group_size=1000)
    return path


@pytest.mark.parametrize("at", ["every click", [1, 3]])
def test_spark_gives_the_same_rows(spark, log, at):
    here = EVERYTHING.replay(log, at=at).sort_by(KEYS)
    there = EVERYTHING.replay(log, at=at, engine="spark").sort_by(KEYS)
    assert there.num_rows == here.num_rows
    assert there.cast(here.schema).equals(here)


def test_spark_writes_finished_sessions(spark, log, tmp_path):
    out = tmp_path / "features"
    features = F.default
    assert features.replay(log, at="end", engine="spark", out=out) == out
    assert (out / "_SUCCESS").exists()
    here = features.replay(log, at="end").sort_by("session_id")
    there = pq.read_table(out).sort_by("session_id")
    assert there.cast(here.schema).equals(here)
    with pytest.raises(UsageError, match="exists"):
        features.replay(log, at="end", engine="spark", out=out)


def test_spark_scores(spark, log):
    from cartcast.features import spark as engine

    features = F.FeatureSet(n=F.Count())
    made = engine.frame(features, spark.read.parquet(str(log)), "end")
    scored = engine.score(made, lambda: lambda t: {"p": t["n"] / 100}, {"p": "double"})
    for row in scored.collect():
        assert row.p == row.n / 100
