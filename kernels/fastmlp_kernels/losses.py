"""Losses: the error of a block of samples and, in the same pass, its error signal at the output layer.

Each loss is a function loss(deltas, outputs, targets, rows, n, block) over panels (see `panels`) that returns the sum
of the errors of `rows` samples with `n` outputs, in float64. On entry `deltas` holds what the forward pass left there:
the slopes g'(z) of the output activation where that is applied element by element, or else the net inputs z. On return
it holds dE/dz of each sample, and `outputs` the activations. The padding of the panels is set to zero, so that padded
samples and units count for nothing.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from .compile import njit, specialise
from .panels import padded
from .pointers import address, as_array
from .tile import ROWS, keep_columns, load, multiply, multiply_add, store, subtract, total, width, zero
from .vectormath import exp, log1p


@njit
def _clear_padding(deltas, rows, n, block):
    """Zero the columns from `n` on and the rows from `rows` on."""
    size = width(deltas)
    for q in range(0, n, size):
        for s in range(padded(rows, ROWS)):
            i = q * block + s * size
            store(keep_columns(load(deltas, i, 0, 1), n - q if s < rows else 0), deltas, i, size)


@njit
def squared_error(deltas, outputs, targets, rows, n, block):
    """E = 1/2 sum_k (a_k - y_k)^2 and delta = (a - y) g'(z), for activations applied element by element."""
    size, loss = width(deltas), np.float64(0)
    for q in range(0, n, size):
        squares = zero(deltas, 1)
        for i in range(q * block, q * block + rows * size, size):
            error = keep_columns(subtract(load(outputs, i, 0, 1), load(targets, i, 0, 1)), n - q)
            store(multiply(load(deltas, i, 0, 1), error), deltas, i, size)
            squares = multiply_add(error, error, squares)
        loss += total(squares)
    _clear_padding(deltas, rows, n, block)
    return loss / 2


@njit
def softmax(outputs, rows, n, block):
    """Turn the net inputs in `outputs` into softmax activations, exp(z_k - max z) / sum_j exp(z_j - max z)."""
    size = width(outputs)
    for s in range(rows):
        peak = outputs[s * size]
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                peak = max(peak, outputs[q * block + s * size + c])
        sum_ = np.float64(0)
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                outputs[i] = exp(outputs[i] - peak)
                sum_ += outputs[i]
        scale = outputs.dtype.type(1 / sum_)
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                outputs[q * block + s * size + c] *= scale


@njit
def squared_error_softmax(deltas, outputs, targets, rows, n, block):
    """The squared error of softmax outputs: delta_k = a_k (e_k - sum_j e_j a_j) with e = a - y."""
    softmax(deltas, rows, n, block)
    size, loss = width(deltas), np.float64(0)
    for s in range(rows):
        mean = np.float64(0)
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                outputs[i] = deltas[i]
                error = outputs[i] - targets[i]
                loss += error * error
                mean += error * outputs[i]
        mean = deltas.dtype.type(mean)
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                deltas[i] = outputs[i] * (outputs[i] - targets[i] - mean)
    _clear_padding(deltas, rows, n, block)
    return loss / 2


@njit
def cross_entropy(deltas, outputs, targets, rows, n, block):
    """E = -sum_k y_k log a_k for softmax outputs, from the net inputs: log a_k = z_k - log sum_j exp z_j.

    The product of the two derivatives collapses to delta = a - y (for targets that add up to one).
    """
    size, loss = width(deltas), np.float64(0)
    for s in range(rows):
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                outputs[i] = deltas[i]
    softmax(deltas, rows, n, block)
    for s in range(rows):
        # log sum_j exp z_j = z_m - log a_m, taken at the largest output m: a_m >= 1 / n is safe to take the log of
        peak, top = outputs[s * size], deltas[s * size]
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                peak, top = max(peak, outputs[i]), max(top, deltas[i])
        log_top = math.log(top)
        for q in range(0, n, size):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                loss += targets[i] * (peak - outputs[i] - log_top)
                outputs[i] = deltas[i]
                deltas[i] -= targets[i]
    _clear_padding(deltas, rows, n, block)
    return loss


