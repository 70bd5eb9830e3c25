"""Gradients of a piece of a layer's weights: dE/dW = a^T delta, and dE/db = the sum of delta over samples."""

from ..jit import inlined
from ..layout.network import biases_of, deltas_of, inputs_of, weights_of
from ..layout.panels import element, padded, panel_at, row_at
from ..tile.operations import (
    GRADIENT_ROWS,
    ROWS,
    add,
    load,
    load_rows,
    panel_width,
    rank1,
    store,
    store_rows,
    sum_rows,
    zero,
)
from .operands import operands_of

SUM_ROWS = 2  # of the tile that sums biases; divides ROWS of every CPU


@inlined
def bias_gradient(gradient, offset, delta, rows, fresh):
    """gradient[offset : ... + panel_width] = (or +=, unless `fresh`) the sum over rows of one panel of delta."""
    width = panel_width(gradient)
    acc = zero(gradient, SUM_ROWS)
    for r in range(0, padded(rows, ROWS), SUM_ROWS):
        acc = add(acc, load(delta.numbers, row_at(delta, r), width, SUM_ROWS))
    sums = sum_rows(acc)
    if not fresh:
        sums = add(sums, load(gradient, offset, width, 1))
    store(sums, gradient, offset, width)


@inlined
def weight_gradient(gradient, a, delta, first, last, rows, fresh):
    """Weight rows first..last of one panel of the gradient a^T delta, from `rows` samples.

    Parameters
    ----------
    gradient : Matrix of one panel, written
    a : Matrix, (rows, n_in)
    delta : Matrix of one panel, (rows, panel_width)
    first, last : int; `first` a multiple of the panel width
    fresh : bool; whether to start from zero rather than to add
    """
    numbers, width = gradient.numbers, panel_width(delta.numbers)
    for i in range(first, last, GRADIENT_ROWS):
        count, target = min(GRADIENT_ROWS, last - i), row_at(gradient, i)
        acc = zero(numbers, GRADIENT_ROWS)
        inputs = element(a, 0, i)
        for s in range(0, padded(rows, ROWS) * width, ROWS * width):
            for r in range(s, s + ROWS * width, width):
                acc = rank1(acc, a.numbers, inputs + r, 1, delta.numbers, delta.start + r)
        if not fresh:
            acc = add(acc, load_rows(numbers, target, width, GRADIENT_ROWS, count))
        if count == GRADIENT_ROWS:
            store(acc, numbers, target, width)
        else:
            store_rows(acc, numbers, target, width, count)


@inlined
def piece_gradient(gradient, network, piece, activations, deltas, rows, block_rows, fresh):
    """A piece of a block's gradient, over `rows` samples: written if `fresh`, else added.

    Parameters
    ----------
    gradient : 1-D array, packed like network.weights
    network : Network
    piece : a record of `layout.tasks.PIECE`
    activations, deltas : 1-D arrays; the block's, in panels with room for `block_rows` rows
    """
    layer, operands = network.layers[piece.layer], operands_of(network, activations, deltas)
    a, delta = inputs_of(layer, operands.activations, block_rows), deltas_of(layer, operands.deltas, block_rows)
    for column in range(piece.left, piece.right, panel_width(deltas)):
        p = column // panel_width(deltas)
        signals = panel_at(delta, p)
        if piece.first == 0:
            bias_gradient(gradient, panel_at(biases_of(layer, gradient), p).start, signals, rows, fresh)
        w = panel_at(weights_of(layer, gradient), p)
        weight_gradient(w, a, signals, piece.first, piece.last, rows, fresh)
