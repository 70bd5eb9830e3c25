"""The table of activations: each a loop over a stretch of memory, compiled once and reached by its address.

Compiled code holds an activation as a code, since addresses differ from process to process: its row in the table. The
table is known to compiled code by the name of a symbol, which is resolved anew wherever machine code is loaded from a
disk cache; a code kept there as a constant stays right.
"""

from functools import cache

import numpy as np
from numba import types
from numba.extending import overload
from numba.np.numpy_support import from_dtype

from ..calls import address, address_table, as_array
from ..jit import specialize
from .activations import ACTIVATIONS, identity

SOFTMAX = 0  # has no addresses: it is not found element by element
MOST = 1024  # activations, those included that have been replaced since
VALUES, SLOPES, JETS = range(3)

_codes = {entry: code for code, entry in enumerate(ACTIVATIONS.values(), SOFTMAX + 1)}
_table, _entry = address_table("fastmlp_kernels_activation_addresses", MOST * 2 * 3)
_addresses = _table.reshape(MOST, 2, 3)  # by code, by dtype (float32, float64), by kind


def _values(values, count):
    a = as_array(values, count)
    for i in range(count):
        a[i] = function(a[i])[0]  # noqa: F821


def _slopes(values, slopes, count):
    a, z = as_array(values, count), as_array(slopes, count)
    for i in range(count):
        a[i], z[i] = function(z[i])  # noqa: F821


def _jets(jets, count):
    g = as_array(jets, 4 * count)
    for i in range(count):
        z = g[i]
        g[i], g[count + i] = function(z)  # noqa: F821
        g[2 * count + i], g[3 * count + i] = curvature(z)  # noqa: F821


def values_address(activation, dtype):
    """Address of an activation in the Numba type `dtype`, net inputs to values in place; 0 for the identity.

    `activation` is a name, or an entry of ACTIVATIONS: where a name has been registered anew since, its old one.
    """
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    if entry.function is identity:
        return 0
    return _address(_values, entry, types.void(types.CPointer(dtype), types.int64))


def slopes_address(activation, dtype):
    """Address of an activation that writes values and turns net inputs into slopes, in place (see `values_address`)."""
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    return _address(_slopes, entry, types.void(types.CPointer(dtype), types.CPointer(dtype), types.int64))


def jets_address(activation, dtype):
    """Address of an activation that turns `count` net inputs into values, slopes, second and third derivatives.

    Each are `count` numbers, one after the other; the net inputs lie where the values go (see `values_address`).
    """
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    return _address(_jets, entry, types.void(types.CPointer(dtype), types.int64))


@cache
def _address(loop, entry, signature):
    name = entry.function.__name__ + loop.__name__
    function = specialize(loop, name, function=entry.function, curvature=entry.curvature)
    return address(function, signature, entry.cached)


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


@overload(activation_address)
def _activation_address(code, itemsize, kind):
    return lambda code, itemsize, kind: _entry((code * 2 + itemsize // 8) * 3 + kind)
