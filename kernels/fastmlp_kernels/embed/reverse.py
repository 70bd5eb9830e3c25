"""Reverse mode: derivatives of a scalar E with respect to inputs and parameters.

E is a function of the outputs a: its derivatives dE/da with respect to them are given, or computed from a loss.
Each function takes blocks of rows forward, then the error signals delta = dE/dz back (see `products.deltas`), and forms
from them the gradient of the inputs, delta W^T of the first layer, or of the parameters.
"""

import numpy as np

from ..calls import call_loss
from ..jit import by_class, inlined, njit
from ..layout.network import (
    MixedNetwork,
    deltas_of,
    output_layer,
    outputs_of,
    transposed_of,
    transposed_operand_of,
)
from ..layout.panels import (
    Matrix,
    element,
    pack_labels,
    pack_rows,
    pack_sample_weights,
    padded,
    panel_at,
    panels_of,
    unpack_rows,
)
from ..layout.tasks import whole_layer
from ..panelwise.losses import smooth
from ..panelwise.softmax import softmax_product
from ..products.deltas import backward
from ..products.first_layer import pack_inputs
from ..products.forward import NO_DROPOUT, forward_training
from ..products.gradients import piece_gradient
from ..products.mixed import give_tiles, product_panel, take_tiles
from ..products.operands import operands_of, panel_rows_of
from ..products.product import product
from ..tile.operations import ROWS, panel_width
from .batch import IN_ORDER, memory_of, values_and_slopes


@inlined
def add_gradient(gradient, network, workspace, rows, fresh):
    """Compute the gradient of all parameters over a block of `rows` rows whose error signals are in the workspace.

    `gradient`, packed like network.weights, is overwritten if `fresh`, else added to.
    """
    activations, deltas, _, forms = memory_of(workspace)
    panel_rows = panel_rows_of(network, workspace.block)
    take_tiles(network)
    for l in range(len(network.layers)):
        piece = whole_layer(network, l)
        piece_gradient(gradient, network, piece, activations, deltas, rows, panel_rows, fresh, forms)
    give_tiles(network)


def _input_panels(network, operands, layer, target, rows, panel_rows):
    """Write the product of the first layer's error signals with its transposed weights to `target`.

    Parameters
    ----------
    network : Network or MixedNetwork
    operands : Operands or MixedOperands
    layer : a record of `layout.network.LAYER`
    target : Matrix, (rows, n_in), written
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    """
    delta = deltas_of(layer, operands.deltas, panel_rows)
    product(target, delta, transposed_of(layer, operands.transposed), layer.n_in, layer.n_out, rows)


def _mixed_input_panels(network, operands, layer, target, rows, panel_rows):
    """Write it from bfloat16 operands; see `_input_panels`."""
    delta = deltas_of(layer, operands.deltas, panel_rows)
    transposed = transposed_operand_of(layer, operands.transposed)
    take_tiles(network)
    for p in range(panels_of(layer.n_in, target.numbers)):
        product_panel(panel_at(target, p), delta, panel_at(transposed, p), layer.n_out, rows)
    give_tiles(network)


input_panels = by_class(MixedNetwork, _mixed_input_panels, _input_panels)


@inlined
def input_signals(network, workspace, rows):
    """Compute the gradient with respect to the inputs, delta W^T of the first layer, over a block.

    The block's error signals are in the workspace. The gradient is written in panels from workspace.scratch[0] on; NaN
    if the network does not keep W^T of the first layer.
    """
    activations, deltas, scratch, forms = memory_of(workspace)
    layer, panel_rows = network.layers[0], panel_rows_of(network, workspace.block)
    operands = operands_of(network, activations, deltas, forms)
    if layer.transposed < 0:
        for i in range(padded(layer.n_in, panel_width(scratch)) * panel_rows):
            scratch[i] = np.nan
    else:
        input_panels(network, operands, layer, Matrix(scratch, 0, panel_rows), rows, panel_rows)


