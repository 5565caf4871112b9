"""Conditions, caps and arms: of one score and of lists, against plain Python."""

from __future__ import annotations

import datetime as dt
import random

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cartcast.activation import Contact, activate, activate_one, activation_from, judge
from cartcast.errors import DataError, DefinitionError, NotFoundError, UsageError
from cartcast.experiments import Allocation, Holdout

from .conftest import AT, EXPERIMENT, exposed, plan, score

DAY = dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("change", "named", "reason"),
    [
        ({}, {}, None),
        ({"probability": 0.4}, {}, "rule"),
        ({"probability": None}, {}, "rule"),
        ({"probability": float("nan")}, {}, "rule"),
        ({"carts": 0}, {}, "rule"),
        ({"as_of": AT - DAY}, {}, None),
        ({"as_of": (AT - 1.01 * DAY).isoformat()}, {}, "old score"),
        ({"agreed": False}, {}, "no consent"),
        ({"agreed": None}, {}, "no consent"),
        ({}, {"opted_out": True}, "opted out"),
        ({}, {"contacts": [Contact("m", "rescue", AT - 6.99 * DAY)]}, "contacted lately"),
        ({}, {"contacts": [Contact("m", "rescue", AT - 7 * DAY)]}, None),
        ({}, {"contacts": [Contact("m", "other", AT - DAY)]}, None),
        ({"visitor_id": None}, {}, "no id"),
        ({"visitor_id": ""}, {}, "no id"),
    ],
)
def test_each_reason(make, change, named, reason) -> None:
    verdict = judge(make(), score(**change), at=AT, **named)
    arm = Allocation("rescue", ("held", "mailed"), (0.3, 0.7)).assign("v-0").arm
    assert verdict.arm == (arm if reason is None else None)
    assert verdict.reason == (reason or ("holdout" if arm == "held" else "contact"))


def test_caps_across_activations_and_a_score_that_was_taken_in_before(make) -> None:
    caps = [{"times": 2, "within": "1d"}, {"times": 3, "within": "30d", "across": "all"}]
    found, others = make(at_most=caps), [Contact(f"m{i}", "other", AT - DAY) for i in range(3)]
    assert judge(found, score(), at=AT, contacts=others[:2]).arm
    assert judge(found, score(), at=AT, contacts=others).reason == "contacted lately"
    own = judge(found, score(), at=AT)
    again = [Contact(own.identity, "rescue", AT)] * 3
    assert judge(found, score(), at=AT, contacts=again) == own
    later = judge(found, score(as_of=AT.replace(tzinfo=None) + DAY / 24), at=AT + DAY / 24)
    assert later.identity != own.identity
    assert later.arm == own.arm


def test_a_live_answer_is_judged_as_a_score(make) -> None:
    live = {k: v for k, v in score().items() if k not in ("as_of", "probability")}
    assert judge(make(), {**live, "p_buy": 0.2}, at=AT).arm
    assert judge(make(), {**live, "p_buy": 0.5}, at=AT).reason == "rule"
    with pytest.raises(DefinitionError, match="no column 'probability'"):
        judge(make(), live, at=AT)
    with pytest.raises(DataError, match="after the decision"):
        judge(make(), score(as_of=AT + DAY), at=AT)
    with pytest.raises(DataError, match="texts or whole numbers"):
        judge(make(), score(visitor_id=1.5), at=AT)


def test_who_is_in_the_global_holdout_is_in_no_arm(receiver) -> None:
    held = {**EXPERIMENT, "holdout": {"name": "2026", "share": 0.2}}
    found = activation_from("rescue", plan(receiver.url), {"rescue": held})
    said = {i: judge(found, score(i), at=AT) for i in range(500)}
    out = {i for i in said if Holdout("2026", 0.2).has(f"v-{i}")}
    assert {i for i, v in said.items() if v.reason == "global holdout"} == out
    assert 60 < len(out) < 140
    assert all(said[i].arm is None for i in out)


def test_outside_of_the_experiment_nothing_would_be_measured(receiver) -> None:
    dated = {**EXPERIMENT, "start": "2026-03-02T08:00", "end": "2026-03-03"}
    found = activation_from("rescue", plan(receiver.url, fresh="9d"), {"rescue": dated})
    assert judge(found, score(), at=AT).arm
    for at, says in ((AT - DAY / 24, "starts at"), (AT + DAY, "ended at 2026-03-03")):
        with pytest.raises(DataError, match=says):
            judge(found, score(), at=at)


