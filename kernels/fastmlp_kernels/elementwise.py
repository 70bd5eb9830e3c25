"""Activations over stretches of memory: one loop, compiled for each activation and reached by its address."""

from functools import cache

from numba import types

from .activations import ACTIVATIONS
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


@cache
def values_address(name, dtype):
    """Address of the activation `name` in the Numba type `dtype`, net inputs to values in place; 0 for the identity."""
    if name == "identity":
        return 0
    loop = specialise(_values, f"{name}_values", function=ACTIVATIONS[name].function)
    return address(loop, types.void(types.CPointer(dtype), types.int64))


@cache
def slopes_address(name, dtype):
    """Address of the activation `name` that writes values and turns net inputs into slopes, in place."""
    loop = specialise(_slopes, f"{name}_slopes", function=ACTIVATIONS[name].function)
    return address(loop, types.void(types.CPointer(dtype), types.CPointer(dtype), types.int64))


@cache
def jets_address(name, dtype):
    """Address of the activation `name` that turns `count` net inputs into values, slopes, second and third derivatives.

    Each are `count` numbers, one after the other; the net inputs lie where the values go.
    """
    entry = ACTIVATIONS[name]
    loop = specialise(_jets, f"{name}_jets", function=entry.function, curvature=entry.curvature)
    return address(loop, types.void(types.CPointer(dtype), types.int64))
