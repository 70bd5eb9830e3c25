"""One block of samples: its inputs loaded, forward to its loss, and back to the error signals of all layers."""

import math

from ..calls import call_loss
from ..jit import inlined, njit
from ..layout.network import deltas_of, output_layer, outputs_of
from ..layout.panels import block_range, element, pack_labels, pack_rows, pack_weights
from ..panelwise.losses import smooth
from ..products.deltas import backward, sum_squares
from ..products.first_layer import index_inputs, is_sparse, load_inputs
from ..products.forward import forward_training


@inlined
def load_block(network, workspace, data, slot, thread, first, rows):
    """Load inputs of samples first..first + rows into a slot, their targets and weights into a thread's scratch.

    Returns (the sum of the weights, whether all inputs are finite).
    """
    blocks, scratch, block_rows = workspace.blocks, workspace.scratch, workspace.block_rows
    activations, deltas, targets = blocks.activations[slot], blocks.deltas[slot], scratch.targets[thread]
    finite = load_inputs(data.x, activations, deltas, network, data.order, first, rows, block_rows)
    if data.labels.size:
        pack_labels(targets, data.labels, data.order, first, rows, data.y.shape[1], block_rows)
    else:
        pack_rows(targets, data.y, data.order, first, rows, block_rows)
    return pack_weights(scratch.sample_weights[thread], data.weights, data.order, first, rows), finite


@inlined
def block_loss(network, workspace, data, loss, update, slot, thread, start, first, rows):
    """Summed loss and weights of rows first..first + rows of the samples from `start` on; whether inputs are finite.

    The output layer's error signal is left in the slot's deltas. For `update` see `forward.forward_training`.
    """
    total_weight, finite = load_block(network, workspace, data, slot, thread, start + first, rows)
    block_rows, layer = workspace.block_rows, output_layer(network)
    activations, deltas = workspace.blocks.activations[slot], workspace.blocks.deltas[slot]
    targets, weights = workspace.scratch.targets[thread], workspace.scratch.sample_weights[thread]
    started = is_sparse(data.x)
    forward_training(network, activations, deltas, loss.from_net_inputs, update, first, rows, block_rows, started)
    if loss.smoothing > 0:
        smooth(targets, loss.smoothing, network.softmax, rows, layer.n_out, block_rows)
    d, a = deltas_of(layer, deltas, block_rows).start, outputs_of(layer, activations, block_rows).start
    buffers = deltas, d, activations, a, targets, 0, weights, 0
    return call_loss(loss.address, *buffers, loss.parameter, rows, layer.n_out, block_rows), total_weight, finite


@njit
def overflowing_layer(network, activations, rows, block_rows):
    """The first layer, from 1, with an activation that is not finite in a block; the last layer if there is none."""
    for l in range(len(network.layers) - 1):
        outputs = outputs_of(network.layers[l], activations, block_rows)
        for k in range(network.layers[l].n_out):
            for s in range(rows):
                if not math.isfinite(activations[element(outputs, s, k)]):
                    return l + 1
    return len(network.layers)


@inlined
def train_block(network, workspace, data, loss, update, b, slot, thread, start, rows):
    """Forward and backward pass, for an update, of block `b` of the `rows` samples from `start` on, in a slot."""
    block_rows, sums = workspace.block_rows, workspace.sums
    first, count = block_range(block_rows, b, rows)
    total, total_weight, _ = block_loss(network, workspace, data, loss, update, slot, thread, start, first, count)
    sums.losses[b], sums.weights[b] = total, total_weight
    if not math.isfinite(sums.losses[b]):
        sums.overflows[b] = overflowing_layer(network, workspace.blocks.activations[slot], count, block_rows)
    deltas = workspace.blocks.deltas[slot]
    backward(network, deltas, count, block_rows, workspace.scratch.partial_sums[thread])
    sum_squares(sums.squares[b], network, deltas, count, block_rows)
    index_inputs(data.x, workspace.nonzeros, slot, data.order, start + first, count)
