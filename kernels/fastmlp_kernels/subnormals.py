"""Subnormal numbers taken for zeros, as long as a thread trains, evaluates or predicts.

A moment of an optimizer whose gradient is exactly 0 shrinks by a factor at each update until it is subnormal: below
1.2e-38 in float32. Arithmetic with such numbers takes many times as long on most CPUs, and rounding keeps some of them
for ever: 0.9 times the smallest rounds to the smallest. With zeros in their place, as operands and as results, the time
of an update does not depend on how long the training has run; the change is less than 1.2e-38, or 2.3e-308 in float64.

The mode belongs to a thread, whose other code needs its own: so a driver keeps the mode that it finds, and sets it
again at its end.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

I32, I64 = ir.IntType(32), ir.IntType(64)
X86 = platform.machine() in ("x86_64", "AMD64")
ARM = platform.machine() in ("aarch64", "arm64")
# Bits of x86's MXCSR: results that are subnormal become zeros, and so do operands. Of ARM's FPCR: both.
FLUSH = 0x8040 if X86 else 1 << 24


def _read(builder):
    """LLVM value of the register that has the thread's floating-point mode."""
    if ARM:
        function = ir.FunctionType(I64, [])
        return builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.aarch64.get.fpcr"), [])
    place = cgutils.alloca_once(builder, I32)
    _call_x86(builder, "stmxcsr", place)
    return builder.zext(builder.load(place), I64)


def _write(builder, mode):
    """Set that register."""
    if ARM:
        function = ir.FunctionType(ir.VoidType(), [I64])
        builder.call(cgutils.get_or_insert_function(builder.module, function, "llvm.aarch64.set.fpcr"), [mode])
        return
    place = cgutils.alloca_once(builder, I32)
    builder.store(builder.trunc(mode, I32), place)
    _call_x86(builder, "ldmxcsr", place)


def _call_x86(builder, name, place):
    """Write an instruction that reads or writes the mode in memory at `place`."""
    pointer = ir.IntType(8).as_pointer()
    function = ir.FunctionType(ir.VoidType(), [pointer])
    function = cgutils.get_or_insert_function(builder.module, function, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, pointer)])


@intrinsic
def flush_subnormals(typing):
    """Take subnormal numbers for zeros in this thread; return the mode that it had, an int64 for `restore_mode`."""

    def generate(context, builder, signature, args):
        if not (X86 or ARM):
            return ir.Constant(I64, 0)
        mode = _read(builder)
        _write(builder, builder.or_(mode, ir.Constant(I64, FLUSH)))
        return mode

    return types.int64(), generate


@intrinsic
def restore_mode(typing, mode):
    """Set the floating-point mode of this thread."""

    def generate(context, builder, signature, args):
        if X86 or ARM:
            _write(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), generate


if config.DISABLE_JIT:  # plain Python computes with them

    def flush_subnormals():
        """See the compiled `flush_subnormals`: 0."""
        return 0

    def restore_mode(mode):
        """See the compiled `restore_mode`."""
