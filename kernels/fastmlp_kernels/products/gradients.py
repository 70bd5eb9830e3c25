"""Gradients of a piece of a layer's weights: dE/dW = a^T delta, and dE/db = the sum of delta over samples."""

from ..jit import inlined
from ..layout.panels import padded
from ..tile.operations import GRADIENT_ROWS, ROWS, add, load, load_rows, rank1, store, store_rows, sum_rows, width, zero

SUM_ROWS = 2  # of the tile that sums biases; divides ROWS of every CPU


@inlined
def bias_gradient(gradient, offset, deltas, d, rows, fresh):
    """gradient[offset : ... + width] = (or +=, unless `fresh`) the sum over rows of the panel of deltas at `d`."""
    size = width(deltas)
    acc = zero(deltas, SUM_ROWS)
    for s in range(d, d + padded(rows, ROWS) * size, SUM_ROWS * size):
        acc = add(acc, load(deltas, s, size, SUM_ROWS))
    sums = sum_rows(acc)
    if not fresh:
        sums = add(sums, load(gradient, offset, size, 1))
    store(sums, gradient, offset, size)


@inlined
def weight_gradient(gradient, offset, activations, a, deltas, d, first, last, rows, block, fresh):
    """Weight rows first..last of one panel of the gradient, from `rows` samples.

    Parameters
    ----------
    gradient : 1-D array; weight row i of the panel is at offset + i * width
    activations, deltas : 1-D arrays in panels of `block` rows; the layer's inputs from `a` on, the deltas' panel at `d`
    first, last : int; `first` a multiple of the panel width
    fresh : bool; whether to start from zero rather than to add
    """
    size = width(deltas)
    for i in range(first, last, GRADIENT_ROWS):
        count = min(GRADIENT_ROWS, last - i)
        acc = zero(gradient, GRADIENT_ROWS)
        inputs = a + i // size * size * block + i % size
        for s in range(0, padded(rows, ROWS) * size, ROWS * size):
            for r in range(0, ROWS * size, size):
                acc = rank1(acc, activations, inputs + s + r, 1, deltas, d + s + r)
        if not fresh:
            acc = add(acc, load_rows(gradient, offset + i * size, size, GRADIENT_ROWS, count))
        if count == GRADIENT_ROWS:
            store(acc, gradient, offset + i * size, size)
        else:
            store_rows(acc, gradient, offset + i * size, size, count)


@inlined
def piece_gradient(gradient, network, piece, activations, deltas, rows, block, fresh):
    """A piece (see `pieces.PIECE`) of a block's gradient, over `rows` samples: written if `fresh`, else added."""
    layer, size = network.layers[piece.layer], width(deltas)
    inputs = layer.inputs * size * block
    for column in range(piece.left, piece.right, size):
        offset = layer.weights + column // size * (layer.n_in + 1) * size
        signals = layer.deltas * size * block + column * block
        if piece.first == 0:
            bias_gradient(gradient, offset, deltas, signals, rows, fresh)
        first, last = piece.first, piece.last
        weight_gradient(gradient, offset + size, activations, inputs, deltas, signals, first, last, rows, block, fresh)
