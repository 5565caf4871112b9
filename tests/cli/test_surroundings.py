"""Where the command runs: other locales, no home, odd folders, pipes, missing extras and Pythons.

Each gives what a usual place gives, or one clear line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"
NAME = "Käufe € 2.csv"
USUAL = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SRC), "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ein Läden ordner")
    (folder / "home").mkdir()
    rows = [
        f"u{n % 7},2024-03-0{1 + n % 9}T10:{n:02}:00Z,{'purchase' if n % 9 == 5 else 'view'},"
        f"Größe {n % 5},{n + 0.5},EUR"
        for n in range(60)
    ]
    text = "\n".join(["visitor,time,event,item,price,currency", *rows, ""])
    (folder / NAME).write_text(text, encoding="utf-8")
    return folder


def cartcast(
    folder: Path, *words: str, stdout: int = subprocess.PIPE, **more: str | None
) -> subprocess.CompletedProcess[bytes]:
    env = {k: v for k, v in ({**USUAL, "HOME": str(folder / "home")} | more).items() if v}
    return subprocess.run(
        [sys.executable, "-m", "cartcast", *words],
        cwd=folder, env=env, stdout=stdout, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def usual(folder: Path) -> bytes:
    done = cartcast(folder, "validate", NAME, "--json")
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    assert json.loads(done.stdout)["events"] == 60
    return done.stdout


@pytest.mark.parametrize(
    "place",
    [
        {"HOME": "/dev/null"},
        {"NO_COLOR": "1", "TERM": "dumb"},
        {"FORCE_COLOR": "1", "COLUMNS": "20"},
        {"LANG": None},
        {"LANG": None, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LANG": "xx_YY.nonsense", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_no_difference(folder: Path, usual: bytes, place: dict[str, str | None]) -> None:
    done = cartcast(folder, "validate", NAME, "--json", **place)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    assert done.stdout == usual


def test_an_output_without_the_characters_loses_none(folder: Path, usual: bytes) -> None:
    done = cartcast(folder, "validate", NAME, "--json", PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.decode("latin-1")) == json.loads(usual)
    done = cartcast(folder, "validate", "no € here.csv", PYTHONIOENCODING="ascii")
    assert done.returncode == 5
    assert "no € here.csv".encode() in done.stderr


def test_a_name_that_is_not_utf8_is_one_line(folder: Path) -> None:
    done = cartcast(folder, "validate", os.fsdecode(b"K\xe4ufe.csv"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert b"is not UTF-8; rename the file" in line


@pytest.mark.parametrize("words", [["--help"], ["validate", NAME, "--json"]])
def test_a_reader_that_has_gone_is_no_error(folder: Path, words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = cartcast(folder, *words, stdout=write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


GONE = """
import sys
from importlib.machinery import PathFinder
gone = set(sys.argv.pop(1).split(","))
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in gone else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from cartcast.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("gone", "words", "told"),
    [
        ("uvicorn,fastapi,starlette,httptools", ["serve", "--model", "x"], b"cartcast[serve]"),
        ("streamlit,starlette", ["app"], b"cartcast[app]"),
        ("psycopg", ["validate", "postgresql://h/d?table=t"], b"cartcast[postgres]"),
        ("pyspark", ["features", NAME, "--out", "t", "--engine", "spark"], b"cartcast[spark]"),
        ("duckdb", ["validate", NAME], b"duckdb is not installed"),
    ],
)
def test_without_an_extra(folder: Path, gone: str, words: list[str], told: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GONE, gone, *words],
        cwd=folder, env=USUAL, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert told in line


def test_core_verbs_need_no_extra(folder: Path) -> None:
    """All that an extra brings is gone at once, and the project is looked after all the same."""
    gone = (
        "fastapi,starlette,uvicorn,uvloop,httptools,httpx,redis,streamlit,psycopg,pyspark,catboost"
    )
    for words in (
        ["init", "shop"],
        ["doctor", "--project", "shop"],
        ["backup", "kept", "--project", "shop"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", GONE, gone, *words],
            cwd=folder, env=USUAL, capture_output=True, check=False,
        )  # fmt: skip
        assert b"not installed" not in done.stderr
        assert done.returncode == 0, done.stderr


def test_an_older_python_is_told_what_it_needs(tmp_path: Path) -> None:
    code = "import sys; sys.version_info = (3, 10, 1); sys.version = '3.10.1 x'; import cartcast"
    done = subprocess.run(
        [sys.executable, "-c", code], env=USUAL, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"ImportError: Cartcast needs Python 3.11 or newer; this is 3.10" in done.stderr
