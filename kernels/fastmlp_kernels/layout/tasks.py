"""Pieces of the weights, each with one owner: where they lie in packed weights, and their update."""

import numpy as np

from ..functions.updates import update
from ..jit import inlined
from ..tile.operations import width
from .network import transpose

# A piece of a layer's weights: rows first..last, a multiple of the panel width, of columns left..right, whole panels;
# and, where first is 0, the biases of these columns too.
PIECE = np.dtype([(name, np.int64) for name in ("layer", "first", "last", "left", "right")], align=True)


@inlined
def panel_start(network, piece, column):
    """Offset in packed weights of the panel that starts at `column` of a piece's layer: of its biases."""
    layer, size = network.layers[piece.layer], width(network.weights)
    return layer.weights + column // size * (layer.n_in + 1) * size


@inlined
def panel_range(network, piece, column):
    """(biases, start, stop): offsets in packed weights of a panel's biases (start, if not in the piece) and weights."""
    panel, size = panel_start(network, piece, column), width(network.weights)
    start = panel + (piece.first + 1) * size
    return (panel if piece.first == 0 else start), start, panel + (piece.last + 1) * size


@inlined
def update_panel(network, state, optimizer, piece, column, gradient, shift, scale, l2):
    """Update one panel of a piece of the weights, its biases, and the transposed copy.

    The gradient of the weight at an offset i is gradient[i - shift].
    """
    weights, layer, size = network.weights, network.layers[piece.layer], width(network.weights)
    begin, start, stop = panel_range(network, piece, column)
    if layer.bias and optimizer.update_biases:
        end = min(start, begin + size)
        update(weights, state, gradient[begin - shift : end - shift], begin, end, optimizer, scale, l2, False)
    update(weights, state, gradient[start - shift : stop - shift], start, stop, optimizer, scale, l2, True)
    if layer.transposed >= 0:
        transpose(network, piece.layer, column, piece.first, piece.last)
