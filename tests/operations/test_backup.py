"""A backup restored elsewhere is the project: bytes, catalogue, answers, live sessions."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cartcast.backup import Store, back_up, restore, verify
from cartcast.errors import NotFoundError, NotTrustedError, StorageError, UsageError
from cartcast.live.place import note_state
from cartcast.runs.registry import Registry

from .conftest import content, live_event, send, states

Run = Callable[..., tuple[int, str, str]]
PASSPHRASE = "correct horse battery staple"


def test_a_restored_project_is_the_project(project: Path, tmp_path: Path) -> None:
    made = back_up(project, Store.make(tmp_path / "b"))
    place = tmp_path / "elsewhere" / "shop"
    done = restore(Store(tmp_path / "b"), place)
    before = content(project)
    before.pop(".cartcast/keys.json")
    assert content(place) == before
    assert done.aside is None
    assert "keys.json is not in the backup" in " ".join(made.manifest.notes)
    old, new = Registry(project).copy(), Registry(place).copy()
    assert new["promotions"] == old["promotions"]
    assert [r["path"].replace(str(place), str(project)) for r in new["runs"]] == [
        r["path"] for r in old["runs"]
    ]
    Registry(place).promote("run-2")  # which checks every file of the run
    assert states(place / ".cartcast" / "live") == states(project / ".cartcast" / "live")
    told = json.loads((place / ".cartcast/app/logs/abc/log.json").read_text())
    assert not any(str(project) in s for s in told["sources"])
    modes = {
        stat.S_IMODE(p.stat().st_mode) for p in (place / ".cartcast").rglob("*") if p.is_file()
    }
    assert modes == {0o600}
    assert stat.S_IMODE((place / ".cartcast").stat().st_mode) == 0o700


def test_the_second_backup_holds_only_what_is_new(project: Path, tmp_path: Path) -> None:
    store = Store.make(tmp_path / "b")
    first = back_up(project, store).written
    again = Store(tmp_path / "b")
    assert back_up(project, again).written == 0
    send(project / ".cartcast" / "live", [live_event(n, "new") for n in range(200, 203)])
    third = Store(tmp_path / "b")
    assert 0 < back_up(project, third).written < first / 3
    assert len(third.ids()) == 3


def test_retention_removes_what_only_old_backups_hold(project: Path, tmp_path: Path) -> None:
    (project / ".cartcast" / "notes.txt").write_bytes(b"x" * 1000)
    back_up(project, Store.make(tmp_path / "b"))
    (project / ".cartcast" / "notes.txt").unlink()
    done = back_up(project, Store(tmp_path / "b"), keep=1)
    assert (len(done.removed), done.freed) == (1, 1000)
    assert verify(Store(tmp_path / "b")).problems == ()


def test_verify_asks_the_champions_again(project: Path, tmp_path: Path) -> None:
    back_up(project, Store.make(tmp_path / "b"))
    found = verify(Store(tmp_path / "b"))
    assert (found.problems, found.runs, found.answers) == ((), 2, 2)
    assert (found.records, found.sessions) == (60, 20)


def test_verify_sees_another_answer(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.make(tmp_path / "b")
    monkeypatch.setattr("cartcast.backup.take.answers", lambda _: {"probability": ["0x0p+0"]})
    back_up(project, store)
    assert "answers differently" in verify(store).problems[0]


def test_an_encrypted_backup_tells_nothing_and_brings_the_keys(
    project: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography")
    back_up(project, Store.make(tmp_path / "b", PASSPHRASE, encrypt=True), keys=True)
    every = b"".join(p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file())
    for told in (b"visitor-0017", b"run-1", b"run.json", b"purchase"):
        assert told not in every
    place = tmp_path / "new"
    restore(Store(tmp_path / "b", PASSPHRASE), place)
    assert content(place) == content(project)
    with pytest.raises(UsageError, match="not the one it was made with"):
        Store(tmp_path / "b", PASSPHRASE + "!")
    with pytest.raises(UsageError, match="is encrypted"):
        Store(tmp_path / "b")


def test_an_encrypted_store_cannot_be_made_to_lie_open(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    back_up(project, Store.make(tmp_path / "b", PASSPHRASE, encrypt=True))
    _replace(tmp_path / "b" / "store.json", b'"encrypted": true', b'"encrypted": false')
    with pytest.raises(UsageError, match="not the one it was made with"):
        Store.make(tmp_path / "b", PASSPHRASE)


def test_odd_names(project: Path, tmp_path: Path) -> None:
    import os

    state = os.fsencode(project / ".cartcast")
    for name in (b"caf\xe9", b"new\nline", "\u00fc \U0001f600".encode(), b"back\\slash"):
        Path(os.fsdecode(state + b"/" + name)).write_text("x")
    (project / ".cartcast" / "link").symlink_to("/etc/passwd")
    made = back_up(project, Store.make(tmp_path / "b"))
    assert any("no plain name" in note for note in made.manifest.notes)
    restore(Store(tmp_path / "b"), tmp_path / "new")
    names = {os.fsencode(p.name) for p in (tmp_path / "new" / ".cartcast").iterdir()}
    assert {b"caf\xe9", b"new\nline", "\u00fc \U0001f600".encode()} <= names
    assert not {b"link", b"back\\slash"} & names


def test_keys_are_sealed_in_a_plain_backup(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(UsageError, match="only kept sealed"):
        back_up(project, Store.make(tmp_path / "plain"), keys=True)
    back_up(project, Store.make(tmp_path / "b", PASSPHRASE), keys=True)
    secret = json.loads((project / ".cartcast" / "keys.json").read_text())[0]["sha256"].encode()
    every = b"".join(p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file())
    assert secret not in every
    left_out = restore(Store(tmp_path / "b"), tmp_path / "without")
    assert "is sealed and was left out" in left_out.notes[0]
    restore(Store(tmp_path / "b", PASSPHRASE), tmp_path / "with")
    assert secret in (tmp_path / "with" / ".cartcast" / "keys.json").read_bytes()


def test_a_run_from_elsewhere_comes_home(project: Path, tmp_path: Path) -> None:
    from .conftest import make_run

    Registry(project).add(make_run(tmp_path / "else" / "run-3", "run-3"))
    back_up(project, Store.make(tmp_path / "b"))
    restore(Store(tmp_path / "b"), tmp_path / "new")
    entry = Registry(tmp_path / "new").get("challenger")
    assert entry.path == tmp_path / "new" / ".cartcast" / "runs" / "run-3"
    Registry(tmp_path / "new").verify(entry)


def test_replace_puts_the_old_state_aside(project: Path, tmp_path: Path) -> None:
    back_up(project, Store.make(tmp_path / "b"))
    before = content(project)
    (project / "cartcast.yaml").write_text("target: purchase\nseed: 7\n")
    (project / ".cartcast" / "extra.txt").write_text("later")
    (project / "data.csv").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        restore(Store(tmp_path / "b"), project)
    done = restore(Store(tmp_path / "b"), project, swap=True)
    assert done.aside is not None
    assert (done.aside / "extra.txt").read_text() == "later"
    assert (project / "cartcast.yaml").read_text().endswith("seed: 7\n")
    assert (project / "data.csv").read_text() == "mine"
    kept = project / ".cartcast" / "restored-settings" / "cartcast.yaml"
    assert kept.read_bytes() == before["cartcast.yaml"]
    after = content(project)
    for name, data in before.items():
        if name.startswith(".cartcast"):  # the keys too, which the backup has not
            assert after[name] == data


def test_a_project_in_use_is_left_alone(project: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    back_up(project, Store.make(tmp_path / "b"))
    before = content(project)
    lock = FileLock(project / ".cartcast" / "live" / "lock")
    with lock, pytest.raises(StorageError, match="is in use"):
        restore(Store(tmp_path / "b"), project, swap=True)
    assert content(project) == before
    assert not list(project.glob(".cartcast-*"))


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_changed_byte_is_found_whichever_it_is(project: Path, tmp_path: Path) -> None:
    """Each file of the store with one bit changed: restore refuses, and leaves nothing."""
    back_up(project, Store.make(tmp_path / "b"))
    whole = [p for p in (tmp_path / "b").rglob("*") if p.is_file() and p.name != "lock"]
    assert len(whole) > 15
    for path in whole:
        flip(path)
        with pytest.raises(NotTrustedError):
            restore(Store(tmp_path / "b"), tmp_path / "new")
        assert not (tmp_path / "new").exists()
        flip(path)
    restore(Store(tmp_path / "b"), tmp_path / "new")


def test_a_damaged_chunk_is_set_aside_and_written_anew(project: Path, tmp_path: Path) -> None:
    back_up(project, Store.make(tmp_path / "b"))
    chunk = max((tmp_path / "b" / "chunks").glob("*/*"), key=lambda p: p.stat().st_size)
    flip(chunk)
    found = verify(Store(tmp_path / "b"))
    with pytest.raises(NotTrustedError, match="was changed"):
        found.require()
    back_up(project, Store(tmp_path / "b"))
    assert verify(Store(tmp_path / "b")).problems == ()


BAD: dict[str, tuple[Callable[[Path], Any], int, str]] = {
    "cut short": (lambda b: _cut(next((b / "backups").iterdir())), 5, "cut short or changed"),
    "chunk missing": (lambda b: next((b / "chunks").glob("*/*")).unlink(), 5, "is missing"),
    "newer": (
        lambda b: _replace(b / "store.json", b'"format": 1', b'"format": 2'),
        5,
        "newer version",
    ),
    "newer manifest": (
        lambda b: _replace(next((b / "backups").iterdir()), b"backup 1 ", b"backup 9 "),
        5,
        "newer version",
    ),
    "no manifest": (lambda b: next((b / "backups").iterdir()).unlink(), 5, "no finished backup"),
    "no store": (lambda b: (b / "store.json").unlink(), 5, "no backups here"),
    "store damaged": (lambda b: (b / "store.json").write_text("{"), 5, "damaged"),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize("what", BAD)
def test_a_bad_store_is_one_line(what: str, project: Path, tmp_path: Path, cartcast: Run) -> None:
    spoil, status, told = BAD[what]
    assert cartcast("backup", tmp_path / "b", "--project", project)[0] == 0
    spoil(tmp_path / "b")
    for words in (
        ("restore", tmp_path / "b", tmp_path / "new"),
        ("backup", "verify", tmp_path / "b"),
    ):
        code, out, err = cartcast(*words)
        assert (code, err.count("\n"), told in err) == (status, 1, True), (words, out, err)
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


def test_a_manifest_cannot_lead_out_of_the_project(project: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    store = Store.make(tmp_path / "b")
    made = back_up(project, store).manifest
    for name in ("../evil", "/etc/evil", "a/../../evil", "a\\b", "", "a//b", "./a"):
        bad = replace(made, files=(replace(made.files[0], name=name),))
        store.write(bad)
        with pytest.raises(NotTrustedError, match="not a path in a project"):
            restore(store, tmp_path / "new")


def test_the_verbs(project: Path, tmp_path: Path, cartcast: Run, monkeypatch: Any) -> None:
    monkeypatch.chdir(project)
    code, out, _ = cartcast("backup", tmp_path / "b")
    assert code == 0
    assert "files" in out
    code, out, _ = cartcast("backup", "list", tmp_path / "b", "--json")
    assert (code, len(json.loads(out)["backups"])) == (0, 1)
    code, out, _ = cartcast("backup", "verify", tmp_path / "b")
    assert (code, "2 champions by what they answer" in out) == (0, True)
    code, out, _ = cartcast("restore", tmp_path / "b", tmp_path / "new", "--json")
    assert (code, json.loads(out)["place"]) == (0, str(tmp_path / "new"))
    assert cartcast("backup")[0] == 2
    assert cartcast("backup", ".cartcast/inside")[0] == 2
    assert cartcast("backup", project / "features.yaml")[0] == 2
    assert cartcast("restore", tmp_path / "b", tmp_path / "n", "--until", "yesterday")[0] == 2
    assert cartcast("restore", tmp_path / "b", tmp_path / "n", "--backup", "2020")[0] == 5


def test_live_state_at_a_time(project: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from .conftest import T0

    back_up(project, Store.make(tmp_path / "b"))
    edge = T0 + 75 * 1_000_000
    done = restore(
        Store(tmp_path / "b"), tmp_path / "then", until=datetime.fromtimestamp(edge / 1e6, UTC)
    )
    assert (done.live[0].records, done.live[0].last) == (16, edge)
    # The same project, told nothing after that moment.
    expected = tmp_path / "oracle"
    import shutil

    shutil.copytree(project / ".cartcast" / "live", expected)
    for path in expected.glob("log-*.bin"):
        path.unlink()
    send(expected, [live_event(n, f"visitor-{n % 30:04d}") for n in range(60, 76)])
    assert states(tmp_path / "then" / ".cartcast" / "live") == states(expected)
    with pytest.raises(NotFoundError, match="no backup can show"):
        restore(
            Store(tmp_path / "b"), tmp_path / "x", until=datetime.fromtimestamp(T0 / 1e6 - 9, UTC)
        )


def test_a_live_state_in_redis_is_not_missed(project: Path, tmp_path: Path) -> None:
    note_state(str(project), "redis://shop:s3cret@db.internal/3")
    with pytest.raises(UsageError, match=r"is in redis://db.internal:6379/3, and a backup would"):
        back_up(project, Store.make(tmp_path / "b"))
    assert Store(tmp_path / "b").ids() == []
    settings = project / "cartcast.yaml"
    settings.write_text(f"{settings.read_text()}backup: {{redis: elsewhere}}\n")
    made = back_up(project, Store.make(tmp_path / "b")).manifest
    assert any("db.internal:6379/3 and not in the backup" in note for note in made.notes)
    note_state(str(project), "memory")
    assert not any("redis:" in n for n in back_up(project, Store(tmp_path / "b")).manifest.notes)
