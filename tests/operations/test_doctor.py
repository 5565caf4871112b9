"""Each thing that can be wrong with an installation is found, alone, and only when it is wrong."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cartcast.backup import Store, back_up
from cartcast.config import read_settings
from cartcast.doctor import examine, machine, promises
from cartcast.doctor.files import leftovers, locks
from cartcast.forget import Marks
from cartcast.runs.registry import Registry

Run = Callable[..., tuple[int, str, str]]


def codes(project: Path) -> dict[str, str]:
    found = examine(project, ports=()).findings
    # Work folders of other tests and disks that are full are this machine's, not the project's.
    return {f.code: f.message for f in found if f.code not in ("OP104", "OP108", "OP102")}


@pytest.fixture
def well(project: Path) -> Path:
    for path in (project / ".cartcast").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert codes(project) == {}
    return project


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _append(text: str) -> Callable[[Path], Any]:
    def add(project: Path) -> None:
        path = project / "cartcast.yaml"
        path.write_text(path.read_text() + text)

    return add


SPOILED: dict[str, tuple[Callable[[Path], Any], set[str]]] = {
    "settings": (_append("sede: 3\n"), {"OP101"}),
    "a file of the future": (
        lambda p: os.utime(p / ".cartcast" / "app.db", (4_000_000_000, 4_000_000_000)), {"OP103"}),
    "an open file": (lambda p: (p / ".cartcast" / "keys.json").chmod(0o644), {"OP106"}),
    "an open folder": (lambda p: (p / ".cartcast" / "live").chmod(0o755), {"OP106"}),
    "a changed model": (
        lambda p: _flip(p / ".cartcast/runs/run-1/model/champion.skops"), {"OP109", "OP110"}),
    "a changed challenger": (
        lambda p: (p / ".cartcast/runs/run-2/run.json").write_text("{"), {"OP109", "OP110"}),
    "a run that is gone": (
        lambda p: shutil.rmtree(p / ".cartcast/runs/run-2"), {"OP109", "OP110"}),
    "an alias of nothing": (
        lambda p: Registry(p).replace({**Registry(p).copy(), "runs": []}), {"OP110"}),
    "no backup": (_append("backup: {to: ../b, every: 1d}\n"), {"OP111"}),
    "half forgotten": (
        lambda p: Marks().adding(["x"]).write(p / ".cartcast"), {"OP112"}),
    "a state aside": (
        lambda p: (p / ".cartcast-before-2026").mkdir(), {"OP113"}),
    "no key": (_append("privacy: {pseudonymise: visitor_id}\n"), {"OP114"}),
    "a damaged snapshot": (
        lambda p: _flip(next((p / ".cartcast/live").glob("snapshot-*"))), {"OP115"}),
    "events set aside": (
        lambda p: (p / ".cartcast/live/quarantine-log-1-0.bin").touch(0o600), {"OP115"}),
    "a damaged database": (
        lambda p: (p / ".cartcast/app.db").write_bytes(
            (p / ".cartcast/app.db").read_bytes()[:100] + b"\xff" * 8000), {"OP116"}),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_wrong_is_found(what: str, well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARTCAST_PRIVACY_KEY", raising=False)
    spoil, expected = SPOILED[what]
    spoil(well)
    assert set(codes(well)) == expected


def test_old_backups(well: Path, tmp_path: Path) -> None:
    (well / "cartcast.yaml").write_text("backup: {to: ../b, every: 1d}\n")
    back_up(well, Store.make(tmp_path / "b"))
    settings = read_settings(well)
    assert list(promises.backups(well, settings)) == []
    later = datetime.now(UTC) + timedelta(hours=25)
    assert "25.0 hours old" in next(promises.backups(well, settings, later)).message


def test_versions() -> None:
    found = list(
        machine.versions(["numpy<1", "numpy>=2", "no-such-thing>1", "no-such>1; extra == 'x'"])
    )
    assert [f.message.split(" is ")[0] for f in found] == ["numpy", "no-such-thing>1"]


def test_disk(tmp_path: Path) -> None:
    assert [f.severity for f in machine.disk(tmp_path, 10**7)] == ["block"]
    assert [f.severity for f in machine.disk(tmp_path, 5 * 10**8)] == ["warn"]
    assert list(machine.disk(tmp_path, 10**12)) == []


def test_ports() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        # Nobody answers: whoever it is, it is not Cartcast.
        assert [f.code for f in machine.ports([port])] == ["OP105"]
    assert list(machine.ports([port])) == []


def test_a_lock_of_a_stranger(well: Path) -> None:
    path = well / ".cartcast" / "live" / "lock"
    code = "import fcntl\nf = open(input(), 'w')\nfcntl.flock(f, 2)\nprint(1, flush=True)\ninput()"
    held = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdin is not None
    print(path, file=held.stdin, flush=True)
    held.stdout.readline()
    found = list(locks(well))
    held.communicate("\n")
    assert [f.code for f in found] == ["OP107"]
    assert f"held by process {held.pid}" in found[0].message
    assert list(locks(well)) == []


def test_a_work_folder_of_a_dead_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartcast.doctor.files.tempfile.gettempdir", lambda: str(tmp_path))
    old, new = tmp_path / "cartcast-old", tmp_path / "cartcast-new"
    for path in (old, new):
        path.mkdir()
    os.utime(old, (1000, 1000))
    monkeypatch.setattr("cartcast.doctor.files._begins", lambda: iter([5000.0]))
    found = list(leftovers(tmp_path / "none"))
    assert [(f.code, f.count, str(old) in f.message) for f in found] == [("OP108", 1, True)]


def test_the_verb(well: Path, cartcast: Run) -> None:
    code, out, _ = cartcast("doctor", "--project", well, "--json", "--port", 1)
    told = json.loads(out)
    assert (code, told["well"]) in ((0, True), (3, False))  # this machine may have a full disk
    (well / ".cartcast" / "keys.json").chmod(0o644)
    code, out, err = cartcast("doctor", "--project", well, "--port", 1)
    assert (code, err.count("\n")) == (3, 1)
    assert "OP106 warn" in out
    assert "chmod" in out


def test_a_doctor_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "cartcast.yaml").write_text("seed: 1\n")
    examine(tmp_path, ports=())
    assert [p.name for p in tmp_path.iterdir()] == ["cartcast.yaml"]
