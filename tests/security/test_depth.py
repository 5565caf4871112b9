"""What is nested or wide without end meets a bound, told in one line."""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast import events, insights, rules
from cartcast.config import read_settings
from cartcast.errors import CartcastError, DefinitionError, UsageError
from cartcast.events.layoutfile import read_layout
from cartcast.events.schema import METADATA_KEY
from cartcast.experiments import read_plan
from cartcast.features.conditions import And, Eq, Not, Or
from cartcast.features.form import from_yaml, parse
from cartcast.rows import read_table
from cartcast.yamlfile import DEEPEST, parse_yaml

RULES = {
    "parentheses": lambda n: "(" * n + "a > 1" + ")" * n,
    "not": lambda n: "not " * n + "a",
    "minus": lambda n: "-" * n + "a > 1",
    "sum": lambda n: "a" + " + a" * n + " > 1",
    "right": lambda n: "a > " + "1 + (" * n + "1" + ")" * n,
    "and or": lambda n: reduce(
        lambda r, i: f"({r} {'or' if i % 2 else 'and'} a > {i})", range(n), "a > 1"
    ),
    "flat and": lambda n: "a > 1" + " and a > 1" * n,
    "comparison": lambda n: "a" + " < a" * n,
    "comparisons": lambda n: reduce(lambda r, _: f"a < ({r}) < a", range(n), "a < 1 < 2"),
    "name": lambda n: "a" * n + "! > 1",
    "call": lambda n: "f(" * n + "a" + ")" * n,
    "attribute": lambda n: "a" + ".b" * n,
}


def read_or_refused(read):
    """What is read; None where it is refused, which must be said in one short line."""
    told = ""
    try:
        return read()
    except CartcastError as error:
        told = str(error)
    assert 0 < len(told) < 500
    assert "\n" not in told
    return None


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("n", [60, 1_000, 20_000, 200_000])
def test_a_rule_is_read_or_refused_in_one_line(kind, n):
    if kind in ("comparisons", "and or") and n > 1_000:
        n = 900
    sql = read_or_refused(lambda: rules.to_sql(RULES[kind](n)))
    assert sql is None or len(sql) < 200_000


def test_rules_of_people_are_read():
    for kind in ("not", "minus", "sum", "and or"):
        assert rules.to_sql(RULES[kind](20))
    assert rules.names_in(RULES["flat and"](200)) == ("a",)


def nested(n: int, kind: str) -> str:
    """JSON of a value nested `n` deep."""
    a, b = {"object": ('{"a":', "}"), "list": ("[", "]"), "both": ('[{"a":', "}]")}[kind]
    return a * n + "1" + b * n


@pytest.mark.parametrize("n", [9, 120, 300, 900, 20_000])
@pytest.mark.parametrize("kind", ["object", "list", "both"])
def test_nested_cells_are_read_or_refused_in_one_line(tmp_path, shop, kind, n):
    rows = shop()
    text = nested(n, kind)
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(r)[:-1] + f', "deep": {text}}}\n' for r in rows)
    )
    pd.DataFrame(rows).assign(deep=text).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(rows).assign(deep=text.replace('"', "'")).to_csv(tmp_path / "b.csv", index=False)
    for name in ("a.jsonl", "a.csv", "b.csv"):
        for read in (lambda p: len(events.load(p).table()), lambda p: len(read_table(p))):
            found = read_or_refused(lambda r=read, p=tmp_path / name: r(p))
            assert found == 60 or (found is None and n > 100)


@pytest.mark.parametrize("n", [20, 250, 300])
def test_nested_columns_are_read_or_refused_in_one_line(tmp_path, shop, n):
    for wrap, make in (
        (lambda t: pa.struct([("a", t)]), lambda v: {"a": v}),
        (pa.list_, lambda v: [v]),
    ):
        kind, value = pa.int64(), 1
        for _ in range(n):
            kind, value = wrap(kind), make(value)
        table = pa.Table.from_pylist(shop()).append_column("deep", pa.array([value] * 60, kind))
        path = tmp_path / "a.parquet"
        pq.write_table(table, path)
        for given in (path, table):
            found = read_or_refused(lambda g=given: len(events.load(g).table()))
            assert found == 60 or (found is None and n > 100)


def test_five_thousand_columns(tmp_path, shop, call):
    wide = pd.DataFrame(shop())
    wide = pd.concat([wide, pd.DataFrame({f"x{i}": range(60) for i in range(5000)})], axis=1)
    wide.to_csv(tmp_path / "a.csv", index=False)
    code, _, error = call("validate", tmp_path / "a.csv")
    assert code == 3
    assert "5,006 columns" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_fifty_thousand_columns(tmp_path, shop, call, ending):
    path = tmp_path / f"a.{ending}"
    named = {**shop()[0], **{f"x{i}": "some words" for i in range(50_000)}}
    lines = [",".join(named), ",".join(map(str, named.values()))]
    text = "\n".join(lines) if ending == "csv" else json.dumps(named, default=str)
    path.write_text(text)
    code, _, error = call("validate", path)
    assert code == 3
    assert error.count("\n") == 1


