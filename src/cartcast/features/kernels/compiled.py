"""How kernels are compiled: once per machine, kept on disk, and never out of date.

Numba looks only at the file of the function that is called, so a change in another kernel file (an
upgrade, an edit) would leave old machine code in use, with other places of memory in it. So each
kernel's name on disk carries the hash of all that is compiled into it: the code of the functions
that it reaches and the constants they use, as they are in this process. A process that is still
running older sources writes under its own name, and checked code has another name than raw code.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from numba import njit

__all__ = ["CHECKED", "inlined", "inner", "kernel", "source_hash"]

_Compiled = Callable[..., Any]

CHECKED: Final = os.environ.get("CARTCAST_CHECKED") == "1"
"""Whether kernels check every access to memory; read once, when they are first imported."""


def source_hash(function: Callable[..., Any]) -> str:
    """Return the hash (hex, 16) of a function's code and of everything in it, however deep.

    Raises:
        TypeError: it uses something of which this cannot tell when it changes.
    """
    whole = hashlib.sha256()
    for text in _reached(function, set()):
        whole.update(text.encode() + b"\n")
    return whole.hexdigest()[:16]


def _reached(thing: Any, seen: set[int]) -> Iterator[str]:
    """Yield what a compiled function is made of: code, then what its names stand for."""
    # Dispatchers have `py_func`, intrinsics `__wrapped__`.
    thing = getattr(thing, "py_func", getattr(thing, "__wrapped__", thing))
    if isinstance(thing, FunctionType) and not _foreign(thing):
        if id(thing) not in seen:
            seen.add(id(thing))
            yield from _function(thing, seen)
    elif isinstance(thing, type) and hasattr(thing, "_fields"):
        yield f"{thing.__qualname__}{thing._fields}"
    elif callable(thing) and hasattr(thing, "__qualname__"):
        yield f"{thing.__module__}.{thing.__qualname__}"  # Python's, NumPy's, Numba's own
    elif isinstance(thing, dict):
        yield repr(sorted(thing.items()))
    elif isinstance(thing, int | float | str | tuple | ModuleType) or thing is None:
        yield getattr(thing, "__name__", repr(thing))
    elif type(thing).__module__.split(".")[0] in ("numpy", "numba", "llvmlite"):
        yield repr(thing)
    else:
        raise TypeError(f"{thing!r} in a kernel: say in `compiled` how its changes are noticed.")


def _foreign(function: FunctionType) -> bool:
    return function.__module__.split(".")[0] in ("numpy", "numba", "llvmlite", "math")


def _function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    codes, names = [function.__code__], set[str]()
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    while codes:
        code = codes.pop()
        yield code.co_code.hex()
        names |= {*code.co_names, *code.co_freevars}
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                codes.append(constant)
            else:
                yield repr(constant)
    for name in sorted(names):
        yield name
        if name in cells:
            yield from _reached(cells[name].cell_contents, seen)
        elif name in function.__globals__:
            found = function.__globals__[name]
            yield from _reached(found, seen)
            if isinstance(found, ModuleType):  # `codes.SUM`: both are names of the code
                for own in sorted(names & vars(found).keys()):
                    yield from _reached(vars(found)[own], seen)


def kernel(function: Callable[..., Any]) -> _Compiled:
    """Compile a function that Python calls; its machine code is kept on disk."""
    plain = function.__name__
    function.__qualname__ = f"{plain}{'_checked' if CHECKED else ''}_{source_hash(function)}"
    made: Any = njit(cache=True, nogil=True, error_model="numpy")(function)
    _forget(Path(made.stats.cache_path), function, plain)
    if CHECKED:
        from cartcast.features.kernels.checked import watched

        return watched(made)
    compiled: _Compiled = made
    return compiled


def _forget(folder: Path, function: Callable[..., Any], plain: str) -> None:
    """Remove the machine code that older sources of a kernel left behind."""
    module, name = function.__module__.split(".")[-1], function.__qualname__
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{module}.{plain}*.nb?"):
            stem = path.name.removeprefix(f"{module}.").split("-", 1)[0]
            # Checked code has a longer name; that of earlier versions had the plain one.
            if stem != name and len(stem) in (len(name), len(plain)):
                path.unlink(missing_ok=True)


def inner(function: Callable[..., Any]) -> _Compiled:
    """Compile a function that only kernels call; it lives in theirs."""
    made: _Compiled = njit(
        nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
    )(function)
    return made


def inlined(function: Callable[..., Any]) -> _Compiled:
    """Compile a function into each kernel that calls it, without the cost of a call."""
    made: _Compiled = njit(
        nogil=True,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        inline="always",
    )(function)
    return made
