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
    is_output_layer,
    operand_of,
    output_layer,
    outputs_of,
    weights_of,
)
from ..layout.panels import Matrix, padded, panel_at, panels_of, row_at
from ..panelwise.dropout import drop
from ..panelwise.softmax import softmax
from ..tile.bfloat16 import SQUARE, square_memory
from ..tile.operations import ROWS, panel_width
from .mixed import begin_product, give_tiles, group_of, last_terms, product_rows, take_tiles
from .operands import has_float_inputs, operands_of, store_activations
from .product import DEPTH, net_input_panel

NO_DROPOUT = -1  # number of an update that drops no units


@inlined
def add_net_inputs(network, operands, layer, z, p, k, rows, panel_rows):
    """Add up to DEPTH terms, from term `k` on, to the sums of one panel of z = a W + b.

    Parameters
    ----------
    network : Network, of which the biases are read
    operands : Operands
    layer : a record of `layout.network.LAYER`
    z : Matrix of one panel, written; before the last terms it holds unfinished sums
    p : int; number of the panel in the layer's net inputs
    k : int; a multiple of DEPTH
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    """
    a, depth = inputs_of(layer, operands.activations, panel_rows), layer.n_in
    w, b = panel_at(weights_of(layer, operands.weights), p), panel_at(biases_of(layer, network.weights), p)
    net_input_panel(z, a, w, k, min(k + DEPTH, depth), depth, rows, z, b)


@inlined
def begin_net_inputs(network, operands, layer, z, p, rows, panel_rows):
    """Compute panels of z = a W + b of a MixedNetwork but for the last terms, or all of it from float inputs.

    Nothing is done unless `p` is the first panel of a group (see `mixed.group_of`). For the other arguments see
    `add_net_inputs`.
    """
    group = group_of(layer.n_in)
    if p % group == 0:
        biases = panel_at(biases_of(layer, network.weights), p)
        if has_float_inputs(layer):
            a, w = inputs_of(layer, operands.inputs, panel_rows), panel_at(weights_of(layer, network.weights), p)
            net_input_panel(z, a, w, 0, layer.n_in, layer.n_in, rows, z, biases)
        else:
            a, w = inputs_of(layer, operands.activations, panel_rows), panel_at(operand_of(layer, operands.weights), p)
            panels = min(group, panels_of(layer.n_out, z.numbers) - p)
            begin_product(z, a, w, layer.n_in, rows, panels, biases)


@inlined
def complete_net_inputs(network, operands, layer, z, p, first, last, panel_rows):
    """Add the last terms to rows first..last of what `begin_net_inputs` computed, if they are missing."""
    if not has_float_inputs(layer):
        a, w = inputs_of(layer, operands.activations, panel_rows), panel_at(operand_of(layer, operands.weights), p)
        biases = panel_at(biases_of(layer, network.weights), p)
        product_rows(z, a, w, last_terms(layer.n_in), layer.n_in, first, last, biases)


def _train_layer(
    network, operands, activations, deltas, layer, slopes, started, update, first, rows, panel_rows, places
):
    """Compute the activations and the slopes of one layer.

    Parameters
    ----------
    network : Network or MixedNetwork
    operands : Operands or MixedOperands
    layer : a record of `layout.network.LAYER`
    slopes : int; address of the activation (see `calls`); 0: it is left to the caller
    started : bool; whether the layer's net inputs are in `deltas` already
    activations, deltas, update, first, rows, panel_rows, places : see `forward_training`
    """
    width, depth = panel_width(activations), 0 if started else layer.n_in
    for k in range(0, max(depth, 1), DEPTH):
        for p in range(panels_of(layer.n_out, deltas)):
            z = panel_at(deltas_of(layer, deltas, panel_rows), p)
            values = panel_at(outputs_of(layer, activations, panel_rows), p)
            if depth:
                add_net_inputs(network, operands, layer, z, p, k, rows, panel_rows)
            # While the panel is in the L1 cache: `deltas` has z, and gets g'(z); `activations` gets g(z).
            if slopes and k + DEPTH >= depth:
                call_slopes(slopes, activations, values.start, deltas, z.start, padded(rows, ROWS) * width)
                if update >= 0 and layer.dropout > 0:  # of hidden layers only, which all have slopes
                    drop(activations, values.start, deltas, z.start, layer, p * width, update, first, rows, places)


