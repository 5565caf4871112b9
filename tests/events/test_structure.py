"""The structure of JSON texts: what the first rows do not tell is found wherever it comes."""

from __future__ import annotations

import json
import random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cartcast.events import structure
from cartcast.events.structure import merged, structure_of

TEXTS = ("", "a:", ": ", '":"', "\\", 'b:\\"', '":{', '{"k":1}', "1.5", "ü: ", "null")
KEYS = ("a", "b", "a:", 'c"', "d\\", "e.*", "ü")
NO_OBJECTS = ("", "{", "nope", "5", '[{"a":2}]', '{"a":1,,}', '{"a":1,"a":{"z":1}}', None)


def value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(7 if depth else 3)
    if kind < 3:
        return rng.choice((rng.choice(TEXTS), None, True, 1, -2.5e-9))
    if kind < 5:
        return [value(rng, depth - 1) for _ in range(rng.randrange(3))]
    return {rng.choice(KEYS): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def of_every_row(con: duckdb.DuckDBPyConnection) -> Any:
    found = con.execute("SELECT json_structure(TRY_CAST(t AS JSON)) FROM texts").fetchall()
    return merged(json.loads(row[0]) for row in found if row[0] and row[0][0] in "{[")


def keys(found: Any) -> Any:
    """Return the structure without the kinds of its leaves, which one row may change."""
    if isinstance(found, dict):
        return {name: keys(inner) for name, inner in sorted(found.items())}
    if isinstance(found, list):
        return [keys(inner) for inner in found]
    return found if found in ("NULL", "JSON", "MIXED") else "VARCHAR"


@pytest.mark.parametrize("seed", range(60))
def test_the_structure_is_that_of_every_row(seed, monkeypatch):
    rng = random.Random(seed)
    monkeypatch.setattr(structure, "_FIRST", rng.choice((0, 1, 3, 10)))
    form = {"separators": rng.choice(((",", ":"), (", ", ": "), (" ,", " :")))}
    form["ensure_ascii"] = rng.random() < 0.5
    texts = [json.dumps({rng.choice(KEYS): value(rng, 3)}, **form) for _ in range(25)]
    texts.insert(rng.randrange(25), rng.choice(NO_OBJECTS))
    con = duckdb.connect()
    con.register("texts", pa.table({"t": texts}))
    assert keys(structure_of(con, "t", "texts")) == keys(of_every_row(con))


def test_rows_like_the_first_are_not_looked_into():
    pattern = structure._pattern({"a": "VARCHAR", "b": [{"c": "UBIGINT"}]}, 0)
    con = duckdb.connect()
    for text, known in (
        ('{"a": "x\\":{", "b": [{"c": 2.5}, {}]}', True),
        ('{"b":[],"a":null}', True),
        ('{"a": {"c": 1}}', False),
        ('{"a": 1, "d": 1}', False),
        ('{"b": {"c": 1}}', False),
    ):
        assert con.execute("SELECT regexp_full_match(?, ?)", [text, pattern]).fetchone() == (known,)
