"""Error signals of a block of rows, from the output layer back: delta[l] = (delta[l+1] W[l+1]^T) * g'(z[l]).

The forward pass leaves the slopes g'(z[l]) in the place of delta[l], where they are replaced by the error signals;
those of a MixedNetwork are stored as operands only.
"""

import math

import numpy as np

from ..jit import by_class, inlined, njit
from ..layout.network import MixedNetwork, deltas_of, output_layer, transposed_of, transposed_operand_of
from ..layout.panels import Matrix, padded, panel_at, panels_of, row_at
from ..tile.bfloat16 import SQUARE, widened
from ..tile.operations import ROWS, SUM_ROWS, load, multiply, multiply_add, panel_width, store, sum_rows, total, zero
from .mixed import begin_product, give_tiles, group_of, last_terms, product_rows, take_tiles
from .operands import has_float_gradient, operands_of, store_signals
from .product import DEPTH, error_signal_panel


def _layer_signals(network, operands, l, deltas, rows, panel_rows, partial_sums):
    """Replace the slopes of the layer before layer `l`, counted from 0, by its error signals.

    Parameters
    ----------
    network : Network or MixedNetwork
    operands : Operands or MixedOperands
    l : int; at least 1
    deltas, rows, panel_rows, partial_sums : see `backward`
    """
    layer = network.layers[l]
    next_signals = deltas_of(layer, operands.deltas, panel_rows)
    signals = deltas_of(network.layers[l - 1], deltas, panel_rows)
    for k in range(0, layer.n_out, DEPTH):
        stop = min(k + DEPTH, layer.n_out)
        for p in range(panels_of(layer.n_in, deltas)):
            w = panel_at(transposed_of(layer, operands.transposed), p)
            unfinished = panel_at(Matrix(partial_sums, start=0, panel_rows=panel_rows), p)
            delta = panel_at(signals, p)
            # The last argument is in the place of biases, which error signals do not have: it is not read.
            error_signal_panel(delta, next_signals, w, k, stop, layer.n_out, rows, unfinished, delta)


def _mixed_layer_signals(network, operands, l, deltas, rows, panel_rows, partial_sums):
    """Compute error signals from slopes, and store them as operands; see `_layer_signals`.

    They replace the slopes only where the gradient of the layer's weights is that of float32 numbers.
    """
    layer, before = network.layers[l], network.layers[l - 1]
    a, group = deltas_of(layer, operands.deltas, panel_rows), group_of(layer.n_out)
    transposed = transposed_operand_of(layer, operands.transposed)
    last = last_terms(layer.n_out)
    for p in range(panels_of(layer.n_in, deltas)):
        w, delta = panel_at(transposed, p), panel_at(deltas_of(before, deltas, panel_rows), p)
        sums = panel_at(Matrix(partial_sums, 0, panel_rows), p % group)
        if p % group == 0:
            begin_product(sums, a, w, layer.n_out, rows, min(group, panels_of(layer.n_in, deltas) - p))
        for s in range(0, rows, SQUARE):
            count = min(SQUARE, rows - s)
            product_rows(sums, a, w, last, layer.n_out, s, s + count)
            for r in range(s, s + count):
                signals = multiply(load(partial_sums, row_at(sums, r), 0, 1), load(deltas, row_at(delta, r), 0, 1))
                store(signals, partial_sums, row_at(sums, r), SQUARE)
            store_signals(operands, before.deltas, layer.n_in, p, sums, s, count, panel_rows)
        if has_float_gradient(before):
            for r in range(padded(rows, ROWS)):  # sums over samples include the padding rows
                signals = load(partial_sums, row_at(sums, r), 0, 1) if r < rows else zero(deltas, 1)
                store(signals, deltas, row_at(delta, r), SQUARE)


layer_signals = by_class(MixedNetwork, _mixed_layer_signals, _layer_signals)


def _no_forms(network, operands, deltas, rows, panel_rows):
    """Store the output layer's error signals as operands of a MixedNetwork; else do nothing, as they are operands.

    Parameters
    ----------
    network, operands : see `_layer_signals`
    deltas, rows, panel_rows : see `backward`
    """


def _store_output_signals(network, operands, deltas, rows, panel_rows):
    """Store the output layer's error signals as operands; see `_no_forms`."""
    layer = output_layer(network)
    for p in range(panels_of(layer.n_out, deltas)):
        delta = panel_at(deltas_of(layer, deltas, panel_rows), p)
        for s in range(0, rows, SQUARE):
            store_signals(operands, layer.deltas, layer.n_out, p, delta, s, min(SQUARE, rows - s), panel_rows)