@njit
def binary_cross_entropy(deltas, outputs, targets, rows, n, block):
    """E = -sum_k (y_k log a_k + (1 - y_k) log(1 - a_k)) for sigmoid outputs, from the net inputs.

    In the stable form max(z, 0) - z y + log(1 + exp(-|z|)); the derivatives collapse to delta = a - y.
    """
    size, loss, one = width(deltas), np.float64(0), deltas.dtype.type(1)
    for q in range(0, n, size):
        for s in range(rows):
            for c in range(min(size, n - q)):
                i = q * block + s * size + c
                z, y = deltas[i], targets[i]
                decay = exp(-abs(z))
                loss += (z if z > 0 else 0 * z) - z * y + log1p(decay)
                outputs[i] = (decay if z < 0 else one) / (one + decay)
                deltas[i] = outputs[i] - y
    _clear_padding(deltas, rows, n, block)
    return loss


class LossFunction(NamedTuple):
    """A loss for one kind of output activation.

    Attributes
    ----------
    function : the compiled function
    from_net_inputs : bool
        Whether it takes the output layer's net inputs and applies the activation itself.
    cached : bool
        Whether machine code that holds it may be kept on disk.
    """

    function: Callable
    from_net_inputs: bool
    cached: bool = True


# By loss and output activation; "elementwise" stands for every activation that is applied element by element.
LOSSES = {
    ("squared_error", "elementwise"): LossFunction(squared_error, False),
    ("squared_error", "softmax"): LossFunction(squared_error_softmax, True),
    ("cross_entropy", "softmax"): LossFunction(cross_entropy, True),
    ("binary_cross_entropy", "sigmoid"): LossFunction(binary_cross_entropy, True),
}


def _entry(deltas, outputs, targets, rows, n, block):
    count = padded(n, width(as_array(deltas, 1))) * block
    return function(  # noqa: F821
        as_array(deltas, count), as_array(outputs, count), as_array(targets, count), rows, n, block
    )


def loss_address(key, dtype):
    """Address of the loss LOSSES[key] in the Numba type `dtype`."""
    return _address(key, LOSSES[key], dtype)


@cache
def _address(key, loss, dtype):
    array, size = types.CPointer(dtype), types.int64
    entry = specialise(_entry, "_".join(key), function=loss.function)
    return address(entry, types.float64(array, array, array, size, size, size), loss.cached)


class Loss(NamedTuple):
    """A loss as the drivers take it.

    The address is another one in each process: hand it to compiled functions, which must not know it as a global.

    Attributes
    ----------
    address : int
    from_net_inputs : bool
        Whether it takes the output layer's net inputs and applies the activation itself.
    """

    address: int
    from_net_inputs: bool


def loss_key(loss, output_activation):
    """The entry of LOSSES for the loss `loss` of outputs with an activation; a ValueError if there is none."""
    fitting = sorted(output for name, output in LOSSES if name == loss)
    for output in (output_activation, *(["elementwise"] if output_activation != "softmax" else [])):
        if output in fitting:
            return loss, output
    if not fitting:
        known = ", ".join(dict.fromkeys(name for name, _ in LOSSES))
        raise ValueError(f"loss is {loss!r}; accepted: {known}, or what was registered first, with register_loss")
    raise ValueError(f"loss is {loss!r} with output_activation {output_activation!r}; accepted: {', '.join(fitting)}")


def loss(loss, output_activation, dtype):
    """The loss called `loss` for outputs with an activation, both names, and a network of `dtype`: a `Loss`.

    Raises
    ------
    ValueError
        If there is no such loss, or none for such outputs.
    """
    key = loss_key(loss, output_activation)
    return Loss(loss_address(key, from_dtype(np.dtype(dtype))), LOSSES[key].from_net_inputs)
