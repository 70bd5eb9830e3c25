"""Pieces of the weights: rectangles of a layer's weight matrix, whose gradient and update are the task of one thread.

A layer's biases and weights are one augmented matrix, in panels of `panel_width` columns (see `network` and `panels`):
in each panel, the row of biases comes just before weight row 0.
"""

from typing import NamedTuple

import numpy as np

from ..jit import inlined
from ..tile.operations import panel_width
from .network import biases_of, weights_of
from .panels import panel_at, row_at

# A piece of the weights of layer `layer`, counted from 0: rows `first` to `last` and columns `left` to `right`, ends
# excluded; and if first is 0, the biases of these columns too. `first` and `left` are multiples of the panel width, and
# so are `last` and `right` unless they are the end of the matrix.
PIECE = np.dtype([(name, np.int64) for name in ("layer", "first", "last", "left", "right")], align=True)


class Piece(NamedTuple):
    """Piece of the weights with the fields of a PIECE record, which compiled code can make."""

    layer: int
    first: int
    last: int
    left: int
    right: int


@inlined
def whole_layer(network, l):
    """Piece that is all of the weights and biases of layer `l`, counted from 0."""
    layer = network.layers[l]
    return Piece(l, 0, layer.n_in, 0, layer.n_out)


@inlined
def panel_range(network, piece, column):
    """Offsets of one panel of a piece in the packed weights.

    Parameters
    ----------
    network : Network
    piece : Piece, or a record of PIECE
    column : int; the panel's first column

    Returns
    -------
    biases, start, stop : int
        Offset of the row of biases; start and end of the weights. With biases in the piece, that is, if piece.first is
        0, `biases` is one row before `start`; without, it is `start`.
    """
    layer, p = network.layers[piece.layer], column // panel_width(network.weights)
    weights = panel_at(weights_of(layer, network.weights), p)
    start, stop = row_at(weights, piece.first), row_at(weights, piece.last)
    biases = panel_at(biases_of(layer, network.weights), p).start if piece.first == 0 else start
    return biases, start, stop