def deep_yaml(n: int, flow: bool = True) -> str:
    if flow:
        return "features: " + "[" * n + "]" * n
    return "\n".join("  " * i + "a:" for i in range(n))


@pytest.mark.parametrize(
    "text", [deep_yaml(5_000), deep_yaml(400, flow=False), "{" * 100_000, "- " * 5_000 + "a"]
)
def test_deep_definitions(tmp_path, text, call):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    (tmp_path / "cartcast.yaml").write_text(text)
    for read in (from_yaml, read_layout, read_plan):
        with pytest.raises(UsageError, match="deep|YAML"):
            read(path)
    with pytest.raises(UsageError, match="deep|YAML"):
        read_settings(tmp_path)


def test_definitions_that_repeat_themselves():
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    for text in (laughs, "a: &a [*a]", "a: &a {b: *a}"):
        with pytest.raises(DefinitionError, match="at most"):
            parse_yaml(text, "here")
    with pytest.raises(DefinitionError, match="deep"):
        parse(
            {"features": {"a": reduce(lambda v, _: {"not": v}, range(2_000), {"eq": ["a", "b"]})}}
        )


def merged_again(n: int) -> str:
    """Mappings that take each other in, eight times each: 8 ** n keys while they are built."""
    return "a0: &a0 {x: 1, y: 2}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 8)}]}}\n" for i in range(1, n)
    )


@pytest.mark.parametrize(
    "text",
    [
        merged_again(30), "a: 1" + ":1" * 100_000, "a: 1" + ":1" * 300 + ".5", "a: 0x" + "f" * 500_000,
        "a: " + "9" * 500_000, "a: !!int ''", "a: !!bool x", "a: !!timestamp x", "a: !!float x",
        "a: !!binary AAAAA", "a: 2001-01-01 00:00:00+99:99", "a: 2001-99-99", "? [a]\n: b", "a: =",
    ],
    ids=lambda t: t[:24],
)  # fmt: skip
def test_values_that_are_dear_or_odd_to_build(text):
    with pytest.raises(DefinitionError) as refused:
        parse_yaml(text, "here")
    assert "\n" not in str(refused.value)


def test_what_people_repeat_is_read():
    text = "usual: &u {a: 1, b: 2}\none: {<<: *u, b: 3}\ntwo: {<<: [*u, *u]}\nlist: [*u, *u]\n"
    usual = {"a": 1, "b": 2}
    read = {"usual": usual, "one": {"a": 1, "b": 3}, "two": usual, "list": [usual, usual]}
    assert parse_yaml(text, "here") == read
    assert parse_yaml("a: 0x1f\nb: 1:30\nc: " + "text " * 500, "here")["b"] == 90


def test_features_defined_through_each_other():
    chain = {"f0": {"count": None}}
    chain |= {f"f{i}": {"ratio": [f"f{i - 1}", f"f{i - 1}"]} for i in range(1, 2_000)}
    with pytest.raises(DefinitionError):
        parse({"features": dict(reversed(chain.items()))})


def test_conditions_in_conditions():
    for join in (Not, lambda c: And(c, Eq("page", "1")), lambda c: Or(c, Eq("page", "1"))):
        condition = Eq("event_type", "view_item")
        with pytest.raises(DefinitionError, match=f"at most {DEEPEST}"):
            for _ in range(5_000):
                condition = join(condition)


def test_a_funnel_of_many_steps(tmp_path, text, call):
    (tmp_path / "a.csv").write_text(text())
    log = events.load(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="at most 50 steps"):
        insights.funnel(log.path, steps=["view_item", "purchase"] * 2_000)
    assert insights.funnel(log.path, steps=["view_item", "purchase"] * 25)


def test_the_last_line_of_defence(call, monkeypatch, tmp_path):
    def endless(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr("cartcast.events.load", endless)
    monkeypatch.setattr("cartcast.cli.verbs.validate.load", endless, raising=False)
    Path(tmp_path / "a.csv").write_text("a,b\n1,2\n")
    code, _, error = call("validate", tmp_path / "a.csv")
    assert code == 3
    assert "nested too deeply" in error


@pytest.mark.parametrize("key", ["columns", "findings", "summary", "sessions_made", "clock"])
def test_a_log_that_says_odd_things_of_itself(tmp_path, text, key):
    (tmp_path / "a.csv").write_text(text())
    table = pq.read_table(events.load(tmp_path / "a.csv", out=tmp_path / "b.parquet").path)
    name = METADATA_KEY.encode()
    known = json.loads(table.schema.metadata[name])
    told = [{**known, key: value} for value in (5, [1], {"a": 1})] if key != "clock" else []
    cut = {k: v for k, v in known.items() if k != "clock"}
    for said in [*map(json.dumps, [*told, cut]), "[" * 100_000, "9" * 9_999]:
        pq.write_table(table.replace_schema_metadata({name: said.encode()}), tmp_path / "c.parquet")
        read_or_refused(lambda: events.load(tmp_path / "c.parquet"))
