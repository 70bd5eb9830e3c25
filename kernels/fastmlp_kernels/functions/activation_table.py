"""Table of the addresses of activations, each compiled as loops over a contiguous range of memory.

An activation has a *code*, the number of its row in the table, which compiled code uses instead of addresses, because
these differ from process to process. Compiled code finds the table by the name of a symbol, which is resolved whenever
machine code is loaded from the cache on disk; so a code may be a constant in cached machine code.

A row has three loops for each dtype: values, slopes (with values), and jets: values with three derivatives. The Python
functions `_values`, `_slopes` and `_jets` are their templates, where `function` and `curvature` stand for the
activation's (see `jit.specialize`).
"""

from functools import cache

import numpy as np
from numba import types
from numba.extending import overload
from numba.np.numpy_support import from_dtype

from ..calls import address, address_table, as_array
from ..jit import specialize, use_whole_vectors
from .activations import ACTIVATIONS, identity

SOFTMAX = 0  # code of softmax, which has no addresses, as it is not computed element by element
MOST = 1024  # rows of the table, at most, including activations that have been replaced
VALUES, SLOPES, JETS = range(3)

_codes = {entry: code for code, entry in enumerate(ACTIVATIONS.values(), SOFTMAX + 1)}
_table, _read_address = address_table("fastmlp_kernels_activation_addresses", MOST * 2 * 3)
# The table by code, dtype (float32: 0, float64: 1, which is itemsize // 8) and kind: (code, dtype, kind) is number
# (code * 2 + dtype) * 3 + kind.
_addresses = _table.reshape(MOST, 2, 3)


def _values(values, count):
    """Replace `count` net inputs by values."""
    use_whole_vectors()
    a = as_array(values, count)
    for i in range(count):
        a[i] = function(a[i])[0]  # noqa: F821


def _slopes(values, slopes, count):
    """Write `count` values to `values`, and replace the net inputs in `slopes` by slopes."""
    use_whole_vectors()
    a, z = as_array(values, count), as_array(slopes, count)
    for i in range(count):
        a[i], z[i] = function(z[i])  # noqa: F821


def _jets(jets, count):
    """Replace `count` net inputs, the first part of `jets`, by values; write derivatives to the other three parts."""
    use_whole_vectors()
    g = as_array(jets, 4 * count)
    for i in range(count):
        z = g[i]
        g[i], g[count + i] = function(z)  # noqa: F821
        g[2 * count + i], g[3 * count + i] = curvature(z)  # noqa: F821


def values_address(activation, dtype):
    """Address of the loop that replaces net inputs by values; 0 for the identity.

    Parameters
    ----------
    activation : str or Activation
        Name in ACTIVATIONS, or a row of it, which may have been replaced by another of the same name.
    dtype : Numba type float32 or float64
    """
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    if entry.function is identity:
        return 0
    return _address(_values, entry, types.void(types.CPointer(dtype), types.int64))


def slopes_address(activation, dtype):
    """Address of the loop that writes values and replaces net inputs by slopes; arguments as for `values_address`."""
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    return _address(_slopes, entry, types.void(types.CPointer(dtype), types.CPointer(dtype), types.int64))


def jets_address(activation, dtype):
    """Address of the loop that computes values, slopes, second and third derivatives of `count` net inputs.

    These are four times `count` numbers, one part after the other; on entry the first part has the net inputs.
    Arguments as for `values_address`.
    """
    entry = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    return _address(_jets, entry, types.void(types.CPointer(dtype), types.int64))


@cache
def _address(loop, entry, signature):
    """Address of the template `loop` for the Activation `entry`, compiled for a Numba signature."""
    name = entry.function.__name__ + loop.__name__
    function = specialize(loop, name, function=entry.function, curvature=entry.curvature)
    return address(function, signature, entry.cached)


def activation_code(activation, dtype):
    """Code of an activation, which is compiled for `dtype` if it has not been.

    Parameters
    ----------
    activation : str or Activation
        "softmax", a name in `activations.ACTIVATIONS`, or a row of it, which may have been replaced.
    dtype : float32 or float64

    Returns
    -------
    int
        The same for both dtypes, and for a built-in activation in every process.

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
        raise ValueError(f"activation is {activation!r}; accepted: {known}, or one registered before")
    if len(_codes) + 1 == MOST and entry not in _codes:
        raise ValueError(f"activation is number {MOST} of this process; accepted: fewer, replaced ones included")
    code, dtype = _codes.setdefault(entry, len(_codes) + 1), np.dtype(dtype)
    addresses = _addresses[code, dtype.itemsize // 8]
    if not addresses[SLOPES]:  # not compiled yet; VALUES would not tell, being 0 for the identity
        addresses[:] = [kind(entry, from_dtype(dtype)) for kind in (values_address, slopes_address, jets_address)]
    return code


def activation_address(code, itemsize, kind):
    """Address of the loop `kind` (VALUES, SLOPES or JETS) of the activation `code`, for numbers of `itemsize` bytes.

    0 if it has none, or has not been compiled for that type (see `activation_code`).
    """
    return int(_addresses[code, itemsize // 8, kind])


@overload(activation_address)
def _activation_address(code, itemsize, kind):
    return lambda code, itemsize, kind: _read_address((code * 2 + itemsize // 8) * 3 + kind)