def _train_mixed_layer(
    network, operands, activations, deltas, layer, slopes, started, update, first, rows, panel_rows, places
):
    """See `_train_layer`; activations of hidden layers are only stored as operands.

    A square at a time, so that all its numbers stay in the L1 cache.
    """
    square = square_memory(activations)
    values, last = Matrix(square, 0, SQUARE), is_output_layer(network, layer)
    for p in range(panels_of(layer.n_out, deltas)):
        z = panel_at(deltas_of(layer, deltas, panel_rows), p)
        if not started:
            begin_net_inputs(network, operands, layer, z, p, rows, panel_rows)
        for s in range(0, rows, SQUARE):
            count, place = min(SQUARE, rows - s), row_at(z, s)
            if not started:
                complete_net_inputs(network, operands, layer, z, p, s, s + count, panel_rows)
            if not last:
                call_slopes(slopes, square, 0, deltas, place, count * SQUARE)
                if update >= 0 and layer.dropout > 0:
                    drop(square, 0, deltas, place, layer, p * SQUARE, update, first + s, count, places)
                store_activations(operands, layer.outputs, layer.n_out, p, values, s, count, panel_rows)
        if last and slopes:
            outputs = panel_at(outputs_of(layer, activations, panel_rows), p)
            call_slopes(slopes, activations, outputs.start, deltas, z.start, padded(rows, ROWS) * SQUARE)


train_layer = by_class(MixedNetwork, _train_mixed_layer, _train_layer)


@inlined
def forward_training(
    network,
    activations,
    deltas,
    from_net_inputs,
    update,
    first,
    rows,
    panel_rows,
    started=False,
    forms=None,
    places=None,
):
    """Compute the activations g(z) and the slopes g'(z) of all layers for a block of samples.

    If the outputs are a softmax or `from_net_inputs` is true, the output activation is left to the caller: the output
    layer's part of `deltas` gets its net inputs instead of its slopes, and its activations are not written.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations : 1-D array
        Panels of layers 0 to L, the inputs (layer 0) read, all others written; of a MixedNetwork, only the outputs.
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
    forms : operands.Forms of a MixedNetwork, of which the operands of the inputs are read
    places : 1-D int64 array, optional
        Rows of the batch, if the block is of a part of it (see `panelwise.dropout.drop`).
    """
    operands = operands_of(network, activations, deltas, forms)
    take_tiles(network)
    for l in range(len(network.layers)):
        layer, begun = network.layers[l], started and l == 0
        # Address of the activation; 0: it is left to the caller (layer.slopes is 0 for a softmax).
        slopes = 0 if from_net_inputs and l == len(network.layers) - 1 else layer.slopes
        where = update, first, rows, panel_rows, places
        train_layer(network, operands, activations, deltas, layer, slopes, begun, *where)
    give_tiles(network)


def _predict_layer(network, operands, activations, layer, started, rows, panel_rows):
    """Compute the activations of one layer, without slopes or dropout; see `_train_layer`."""
    depth = 0 if started else layer.n_in
    for k in range(0, max(depth, 1), DEPTH):
        for p in range(panels_of(layer.n_out, activations)):
            z = panel_at(outputs_of(layer, activations, panel_rows), p)
            if depth:
                add_net_inputs(network, operands, layer, z, p, k, rows, panel_rows)
            if layer.values and k + DEPTH >= depth:  # an address; 0 for identity and softmax
                call_values(layer.values, activations, z.start, padded(rows, ROWS) * panel_width(activations))


def _predict_mixed_layer(network, operands, activations, layer, started, rows, panel_rows):
    """See `_predict_layer`; all groups of panels of a hidden layer take the place of its first, and become operands."""
    last = is_output_layer(network, layer)
    for p in range(panels_of(layer.n_out, activations)):
        z = panel_at(outputs_of(layer, activations, panel_rows), p if last or started else p % group_of(layer.n_in))
        if not started:
            begin_net_inputs(network, operands, layer, z, p, rows, panel_rows)
        for s in range(0, rows, SQUARE):
            count, place = min(SQUARE, rows - s), row_at(z, s)
            if not started:
                complete_net_inputs(network, operands, layer, z, p, s, s + count, panel_rows)
            if layer.values:
                call_values(layer.values, activations, place, count * SQUARE)
            if not last:
                values = Matrix(activations, place, SQUARE)
                store_activations(operands, layer.outputs, layer.n_out, p, values, s, count, panel_rows)


predict_layer = by_class(MixedNetwork, _predict_mixed_layer, _predict_layer)


@njit
def forward(network, activations, rows, panel_rows, started=False, forms=None):
    """Compute the activations of all layers for a block of samples, without slopes or dropout: for prediction.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations : 1-D array
        Panels of layers 0 to L, the inputs (layer 0) read, all others written; of a MixedNetwork, only the outputs
        afterwards.
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    started : bool
        Whether `activations` holds the net inputs of layer 1 already: inputs are sparse, and there is no layer 0.
    forms : operands.Forms of a MixedNetwork; see `forward_training`
    """
    operands = operands_of(network, activations, activations[:0], forms)  # there are no error signals
    take_tiles(network)
    for l in range(len(network.layers)):
        predict_layer(network, operands, activations, network.layers[l], started and l == 0, rows, panel_rows)
    give_tiles(network)
    if network.softmax:
        layer = output_layer(network)
        softmax(activations[outputs_of(layer, activations, panel_rows).start :], rows, layer.n_out, panel_rows)
