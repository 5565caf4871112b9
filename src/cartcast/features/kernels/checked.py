# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-untyped"
"""Checked access to memory: every read and write must lie in an array that the kernel was given.

Before a kernel runs, all its arrays (its arguments, and what their owner holds) are listed in one
table, which compiled code finds by a symbol. An access names an address; the array that holds it is
looked up, and the bytes must lie in it, and in the same row where it has rows. So a register that a
program does not have, a place beyond a state, an array freed too early: each is a `KernelFault`
that names the kernel, the array and the index. One kernel runs at a time.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cartcast.features.kernels import raw
from cartcast.features.kernels.compiled import inner
from cartcast.features.kernels.layout import BLANK, FIRST, REGISTERS, ROW, SIZE
from cartcast.features.kernels.work import Region, owner

__all__ = [
    "KernelFault",
    "byte",
    "code",
    "loose_code",
    "loose_word",
    "part",
    "prefetch",
    "real",
    "row_at",
    "set_byte",
    "set_code",
    "set_real",
    "set_word",
    "watched",
    "word",
]  # fmt: skip

# The table: how many arrays, then what went wrong (array or -1, bytes from its begin or the
# address, width), then by array begin, size and row in bytes.
_N, _ARRAY, _AT, _WIDTH, _FIRST, _EACH = 0, 1, 2, 3, 4, 3
_MOST: Final = 1000
_SYMBOL: Final = "cartcast_arrays"
_table: npt.NDArray[np.int64] = np.zeros(_FIRST + _EACH * _MOST, np.int64)
_one_at_a_time = threading.Lock()
binding.add_symbol(_SYMBOL, _table.ctypes.data)


class KernelFault(Exception):  # noqa: N818 (the word for it)
    """A kernel reached for memory that it was not given; says which array and index."""


@intrinsic
def _arrays(typing_context):
    """Return the address of the table."""

    def generate(context, builder, signature, values):
        word = ir.IntType(64)
        found = cgutils.add_global_variable(builder.module, word, _SYMBOL) if (
            _SYMBOL not in builder.module.globals
        ) else builder.module.globals[_SYMBOL]  # fmt: skip
        return builder.ptrtoint(found, word)

    return types.int64(), generate


@inner
def _check(address, offset, width, stays):
    """Refuse `width` bytes at an offset from an address that lies in no array, or leave it.

    `stays`: nor may they leave the row.
    """
    table = _arrays()
    for k in range(raw.word(table, _N)):
        entry = _FIRST + _EACH * k
        begin, size, row = (
            raw.word(table, entry),
            raw.word(table, entry + 1),
            raw.word(table, entry + 2),
        )
        if begin <= address < begin + size:
            low, high, at = begin, begin + size, address + offset
            if stays and row > 0:
                low += (address - begin) // row * row
                high = low + row
            if at < low or at + width > high:
                raw.set_word(table, _ARRAY, k)
                raw.set_word(table, _AT, at - begin)
                raw.set_word(table, _WIDTH, width)
                raise KernelFault
            return
    raw.set_word(table, _ARRAY, -1)
    raw.set_word(table, _AT, address + offset)
    raise KernelFault


def _reader(read: Any, width: int) -> Any:
    @inner
    def checked(address, place):
        _check(address, place * width, width, True)
        return read(address, place)

    return checked


def _writer(write: Any, width: int) -> Any:
    @inner
    def checked(address, place, value):
        _check(address, place * width, width, True)
        write(address, place, value)

    return checked


word = _reader(raw.word, 8)
real = _reader(raw.real, 8)
byte = _reader(raw.byte, 1)
code = _reader(raw.code, 4)
loose_word = _reader(raw.loose_word, 8)
loose_code = _reader(raw.loose_code, 4)
set_word = _writer(raw.set_word, 8)
set_real = _writer(raw.set_real, 8)
set_byte = _writer(raw.set_byte, 1)
set_code = _writer(raw.set_code, 4)
prefetch = raw.prefetch  # a hint, which no address makes wrong


@inner
def part(address, offset):
    """Return the address `offset` bytes on, in the same row of an array."""
    _check(address, offset, 1, True)
    return address + offset


@inner
def row_at(address, offset):
    """Return the address `offset` bytes on, in any row of the same array."""
    _check(address, offset, 1, False)
    return address + offset


def watched(compiled: Any) -> Callable[..., Any]:
    """Return a kernel that is told its arrays before each call."""
    names = tuple(inspect.signature(compiled.py_func).parameters)

    def call(*arguments: Any) -> Any:
        regions = _regions(names, arguments)
        with _one_at_a_time:
            _list(regions)
            try:
                return compiled(*arguments)
            except KernelFault:
                raise KernelFault(f"{compiled.py_func.__name__}: {_fault(regions)}") from None
            finally:
                _table[_N] = 0

    call.py_func = compiled.py_func  # type: ignore[attr-defined]
    return call


def _regions(names: tuple[str, ...], arguments: tuple[Any, ...]) -> list[Region]:
    """Return the arrays of a call: arguments by name, and what the owner of `work` holds."""
    given = dict(zip(names, arguments, strict=True))
    work, rows = given.pop("work"), {"ops": ROW, "masks": 1}
    if "ops" in given and work[REGISTERS] >= 0:
        found = _live(work)
    elif (own := owner(work)) is not None:
        found = own.regions
        if given:  # a chunk
            rows["masks"] = int(work[SIZE])
            del given["state"]
    else:
        raise KernelFault("a work without its owner: what it points to may be gone.")
    return found + [
        Region(name, a.ctypes.data, a.nbytes, rows.get(name, 0), a) for name, a in given.items()
    ]


def _live(work: npt.NDArray[np.int64]) -> list[Region]:
    """Return the parts of the work of a live event, so that none is taken for another."""
    values = FIRST + int(work[REGISTERS])
    names = ("work", "event registers", "value registers")
    parts = (work[:BLANK], work[BLANK:values], work[values:])
    return [
        Region(name, a.ctypes.data, a.nbytes, 0, a) for name, a in zip(names, parts, strict=True)
    ]


def _list(regions: list[Region]) -> None:
    """Write the table."""
    flat = np.array([(r.begin, r.size, r.row) for r in regions], np.int64)
    _table[_FIRST : _FIRST + flat.size] = flat.reshape(-1)
    _table[_N] = len(regions)


def _fault(regions: list[Region]) -> str:
    """Return what went wrong, in elements (an address: in a row of bytes)."""
    array, at, width = _table[_ARRAY : _WIDTH + 1].tolist()
    if array < 0:
        return f"address {at:#x} is in no array that the kernel was given."
    region = regions[array]
    item = getattr(region.array, "itemsize", width)
    size, index = region.size // item, at // item
    row = f", beyond its row of {region.row // item}" if 0 <= index < size else ""
    return f"{region.name}[{index}] is out of bounds: it has {size} elements{row}."
