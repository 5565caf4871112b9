"""The table of units that Spark measures is the one of DuckDB, row for row."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast.errors import DataError, DefinitionError, UsageError
from cartcast.events import load
from cartcast.events.log import read_metadata, write_metadata
from cartcast.events.spark.session import from_arrow
from cartcast.experiments.measure import Measured, measure
from cartcast.experiments.measure_spark import measure_spark
from cartcast.experiments.run import units_of
from cartcast.experiments.simulate import World, simulate

sys.path.insert(0, str(Path(__file__).parent))
from test_measure import PLAN, plan

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.xdist_group("spark"),
    pytest.mark.filterwarnings("ignore"),
]
MONEY = {"kind": "sum", "event": "purchase", "column": "revenue", "cap_quantile": 0.9}
CAPPED = {"quantities": {**PLAN["quantities"], "money": MONEY}, "segments": ["device"]}


@pytest.fixture(scope="module")
def made():
    return simulate(World(visitors=500, chance=0.3, doubled=0.1, other_arm=0.05, days=10), seed=8)


@pytest.fixture(scope="module")
def log(made) -> pa.Table:
    device = pa.array(["phone" if i % 3 else "desktop" for i in range(made.log.num_rows)])
    return made.log.append_column("device", device)


@pytest.fixture(scope="module")
def events(spark, log: pa.Table, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    pq.write_table(log, path, row_group_size=500)
    return spark.read.parquet(str(path)).repartition(3)


def same(here: Measured, there: Measured) -> None:
    assert there.findings == here.findings
    assert there.latest == here.latest
    for mine, theirs in ((here.units, there.units), (here.days, there.days)):
        assert theirs.schema == mine.schema
        a, b = mine.to_pandas(), theirs.to_pandas()
        # Sums of money may differ in the last digit: other rows lie beside each other.
        pd.testing.assert_frame_equal(a, b, check_exact=False, rtol=1e-14, atol=0)


def test_exposures_caps_and_segments(log, made, events) -> None:
    p = plan(**CAPPED, start="2026-03-03", end="2026-03-08")
    stranger = made.exposures.slice(9, 1).set_column(0, "unit", pa.array(["nobody"]))
    exposures = pa.concat_tables([made.exposures, stranger])
    here = measure(log, p, exposures)
    assert {f.code for f in here.findings} == {"XP102", "XP104", "XP108", "XP116", "XP119"}
    stamped = exposures["exposed"].cast(pa.timestamp("us", "Europe/Paris"))
    there = measure_spark(events, p, exposures.set_column(2, "exposed", stamped))
    same(here, there)


def test_a_clean_folder_where_the_hash_decides(spark, made, tmp_path) -> None:
    pq.write_table(made.log, tmp_path / "raw.parquet")
    clean = load(tmp_path / "raw.parquet", folder=tmp_path)
    folder = tmp_path / "parts"
    spark.read.parquet(str(clean.path)).repartition(2).write.parquet(str(folder))
    write_metadata(folder, read_metadata(clean.path))
    here = measure(clean, plan())
    units, findings = units_of(str(folder), plan())
    same(here, replace(here, units=units, findings=findings))


def test_a_frame_of_exposures_and_exposures_that_stand_in_the_log(spark, log, made, events) -> None:
    frame = made.exposures.to_pandas()
    given = spark.createDataFrame(frame)
    same(measure(log, plan(), frame), measure_spark(events, plan(), given))
    seen = made.exposures.rename_columns(["visitor_id", "arm", "event_time"])
    seen = seen.append_column("experiment", pa.array(["simulated"] * seen.num_rows))
    seen = pa.concat_tables([seen.slice(0, 0), seen])
    ids = pa.array(range(seen.num_rows)).cast(pa.string())
    whole = pa.concat_tables(
        [log, seen.append_column("session_id", ids)], promote_options="default"
    )
    same(measure(whole, plan()), measure_spark(from_arrow(spark, whole), plan()))
    # Spark alone would stop at the first piece without rows.
    assert from_arrow(spark, seen).count() == seen.num_rows > 0


def test_what_cannot_be_measured_is_told_alike(spark, made, log, events) -> None:
    wrong = [
        (DefinitionError, plan(quantities={}), made.exposures),
        (DataError, plan(start="2030-01-01"), made.exposures),
        (DataError, plan(), made.exposures.drop_columns(["exposed"])),
        (UsageError, plan(unit="user"), made.exposures),
        (UsageError, plan(segments=["colour"]), made.exposures),
    ]
    for kind, p, exposures in wrong:
        said = []
        for how, source in ((measure, log), (measure_spark, events)):
            with pytest.raises(kind) as refused:
                how(source, p, exposures)
            said.append(str(refused.value))
        assert said[0] == said[1]
    with pytest.raises(DataError, match="texts or whole numbers, it holds double"):
        measure_spark(events, plan(unit="price"), made.exposures)
