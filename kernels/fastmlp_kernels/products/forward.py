"""Forward pass of a block of rows: net inputs z = a W + b and activations g(z), layer by layer.

Two functions do it. `forward_training` also keeps the slopes g'(z), which the backward pass needs; `forward` computes
only activations, in the place of the net inputs. The activation is applied to each panel as soon as its sums are
complete, while it is in the L1 cache.
"""

from ..calls import call_slopes, call_values
from ..jit import by_class, inlined, njit
from ..layout.network import (
    MixedNetwork,
    biases_of,
    deltas_of,
    inputs_of,
    operand_of,
    output_layer,
    outputs_of,
    weights_of,
)
from ..layout.panels import padded, panel_at, panels_of
from ..panelwise.dropout import drop
from ..panelwise.softmax import softmax
from ..tile.operations import ROWS, panel_width
from . import mixed
from .operands import has_float_inputs, operands_of, store_outputs
from .product import DEPTH, net_input_panel

NO_DROPOUT = -1  # number of an update that drops no units


def _add_terms(network, operands, layer, z, p, k, depth, rows, panel_rows):
    """Add up to DEPTH terms, from term `k` on, to the sums of one panel of z = a W + b.

    Parameters
    ----------
    network : Network or MixedNetwork, of which the biases are read
    operands : Operands or MixedOperands
    layer : a record of `layout.network.LAYER`
    z : Matrix of one panel, written; before the last terms it holds unfinished sums
    p : int; number of the panel in the layer's net inputs
    k : int; a multiple of DEPTH
    depth : int; terms of a complete sum: inputs of the layer
    rows, panel_rows : int; rows of the block, and rows that each panel has room for

    Returns
    -------
    bool
        Whether this call completed the sums.
    """
    stop, a = min(k + DEPTH, depth), inputs_of(layer, operands.activations, panel_rows)
    w, b = panel_at(weights_of(layer, operands.weights), p), panel_at(biases_of(layer, network.weights), p)
    net_input_panel(z, a, w, k, stop, depth, rows, z, b)
    return stop == depth


def _add_all_terms(network, operands, layer, z, p, k, depth, rows, panel_rows):
    """Compute the sums of one panel, all terms at once if k == 0; see `_add_terms`."""
    biases = panel_at(biases_of(layer, network.weights), p)
    if k == 0 and has_float_inputs(layer):
        a, w = inputs_of(layer, operands.inputs, panel_rows), panel_at(weights_of(layer, network.weights), p)
        net_input_panel(z, a, w, k, depth, depth, rows, z, biases)
    elif k == 0:
        a, w = inputs_of(layer, operands.activations, panel_rows), panel_at(operand_of(layer, operands.weights), p)
        mixed.net_input_panel(z, a, w, depth, rows, biases)
    return k == 0


add_net_inputs = by_class(MixedNetwork, _add_all_terms, _add_terms)


@inlined
def forward_training(
    network, activations, deltas, from_net_inputs, update, first, rows, panel_rows, started=False, forms=None
):
    """Compute the activations g(z) and the slopes g'(z) of all layers for a block of samples.

    If the outputs are a softmax or `from_net_inputs` is true, the output activation is left to the caller: the output
    layer's part of `deltas` gets its net inputs instead of its slopes, and its activations are not written.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations : 1-D array; panels of layers 0 to L, the inputs (layer 0) read, all others written
    deltas : 1-D array; panels of layers 1 to L, written with slopes
    from_net_inputs : bool
        Whether the loss applies the output activation itself (see `panelwise.losses.Loss`).
    update : int
        Number of the update, by which the units that are dropped are chosen; NO_DROPOUT: none are dropped.
    first, rows : int
        Position of the block in its batch, which dropout depends on too, and number of its rows.
    panel_rows : int
        Rows that each panel has room for.
    started : bool
        Whether the net inputs of layer 1 are in `deltas` already: inputs are sparse, and `activations` has no layer 0.
    forms : 1-D uint16 array, or None
        Memory for the operands of a MixedNetwork (see `operands.operands_of`), of which those of the inputs are read.
    """
    operands, width = operands_of(network, activations, deltas, forms), panel_width(activations)
    for l in range(len(network.layers)):
        layer = network.layers[l]
        # Address of the activation (see `calls`); 0: it is left to the caller (layer.slopes is 0 for a softmax).
        slopes = 0 if from_net_inputs and l == len(network.layers) - 1 else layer.slopes
        depth = 0 if started and l == 0 else layer.n_in
        for k in range(0, max(depth, 1), DEPTH):
            for p in range(panels_of(layer.n_out, deltas)):
                z = panel_at(deltas_of(layer, deltas, panel_rows), p)
                values = panel_at(outputs_of(layer, activations, panel_rows), p)
                complete = not depth or add_net_inputs(network, operands, layer, z, p, k, depth, rows, panel_rows)
                # While the panel is in the L1 cache: `deltas` has z, and gets g'(z); `activations` gets g(z).
                if slopes and complete:
                    call_slopes(slopes, activations, values.start, deltas, z.start, padded(rows, ROWS) * width)
                    if update >= 0 and layer.dropout > 0:  # of hidden layers only, which all have slopes
                        drop(activations, values.start, deltas, z.start, layer, p * width, update, first, rows)

                if complete and l < len(network.layers) - 1:
                    store_outputs(network, operands, layer, p, values, rows, panel_rows)


@njit
def forward(network, activations, rows, panel_rows, started=False, forms=None):
    """Compute the activations of all layers for a block of samples, without slopes or dropout: for prediction.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations : 1-D array; panels of layers 0 to L, the inputs (layer 0) read, all others written
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    started : bool
        Whether `activations` holds the net inputs of layer 1 already: inputs are sparse, and there is no layer 0.
    forms : 1-D uint16 array, or None; see `forward_training`
    """
    operands = operands_of(network, activations, activations[:0], forms)  # there are no error signals
    for l in range(len(network.layers)):
        layer = network.layers[l]
        depth = 0 if started and l == 0 else layer.n_in
        for k in range(0, max(depth, 1), DEPTH):
            for p in range(panels_of(layer.n_out, activations)):
                z = panel_at(outputs_of(layer, activations, panel_rows), p)
                complete = not depth or add_net_inputs(network, operands, layer, z, p, k, depth, rows, panel_rows)
                if layer.values and complete:  # an address; 0 for identity and softmax
                    call_values(layer.values, activations, z.start, padded(rows, ROWS) * panel_width(activations))
                if complete and l < len(network.layers) - 1:
                    store_outputs(network, operands, layer, p, z, rows, panel_rows)
    if network.softmax:
        layer = output_layer(network)
        softmax(activations[outputs_of(layer, activations, panel_rows).start :], rows, layer.n_out, panel_rows)
