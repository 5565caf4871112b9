"""Declared and imported are the same, and core needs no extra."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("dependencies", ROOT / "scripts/dependencies.py")
assert spec is not None
assert spec.loader is not None
dependencies = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dependencies)

HOMES = {"yaml": ["PyYAML"], "xgboost": ["xgboost-cpu"], "shap": ["shap"]}


@pytest.mark.parametrize(
    ("code", "all_of_it", "early"),
    [
        ("import a.b as c", {"a", "a.b"}, {"a", "a.b"}),
        ("from a.b import c", {"a", "a.b", "a.b.c"}, {"a", "a.b", "a.b.c"}),
        ("def f():\n    import a", {"a"}, set()),
        ("class C:\n    import a", {"a"}, {"a"}),
        ("class C:\n    async def f(self):\n        from a import b", {"a", "a.b"}, set()),
        ("try:\n    import a\nexcept ImportError:\n    pass", {"a"}, {"a"}),
        ("if TYPE_CHECKING:\n    import a", {"a"}, set()),
        ("x = pytest.importorskip('a.b')", {"a", "a.b"}, {"a", "a.b"}),
        ("from . import a", set(), set()),
    ],
)
def test_imports_are_read(code: str, all_of_it: set[str], early: set[str]) -> None:
    tree = ast.parse(code)
    assert dependencies.imports(tree) == all_of_it
    assert dependencies.imports(tree, early=True) == early


def test_what_is_not_declared_or_not_imported_is_told() -> None:
    used = dependencies.outside({"os", "cartcast", "yaml.nodes", "xgboost", "nowhere"}, HOMES)
    assert used == {"yaml": {"pyyaml"}, "xgboost": {"xgboost-cpu"}, "nowhere": set()}
    told = list(dependencies.compare(used, {"pyyaml", "shap"}, {"pyyaml", "shap"}, "src"))
    assert told == [
        "src imports nowhere, of nobody knows whom",
        "src imports xgboost, of xgboost-cpu",
        "src does not import shap, which is declared",
    ]


def test_core_that_needs_an_extra_is_told_however_far_away(tmp_path: Path) -> None:
    source = tmp_path / "cartcast"
    for name, code in {
        "__init__": "", "one": "from cartcast import two", "two": "from cartcast.api import x",
        "api/__init__": "import yaml, shap", "api/x": "", "late": "def f():\n    import shap",
    }.items():  # fmt: skip
        path = source / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    told = list(dependencies.leaks(source, {"pyyaml"}, HOMES))
    assert told == ["core code cannot be imported without shap: cartcast.one, cartcast.two"]
