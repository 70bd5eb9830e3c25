"""Loops of the losses that are sums over outputs (see `losses`, which has their formulas and describes arguments).

Rows are read and written as tiles of one row, a panel wide: load(array, i, 0, 1) is array[i : i + width]. On return
`deltas` must have zeros in the padding: in the panel whose first column is q, keep_columns(tile, n - q) clears the
columns from n - q on; `clear_rows` clears the rows.
"""

import numpy as np

from ..jit import njit, specialize
from ..layout.panels import clear_rows, row_of
from ..tile.operations import (
    ROWS,
    add,
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

NARROW = 6  # number of columns in use from which whole panels are faster than one column after the other


def each_output(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """Template of a loss that applies a scalar `function`, a global that `jit.specialize` binds, to each output.

    function(a, slope, y, parameter) gets an output, its slope g'(z) (or the net input z, if the loss applies the
    activation itself), its target and the loss's parameter; it returns the output, the error E and the error signal
    delta, without the sample's weight. Outputs are always written, with the number that came if it does not change.

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see `losses`).
    """
    width, error_sum = panel_width(deltas), np.float64(0)
    # Results go to buffers on the stack first, of ROWS * width numbers each. If they went to the arrays, the compiler
    # would have to assume that each store may change what is loaded next, and not make vector code of the loop. It also
    # needs a long loop, over the elements of ROWS rows: one over a single row would be unrolled instead, and take twice
    # the time.
    values, errors, signals = tile_memory(deltas), tile_memory(deltas), tile_memory(deltas)
    for q in range(0, n, width):
        if n - q < NARROW and n - q <= width:
            for c in range(n - q):
                for first in range(0, rows, len(values)):
                    start, count = row_of(deltas, q, first, block_rows) + c, min(len(values), rows - first)
                    for i in range(count):
                        j = start + i * width
                        values[i], errors[i], signals[i] = function(outputs[j], deltas[j], targets[j], parameter)  # noqa: F821
                    for i in range(count):
                        j, weight = start + i * width, sample_weights[first + i]
                        error_sum += weight * errors[i]
                        outputs[j], deltas[j] = values[i], weight * signals[i]
            for r in range(rows):
                i = row_of(deltas, q, r, block_rows)
                store(keep_columns(load(deltas, i, 0, 1), n - q), deltas, i, width)
            break
        sums = zero(deltas, 1)
        for first in range(0, rows, ROWS):
            start, count = row_of(deltas, q, first, block_rows), min(ROWS, rows - first)
            for i in range(count * width):
                a, slope, y = outputs[start + i], deltas[start + i], targets[start + i]
                values[i], errors[i], signals[i] = function(a, slope, y, parameter)  # noqa: F821
            for r in range(count):
                i, weight = r * width, spread(sample_weights[first + r])
                sums = add(sums, keep_columns(multiply(weight, load(errors, i, 0, 1)), n - q))
                signal = multiply(weight, load(signals, i, 0, 1))
                store(keep_columns(signal, n - q), deltas, start + i, width)
                store(load(values, i, 0, 1), outputs, start + i, width)
        error_sum += total(sums)
    clear_rows(deltas, rows, n, block_rows)
    return error_sum


@njit
def squared_error(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """E = 1/2 sum_k (a_k - y_k)^2 and delta = (a - y) g'(z).

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see `losses`).
    """
    width, square_sum = panel_width(deltas), np.float64(0)
    for q in range(0, n, width):
        squares = zero(deltas, 1)
        for r in range(rows):
            i, weight = row_of(deltas, q, r, block_rows), spread(sample_weights[r])
            error = keep_columns(subtract(load(outputs, i, 0, 1), load(targets, i, 0, 1)), n - q)
            signal = multiply(weight, multiply(load(deltas, i, 0, 1), error))
            # Again, as 0 times a slope in the padding that is not finite is NaN.
            store(keep_columns(signal, n - q), deltas, i, width)
            squares = multiply_add(multiply(weight, error), error, squares)
        square_sum += total(squares)
    clear_rows(deltas, rows, n, block_rows)
    return square_sum / 2


def output_by_output(function):
    """Loss with a scalar function (see `losses`), compiled into its own copy of the loop `each_output`."""
    return njit(specialize(each_output, function.__name__, function=function))
