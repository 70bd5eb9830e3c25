"""Activations by number: what compiled code holds of them, since their addresses differ from process to process.

A code is the activation's row in a table of addresses. Compiled code knows the table by the name of a symbol, which is
resolved anew wherever machine code is loaded from a disk cache; a code kept there as a constant stays right.
"""

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numba.np.numpy_support import from_dtype

from .activations import ACTIVATIONS
from .elementwise import jets_address, slopes_address, values_address

SOFTMAX = 0  # has no addresses: it is not found element by element
MOST = 1024  # activations, those included that have been replaced since
VALUES, SLOPES, JETS = range(3)

_codes = {entry: code for code, entry in enumerate(ACTIVATIONS.values(), SOFTMAX + 1)}
_addresses = np.zeros((MOST, 2, 3), np.int64)  # by code, by dtype (float32, float64), by kind
_SYMBOL = "fastmlp_kernels_activation_addresses"
llvmlite.binding.add_symbol(_SYMBOL, _addresses.ctypes.data)


def activation_code(activation, dtype):
    """The code of an activation, compiled for a dtype if need be.

    Parameters
    ----------
    activation : str or Activation
        "softmax", or one of `activations.ACTIVATIONS`: its name, or the entry, where a name has been registered anew.
    dtype : float32 or float64

    Returns
    -------
    int
        The same for every dtype, and of a built-in activation in every process.

    Raises
    ------
    ValueError
        If there is no such activation, or too many have been registered.
    """
    if activation == "softmax":
        return SOFTMAX
    entry = ACTIVATIONS.get(activation) if isinstance(activation, str) else activation
    if entry is None:
        known = ", ".join(["softmax", *ACTIVATIONS])
        raise ValueError(f"activation is {activation!r}; accepted: {known}, or what was registered first")
    if len(_codes) + 1 == MOST and entry not in _codes:
        raise ValueError(f"activation is number {MOST} of this process; accepted: fewer, replaced ones included")
    code, dtype = _codes.setdefault(entry, len(_codes) + 1), np.dtype(dtype)
    addresses = _addresses[code, dtype.itemsize // 8]
    if not addresses[SLOPES]:
        addresses[:] = [kind(entry, from_dtype(dtype)) for kind in (values_address, slopes_address, jets_address)]
    return code


def activation_address(code, itemsize, kind):
    """The address of an activation for numbers of `itemsize` bytes; 0 where it is not known (see `activation_code`)."""
    return int(_addresses[code, itemsize // 8, kind])


@intrinsic
def _entry(typing, index):
    def generate(context, builder, signature, args):
        words = ir.ArrayType(ir.IntType(64), _addresses.size)
        table = builder.module.globals.get(_SYMBOL) or ir.GlobalVariable(builder.module, words, _SYMBOL)
        return builder.load(builder.gep(table, [ir.Constant(ir.IntType(64), 0), args[0]]))

    return types.int64(types.intp), generate


@overload(activation_address)
def _activation_address(code, itemsize, kind):
    return lambda code, itemsize, kind: _entry((code * 2 + itemsize // 8) * 3 + kind)
