"""A store in a folder and the copies of it on a host: the last copy of a run is never given up."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cartcast.errors import NotFoundError, NotTrustedError, StorageError, UsageError
from cartcast.runs import catalogue, store
from cartcast.runs.registry import Registry
from cartcast.runs.store import RunStore, address

from .conftest import make_run


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A project with a store in a folder, and one run in it."""
    project = tmp_path / "shop"
    project.mkdir()
    (project / "cartcast.yaml").write_text("store: ../store\n")
    made = Registry.of(project)
    made.add(make_run(project / ".cartcast" / "runs" / "one", "one"))
    return made


def archives(registry: Registry) -> set[str]:
    return {p.name for p in (registry.folder / ".." / "store").iterdir()}


def test_what_the_store_lost_stays_where_it_lies(registry: Registry) -> None:
    (entry,) = registry.runs()
    (entry.path / "card.md").write_text("changed here")
    shutil.rmtree(registry.folder / ".." / "store")
    with registry.rewritten():
        assert (entry.path / "card.md").read_text() == "changed here"
    assert [p.name for p in entry.path.parent.iterdir()] == ["one"]


def test_a_store_that_refuses_takes_nothing_from_the_host(registry: Registry, monkeypatch) -> None:
    (entry,) = registry.runs()
    (entry.path / "card.md").write_text("changed here")
    refusal = StorageError("no answer")
    monkeypatch.setattr(RunStore, "pull", lambda *_: (_ for _ in ()).throw(refusal))
    with pytest.raises(StorageError, match="no answer"), registry.rewritten():
        pass
    assert (entry.path / "card.md").read_text() == "changed here"


def test_a_changed_folder_gives_way_to_the_stores(registry: Registry) -> None:
    (entry,) = registry.runs()
    (entry.path / "card.md").write_text("changed here")
    with registry.rewritten():
        (now,) = registry.runs()
        assert address(now.path) == entry.stored
    assert not (now.path / "card.md").exists()


def test_what_a_killed_process_laid_aside_is_put_back_or_removed(registry: Registry) -> None:
    (entry,) = registry.runs()
    aside = entry.path.with_name(".one.aside")
    (entry.path / "card.md").write_text("changed here")
    shutil.copytree(entry.path, aside)
    with registry.rewritten():
        assert not aside.exists()
    (now,) = registry.runs()
    assert address(now.path) == entry.stored
    # Killed before the store's own came, and the store has lost it: this is the last copy.
    shutil.rmtree(registry.folder / ".." / "store")
    for path in (now.path, entry.path):
        now.path.replace(path)
        path.replace(path.with_name(".one.aside"))
        with registry.rewritten():
            assert [p.name for p in path.parent.iterdir()] == ["one"]
        (now,) = registry.runs()
        assert now.path == path


