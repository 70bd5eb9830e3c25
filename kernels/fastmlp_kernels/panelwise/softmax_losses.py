"""Losses of softmax outputs, from the net inputs.

The arguments of all loops are described in `losses`: on entry `deltas` has the net inputs z, on return the error
signals. Rows are read and written as tiles of one row, a panel wide, of which keep_columns(tile, n - q) clears the
columns from n - q on: the padding of the last panel. Where tiles are multiplied, clearing one is not enough: 0 times a
number in the padding that is not finite is NaN.
"""

import math

import numpy as np

from ..functions.scalar import like
from ..functions.vectormath import exp, expm1, log
from ..jit import inlined, njit
from ..layout.panels import clear_rows, row_of
from ..tile.operations import (
    ROWS,
    keep_columns,
    load,
    multiply,
    multiply_add,
    panel_width,
    spread,
    store,
    subtract,
    tile_memory,
    total,
    zero,
)
from .softmax import exponentials, normalize, subtract_largest


@njit
def squared_error_softmax(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """E = 1/2 sum_k e_k^2 with e = a - y, and delta_k = a_k (e_k - sum_j e_j a_j).

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see `losses`).
    """
    width, sums = panel_width(deltas), zero(deltas, 1)
    subtract_largest(deltas, rows, n, block_rows)
    exponentials(outputs, deltas, rows, n, block_rows)
    for r in range(rows):
        weight, weighted_sum = spread(sample_weights[r]), np.float64(0)
        normalize(outputs, r, n, block_rows)
        for q in range(0, n, width):
            i = row_of(deltas, q, r, block_rows)
            a = load(outputs, i, 0, 1)
            error = keep_columns(subtract(a, load(targets, i, 0, 1)), n - q)
            weighted_sum += total(keep_columns(multiply(a, error), n - q))
            sums = multiply_add(multiply(weight, error), error, sums)
            store(error, deltas, i, width)
        for q in range(0, n, width):
            i = row_of(deltas, q, r, block_rows)
            a, error = load(outputs, i, 0, 1), load(deltas, i, 0, 1)
            signal = multiply(multiply(a, subtract(error, spread(deltas.dtype.type(weighted_sum)))), weight)
            store(keep_columns(signal, n - q), deltas, i, width)
    clear_rows(deltas, rows, n, block_rows)
    return np.float64(total(sums)) / 2


@njit
def cross_entropy(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """E = -sum_k y_k log a_k with log a_k = z_k - log sum_j exp z_j, and delta = a - y.

    This is the delta for targets that add up to 1.

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see `losses`).
    """
    width, sums = panel_width(deltas), zero(deltas, 1)
    subtract_largest(deltas, rows, n, block_rows)
    exponentials(outputs, deltas, rows, n, block_rows)
    for r in range(rows):
        weight = spread(sample_weights[r])
        log_sum = spread(deltas.dtype.type(math.log(normalize(outputs, r, n, block_rows))))
        for q in range(0, n, width):
            i = row_of(deltas, q, r, block_rows)
            y = multiply(weight, load(targets, i, 0, 1))
            surprise = subtract(log_sum, load(deltas, i, 0, 1))
            sums = multiply_add(keep_columns(y, n - q), keep_columns(surprise, n - q), sums)
            signal = subtract(multiply(weight, load(outputs, i, 0, 1)), y)
            store(keep_columns(signal, n - q), deltas, i, width)
    clear_rows(deltas, rows, n, block_rows)
    return np.float64(total(sums))


@inlined
def focal_term(log_a, y, gamma):
    """The pair (E, dE/dlog a) of E = -y (1 - a)^gamma log a.

    T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, Focal loss for dense object detection (2017), equation 4. With
    b = 1 - a the derivative is y b^gamma (gamma a (log a) / b - 1), which is finite also in the limit b = 0.
    """
    gamma, least = like(gamma, log_a), like(1e-30, log_a)
    b = -expm1(log_a)
    b = least if b < least else b
    power = y * exp(gamma * log(b))
    return -power * log_a, power * (gamma * exp(log_a) * log_a / b - like(1.0, log_a))


@njit
def focal_softmax(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """E = -sum_k y_k (1 - a_k)^gamma log a_k with the `parameter` gamma (see `focal_term`).

    delta_k = h_k - a_k sum_j h_j with h_k = dE/dlog a_k, which are the `slopes` here.

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see `losses`).
    """
    width, sums = panel_width(deltas), zero(deltas, 1)
    subtract_largest(deltas, rows, n, block_rows)
    exponentials(outputs, deltas, rows, n, block_rows)
    for r in range(rows):
        log_sum = spread(deltas.dtype.type(math.log(normalize(outputs, r, n, block_rows))))
        for q in range(0, n, width):
            i = row_of(deltas, q, r, block_rows)
            store(subtract(load(deltas, i, 0, 1), log_sum), deltas, i, width)
    errors, slopes = tile_memory(deltas), tile_memory(deltas)  # why: see `elementwise_losses.each_output`
    for q in range(0, n, width):
        for first in range(0, rows, ROWS):
            start, count = row_of(deltas, q, first, block_rows), min(ROWS, rows - first)
            for i in range(count * width):
                errors[i], slopes[i] = focal_term(deltas[start + i], targets[start + i], parameter)
            for r in range(count):
                error = keep_columns(load(errors, r * width, 0, 1), n - q)
                sums = multiply_add(spread(sample_weights[first + r]), error, sums)
                store(keep_columns(load(slopes, r * width, 0, 1), n - q), deltas, start + r * width, width)
    for r in range(rows):
        sum_ = np.float64(0)
        for q in range(0, n, width):
            sum_ += total(load(deltas, row_of(deltas, q, r, block_rows), 0, 1))
        for q in range(0, n, width):
            i = row_of(deltas, q, r, block_rows)
            share = multiply(load(outputs, i, 0, 1), spread(deltas.dtype.type(sum_)))
            signal = multiply(spread(sample_weights[r]), subtract(load(deltas, i, 0, 1), share))
            store(keep_columns(signal, n - q), deltas, i, width)
    clear_rows(deltas, rows, n, block_rows)
    return np.float64(total(sums))
