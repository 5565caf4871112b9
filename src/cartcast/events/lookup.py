"""Where a row stands in its session and what it sold, looked up by the row's number.

Rows that lie in the order of their times are written as they lie. A join would shuffle them, for
the engine keeps no order across one when several threads write, and to sort a whole log again costs
more than to write it. A function that looks numbers up leaves each row in its place.
"""

from __future__ import annotations

from typing import Any

import duckdb
from duckdb.func import PythonUDFType

from cartcast.events.money import SOLD
from cartcast.events.staged import FILE_BITS

__all__ = ["look_up"]

_BATCH = 1 << 20


def look_up(con: duckdb.DuckDBPyConnection, rows: str) -> str:
    """Return SQL of `rows` with `__position`, `__revenue` and `__repeat`, each in its place.

    Args:
        con: engine connection, with the tables `placed` (every row has a place) and `sold`.
        rows: relation of the clean rows.
    """
    import numpy as np
    import pyarrow as pa

    ends = con.execute(f"SELECT __file, max(__at) + 1 FROM {rows} GROUP BY 1").fetchall()
    starts = np.zeros(max((file for file, _ in ends), default=0) + 1, np.int64)
    total = 0
    for file, end in sorted(ends):
        starts[file], total = total, total + end

    def at(numbers: Any) -> Any:
        return starts[numbers >> FILE_BITS] + (numbers & ((1 << FILE_BITS) - 1))

    position = np.zeros(total, np.int32)
    batches = con.execute("SELECT __of, __position FROM placed").to_arrow_reader(_BATCH)
    for batch in batches:
        position[at(batch.column(0).to_numpy())] = batch.column(1).to_numpy()
    sold = con.execute(f"SELECT seq, revenue, repeat FROM {SOLD} ORDER BY seq").to_arrow_table()
    seq = sold["seq"].to_numpy()
    revenue = sold["revenue"].combine_chunks()
    repeat = sold["repeat"].combine_chunks()

    def found(column: Any) -> Any:
        numbers = column.to_numpy()
        places = np.searchsorted(seq, numbers)
        held = np.zeros(len(numbers), bool)
        inside = places < len(seq)
        held[inside] = seq[places[inside]] == numbers[inside]
        index = pa.array(places, mask=~held)
        return pa.StructArray.from_arrays(
            [pa.array(position[at(numbers)]), revenue.take(index), repeat.take(index)],
            ["position", "revenue", "repeat"],
        )

    kind = duckdb.struct_type({"position": "INTEGER", "revenue": "DOUBLE", "repeat": "BOOLEAN"})
    con.create_function(
        "looked_up", found, ["BIGINT"], kind, type=PythonUDFType.ARROW, side_effects=True
    )
    return (
        "(SELECT * EXCLUDE (f), f.position AS __position, f.revenue AS __revenue, "
        f"f.repeat AS __repeat FROM (SELECT *, looked_up(__seq) AS f FROM {rows}))"
    )
