"""Counts of a log that lies in parts: each part answers, and the answers are added up.

The steps of cleaning ask their counts and take their decisions here. On one machine that is the
query's own answer. Where a log lies in parts (a file, or the rows of some visitors), a part records
what it answered under the question's name (`Part`); once these are added, the same steps run on no
rows at all with the answers of the whole log (`Whole`) and tell what one machine would tell.

How answers are added: numbers add, but for the columns in `least` and `most`; of texts the least
stays; groups add by their keys. What must be seen together (a distinct count, an id that two
visitors bear) is asked by key: rows of one key are brought together first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duckdb

__all__ = [
    "Answer",
    "Asked",
    "Part",
    "Whole",
    "add_answers",
    "counted",
    "decided",
    "distinct",
    "grouped",
    "in_a_part",
    "keyed",
    "tallying",
]

Row = tuple[Any, ...]
Rows = list[Row]

ROWS = "{rows}"
"""Where the rows of a question by key stand in its SQL."""


class Answer(NamedTuple):
    """What a question was answered.

    Attributes:
        rows: one row, or one for each group.
        keys: columns that name the group, the first ones; 0 for a single row.
        least: columns of which the least value counts.
        most: columns of which the greatest does.
        most_first: groups are sorted by their count, the greatest first; else by key.
    """

    rows: Rows
    keys: int = 0
    least: frozenset[int] = frozenset()
    most: frozenset[int] = frozenset()
    most_first: bool = False


class Asked(NamedTuple):
    """A question by key: a part's rows, `key` among their columns, and SQL over all rows of a key.

    `rows` is a relation on the part's engine. `whole` is SQL that makes one result of the results
    of all keys; without it they add up.
    """

    rows: str
    sql: str
    whole: str | None


@dataclass
class Part:
    """Records what a part of the log answers, and lets the whole log decide.

    Attributes:
        decisions: what the whole log decided, by name.
        known: answers that need not be asked any more.
        answers: what this part answered.
        asked: its rows for the questions by key.
    """

    decisions: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Answer] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)


@dataclass
class Whole:
    """Gives the answers of the whole log; what nobody answered is asked of no rows.

    Attributes:
        known: the answers of all parts, added.
        decisions: what was decided by them, by name.
    """

    known: Mapping[str, Answer] = field(default_factory=dict)
    decisions: dict[str, Any] = field(default_factory=dict)


_TALLY: ContextVar[Part | Whole | None] = ContextVar("tally", default=None)


@contextmanager
def tallying(tally: Part | Whole) -> Iterator[None]:
    """Let the steps of cleaning ask `tally` inside the block."""
    token = _TALLY.set(tally)
    try:
        yield
    finally:
        _TALLY.reset(token)


def in_a_part() -> bool:
    """Return whether what is counted is a part only: then nothing may be concluded from it."""
    return isinstance(_TALLY.get(), Part)


def counted(
    con: duckdb.DuckDBPyConnection, name: str, sql: str,
    least: Iterable[int] = (), most: Iterable[int] = (),
) -> Row:  # fmt: skip
    """Return the one row of a query; of some columns the least or the greatest value counts."""
    return _answered(con, name, sql, Answer([], 0, frozenset(least), frozenset(most)))[0]


def grouped(
    con: duckdb.DuckDBPyConnection, name: str, sql: str, keys: int = 1, *, most_first: bool = False
) -> Rows:
    """Return a query's groups, named by their first columns, in the order of the query.

    Args:
        con: engine connection.
        name: the question.
        sql: the query, sorted by its keys, or by its count and then its keys.
        keys: columns that name a group.
        most_first: it is sorted by its count (the first column after the keys), descending.
    """
    return _answered(con, name, sql, Answer([], keys, most_first=most_first))


def _answered(con: duckdb.DuckDBPyConnection, name: str, sql: str, form: Answer) -> Rows:
    tally = _TALLY.get()
    if tally is not None and name in tally.known:
        return tally.known[name].rows
    rows = con.execute(sql).fetchall()
    if isinstance(tally, Part):
        tally.answers[name] = form._replace(rows=rows)
    return rows


def keyed(
    con: duckdb.DuckDBPyConnection, name: str, rows: str, sql: str, *, whole: str | None = None,
    here: str | None = None,
) -> Rows:  # fmt: skip
    """Return what SQL over rows finds that looks at all rows of one key together.

    Args:
        con: engine connection.
        name: the question.
        rows: SQL of the rows concerned, with the column `key`.
        sql: SQL over `{rows}`: one row of numbers that add up over keys, unless there is `whole`.
        whole: SQL over `{rows}` that makes one result of those of several keys.
        here: SQL that finds the same sooner where all rows are here.
    """
    tally = _TALLY.get()
    if tally is not None and name in tally.known:
        return tally.known[name].rows
    if isinstance(tally, Part):
        table = f"asked_{len(tally.asked)}"
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {rows}")
        tally.asked[name] = Asked(table, sql, whole)
        if whole is not None:
            return []
    return con.execute(here or sql.replace(ROWS, f"({rows})")).fetchall()


def distinct(con: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str]) -> dict[str, int]:
    """Return the distinct values of columns that parts share; nothing on one machine."""
    if _TALLY.get() is None:
        return {}
    return {
        c: keyed(
            con, f"distinct {c}", f"SELECT DISTINCT {c} AS key FROM {rows} WHERE {c} IS NOT NULL",
            f"SELECT count(DISTINCT key) FROM {ROWS}",
        )[0][0]
        for c in columns
    }  # fmt: skip


def decided(name: str, value: Any) -> Any:
    """Return what the whole log decides: `value`, unless this is a part of one."""
    tally = _TALLY.get()
    if isinstance(tally, Whole):
        tally.decisions[name] = value
    elif isinstance(tally, Part):
        return tally.decisions.get(name, value)
    return value


def add_answers(parts: Iterable[Mapping[str, Answer]]) -> dict[str, Answer]:
    """Return the answers of all parts, added.

    >>> one = {"rows": Answer([(2, "b")]), "kinds": Answer([("view", 2)], 1)}
    >>> two = {"rows": Answer([(3, "a")]), "kinds": Answer([("buy", 1), ("view", 1)], 1)}
    >>> found = add_answers([one, two])
    >>> found["rows"].rows, found["kinds"].rows
    ([(5, 'a')], [('buy', 1), ('view', 3)])
    """
    found: dict[str, dict[Row, Row]] = {}
    forms: dict[str, Answer] = {}
    for part in parts:
        for name, answer in part.items():
            forms[name] = answer._replace(rows=[])
            groups = found.setdefault(name, {})
            for row in answer.rows:
                key, values = row[: answer.keys], row[answer.keys :]
                held = groups.get(key)
                groups[key] = values if held is None else _added(held, values, answer)
    return {name: forms[name]._replace(rows=_sorted(groups, forms[name]))
            for name, groups in found.items()}  # fmt: skip


def _added(one: Row, two: Row, form: Answer) -> Row:
    return tuple(
        b if a is None else a if b is None
        else max(a, b) if i + form.keys in form.most
        else min(a, b) if isinstance(a, str) or i + form.keys in form.least
        else a + b
        for i, (a, b) in enumerate(zip(one, two, strict=True))
    )  # fmt: skip


def _sorted(groups: Mapping[Row, Row], form: Answer) -> Rows:
    rows = [(*key, *values) for key, values in groups.items()]
    if form.most_first:
        return sorted(rows, key=lambda r: (-r[form.keys], r[: form.keys]))
    return sorted(rows, key=lambda r: r[: form.keys]) if form.keys else rows
