"""Ids are replaced by a keyed hash before anything is written; HMAC of the standard library judges."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from cartcast import events
from cartcast.errors import NotTrustedError, UsageError
from cartcast.events.privacy import KEY_VARIABLE, Privacy, privacy_from

KEY = "a key of at least sixteen characters"
OTHER = "another key of sixteen characters"


@functools.cache
def root(key: str) -> bytes:
    return hashlib.scrypt(
        key.encode(), salt=b"cartcast pseudonyms 2", n=2**15, r=8, p=1, maxmem=2**26, dklen=32
    )


def pseudonym(value: str, key: str = KEY, column: str = "person") -> str:
    told = f"{len(column)}:{column}:{value}".encode()
    return hmac.new(root(key), told, hashlib.sha256).hexdigest()[:32]


def asked(*columns: str, key: str = KEY) -> Privacy:
    made = privacy_from({"pseudonymise": list(columns)}, {KEY_VARIABLE: key})
    assert made is not None
    return made


@pytest.fixture
def hidden(write, as_csv, rows) -> events.Log:
    return events.load(write(as_csv(rows)), privacy=asked("visitor_id"))


def test_visitors_and_sessions_are_hmac_each_in_its_own_way(hidden, rows):
    table = hidden.table(["visitor_id", "session_id"]).to_pydict()
    assert table["visitor_id"] == [pseudonym(r["user_id"]) for r in rows]
    assert table["session_id"] == [pseudonym(r["session_id"], column="session_id") for r in rows]
    assert hidden.privacy == {
        "columns": ["visitor_id"], "key": asked("visitor_id").fingerprint, "scheme": 2
    }  # fmt: skip
    assert events.open_log(hidden.path).privacy == hidden.privacy


@pytest.mark.parametrize("length", [16, 64, 65, 200])
def test_keys_of_any_length(write, as_csv, rows, length):
    key = (KEY * 8)[:length]
    log = events.load(write(as_csv(rows)), privacy=asked("visitor_id", key=key))
    assert log.table(["visitor_id"]).to_pydict()["visitor_id"][0] == pseudonym("u0", key)


def test_sessions_and_other_columns_if_asked(write, as_csv, rows):
    for k, row in enumerate(rows):
        row["login"] = k % 4
    log = events.load(write(as_csv(rows)), privacy=asked("visitor_id", "session_id", "login"))
    table = log.table(["session_id", "login"]).to_pydict()
    assert table["session_id"][0] == pseudonym("s0", column="session_id")
    assert table["login"][:2] == [pseudonym(v, column="login") for v in "01"]
    assert log.summary.sessions == 20


def test_null_stays_null(write, as_csv, rows):
    rows[0]["user_id"] = rows[1]["user_id"] = ""
    log = events.load(write(as_csv(rows)), privacy=asked("visitor_id"))
    assert log.table(["visitor_id"]).to_pydict()["visitor_id"][:3] == [None, None, pseudonym("u0")]


def test_made_sessions_do_not_tell_the_visitor(write, as_csv, rows):
    for row in rows:
        del row["session_id"]
        row["user_id"] = "person-" + row["user_id"]
    path = write(as_csv(rows))
    plain, log = events.load(path), events.load(path, privacy=asked("visitor_id"))
    assert log.summary.sessions == plain.summary.sessions
    assert b"person" not in log.path.read_bytes()
    assert log.table(["session_id"])["session_id"][0].as_py().startswith(pseudonym("person-u0"))
    # A clean log from before is pseudonymised to the same ids, in its own order.
    again = events.load(plain.path, privacy=asked("visitor_id"))
    assert again.table().equals(log.table())
    assert again.privacy == log.privacy


def test_ids_of_sessions_that_hold_the_visitors_are_replaced_too(write, as_csv, rows):
    for row in rows:
        row["session_id"] = f"{row['user_id']}.{row['session_id']}"
    log = events.load(write(as_csv(rows)), privacy=asked("visitor_id"))
    assert log.table(["session_id"])["session_id"][0].as_py() == pseudonym(
        "u0.s0", column="session_id"
    )
    assert log.summary.sessions == 20


def test_the_same_visitor_joins_over_files_and_orders(write, as_csv, shop):
    clicks = shop(60, event_type="view")
    for row in clicks:
        del row["session_id"]
    a = write(as_csv(clicks[:30]), "a.csv")
    b = write(as_csv(clicks[30:]), "b.csv")
    orders = write("user_id,order_time,amount,order_id\nu0,2024-03-01 00:04:30,10,a\n", "o.csv")
    plain = events.load(a, b, orders=orders).summary
    log = events.load(a, b, orders=orders, privacy=asked("visitor_id"))
    assert (log.summary.visitors, log.summary.sessions) == (plain.visitors, plain.sessions)
    assert (log.summary.purchases, log.summary.unmatched_orders) == (1, 0)


def test_rejects_keep_their_shape_only(write, as_csv, rows):
    rows = [{**r, "user_id": "anna.smith-77"} for r in rows]
    rows[3]["price"] = "anna.smith-77"
    rows[4]["event_time"] = "2024-13-45"
    path = write(as_csv(rows) + "anna.smith-77,s1,2024-03-01\n")
    log = events.load(path, max_reject_share=0.5, privacy=asked("visitor_id"))
    assert log.summary.rejects == 3
    assert log.rejects is not None
    assert b"anna" not in log.rejects.read_bytes()
    assert b"anna" not in log.path.read_bytes()
    with log.connect() as con:
        values = {r[0] for r in con.execute(f"SELECT value FROM '{log.rejects}'").fetchall()}
    assert {"aaaa.aaaaa-99", "9999-99-99"} <= values


def test_nothing_shows_the_key(hidden):
    assert KEY not in repr(asked("visitor_id"))
    assert KEY.encode() not in hidden.path.read_bytes()


def test_another_key_is_refused(hidden):
    assert events.load(hidden.path, privacy=asked("visitor_id")).path == hidden.path
    with pytest.raises(NotTrustedError, match="pseudonymised with key"):
        events.load(hidden.path, privacy=asked("visitor_id", key=OTHER))


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        ({"pseudonymise": ["visitor_id"]}, {}, f"set the key.*{KEY_VARIABLE}"),
        (
            {"pseudonymise": "visitor_id"},
            {KEY_VARIABLE: "short"},
            "5 characters; at least 16.*secrets",
        ),
        ({"pseudonymize": ["visitor_id"]}, {}, "Did you mean 'pseudonymise'"),
        ({"pseudonymise": 3}, {}, "must name columns"),
    ],
)
def test_settings_are_checked(settings, environment, message):
    with pytest.raises(UsageError, match=message):
        privacy_from(settings, environment)


def test_a_column_that_is_not_there_is_no_silent_leak(write, as_csv, rows):
    with pytest.raises(UsageError, match="no column 'vistor_id'"):
        events.load(write(as_csv(rows)), privacy=asked("vistor_id"))


def test_by_the_settings_of_a_project(tmp_path, monkeypatch):
    from cartcast.datasets import simulate
    from cartcast.score import predict
    from cartcast.train import train

    simulate(sessions=2000, seed=1, out=tmp_path / "shop.parquet")
    source = pq.read_table(tmp_path / "shop.parquet", columns=["visitor_id"])
    ids = set(source["visitor_id"].to_pylist())
    (tmp_path / "cartcast.yaml").write_text(
        "sources: [shop.parquet]\nprivacy: {pseudonymise: [visitor_id]}\n"
    )
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "cartcast", "validate", "shop.parquet"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert KEY_VARIABLE in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    run = train(project=tmp_path, models=("logistic_regression",), segments=2)
    told = json.loads((run.dir / "run.json").read_text())
    assert told["reading"]["privacy"]["key"] == asked("visitor_id").fingerprint
    table, _ = predict([str(tmp_path / "shop.parquet")], run.dir, everything=True)
    assert not set(table["visitor_id"]) & ids
    assert set(table["visitor_id"].dropna()) <= {pseudonym(i) for i in ids if i}
    monkeypatch.setenv(KEY_VARIABLE, OTHER)
    with pytest.raises(NotTrustedError, match="not with"):
        predict([str(tmp_path / "shop.parquet")], run.dir)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(UsageError, match=KEY_VARIABLE):
        predict([str(tmp_path / "shop.parquet")], run.dir)
