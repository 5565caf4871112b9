"""Raw files read on Spark are the log that one machine reads: rows, figures and findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from cartcast.datasets.disguises import product, write_case
from cartcast.errors import DataError, NotTrustedError, UsageError
from cartcast.events import RejectedError, load, open_log

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.filterwarnings("ignore"),
              pytest.mark.usefixtures("spark")]  # fmt: skip


def same(*files: Path, **how: Any) -> Any:
    """Read the files both ways, hold every row, figure and finding equal, and return the log."""
    here, there = load(*files, **how), load(*files, engine="spark", **how)
    assert there.summary == here.summary
    assert there.findings == here.findings
    assert (there.columns, there.clock, there.order) == (here.columns, here.clock, here.order)
    with duckdb.connect() as con:
        one, many = f"read_parquet('{here.path}')", f"read_parquet('{there.path}/*.parquet')"
        assert (
            con.sql(f"DESCRIBE FROM {many}").fetchall()
            == con.sql(f"DESCRIBE FROM {one}").fetchall()
        )
        for a, b in ((one, many), (many, one)):
            unlike = con.sql(f"FROM {a} EXCEPT ALL FROM {b}").fetchmany(3)
            assert unlike == []
    return there


def test_money_in_several_currencies(tmp_path):
    """Converted by day and by the shop's clock; what has no rate is refused in the same words."""
    lines = ["visitor_id,session_id,event_time,event_type,item_id,price,currency,order_id"]
    for k in range(300):
        kind, code = ("view_item", "purchase")[k % 2], ("EUR", "JPY", "USD", "")[k % 17 % 4]
        lines.append(f"v{k // 2 % 60},s{k // 2},2025-03-{1 + k // 20:02d} 2{k % 4}:{k % 60:02d}:00,"
                     f"{kind},i{k % 9},{k % 50 + 1},{code},{f'o{k}' if k % 2 else ''}")  # fmt: skip
    for name, part in (("a", lines[:150]), ("b", [lines[0], *lines[150:]])):
        (tmp_path / f"{name}.csv").write_text("\n".join(part) + "\n")
    rates = {"into": "EUR", "USD": 0.5, "JPY": {"2025-03-01": 0.25, "2025-03-05": 0.125}}
    log = same(tmp_path, rates=rates, zone="Asia/Tokyo")
    assert {"EV151", "EV152", "EV153"} <= {f.code for f in log.findings}
    said = []
    for engine in ("duckdb", "spark"):
        with pytest.raises(DataError) as refused:
            load(tmp_path, rates={"into": "EUR", "USD": 0.5}, engine=engine)
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert "JPY has no rate" in said[0]


HEAD = "event_id,visitor_id,user_id,session_id,event_time,event_type,item_id,price,quantity,order_id,country\n"


def rows(count: int, start: int = 0) -> list[list[str]]:
    """A log of several accidents: shared sessions and logins, lonely orders, repeats, rejects."""
    made = []
    for i in range(start, start + count):
        visitor = f"v{i * 7 % 41}"
        kind = ("view_item", "purchase", "view_item", "add_to_cart", "blink")[i % 5]
        lonely = kind == "purchase" and i % 3 == 0
        login = "team" if i % 20 == 7 or i % 60 == 6 else f"u{i * 7 % 41 % 17}"
        made.append(
            [
                f"e{i // 2 if i % 20 == 1 else i}",
                "" if lonely else visitor,
                login if lonely or i % 4 == 0 or login == "team" else "",
                "" if lonely else f"s{i * 7 % 41}-{i // 90}" if i % 50 else "shared",
                "soon"
                if i % 97 == 5
                else f"2024-03-{1 + i // 90 % 28:02d} 10:{i % 60:02d}:{i % 7:02d}",
                kind,
                f"i{i % 23}",
                f"{i % 23}.50",
                f"{1 + i % 2}",
                f"o{i % 37}" if kind == "purchase" else "",
                ("DE", "FR", "NA")[i % 3],
            ]
        )
    return made


def written(path: Path, lines: list[list[str]], keep: tuple[int, ...] = tuple(range(11))) -> Path:
    head = HEAD.strip().split(",")
    text = [[head[k] for k in keep], *([line[k] for k in keep] for line in lines)]
    path.write_text("".join(",".join(line) + "\n" for line in text))
    return path


def test_accidents_in_several_files(tmp_path):
    """Files that differ in form, overlap, run backwards, and share ids across visitors."""
    lines = rows(800)
    written(tmp_path / "a.csv", lines[:400])
    written(tmp_path / "b.csv", lines[:350:-1])
    text = (tmp_path / "b.csv").read_text()
    (tmp_path / "b.csv").write_text(text.replace(",", ";"))
    log = same(tmp_path, max_reject_share=0.1, session_breaks=("midnight",))
    codes = {f.code for f in log.findings}
    assert {"EV103", "EV110", "EV116", "EV132", "EV136", "EV139"} <= codes, codes
    assert log.summary.rejects
    with duckdb.connect() as con:
        assert con.sql(f"SELECT count(*) FROM '{log.rejects}'").fetchone() == (log.summary.rejects,)


