"""How kernels are compiled: once per machine, kept on disk, and never out of date.

Numba looks only at the file of the function that is called, so a change in another kernel file (an
upgrade, an edit) would leave old machine code in use. The hash of all kernel files is kept beside
the compiled code; when it differs, the old code is removed before it can be loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

__all__ = ["inlined", "inner", "kernel"]

_Compiled = Callable[..., Any]
_HERE = Path(__file__).parent
_STAMP = "cartcast-kernels.sha256"
_checked: set[Path] = set()


def _source_hash() -> str:
    whole = hashlib.sha256()
    for path in sorted(_HERE.glob("*.py")):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def _refresh(folder: Path) -> None:
    """Remove compiled kernels in `folder` that were made from other sources."""
    if folder in _checked:
        return
    _checked.add(folder)
    wanted = _source_hash()
    stamp = folder / _STAMP
    with contextlib.suppress(OSError):  # an unwritable cache is no cache: Numba compiles anew
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        folder.mkdir(parents=True, exist_ok=True)
        stems = [p.stem for p in _HERE.glob("*.py")]
        for path in folder.glob("*.nb?"):
            if path.name.split(".", 1)[0].split("-", 1)[0] in stems:
                path.unlink(missing_ok=True)
        stamp.write_text(wanted)


def kernel(function: Callable[..., Any]) -> _Compiled:
    """Compile a function that Python calls; its machine code is kept on disk."""
    made = njit(cache=True, nogil=True, error_model="numpy")(function)
    _refresh(Path(made.stats.cache_path))
    compiled: _Compiled = made
    return compiled


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
