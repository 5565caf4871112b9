#!/usr/bin/env python
"""Dependencies that are declared and not imported, and imports that are not declared.

Also: core code that reaches a library of an extra while it is imported, so that the extra would
not be one; and libraries without a line in `docs/dependencies.md`. Works offline, on an
environment in which everything is installed.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

ROOMS = {"api", "live", "app", "cli/verbs", "mcp", "models/sequence/network.py"}
"""Rooms and files of `src/cartcast` that an extra opens, or that are imported when called for."""
TOOLS = {
    "flask-cors", "mkdocs-material", "mkdocstrings-python", "mypy", "pandas-stubs", "pip-licenses",
    "pyarrow-stubs", "pytest-timeout", "pytest-xdist", "ruff", "scipy-stubs", "types-pyyaml",
}  # fmt: skip
"""What the tests need and do not import."""


def plain(requirement: str) -> str:
    """Return the normalised name of a requirement (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _parts(module: str) -> Iterator[str]:
    words = module.split(".")
    yield from (".".join(words[: n + 1]) for n in range(len(words)))


def imports(tree: ast.AST, *, early: bool = False) -> set[str]:
    """Return the modules that code imports; `early`: only while it is imported itself.

    `from a import b` counts as `a` and `a.b`. Names given to `importorskip` and `import_module`
    count, too.
    """
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {part for a in node.names for part in _parts(a.name)}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= set(_parts(node.module)) | {f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Call) and node.args:
            word = getattr(node.func, "attr", getattr(node.func, "id", ""))
            name = getattr(node.args[0], "value", None)
            if word in {"importorskip", "import_module"} and isinstance(name, str):
                found |= set(_parts(name))
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if not (early and late):
            found |= imports(node, early=early)
    return found


def outside(modules: set[str], homes: Mapping[str, list[str]]) -> dict[str, set[str]]:
    """Return the foreign top modules, each with the distributions that hold it."""
    tops = {m.split(".")[0] for m in modules}
    tops -= {*sys.stdlib_module_names, "cartcast", ""}
    return {top: {plain(d) for d in homes.get(top, [])} for top in tops}


def compare(
    imported: Mapping[str, set[str]], declared: set[str], needed: set[str], where: str
) -> Iterator[str]:
    """Yield what is imported from `where` and not `declared`, or `needed` and not imported."""
    for top, homes in sorted(imported.items()):
        if not homes & declared:
            yield f"{where} imports {top}, of {' or '.join(sorted(homes)) or 'nobody knows whom'}"
    for name in sorted(needed - set().union(*imported.values())):
        yield f"{where} does not import {name}, which is declared"


def reached(start: str, early: Mapping[str, set[str]]) -> set[str]:
    """Return every module that is imported when `start` is."""
    seen, open_ = {start}, [start]
    while open_:
        for name in early.get(open_.pop(), set()) - seen:
            seen.add(name)
            open_.append(name)
    return seen


def leaks(source: Path, core: set[str], homes: Mapping[str, list[str]]) -> Iterator[str]:
    """Yield core modules that need a library of an extra to be imported."""
    early, rooms = {}, set()
    for path in sorted(source.rglob("*.py")):
        local = path.relative_to(source)
        name = ".".join([source.name, *local.with_suffix("").parts]).removesuffix(".__init__")
        early[name] = imports(ast.parse(path.read_text(encoding="utf-8")), early=True)
        if any(f"{local.as_posix()}/".startswith(f"{room}/") for room in ROOMS):
            rooms.add(name)
    needing: dict[str, list[str]] = {}
    for name in sorted(set(early) - rooms):
        early[name] |= set(_parts(name))  # importing a module imports its packages first
        for top, owners in outside(reached(name, early), homes).items():
            if owners and not owners & core:
                needing.setdefault(top, []).append(name)
    for top, names in sorted(needing.items()):
        yield f"core code cannot be imported without {top}: {', '.join(names)}"


def check(root: Path = ROOT) -> list[str]:
    """Return what is wrong, as lines."""
    told: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = told["project"]
    core = {plain(r) for r in project["dependencies"]}
    extras = {plain(r) for many in project["optional-dependencies"].values() for r in many}
    listed = (root / "locks/test.in").read_text(encoding="utf-8").splitlines()
    tests = {plain(line) for line in listed if line.strip() and not line.startswith("#")}
    # Known without being here: it is in no lock (docs/dependencies.md).
    homes = {"torch": ["torch"], **packages_distributions()}

    def used(*folders: str) -> dict[str, set[str]]:
        paths = [p for folder in folders for p in (root / folder).rglob("*.py")]
        trees = (ast.parse(p.read_text(encoding="utf-8")) for p in paths)
        return outside(set().union(*map(imports, trees)), homes)

    files = [*root.glob("tests/**/*.py"), *root.glob("benchmarks/*.py")]
    own = {"cartcast_test_stand_in", "cartcast_test_activation"}  # a conftest makes them, and more
    own |= {name for p in files for name in (p.stem, f"cartcast_test_{p.stem}")}
    support = {m: d for m, d in used("tests", "scripts", "docs").items() if m not in own}
    page = (root / "docs/dependencies.md").read_text(encoding="utf-8").lower()
    return [
        *compare(used("src"), core | extras, core | extras, "src"),
        *compare(support, core | extras | tests, tests - TOOLS, "tests/"),
        *leaks(root / "src/cartcast", core, homes),
        *(
            f"docs/dependencies.md does not say why {name} is here"
            for name in sorted(core | extras)
            if not re.search(rf"\b{re.escape(name)}\b", page)
        ),
    ]


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = check()
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
