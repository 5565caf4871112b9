"""Assigning the rows of a Spark DataFrame: the arms that one machine gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cartcast.errors import DataError, did_you_mean
from cartcast.experiments.allocation import Allocation

__all__ = ["assign_spark"]


class _InArrow(NamedTuple):
    """What a worker does with batches; a class, so that Spark can send it to the workers."""

    allocation: Allocation
    column: str
    name: str

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in batches:
            arms = self.allocation.arms_of(batch.column(self.column))
            arrays = [*batch.columns, arms]
            yield pa.RecordBatch.from_arrays(arrays, names=[*batch.schema.names, self.name])


def assign_spark(frame: Any, allocation: Allocation, column: str, name: str = "arm") -> Any:
    """Return a Spark DataFrame with the arm of each row's id in one more column, lazily.

    Args:
        frame: any DataFrame.
        allocation: of the experiment.
        column: of the ids: texts or whole numbers.
        name: of the new column; null for rows that take no part.

    Raises:
        DataError: there is no such column, or there is one of the new name; while Spark runs, the
            ids are neither texts nor whole numbers.
    """
    from pyspark.sql.types import StringType, StructField, StructType

    if column not in frame.columns:
        raise DataError(f"the frame has no column {column!r}.{did_you_mean(column, frame.columns)}")
    if name in frame.columns:
        raise DataError(f"the frame has a column {name!r} already; give another name.")
    schema = StructType([*frame.schema.fields, StructField(name, StringType())])
    return frame.mapInArrow(_InArrow(allocation, column, name).__call__, schema)
