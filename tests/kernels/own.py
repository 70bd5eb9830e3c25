"""Activations and losses as users write them, for the tests: twins of built-in ones, and others."""

import math

import numba
from fastmlp_kernels.functions.scalar import fma, like
from fastmlp_kernels.functions.vectormath import exp, log1p, tanh


@numba.njit
def tanh_value(z):
    return tanh(z)


@numba.njit
def tanh_slope(z):
    a = tanh(z)
    return fma(-a, a, like(1.0, z))


def tanh_curvature(z):
    a = tanh(z)
    return like(-2.0, z) * a * (like(1.0, z) - a * a)


def relu_value(z):
    return z if z > 0 else 0


def relu_slope(z):
    return z > 0


def bump_value(z):
    """A float64, whatever z is."""
    return 1.0 / (1.0 + z * z)


def bump_slope(z):
    return -2.0 * z / (1.0 + z * z) ** 2


def squared_value(a, y):
    error = a - y
    return like(0.5, a) * error * error


@numba.njit
def squared_slope(a, y):
    return a - y


def log_cosh_value(a, y):
    size = abs(a - y)
    return size + log1p(exp(like(-2.0, a) * size)) - like(math.log(2), a)


def log_cosh_slope(a, y):
    return tanh(a - y)


def huber_value(a, y):
    size = abs(a - y)
    return 0.5 * size * size if size < 1 else size - 0.5


def huber_slope(a, y):
    return min(max(a - y, -1.0), 1.0)
