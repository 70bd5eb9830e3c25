"""Softmax activations of a block, and the product with their Jacobian, da_k/dz_j = a_k ((k = j) - a_j).

Matrices are in panels of `block` rows (see `panels`); only `rows` rows and `n` columns count, whatever the padding.
"""

import numpy as np

from ..functions.vectormath import exp
from ..jit import inlined, njit
from ..tile.operations import join_columns, keep_columns, largest, load, multiply, spread, store, subtract, total, width


@inlined
def shift(z, rows, n, block):
    """Subtract from each row of the net inputs the largest of them, which changes no activation."""
    size = width(z)
    for s in range(0, rows * size, size):
        peak = z[s]
        for q in range(0, n, size):
            peak = max(peak, largest(join_columns(load(z, q * block + s, 0, 1), spread(peak), n - q)))
        for q in range(0, n, size):
            store(subtract(load(z, q * block + s, 0, 1), spread(peak)), z, q * block + s, size)


@inlined
def exponentials(outputs, z, rows, n, block):
    """outputs = exp(z), element by element; `z` may be `outputs`."""
    size = width(z)
    for q in range(0, n, size):
        for i in range(q * block, q * block + rows * size):
            outputs[i] = exp(z[i])


@inlined
def normalise(outputs, s, n, block):
    """Divide the row of exponentials at offset `s` by their sum, which is returned."""
    size, sum_ = width(outputs), np.float64(0)
    for q in range(0, n, size):
        sum_ += total(keep_columns(load(outputs, q * block + s, 0, 1), n - q))
    scale = spread(outputs.dtype.type(1 / sum_))
    for q in range(0, n, size):
        store(multiply(load(outputs, q * block + s, 0, 1), scale), outputs, q * block + s, size)
    return sum_


@njit
def softmax(outputs, rows, n, block):
    """Turn the net inputs in `outputs` into softmax activations, exp(z_k - max z) / sum_j exp(z_j - max z)."""
    shift(outputs, rows, n, block)
    exponentials(outputs, outputs, rows, n, block)
    for s in range(0, rows * width(outputs), width(outputs)):
        normalise(outputs, s, n, block)


@njit
def softmax_product(result, r, vectors, v, a, a_offset, rows, n, block):
    """Rows of `result` = those of `vectors` times the softmax Jacobian at activations `a`: a_k (v_k - sum_j a_j v_j).

    All are 1-D arrays of panels, from the given offsets on; no padding is touched. `result` may be `vectors`.
    """
    size = width(a)
    for s in range(0, rows * size, size):
        mean = np.float64(0)
        for q in range(0, n, size):
            for i in range(q * block + s, q * block + s + min(size, n - q)):
                mean += a[a_offset + i] * vectors[v + i]
        mean = a.dtype.type(mean)
        for q in range(0, n, size):
            for i in range(q * block + s, q * block + s + min(size, n - q)):
                result[r + i] = a[a_offset + i] * (vectors[v + i] - mean)
