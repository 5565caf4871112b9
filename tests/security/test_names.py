"""A file's name is a name: never a pattern, a home folder, a scheme or a partition."""

from __future__ import annotations

import json
import random
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from cartcast import events, insights
from cartcast.errors import CartcastError, UsageError
from cartcast.events.sql import file_literal, read_parquet
from cartcast.experiments.units import open_units
from cartcast.features import usual
from cartcast.moments.anchors import find_anchors
from cartcast.rows import read_table
from cartcast.targets import Purchase

STEMS = ["*", "?", "data[1]", "[!a]", "~", "a=1", "x'y", "a::b"]


@pytest.fixture
def beside(tmp_path, monkeypatch, text):
    """A working folder full of siblings that patterns would match, and a home folder, too."""
    home = tmp_path / "home"
    folder = tmp_path / "work"
    folder.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(folder)
    for name in ("a", "b", "data1", "1", "x", "dataa"):
        for place in (folder, home):
            (place / f"{name}.csv").write_text(text("foe"))
            (place / f"{name}.jsonl").write_text(as_jsonl(text("foe")))
            pd.read_csv(folder / f"{name}.csv").to_parquet(place / f"{name}.parquet")
    return folder


def as_jsonl(text: str) -> str:
    head, *lines = (line.split(",") for line in text.splitlines())
    return "".join(json.dumps(dict(zip(head, line, strict=True))) + "\n" for line in lines)


def written(stem: str, suffix: str, text: str) -> Path:
    path = Path(stem + suffix)
    if suffix == ".parquet":
        Path("plain.tmp").write_text(text)
        pd.read_csv("plain.tmp").to_parquet(path.absolute(), engine="pyarrow")
    else:
        path.write_text(text if suffix == ".csv" else as_jsonl(text))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_only_the_named_file_is_read(beside, suffix, text):
    for stem in STEMS:
        path = written(stem, suffix, text("own"))
        log = events.load(str(path))
        assert len(log.table()) == 60, stem
        assert set(log.table(["visitor_id"])["visitor_id"].to_pylist()) == {
            f"own{i}" for i in range(10)
        }
        assert len(read_table(path.absolute())) == 60
        path.unlink()


@pytest.mark.parametrize(
    "folder", ["~", "a=1/user_id=me", "c0=zz/line=w", "*", "data[1]", "session_id=s/month=3"]
)
def test_folders_are_names_too(beside, folder, text):
    Path(folder).mkdir(parents=True)
    for suffix in (".csv", ".parquet", ".jsonl"):
        path = written(f"{folder}/f", suffix, text("own"))
        log = events.load(str(path), folder=f"{folder}/log", orders=None)
        assert set(log.table(["visitor_id"])["visitor_id"].to_pylist()) == {
            f"own{i}" for i in range(10)
        }
        assert list(read_table(str(path)).columns) == list(pd.read_csv("a.csv").columns)
        path.unlink()
    # All that reads a clean log again: features, labels, insights, units of experiments.
    log = events.open_log(Path(folder) / "log" / "events.parquet")
    assert len(find_anchors(log, Purchase(), (1,)).table) > 0
    assert len(usual.replay(log, at="end").to_pandas()) == 20
    assert insights.overview(log.path) is not None
    with log.connect() as con:
        assert "month" not in [r[0] for r in con.execute("DESCRIBE events").fetchall()]
    pd.DataFrame({"arm": ["a", "b"]}).to_csv(Path(folder).absolute() / "units.csv", index=False)
    with open_units(Path(folder) / "units.csv") as units:
        assert units.columns == ("arm",)


def test_results_go_where_they_are_named(beside, call, text):
    own = written("own", ".csv", text("own"))
    for name in ("*.parquet", "~/log.parquet", "o[1].parquet", "a=1/{i}.parquet"):
        code, _, error = call(
            "validate", own, "--out", name, "--rejects", name.replace("parquet", "csv")
        )
        assert code == 0, error
        assert Path(name).is_file()
        assert Path(name).with_suffix(".csv").is_file()
        assert len(events.open_log(Path(name)).table()) == 60
    assert not (beside.parent / "home" / "log.parquet").exists()


def test_orders_are_one_file(beside, text):
    written("own", ".csv", text("own"))
    for name in ("orders", "orders1"):
        pd.DataFrame(
            {
                "session_id": ["owns1" if name == "orders" else "owns2"],
                "order_id": [name],
                "order_value": [5.0],
            }
        ).to_csv(f"{name}.csv", index=False)
    Path("orders.csv").rename("orders?.csv")
    log = events.load("own.csv", orders="orders?.csv")
    assert "orders1" not in log.table(["order_id"])["order_id"].to_pylist()


def test_any_name_reads_itself_or_is_refused(tmp_path):
    """Names at random from the signs that patterns use, beside all of their siblings."""
    draw = random.Random(7)
    names = {"".join(draw.choices("*?[]!^-ab\\{},~=1", k=draw.randint(1, 5))) for _ in range(200)}
    for name in names:
        (tmp_path / name).write_text(f"{name}\n")
    read = 0
    with duckdb.connect() as con:
        for name in names:
            try:
                rows = con.execute(
                    f"FROM read_csv({file_literal(tmp_path / name)}, columns = {{'a': 'VARCHAR'}}, delim = '\x01', "
                    "quote = '', escape = '', header = false, auto_detect = false, hive_partitioning = false)"
                ).fetchall()
            except UsageError:
                assert "\\" in name
                continue
            assert rows == [(name,)]
            read += 1
    assert read > 100


def test_a_number_of_files_is_each_of_them(tmp_path):
    for name in ("a*.parquet", "ab.parquet"):
        duckdb.sql(f"SELECT '{name}' AS a").write_parquet(str(tmp_path / name))
    with duckdb.connect() as con:
        found = con.execute(
            f"FROM {read_parquet(tmp_path / 'a*.parquet', tmp_path / 'ab.parquet')}"
        )
        assert found.fetchall() == [("a*.parquet",), ("ab.parquet",)]


def test_a_pattern_is_still_a_pattern(beside):
    assert len(events.load("data*.csv").findings) >= 0
    with pytest.raises(CartcastError, match="no file matches"):
        events.load("zzz*.csv")
