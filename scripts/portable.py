#!/usr/bin/env python
"""Calls that Windows or macOS lacks, outside `cartcast/system.py`, which has their stand-ins.

What exists where is read from typeshed, which mypy brings. Works offline.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("linux", "win32", "darwin")
ABSENT = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "msvcrt", "winreg"}
"""Modules that one of them lacks altogether."""
METHODS = {"add_signal_handler", "remove_signal_handler"}
"""Methods of event loops that are there on Windows and refuse."""
GUARDED = {
    ("cartcast/doctor/files.py", "os.sysconf"): "reached only where /proc/stat was read",
    ("cartcast/doctor/machine.py", "os.statvfs"): "its absence is expected around it",
}
"""Uses elsewhere, each with the reason why it does no harm."""


def _defined(body: list[ast.stmt], system: str) -> Iterator[str]:
    """Yield the names that a stub defines on a system."""
    told = {"sys": SimpleNamespace(platform=system, version_info=(3, 11, 0))}
    for node in body:
        if isinstance(node, ast.If):
            test = ast.unparse(node.test)
            known = "sys." in test and eval(test, {"__builtins__": {}}, told)  # noqa: S307
            yield from _defined(node.body if known else node.orelse, system)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (a.asname or a.name for a in node.names)


def _stub(module: str) -> list[ast.stmt]:
    import mypy

    folder = Path(mypy.__path__[0]) / "typeshed" / "stdlib"
    path = folder / f"{module}.pyi"
    return ast.parse(
        (path if path.is_file() else folder / module / "__init__.pyi").read_text()
    ).body


def lacking(*modules: str) -> dict[str, set[str]]:
    """Return names of modules as `os.fork`, each with the systems that lack it."""
    found: dict[str, set[str]] = {}
    for module in modules:
        body = _stub(module)
        names = {system: set(_defined(body, system)) for system in SYSTEMS}
        for name in set().union(*names.values()):
            if without := {system for system in SYSTEMS if name not in names[system]}:
                found[f"{module}.{name}"] = without
    return found


def uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of what code takes from modules by attribute or import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name):
                yield node.lineno, f"{node.value.id}.{node.attr}"
            if node.attr in METHODS:
                yield node.lineno, node.attr
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{a.name}") for a in node.names)


def check(source: Path = ROOT / "src") -> list[str]:
    """Return what is wrong, as lines."""
    absent = lacking("os", "signal", "socket", "time", "errno", "select", "mmap", "stat")
    absent |= {name: {"win32"} for name in ABSENT | METHODS}
    found = []
    for path in sorted(source.rglob("*.py")):
        name = path.relative_to(source).as_posix()
        if name == "cartcast/system.py":
            continue
        for line, used in uses(ast.parse(path.read_text(encoding="utf-8"))):
            if used in absent and (name, used) not in GUARDED:
                found.append(
                    f"{name}:{line}: {used} is not on {' and '.join(sorted(absent[used]))}"
                )
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = check()
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
