"""Pieces of the weights, each with one owner: which they are, and where they lie in packed weights."""

from typing import NamedTuple

import numpy as np

from ..jit import inlined
from ..tile.operations import panel_width
from .network import biases_of, weights_of
from .panels import panel_at, row_at

# A piece of a layer's weights: rows first..last, a multiple of the panel width, of columns left..right, whole panels;
# and, where first is 0, the biases of these columns too.
PIECE = np.dtype([(name, np.int64) for name in ("layer", "first", "last", "left", "right")], align=True)


class Piece(NamedTuple):
    """A piece of the weights, for compiled code to make (see PIECE)."""

    layer: int
    first: int
    last: int
    left: int
    right: int


@inlined
def whole_layer(network, l):
    """All of a layer's weights as a piece."""
    layer = network.layers[l]
    return Piece(l, 0, layer.n_in, 0, layer.n_out)


@inlined
def panel_range(network, piece, column):
    """(biases, start, stop) of the panel at `column` of a piece: offsets in packed weights of its biases and weights.

    Where the piece has no biases, they are said to be at `start`.
    """
    layer, p = network.layers[piece.layer], column // panel_width(network.weights)
    weights = panel_at(weights_of(layer, network.weights), p)
    start, stop = row_at(weights, piece.first), row_at(weights, piece.last)
    return panel_at(biases_of(layer, network.weights), p).start if piece.first == 0 else start, start, stop
