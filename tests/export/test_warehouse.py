"""Tables of a log in DuckDB and PostgreSQL: the same rows, replaced whole, nobody else's touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import yaml

from cartcast import Run, events, export
from cartcast.cli import main
from cartcast.errors import CartcastError, DataError, NotFoundError, StorageError, UsageError

from ..events.test_databases import postgres  # noqa: F401 - a fixture

Ask = Callable[[str], pd.DataFrame]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> events.Log:
    """Text that hurts: quotes, line ends, empty, a backslash, a column named as SQL is."""
    file = tmp_path_factory.mktemp("log") / "shop.csv"
    rows = [
        'session_id,user_id,event_time,event_type,product_id,price,"select ""x""",note',
        's1,u1,2026-03-01 10:00:00,view_item,p1,9.5,a,"two\nlines, ""said"""',
        "s1,u1,2026-03-01 10:01:00.5,add_to_cart,p1,9.5,,\\.",
        "s1,u1,2026-03-01 10:02:00,purchase,p1,9.5,b,=1+1",
        "s2,u2,2026-03-02 11:00:00,view_item,p\u00fc,0.1,c,",
        "s2,u2,2026-03-02 11:00:01,view_item,p3,1e-7,c,x",
    ]
    file.write_text("\n".join(rows) + "\n")
    return events.load(file, session_gap=1e9)


