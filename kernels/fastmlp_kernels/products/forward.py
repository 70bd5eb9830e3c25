"""Forward pass of a block of rows: z = a W + b and a = g(z), layer by layer."""

from ..calls import call_slopes, call_values
from ..jit import inlined, njit
from ..layout.network import biases_of, deltas_of, inputs_of, output_layer, outputs_of, weights_of
from ..layout.panels import padded, panel_at, panels_of
from ..panelwise.dropout import drop
from ..panelwise.softmax import softmax
from ..tile.operations import ROWS, panel_width
from .operands import operands_of
from .product import DEPTH, net_input_panel

NO_DROPOUT = -1  # as the number of an update


@inlined
def net_inputs(z, layer, p, weights, operands, a, k, terms, rows):
    """Terms from `k` on, up to DEPTH, of panel `p` of z = a W + b; returns whether they were the last of `terms`.

    Parameters
    ----------
    z : Matrix of one panel, written
    layer : a record of `layout.network.LAYER`
    weights : 1-D array with the packed parameters, of which the biases are taken
    operands : Operands
    a : Matrix, (rows, terms); the layer's inputs
    """
    stop = min(k + DEPTH, terms)
    w, b = panel_at(weights_of(layer, operands.weights), p), panel_at(biases_of(layer, weights), p)
    net_input_panel(z, a, w, k, stop, terms, rows, z, b)
    return stop == terms


@inlined
def forward_training(network, activations, deltas, from_net_inputs, update, first, rows, block_rows, started=False):
    """All activations of a block, and in `deltas` the slopes g'(z); if `started`, from net inputs of layer 1 there.

    Of the output layer `deltas` holds the net inputs z, and activations nothing, where the outputs are a softmax, or
    `from_net_inputs` asks for it (see `losses.Loss`). Units are dropped, where a layer has dropout, as in update number
    `update` for the rows from `first` on of a batch; none with NO_DROPOUT.

    Parameters
    ----------
    network : Network
    activations, deltas : 1-D arrays; panels with room for `block_rows` rows of layers 0 to L, and of 1 to L
    from_net_inputs, started : bool
    update, first, rows, block_rows : int
    """
    operands, width = operands_of(network, activations, deltas), panel_width(activations)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        a = inputs_of(layer, operands.activations, block_rows)
        slopes = 0 if from_net_inputs and l == len(network.layers) - 1 else layer.slopes
        terms = 0 if started and l == 0 else layer.n_in
        for k in range(0, max(terms, 1), DEPTH):
            for p in range(panels_of(layer.n_out, deltas)):
                z = panel_at(deltas_of(layer, deltas, block_rows), p)
                values = panel_at(outputs_of(layer, activations, block_rows), p)
                whole = not terms or net_inputs(z, layer, p, network.weights, operands, a, k, terms, rows)
                if slopes and whole:  # while the panel is in the L1 cache
                    call_slopes(slopes, activations, values.start, deltas, z.start, padded(rows, ROWS) * width)
                    if update >= 0 and layer.dropout > 0:
                        drop(activations, values.start, deltas, z.start, layer, p * width, update, first, rows)


@njit
def forward(network, activations, rows, block_rows, started=False):
    """All activations of a block, for prediction; if `started`, from net inputs in place of those of layer 1."""
    operands = operands_of(network, activations, activations)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        a = inputs_of(layer, operands.activations, block_rows)
        terms = 0 if started and l == 0 else layer.n_in
        for k in range(0, max(terms, 1), DEPTH):
            for p in range(panels_of(layer.n_out, activations)):
                z = panel_at(outputs_of(layer, activations, block_rows), p)
                whole = not terms or net_inputs(z, layer, p, network.weights, operands, a, k, terms, rows)
                if layer.values and whole:
                    call_values(layer.values, activations, z.start, padded(rows, ROWS) * panel_width(activations))
    if network.softmax:
        layer = output_layer(network)
        softmax(activations[outputs_of(layer, activations, block_rows).start :], rows, layer.n_out, block_rows)
