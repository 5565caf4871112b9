"""Systems other than this one, simulated: what they lack is taken away, and everything goes on."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cartcast import system
from cartcast.atomic import atomic_path, file_mode, opener
from cartcast.errors import UsageError
from cartcast.events.engine import cores

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("portable", ROOT / "scripts/portable.py")
assert spec is not None
assert spec.loader is not None
portable = importlib.util.module_from_spec(spec)
spec.loader.exec_module(portable)

LACKING = portable.lacking("os", "signal", "socket", "time")


@pytest.fixture(params=["darwin", "win32"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take away what this system has and the other lacks, as typeshed tells it."""
    for name, lack in LACKING.items():
        module, _, attribute = name.partition(".")
        if request.param in lack and not attribute.startswith("_"):
            monkeypatch.delattr(sys.modules[module], attribute, raising=False)
    return str(request.param)


def test_files_are_written_and_synced_where_calls_are_lacking(
    elsewhere: str, tmp_path: Path
) -> None:
    assert not hasattr(os, "fdatasync")
    assert not hasattr(os, "sched_getaffinity")
    assert cores() == system.cores() == os.cpu_count()
    path = tmp_path / "file"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    with open(tmp_path / ".x", "ab", opener=opener(tmp_path / ".x")) as stream:
        stream.write(b"1")
        stream.flush()
        system.sync_data(stream.fileno())
        system.set_mode(stream.fileno(), file_mode(path))
    assert (tmp_path / ".x").read_bytes() == b"1"
    system.sync_folder(tmp_path)
    assert system.own(path.stat())
    before = system.passed_nanoseconds()
    assert 0 <= system.passed_nanoseconds() - before < 60e9
    system.give_way()


def test_the_drive_is_asked_to_empty_its_cache_where_a_sync_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import fcntl

    asked: list[int] = []
    monkeypatch.delattr(os, "fdatasync")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, what: asked.append(what))
    with (tmp_path / "x").open("wb") as stream:
        system.sync_data(stream.fileno())
    assert asked == [51]


def test_files_of_another_account_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Path(__file__).stat()
    monkeypatch.setattr(os, "geteuid", lambda: told.st_uid)
    assert system.own(told, told)
    monkeypatch.setattr(os, "geteuid", lambda: told.st_uid + 1)
    assert not system.own(told)
    monkeypatch.delattr(os, "geteuid")
    assert system.own(told)


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("lacking", [False, True])
def test_a_process_is_ended(
    monkeypatch: pytest.MonkeyPatch, *, at_once: bool, lacking: bool
) -> None:
    kill = int(signal.SIGKILL)
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    if lacking:
        monkeypatch.delattr(os, "killpg")
        monkeypatch.delattr(signal, "SIGKILL")
    system.end(process.pid, at_once=at_once)
    ended = -kill if at_once and not lacking else -signal.SIGTERM
    assert process.wait(timeout=120) == ended
    with pytest.raises(ProcessLookupError):
        system.end(process.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("lacking", [False, True])
def test_a_loop_hears_of_its_end_and_handlers_are_put_back(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, *, lacking: bool
) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    async def wait() -> list[int]:
        came: list[int] = []
        heard = asyncio.Event()
        if lacking:
            monkeypatch.setattr(type(asyncio.get_running_loop()), "add_signal_handler", refuse)
        with system.at_stop(lambda n: (came.append(n), heard.set())):
            signal.raise_signal(number)
            await asyncio.wait_for(heard.wait(), 60)
        return came

    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert asyncio.run(wait()) == [number]
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_port_that_cannot_be_shared_is_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        system.share_port(listener)
        monkeypatch.delattr(socket, "SO_REUSEPORT")
        with pytest.raises(UsageError, match="start one worker"):
            system.share_port(listener)


def test_clocks_without_a_kernels_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert system.passed_nanoseconds() > 0
    monkeypatch.delattr(time, "clock_gettime_ns")
    before = time.monotonic_ns()
    assert before <= system.passed_nanoseconds() <= time.monotonic_ns()


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os\nos.fdatasync(1)", "os.fdatasync is not on darwin and win32"),
        ("from signal import SIGKILL", "signal.SIGKILL is not on win32"),
        ("def f():\n    import fcntl", "fcntl is not on win32"),
        ("loop.add_signal_handler(1, f)", "add_signal_handler is not on win32"),
        ("import os\nos.startfile('x')", "os.startfile is not on darwin and linux"),
    ],
)
def test_a_new_use_is_found(tmp_path: Path, code: str, told: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    (tmp_path / "good.py").write_text("import os\nos.fsync(1)\nos.replace('a', 'b')")
    (line,) = portable.check(tmp_path)
    assert line.startswith("bad.py:")
    assert line.endswith(told)


def test_the_package_has_none() -> None:
    assert portable.check() == []