@njit
def pull_back(network, workspace, x, output_gradients, first, rows):
    """Compute the error signals of all layers, in workspace.deltas, for one block of rows.

    Parameters
    ----------
    network : Network or MixedNetwork
    workspace : RowsWorkspace or MixedWorkspace, written
    x : (N, n_in) array, row-major
    output_gradients : (N, n_out) array, row-major; dE/da of the outputs
    first, rows : int; the block is rows first..first + rows of both
    """
    values_and_slopes(network, workspace, x, first, rows)
    activations, deltas, scratch, forms = memory_of(workspace)
    layer, panel_rows = output_layer(network), panel_rows_of(network, workspace.block)
    delta, given = deltas_of(layer, deltas, panel_rows), Matrix(scratch, 0, panel_rows)
    pack_rows(scratch, output_gradients, IN_ORDER, first, rows, panel_rows)  # zeros as padding, which stay zeros below
    if network.softmax:
        output_start = outputs_of(layer, activations, panel_rows).start
        softmax_product(scratch, 0, scratch, 0, activations, output_start, rows, layer.n_out, panel_rows)
    for p in range(panels_of(layer.n_out, deltas)):
        signal, source = panel_at(delta, p).start, panel_at(given, p).start
        for i in range(padded(rows, ROWS) * panel_width(deltas)):
            deltas[signal + i] = scratch[source + i] if network.softmax else deltas[signal + i] * scratch[source + i]
    backward(network, deltas, rows, panel_rows, scratch, forms)


@njit
def vjp_rows(input_gradients, network, workspace, x, output_gradients):
    """Compute vector-Jacobian products, input_gradients[s] = output_gradients[s] J(x[s]), for all rows s.

    Parameters
    ----------
    input_gradients : (N, n_in) array, row-major, written
    network : Network or MixedNetwork, made for derivatives with respect to the inputs (for others the result is NaN)
    workspace : RowsWorkspace or MixedWorkspace
    x, output_gradients : (N, n_in) and (N, n_out) arrays, row-major, of the network's dtype
    """
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        pull_back(network, workspace, x, output_gradients, first, rows)
        input_signals(network, workspace, rows)
        unpack_rows(input_gradients, first, workspace.scratch, rows, panel_rows_of(network, workspace.block))


