"""A column means the same in CSV, Parquet and memory, of any type, unit and library."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from cartcast.errors import DataError
from cartcast.rows import read_table
from cartcast.rows.columns import Meaning, read_column, words_of

MOMENT = dt.datetime(2024, 5, 1, 12, 30, 45)
WHOLE = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]  # fmt: skip
UNITS = ("s", "ms", "us", "ns")
ZONES = (None, "UTC", "Europe/Berlin")

COLUMNS: dict[str, tuple[pa.Array, list[Any], str]] = {
    **{str(t): (pa.array([3, None, 100], t), [3.0, None, 100.0], "number") for t in WHOLE},
    "float16": (pa.array(np.array([0.5, np.nan, 2.0], np.float16)), [0.5, None, 2.0], "number"),
    "float32": (pa.array([0.1, None, 1e-7], pa.float32()), [0.1, None, 1e-7], "number"),
    "float64": (pa.array([0.1 + 0.2, None, -1e300]), [0.1 + 0.2, None, -1e300], "number"),
    "decimal": (pa.array([Decimal("1.10"), None, Decimal("-2.25")]), [1.1, None, -2.25], "number"),
    "bool": (pa.array([True, None, False]), [1.0, None, 0.0], "number"),
    "date32": (pa.array([MOMENT.date(), None, MOMENT.date()]), [dt.datetime(2024, 5, 1), None, dt.datetime(2024, 5, 1)], "time"),
    "date64": (pa.array([MOMENT.date(), None, MOMENT.date()], pa.date64()), [dt.datetime(2024, 5, 1), None, dt.datetime(2024, 5, 1)], "time"),
    **{
        f"timestamp {unit} {zone}": (
            pa.array([MOMENT, None, MOMENT + dt.timedelta(days=400)], pa.timestamp(unit, zone)),
            [MOMENT, None, MOMENT + dt.timedelta(days=400)],
            "time",
        )
        for unit in UNITS
        for zone in ZONES
    },
    **{
        f"duration {unit}": (
            pa.array([dt.timedelta(days=2, seconds=61), None, dt.timedelta(seconds=-1)], pa.duration(unit)),
            [2 * 86400.0 + 61, None, -1.0],
            "number",
        )
        for unit in UNITS
    },
    "time32": (pa.array([dt.time(12, 30, 45), None, dt.time(0, 0, 1)], pa.time32("s")), [45045.0, None, 1.0], "number"),
    "time64": (pa.array([dt.time(12, 30, 45), None, dt.time(0, 0, 1)], pa.time64("us")), [45045.0, None, 1.0], "number"),
    "string": (pa.array(["b", None, "a, \"c\""]), ["b", None, 'a, "c"'], "word"),
    "large string": (pa.array(["b", None, "ä"], pa.large_string()), ["b", None, "ä"], "word"),
    "string of numbers": (pa.array(["1.5", None, "2"]), [1.5, None, 2.0], "number"),
    "dictionary": (pa.array(["b", None, "a"]).dictionary_encode(), ["b", None, "a"], "word"),
    "dictionary of numbers": (pa.array([4, None, 7]).dictionary_encode(), [4.0, None, 7.0], "number"),
    "null": (pa.nulls(3), [None, None, None], "word"),
    "all null double": (pa.nulls(3, pa.float64()), [None, None, None], "word"),
    "long ids": (pa.array([2**53 + 1, None, 2**53 + 2]), [str(2**53 + 1), None, str(2**53 + 2)], "word"),
}  # fmt: skip


def forms(table: pa.Table, folder: Path) -> Iterator[tuple[str, Any]]:
    """Every form of a table that its library can make."""

    def write(name: str, make: Callable[[Path], Any]) -> Iterator[tuple[str, Any]]:
        path = folder / name
        make(path)
        yield name, path

    yield "arrow", table
    plain, frame = table.to_pandas(), pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    yield "pandas", plain
    yield "pandas, repeated index", plain.set_axis([0] * len(plain))
    yield "pandas on arrow", table.to_pandas(types_mapper=pd.ArrowDtype)
    yield "pandas, objects", plain.astype(object)
    yield "polars", frame
    yield "polars, lazy", frame.lazy()
    yield from write("arrow.parquet", lambda p: pq.write_table(table, p))
    yield from write("pandas.parquet", lambda p: plain.to_parquet(p))
    yield from write("polars.parquet", lambda p: frame.write_parquet(p))
    yield from write("pandas.csv", lambda p: plain.to_csv(p, index=False))
    yield from write("semicolon.csv", lambda p: plain.to_csv(p, index=False, sep=";"))
    if pl.Duration not in frame.dtypes:
        yield from write("polars.csv", lambda p: frame.write_csv(p))
    yield from write("pandas.csv.gz", lambda p: plain.to_csv(p, index=False))


# A file that a library cannot write, or writes as something else, proves nothing of the reading.
UNWRITTEN = {
    ("float32", "pandas, objects"),
    ("float16", "pandas.csv"), ("float16", "semicolon.csv"), ("float16", "pandas.csv.gz"),
    ("long ids", "pandas"), ("long ids", "pandas, repeated index"), ("long ids", "pandas, objects"),
    ("long ids", "pandas.parquet"), ("long ids", "pandas.csv"), ("long ids", "semicolon.csv"),
    ("long ids", "pandas.csv.gz"),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_means_the_same_everywhere(name: str, tmp_path: Path) -> None:
    array, truth, kind = COLUMNS[name]
    table = pa.table({"before": [1, 2, 3], "x": array, "After": ["u", "v", "w"]})
    seen = 0
    for form, source in forms(table, tmp_path):
        if (name, form) in UNWRITTEN:
            continue
        read = read_table(source)
        assert list(read.columns) == ["before", "x", "After"], form
        got = [None if pd.isna(v) else v for v in read["x"]]
        if kind == "time":
            got = [None if v is None else v.to_pydatetime() for v in got]
        assert got == truth, form
        seen += 1
    assert seen >= 5


@pytest.mark.parametrize("unit", UNITS)
def test_a_part_of_a_second_is_the_same_in_each_unit(unit: str) -> None:
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    array = pa.array([90 * per, 1], pa.duration(unit))
    assert read_column(array).values.tolist() == [90.0, 1 / per]
    texts = pa.array([str(pd.Timedelta(v, unit)) for v in (90 * per, 1)])
    assert read_column(texts).values.tolist() == [90.0, 1 / per]


@pytest.mark.parametrize(
    ("words", "values", "nulled"),
    [
        (["1"] * 683 + ["?"] * 16, 683, {"?": 16}),
        (["1", "2", "3", "NA", "-", "null", ""], 3, {"NA": 1, "-": 1, "null": 1}),
        (["1"] * 199 + ["about 3"], 199, {"about 3": 1}),
        (["1"] * 3 + ["nan"], 3, {}),
        (["2024-05-01", "2024-05-02", "?"], 2, {"?": 1}),
        (["True", "false", "?"], 2, {"?": 1}),
    ],
)
def test_words_for_nothing_are_null(words: list[str], values: int, nulled: dict[str, int]) -> None:
    column = read_column(pa.array(words))
    assert column.meaning.kind in ("number", "time")
    assert column.values.notna().sum() == values
    assert column.nulled == nulled


@pytest.mark.parametrize(
    "words",
    [["1"] * 19 + ["a"], ["S", "M", "-"], ["-", "?"], ["03/04/2024", "05/06/2024"], ["yes", "no"],
     ["1-2", "3-4"], ["?", "?", "1"]],
)  # fmt: skip
def test_words_stay_words(words: list[str]) -> None:
    assert read_column(pa.array(words)).meaning.kind == "word"


@pytest.mark.parametrize(
    ("words", "truth"),
    [
        (["12,50", "3", "1.299,00"], [12.5, 3.0, 1299.0]),
        (["1,299.50", "3"], [1299.5, 3.0]),
        (["+3", "4.", "-.5", "1.e3", " 7 "], [3.0, 4.0, -0.5, 1000.0, 7.0]),
        (["12:30", "00:00:01.5"], [45000.0, 1.5]),
        (["P1DT2S", "-PT1M"], [86402.0, -60.0]),
    ],
)
def test_numbers_of_any_spelling(words: list[str], truth: list[float]) -> None:
    assert read_column(pa.array(words)).values.tolist() == truth


def test_a_column_is_read_as_it_was_before() -> None:
    comma = read_column(pa.array(["12,50", "3"])).meaning
    assert read_column(pa.array(["1.299"]), comma).values.tolist() == [1299.0]
    day = read_column(pa.array(["13/05/2024", "02/05/2024"])).meaning
    assert read_column(pa.array(["02/05/2024"]), day).values[0] == pd.Timestamp("2024-05-02")
    odd = read_column(pa.array(["1"] * 200 + ["many"])).meaning
    assert np.isnan(read_column(pa.array(["many"]), odd).values[0])
    assert read_column(pa.array(["?", "5"]), Meaning("number")).nulled == {"?": 1}
    assert read_column(pa.array([1.0, None]), Meaning("word")).values.tolist() == ["1", None]
    with pytest.raises(DataError, match=r"row 2: must be a number as in training, got 'few'"):
        read_column(pa.array(["1", "few"]), odd)
    with pytest.raises(DataError, match="must be a number as in training"):
        read_column(pa.array([MOMENT]), odd)


def test_ids_keep_every_digit() -> None:
    ids = [2**62 + 1, 2**62 + 2]
    assert words_of(pa.array(ids)).tolist() == [str(i) for i in ids]
    assert words_of(pa.array([1.0, None])).tolist() == ["1", None]
    assert words_of(pa.array(["1.0", "1", "x"])).tolist() == ["1", "1", "x"]


def test_nested_and_mixed_columns_are_read() -> None:
    frame = pd.DataFrame({"mixed": [1, "a", None], "s": [{"p": 1}, {"p": 2}, None], 3: [1, 2, 3]})
    read = read_table(frame)
    assert list(read.columns) == ["mixed", "s.p", "3"]
    assert read["mixed"].tolist() == ["1", "a", None]
    assert read["s.p"].tolist()[:2] == [1.0, 2.0]
    assert read_table({"a": [1, 2]})["a"].tolist() == [1, 2]
    assert list(read_table(np.eye(2)).columns) == ["x0", "x1"]


@pytest.mark.parametrize(
    ("form", "sign"),
    [
        (lambda v: f"${v:,.2f}", "$"),
        (lambda v: f"{v:.2f} €".replace(".", ","), "€"),
        (lambda v: f"CHF {v:.2f}", "CHF"),
        (lambda v: f"{v:.2f} %", "%"),
        (lambda v: f"{v:.2f}%", "%"),
        (lambda v: f"-£{v:,.2f}", "£"),
    ],
)
def test_numbers_with_a_sign_are_numbers(form: Any, sign: str) -> None:
    values = [1234.5, 0.25, 17.0, 3.75] * 5
    read = read_column(pa.array([*map(form, values), None, "n/a"]))
    truth = np.array(values) * (-1 if form(1.0).startswith("-") else 1)
    assert (read.meaning.kind, read.meaning.sign) == ("number", sign)
    assert read.values[:20].tolist() == truth.tolist()
    assert read.values[20:].isna().all()
    again = Meaning.from_dict(read.meaning.as_dict())
    assert again == read.meaning
    later = read_column(pa.array([form(9.5), None]), again)
    assert abs(later.values[0]) == 9.5
    with pytest.raises(DataError, match="a number as in training"):
        read_column(pa.array(["¥9.50"]), again)


def test_two_signs_are_words() -> None:
    assert read_column(pa.array(["$3", "€4"] * 9)).meaning.kind == "word"
    assert read_column(pa.array(["3 kg", "4 kg"] * 9)).meaning.kind == "word"
