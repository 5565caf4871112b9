"""Tables of databases: found, listed, read; no password is shown or stored."""

from __future__ import annotations

import contextlib
import sqlite3

import duckdb
import pytest

from cartcast.app import actions, warehouse
from cartcast.app.state import Project
from cartcast.errors import DataError, NotFoundError, UsageError

URL = "postgresql://me:s3cret@127.0.0.1:1/shop?connect_timeout=1"


@pytest.fixture
def databases(folder) -> Project:
    rows = duckdb.sql(f"SELECT * FROM read_csv('{folder / 'shop.csv'}', all_varchar = true)").df()
    with duckdb.connect(folder / "lake.duckdb") as con:
        con.execute("CREATE SCHEMA web; CREATE TABLE web.clicks AS SELECT * FROM rows")
        con.execute("CREATE TABLE other AS SELECT 1 AS a")
    with contextlib.closing(sqlite3.connect(folder / "till.db", isolation_level=None)) as lite:
        rows.to_sql("clicks", lite, index=False)
    return Project.open(folder)


def test_databases_of_the_folder_and_their_tables(databases):
    found = warehouse.warehouses(databases, {})
    assert [w.name for w in found] == ["lake.duckdb", "till.db"]
    assert [warehouse.tables(w) for w in found] == [["other", "web.clicks"], ["clicks"]]


@pytest.mark.parametrize("name", ["lake.duckdb", "till.db"])
def test_a_table_is_the_log_that_the_file_is(databases, name):
    owner = databases.access.owner()
    table = "web.clicks" if name == "lake.duckdb" else "clicks"
    source = actions.pick_table(databases, owner, name, table)
    data = actions.read_log(databases, owner, [source])
    mine = data.log.summary
    assert mine.events == databases.read(databases.source_paths()).log.summary.events
    assert data.name == f"{name}::{table}"
    with pytest.raises(NotFoundError, match="no table 'clickz'"):
        actions.pick_table(databases, owner, name, "clickz")
    with pytest.raises(NotFoundError, match="no such database"):
        actions.pick_table(databases, owner, "../" + name, table)


def test_a_changed_table_is_read_again(databases):
    owner = databases.access.owner()
    source = actions.pick_table(databases, owner, "till.db", "clicks")
    before = actions.read_log(databases, owner, [source]).log.summary.events
    with contextlib.closing(
        sqlite3.connect(databases.folder / "till.db", isolation_level=None)
    ) as lite:
        lite.execute("DELETE FROM clicks WHERE session_id = 's1'")
    assert actions.read_log(databases, owner, [source]).log.summary.events < before


def test_servers_by_setting_or_variable_without_their_password(folder):
    (folder / "cartcast.yaml").write_text(f"warehouses: ['{URL}', $LAKE]\n")
    project = Project.open(folder)
    environment = {"LAKE": "postgresql://lake/big", warehouse.VARIABLE: URL}
    found = warehouse.warehouses(project, environment)
    assert [w.name for w in found] == ["127.0.0.1/shop", "lake/big"]
    assert "s3cret" not in repr(found)
    with pytest.raises(UsageError, match="LAKE is not set"):
        warehouse.warehouses(project, {})
    with pytest.raises(UsageError, match="must hold postgresql://"):
        warehouse.warehouses(project, {"LAKE": "mysql://a/b"})


def test_a_server_that_is_not_there_is_said_in_place(folder, monkeypatch):
    pytest.importorskip("psycopg")
    monkeypatch.setenv(warehouse.VARIABLE, URL)
    project = Project.open(folder)
    with pytest.raises(NotFoundError) as caught:
        actions.pick_table(project, project.access.owner(), "127.0.0.1/shop", "clicks")
    assert "s3cret" not in str(caught.value)


def test_no_database(folder):
    (folder / "broken.duckdb").write_bytes(b"no database")
    found = warehouse.warehouses(Project.open(folder), {})
    with pytest.raises(DataError, match="not a database"):
        warehouse.tables(found[0])