@njit
def gradient_rows(gradient, network, workspace, x, output_gradients, fresh):
    """Compute the gradient of E with respect to all parameters, summed over all rows, from dE/da of the outputs.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights (see `embed.make.packed_gradient`), written or added to
    network : Network or MixedNetwork
    workspace : RowsWorkspace or MixedWorkspace
    x, output_gradients : (N, n_in) and (N, n_out) arrays, row-major, of the network's dtype
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        pull_back(network, workspace, x, output_gradients, first, rows)
        add_gradient(gradient, network, workspace, rows, fresh and first == 0)


@njit
def loss_gradient_rows(gradient, network, workspace, x, y, loss, fresh, weights=None):
    """Compute the gradient of a loss with respect to all parameters, summed over all rows, and return the loss.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights, written or added to
    network : Network or MixedNetwork
    workspace : RowsWorkspace or MixedWorkspace
    x : (N, n_in) array, row-major, of the network's dtype
    y : (N, n_out) array (for "gaussian_nll", (N, n_out / 2)), row-major, of the network's dtype, or (N,) int64 array of
        class numbers
    loss : panelwise.losses.Loss (see `panelwise.losses.loss`)
    fresh : bool; whether to overwrite the gradient rather than add to it
    weights : (N,) array of the network's dtype, optional; weight of each row in the loss, by default 1

    Returns
    -------
    float
        Sum of the losses of all rows, each times its weight.
    """
    (activations, deltas, scratch, forms), block = memory_of(workspace), workspace.block
    layer, panel_rows, loss_sum = output_layer(network), panel_rows_of(network, block), 0.0
    outputs, signals = outputs_of(layer, activations, panel_rows).start, deltas_of(layer, deltas, panel_rows).start
    # Second half of scratch: targets are in the first. Only the weights of the block's rows are written, and read.
    row_weights = scratch[len(scratch) // 2 :]
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        if weights is None:
            row_weights[:rows] = 1
        else:
            pack_sample_weights(row_weights, weights, IN_ORDER, first, rows)
        pack_inputs(network, activations, forms, x, IN_ORDER, first, rows, panel_rows)
        if y.ndim == 1:
            pack_labels(scratch, y, IN_ORDER, first, rows, layer.n_out, panel_rows)
        else:
            pack_rows(scratch, y, IN_ORDER, first, rows, panel_rows)
        if loss.smoothing > 0:
            smooth(scratch, loss.smoothing, network.softmax, rows, layer.n_out, panel_rows)
        forward_training(
            network,
            activations,
            deltas,
            loss.from_net_inputs,
            update=NO_DROPOUT,
            first=0,
            rows=rows,
            panel_rows=panel_rows,
            forms=forms,
        )
        # Each array, and where it begins.
        buffers = deltas, signals, activations, outputs, scratch, 0, row_weights, 0
        loss_sum += call_loss(loss.address, *buffers, loss.parameter, rows, layer.n_out, panel_rows)
        backward(network, deltas, rows, panel_rows, scratch, forms)
        add_gradient(gradient, network, workspace, rows, fresh and first == 0)
    return loss_sum


@njit
def output_rows(network, workspace, first, rows):
    """Set the output layer's error signals for derivatives of single outputs: row s is for output first + s.

    All rows are for one sample, whose activations and slopes are in row 0 of the workspace. Row s is zero but for the
    slope of its output in the column of that output, or it is the output's row of the softmax Jacobian. Padding is set
    to zero.
    """
    activations, deltas, layer = workspace.activations, workspace.deltas, output_layer(network)
    panel_rows = panel_rows_of(network, workspace.block)
    outputs, delta = outputs_of(layer, activations, panel_rows), deltas_of(layer, deltas, panel_rows)
    zero = deltas.dtype.type(0)
    for k in range(padded(layer.n_out, panel_width(deltas))):
        value, slope = activations[element(outputs, 0, k)], deltas[element(delta, 0, k)]
        for s in range(padded(rows, ROWS)):
            output = first + s
            signal = slope if k == output else zero
            if network.softmax and s < rows and k < layer.n_out:
                output_value = activations[element(outputs, 0, output)]
                signal = value - value * value if k == output else -value * output_value
            deltas[element(delta, s, k)] = signal if s < rows and k < layer.n_out else zero


@njit
def jacobian_one(jacobian, network, workspace, x):
    """Compute the Jacobian of one sample: jacobian[k, i] is the derivative of output k with respect to input i.

    A block has a row for each output: the sample goes forward once a block, in row 0, and all rows go back together.

    Parameters
    ----------
    jacobian : (n_out, n_in) array, row-major, written
    network : Network or MixedNetwork, made for derivatives with respect to the inputs (for others the result is NaN)
    workspace : RowsWorkspace or MixedWorkspace; fastest if a block has n_out rows or more
    x : (n_in,) array of the network's dtype
    """
    (_, deltas, scratch, forms), block = memory_of(workspace), workspace.block
    width, layer, panel_rows = panel_width(deltas), output_layer(network), panel_rows_of(network, block)
    for first in range(0, layer.n_out, block):
        rows = min(block, layer.n_out - first)
        values_and_slopes(network, workspace, x.reshape(1, len(x)), first=0, rows=1)
        for p in range(layer.deltas):  # panels of all hidden layers
            slopes = panel_at(Matrix(deltas, 0, panel_rows), p).start
            for i in range(width, padded(rows, ROWS) * width):  # every row gets the slopes of the sample, in row 0
                deltas[slopes + i] = deltas[slopes + i % width]
        output_rows(network, workspace, first, rows)
        backward(network, deltas, rows, panel_rows, scratch, forms)
        input_signals(network, workspace, rows)
        unpack_rows(jacobian, first, scratch, rows, panel_rows)