class Duck:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "shop.duckdb"

    def export(self, log: events.Log, *given: Any, **how: Any) -> export.Exported:
        return export.to_duckdb(log, self.path, *given, **how)

    def ask(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(str(self.path)) as con:
            return con.sql(sql).df()

    def do(self, sql: str) -> None:
        with duckdb.connect(str(self.path)) as con:
            con.execute(sql)


class Server:
    def __init__(self, url: str) -> None:
        self.url = url
        self.do("DROP SCHEMA IF EXISTS cartcast CASCADE; DROP SCHEMA IF EXISTS other CASCADE")

    def export(self, log: events.Log, *given: Any, **how: Any) -> export.Exported:
        return export.to_postgres(log, self.url, *given, **how)

    def ask(self, sql: str) -> pd.DataFrame:
        import psycopg

        with psycopg.connect(self.url) as con:
            cursor = con.execute(sql.encode())
            return pd.DataFrame(cursor.fetchall(), columns=[d[0] for d in cursor.description or ()])

    def do(self, sql: str) -> None:
        import psycopg

        with psycopg.connect(self.url) as con:
            con.execute(sql.encode())


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Duck | Server:
    if request.param == "duckdb":
        return Duck(tmp_path)
    return Server(request.getfixturevalue("postgres"))


def rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return plain values: a null of any kind is None."""
    whole = table.astype(object)
    return [*whole.where(whole.notna(), None).itertuples(index=False, name=None)]


def test_every_value_arrives(base: Any, log: events.Log) -> None:
    done = base.export(log)
    assert done.rows == {"events": 5}
    got = base.ask("SELECT * FROM cartcast.events ORDER BY session_id, event_order")
    want = log.table().to_pandas().sort_values(["session_id", "event_order"])
    assert list(got) == list(want)
    assert rows(got) == rows(want)


def test_a_session_is_what_its_events_are(base: Any, log: events.Log) -> None:
    base.export(log)
    got = base.ask("SELECT * FROM cartcast.sessions ORDER BY session_id").set_index("session_id")
    table = log.table().to_pandas()
    want = table.groupby("session_id")
    assert (got["session_start"] == want["event_time"].min()).all()
    assert (got["session_end"] == want["event_time"].max()).all()
    assert got["events"].tolist() == want.size().tolist() == [3, 2]
    assert got["item_views"].tolist() == [1, 2]
    assert got["carts"].tolist() == [1, 0]
    assert got["purchased"].tolist() == [True, False]
    paid = want["revenue"].sum(min_count=1)
    assert rows(got[["revenue"]]) == rows(paid.to_frame())
    assert paid["s1"] == 9.5
    assert pd.isna(got["revenue"]["s2"])


def test_scores_are_those_of_predict(base: Any, shop: events.Log, run: Run) -> None:
    from cartcast.score import predict

    base.export(shop, run, everything=True)
    want, _ = predict(shop, run, everything=True)
    got = base.ask("SELECT * FROM cartcast.scores ORDER BY session_id, as_of, click")
    assert rows(got) == rows(want)
    assert len(got) > 900
    joined = base.ask(
        "SELECT count(*) AS n FROM cartcast.scores JOIN cartcast.sessions USING (session_id)"
    )
    assert joined["n"][0] == len(got)
    # An export without a run says nothing of the scores of another log.
    base.export(shop)
    assert base.ask("SELECT * FROM cartcast.scores").empty


def test_a_second_export_replaces_the_first_and_views_on_it_stay(
    base: Any, log: events.Log
) -> None:
    base.export(log)
    base.do(
        "CREATE SCHEMA other; CREATE VIEW other.mine AS SELECT count(*) AS n FROM cartcast.events"
    )
    base.export(log)
    assert base.ask("SELECT n FROM other.mine")["n"][0] == 5


@pytest.mark.parametrize("name", ["events", "sessions", "scores"])
def test_what_is_not_ours_stays(base: Any, log: events.Log, name: str) -> None:
    base.do(f"CREATE SCHEMA other; CREATE TABLE other.{name} AS SELECT 7 AS mine")
    with pytest.raises(UsageError, match=f"other.{name} was not made by an export"):
        base.export(log, schema="other")
    assert base.ask(f"SELECT * FROM other.{name}")["mine"].tolist() == [7]
    found = base.ask(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'other'"
    )
    assert found["table_name"].tolist() == [name]


def test_an_export_that_fails_leaves_the_one_before(
    base: Any, log: events.Log, monkeypatch: Any
) -> None:
    from cartcast.export import warehouse

    base.export(log)
    monkeypatch.setattr(warehouse, "sessions_sql", lambda _: "SELECT no_such_column")
    with pytest.raises(CartcastError, match="cannot be written"):
        base.export(log)
    assert len(base.ask("SELECT * FROM cartcast.events")) == 5
    assert len(base.ask("SELECT * FROM cartcast.sessions")) == 2


@pytest.mark.postgres
def test_views_of_others_are_not_dropped(postgres: str, log: events.Log, shop: events.Log) -> None:  # noqa: F811
    base = Server(postgres)
    base.export(log)
    base.do("CREATE SCHEMA other; CREATE VIEW other.mine AS SELECT note FROM cartcast.events")
    with pytest.raises(UsageError, match=r"the columns of cartcast\.events changed, and views"):
        base.export(shop)
    assert len(base.ask("SELECT * FROM other.mine")) == 5
    base.do("DROP VIEW other.mine")
    base.export(shop)
    assert len(base.ask("SELECT * FROM cartcast.sessions")) == 900


def test_comments_and_sources_of_dbt_tell_key_unit_and_meaning(
    tmp_path: Path, log: events.Log
) -> None:
    base = Duck(tmp_path)
    done = base.export(log)
    told = base.ask(
        "SELECT column_name AS c, comment FROM duckdb_columns() WHERE table_name = 'events'"
    )
    assert (
        told.set_index("c")["comment"]["price"]
        == "per unit; null when unknown; never negative (currency)"
    )
    comment = base.ask("SELECT comment FROM duckdb_tables() WHERE table_name = 'events'")[
        "comment"
    ][0]
    assert comment == "Cartcast export: one row an event. Key: session_id, event_order."
    export.write_sources(done, tmp_path / "cartcast.yml")
    (source,) = yaml.safe_load((tmp_path / "cartcast.yml").read_text())["sources"]
    tables = {t["name"]: {c["name"]: c for c in t["columns"]} for t in source["tables"]}
    for name, columns in tables.items():
        types = base.ask(f"SELECT * FROM (DESCRIBE cartcast.{name})")["column_name"]
        assert list(columns) == types.tolist()
    assert tables["sessions"]["session_id"]["data_tests"] == ["not_null", "unique"]
    assert tables["sessions"]["revenue"]["description"] == "null without any money (currency)"
    keys = base.ask(
        "SELECT count(*), count(DISTINCT (session_id, event_order)) FROM cartcast.events"
    )
    assert keys.iloc[0].tolist() == [5, 5]


def test_a_file_that_is_in_use_or_none_of_duckdb(tmp_path: Path, log: events.Log) -> None:
    import subprocess
    import sys

    base = Duck(tmp_path)
    base.path.write_text("a text")
    with pytest.raises(DataError, match="not a DuckDB file"):
        base.export(log)
    assert base.path.read_text() == "a text"
    base.path.unlink()
    base.export(log)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(base.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(StorageError, match="another process has it open"):
            base.export(log)
        other.communicate(b"\n")
    assert [p.name for p in tmp_path.iterdir()] == ["shop.duckdb"]


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (("sqlite", "x.db"), "got 'sqlite'"),
        (("postgres", "postgresql://me:s3cret@host/shop"), "PGPASSWORD"),
        (("postgres", "mysql://host/shop"), "must hold postgresql://"),
        (("postgres", "$NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
        (("postgres", "postgresql://127.0.0.1:1/shop"), "no connection"),
    ],
)
def test_a_wrong_place_is_one_line(
    log: events.Log, to: tuple[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["export", str(log.path), "--to", *to])
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert "s3cret" not in said


def test_a_server_that_is_not_there(log: events.Log) -> None:
    with pytest.raises(NotFoundError, match="no connection"):
        export.to_postgres(log, "postgresql://127.0.0.1:1/shop?connect_timeout=1")
