"""Calls through function pointers: how the one compiled driver reaches any activation and any loss.

An activation or loss is compiled once for a dtype, as a C function over a stretch of memory, and is known to the
kernels by its address, an integer in a table. A call covers hundreds of elements, so the indirection costs nothing, and
a new activation does not compile the drivers anew. Run as plain Python, the address is an index into a list.

Drivers reach each thread's part of a training in a like way, which saves compiling (see `drivers.training.prepare`).
Addresses differ from process to process: machine code that is kept on disk reads them from a table.
"""

from functools import partial

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, register_model

from .jit import OPTIONS, _cached

# C memory as an array inside a C function; when run as plain Python, the callers below hand over an array already.
as_array = (lambda array, count: array[:count]) if config.DISABLE_JIT else numba.carray

_kept = []  # C functions in use, which must not be collected; when run as plain Python, the functions themselves


def c_function(function, signature, cached=True):
    """`function` compiled for the Numba `signature`, whose arrays are C pointers: a `numba.cfunc`, which is kept.

    `cached` tells whether its machine code may be kept on disk.
    """
    options = {key: OPTIONS[key] for key in ("error_model", "boundscheck")}
    _kept.append(_cached(lambda cache: numba.cfunc(signature, cache=cache and cached, **options)(function)))
    return _kept[-1]


def address(function, signature, cached=True):
    """The address (a non-zero int) of `function` compiled for the Numba `signature` (see `c_function`)."""
    if config.DISABLE_JIT:
        _kept.append(function)
        return len(_kept)
    return c_function(function, signature, cached).address


def _emit(result, arrays, context, builder, signature, args):
    """Call address args[0] with `arrays` (array, offset) pairs turned to pointers, then the numbers that follow."""
    pointers = []
    for index in range(1, 1 + 2 * arrays, 2):
        array = context.make_array(signature.args[index])(context, builder, args[index])
        pointers.append(builder.gep(array.data, [args[index + 1]]))
    values = pointers + list(args[1 + 2 * arrays :])
    returns = ir.VoidType() if result == types.void else context.get_value_type(result)
    function = ir.FunctionType(returns, [value.type for value in values])
    called = builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
    return context.get_dummy_value() if result == types.void else called


@intrinsic
def call_values(typing, pointer, values, values_offset, count):
    """Replace values[values_offset : ... + count], net inputs, by the activation."""
    signature = types.void(types.intp, values, types.intp, types.intp)
    return signature, partial(_emit, types.void, 1)


@intrinsic
def call_slopes(typing, pointer, values, values_offset, slopes, slopes_offset, count):
    """Replace `count` net inputs in `slopes` by the activation's derivative, and write its values to `values`."""
    signature = types.void(types.intp, values, types.intp, slopes, types.intp, types.intp)
    return signature, partial(_emit, types.void, 2)


@intrinsic
def call_jets(typing, pointer, jets, offset, count):
    """Turn jets[offset : ... + count], net inputs, into values; slopes, second and third derivatives follow them."""
    signature = types.void(types.intp, jets, types.intp, types.intp)
    return signature, partial(_emit, types.void, 1)


@intrinsic
def call_loss(typing, pointer, deltas, d, outputs, o, targets, t, weights, w, parameter, rows, n, block):
    """Sum of the losses of `rows` samples; `deltas` becomes their error signal (see `losses`).

    Each array is followed by its offset.
    """
    at, size = types.intp, types.intp
    arrays = deltas, at, outputs, at, targets, at, weights, at
    return types.float64(types.intp, *arrays, types.float64, size, size, size), partial(_emit, types.float64, 4)


def address_table(symbol, size):
    """(table, read): an int64 array of zeros, and the function read(index) by which compiled code reads it.

    Compiled code knows the table by the name of a symbol, which is resolved anew wherever machine code is loaded from a
    disk cache.
    """
    table = np.zeros(size, np.int64)
    llvmlite.binding.add_symbol(symbol, table.ctypes.data)

    @intrinsic
    def read(typing, index):
        def generate(context, builder, signature, args):
            words = ir.ArrayType(ir.IntType(64), size)
            known = builder.module.globals.get(symbol) or ir.GlobalVariable(builder.module, words, symbol)
            return builder.load(builder.gep(known, [ir.Constant(ir.IntType(64), 0), args[0]]))

        return types.int64(types.intp), generate

    return table, (lambda index: table[index]) if config.DISABLE_JIT else read


class OnStack(types.Type):
    """Numba type of the address of a value on the stack (see `on_stack`)."""

    def __init__(self, held):
        self.held = held
        super().__init__(f"OnStack({held})")


@register_model(OnStack)
class OnStackModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.IntType(64))


@intrinsic
def on_stack(typing, value):
    """Put a value on the stack of the function that calls this, for use until it returns; a single number in a region.

    So a parallel region, which takes in no tuple within a tuple, can be handed one.
    """

    def generate(context, builder, signature, args):
        return builder.ptrtoint(cgutils.alloca_once_value(builder, args[0]), ir.IntType(64))

    return OnStack(value)(value), generate


@intrinsic
def taken_from_stack(typing, kept):
    """The value that `on_stack` put there."""

    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], context.get_value_type(kept.held).as_pointer())
        return builder.load(pointer)

    return kept.held(kept), generate


def kernel_address(kernel, arguments):
    """(types, address) of a compiled kernel for arguments like these, to be called by `call_kernel`."""
    if config.DISABLE_JIT:
        return None, 0
    types_ = tuple(map(numba.typeof, arguments))
    kernel.compile(types_)
    compiled = kernel.overloads[types_]
    return types_, compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@intrinsic
def call_kernel(typing, pointer, arguments):
    """Call the kernel at an address (see `kernel_address`) with a tuple of just the types it was compiled for."""

    def generate(context, builder, signature, args):
        types_ = list(signature.args[1].types)
        values = [builder.extract_value(args[1], i) for i in range(len(types_))]
        function = context.call_conv.get_function_type(types.none, types_)
        called = builder.inttoptr(args[0], function.as_pointer())
        context.call_conv.call_function(builder, called, types.none, types_, values)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), generate


if config.DISABLE_JIT:

    def call_values(pointer, values, values_offset, count):
        _kept[pointer - 1](values[values_offset:], count)

    def call_slopes(pointer, values, values_offset, slopes, slopes_offset, count):
        _kept[pointer - 1](values[values_offset:], slopes[slopes_offset:], count)

    def call_jets(pointer, jets, offset, count):
        _kept[pointer - 1](jets[offset:], count)

    def call_loss(pointer, deltas, d, outputs, o, targets, t, weights, w, parameter, rows, n, block):
        return _kept[pointer - 1](deltas[d:], outputs[o:], targets[t:], weights[w:], parameter, rows, n, block)

    def on_stack(value):
        return value

    taken_from_stack = on_stack
