"""Ctrl-C, and a place that takes no more bytes: one line, its exit status, nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cartcast.datasets import simulate

pytestmark = pytest.mark.slow
VERBS = {
    "simulate": ["simulate", "--sessions", "2000000", "--out", "{out}/a.parquet"],
    "validate": ["validate", "{log}", "--out", "{out}/clean"],
    "features": ["features", "{log}", "--out", "{out}/f.parquet"],
    "train": ["train", "{log}", "--run-dir", "{out}/run"],
}


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "shop.parquet"
    simulate(sessions=8000, seed=1, out=path)
    return path


def begin(verb: str, log: Path, folder: Path, **how: object) -> subprocess.Popen[str]:
    """Start a verb that writes to folder/out and keeps its passing files in folder/tmp."""
    for name in ("out", "tmp"):
        (folder / name).mkdir()
    words = [w.format(log=log, out=folder / "out") for w in VERBS[verb]]
    return subprocess.Popen(
        [sys.executable, "-m", "cartcast", *words],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **how,  # type: ignore[call-overload]
    )


def left(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize("verb", VERBS)
def test_an_interrupt_ends_in_one_line_and_leaves_nothing(tmp_path, log, verb):
    process = begin(verb, log, tmp_path, start_new_session=True)
    # The first passing file shows that the work has begun; ours lie in folders. Python tries the
    # place itself by a file that it removes at once, and cannot be stopped just there.
    while not [f for f in left(tmp_path) if Path(f).parent != Path("tmp")]:
        if process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("cartcast: error: interrupted")
    assert "Traceback" not in said
    assert left(tmp_path) == []


def small_files() -> None:
    """Let no file grow past 100,000 bytes, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.parametrize("verb", VERBS)
def test_a_place_that_takes_no_more_bytes_is_named(tmp_path, log, verb):
    process = begin(verb, log, tmp_path, preexec_fn=small_files)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "cannot be written" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert left(tmp_path) == []


SWALLOWED = """
import os, signal, time, typer
from cartcast.cli import shell
app = typer.Typer()
class Half:
    def __del__(self):
        if not done:
            done.append(os.kill(os.getpid(), signal.SIGINT))
            time.sleep(1)
        raise AttributeError("half-built")
done = []
@app.command()
def work():
    left = Half()
    Half()
    time.sleep(100)
shell.run(app)
"""


def test_an_interrupt_that_a_finalizer_swallows_is_asked_again():
    """Compiled code and finalizers let nothing rise: the verb would go on as if none had come."""
    made = subprocess.run(
        [sys.executable, "-c", SWALLOWED], capture_output=True, text=True, timeout=90, check=False
    )
    assert made.returncode == 130
    assert made.stderr.splitlines() == [
        "cartcast: error: interrupted; nothing half-written was kept."
    ]
