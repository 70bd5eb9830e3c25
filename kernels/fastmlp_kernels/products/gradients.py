"""Gradients of a piece of a layer's weights over a block of samples: dE/dW = a^T delta, dE/db = sums of delta.

A piece is a rectangle of the weights, with the biases if it begins at row 0 (see `layout.tasks`).

Both sums run over the samples of the block, padding rows included, in which error signals are zero.

The tile of a gradient has GRADIENT_ROWS rows, inputs of the layer, which are columns of the left operand's panels:
since GRADIENT_ROWS divides the panel width, all are in one panel, next to one another.
"""

from ..jit import by_class, inlined
from ..layout.network import MixedNetwork, biases_of, deltas_of, inputs_of, weights_of
from ..layout.panels import element, padded, panel_at, row_at
from ..tile.operations import (
    GRADIENT_ROWS,
    ROWS,
    SUM_ROWS,
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
from . import mixed
from .operands import has_float_inputs, operands_of, units_of


@inlined
def bias_gradient(gradient, offset, delta, rows, fresh):
    """Compute the gradient of the biases of one panel, the sum of its error signals over samples.

    Parameters
    ----------
    gradient : 1-D array; panel_width elements from `offset` on are written or added to
    offset : int
    delta : Matrix of one panel, (rows, panel_width); error signals
    rows : int; samples
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
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
    """Compute rows first..last of one panel of the gradient a^T delta of the weights.

    Each `rank1` adds the term of one sample to every sum of a tile: this is for float32 and float64 operands.

    Parameters
    ----------
    gradient : Matrix of one panel, (n_in, panel_width); rows first..last are written or added to
    a : Matrix, (rows, n_in); the layer's inputs
    delta : Matrix of one panel, (rows, panel_width); error signals
    first, last : int; range of inputs of the layer, `first` a multiple of the panel width
    rows : int; samples
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    numbers, width = gradient.numbers, panel_width(delta.numbers)
    for i in range(first, last, GRADIENT_ROWS):
        count, target = min(GRADIENT_ROWS, last - i), row_at(gradient, i)
        acc = zero(numbers, GRADIENT_ROWS)
        inputs = element(a, 0, i)
        for s in range(0, padded(rows, ROWS) * width, ROWS * width):
            for r in range(s, s + ROWS * width, width):  # of a constant length, so that the compiler unrolls it
                acc = rank1(acc, a.numbers, inputs + r, 1, delta.numbers, delta.start + r)
        if not fresh:
            acc = add(acc, load_rows(numbers, target, width, GRADIENT_ROWS, count))
        if count == GRADIENT_ROWS:
            store(acc, numbers, target, width)
        else:
            store_rows(acc, numbers, target, width, count)


def _panel_gradient(network, operands, layer, p, gradient, piece, rows, panel_rows, fresh):
    """Compute one panel of the gradient of a piece of the weights, without biases.

    Parameters
    ----------
    network : Network or MixedNetwork
    operands : Operands or MixedOperands
    layer : a record of `layout.network.LAYER`
    p : int; number of the panel in the layer's weights
    gradient, piece, rows, panel_rows, fresh : see `piece_gradient`
    """
    a, delta = inputs_of(layer, operands.activations, panel_rows), deltas_of(layer, operands.deltas, panel_rows)
    w = panel_at(weights_of(layer, gradient), p)
    weight_gradient(w, a, panel_at(delta, p), piece.first, piece.last, rows, fresh)


def _mixed_panel_gradient(network, operands, layer, p, gradient, piece, rows, panel_rows, fresh):
    """Compute one panel of the gradient from the operands of a MixedNetwork; see `_panel_gradient`."""
    w = panel_at(weights_of(layer, gradient), p)
    if has_float_inputs(layer):
        a, delta = inputs_of(layer, operands.inputs, panel_rows), deltas_of(layer, operands.signals, panel_rows)
        weight_gradient(w, a, panel_at(delta, p), piece.first, piece.last, rows, fresh)
    else:
        units = units_of(operands, layer.inputs, layer.n_in, panel_rows)
        pairs = deltas_of(layer, operands.pairs, panel_rows)
        mixed.weight_gradient(w, units, panel_at(pairs, p), piece.first, piece.last, rows, fresh)


panel_gradient = by_class(MixedNetwork, _mixed_panel_gradient, _panel_gradient)


@inlined
def piece_gradient(gradient, network, piece, activations, deltas, rows, panel_rows, fresh, forms=None):
    """Compute the gradient of a piece of the weights, and of its biases if it has any, over a block of samples.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights; the elements of the piece are written or added to
    network : Network or MixedNetwork
    piece : Piece, or a record of `layout.tasks.PIECE`
    activations, deltas : 1-D arrays; activations and error signals of the block
    rows, panel_rows : int; samples in the block, and rows that each panel has room for
    fresh : bool; whether to overwrite the gradient rather than add to it
    forms : 1-D uint16 array, or None; memory with the operands of a MixedNetwork
    """
    layer, operands = network.layers[piece.layer], operands_of(network, activations, deltas, forms)
    for column in range(piece.left, piece.right, panel_width(deltas)):
        p = column // panel_width(deltas)
        if piece.first == 0:
            signals = panel_at(deltas_of(layer, deltas, panel_rows), p)
            bias_gradient(gradient, panel_at(biases_of(layer, gradient), p).start, signals, rows, fresh)
        panel_gradient(network, operands, layer, p, gradient, piece, rows, panel_rows, fresh)
