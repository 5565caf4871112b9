"""Writes are whole or not there, whatever stops them."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cartcast.atomic import atomic_folder, atomic_path, write_text
from cartcast.errors import StorageError


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk is full"), atomic_path(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with (
        pytest.raises(StorageError, match="a/b: cannot be written"),
        atomic_path(tmp_path / "a" / "b"),
    ):
        pass


def test_other_errors_of_the_writer_are_passed_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        Path(tmp_path / "missing").read_text()


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), atomic_folder(tmp_path / "run") as folder:
        (folder / "x").write_text("1")
        raise ValueError("stop")
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "x").write_text("1")
    assert (tmp_path / "run" / "x").read_text() == "1"


def test_a_killed_process_leaves_the_last_good_state(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "good")
    code = (
        "import os, signal\n"
        "from cartcast.atomic import atomic_path\n"
        f"with atomic_path({str(path)!r}) as t:\n"
        "    t.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "good"
