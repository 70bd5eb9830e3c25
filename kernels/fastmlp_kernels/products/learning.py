"""The update of a piece of the weights by its owner, and of the transposed copy that the way back reads."""

from ..functions.updates import update
from ..jit import inlined
from ..layout.network import transpose
from ..layout.tasks import panel_range
from ..tile.operations import panel_width


@inlined
def update_panel(network, state, optimizer, piece, column, gradient, shift, scale, l2):
    """Update one panel of a piece of the weights, its biases, and the transposed copy.

    Parameters
    ----------
    network, state, optimizer : Network, State, Optimizer
    piece : a record of `layout.tasks.PIECE`
    column : int; the panel's first
    gradient : 1-D array; that of the weight at offset i of the packed weights is gradient[i - shift]
    shift : int
    scale, l2 : float; what the gradient is multiplied by, and the penalty's coefficient
    """
    weights, layer = network.weights, network.layers[piece.layer]
    biases, start, stop = panel_range(network, piece, column)
    if layer.bias and optimizer.update_biases:
        end = min(start, biases + panel_width(weights))
        update(weights, state, gradient[biases - shift : end - shift], biases, end, optimizer, scale, l2, False)
    update(weights, state, gradient[start - shift : stop - shift], start, stop, optimizer, scale, l2, True)
    if layer.transposed >= 0:
        transpose(network, piece.layer, column, piece.first, piece.last)
