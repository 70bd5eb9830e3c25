"""Softmax activations of a block, and products with their Jacobian, da_k/dz_j = a_k ((k = j) - a_j).

Matrices are 1-D arrays of panels with room for `block_rows` rows (see `layout.panels`). Of these `rows` rows and `n`
columns are in use; numbers in the padding have no effect. Rows are read and written as tiles of one row, a panel wide:
beyond the first n - q columns, keep_columns(tile, n - q) has zeros, and join_columns(left, right, n - q) those of
`right`. Where n - q is not smaller than the width of the panel, they change nothing.
"""

import numpy as np

from ..functions.vectormath import exp
from ..jit import inlined, njit
from ..layout.panels import row_of
from ..tile.operations import (
    join_columns,
    keep_columns,
    largest,
    load,
    multiply,
    panel_width,
    spread,
    store,
    subtract,
    total,
)


@inlined
def subtract_largest(z, rows, n, block_rows):
    """Subtract from each row of the net inputs its largest element, which does not change the activations."""
    width = panel_width(z)
    for r in range(rows):
        peak = z[row_of(z, 0, r, block_rows)]
        for q in range(0, n, width):
            row = load(z, row_of(z, q, r, block_rows), 0, 1)
            peak = max(peak, largest(join_columns(row, spread(peak), n - q)))
        for q in range(0, n, width):
            i = row_of(z, q, r, block_rows)
            store(subtract(load(z, i, 0, 1), spread(peak)), z, i, width)


@inlined
def exponentials(outputs, z, rows, n, block_rows):
    """outputs = exp(z), element by element; `z` may be `outputs`."""
    width = panel_width(z)
    for q in range(0, n, width):
        start = row_of(z, q, 0, block_rows)
        for i in range(start, start + rows * width):  # plainly whole vectors: 10 % faster than up to row_of(z, q, rows)
            outputs[i] = exp(z[i])


@inlined
def normalize(outputs, r, n, block_rows):
    """Divide row `r` of the exponentials in `outputs` by its sum; return the sum as float64."""
    width, sum_ = panel_width(outputs), np.float64(0)
    for q in range(0, n, width):
        sum_ += total(keep_columns(load(outputs, row_of(outputs, q, r, block_rows), 0, 1), n - q))
    scale = spread(outputs.dtype.type(1 / sum_))
    for q in range(0, n, width):
        i = row_of(outputs, q, r, block_rows)
        store(multiply(load(outputs, i, 0, 1), scale), outputs, i, width)
    return sum_


@njit
def softmax(outputs, rows, n, block_rows):
    """Replace the net inputs in `outputs` by softmax activations, exp(z_k - max z) / sum_j exp(z_j - max z)."""
    subtract_largest(outputs, rows, n, block_rows)
    exponentials(outputs, outputs, rows, n, block_rows)
    for r in range(rows):
        normalize(outputs, r, n, block_rows)


@njit
def softmax_product(result, result_offset, vectors, vectors_offset, a, a_offset, rows, n, block_rows):
    """Multiply each row v of a matrix by the softmax Jacobian at activations a: a_k (v_k - sum_j a_j v_j).

    Parameters
    ----------
    result : 1-D array of panels, written from `result_offset` on, but not in the padding; may be `vectors`
    result_offset : int
    vectors : 1-D array of panels; the rows v, from `vectors_offset` on
    vectors_offset : int
    a : 1-D array of panels; the activations, from `a_offset` on
    a_offset : int
    rows, n : int; number of rows and columns
    block_rows : int; rows that each panel has room for
    """
    width = panel_width(a)
    for s in range(rows):
        weighted_sum = np.float64(0)
        for q in range(0, n, width):
            row = row_of(a, q, s, block_rows)
            for i in range(row, row + min(width, n - q)):
                weighted_sum += a[a_offset + i] * vectors[vectors_offset + i]
        weighted_sum = a.dtype.type(weighted_sum)
        for q in range(0, n, width):
            row = row_of(a, q, s, block_rows)
            for i in range(row, row + min(width, n - q)):
                result[result_offset + i] = a[a_offset + i] * (vectors[vectors_offset + i] - weighted_sum)
