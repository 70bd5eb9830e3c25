"""Error signals of a block of rows, from the output layer back: delta[l] = (delta[l+1] W[l+1]^T) * g'(z[l]).

The forward pass leaves the slopes g'(z[l]) in the place of delta[l], where they are replaced by the error signals.
"""

import math

import numpy as np

from ..jit import by_class, inlined, njit
from ..layout.network import MixedNetwork, deltas_of, output_layer, transposed_of, transposed_operand_of
from ..layout.panels import Matrix, padded, panel_at, panels_of, row_at
from ..tile.operations import ROWS, SUM_ROWS, load, multiply_add, panel_width, sum_rows, total, zero
from . import mixed
from .operands import operands_of, store_signals
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
    """Replace slopes by error signals, and store these as operands; see `_layer_signals`."""
    layer = network.layers[l]
    a, before = deltas_of(layer, operands.deltas, panel_rows), network.layers[l - 1]
    transposed, sums = transposed_operand_of(layer, operands.transposed), Matrix(partial_sums, 0, panel_rows)
    for p in range(panels_of(layer.n_in, deltas)):
        delta = panel_at(deltas_of(before, deltas, panel_rows), p)
        mixed.error_signal_panel(delta, a, panel_at(transposed, p), layer.n_out, rows, sums)
        store_signals(operands, before.deltas, layer.n_in, p, delta, rows, panel_rows)


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
        store_signals(operands, layer.deltas, layer.n_out, p, delta, rows, panel_rows)


store_output_signals = by_class(MixedNetwork, _store_output_signals, _no_forms)


@inlined
def backward(network, deltas, rows, panel_rows, partial_sums, forms=None):
    """Replace the slopes of all hidden layers by their error signals.

    Parameters
    ----------
    network : Network or MixedNetwork; with the transposed weights of all layers but the first
    deltas : 1-D array; panels of layers 1 to L: slopes, replaced, and the output layer's error signals, read
    rows, panel_rows : int; rows in the block, and rows that each panel has room for
    partial_sums : 1-D array; scratch for the panels of the widest hidden layer, used if the layer after it has more
        than DEPTH units (the slopes are still needed, so that unfinished sums cannot take their place); for a
        MixedNetwork, scratch for one panel
    forms : 1-D uint16 array, or None; memory for the operands of a MixedNetwork
    """
    operands = operands_of(network, deltas, deltas, forms)  # no activations are read
    store_output_signals(network, operands, deltas, rows, panel_rows)
    for l in range(len(network.layers) - 1, 0, -1):
        layer_signals(network, operands, l, deltas, rows, panel_rows, partial_sums)


@njit
def squares_in_float64(layer, deltas, rows, block_rows):
    """Sum of a layer's squared error signals in float64, where squares of float32 numbers do not overflow."""
    squares = 0.0
    for p in range(panels_of(layer.n_out, deltas)):
        panel = panel_at(deltas_of(layer, deltas, block_rows), p)
        for i in range(panel.start, row_at(panel, padded(rows, ROWS))):
            signal = np.float64(deltas[i])
            squares += signal * signal
    return squares


@inlined
def sum_squares(squares, network, deltas, rows, block_rows):
    """Sum the squared error signals of each layer over the samples and units of a block.

    Training reports these sums (see `drivers.step.Progress`): they show which layers' signals vanish or grow, and one
    that is not finite ends the training.

    Parameters
    ----------
    squares : (L,) float64 array, written; squares[l] belongs to layer l + 1
    network : Network
    deltas : 1-D array; panels of the error signals of layers 1 to L, zero in their padding
    rows, block_rows : int; rows in the block, and rows that each panel has room for
    """
    width = panel_width(deltas)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        squares[l] = 0
        for p in range(panels_of(layer.n_out, deltas)):
            acc, panel = zero(deltas, SUM_ROWS), panel_at(deltas_of(layer, deltas, block_rows), p)
            for r in range(0, padded(rows, ROWS), SUM_ROWS):
                signals = load(deltas, row_at(panel, r), width, SUM_ROWS)
                acc = multiply_add(signals, signals, acc)
            squares[l] += total(sum_rows(acc))
        if not math.isfinite(squares[l]):
            squares[l] = squares_in_float64(layer, deltas, rows, block_rows)
