from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cartcast.cli.shell import plain
from cartcast.errors import DataError, UsageError
from cartcast.findings import CATALOGUE, parse_waivers, waive
from cartcast.leakage import (
    CHECKS,
    AuditInput,
    as_dict,
    audit,
    examine,
    examine_tables,
    in_words,
    markdown,
)
from cartcast.leakage import prepared as prepared_module


@pytest.fixture
def leaky() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    return pd.DataFrame({"paid": y * 9.5, "seen": rng.integers(1, 9, 600), "y": y})


def test_no_block_on_clean_shops(shops) -> None:
    """Twelve here; `benchmarks/false_alarms.py` audits 200."""
    for seed in range(1000, 1012):
        shop = shops.clean_shop(seed, sessions=500)
        if min(t["label"].nunique() for t in (shop.train, shop.test)) < 2:
            continue
        found = audit(
            AuditInput(
                train=shop.train, test=shop.test, target="label", features=shops.FEATURES,
                session="session_id", visitor="visitor_id", time="anchor_time", click="click",
            )
        )  # fmt: skip
        assert [f for f in found if f.severity == "block"] == [], seed


def test_every_code_of_the_audit_is_given_by_a_check() -> None:
    given = {code for check in CHECKS for code in check.codes} | {"LK500"}
    assert given == {code for code in CATALOGUE if code.startswith("LK")}
    for check in CHECKS:
        assert check.question.endswith("?")
        assert check.examine.__doc__


def test_every_kind_of_table_is_taken(leaky) -> None:
    tables = (leaky, pl.from_pandas(leaky), pa.Table.from_pandas(leaky))
    codes = [[f.code for f in audit(AuditInput(train=t, target="y"))] for t in tables]
    assert codes[0] == codes[1] == codes[2]
    assert codes[0][0] == "LK401"
    with pytest.raises(UsageError, match="got list"):
        audit(AuditInput(train=[1, 2], target="y"))


def test_same_seed_same_findings(shop, shops) -> None:
    given = {"train": shop.train, "target": "label", "features": shops.FEATURES}
    first, second = (audit(AuditInput(**given)) for _ in range(2))
    assert first == second


def test_sampling_is_said_and_keeps_groups_whole(monkeypatch, shop, shops) -> None:
    monkeypatch.setattr(prepared_module, "MAX_CELLS", 1000 * len(shops.FEATURES))
    given = AuditInput(
        train=shop.train, target="label", features=shops.FEATURES, session="session_id"
    )
    prep = prepared_module.prepare(given)
    assert len(prep.train_at) == 1000
    sessions = shop.train["session_id"]
    inside = sessions.iloc[prep.train_at].value_counts()
    whole = sessions.value_counts().loc[inside.index]
    assert (inside != whole).sum() <= 1
    assert "LK500" in {f.code for f in audit(given)}


def test_two_words_as_label_and_a_split_column(leaky) -> None:
    words = leaky.assign(y=np.where(leaky["y"] == 1, "yes", "no"), part=["train", "test"] * 300)
    examination = examine(AuditInput(train=words, target="y", split="part"))
    assert examination.rows == (300, 300)
    assert examination.findings[0].code == "LK401"
    assert examination.prevalence[0] == pytest.approx(leaky["y"][::2].mean())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target": "Y"}, UsageError, "Did you mean 'y'"),
        ({"session": "sid"}, UsageError, "for the session"),
        ({"features": ["sean"]}, UsageError, "Did you mean 'seen'"),
        ({"split": "seen"}, DataError, "words train and test"),
        ({"target": "three"}, DataError, "two values, got 3"),
        ({"target": "none"}, DataError, "missing in every row"),
    ],
)
def test_wrong_input_is_refused_in_one_line(leaky, change, error, words) -> None:
    table = leaky.assign(three=["a", "b", "c"] * 200, none=np.nan)
    with pytest.raises(error, match=words) as caught:
        audit(AuditInput(**{"train": table, "target": "y", **change}))
    assert "\n" not in str(caught.value)


def test_empty_two_rows_and_constant(leaky) -> None:
    with pytest.raises(DataError, match="empty"):
        audit(AuditInput(train=leaky.head(0), target="y"))
    codes = {f.code for f in audit(AuditInput(train=leaky.head(2), target="y"))}
    assert codes <= {"LK502", "LK503", "LK510"}
    constant = leaky.assign(y=1)
    assert audit(AuditInput(train=constant, target="y"))[0].code == "LK502"


def test_wide_category_and_infinite_values_do_not_break_it() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "page": [f"p{i}" for i in rng.integers(0, 50_000, 60_000)],
            "ratio": np.where(rng.random(60_000) < 0.1, np.inf, rng.random(60_000)),
            "y": (rng.random(60_000) < 0.1).astype(int),
        }
    )
    found = audit(AuditInput(train=table, target="y"))
    assert not [f for f in found if f.severity == "block"]


def test_report_holds_every_finding_question_and_waiver(leaky) -> None:
    examination = examine(AuditInput(train=leaky, target="y"))
    found = waive(examination.findings, {"LK401": "kept on purpose"})
    text = markdown(examination, found, "A table")
    assert text.startswith("# A table\n")
    assert "kept on purpose" in text
    assert all(f.message in text and f.code in text for f in found)
    assert all(a.question in text for a in examination.asked)
    words = in_words(examination, found)
    assert "[waived: kept on purpose]" in words
    data = json.loads(json.dumps(plain(as_dict(examination, found)), allow_nan=False))
    assert data["blocked"] is False
    assert as_dict(examination, list(examination.findings))["blocked"] is True


def test_waivers_need_a_reason() -> None:
    assert parse_waivers(["lk301= known "]) == {"LK301": "known"}
    for wrong in ("LK301", "LK301=", "=why"):
        with pytest.raises(UsageError, match="CODE=reason"):
            parse_waivers([wrong])


def test_tables_by_name(leaky) -> None:
    table = leaky.assign(session_id=np.arange(600) // 2, user=np.arange(600) // 4)
    train, test = table.iloc[:401], table.iloc[401:]
    examination = examine_tables(train, "y", test=test, group="session_id", visitor="user")
    codes = {f.code for f in examination.findings}
    assert {"LK301", "LK302", "LK401"} <= codes
    assert examination.features == ("paid", "seen")
    assert "paid" not in examine_tables(train, "y", drop=["paid"]).features
    with pytest.raises(UsageError, match="not both"):
        examine_tables(train, "y", test=test, split="seen")
    with pytest.raises(UsageError, match="no column 'scores'"):
        examine_tables(train, "y", predictions="scores")
