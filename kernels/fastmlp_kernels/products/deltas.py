"""Error signals of a block of rows, from the output layer back: delta[l] = (delta[l+1] W[l+1]^T) * g'(z[l])."""

from ..jit import inlined
from ..layout.panels import padded
from ..tile.operations import ROWS, add, load, multiply, multiply_add, store, sum_rows, total, width, zero
from .forward import DEPTH, accumulate

SQUARES_ROWS = 2  # of the tile that sums squares; divides ROWS of every CPU


@inlined
def error_signals(deltas, target, source, weights, weights_offset, start, stop, depth, rows, block, scratch, sums):
    """Terms start..stop, of `depth`, of one panel of delta = (delta' W^T) * g'(z); with the last, delta replaces g'(z).

    Parameters
    ----------
    deltas : 1-D array; slopes in the panel at `target`, error signals of the next layer from `source` on
    weights : 1-D array; one panel of the transposed weights, `depth` rows
    scratch : 1-D array; unfinished sums in the panel at `sums`
    """
    size = width(deltas)
    left, right = source + start * block, weights_offset + start * size
    for s in range(0, rows * size, ROWS * size):
        acc = accumulate(zero(deltas, ROWS), deltas, left + s, weights, right, stop - start, block)
        if start > 0:
            acc = add(acc, load(scratch, sums + s, size, ROWS))
        if stop < depth:
            store(acc, scratch, sums + s, size)
        else:
            store(multiply(acc, load(deltas, target + s, size, ROWS)), deltas, target + s, size)


@inlined
def backward(network, deltas, rows, block, scratch):
    """Replace the slopes of every hidden layer in `deltas` by its error signal; the output layer's is there already.

    `scratch` has room for the panels of the widest hidden layer.
    """
    size = width(deltas)
    for l in range(len(network.layers) - 1, 0, -1):
        layer = network.layers[l]
        source, targets = layer.deltas * size * block, network.layers[l - 1].deltas * size * block
        for k in range(0, layer.n_out, DEPTH):
            stop = min(k + DEPTH, layer.n_out)
            for q in range((layer.n_in + size - 1) // size):
                sums, panel = q * size * block, layer.transposed + q * layer.n_out * size
                weights = network.transposed
                error_signals(
                    deltas, targets + sums, source, weights, panel, k, stop, layer.n_out, rows, block, scratch, sums
                )


@inlined
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
