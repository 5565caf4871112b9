# Numba infers the types of kernels; they are declared where they are called.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-untyped"
"""Reads and writes by address, unchecked; kernels take them from `kernels.memory`.

A kernel that takes arrays pays for them three times when it is compiled: types, unpacking, counting
references. A kernel that takes addresses is all int64; it is compiled several times faster and runs
no slower. The arrays are kept alive by a `kernels.work.Work`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from cartcast.features.kernels.compiled import inlined

__all__ = [
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
    "word",
]  # fmt: skip


def _reader(kind: Any, align: int | None = None) -> Any:
    """Return a kernel function (address, place) -> value; `align` 1 for odd addresses."""

    @intrinsic
    def read(typing_context, address, place):
        def generate(context, builder, signature, values):
            pointer = context.get_value_type(kind).as_pointer()
            base = builder.inttoptr(values[0], pointer)
            return builder.load(builder.gep(base, [values[1]]), align=align)

        return kind(types.int64, types.int64), generate

    return read


def _writer(kind: Any) -> Any:
    """Return a kernel function (address, place, value)."""

    @intrinsic
    def write(typing_context, address, place, value):
        def generate(context, builder, signature, values):
            pointer = context.get_value_type(kind).as_pointer()
            base = builder.inttoptr(values[0], pointer)
            builder.store(values[2], builder.gep(base, [values[1]]))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, kind), generate

    return write


word = _reader(types.int64)
real = _reader(types.float64)
byte = _reader(types.uint8)
code = _reader(types.int32)
loose_word = _reader(types.uint64, 1)
loose_code = _reader(types.uint32, 1)
set_word = _writer(types.int64)
set_real = _writer(types.float64)
set_byte = _writer(types.uint8)
set_code = _writer(types.int32)


@inlined
def part(address, offset):
    """Return the address `offset` bytes on, in the same row of an array."""
    return address + offset


@inlined
def row_at(address, offset):
    """Return the address `offset` bytes on, in any row of the same array."""
    return address + offset


@intrinsic
def prefetch(typing_context, address):
    """Ask for the cache line at an address, which will be written soon."""

    def generate(context, builder, signature, values):
        pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        flags = [ir.Constant(flag, n) for n in (1, 3, 1)]  # to write, keep, data
        builder.call(function, [builder.inttoptr(values[0], pointer), *flags])
        return context.get_dummy_value()

    return types.void(types.int64), generate
