"""Reverse mode: output gradients come back through the network, to its inputs and to its parameters."""

from typing import NamedTuple

import numpy as np

from ..calls import call_loss
from ..jit import inlined, njit
from ..layout.panels import pack_labels, pack_rows, pack_weights, padded, unpack_rows
from ..panelwise.losses import smooth
from ..panelwise.softmax import softmax_product
from ..products.deltas import backward
from ..products.forward import NO_DROPOUT, forward_training
from ..products.gradients import piece_gradient
from ..products.product import product
from ..tile.operations import ROWS, width
from .batch import IN_ORDER, values_and_slopes


class Piece(NamedTuple):
    """A piece of the weights as `pieces.PIECE` describes it."""

    layer: int
    first: int
    last: int
    left: int
    right: int


@inlined
def add_gradient(gradient, network, workspace, rows, fresh):
    """Write (if `fresh`) or add the parameter gradient of a block whose error signals are known."""
    for l in range(len(network.layers)):
        piece = Piece(l, 0, network.layers[l].n_in, 0, network.layers[l].n_out)
        piece_gradient(gradient, network, piece, workspace.activations, workspace.deltas, rows, workspace.block, fresh)


@inlined
def input_signals(network, workspace, rows):
    """The gradient with respect to the inputs of a block, delta[1] W[1]^T, in panels from workspace.scratch[0] on.

    It is NaN where the network does not keep W[1]^T.
    """
    layer, scratch, deltas, block = network.layers[0], workspace.scratch, workspace.deltas, workspace.block
    if layer.transposed < 0:
        for i in range(padded(layer.n_in, width(scratch)) * block):
            scratch[i] = np.nan
    else:
        start, n_out = layer.transposed, layer.n_out
        product(scratch, 0, deltas, 0, network.transposed, start, n_out, layer.n_in, n_out, rows, block)


@njit
def pull_back(network, workspace, x, output_gradients, first, rows):
    """The error signals of a block of `rows` rows, in workspace.deltas, from dE/da of the outputs."""
    values_and_slopes(network, workspace, x, first, rows)
    activations, deltas, scratch, block = workspace.activations, workspace.deltas, workspace.scratch, workspace.block
    last, size = network.layers[len(network.layers) - 1], width(workspace.deltas)
    a, d = last.outputs * size * block, last.deltas * size * block
    pack_rows(scratch, output_gradients, IN_ORDER, first, rows, block)  # with zeros as padding, which stay
    if network.softmax:
        softmax_product(scratch, 0, scratch, 0, activations, a, rows, last.n_out, block)
    for q in range(0, padded(last.n_out, size) * block, size * block):
        for i in range(q, q + padded(rows, ROWS) * size):
            deltas[d + i] = scratch[i] if network.softmax else deltas[d + i] * scratch[i]
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
    last, size, total = network.layers[len(network.layers) - 1], width(workspace.deltas), 0.0
    a, d = last.outputs * size * block, last.deltas * size * block
    taken = scratch[len(scratch) // 2 :]  # the weights of a block's rows, beyond the targets
    for first in range(0, len(x), block):
        rows = min(block, len(x) - first)
        if weights is None:
            taken[:rows] = 1
        else:
            pack_weights(taken, weights, IN_ORDER, first, rows)
        pack_rows(activations, x, IN_ORDER, first, rows, block)
        if y.ndim == 1:
            pack_labels(scratch, y, IN_ORDER, first, rows, last.n_out, block)
        else:
            pack_rows(scratch, y, IN_ORDER, first, rows, block)
        if loss.smoothing > 0:
            smooth(scratch, loss.smoothing, network.softmax, rows, last.n_out, block)
        forward_training(network, activations, deltas, loss.from_net_inputs, NO_DROPOUT, 0, rows, block)
        buffers, sizes = (deltas, d, activations, a, scratch, 0, taken, 0), (rows, last.n_out, block)
        total += call_loss(loss.address, *buffers, loss.parameter, *sizes)
        backward(network, deltas, rows, block, scratch)
        add_gradient(gradient, network, workspace, rows, fresh and first == 0)
    return total


@njit
def output_rows(network, workspace, first, rows):
    """The error signals of the output layer for outputs first..first + rows, one a row, from the sample in row 0."""
    activations, deltas, block, size = workspace.activations, workspace.deltas, workspace.block, width(workspace.deltas)
    last, zero = network.layers[len(network.layers) - 1], workspace.deltas.dtype.type(0)
    a, d = last.outputs * size * block, last.deltas * size * block
    for k in range(padded(last.n_out, size)):
        column = k // size * size * block + k % size
        value, slope = activations[a + column], deltas[d + column]
        for s in range(padded(rows, ROWS)):
            output = first + s
            signal = slope if k == output else zero
            if network.softmax and s < rows and k < last.n_out:
                other = activations[a + output // size * size * block + output % size]
                signal = value - value * value if k == output else -value * other
            deltas[d + column + s * size] = signal if s < rows and k < last.n_out else zero


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
    deltas, block, size = workspace.deltas, workspace.block, width(workspace.deltas)
    last = network.layers[len(network.layers) - 1]
    for first in range(0, last.n_out, block):
        rows = min(block, last.n_out - first)
        values_and_slopes(network, workspace, x.reshape(1, len(x)), 0, 1)
        for panel in range(0, last.deltas * size * block, size * block):
            for i in range(size, padded(rows, ROWS) * size):  # every row gets the slopes of the sample, in row 0
                deltas[panel + i] = deltas[panel + i % size]
        output_rows(network, workspace, first, rows)
        backward(network, deltas, rows, block, workspace.scratch)
        input_signals(network, workspace, rows)
        unpack_rows(jacobian, first, workspace.scratch, rows, block)