def worlds(seed: int, n: int) -> list[dict]:
    """Scores with nulls and odd values."""
    draw = random.Random(seed)
    return [
        score(
            i,
            probability=draw.choice([0.1, 0.39, 0.4, 0.9, None, float("nan"), float("inf")]),
            carts=draw.choice([0.0, 1.0, 3.0, None]),
            agreed=draw.choice([True, True, False, None]),
            as_of=AT.replace(tzinfo=None) - draw.choice([0, 0, 0.5, 2]) * DAY,
            uplift=draw.choice([-1.0, 2.0, 2.5, None]),
        )
        for i in range(n)
    ]  # fmt: skip


RULES = {
    "probability < 0.4 and carts > 0": lambda r: r["p"] < 0.4 and r["c"] > 0,
    "not (probability >= 0.4) and (uplift > 2 or carts == 3)": lambda r: (
        r["p"] < 0.4 and (r["u"] > 2 or r["c"] == 3)
    ),
    "0.1 < probability * 2 <= 0.8 and uplift / carts != 2": lambda r: (
        0.1 < 2 * r["p"] <= 0.8 and r["c"] > 0 and r["u"] == r["u"] and r["u"] / r["c"] != 2
    ),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", ["parquet", "csv", "arrow"])
def test_a_list_is_judged_as_its_scores_are_one_by_one(make, outbox, tmp_path, rule, kind) -> None:
    found = make(when=rule, send=[])
    rows = worlds(7, 600)
    nan = float("nan")
    expected, gone = {}, {f"v-{i}" for i in range(0, 600, 9)}
    for row in rows:
        # A loop of its own: what is not known is NaN, which is above and below nothing.
        r = {k: nan if row[n] is None or row[n] == float("inf") else row[n]
             for k, n in (("p", "probability"), ("c", "carts"), ("u", "uplift"))}  # fmt: skip
        fits = RULES[rule](r) and row["agreed"] and AT.replace(tzinfo=None) - row["as_of"] <= DAY
        if fits and row["visitor_id"] not in gone:
            expected[row["visitor_id"]] = found.experiment.allocation.assign(row["visitor_id"]).arm
    table = pa.Table.from_pylist(random.Random(1).sample(rows, len(rows)))
    source = table
    if kind == "parquet":
        source = tmp_path / "s.parquet"
        pq.write_table(table, source)
    elif kind == "csv":
        source = tmp_path / "s.csv"
        table.to_pandas().to_csv(source, index=False)
    done = activate(found, source, outbox, opt_outs=gone, at=AT)
    assert len(expected) > 15
    exposures = exposed(outbox)
    assert {e["unit"]: e["arm"] for e in exposures} == expected
    assert {e["exposed"] for e in exposures} == {AT.replace(tzinfo=None)}
    assert done.arms == {a: list(expected.values()).count(a) for a in ("held", "mailed")}
    assert sum(done.reasons.values()) == done.units == done.rows == 600
    one = {r["visitor_id"]: judge(found, r, at=AT, opted_out=r["visitor_id"] in gone).reason
           for r in rows}  # fmt: skip
    assert done.reasons == {k: list(one.values()).count(k) for k in set(one.values())}


def test_a_unit_is_exposed_once_and_a_list_is_taken_in_once(make, outbox) -> None:
    found = make(at_most={"times": 5, "within": "7d"})
    rows = pa.Table.from_pylist([score(i) for i in range(50)])
    first = activate(found, rows, outbox, at=AT)
    assert first.messages == first.arms["mailed"] > 20
    assert activate(found, rows, outbox, at=AT + DAY / 2).messages == 0
    newer = [score(i, as_of=AT.replace(tzinfo=None) + DAY) for i in range(50)]
    rare = activate(make(), pa.Table.from_pylist(newer), outbox, at=AT + DAY)
    assert rare.reasons == {"contacted lately": first.messages, "holdout": first.arms["held"]}
    assert activate(found, pa.Table.from_pylist(newer), outbox, at=AT + DAY).messages
    assert len(exposed(outbox)) == 50
    assert {e["exposed"] for e in exposed(outbox)} == {AT.replace(tzinfo=None)}
    live = activate_one(found, newer[0], outbox, at=AT + DAY)
    assert live.arm
    before = outbox.states("rescue")
    activate(found, rows, outbox, at=AT, dry_run=True)
    assert outbox.states("rescue") == before


def test_a_list_is_taken_in_whole_or_not_at_all(make, outbox) -> None:
    rows = [score(i) for i in range(30)] + [score(99, as_of=AT.replace(tzinfo=None) + DAY)]
    with pytest.raises(DataError, match="after the decision"):
        activate(make(), pa.Table.from_pylist(rows), outbox, at=AT)
    assert outbox.states("rescue") == {}
    with outbox.looking() as con:
        assert con.execute("SELECT count(*) FROM exposures").fetchone() == (0,)


def test_an_empty_list(make, outbox) -> None:
    done = activate(make(), pa.Table.from_pylist([score()]).slice(0, 0), outbox, at=AT)
    assert (done.units, done.reasons) == (0, {})
    assert "AC103" in {f.code for f in done.findings}


def test_columns_of_other_tables_by_unit_and_by_session(make, outbox, tmp_path) -> None:
    scores = pd.DataFrame({"visitor_id": ["007", "-5", "a", "b"], "session_id": ["1", "2", "3", "4"],
                           "probability": 0.1, "as_of": AT.replace(tzinfo=None)})  # fmt: skip
    carts = pd.DataFrame({"session_id": [1, 2, 3], "carts": [1, 1, 1], "probability": 0.9})
    people = pd.DataFrame({"visitor_id": ["007", "-5", "c"], "agreed": ["yes", "yes", "yes"]})
    from cartcast.spreadsheet import write_csv

    write_csv(scores, tmp_path / "s.csv")  # puts an apostrophe in front of -5
    people.to_csv(tmp_path / "p.csv", index=False)
    found = make(consent="agreed == 'yes'", send=[], when="carts > 0")
    done = activate(found, tmp_path / "s.csv", outbox, tables=[carts, tmp_path / "p.csv"], at=AT)
    assert done.reasons.get("no consent") == 1
    assert done.reasons["rule"] == 1
    assert [e["unit"] for e in exposed(outbox)] == ["-5", "007"]
    with pytest.raises(DataError, match="several tables"):
        activate(make(consent="agreed == 'yes'"), scores, outbox, tables=[carts, people], at=AT)


def test_ids_of_a_list_are_those_of_a_log(make, outbox, tmp_path) -> None:
    file = tmp_path / "scores.csv"
    row = score(1) | {"as_of": AT.replace(tzinfo=None)}
    ids = ["1001.0", "guest", "(not set)", "1234567890.1677654321"]
    pd.DataFrame([row | {"visitor_id": unit} for unit in ids]).to_csv(file, index=False)
    activate(make(), file, outbox, at=AT)
    assert {row["unit"] for row in exposed(outbox)} == {"1001", "1234567890.1677654321"}


def test_the_newest_score_of_a_unit_counts(make, outbox) -> None:
    rows = [score(1, probability=0.9), score(1, as_of=AT.replace(tzinfo=None) - DAY / 2)]
    assert activate(make(), pa.Table.from_pylist(rows), outbox, at=AT).reasons == {"rule": 1}
    bare = pa.Table.from_pylist(rows).drop_columns(["as_of"])
    with pytest.raises(DataError, match="1 ids have several scores"):
        activate(make(), bare, outbox, at=AT)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"when": None}, "when: must be a text"),
        ({"when": "__import__('os')"}, "is not allowed"),
        ({"consent": None}, "needs consent"),
        ({"consent": "True"}, "must name a column"),
        ({"consent": {}}, "not_needed"),
        ({"consent": {"not_needed": " "}}, "not_needed"),
        ({"consent": {"why": "x"}}, "unknown word 'why'"),
        ({"at_most": None}, "needs at_most"),
        ({"at_most": []}, "needs at_most"),
        ({"at_most": "1"}, "one cap or a list"),
        ({"at_most": {"times": 0, "within": "7d"}}, "1 or more"),
        ({"at_most": {"times": 1}}, "needs within"),
        ({"at_most": {"times": 1, "within": "-7d"}}, "duration"),
        ({"at_most": {"within": "7d", "across": "some"}}, "across"),
        ({"fresh": "never"}, "duration"),
        ({"send": "probability"}, "list of columns"),
        ({"webhook": None}, "one of webhook, audience and page"),
        ({"webhook": {"url": "https://a.example/", "secret": "whsec_abc"}}, "variable"),
        ({"webhook": {"url": "https://a.example/", "secret": "$NO_SUCH"}}, "NO_SUCH"),
        ({"webhook": {"url": "http://a.example/", "secret": "$SHOP_WEBHOOK"}}, "must be https"),
        ({"webhook": {"url": "https://a:99999/", "secret": "$SHOP_WEBHOOK"}}, "https://host/path"),
        ({"audience": {"for": "mail", "email": "e"}}, "one of webhook, audience and page"),
        ({"webhook": None, "audience": {"for": "fax", "email": "e"}}, "google, meta, mail"),
        ({"webhook": None, "audience": {"for": "mail"}}, "email or a phone"),
        ({"page": {"text": "x"}}, "one of webhook, audience and page"),
        ({"webhook": None, "page": "text"}, "name: value"),
        ({"webhook": None, "page": {"a": float("nan")}}, "texts, numbers"),
        ({"webhook": None, "page": {"a": "x" * 10_001}}, "at most 10 kB"),
        ({"experiment": "nobody"}, "no experiment 'nobody'"),
        ({"holdout": 0.1}, "unknown word 'holdout'"),
        ({"without": 3}, "must be a text"),
    ],
)
def test_plans_that_cannot_be(make, change, says) -> None:
    with pytest.raises((UsageError, NotFoundError), match=says) as told:
        make(**change)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("rows", "change", "says"),
    [
        ({"visitor_id": ["a"]}, {}, "no table has the column 'probability'"),
        ({"visitor": ["a"]}, {}, "no column 'visitor_id'"),
        ({"visitor_id": [1.5]}, {}, "texts or whole numbers"),
        ({"visitor_id": ["a"], "probability": ["x"]}, {}, "must be a text there"),
        ({"visitor_id": ["a"], "probability": [0.1]}, {"consent": "probability"}, "true or false"),
        ({"visitor_id": ["a"], "probability": [0.1]}, {"when": "probability + 1"}, "true or false"),
    ],
)
def test_scores_that_do_not_fit(make, outbox, rows, change, says) -> None:
    found = make(**{"when": "probability < 1", "consent": {"not_needed": "post"}, **change})
    with pytest.raises((DataError, DefinitionError), match=says):
        activate(found, pa.table(rows), outbox, at=AT)
    assert outbox.states("rescue") == {}


