"""A team: two hosts, one PostgreSQL catalogue, one S3 store; races, refusals, damage, kills."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cartcast.access.roles import RefusedError
from cartcast.api.server import Plan, resolve
from cartcast.errors import NotFoundError, NotTrustedError, StorageError, UsageError
from cartcast.forget import forget
from cartcast.runs import catalogue
from cartcast.runs import store as stores
from cartcast.runs.registry import Registry
from cartcast.runs.run import Run
from cartcast.runs.store import address

from .conftest import host, make_run

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A real S3 server with a bucket, as a URL."""
    pytest.importorskip("moto", reason="needs moto's S3 server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "shop")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "shop")
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(
            words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as server:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            url = f"s3://models/team?region=eu-central-1&endpoint=http://127.0.0.1:{port}"
            bucket(url).create_dir("models")
            yield url
            server.kill()


def bucket(url: str) -> Any:
    from pyarrow import fs

    return fs.S3FileSystem(
        endpoint_override=url.rpartition("://")[2], scheme="http", region="eu-central-1",
        allow_bucket_creation=True,
    )  # fmt: skip


def kept(url: str) -> set[str]:
    """Names of the archives in a bucket."""
    from pyarrow import fs

    found = bucket(url).get_file_info(fs.FileSelector("models", recursive=True))
    return {f.base_name for f in found if f.type is fs.FileType.File}


@pytest.fixture
def team(tmp_path: Path, database: str, s3: str) -> tuple[Registry, Registry]:
    """Two hosts; the first has trained two runs, and the second none."""
    one, two = (Registry.of(host(tmp_path / name, database, s3)) for name in ("one", "two"))
    for name in ("run-1", "run-2"):
        one.add(make_run(one.folder / ".cartcast" / "runs" / name, name))
    return one, two


def test_a_run_promoted_on_one_host_is_served_on_the_other(team: Any, tmp_path: Path) -> None:
    one, two = team
    shutil.move(one.folder, away := tmp_path / "switched-off")
    plan = Plan(model="champion", project=str(two.folder))
    first = resolve(plan)
    assert first.is_relative_to(two.folder)
    assert Run.open(first).loaded().id == "run-1"
    assert address(first) == address(away / ".cartcast" / "runs" / "run-1")
    two.promote("run-2", reason="better at click 3")
    assert Run.open("champion", two.folder).id == "run-2"
    shutil.move(away, one.folder)
    assert Run.open("champion", one.folder).dir == one.folder / ".cartcast" / "runs" / "run-2"
    assert one.rollback().run_id == "run-1"
    assert resolve(plan) == first
    who = {p.who for p in one.promotions()}
    assert {w.rpartition(" as ")[2] for w in who} == {"shop"}
    two.verify(two.get("run-1"))


def test_of_two_who_promote_at_once_one_wins(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = team
    both, said = threading.Barrier(2), list[Any]()
    whole = Registry.verify

    def together(self: Registry, entry: Any) -> None:
        whole(self, entry)
        both.wait(30)

    monkeypatch.setattr(Registry, "verify", together)

    def promote(registry: Registry) -> None:
        try:
            said.append(registry.promote("run-2", who=registry.folder.name).run_id)
        except UsageError as error:
            said.append(error)

    threads = [threading.Thread(target=promote, args=(r,)) for r in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [e for e in said if isinstance(e, UsageError)]
    assert len(told) == 1
    assert "was given to run-2 meanwhile, by " in str(told[0])
    assert sum(p.run_id == "run-2" and p.alias == "champion" for p in one.promotions()) == 1


def test_a_changed_byte_in_the_store_is_noticed_and_mended(team: Any, s3: str) -> None:
    one, two = team
    name = f"models/team/{one.get('run-1').stored}.tar"
    with bucket(s3).open_input_stream(name) as stream:
        data = bytearray(stream.read())
    data[len(data) // 2] ^= 1
    with bucket(s3).open_output_stream(name) as stream:
        stream.write(data)
    with pytest.raises(NotTrustedError, match="damaged or was changed; push it again"):
        two.run("champion")
    assert not list((two.folder / ".cartcast").rglob("run.json"))
    with pytest.raises(NotTrustedError):
        two.promote("run-1", "challenger")
    one.push("run-1")
    assert two.run("champion").loaded().id == "run-1"
    bucket(s3).delete_file(f"models/team/{one.get('run-2').stored}.tar")
    with pytest.raises(NotFoundError, match="an archive that the catalogue names is not there"):
        two.run("run-2")


def test_a_pulled_run_that_was_changed_is_not_promoted(team: Any) -> None:
    _, two = team
    report = two.run("run-2").dir / "report.html"
    report.write_text("changed")
    with pytest.raises(NotTrustedError, match="is not what the store has"):
        two.promote("run-2")
    shutil.rmtree(report.parent)
    assert two.promote("run-2").run_id == "run-2"


def test_a_forgotten_person_is_gone_from_the_store(team: Any, tmp_path: Path, s3: str) -> None:
    one, two = team
    before = kept(s3)

    def people(registry: Registry) -> set[str]:
        return {
            v for e in registry.runs() for v in registry.run(e.run_id).predictions["visitor_id"]
        }

    assert people(two) == {"v1", "v2"}
    forget(two.folder, "v1")
    assert len(kept(s3) - before) == 2
    assert len(before - kept(s3)) == 2
    (tmp_path / "three").mkdir()
    shutil.copy(two.folder / "cartcast.yaml", tmp_path / "three")
    assert people(Registry.of(tmp_path / "three")) == people(two) == {"v2"}
    # The host that trained them has its own; forgetting another there does not bring it back.
    assert people(one) == {"v1", "v2"}
    forget(one.folder, "nobody")
    assert people(one) == {"v2"}
    assert people(two) == {"v2"}
    one.verify(one.get("run-1"))


def test_a_deleted_run_is_gone_everywhere(team: Any, s3: str) -> None:
    one, two = team
    before = kept(s3)
    with pytest.raises(UsageError, match="run-1 is purchase/champion; give the alias"):
        two.delete("run-1")
    one.promote("run-1", "challenger")
    gone = two.delete("run-2", "a copy")
    assert before - kept(s3) == {f"{gone.stored}.tar"}
    assert [e.run_id for e in one.runs()] == ["run-1"]
    # The other host's own folder is its own to remove.
    assert (one.folder / ".cartcast" / "runs" / "run-2").is_dir()
    act = one.members.acts()[0]
    assert (act.action, act.detail) == ("delete", "run-2 a copy")


@pytest.mark.parametrize(("role", "may"), [("viewer", ""), ("analyst", "t"), ("admin", "tpd")])
def test_a_role_decides_what_may_be_done(
    database: str,
    tmp_path: Path,
    role: str,
    may: str,
) -> None:
    import psycopg

    one = Registry.of(host(tmp_path / "one", database, None))
    for name in ("run-1", "run-2"):
        one.add(make_run(tmp_path / name, name))
    with pytest.raises(UsageError, match="no admin would be left"):
        one.members.give("ann", role="viewer")
    one.members.give("shop", "admin")
    one.members.give("ann", role)
    with psycopg.connect(database) as con:
        schema = con.execute("SELECT current_schema").fetchone()
        assert schema
        con.execute("DROP ROLE IF EXISTS ann")
        con.execute("CREATE ROLE ann LOGIN")
        con.execute(f"GRANT USAGE ON SCHEMA {schema[0]} TO ann")
        con.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema[0]} TO ann")
    ann = Registry.of(host(tmp_path / "two", database.replace("//shop@", "//ann@"), None))
    assert ann.get("champion").run_id == "run-1"
    for letter, action in {
        "t": lambda: ann.add(make_run(tmp_path / "run-3", "run-3")),
        "p": lambda: ann.promote("run-2"),
        "d": lambda: ann.replace(ann.copy()),
    }.items():
        if letter in may:
            action()
        else:
            with pytest.raises(RefusedError, match=f"that of the database user 'ann' is {role}"):
                action()
    with contextlib.suppress(RefusedError):
        ann.members.give("ann", "admin")
    assert one.members.roles()["ann"] == role
    if "p" in may:
        assert one.promotions()[0].who.endswith(" as ann")
        assert one.members.acts()[0].action == "people"
    # What the database itself does not let a user write, nobody writes.
    with psycopg.connect(database) as con:
        con.execute(f"REVOKE INSERT, DELETE ON ALL TABLES IN SCHEMA {schema[0]} FROM ann")
        con.execute("DELETE FROM members")
    assert ann.get("champion")
    with pytest.raises(StorageError, match="does not let its user do this"):
        ann.promote("run-1")
    with psycopg.connect(database) as con:
        con.execute("DROP OWNED BY ann")


def test_a_catalogue_behind_is_migrated_once_and_one_ahead_is_refused(
    database: str, tmp_path: Path
) -> None:
    import psycopg

    one = Registry.of(host(tmp_path / "one", database, None))
    with psycopg.connect(database) as con:
        for statement in catalogue.MIGRATIONS[0]:
            con.execute(statement)  # type: ignore[arg-type]
        con.execute(
            "INSERT INTO runs VALUES ('run-0', '/old', '2026', 'purchase', 'observed', 'm', '{}', '')"
        )
        con.execute("INSERT INTO promotions VALUES (1,'purchase','champion','run-0','2026','a','')")
    for _ in range(2):
        with pytest.raises(
            UsageError, match=r"of version 1, .* needs 2; `cartcast models migrate`"
        ):
            one.runs()
    one.migrate()
    one.migrate()
    assert (one.get("champion").run_id, one.get("champion").stored) == ("run-0", "")
    with psycopg.connect(database) as con:
        con.execute("UPDATE catalogue_version SET version = 9")
    for refused in (one.runs, one.migrate):
        with pytest.raises(StorageError, match="of version 9, and this Cartcast knows 2; update"):
            refused()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_store_or_catalogue_that_does_not_answer_is_one_line(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: str
) -> None:
    monkeypatch.setattr(stores, "SILENCE", 1)
    monkeypatch.setattr(stores, "TRIES", 1)
    with silent() as place:
        one = Registry.of(
            host(tmp_path / "one", database, f"s3://models/x?endpoint=http://{place}")
        )
        run_dir = make_run(one.folder / ".cartcast" / "runs" / "run-1", "run-1")
        with pytest.raises(
            StorageError, match=r"the store .* does not answer \(NETWORK_CONN"
        ) as told:
            one.add(run_dir)
        assert "\n" not in str(told.value)
        assert one.runs() == []
        assert run_dir.is_dir()
        (one.folder / "cartcast.yaml").write_text(
            f"catalogue: postgresql://shop@{place}/x?connect_timeout=2\n"
        )
        with pytest.raises(StorageError, match=r"refused \(ConnectionTimeout\)"):
            Registry.of(one.folder).runs()
    (one.folder / "cartcast.yaml").write_text(f"store: {s3.replace('models', 'nobody')}\n")
    with pytest.raises(StorageError, match="NO_SUCH_BUCKET"):
        Registry.of(one.folder).add(run_dir)
    (one.folder / "cartcast.yaml").write_text(f"catalogue: {database}\nstore: {s3}\n")
    assert Registry.of(one.folder).push(str(run_dir))[0].stored == address(run_dir)


WORK = """
import os, signal, sys
from pathlib import Path
import psycopg
from cartcast.runs import store
from cartcast.runs.registry import Registry

left = int(sys.argv[1])
def dies(whole):
    def call(*words, **more):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*words, **more)
    return call

psycopg.Cursor.execute = dies(psycopg.Cursor.execute)
psycopg.Connection.commit = dies(psycopg.Connection.commit)
store._send = dies(store._send)
registry = Registry.of(Path(sys.argv[2]))
{"push": registry.push, "promote": lambda _: registry.promote("run-2"),
 "migrate": lambda _: registry.migrate()}[sys.argv[3]](sys.argv[4])
print(left)
"""


def killed(at: int, project: Path, *words: object) -> None:
    """Run a change in a process that dies at its nth statement or block."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(at), str(project), *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, (at, done.stdout, done.stderr[-2000:])


TIMES = int(os.environ.get("CARTCAST_KILLS", "1"))
"""How often each is killed; 20 for the figures of docs/operations.md."""


def lasts(project: Path, *words: object) -> int:
    """Make a change in a process that lives; return its statements and blocks."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, "0", str(project), *map(str, words)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return -int(done.stdout)


def test_killed_at_any_point_leaves_the_last_good_state(
    team: Any, tmp_path: Path, database: str
) -> None:
    import random

    import psycopg

    one, two = team
    draw = random.Random(7)

    def points(last: int) -> list[int]:
        assert last > 5
        return [draw.randint(1, last) for _ in range(TIMES)]

    def behind() -> None:
        with psycopg.connect(database) as con:
            con.execute("DROP TABLE members, acts, catalogue_version")
            con.execute("ALTER TABLE runs DROP COLUMN stored")

    last = lasts(one.folder, "promote", "")
    one.rollback()
    for at in points(last):
        killed(at, one.folder, "promote", "")
        assert two.run("champion").loaded().id in ("run-1", "run-2")
        assert two.promote("run-2").run_id == "run-2"
        assert one.rollback().run_id == "run-1"
    whole = make_run(one.folder / ".cartcast" / "runs" / "new", "new")
    for number, at in enumerate(points(lasts(one.folder, "push", whole))):
        made = make_run(one.folder / ".cartcast" / "runs" / f"new-{number}", f"new-{number}")
        killed(at, one.folder, "push", made)
        if made.name in {e.run_id for e in two.runs()}:
            two.run(made.name).loaded()
        one.push(str(made))
        two.run(made.name).loaded()
    rows = one.promotions()
    behind()
    for at in points(lasts(one.folder, "migrate", "")):
        behind()
        killed(at, one.folder, "migrate", "")
        with pytest.raises(UsageError, match="of version 1"):
            one.runs()
        one.migrate()
        assert one.promotions() == rows
