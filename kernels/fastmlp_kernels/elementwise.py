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
    function = specialise(loop, name, function=entry.function, curvature=entry.curvature)
    return address(function, signature, entry.cached)
