"""Rules become SQL by their syntax tree, and nothing else gets through."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartcast.errors import DefinitionError
from cartcast.rules import names_in, to_sql, truth


@pytest.mark.parametrize(
    "rule",
    [
        "__import__('os').system('true')",
        "a.b > 1",
        "(lambda: 1)() > 0",
        "a if b else c",
        "a; b",
        "a in (1, 2)",
        "a > ",
        "[x for x in y]",
        "f'{a}' == 'b'",
    ],
)
def test_anything_but_comparisons_is_refused(rule: str) -> None:
    with pytest.raises(DefinitionError, match="rule"):
        to_sql(rule)


numbers = st.integers(-5, 5)
names = st.sampled_from(["a", "b"])
comparison = st.builds(
    lambda n, op, v: f"{n} {op} {v}",
    names,
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    numbers,
)
rules = st.recursive(
    comparison,
    lambda r: st.one_of(
        st.builds(lambda x, y: f"({x}) and ({y})", r, r),
        st.builds(lambda x, y: f"({x}) or ({y})", r, r),
        st.builds(lambda x: f"not ({x})", r),
    ),
    max_leaves=6,
)


@given(rule=rules, a=numbers, b=numbers)
def test_sql_means_what_python_means(rule: str, a: int, b: int) -> None:
    said = duckdb.execute(f"SELECT {to_sql(rule)} FROM (SELECT ? AS a, ? AS b)", [a, b]).fetchone()
    assert said is not None
    assert said[0] is eval(rule, {"a": a, "b": b})


def test_names_and_literals_are_quoted() -> None:
    assert names_in("b > 1 and a < b") == ("b", "a")
    assert to_sql('a == "it\'s"') == "(\"a\" = 'it''s')"


values = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, float("nan")])


@settings(deadline=None)
@given(rule=rules, a=values, b=values)
def test_one_row_is_judged_as_sql_judges_it(rule: str, a: float | None, b: float | None) -> None:
    known = [None if v is None or v != v else float(v) for v in (a, b)]
    said = duckdb.execute(
        f"SELECT {to_sql(rule)} FROM (SELECT ?::DOUBLE AS a, ?::DOUBLE AS b)", known
    ).fetchone()
    assert said is not None
    assert truth(rule, {"a": a, "b": b}) is said[0]


def test_values_of_other_kinds() -> None:
    day = dt.datetime(2026, 3, 2, 8)
    here = dt.datetime(2026, 3, 2, 9, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    row = {"t": "b", "f": True, "at": here, "then": day, "on": day.date(), "x": 4.0}
    assert truth("t < 'c' and f and f == True and at == then and on < at", row) is True
    assert truth("x / (x - x) > 0 or -x < 0", row) is True
    assert truth("x / (x - x) > 0", row) is None
    assert truth("x * 1e300 * 1e300 > 0", row) is None
    for wrong in ("t > 1", "f > 1", "x", "x + t > 1", "not x", "y > 1", "t and f"):
        with pytest.raises(DefinitionError, match="rule"):
            truth(wrong, row)