def test_decisions_that_only_the_whole_log_can_take(tmp_path):
    """A default id, a code in the place of an event id, and a file of pairs: decided once more."""
    lines = rows(600)
    for i, line in enumerate(lines):
        line[0] = line[5]
        if i % 4 == 0:
            line[1] = "0"
    log = same(written(tmp_path / "a.csv", lines), max_reject_share=0.1)
    assert {"EV125", "EV133"} <= {f.code for f in log.findings}
    lines = rows(300)
    log = same(
        written(tmp_path / "b.csv", lines + lines, tuple(range(1, 11))), max_reject_share=0.1
    )
    assert log.summary.repeated_rows == log.summary.events


@pytest.mark.parametrize("form", ["ga4-jsonl", "segment"])
def test_disguises(form, tmp_path):
    case = next(product([form]))
    made = write_case(case, tmp_path, 1)
    layout = None
    if made.layout is not None:
        layout = tmp_path / "layout.yaml"
        layout.write_text(yaml.safe_dump(dict(made.layout)))
    same(*made.log, layout=layout)


def test_simulated_log(tmp_path):
    from cartcast.datasets import simulate

    simulate(sessions=2500, seed=4, out=tmp_path / "shop.parquet")
    with duckdb.connect() as con:
        for month in (0, 1):
            con.sql(
                f"COPY (SELECT * FROM '{tmp_path}/shop.parquet' WHERE hash(session_id) % 2 = {month}"
                f") TO '{tmp_path}/part-{month}.csv'"
            )
    log = same(tmp_path / "part-0.csv", tmp_path / "part-1.csv")
    assert log.summary.events > 15_000


@pytest.mark.data
def test_real_logs(rees46_file, eshop_file):
    assert same(rees46_file).summary.shared_sessions == 1
    assert same(eshop_file).summary.sessions == 24_026


def test_what_is_refused(tmp_path):
    one = written(tmp_path / "a.csv", rows(100))
    with pytest.raises(UsageError, match="reads no table of orders"):
        load(one, orders=one, engine="spark")
    with pytest.raises(UsageError, match="a disk that all machines share"):
        load(duckdb.sql("SELECT 1 AS a").to_arrow_table(), engine="spark")
    with pytest.raises(RejectedError, match="are rejected") as here:
        load(one, max_reject_share=0)
    with pytest.raises(RejectedError, match="are rejected") as there:
        load(one, max_reject_share=0, engine="spark", out=tmp_path / "out")
    assert str(there.value) == str(here.value)
    assert not (tmp_path / "out").exists()
    (tmp_path / "empty.csv").write_text(HEAD)
    with pytest.raises(DataError) as here:
        load(tmp_path / "empty.csv")
    with pytest.raises(DataError) as there:
        load(tmp_path / "empty.csv", engine="spark")
    assert str(there.value) == str(here.value)


def test_features_of_raw_files(tmp_path):
    import pyarrow.parquet as pq

    from cartcast.cli import main

    one = written(tmp_path / "a.csv", rows(300))
    text = [line for line in one.read_text().splitlines() if "soon" not in line]
    one.write_text("\n".join(text) + "\n")
    tables = []
    for engine in ("duckdb", "spark"):
        out = tmp_path / f"{engine}.parquet"
        with pytest.raises(SystemExit, match="0"):
            main(
                ["features", str(one), "--engine", engine, "--at-clicks", "1,3", "--out", str(out)]
            )
        keys = [("session_id", "ascending"), ("event_order", "ascending")]
        tables.append(pq.read_table(out).sort_by(keys))
    here, there = tables
    assert here.num_rows > 100
    assert there.cast(here.schema).equals(here)


def test_the_folder_is_a_log(tmp_path):
    one = written(tmp_path / "a.csv", rows(100))
    log = load(one, engine="spark", out=tmp_path / "out", max_reject_share=0.1)
    assert sorted(p.name[:4] for p in log.path.iterdir())[0] == "_car"
    again = open_log(tmp_path / "out")
    assert (again.summary, again.findings) == (log.summary, log.findings)
    opened = load(tmp_path / "out", engine="spark")
    assert (opened.path, opened.summary, opened.engine) == (log.path, log.summary, "spark")
    assert again.connect().sql("SELECT count(*) FROM events").fetchone() == (log.summary.events,)
    assert json.loads((log.path / "_cartcast.json").read_text())["contract"] == 2
    with pytest.raises(UsageError, match="exists"):
        load(one, engine="spark", out=tmp_path / "out")


