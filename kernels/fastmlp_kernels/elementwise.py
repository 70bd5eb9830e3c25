"""Activations over stretches of memory: one loop, compiled for each activation and reached by its address."""

from functools import cache

from numba import types

from .activations import ACTIVATIONS, identity
from .compile import specialise
from .pointers import address, as_array


def _values(values, count):
    a = as_array(values, count)
    for i in range(count):
        a[i] = function(a[i])[0]  # noqa: F821


def _slopes(values, slopes, count):
    a, z = as_array(values, count), as_array(slopes, count)
    for i in range(count):
        a[i], z[i] = function(z[i])  # noqa: F821


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


@cache
def _address(loop, entry, signature):
    function = entry.function
    return address(specialise(loop, function.__name__ + loop.__name__, function=function), signature, entry.cached)