def test_odd_values_get_a_line_or_are_sent_as_text(make, outbox) -> None:
    named = make(send=["name"], at_most={"times": 1, "within": "999999999999w"})
    assign = named.experiment.allocation.assign
    mailed = [f"v-{i}" for i in range(20) if assign(f"v-{i}").arm == "mailed"]
    for at in (dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31)):
        row = score(visitor_id=mailed.pop(), carts=2**70, name=dt.timedelta(1), as_of=None)
        assert activate_one(named, row, outbox, at=at).reason == "contact"
    with pytest.raises(DataError, match="UTF-8"):
        activate_one(named, score(visitor_id="\ud800", name=""), outbox, at=AT)
    with pytest.raises(DataError, match="at most"):
        long = score(visitor_id=mailed.pop(), name="x" * 300_000)
        activate_one(named, long, outbox, at=AT)
    with pytest.raises(DataError, match="cannot be asked or sent"):
        activate(named, pa.Table.from_pylist([score(1, name=[1, 2])]), outbox, at=AT)


@pytest.mark.parametrize("kind", ["csv", "arrow", "parquet"])
def test_a_column_without_any_value_is_not_known(make, outbox, tmp_path, kind) -> None:
    found = make(when="probability < 0.4 and not (uplift - 1 > 2 or why == 'x')", send=[])
    table = pa.Table.from_pylist([score(i, uplift=None, why=None) for i in range(3)])
    source = table if kind == "arrow" else tmp_path / f"s.{kind}"
    if kind == "csv":
        table.to_pandas().to_csv(source, index=False)
    elif kind == "parquet":
        pq.write_table(table, source)
    assert activate(found, source, outbox, at=AT).reasons == {"rule": 3}
    bare = table.drop_columns(["as_of"])
    done = activate(make(when="probability < 0.4 or uplift > 2"), bare, outbox, at=AT)
    assert sum(done.arms.values()) == 3
    assert "AC106" in {f.code for f in done.findings}
