"""Reverse mode: output gradients come back through the network, to its inputs and to its parameters."""

import numpy as np

from ..calls import call_loss
from ..jit import inlined, njit
from ..layout.network import deltas_of, output_layer, outputs_of, transposed_of
from ..layout.panels import (
    Matrix,
    element,
    pack_labels,
    pack_rows,
    pack_weights,
    padded,
    panel_at,
    panels_of,
    unpack_rows,
)
from ..layout.tasks import whole_layer
from ..panelwise.losses import smooth
from ..panelwise.softmax import softmax_product
from ..products.deltas import backward
from ..products.forward import NO_DROPOUT, forward_training
from ..products.gradients import piece_gradient
from ..products.operands import operands_of
from ..products.product import product
from ..tile.operations import ROWS, panel_width
from .batch import IN_ORDER, values_and_slopes


@inlined
def add_gradient(gradient, network, workspace, rows, fresh):
    """Write (if `fresh`) or add the parameter gradient of a block whose error signals are known."""
    for l in range(len(network.layers)):
        piece = whole_layer(network, l)
        piece_gradient(gradient, network, piece, workspace.activations, workspace.deltas, rows, workspace.block, fresh)


@inlined
def input_signals(network, workspace, rows):
    """The gradient with respect to the inputs of a block, delta[1] W[1]^T, in panels from workspace.scratch[0] on.

    It is NaN where the network does not keep W[1]^T.
    """
    layer, scratch, block = network.layers[0], workspace.scratch, workspace.block
    operands = operands_of(network, workspace.activations, workspace.deltas)
    if layer.transposed < 0:
        for i in range(padded(layer.n_in, panel_width(scratch)) * block):
            scratch[i] = np.nan
    else:
        delta, w = deltas_of(layer, operands.deltas, block), transposed_of(layer, operands.transposed)
        product(Matrix(scratch, 0, block), delta, w, layer.n_in, layer.n_out, rows)


@njit
def pull_back(network, workspace, x, output_gradients, first, rows):
    """The error signals of a block of `rows` rows, in workspace.deltas, from dE/da of the outputs."""
    values_and_slopes(network, workspace, x, first, rows)
    activations, deltas, scratch, block = workspace.activations, workspace.deltas, workspace.scratch, workspace.block
    layer = output_layer(network)
    delta, given = deltas_of(layer, deltas, block), Matrix(scratch, 0, block)
    pack_rows(scratch, output_gradients, IN_ORDER, first, rows, block)  # with zeros as padding, which stay
    if network.softmax:
        a = outputs_of(layer, activations, block).start
        softmax_product(scratch, 0, scratch, 0, activations, a, rows, layer.n_out, block)
    for p in range(panels_of(layer.n_out, deltas)):
        d, g = panel_at(delta, p).start, panel_at(given, p).start
        for i in range(padded(rows, ROWS) * panel_width(deltas)):
            deltas[d + i] = scratch[g + i] if network.softmax else deltas[d + i] * scratch[g + i]
    backward(network, deltas, rows, block, scratch)


@njit
def vjp_rows(input_gradients, network, workspace, x, output_gradients):
    """Vector-Jacobian product: input_gradients[s] = output_gradients[s] times the Jacobian at x[s], for all rows.

    Parameters
    ----------
    input_gradients : (N, n_in) array, written
    network : Network; made for derivatives with respect to the inputs (of others the result is NaN)
    workspace : RowsWorkspace
    x, output_gradients : (N, n_in) and (N, n_out) arrays, row-major, of the network's dtype
    """
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        pull_back(network, workspace, x, output_gradients, first, rows)
        input_signals(network, workspace, rows)
        unpack_rows(input_gradients, first, workspace.scratch, rows, workspace.block)


@njit
def gradient_rows(gradient, network, workspace, x, output_gradients, fresh):
    """The gradient with respect to all parameters, for dE/da of the outputs as given, summed over the rows.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights (see `construction.packed_gradient`); written if `fresh`, else
        added to
    network : Network
    workspace : RowsWorkspace
    x, output_gradients : (N, n_in) and (N, n_out) arrays, row-major, of the network's dtype
    fresh : bool
    """
    for first in range(0, len(x), workspace.block):
        rows = min(workspace.block, len(x) - first)
        pull_back(network, workspace, x, output_gradients, first, rows)
        add_gradient(gradient, network, workspace, rows, fresh and first == 0)


