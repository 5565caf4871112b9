"""Imports go one way only; heavy libraries are loaded where they are used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "cartcast"

# A module may import from its own layer's package and from any layer above it in this list.
LAYERS: list[set[str]] = [
    {"errors", "findings", "progress"},
    {"sessions"},
    {"system"},
    {"arguments"},
    {
        "config",
        "atomic",
        "lock",
        "numbers",
        "plaindata",
        "scratch",
        "spreadsheet",
        "statefile",
        "webhook",
        "yamlfile",
    },
    {"access"},
    {"evaluate"},
    {"events", "datasets"},
    {"features"},
    {"rules", "segments"},
    {"targets"},
    {"splits"},
    {"rows"},
    {"moments"},
    {"leakage", "models"},
    {"charts"},
    {"explain"},
    {"runs"},
    {"report"},
    {"train"},
    {"score"},
    {"live", "monitoring", "experiments", "insights"},
    {"activation"},
    {"export"},
    {"forget"},
    {"backup"},
    {"doctor"},
    {"demo"},
    {"cli", "api", "app", "mcp"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
SHELLS = {"cli", "api", "app", "mcp"}
# Shells do not know each other, but for the verbs whose one job is to start another shell, or to
# have its pages drawn.
STARTS = {("cli/verbs/app.py", "app"), ("cli/verbs/serve.py", "api"), ("cli/verbs/mcp.py", "mcp"),
          ("cli/verbs/summary.py", "app")}  # fmt: skip
FILES = sorted(SRC.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The cartcast modules (first part after the package) that a file imports, lazily or not."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module == "cartcast":
                names = [f"cartcast.{a.name}" for a in node.names]
        else:
            continue
        out |= {n.split(".")[1] for n in names if n.startswith("cartcast.")}
    return {n for n in out if n in RANK or (SRC / n).is_dir() or (SRC / f"{n}.py").is_file()}


def home(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_imports_go_one_way(path: Path) -> None:
    here = home(path)
    if here in {"__init__", "__main__"}:
        return
    assert here in RANK, f"{here} has no layer; add it to LAYERS"
    for name in imported(path) - {here}:
        assert RANK[name] <= RANK[here], f"{path.name} ({here}) imports {name}, a later layer"
        both = here in SHELLS and name in SHELLS
        starts = (path.relative_to(SRC).as_posix(), name) in STARTS
        assert starts or not both, f"shell {here} imports shell {name}"


def test_the_check_sees_a_forbidden_import(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from cartcast.train import train\n")
    assert imported(bad) == {"train"}
    assert RANK["train"] > RANK["events"]


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from cartcast.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as e:\n    assert not e.code\n"
        "heavy = {'numpy','pandas','duckdb','pyarrow','numba','sklearn','plotly','lightgbm',"
        "'streamlit','fastapi','yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
