"""What is shipped: the wheel holds the package whole, and versions agree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import cartcast

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    inside = {n for n in names if not n.startswith("cartcast-")}
    here = {
        p.relative_to(ROOT / "src").as_posix()
        for p in (ROOT / "src").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert inside == here
    assert {"cartcast/py.typed", "cartcast/app/style.css", "cartcast/app/logo.svg"} <= inside
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_it_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = (
        "import cartcast, sys\n"
        "assert cartcast.__file__.startswith(sys.argv[1]), cartcast.__file__\n"
        "from cartcast.cli import main\n"
        "main(['simulate', '--sessions', '50', '--seed', '1', '--out', 'shop.csv'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "installed")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "shop.csv").stat().st_size > 1000


def test_versions_agree() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cartcast.__version__ == told["version"] == citation["version"]
    assert citation["license"] == told["license"]
    # The changelog knows this version, or holds what it will be.
    parts = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert parts[0] == "Unreleased"
    assert len(parts) == 1 or told["version"] in parts


def test_templates_and_hooks_are_well_formed() -> None:
    for path in (ROOT / ".github").rglob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "body" in form:
            assert {"name", "description", "body"} <= set(form), path
            ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
            assert len(ids) == len(set(ids)), path
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    for repo in hooks["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            for script in re.findall(r"(?:docs|scripts)/\w+\.py", hook["entry"]):
                assert (ROOT / script).is_file(), script


def test_the_lowest_versions_that_are_tried_are_those_that_are_allowed() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    allowed = dict(re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(told), re.M))
    lock = (ROOT / "locks" / "lowest.txt").read_text()
    tried = dict(re.findall(r"^([\w.-]+)==([\d.]+)", lock, re.M))
    assert len(allowed) == len(told)
    for name, version in allowed.items():
        got, least = Version(tried[name]), Version(version)
        assert (got.major, got.minor) == (least.major, least.minor), name
        assert got >= least
