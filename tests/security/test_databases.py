"""A stranger's database file reaches nothing but its own tables."""

from __future__ import annotations

import sqlite3

import duckdb
import pytest

from cartcast import events
from cartcast.app import warehouse
from cartcast.app.state import Project
from cartcast.errors import CartcastError, DataError, NotFoundError
from cartcast.events.databases import tables_in

# The engine's SQL of a log made of what is in another file.
OTHER = (
    "SELECT {} AS user_id, 's' AS session_id, now()::TIMESTAMP AS event_time, 'view' AS event_type"
)
REACHES = {
    "csv": "FROM read_csv('{secret}', header = false, columns = {{'a': 'VARCHAR'}}, delim = '\x01')",
    "text": "FROM read_text('{secret}') t(f, a, n, m)",
    "blob": "FROM (SELECT content::VARCHAR AS a FROM read_blob('{secret}'))",
    "list": "FROM (SELECT file AS a FROM glob('{folder}/*'))",
    "inner": "FROM (SELECT (SELECT content FROM read_text('{secret}')) AS a)",
    "macro": "FROM reaching()",
    "chained": "FROM text",
    "query": "FROM (SELECT a FROM query('SELECT content AS a FROM read_text(''{secret}'')'))",
    "json": "FROM (SELECT json::VARCHAR AS a FROM read_json_objects('{jsonl}'))",
    "parquet": "FROM (SELECT a FROM read_parquet('{parquet}'))",
}


@pytest.fixture
def secret(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "secret.txt").write_text("hush-hush")
    (folder / "secret.jsonl").write_text('{"a": "hush-hush"}\n')
    duckdb.sql("SELECT 'hush-hush' AS a").write_parquet(str(folder / "secret.parquet"))
    return folder


@pytest.fixture
def foreign(tmp_path, secret):
    project = tmp_path / "project"
    project.mkdir()
    path = project / "shop.duckdb"
    places = {
        "secret": secret / "secret.txt", "folder": secret,
        "jsonl": secret / "secret.jsonl", "parquet": secret / "secret.parquet",
    }  # fmt: skip
    with duckdb.connect(str(path)) as con:
        con.execute(
            f"CREATE MACRO reaching() AS TABLE SELECT content AS a FROM read_text('{places['secret']}')"
        )
        for name, sql in REACHES.items():
            column = "content" if name == "text" else "user_id" if name == "chained" else "a"
            column = "a" if name == "text" else column
            con.execute(f'CREATE VIEW "{name}" AS {OTHER.format(column)} {sql.format(**places)}')
    return path


@pytest.mark.parametrize("name", REACHES)
def test_a_view_that_reaches_out_gives_nothing(foreign, name, tmp_path):
    with duckdb.connect(str(foreign), read_only=True) as con:
        assert con.execute(f'SELECT count(*) FROM "{name}"').fetchone() != (0,)  # the attack is one
    out = tmp_path / "out"
    with pytest.raises(DataError, match="more than its own file|cannot be read"):
        events.load(f"{foreign}::{name}", folder=out)
    assert not [p for p in out.rglob("*") if p.is_file()]


def test_such_views_are_not_offered(foreign):
    with duckdb.connect(str(foreign)) as con:
        con.execute("CREATE TABLE clicks AS SELECT 1 AS a; CREATE VIEW mine AS FROM clicks")
    assert tables_in(str(foreign)) == ["clicks", "mine"]
    found = warehouse.warehouses(Project.open(foreign.parent), {})
    assert warehouse.tables(found[0]) == ["clicks", "mine"]
    with pytest.raises(NotFoundError):
        warehouse.source(found[0], "csv")


def test_a_view_of_the_same_file_is_read(tmp_path, text):
    path, csv = tmp_path / "a.duckdb", tmp_path / "a.csv"
    csv.write_text(text())
    with duckdb.connect(str(path)) as con:
        con.execute(f"CREATE TABLE t AS FROM '{csv}'; CREATE VIEW v AS FROM t")
        con.execute(
            "CREATE TABLE made(a INT, user_id VARCHAR GENERATED ALWAYS AS ('x' || a) VIRTUAL)"
        )
    keys = ["visitor_id", "session_id", "event_time", "item_id", "price"]
    assert events.load(f"{path}::v").table(keys).equals(events.load(csv).table(keys))


