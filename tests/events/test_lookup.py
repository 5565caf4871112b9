"""A long log that lies in the order of its times is written as it lies, by several threads."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from cartcast import events

EVENTS, GROUP = 300_000, 5
"""More rows than the engine writes at once, so that rows could change places."""


def shop_file(path: Path, first: int, last: int, more: str) -> Path:
    """Sessions one after the other, five events at one moment; some rows without a time."""
    duckdb.sql(
        f"SELECT 'v' || (i // {3 * GROUP}) AS visitor_id, 's' || (i // {GROUP}) AS session_id, "
        f"strftime(TIMESTAMP '2025-03-01' + to_seconds(i // {GROUP}), '%Y-%m-%d %H:%M:%S') AS event_time, "
        f"CASE WHEN i % {GROUP} = 4 THEN 'order completed' ELSE 'Product-Viewed' END AS event_type, "
        f"'i' || i AS item_id, 2.5 AS price {more} FROM range({first}, {last}) r(i)"
    ).write_csv(str(path))
    return path


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize(
    "more", ["", ", 'view' AS action, CASE i % 3 WHEN 0 THEN 'na' END AS brand"]
)
def test_rows_keep_their_places(tmp_path, files, more):
    step = EVENTS // files
    paths = [shop_file(tmp_path / f"{k}.csv", k * step, (k + 1) * step, more) for k in range(files)]
    log = events.load(*paths, out=tmp_path / "log.parquet")
    found = duckdb.sql(
        f"SELECT item_id, event_order, revenue FROM '{tmp_path}/log.parquet'"
    ).fetchnumpy()
    assert found["item_id"].tolist() == [f"i{i}" for i in range(EVENTS)]
    assert found["event_order"].tolist() == [i % GROUP + 1 for i in range(EVENTS)]
    assert found["revenue"].filled(0).tolist() == [2.5 * (i % GROUP == 4) for i in range(EVENTS)]
    assert log.summary.purchases == EVENTS // GROUP


def test_a_reject_is_told_by_its_own_row(tmp_path):
    path = shop_file(tmp_path / "a.csv", 0, EVENTS, "")
    lines = path.read_text().splitlines()
    for row in (7, 150_000, 299_999):
        lines[row] = lines[row].replace("2025", "year")
    path.write_text("\n".join(lines) + "\n")
    log = events.load(path, out=tmp_path / "log.parquet")
    rejects = duckdb.sql(f"SELECT row FROM '{log.rejects}' ORDER BY 1").fetchall()
    assert [row for (row,) in rejects] == [7, 150_000, 299_999]


@pytest.mark.parametrize(("more", "tie"), [("", "place"), (", 2 * i AS event_order", "own")])
def test_rows_in_disorder_are_put_in_order(tmp_path, more, tie):
    """The engine's own sort of the same file is the truth, for text, numbers and nulls."""
    path, rows = tmp_path / "shop.parquet", 30_000
    duckdb.sql(
        f"SELECT 'v' || i // 9 AS visitor_id, 's' || i // 3 AS session_id, "
        f"TIMESTAMP '2025-03-01' + to_seconds(i // 2) AS event_time, "
        "CASE WHEN i % 7 = 0 THEN 'purchase' ELSE 'view_item' END AS event_type, "
        "CASE WHEN i % 5 > 0 THEN 'i' || i % 50 END AS item_id, (i % 11 + 0.5)::DOUBLE AS price, "
        f"i AS own {more} FROM range({rows}) r(i) ORDER BY hash(i)"
    ).write_parquet(str(path))
    log = events.load(path, out=tmp_path / "log.parquet")
    want = duckdb.sql(
        f"""
        SELECT visitor_id, session_id, event_time, event_type, item_id, price, own,
               row_number() OVER (PARTITION BY session_id ORDER BY event_time, {tie})
                   AS event_order,
               CASE event_type WHEN 'purchase' THEN price END AS revenue, 1.0 AS quantity
        FROM (SELECT *, file_row_number AS place FROM read_parquet('{path}', file_row_number = true))
        ORDER BY event_time, {tie}
        """
    ).to_arrow_table()
    found = pq.read_table(log.path)
    assert found.select(want.column_names).to_pylist() == want.to_pylist()
    assert found["known_time"].equals(found["event_time"])
    assert found["page"].null_count == rows
