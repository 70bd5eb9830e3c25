"""Update of one panel of a piece of the weights, and of the transposed copy that the backward product reads.

The rules by which weights are updated, and the words State and Optimizer, are in `functions.updates`.
"""

from ..functions.updates import update
from ..jit import inlined
from ..layout.network import refresh
from ..layout.tasks import panel_range


@inlined
def update_panel(network, state, optimizer, piece, column, gradient, origin, scale, l2):
    """Update one panel of a piece of the weights, its biases if the piece has any, and the transposed copy.

    Parameters
    ----------
    network : Network; weights and transposed weights are updated
    state : State; moments are updated, the number of steps is not
    optimizer : Optimizer
    piece : Piece, or a record of `layout.tasks.PIECE`
    column : int; the panel's first column
    gradient : 1-D array; gradient[i - origin] belongs to the weight at offset i of the packed weights
    origin : int; 0 if `gradient` is packed like the weights
    scale : float; factor of the gradient
    l2 : float; coefficient of the penalty l2 / 2 |W|^2, whose gradient l2 W is added to the scaled gradient
    """
    weights, layer = network.weights, network.layers[piece.layer]
    biases, start, stop = panel_range(network, piece, column)  # biases == start if the piece has none
    bias_count = start - biases if layer.bias and optimizer.update_biases else 0
    for decays in (False, True):  # biases, weights; a loop, so that `update` is compiled but once
        begin, end = (start, stop) if decays else (biases, biases + bias_count)
        if begin < end:
            part = gradient[begin - origin : end - origin]
            update(weights, state, part, begin, end, optimizer, scale, l2, decays)
    refresh(network, piece.layer, column, piece.first, piece.last)
