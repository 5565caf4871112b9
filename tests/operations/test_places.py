"""Where and as whom a restore is done: a disk that is really full, another account."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cartcast.backup import Store, back_up

from .conftest import content

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts, and another account, need root"
)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full(
    project: Path, tmp_path: Path, small_disk: Path, cartcast: Run
) -> None:
    (project / ".cartcast" / "large.bin").write_bytes(os.urandom(400_000))
    back_up(project, Store.make(tmp_path / "b"))
    for words in (
        ("restore", tmp_path / "b", small_disk / "new"),
        ("backup", small_disk / "b", "--project", project),
    ):
        code, _, err = cartcast(*words)
        assert (code, err.count("\n"), "disk is full" in err) == (1, 1, True), err
    assert [p.name for p in small_disk.iterdir()] == ["b"]
    assert Store(small_disk / "b").ids() == []
    (project / ".cartcast" / "large.bin").unlink()
    # What the failed backup left is no hindrance, and goes.
    assert cartcast("backup", small_disk / "b", "--project", project)[0] == 0
    named = {chunk for chunk, _ in Store(small_disk / "b").read().chunks}
    assert {p.name for p in (small_disk / "b").glob("chunks/*/*")} == named


OTHER = """
import os, sys
from pathlib import Path
from cartcast.backup import Store, restore
source, place = Path(sys.argv[1]), Path(sys.argv[2])
restore(Store(source), place / "first")  # loads all that the other account may not read
os.setgid(65534); os.setuid(65534); os.umask(0)
restore(Store(source), place / "second")
"""


def test_another_account(project: Path, tmp_path: Path) -> None:
    back_up(project, Store.make(tmp_path / "b"))
    # Below a folder of its own: those of pytest are closed to others.
    with_access = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(dir=with_access) as work:
        base = Path(work)
        base.chmod(0o777)
        shutil.copytree(tmp_path / "b", base / "b")
        for path in (base / "b").rglob("*"):
            os.chown(path, 65534, 65534)
        os.chown(base / "b", 65534, 65534)
        done = subprocess.run(
            [sys.executable, "-c", OTHER, base / "b", base],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        restored = base / "second"
        before = content(project)
        before.pop(".cartcast/keys.json")
        assert content(restored) == before
        files = [p for p in (restored / ".cartcast").rglob("*") if p.is_file()]
        assert {(p.stat().st_uid, oct(p.stat().st_mode & 0o777)) for p in files} == {
            (65534, "0o600")
        }
