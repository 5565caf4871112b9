"""Spark Structured Streaming from files, in local mode: the batch table, also across a restart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cartcast.events import load
from cartcast.live.model import load_scorer

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]


def test_a_stream_of_files_ends_in_the_batch_table_across_a_restart(
    spark: Any, small_run: Path, tmp_path: Path
) -> None:
    from cartcast.live.structured import scores

    log = load(small_run.parent / "shop.parquet", folder=tmp_path / "log")
    whole = log.table().slice(0, 900)
    pq.write_table(whole, tmp_path / "whole.parquet")
    features = load_scorer(small_run).features
    truth = features.replay(tmp_path / "whole.parquet", at="every click").to_pandas()

    folder, found = tmp_path / "in", {}
    folder.mkdir()

    def run() -> None:
        schema = spark.read.parquet(str(folder)).schema
        events = (
            spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).parquet(str(folder))
        )
        query = (
            scores(events, small_run, features=True)
            .writeStream.format("parquet")
            .option("path", str(tmp_path / "out"))
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        rows = spark.read.parquet(str(tmp_path / "out")).toArrow().to_pylist()
        for row in sorted(rows, key=lambda row: row["arrival"]):
            found[row["session_id"], row["click"]] = row

    def part(at: int) -> None:
        path = folder / f"{at:04d}.parquet"
        pq.write_table(whole.slice(at, 300), path)
        # Spark reads files in the order of their times, which may be equal: then the later part
        # could come first, and the earlier one be too late.
        os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))

    # The parts come out of order at the seams: late events, put in their place.
    part(0)
    part(300)
    run()
    seen = len(found)
    part(600)
    run()
    assert 0 < seen < len(truth) == len(found)
    events = whole.to_pandas()
    purchases = events[events["event_type"] == "purchase"]
    bought = purchases.groupby("session_id")["event_order"].min().to_dict()
    for row in truth.to_dict("records"):
        live = found[row["session_id"], row["click"]]
        for name in features.names:
            value = None if row[name] is None or row[name] != row[name] else row[name]
            assert live[name] == (pytest.approx(value, abs=1e-9) if value is not None else None)
        if row["event_order"] >= bought.get(row["session_id"], np.inf):
            assert live["p_buy"] is None
        else:
            assert 0 <= live["p_buy"] <= 1
    assert bought