def test_pseudonyms_and_what_still_tells_are_those_of_one_machine(tmp_path: Path) -> None:
    from cartcast.events.privacy import Privacy

    files = []
    for k in (0, 1):
        made = [[*r, f"/account/visitor-{r[1]}"] for r in rows(300, start=300 * k)]
        for r in made:
            r[1] = r[1] and f"visitor-{r[1]}"
            r[3] = r[3] and f"{r[1].upper()}.{r[3]}"
        files.append(tmp_path / f"{k}.csv")
        text = HEAD.strip() + ",page\n" + "\n".join(",".join(r) for r in made) + "\n"
        files[-1].write_text(text)
    privacy = Privacy(("visitor_id",), b"wP0-mE3v_Qd8zKx1Rt5yLb2NcA7fHg")
    log = same(*files, max_reject_share=0.5, privacy=privacy)
    assert len([f for f in log.findings if f.code == "EV160"]) == 2
    assert log.privacy == privacy.as_dict()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two raw files of a simulated shop; visitors are in both."""
    from cartcast.datasets import simulate

    folder = tmp_path_factory.mktemp("shop")
    simulate(sessions=900, seed=7, out=folder / "shop.parquet")
    (folder / "raw").mkdir()
    with duckdb.connect() as con:
        for half in (0, 1):
            con.sql(
                f"COPY (SELECT * FROM '{folder}/shop.parquet' WHERE hash(session_id) % 2 = {half}) "
                f"TO '{folder}/raw/{half}.csv'"
            )
    return folder / "raw"


@pytest.fixture(scope="module")
def runs(shop: Path) -> list[Any]:
    """The same training on one machine and on Spark."""
    from cartcast.train import train

    models = ("logistic_regression", "hist_gradient_boosting")
    return [
        train(
            shop, models=models, run_dir=shop.parent / engine, threads=1, segments=3, engine=engine
        )
        for engine in ("duckdb", "spark")
    ]


def test_a_run_trained_on_spark_is_that_of_one_machine(runs: list[Any]) -> None:
    import pandas as pd
    from pandas.testing import assert_frame_equal

    def timeless(value: Any) -> Any:
        own = ("run_id", "created", "seconds", "model_manifest")
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k not in own}
        if isinstance(value, list):
            return [timeless(v) for v in value]
        # Rows come in another order, so sums differ in their last digit.
        return float(f"{value:.12g}") if isinstance(value, float) else value

    here, there = runs
    assert timeless(there.data) == timeless(here.data)
    assert len(here.data["segments"]) == 3
    assert there.findings == here.findings
    said = [pd.read_parquet(run.dir / "predictions.parquet") for run in runs]
    assert_frame_equal(*said)


def test_scores_are_those_of_one_machine(shop: Path, runs: list[Any], tmp_path: Path) -> None:
    """In one file and in a folder, with the findings on what differs from the run's own log."""
    import pandas as pd
    from pandas.testing import assert_frame_equal

    from cartcast.score import predict_to

    run = runs[0].dir
    done = [
        predict_to(shop, run, tmp_path / name, engine=engine, everything=True)
        for name, engine in (("a.parquet", "duckdb"), ("b.parquet", "spark"), ("c", "spark"))
    ]
    here, one, many = (pd.read_parquet(tmp_path / n) for n in ("a.parquet", "b.parquet", "c"))
    assert len(list((tmp_path / "c").glob("*.parquet"))) > 1
    many = many.sort_values(["session_id", "click"], ignore_index=True)
    for there in (one, many):
        # The same sums in batches of another size end in another last digit.
        assert_frame_equal(here, there, rtol=1e-12)
    assert here["segment"].notna().all()
    assert [{**d, "out": ""} for d in done] == [{**done[0], "out": ""}] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet", "c"]


def test_what_the_run_refuses_is_refused_on_spark(
    shop: Path, runs: list[Any], tmp_path: Path
) -> None:
    from cartcast.score import predict, predict_to

    run = runs[0].dir
    foreign = tmp_path / "foreign.csv"
    with duckdb.connect() as con:
        con.sql(f"COPY (SELECT * REPLACE ('JPY' AS currency) FROM '{shop}/0.csv') TO '{foreign}'")
    said = []
    for engine in ("duckdb", "spark"):
        with pytest.raises(DataError) as refused:
            predict(foreign, run, engine=engine)
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert "in JPY" in said[0]
    with pytest.raises(UsageError, match="reads no table of orders"):
        predict(shop, run, orders=str(foreign), engine="spark")
    with pytest.raises(UsageError, match="a disk that all machines share"):
        predict(duckdb.sql("SELECT 1 AS a").to_arrow_table(), run, engine="spark")
    with pytest.raises(UsageError, match="exists"):
        predict_to(shop, run, tmp_path, engine="spark")
    with pytest.raises(UsageError, match=r"\.csv or \.parquet"):
        predict_to(shop, run, tmp_path / "x")
    (run / "model" / "champion.skops").write_bytes(b"another")
    with pytest.raises(NotTrustedError, match="SHA-256"):
        predict(shop, run, engine="spark")
