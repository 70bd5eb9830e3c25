"""Calls through function pointers, by which drivers that are compiled once reach any activation and any loss.

(Drivers are the kernels that train, evaluate and predict many rows: see `drivers`. Matrices come *in panels* here: each
panel is some neighboring columns, stored row by row: see `layout.panels`.)

An activation or loss is compiled once per dtype, as a C function over a contiguous range of memory, and the kernels
know it by its address, an integer. A call covers hundreds of elements, so that the indirection costs nothing, and a new
activation does not need the drivers to be compiled again. For example, with an array `z` of 100 float64 net inputs,

    tanh = address(loop, types.void(types.CPointer(types.float64), types.int64))  # in Python: compiles loop(z, count)
    call_values(tanh, z, 20, 30)  # in a kernel: loop(pointer to z[20], 30)

The drivers call their largest parts by address too, which saves compiling (see `ByAddress`); these are Numba functions
rather than C functions.

Addresses differ from process to process, so that machine code cached on disk must not contain them: it reads them from
a table (`address_table`).

The calls are Numba *intrinsics*: Python functions that Numba runs when it compiles a call of them, and which return the
call's signature and a function that writes its LLVM instructions (see `tile.emit`). Their first parameter, `typing`, is
Numba's and not an argument of the call. With the JIT disabled (NUMBA_DISABLE_JIT=1), an address is a position in the
list `_kept`, counted from 1, and the calls below call that Python function.
"""

from functools import partial

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.ccallback import CFunc
from numba.core.sigutils import normalize_signature
from numba.extending import intrinsic, models, overload, register_model

from . import cache
from .background import announce
from .jit import INLINED, OPTIONS

# as_array(pointer, count): the memory that a C function gets, as an array. It is one already with the JIT disabled.
as_array = (lambda array, count: array[:count]) if config.DISABLE_JIT else numba.carray

_kept = []  # C functions in use, which must not be garbage-collected; with the JIT disabled, the Python functions


def c_function(function, signature, cached=True):
    """Compile a C function, which is never garbage-collected.

    Parameters
    ----------
    function : Python function
    signature : Numba signature; arrays are C pointers
    cached : bool; whether its machine code may be cached on disk

    Returns
    -------
    numba.cfunc
    """
    options = {key: OPTIONS[key] for key in ("error_model", "boundscheck")}
    made = CFunc(function, normalize_signature(signature), locals={}, options=options)  # what numba.cfunc makes
    if cached:
        cache.use(made, function)
    made.compile()
    _kept.append(made)
    return made


def address(function, signature, cached=True):
    """Address of a function compiled by `c_function`, which has the same parameters: an int other than 0."""
    if config.DISABLE_JIT:
        _kept.append(function)
        return len(_kept)
    return c_function(function, signature, cached).address


def _emit(result, arrays, context, builder, signature, args):
    """Write the instructions that call the C function at address args[0].

    The next 2 * `arrays` arguments are pairs (array, offset), each of which is passed as one pointer to array[offset];
    the numbers after them are passed as they are. `result` is the Numba type that is returned.
    """
    pointers = []
    for index in range(1, 1 + 2 * arrays, 2):
        array = context.make_array(signature.args[index])(context, builder, args[index])
        pointers.append(builder.gep(array.data, [args[index + 1]]))
    values = pointers + list(args[1 + 2 * arrays :])
    returns = ir.VoidType() if result == types.void else context.get_value_type(result)
    function = ir.FunctionType(returns, [value.type for value in values])
    returned = builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
    return context.get_dummy_value() if result == types.void else returned


@intrinsic
def call_values(typing, pointer, values, values_offset, count):
    """Replace the net inputs values[values_offset : values_offset + count] by their activations."""
    signature = types.void(types.intp, values, types.intp, types.intp)
    return signature, partial(_emit, types.void, 1)