@njit
def loss_gradient_rows(gradient, network, workspace, x, y, loss, fresh, weights=None):
    """The loss and its gradient with respect to all parameters, both summed over the rows.

    Parameters
    ----------
    gradient : 1-D array packed like network.weights; written if `fresh`, else added to
    network : Network
    workspace : RowsWorkspace
    x : (N, n_in) array, row-major, of the network's dtype
    y : (N, n_out) array likewise, or (N,) int64 array of class numbers
    loss : Loss (see `losses.loss`)
    fresh : bool
    weights : (N,) array of the network's dtype, optional; of each row in the loss

    Returns
    -------
    float
    """
    activations, deltas, scratch, block = workspace.activations, workspace.deltas, workspace.scratch, workspace.block
    layer, total = output_layer(network), 0.0
    a, d = outputs_of(layer, activations, block).start, deltas_of(layer, deltas, block).start
    taken = scratch[len(scratch) // 2 :]  # the weights of a block's rows, beyond the targets
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        if weights is None:
            taken[:rows] = 1
        else:
            pack_weights(taken, weights, IN_ORDER, first, rows)
        pack_rows(activations, x, IN_ORDER, first, rows, block)
        if y.ndim == 1:
            pack_labels(scratch, y, IN_ORDER, first, rows, layer.n_out, block)
        else:
            pack_rows(scratch, y, IN_ORDER, first, rows, block)
        if loss.smoothing > 0:
            smooth(scratch, loss.smoothing, network.softmax, rows, layer.n_out, block)
        forward_training(network, activations, deltas, loss.from_net_inputs, NO_DROPOUT, 0, rows, block)
        buffers, sizes = (deltas, d, activations, a, scratch, 0, taken, 0), (rows, layer.n_out, block)
        total += call_loss(loss.address, *buffers, loss.parameter, *sizes)
        backward(network, deltas, rows, block, scratch)
        add_gradient(gradient, network, workspace, rows, fresh and first == 0)
    return total


@njit
def output_rows(network, workspace, first, rows):
    """The error signals of the output layer for outputs first..first + rows, one a row, from the sample in row 0."""
    activations, deltas, layer = workspace.activations, workspace.deltas, output_layer(network)
    outputs, delta = outputs_of(layer, activations, workspace.block), deltas_of(layer, deltas, workspace.block)
    zero = deltas.dtype.type(0)
    for k in range(padded(layer.n_out, panel_width(deltas))):
        value, slope = activations[element(outputs, 0, k)], deltas[element(delta, 0, k)]
        for s in range(padded(rows, ROWS)):
            output = first + s
            signal = slope if k == output else zero
            if network.softmax and s < rows and k < layer.n_out:
                other = activations[element(outputs, 0, output)]
                signal = value - value * value if k == output else -value * other
            deltas[element(delta, s, k)] = signal if s < rows and k < layer.n_out else zero


@njit
def jacobian_one(jacobian, network, workspace, x):
    """jacobian[k, i] = the derivative of output k with respect to input i, at one sample.

    Parameters
    ----------
    jacobian : (n_out, n_in) array, written
    network : Network; made for derivatives with respect to the inputs (of others the result is NaN)
    workspace : RowsWorkspace; faster if its block holds n_out rows
    x : (n_in,) array of the network's dtype
    """
    deltas, block, width, layer = (
        workspace.deltas,
        workspace.block,
        panel_width(workspace.deltas),
        output_layer(network),
    )
    for first in range(0, layer.n_out, block):
        rows = min(block, layer.n_out - first)
        values_and_slopes(network, workspace, x.reshape(1, len(x)), 0, 1)
        for p in range(layer.deltas):  # of hidden layers
            slopes = panel_at(Matrix(deltas, 0, block), p).start
            for i in range(width, padded(rows, ROWS) * width):  # every row gets the slopes of the sample, in row 0
                deltas[slopes + i] = deltas[slopes + i % width]
        output_rows(network, workspace, first, rows)
        backward(network, deltas, rows, block, workspace.scratch)
        input_signals(network, workspace, rows)
        unpack_rows(jacobian, first, workspace.scratch, rows, block)
