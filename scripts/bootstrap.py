"""Make `.venv` with cartcast in it, from the hash-locked requirements. Standard library only.

Usage: python3 scripts/bootstrap.py {core,app,test}
Does nothing when the locks have not changed since the last time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
NEEDED = (3, 11)


def stop(message: str) -> None:
    sys.exit(f"setup: {message}")


def python_in_venv() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv() -> None:
    if sys.version_info < NEEDED:
        stop(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}.")
    if python_in_venv().exists():
        return
    if importlib.util.find_spec("ensurepip") is None:
        stop("this Python has no ensurepip; on Debian or Ubuntu: apt-get install python3-venv")
    print("setup: making .venv", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)


def fingerprint(names: list[str]) -> str:
    files = [ROOT / "pyproject.toml", *(ROOT / "locks" / f"{n}.txt" for n in names)]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


def pip(*words: str) -> None:
    command = [str(python_in_venv()), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*command, *words], check=True, cwd=ROOT)


def warm() -> None:
    """Compile the kernels once, so that the first real command does not wait for it."""
    print("setup: compiling the kernels, once", flush=True)
    cartcast = str(python_in_venv().with_name("cartcast"))
    with tempfile.TemporaryDirectory() as work:
        shop, table = f"{work}/shop.parquet", f"{work}/table.parquet"
        for words in (
            ["simulate", "--sessions", "300", "--seed", "1", "--out", shop],
            ["features", shop, "--out", table, "--at-clicks", "1,2,3"],
            ["features", shop, "--out", f"{work}/end.parquet", "--at-clicks", "end"],
        ):
            subprocess.run([cartcast, *words], check=True, stdout=subprocess.DEVNULL)


def installed(kind: str, wanted: str) -> bool:
    # A test environment holds everything that the smaller ones do.
    order = ["core", "app", "test"]
    for larger in order[order.index(kind) :]:
        stamp = VENV / f".installed-{larger}"
        current = wanted if larger == kind else fingerprint(["build", larger])
        if stamp.is_file() and stamp.read_text() == current:
            return True
    return False


def main() -> None:
    kind = sys.argv[1] if len(sys.argv) > 1 else "core"
    if kind not in ("core", "app", "test"):
        stop(f"choose core, app or test, got {kind!r}.")
    make_venv()
    wanted = fingerprint(["build", kind])
    if installed(kind, wanted):
        return
    print(f"setup: installing the locked requirements ({kind}); this takes a minute", flush=True)
    pip("--require-hashes", "-r", "locks/build.txt")
    pip("--require-hashes", "-r", f"locks/{kind}.txt")
    pip("--no-deps", "--no-build-isolation", "-e", ".")
    warm()
    (VENV / f".installed-{kind}").write_text(wanted)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        stop(f"{error.cmd[0]} stopped with status {error.returncode}; its message is above.")