@intrinsic
def call_slopes(typing, pointer, values, values_offset, slopes, slopes_offset, count):
    """Replace `count` net inputs in `slopes` by the activation's derivative, and write the activations to `values`.

    Each array is followed by the offset of its first element.
    """
    signature = types.void(types.intp, values, types.intp, slopes, types.intp, types.intp)
    return signature, partial(_emit, types.void, 2)


@intrinsic
def call_jets(typing, pointer, jets, offset, count):
    """Replace `count` net inputs in `jets`, from `offset` on, by activations; write three derivatives behind them.

    In jets[offset : offset + 4 * count], `count` activations are followed by as many first, second and third
    derivatives.
    """
    signature = types.void(types.intp, jets, types.intp, types.intp)
    return signature, partial(_emit, types.void, 1)


@intrinsic
def call_loss(
    typing,
    pointer,
    deltas,
    deltas_offset,
    outputs,
    outputs_offset,
    targets,
    targets_offset,
    sample_weights,
    weights_offset,
    parameter,
    rows,
    n,
    block_rows,
):
    """Sum of the losses of some samples, each times its weight; writes their error signals and activations.

    Parameters
    ----------
    pointer : int; address of the loss (see `panelwise.losses.Loss`)
    deltas, deltas_offset : 1-D array and int
        The output layer's slopes g'(z) (derivatives of its activation g), or its net inputs z if the loss applies the
        activation itself, in panels; replaced by its error signals dE/dz, times the samples' weights.
    outputs, outputs_offset : 1-D array and int
        The output layer's activations g(z), in panels: written if the loss applies the activation itself, else read.
    targets, targets_offset : 1-D array and int
        Targets, in panels.
    sample_weights, weights_offset : 1-D array and int
        Weights of the samples, `rows` numbers one after the other.
    parameter : float
        The setting of a loss that has one, such as delta of "huber".
    rows, n : int
        Samples, and outputs of a sample.
    block_rows : int
        Rows that each panel has room for.

    Returns
    -------
    float
    """
    offset, count = types.intp, types.intp
    arrays = deltas, offset, outputs, offset, targets, offset, sample_weights, offset
    return types.float64(types.intp, *arrays, types.float64, count, count, count), partial(_emit, types.float64, 4)


def address_table(symbol, size):
    """Make a table of addresses, which Python writes and compiled code reads.

    Compiled code knows the table by the name of a symbol, which is resolved in each process that loads the machine code
    from the disk cache.

    Parameters
    ----------
    symbol : str; name that nothing else in the process has
    size : int; number of addresses

    Returns
    -------
    table : (size,) int64 array of zeros
    read : function read(index) for compiled code, returns table[index]
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
    """Numba type of the address of a value on the stack (see `on_stack`); `held` is the value's Numba type."""

    def __init__(self, held):
        self.held = held
        super().__init__(f"OnStack({held})")


@register_model(OnStack)
class OnStackModel(models.PrimitiveModel):
    """Representation of such an address in LLVM: a 64-bit integer."""

    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.IntType(64))


@intrinsic
def on_stack(typing, value):
    """Address of a copy of `value` on the stack of the calling function, valid until that function returns.

    Numba's parallel regions accept no tuple within a tuple: a region is a function of numbers and arrays only, and
    Numba passes a tuple element by element, without taking apart elements that are tuples again. The address, a single
    number, passes such a tuple into a region, where `taken_from_stack` reads it.
    """

    def generate(context, builder, signature, args):
        return builder.ptrtoint(cgutils.alloca_once_value(builder, args[0]), ir.IntType(64))

    return OnStack(value)(value), generate


@intrinsic
def taken_from_stack(typing, kept):
    """Value whose address `on_stack` returned."""

    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], context.get_value_type(kept.held).as_pointer())
        return builder.load(pointer)

    return kept.held(kept), generate


