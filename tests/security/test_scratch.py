"""Passing files are gone when their process is, however it ended."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cartcast import events, scratch
from cartcast.rows import read_table

HOLD = "import sys, time; from pathlib import Path; from cartcast.scratch import ScratchFolder; f = ScratchFolder({place}); (f.path / 'a').write_text('x'); print(f.path, flush=True); {then}"


def holder(
    tmp: Path, place: str = "None", then: str = "time.sleep(100)"
) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(place=place, then=then)],
        env={**os.environ, "TMPDIR": str(tmp)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as said:
        return process, Path(said.readline().strip())


@pytest.mark.parametrize("inside", [False, True], ids=["passing", "beside the result"])
def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path, inside):
    place = f"Path({str(tmp_path)!r})" if inside else "None"
    process, left = holder(tmp_path, place)
    try:
        assert left.parent == tmp_path
        assert scratch.sweep(tmp_path) == []
        assert (left / "a").is_file()
    finally:
        process.kill()
        process.wait()
    assert left.is_dir()
    again, other = holder(tmp_path, place, "sys.exit()")
    again.wait(timeout=240)
    assert not left.exists()
    assert not other.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("then", ["sys.exit(3)", "1 / 0", "raise KeyboardInterrupt"])
def test_any_end_of_its_own_cleans_up(tmp_path, then):
    process, left = holder(tmp_path, then=then)
    process.wait(timeout=240)
    assert not left.exists()


def test_an_interrupt_between_any_two_lines_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C at the first, second, third ... line that runs, until none is left to stop at."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    at = 0
    while interrupted_at(at):
        gc.collect()
        assert list(tmp_path.iterdir()) == [], f"stopped at line {at}"
        at += 1
    assert at > 20


def interrupted_at(at: int) -> bool:
    """Make, fill and remove a folder; raise at the line of that number. Return whether it came."""
    seen = itertools.count()

    def trace(frame, event, _):
        # The second try of a removal is the last word: what stops it too is swept later.
        name = frame.f_code.co_name
        if frame.f_code.co_filename != scratch.__file__ or (name == "_drop" and event == "line"):
            return None
        if event == "line" and next(seen) == at:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    try:
        sys.settrace(trace)
        with scratch.scratch() as folder:
            (folder / "a").write_text("x")
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_only_what_is_ours_and_left_is_removed(tmp_path):
    place, precious = tmp_path / "place", tmp_path / "precious"
    place.mkdir()
    precious.mkdir()
    (precious / ".cartcast-owner").write_text("")
    (place / "cartcast-project").mkdir()
    (place / "cartcast-project" / "data.csv").write_text("x")
    (place / "cartcast-link").symlink_to(precious)
    (place / "other").mkdir()
    (place / "other" / ".cartcast-owner").write_text("")
    (place / "cartcast-file").write_text("x")
    linked = place / "cartcast-linked"
    linked.mkdir()
    (linked / ".cartcast-owner").symlink_to(precious / ".cartcast-owner")
    gone = place / "cartcast-gone"
    gone.mkdir()
    (gone / ".cartcast-owner").write_text("")
    (gone / "deep").mkdir()
    (gone / "deep" / "to").symlink_to(precious)
    assert scratch.sweep(place) == [gone]
    assert sorted(p.name for p in place.iterdir()) == [
        "cartcast-file",
        "cartcast-link",
        "cartcast-linked",
        "cartcast-project",
        "other",
    ]
    assert (precious / ".cartcast-owner").is_file()
    assert scratch.sweep(tmp_path / "nowhere") == []


def test_many_at_once_do_not_take_each_others(tmp_path):
    """Starts that sweep while others begin: nobody loses a folder that is in use."""
    then = "time.sleep(0.5); assert (f.path / 'a').is_file()"
    begun = [holder(tmp_path, then=then) for _ in range(6)]
    assert [process.wait(timeout=240) for process, _ in begun] == [0] * 6
    assert list(tmp_path.iterdir()) == []


def test_none_is_made_before_it_is_needed(tmp_path, monkeypatch, text):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "passing"))
    (tmp_path / "passing").mkdir()
    folder = scratch.ScratchFolder()
    folder.close()
    import cartcast.live.model  # noqa: F401

    (tmp_path / "a.csv").write_text(text())
    log = events.load(tmp_path / "a.csv", folder=tmp_path / "log")
    assert events.load(log.path).path == log.path  # a clean log needs no folder
    read_table(tmp_path / "a.csv")
    assert list((tmp_path / "passing").iterdir()) == []
    assert not [p for p in (tmp_path / "log").iterdir() if p.name.startswith(".")]
    kept = events.load(tmp_path / "a.csv")
    assert len(list((tmp_path / "passing").iterdir())) == 1
    del kept
    assert list((tmp_path / "passing").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_verb_that_is_ended(tmp_path, how):
    from cartcast.datasets import simulate

    passing = tmp_path / "tmp"
    passing.mkdir()
    simulate(sessions=3000, seed=1, out=tmp_path / "a.parquet")
    words = [
        sys.executable,
        "-m",
        "cartcast",
        "train",
        tmp_path / "a.parquet",
        "--run-dir",
        tmp_path / "out" / "run",
    ]
    process = subprocess.Popen(
        words,
        env={**os.environ, "TMPDIR": str(passing)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    while not list(passing.glob("cartcast-*/.cartcast-owner")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    process.wait(timeout=120)
    assert process.returncode != 0
    left = list(passing.glob("cartcast-*"))
    assert bool(left) == (how == signal.SIGKILL)
    assert scratch.sweep(passing) == sorted(left)
    assert not list(passing.glob("cartcast-*"))
