"""Error signals of a block of rows, from the output layer back: delta[l] = (delta[l+1] W[l+1]^T) * g'(z[l])."""

from .compile import njit
from .forward import DEPTH, accumulate
from .panels import padded
from .tile import ROWS, load, multiply, multiply_add, store, sum_rows, total, width, zero

SQUARES_ROWS = 2  # of the tile that sums squares; divides ROWS of every CPU


@njit
def error_signals(deltas, target, source, weights, weights_offset, depth, rows, block, scratch):
    """One panel of delta = (delta' W^T) * g'(z), in place of the slopes g'(z).

    Parameters
    ----------
    deltas : 1-D array; slopes in the panel at `target`, error signals of the next layer from `source` on
    weights : 1-D array; one panel of the transposed weights, `depth` rows
    scratch : 1-D array with room for a panel; unfinished sums
    """
    size = width(deltas)
    for k in range(0, depth, DEPTH):
        left, right, terms = source + k * block, weights_offset + k * size, min(DEPTH, depth - k)
        for s in range(0, rows * size, ROWS * size):
            acc = zero(deltas, ROWS)
            if k > 0:
                acc = load(scratch, s, size, ROWS)
            acc = accumulate(acc, deltas, left + s, weights, right, terms, block)
            if k + terms < depth:
                store(acc, scratch, s, size)
            else:
                store(multiply(acc, load(deltas, target + s, size, ROWS)), deltas, target + s, size)


@njit
def backward(network, deltas, rows, block, scratch):
    """Replace the slopes of every hidden layer in `deltas` by its error signal; the output layer's is there already."""
    size = width(deltas)
    for l in range(len(network.layers) - 1, 0, -1):
        layer = network.layers[l]
        for q in range((layer.n_in + size - 1) // size):
            target, source = (network.layers[l - 1].deltas + q) * size * block, layer.deltas * size * block
            panel = layer.transposed + q * layer.n_out * size
            error_signals(deltas, target, source, network.transposed, panel, layer.n_out, rows, block, scratch)


@njit
def sum_squares(squares, network, deltas, rows, block):
    """squares[l] = the sum of the squared error signals of layer l + 1 in a block."""
    size = width(deltas)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        squares[l] = 0
        for p in range((layer.n_out + size - 1) // size):
            acc = zero(deltas, SQUARES_ROWS)
            start = (layer.deltas + p) * size * block
            for s in range(start, start + padded(rows, ROWS) * size, SQUARES_ROWS * size):
                signals = load(deltas, s, size, SQUARES_ROWS)
                acc = multiply_add(signals, signals, acc)
            squares[l] += total(sum_rows(acc))