class ByAddress:
    """A kernel that compiled callers reach by its address, so that none has its machine code in it.

    A kernel that is called in the usual way is compiled again into each of its callers, and three times more for a
    parallel region. And several kernels can be compiled at the same time (see `background`).

    Parameters
    ----------
    kernel : function compiled by `jit.njit`; must not raise, since its status is ignored
    kinds : int; number of combinations of types of its arguments that are called by address
    result : Numba type of what it returns

    Attributes
    ----------
    kernel : see above
    addresses : (kinds,) int64 array; 0 for kinds that are not compiled in this process
    call : function
        For compiled callers; takes the arguments of the kernel. If their types were not expected when the caller was
        compiled, it calls the kernel in the usual way.
    is_compiled : function
        For compiled callers; takes the arguments of the kernel, and returns whether `call` may be called for them.
    """

    def __init__(self, kernel, kinds, result=types.none):
        self.kernel, self._kinds = kernel, {}
        self.addresses, address_at = address_table(f"{kernel.__module__}.{kernel.__name__}", kinds)
        kinds_of = self._kinds  # by types

        def call(*arguments):
            return kernel(*arguments)

        @overload(call, jit_options=INLINED)
        def compiled_call(*arguments):
            if arguments not in kinds_of:
                return lambda *arguments: kernel(*arguments)
            kind = kinds_of[arguments]
            return lambda *arguments: call_kernel(address_at(kind), arguments, result)

        def is_compiled(*arguments):
            return True

        @overload(is_compiled, jit_options=INLINED)
        def compiled_is_compiled(*arguments):
            if arguments not in kinds_of:
                return lambda *arguments: True
            kind = kinds_of[arguments]
            return lambda *arguments: address_at(kind) != 0

        self.call, self.is_compiled = call, is_compiled

    def expect(self, kind, types_):
        """Have callers that are compiled from now on call the kernel by address, for arguments of these Numba types.

        Parameters
        ----------
        kind : int; below `kinds`, and for these types the same in all processes, whose cache has machine code with it
        types_ : tuple of Numba types
        """
        self._kinds[types_] = kind

    def prepare(self, work, kind, types_):
        """Expect and compile a kind for some `work`, a text that is logged if the cache does not have it."""
        announce(work, [(self.kernel, types_)])
        self.expect(kind, types_)
        self.compile(types_)

    def compile(self, types_):
        """Compile the kernel for types that are expected, unless that is done, or load it from the cache."""
        kind = self._kinds[types_]
        if not self.addresses[kind] and not config.DISABLE_JIT:
            self.kernel.compile(types_)
            compiled = self.kernel.overloads[types_]
            self.addresses[kind] = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@intrinsic
def call_kernel(typing, pointer, arguments, result):
    """Call the kernel at an address with a tuple of arguments of exactly the types it was compiled for.

    No type is checked or converted, nor is the kernel's status looked at: see `ByAddress`.
    """

    def generate(context, builder, signature, args):
        types_ = list(signature.args[1].types)
        values = [builder.extract_value(args[1], i) for i in range(len(types_))]
        function = context.call_conv.get_function_type(returned, types_)
        called = builder.inttoptr(args[0], function.as_pointer())
        return context.call_conv.call_function(builder, called, returned, types_, values)[1]

    returned = getattr(result, "instance_type", result)  # a type is passed as a NumberClass, or as none
    return returned(types.intp, arguments, result), generate


if config.DISABLE_JIT:

    def call_values(pointer, values, values_offset, count):
        """See the compiled `call_values`."""
        _kept[pointer - 1](values[values_offset:], count)

    def call_slopes(pointer, values, values_offset, slopes, slopes_offset, count):
        """See the compiled `call_slopes`."""
        _kept[pointer - 1](values[values_offset:], slopes[slopes_offset:], count)

    def call_jets(pointer, jets, offset, count):
        """See the compiled `call_jets`."""
        _kept[pointer - 1](jets[offset:], count)

    def call_loss(pointer, deltas, d, outputs, o, targets, t, weights, w, parameter, rows, n, block_rows):
        """See the compiled `call_loss`; d, o, t and w are the offsets."""
        return _kept[pointer - 1](deltas[d:], outputs[o:], targets[t:], weights[w:], parameter, rows, n, block_rows)

    def on_stack(value):
        """Value itself, in plain Python."""
        return value

    taken_from_stack = on_stack
