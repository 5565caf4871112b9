"""Tables of databases give the events of the same file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import duckdb
import pytest

from cartcast import events
from cartcast.errors import NotFoundError, UsageError
from cartcast.events.databases import tables_in

KEYS = ["visitor_id", "session_id", "event_time", "event_order", "event_type", "item_id", "price"]


@pytest.fixture
def csv_file(write, as_csv, rows):
    return write(as_csv(rows))


def same(log: events.Log, csv_file: Path) -> None:
    assert log.table(KEYS).equals(events.load(csv_file).table(KEYS))


@pytest.fixture
def duckdb_file(tmp_path, csv_file):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(f"CREATE SCHEMA web; CREATE TABLE web.clicks AS FROM '{csv_file}'")
    return path


@pytest.fixture
def sqlite_file(tmp_path, rows):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as con:
        con.execute(f"CREATE TABLE clicks ({', '.join(rows[0])})")
        con.executemany(
            "INSERT INTO clicks VALUES (?, ?, ?, ?, ?, ?)",
            [(*list(r.values())[:5], float(r["price"])) for r in rows],
        )
    con.close()
    return path


def test_duckdb(duckdb_file, csv_file):
    for name in (
        f"{duckdb_file}::clicks",
        f"{duckdb_file}::web.clicks",
        f"duckdb:///{duckdb_file}?table=clicks",
    ):
        same(events.load(name), csv_file)


def test_sqlite(sqlite_file, csv_file):
    for name in (f"{sqlite_file}::clicks", f"sqlite:///{sqlite_file}?table=clicks"):
        same(events.load(name), csv_file)


@pytest.mark.parametrize("kind", ["duckdb_file", "sqlite_file"])
def test_missing_tables(kind, request, tmp_path):
    path = request.getfixturevalue(kind)
    assert tables_in(str(path)) == [{"duckdb_file": "web.clicks"}.get(kind, "clicks")]
    with pytest.raises(NotFoundError, match="Did you mean 'clicks'"):
        events.load(f"{path}::cliks")
    with pytest.raises(NotFoundError, match="no such database"):
        events.load(f"{tmp_path}/no.duckdb::clicks")


@pytest.mark.parametrize(
    "url", ["mysql://host/db?table=t", "postgresql://host/db", "::t", "file.duckdb::"]
)
def test_wrong_urls(url):
    with pytest.raises(UsageError):
        events.load(url)


def test_passwords_are_not_shown():
    pytest.importorskip("psycopg")
    with pytest.raises(NotFoundError) as caught:
        events.load("postgresql://me:s3cret@127.0.0.1:1/shop?table=t&connect_timeout=1")
    assert "s3cret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def postgres_programs() -> Path:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if not found:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl, which are not installed here")
    return Path(found).parent


@pytest.fixture(scope="module")
def postgres():
    """A real server on a socket in a folder of its own, run by a user without rights."""
    pytest.importorskip("psycopg")
    programs = postgres_programs()
    # Not below pytest's own folder, which nobody else may enter.
    keep = tempfile.TemporaryDirectory(prefix="pg-")
    folder = Path(keep.name)
    prefix: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        if not shutil.which("runuser"):
            pytest.skip("PostgreSQL cannot run as root, and runuser is not installed here")
        prefix = ["runuser", "-u", "nobody", "--"]
        folder.chmod(0o755)
        shutil.chown(folder, "nobody")
    data = folder / "data"

    def run(*words: str) -> None:
        done = subprocess.run([*prefix, *words], capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    run(str(programs / "initdb"), "-D", str(data), "-U", "shop", "-A", "trust", "-E", "UTF8")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run(str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options,
        "start")  # fmt: skip
    yield f"postgresql://shop@/postgres?host={folder}"
    run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    keep.cleanup()


@pytest.mark.postgres
def test_postgres(postgres, rows, csv_file):
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as con:
        con.execute("CREATE SCHEMA web")
        con.execute(
            'CREATE TABLE web."click log" (user_id text, session_id text, event_time timestamptz, '
            "event_type text, product_id text, price numeric)"
        )
        con.execute("SET TimeZone = 'UTC'")
        with con.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO web."click log" VALUES (%s, %s, %s, %s, %s, %s)',
                [tuple(r.values()) for r in rows],
            )
    same(events.load(f"{postgres}&table=web.click log"), csv_file)
    assert tables_in(postgres) == ["web.click log"]
    with pytest.raises(NotFoundError, match="no such table"):
        events.load(f"{postgres}&table=web.nothing")