def test_an_archive_is_there_whole_or_not_at_all(registry: Registry, monkeypatch) -> None:
    (entry,) = registry.runs()
    before = (registry.folder / ".." / "store" / f"{entry.stored}.tar").read_bytes()
    (entry.path / "more.bin").write_bytes(b"x" * 10)

    def breaks(stream: Any, block: bytes) -> None:
        stream.write(block[: len(block) // 2])
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store, "_send", breaks)
    for _ in range(2):
        with pytest.raises(StorageError, match="Input/output error"):
            registry.push("one")
        (entry.path / "more.bin").unlink(missing_ok=True)  # then under the address that is there
    assert archives(registry) == {f"{entry.stored}.tar"}
    assert (registry.folder / ".." / "store" / f"{entry.stored}.tar").read_bytes() == before


def test_a_missing_archive_is_pushed_from_the_folder_that_is_named(
    registry: Registry, tmp_path: Path
) -> None:
    (entry,) = registry.runs()
    away = tmp_path / "kept" / "one"
    shutil.move(entry.path, away)
    shutil.rmtree(registry.folder / ".." / "store")
    with pytest.raises(NotFoundError, match="push it again"):
        registry.run("one")
    registry.push(str(away))
    assert address(registry.run("one").dir) == entry.stored


def test_another_run_of_a_registered_name_is_not_pushed_over_it(
    registry: Registry, tmp_path: Path
) -> None:
    before = archives(registry)
    other = make_run(tmp_path / "other" / "one", "one")
    run = other / "run.json"
    run.write_text(run.read_text().replace('"model_manifest": "', '"model_manifest": "0'))
    with pytest.raises(NotTrustedError, match="another run than the registered one"):
        registry.push(str(other))
    # Nor where it lies in the place of the registered one.
    (entry,) = registry.runs()
    shutil.copy(run, entry.path)
    with pytest.raises(NotTrustedError, match="another run than the registered one"):
        registry.push("one")
    assert archives(registry) == before


def test_a_catalogue_in_a_file_is_migrated_as_it_is_opened(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / ".cartcast" / "catalogue.db"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as con:
        for statement in catalogue.MIGRATIONS[0]:
            con.execute(statement)
        con.execute("INSERT INTO promotions VALUES (1,'purchase','champion','r','2026','a','')")
        con.commit()
    assert Registry(tmp_path).aliases() == {("purchase", "champion"): "r"}
    with contextlib.closing(sqlite3.connect(path)) as con:
        con.execute("UPDATE catalogue_version SET version = 9")
        con.commit()
    with pytest.raises(StorageError, match="of version 9"):
        Registry(tmp_path).runs()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("store: ftp://host/x", "must be a folder or s3://"),
        ("store: s3://key:word@bucket/x", "no keys in the URL"),
        ("store: s3://bucket/x?colour=red", "unknown option 'colour'"),
        ("store: s3://bucket/x?endpoint=host", "endpoint must look like"),
        ("catalogue: $CARTCAST_NO_SUCH", "CARTCAST_NO_SUCH is not set"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, setting: str, message: str) -> None:
    (tmp_path / "cartcast.yaml").write_text(setting + "\n")
    with pytest.raises(UsageError, match=message):
        Registry.of(tmp_path).add(make_run(tmp_path / "run-1", "run-1"))


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    import hashlib
    import io
    import tarfile

    for name in ("../out", "/out", "a/../../out"):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        found = hashlib.sha256(data.getvalue()).hexdigest()
        (tmp_path / f"{found}.tar").write_bytes(data.getvalue())
        with pytest.raises(NotTrustedError, match="no file"):
            RunStore(str(tmp_path), tmp_path).pull(found, tmp_path / "run")
        assert not (tmp_path / "run").exists()
        assert not (tmp_path / "out").exists()


def test_a_run_that_lies_elsewhere_in_the_project_is_not_pulled_again(registry: Registry) -> None:
    entry = registry.add(make_run(registry.folder / "models" / "two", "two"))
    assert registry.get("two").path == entry.path == registry.folder / "models" / "two"
    # Another run of that name, such as one of another host, is not it.
    run = entry.path / "run.json"
    run.write_text(run.read_text().replace('"model_manifest": "', '"model_manifest": "0'))
    assert registry.get("two").path.is_relative_to(registry.folder / ".cartcast" / "pulled")
    shutil.rmtree(entry.path)
    assert registry.run("two").dir == registry.get("two").path


DRIPS = """
import atexit, sys
from pathlib import Path
from cartcast.cli import main
from cartcast.errors import StorageError
from cartcast.runs import store
from cartcast.runs.registry import Registry

store.GRACE = 0.5
if sys.argv[1] == "models":
    main()
atexit.register(print, "the caller's last")
try:
    Registry.of(Path()).run("one")
except StorageError as error:
    print(error, flush=True)
sys.exit(3)
"""


class Drip(BaseHTTPRequestHandler):
    tired = threading.Event()

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000000")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        with contextlib.suppress(OSError):
            while not self.tired.is_set():
                self.wfile.write(b"x" * 50)
                time.sleep(0.1)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_store_that_drips_holds_no_command_and_ends_no_caller(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(registry.get("one").path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "shop")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "shop")
    line = "s3://models/x: the store is too slow (0 bytes in "
    with ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (registry.folder / "cartcast.yaml").write_text(
            f"store: s3://models/x?region=a&endpoint=http://127.0.0.1:{server.server_port}\n"
        )
        one, two = (
            subprocess.Popen([sys.executable, "-c", DRIPS, *words], cwd=registry.folder, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for words in (("models", "verify", "one"), ("",))
        )  # fmt: skip
        told = one.communicate(timeout=60)[1]
        assert (one.returncode, told.count("\n")) == (1, 1)
        assert line in told
        # Who handled it goes on with what is left to do, and ends as it says.
        assert two.stdout is not None
        assert two.stdout.readline().startswith(line)
        Drip.tired.set()
        assert two.communicate(timeout=60)[0] == "the caller's last\n"
        assert two.returncode == 3
        server.shutdown()
    assert not list(registry.folder.rglob("run.json"))


def test_an_archive_that_could_not_be_deleted_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / f"{'a' * 64}.tar").mkdir()
    with pytest.raises(StorageError, match=r"The archive may lie there still"):
        RunStore(str(tmp_path), tmp_path).delete("a" * 64)