def test_names_of_python_are_not_tables(tmp_path):
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE known AS SELECT 1 a; CREATE VIEW v AS FROM known; ")
    batches = known = duckdb.sql("SELECT 'hush' a").df()  # noqa: F841
    with duckdb.connect(str(path)) as con:
        con.execute("DROP TABLE known")
    with pytest.raises(DataError):
        events.load(f"{path}::v")
    assert tables_in(str(path)) == []


def test_types_and_order_survive_the_copy(tmp_path, monkeypatch):
    monkeypatch.setattr("cartcast.events.foreign._ROWS", 700)
    path = tmp_path / "a.duckdb"
    made = (
        "SELECT i, i::HUGEINT AS h, uuid() AS u, (i / 3)::DECIMAL(10,2) AS d, [i] AS l, "
        "{'a': i} AS s, now()::TIMESTAMP AS t, INTERVAL (i) DAY AS v, MAP {'k': i} AS m, 'a'::ENUM('a') AS e "
        "FROM range(3000) r(i)"
    )
    with duckdb.connect(str(path)) as con:
        con.execute(f"CREATE TABLE t AS {made}")
        told = con.sql("FROM t").fetchall()
    from pathlib import Path

    from cartcast.events.foreign import DuckdbFile, copied

    with duckdb.connect() as con, DuckdbFile(Path(path)) as file:
        name = copied(con, file.batches("t"), Path(path))
        assert con.sql(f"FROM {name}").fetchall() == told


def test_a_small_file_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("cartcast.events.packed.FLOOR", 10_000_000)
    path, lite = tmp_path / "a.duckdb", tmp_path / "a.db"
    with duckdb.connect(str(path)) as con:
        con.execute(
            "CREATE VIEW v AS SELECT i AS user_id, repeat('x', 1000) AS p FROM range(100000000) r(i)"
        )
    with sqlite3.connect(lite) as con:
        con.execute(
            "CREATE VIEW v AS WITH RECURSIVE n(user_id) AS (SELECT 1 UNION ALL SELECT user_id + 1 FROM n) "
            "SELECT user_id, hex(zeroblob(500)) AS p FROM n"
        )
        con.execute("CREATE VIEW wide AS SELECT 1 AS user_id, zeroblob(900000000) AS p")
    for name in (f"{path}::v", f"{lite}::v", f"{lite}::wide"):
        with pytest.raises(DataError, match="allowed for a file of its size|too big"):
            events.load(name)


@pytest.fixture
def lite(tmp_path, shop):
    path = tmp_path / "shop.db"
    rows = shop()
    with sqlite3.connect(path) as con:
        con.execute(f"CREATE TABLE clicks ({', '.join(rows[0])})")
        con.executemany(
            f"INSERT INTO clicks VALUES ({', '.join('?' * len(rows[0]))})",
            [tuple(r.values()) for r in rows],
        )
        con.execute("CREATE VIEW mine AS SELECT * FROM clicks")
        con.execute("CREATE VIRTUAL TABLE words USING fts5(a)")
        con.execute("CREATE VIEW loads AS SELECT load_extension('/lib/x.so') AS user_id")
        con.execute("CREATE VIEW reaching AS SELECT * FROM pragma_database_list")
    con.close()
    return path


def test_sqlite_gives_tables_and_views_of_them(lite):
    assert "words" not in tables_in(str(lite))
    assert len(events.load(f"{lite}::mine").table()) == 60
    for name in ("loads", "reaching", "words"):
        with pytest.raises(CartcastError):
            events.load(f"{lite}::{name}")


def test_what_is_no_database_is_refused_in_one_line(tmp_path):
    for head in (b"", b"SQLite format 3\0DUCK", b"\0" * 8 + b"DUCK", b"PK\3\4", b"junk" * 2000):
        path = tmp_path / "a.db"
        path.write_bytes(head + b"\1" * 5000)
        for call in (lambda p=path: tables_in(str(p)), lambda p=path: events.load(f"{p}::t")):
            with pytest.raises(DataError) as caught:
                call()
            assert "\n" not in str(caught.value)


def test_a_link_out_of_the_project_is_no_database_of_it(tmp_path):
    project, other = tmp_path / "p", tmp_path / "other.duckdb"
    project.mkdir()
    duckdb.connect(str(other)).close()
    (project / "mine.duckdb").symlink_to(other)
    assert warehouse.warehouses(Project.open(project), {}) == []
