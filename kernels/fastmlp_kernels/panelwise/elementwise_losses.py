"""Losses that are found output by output (see `losses` for what all losses have in common).

Each is a scalar function of the output a, the slope g'(z) of its activation, the target y and the parameter, that gives
(a, E, delta); or, where a loss applies the activation itself, of the net input z in place of the slope. It has no
branches, so that the loop over them becomes vector code.
"""

import numpy as np

from ..functions.scalar import like
from ..functions.vectormath import clip, exp, log, log1p
from ..jit import inlined, njit, specialise
from ..layout.panels import clear_rows
from ..tile.operations import (
    ROWS,
    add,
    keep_columns,
    load,
    multiply,
    multiply_add,
    spread,
    store,
    subtract,
    tile_memory,
    total,
    width,
    zero,
)
from .softmax_losses import focal_term

NARROW = 6  # columns of a panel from which it is faster to take whole panels than one column after the other


def each_output(deltas, outputs, targets, weights, parameter, rows, n, block):
    """The loss made of the global `function`, which becomes part of it (see `compile.specialise`)."""
    size, loss = width(deltas), np.float64(0)
    # On the stack, where nothing else points: other stores might change what is loaded next, for all a compiler knows,
    # and the loop would be no vector code. Nor would it be over one row, short enough to be unrolled (half the speed).
    values, errors, signals = tile_memory(deltas), tile_memory(deltas), tile_memory(deltas)
    for q in range(0, n, size):
        if n - q < NARROW and n - q <= size:
            for c in range(n - q):
                for first in range(0, rows, len(values)):
                    start, count = q * block + first * size + c, min(len(values), rows - first)
                    for i in range(count):
                        j = start + i * size
                        values[i], errors[i], signals[i] = function(outputs[j], deltas[j], targets[j], parameter)  # noqa: F821
                    for i in range(count):
                        j, weight = start + i * size, weights[first + i]
                        loss += weight * errors[i]
                        outputs[j], deltas[j] = values[i], weight * signals[i]
            for i in range(q * block, q * block + rows * size, size):
                store(keep_columns(load(deltas, i, 0, 1), n - q), deltas, i, size)
            break
        sums = zero(deltas, 1)
        for first in range(0, rows, ROWS):
            start, count = q * block + first * size, min(ROWS, rows - first)
            for i in range(count * size):
                a, slope, y = outputs[start + i], deltas[start + i], targets[start + i]
                values[i], errors[i], signals[i] = function(a, slope, y, parameter)  # noqa: F821
            for r in range(count):
                i, weight = r * size, spread(weights[first + r])
                sums = add(sums, keep_columns(multiply(weight, load(errors, i, 0, 1)), n - q))
                signal = multiply(weight, load(signals, i, 0, 1))
                store(keep_columns(signal, n - q), deltas, start + i, size)
                store(load(values, i, 0, 1), outputs, start + i, size)
        loss += total(sums)
    clear_rows(deltas, rows, n, block)
    return loss


@njit
def squared_error(deltas, outputs, targets, weights, parameter, rows, n, block):
    """E = 1/2 sum_k (a_k - y_k)^2 and delta = (a - y) g'(z)."""
    size, loss = width(deltas), np.float64(0)
    for q in range(0, n, size):
        squares = zero(deltas, 1)
        for r in range(rows):
            i, weight = q * block + r * size, spread(weights[r])
            error = keep_columns(subtract(load(outputs, i, 0, 1), load(targets, i, 0, 1)), n - q)
            signal = multiply(weight, multiply(load(deltas, i, 0, 1), error))
            store(keep_columns(signal, n - q), deltas, i, size)
            squares = multiply_add(multiply(weight, error), error, squares)
        loss += total(squares)
    clear_rows(deltas, rows, n, block)
    return loss / 2


@inlined
def _absolute_error(a, slope, y, parameter):
    """E = |a - y|, with slope 0 at 0."""
    error, zero, one = a - y, like(0.0, a), like(1.0, a)
    sign = one if error > zero else (-one if error < zero else zero)
    return a, abs(error), sign * slope


@inlined
def _huber(a, slope, y, parameter):
    """With e = a - y and the parameter d: e^2 / 2 up to |e| = d, beyond it d (|e| - d / 2) (P. J. Huber 1964)."""
    error, limit = a - y, like(parameter, a)
    gradient = clip(error, -limit, limit)
    return a, gradient * (error - like(0.5, a) * gradient), gradient * slope


@inlined
def _quantile(a, slope, y, parameter):
    """E = q (y - a) where a is below y, (1 - q) (a - y) above (R. Koenker, G. Bassett 1978): the parameter is q."""
    error, zero, q = a - y, like(0.0, a), like(parameter, a)
    gradient = like(1.0, a) - q if error > zero else (-q if error < zero else zero)
    return a, gradient * error, gradient * slope


@inlined
def _binary_cross_entropy(a, z, y, parameter):
    """E = -y log a - (1 - y) log(1 - a) for sigmoid outputs.

    In the stable form max(z, 0) - z y + log(1 + exp(-|z|)); the derivatives collapse to delta = a - y.
    """
    zero, one = like(0.0, z), like(1.0, z)
    decay = exp(-abs(z))
    right = one / (one + decay)
    a = decay * right if z < zero else right
    return a, (z if z > zero else zero) - z * y + log1p(decay), a - y


@inlined
def _poisson(a, z, y, parameter):
    """E = y log(y / a) - y + a for outputs a = exp(z), half the deviance of a Poisson distribution; delta = a - y."""
    a, zero = exp(z), like(0.0, z)
    return a, y * (log(y if y > zero else like(1.0, z)) - z) - y + a, a - y


@inlined
def _focal_sigmoid(a, z, y, parameter):
    """E = -y (1 - a)^gamma log a - (1 - y) a^gamma log(1 - a) for sigmoid outputs (see `focal_term`)."""
    zero, one = like(0.0, z), like(1.0, z)
    decay = exp(-abs(z))
    right = one / (one + decay)
    a, b = (decay * right, right) if z < zero else (right, decay * right)
    log_a = (z if z < zero else zero) - log1p(decay)
    on, on_slope = focal_term(log_a, y, parameter)
    off, off_slope = focal_term(log_a - z, one - y, parameter)
    return a, on + off, b * on_slope - a * off_slope


absolute_error, huber, quantile, binary_cross_entropy, poisson, focal_sigmoid = (
    njit(specialise(each_output, function.__name__[1:], function=function))
    for function in (_absolute_error, _huber, _quantile, _binary_cross_entropy, _poisson, _focal_sigmoid)
)