store_output_signals = by_class(MixedNetwork, _store_output_signals, _no_forms)


@inlined
def backward(network, deltas, rows, panel_rows, partial_sums, forms=None):
    """Compute the error signals of all hidden layers, which replace the slopes but for those of a MixedNetwork.

    Parameters
    ----------
    network : Network or MixedNetwork; with the transposed weights of all layers but the first
    deltas : 1-D array; panels of layers 1 to L: slopes, and the output layer's error signals
    rows, panel_rows : int; rows in the block, and rows that each panel has room for
    partial_sums : 1-D array; scratch for the panels of the widest hidden layer, used if the layer after it has more
        than DEPTH units (the slopes are still needed, so that unfinished sums cannot take their place); for a
        MixedNetwork, scratch for a group of panels (see `mixed.group_of`)
    forms : operands.Forms of a MixedNetwork, to which its error signals are written
    """
    operands = operands_of(network, deltas, deltas, forms)  # no activations are read
    take_tiles(network)
    store_output_signals(network, operands, deltas, rows, panel_rows)
    for l in range(len(network.layers) - 1, 0, -1):
        layer_signals(network, operands, l, deltas, rows, panel_rows, partial_sums)
    give_tiles(network)


@njit
def squares_in_float64(layer, deltas, rows, panel_rows):
    """Sum of a layer's squared error signals in float64, where squares of float32 numbers do not overflow."""
    squares = 0.0
    for p in range(panels_of(layer.n_out, deltas)):
        panel = panel_at(deltas_of(layer, deltas, panel_rows), p)
        for i in range(panel.start, row_at(panel, padded(rows, ROWS))):
            signal = np.float64(deltas[i])
            squares += signal * signal
    return squares


def _squares(network, layer, deltas, rows, panel_rows, forms):
    """Sum of a layer's squared error signals over the samples and units of a block.

    Parameters
    ----------
    network : Network or MixedNetwork
    layer : a record of `layout.network.LAYER`
    deltas, rows, panel_rows, forms : see `sum_squares`
    """
    width, squares = panel_width(deltas), 0.0
    for p in range(panels_of(layer.n_out, deltas)):
        acc, panel = zero(deltas, SUM_ROWS), panel_at(deltas_of(layer, deltas, panel_rows), p)
        for r in range(0, padded(rows, ROWS), SUM_ROWS):
            signals = load(deltas, row_at(panel, r), width, SUM_ROWS)
            acc = multiply_add(signals, signals, acc)
        squares += total(sum_rows(acc))
    return squares if math.isfinite(squares) else squares_in_float64(layer, deltas, rows, panel_rows)


def _mixed_squares(network, layer, deltas, rows, panel_rows, forms):
    """See `_squares`; sums over samples are in `forms`, and so are the error signals, rounded, if these overflow."""
    squares, half = 0.0, forms.sums.size // 2
    for p in range(panels_of(layer.n_out, deltas)):
        squares += total(load(forms.sums, half + (layer.deltas + p) * SQUARE, 0, 1))
    if math.isfinite(squares):
        return squares
    signals = deltas_of(layer, operands_of(network, deltas, deltas, forms).deltas, panel_rows)
    return squares_of_bfloat16(signals, panels_of(layer.n_out, deltas), rows)


@njit
def squares_of_bfloat16(signals, panels, rows):
    """Sum in float64 of the squares of the first rows of a Matrix of uint16 that has so many panels."""
    squares = 0.0
    for p in range(panels):
        panel = panel_at(signals, p)
        for i in range(panel.start, row_at(panel, rows)):
            signal = np.float64(widened(panel.numbers[i]))
            squares += signal * signal
    return squares


squares_of = by_class(MixedNetwork, _mixed_squares, _squares)


@inlined
def sum_squares(squares, network, deltas, rows, panel_rows, forms=None):
    """Sum the squared error signals of each layer over the samples and units of a block.

    Training reports these sums (see `drivers.step.Progress`): they show which layers' signals vanish or grow, and one
    that is not finite ends the training.

    Parameters
    ----------
    squares : (L,) float64 array, written; squares[l] belongs to layer l + 1
    network : Network or MixedNetwork
    deltas : 1-D array; panels of the error signals of layers 1 to L, zero in their padding
    rows, panel_rows : int; rows in the block, and rows that each panel has room for
    forms : operands.Forms of a MixedNetwork, as `backward` left it
    """
    for l in range(len(network.layers)):
        squares[l] = squares_of(network, network.layers[l], deltas, rows, panel_rows, forms)
