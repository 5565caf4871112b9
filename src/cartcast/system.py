"""What not every system has, each with what stands in for it; called here and nowhere else.

`python scripts/portable.py` finds calls elsewhere that Windows or macOS lacks.

>>> cores() >= 1, own(os.stat(os.devnull)) in (True, False)
(True, True)
"""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cartcast.errors import CartcastError, NotFoundError, StorageError, UsageError

__all__ = [
    "account",
    "at_stop",
    "cores",
    "end",
    "give_way",
    "listen",
    "own",
    "passed_nanoseconds",
    "return_memory",
    "set_mode",
    "share_port",
    "sync_data",
    "sync_file",
    "sync_folder",
]


def account(otherwise: str = "unknown") -> str:
    """Return the name of the account of this process; `otherwise` where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return otherwise


def cores() -> int:
    """Return how many cores this process may use; those of the machine where nobody can tell."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def return_memory() -> None:
    """Give memory that was freed back to the system, where the C library keeps it (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def sync_data(handle: int) -> None:
    """Return when what was written is on the disk; without its times where that is possible.

    macOS keeps an `fsync` in the drive's cache and takes another call for what is meant.
    """
    data = getattr(os, "fdatasync", None)
    if data is not None:
        data(handle)
        return
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        whole = getattr(fcntl, "F_FULLFSYNC", None)
        if whole is not None:
            fcntl.fcntl(handle, whole)
            return
    os.fsync(handle)


def sync_file(path: Path | str) -> None:
    """Return when a closed file is on the disk; Windows wants it open for writing."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path | str) -> None:
    """Return when names in a folder are on the disk; at once on Windows, which has no such call."""
    if os.name != "nt":
        sync_file(folder)


def set_mode(handle: int, mode: int) -> None:
    """Set the mode of an open file; nothing where modes do not exist."""
    change = getattr(os, "fchmod", None)
    if change is not None:
        change(handle, mode)


def give_way() -> None:
    """Let other processes of the machine come first, where that can be asked for."""
    nice = getattr(os, "nice", None)
    if nice is not None:
        with contextlib.suppress(OSError):
            nice(5)


def own(*told: os.stat_result) -> bool:
    """Return whether files are this account's; True where files have no such owner."""
    who = getattr(os, "geteuid", None)
    return who is None or all(t.st_uid == who() for t in told)


def passed_nanoseconds() -> int:
    """Return a clock that never goes back; it counts suspended time where the system does."""
    number = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    read = getattr(time, "clock_gettime_ns", None)
    return time.monotonic_ns() if number is None or read is None else int(read(number))


def end(pid: int, *, at_once: bool = False) -> None:
    """Ask a process and its group to end, or end them; the process alone where groups do not exist.

    Raises:
        ProcessLookupError: there is no such process.
    """
    group = getattr(os, "killpg", os.kill)
    group(pid, getattr(signal, "SIGKILL", signal.SIGTERM) if at_once else signal.SIGTERM)


@contextlib.contextmanager
def at_stop(do: Callable[[int], object]) -> Iterator[None]:
    """Call `do` with SIGTERM or SIGINT in the running loop when it comes, while the block runs."""
    import asyncio

    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    ours: set[int] = set()
    for number in numbers:
        try:
            loop.add_signal_handler(number, do, number)
            ours.add(number)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda came, _: loop.call_soon_threadsafe(do, came))
    try:
        yield
    finally:
        for number in numbers:
            if number in ours:
                # The loop puts back the usual handler, whatever was there.
                loop.remove_signal_handler(number)
            if (handler := before[number]) is not None:
                signal.signal(number, handler)


def listen(host: str, port: int, reuse: bool = False) -> socket.socket:
    """Return a socket that listens on an address; port 0 takes a free one.

    Raises:
        NotFoundError: there is no such address here.
        StorageError: the port is taken.
        UsageError: `reuse`, and the system cannot share a port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, for asyncio sends at once only on what says that it is TCP: else the second part of an
    # answer waits for the client's delayed acknowledgement, 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if reuse:
            share_port(listener)
        listener.bind((host, port))
    except CartcastError:
        listener.close()
        raise
    except socket.gaierror as error:
        listener.close()
        raise NotFoundError(f"--host {host}: no such address here.") from error
    except OSError as error:
        listener.close()
        raise StorageError(
            f"{host}:{port}: cannot be listened on ({os.strerror(error.errno or 0)})."
        ) from error
    return listener


def share_port(listener: socket.socket) -> None:
    """Let several processes listen on one port.

    Raises:
        UsageError: this system cannot.
    """
    option = getattr(socket, "SO_REUSEPORT", None)
    if option is None:
        raise UsageError("this system cannot share a port among workers; start one worker.")
    listener.setsockopt(socket.SOL_SOCKET, option, 1)
