"""Error signals of a block of rows, from the output layer back: delta[l] = (delta[l+1] W[l+1]^T) * g'(z[l])."""

from .compile import njit
from .forward import accumulate
from .panels import padded
from .tile import ROWS, load, multiply, multiply_add, store, sum_rows, total, width, zero

SQUARES_ROWS = 2  # of the tile that sums squares; divides ROWS of every CPU


@njit
def backward(network, deltas, rows, block):
    """Replace the slopes of every hidden layer in `deltas` by its error signal; the output layer's is there already."""
    size = width(deltas)
    for l in range(len(network.layers) - 1, 0, -1):
        layer = network.layers[l]
        for q in range((layer.n_in + size - 1) // size):
            target = (network.layers[l - 1].deltas + q) * size * block
            weights = layer.transposed + q * layer.n_out * size
            for s in range(0, rows * size, ROWS * size):
                acc = zero(deltas, ROWS)
                signals = layer.deltas * size * block + s
                acc = accumulate(acc, deltas, signals, network.transposed, weights, layer.n_out, block)
                store(multiply(acc, load(deltas, target + s, size, ROWS)), deltas, target + s, size)


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
