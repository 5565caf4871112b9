"""What is used of numba and uvicorn beyond their documented names, and that their versions end.

A new version may change an internal without saying so. So the next one is refused until this list
has been gone through with it; then the cap in pyproject.toml moves on.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import textwrap
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "cartcast"

IMPORTED = {
    "numba": {
        "njit",  # documented
        "types",  # documented; a type is called with others to make a signature
        "extending.intrinsic",  # documented, without the forms of a generator's arguments:
        # (context, builder, signature, values), `context.get_value_type`, `get_dummy_value`
        "core.cgutils",  # `get_or_insert_function`, `add_global_variable`
    },
    "llvmlite": {"ir", "binding"},  # `binding.add_symbol`: also for code that is loaded from disk
    "uvicorn": {
        "Config", "Server",
        "protocols.http.httptools_impl.HttpToolsProtocol",
    },
}  # fmt: skip
"""Names that the sources import. Also used: a dispatcher's `py_func` and `stats.cache_path`, an
intrinsic's `__wrapped__`, and that the name of a file of machine code is the function's
`__qualname__` (`kernels.compiled`)."""

OF_THE_PROTOCOL = {
    "_start_asgi_task", "_unset_keepalive_if_required", "client", "config", "connection_lost",
    "connection_made", "cycle", "data_received", "expect_100_continue", "flow", "headers",
    "limit_concurrency", "loop", "on_body", "on_headers_complete", "on_message_begin",
    "on_message_complete", "on_response_complete", "parser", "pipeline", "root_path", "scope",
    "send_400_response", "server_state", "shutdown", "tasks", "timeout_keep_alive", "transport", "url",
}  # fmt: skip
"""Methods and attributes of `HttpToolsProtocol` that `cartcast.api` overrides or uses."""

OF_THE_SERVER = {"capture_signals", "handle_exit", "serve"}


def imported(package: str) -> set[str]:
    """What the sources import of a package, `numba.core.cgutils` as `core.cgutils`."""
    found = set()
    for path in SRC.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                parts = node.module.split(".")
                if parts[0] == package:
                    found |= {".".join([*parts[1:], a.name]) for a in node.names}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == package:
                found.add(node.attr)
    return found


def own_names(text: str) -> set[str]:
    """Methods defined and attributes of `self` in a source."""
    tree = ast.parse(textwrap.dedent(text))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    return used | {
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("package", IMPORTED)
def test_all_that_is_imported_is_listed_and_there(package):
    assert imported(package) == IMPORTED[package]
    for name in IMPORTED[package]:
        parts = f"{package}.{name}".split(".")
        module = importlib.import_module(parts[0])
        for k, part in enumerate(parts[1:], 2):
            if not hasattr(module, part):
                importlib.import_module(".".join(parts[:k]))
            module = getattr(module, part)


def test_what_is_used_of_uvicorns_classes_is_listed():
    uvicorn = pytest.importorskip("uvicorn")
    implementation = importlib.import_module("uvicorn.protocols.http.httptools_impl")
    known = own_names(inspect.getsource(implementation.HttpToolsProtocol)) - {"__init__"}
    texts = [(SRC / "api" / f"{name}.py").read_text() for name in ("connection", "fast")]
    assert set.union(*map(own_names, texts)) & known == OF_THE_PROTOCOL
    known = own_names(inspect.getsource(uvicorn.Server)) - {"__init__"}
    assert own_names((SRC / "api" / "server.py").read_text()) & known == OF_THE_SERVER


@pytest.mark.parametrize("package", ["numba", "uvicorn"])
def test_versions_end_before_the_next_one(package):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    lines = [*project["dependencies"], *extras]
    asked = next(r for r in map(Requirement, lines) if r.name == package)
    assert Version(importlib.metadata.version(package)) in asked.specifier
    for lock in (ROOT / "locks").glob("*.txt"):
        for line in lock.read_text().splitlines():
            if line.startswith(f"{package}=="):
                locked = Version(line.split()[0].removeprefix(f"{package}=="))
                assert locked in asked.specifier, lock
                # The lock of the lowest versions tells where the range begins, not where it ends.
                if lock.stem != "lowest":
                    assert Version(f"{locked.major}.{locked.minor + 1}") not in asked.specifier
