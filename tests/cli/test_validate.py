"""`cartcast validate`: figures, JSON, exit statuses, and one clear line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cartcast.cli import main

HEADER = "user_id,session_id,event_time,event_type,product_id,price\n"
GOOD = HEADER + "".join(
    f"u{i // 6},s{i // 3},2024-03-01 00:{i:02d}:00,{'purchase' if i % 10 == 9 else 'view'},p,9.5\n"
    for i in range(60)
)


@pytest.fixture
def call(capsys):
    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["validate", *map(str, words)])
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


@pytest.fixture
def shop_file(tmp_path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text(GOOD)
    return path


def test_json_of_the_real_shop(call, eshop_file):
    status, out, err = call(eshop_file, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert {k: found[k] for k in ("events", "rejects", "sessions", "items", "countries")} == {
        "events": 165_474, "rejects": 0, "sessions": 24_026, "items": 217, "countries": 47,
    }  # fmt: skip
    assert (found["purchases"], found["purchase_sessions"], found["revenue"]) == (0, 0, None)
    assert set(found["findings"][0]) >= {"code", "severity", "message", "count"}


def test_people_get_text(call, rees46_file):
    status, out, _ = call(rees46_file)
    assert status == 0
    for words in ("17,434", "5,066", "4,504", "214 in 200 sessions", "59,442.63", "EV122"):
        assert words in out


def test_too_many_rejects(call, tmp_path, shop_file):
    shop_file.write_text(GOOD.replace("9.5\n", "free\n", 9))
    rejects = tmp_path / "rejects.csv"
    out_file = tmp_path / "clean.parquet"
    status, out, err = call(shop_file, "--rejects", rejects, "--out", out_file, "--json")
    assert status == 3
    found = json.loads(out)
    assert (found["rejects"], found["accepted"], found["out"]) == (9, False, None)
    assert "9 of 60 rows (15.0%)" in err
    assert err.count("\n") == 1
    assert rejects.read_text().splitlines()[1].endswith(",1,bad_price,price,free")
    assert not out_file.exists(), "nothing half-written"
    status, _, err = call(shop_file, "--max-reject-share", "0.2", "--out", out_file)
    assert (status, err, out_file.exists()) == (0, "", True)


def test_a_clean_log_validates_again(call, tmp_path, shop_file):
    out_file = tmp_path / "clean.parquet"
    first = json.loads(call(shop_file, "--out", out_file, "--json")[1])
    again = json.loads(call(out_file, "--json")[1])
    assert first["events"] == again["events"] == 60
    assert first["findings"] == again["findings"]


def test_orders(call, tmp_path, shop_file):
    orders = tmp_path / "orders.csv"
    orders.write_text("session_id,amount\ns1,100\nnowhere,1\n")
    found = json.loads(call(shop_file, "--orders", orders, "--json")[1])
    assert (found["purchases"], found["revenue"], found["unmatched_orders"]) == (7, 157.0, 1)


@pytest.mark.parametrize(
    ("content", "words", "status", "said"),
    [
        (None, (), 5, "no such file"),
        ("", (), 3, "empty"),
        (HEADER, (), 3, "no rows"),
        (GOOD.replace(",", "^"), (), 3, "only one column"),
        (GOOD, ("--layout", "rees64"), 2, "Did you mean 'rees46'"),
        (GOOD, ("--layout", "rees46"), 3, "no column 'user_session'"),
        (GOOD, ("--layout", "no.yaml"), 5, "no such layout file"),
        (GOOD, ("--session-gap", "soon"), 2, "30m"),
        (GOOD, ("--session-break", "noon"), 2, "unknown session break"),
        (GOOD, ("--max-reject-share", "3"), 2, "got 3.0"),
        (GOOD, ("--memory", "much"), 2, "2GB"),
        (GOOD.replace("2024-03-01 00:", "2024-02-30 00:"), (), 3, "bad_time"),
        (GOOD.replace("9.5", "-1"), (), 3, "negative_price"),
        (GOOD.replace("9.5", "inf"), (), 3, "bad_price"),
    ],
)
def test_bad_input(call, tmp_path, content, words, status, said):
    path = tmp_path / "shop.csv"
    if content is not None:
        path.write_text(content)
    got, _, err = call(path, *words)
    assert got == status
    assert said in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_a_place_that_cannot_be_written(call, tmp_path, shop_file):
    (tmp_path / "file").write_text("")
    status, _, err = call(shop_file, "--out", tmp_path / "file" / "clean.parquet")
    assert status == 1
    assert err.count("\n") == 1


def test_nothing_is_left_behind(call, tmp_path, shop_file):
    call(shop_file, "--out", tmp_path / "out" / "clean.parquet")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["clean.parquet"]
