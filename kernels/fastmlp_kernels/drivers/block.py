"""Training of one block of samples: loading, forward pass, loss, and backward pass to the error signals of all layers.

Samples are numbered by their position in `data.order` or, if `data.order` is empty, in `data.x`. A batch is the samples
from `start` on; a block is some samples from row `first_row` of its batch on. The block's activations and error signals
are in a slot, its targets and weights in the scratch memory of the thread.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import typeof, types

from ..calls import ByAddress, OnStack, call_loss, taken_from_stack
from ..jit import inlined, njit
from ..layout.network import Network, deltas_of, output_layer, outputs_of
from ..layout.panels import block_range, element, pack_labels, pack_rows, pack_sample_weights
from ..layout.samples import Data
from ..panelwise.losses import Loss, smooth
from ..products.deltas import backward, sum_squares
from ..products.first_layer import index_inputs, is_sparse, load_inputs
from ..products.forward import forward_training
from ..products.operands import Forms, block_multiple_of, number_at, operands_of, panel_rows_of
from . import workspace as scratch
from .kinds import KINDS, data_of


class Task(NamedTuple):
    """Arguments of a loss that all blocks of all batches have in common.

    Attributes
    ----------
    network : Network or MixedNetwork
    workspace : Workspace; slots and scratch memory are written
    data : Data
    loss : panelwise.losses.Loss
    """

    network: Network
    workspace: scratch.Workspace
    data: Data
    loss: Loss


@inlined
def block_memory(blocks, slot, thread):
    """Activations, error signals and `Forms` of the block in a slot, while a thread works on it.

    Activations and error signals of a MixedNetwork are the thread's, unless the gradient is computed from them.
    """
    row = slot if len(blocks.activations) == len(blocks.kept) else thread
    return blocks.activations[row], blocks.deltas[row], Forms(blocks.left[thread], blocks.kept[slot], blocks.sums[slot])


@inlined
def load_block(network, workspace, data, slot, thread, sample, rows):
    """Load the inputs of a block into a slot, and its targets and weights into a thread's scratch memory.

    Dense inputs are copied into the slot's activations. For sparse inputs, the net inputs of the first layer are
    computed at once, from the weights of the network, into the slot's deltas.

    Parameters
    ----------
    network : Network
    workspace : Workspace; the slot and the thread's scratch memory are written
    data : Data
    slot, thread : int
    sample, rows : int; number of the block's first sample, and how many samples it has

    Returns
    -------
    total_weight : float; sum of the weights of the samples
    finite : bool; whether all inputs are finite
    """
    scratch, panel_rows = workspace.scratch, panel_rows_of(network, workspace.block_rows)
    activations, deltas, forms = block_memory(workspace.blocks, slot, thread)
    targets = scratch.targets[thread]
    finite = load_inputs(data.x, activations, deltas, network, data.order, sample, rows, panel_rows, forms)
    if data.labels.size:
        pack_labels(targets, data.labels, data.order, sample, rows, data.y.shape[1], panel_rows)
    else:
        pack_rows(targets, data.y, data.order, sample, rows, panel_rows)
    return pack_sample_weights(scratch.sample_weights[thread], data.weights, data.order, sample, rows), finite


@njit
def block_loss(task, update, b, slot, thread, sample, first_row, rows, checked):
    """Compute the loss of a block and the error signals of the output layer, which are left in the slot.

    The sum of the samples' losses, each times its weight, is written to sums.losses[b] of the workspace, that of the
    weights to sums.weights[b].

    Parameters
    ----------
    task : address of a Task (see `calls.on_stack`)
    update : int; number of the update, for dropout, or NO_DROPOUT (see `products.forward.forward_training`)
    b : int; number of the block
    slot, thread : int; where the block is kept, and whose scratch memory is used
    sample : int; the block's first sample
    first_row, rows : int; the block's first row in the batch, for dropout, and number of rows
    checked : bool; whether the loss is NaN if an input is not finite
    """
    network, workspace, data, loss = taken_from_stack(task)
    total_weight, finite = load_block(network, workspace, data, slot, thread, sample, rows)
    panel_rows, layer = panel_rows_of(network, workspace.block_rows), output_layer(network)
    activations, deltas, forms = block_memory(workspace.blocks, slot, thread)
    targets, weights = workspace.scratch.targets[thread], workspace.scratch.sample_weights[thread]
    started = is_sparse(data.x)  # the first layer's net inputs are in `deltas` already (see `load_block`)
    where = first_row, rows, panel_rows
    forward_training(
        network, activations, deltas, loss.from_net_inputs, update, *where, started, forms, workspace.places
    )
    if loss.smoothing > 0:
        smooth(targets, loss.smoothing, network.softmax, rows, layer.n_out, panel_rows)
    signals_start = deltas_of(layer, deltas, panel_rows).start
    outputs_start = outputs_of(layer, activations, panel_rows).start
    buffers = deltas, signals_start, activations, outputs_start, targets, 0, weights, 0  # each array, and its start
    total = call_loss(loss.address, *buffers, loss.parameter, rows, layer.n_out, panel_rows)
    workspace.sums.losses[b] = total if finite or not checked else np.nan
    workspace.sums.weights[b] = total_weight


loss_by_address = ByAddress(block_loss, KINDS)
call_block_loss, is_block_loss_compiled = loss_by_address.call, loss_by_address.is_compiled


def types_of_block_loss(network):
    """Numba types of the arguments of `block_loss` for networks of this kind."""
    task = Task(network, scratch.workspace(network, 1, 1), data_of(network), Loss(0, False, 0.0, 0.0))
    return OnStack(typeof(task)), *[types.intp] * 7, types.boolean


@njit
def overflowing_layer(network, activations, deltas, forms, rows, panel_rows):
    """Number of the first layer, counted from 1, with an activation that is not finite; L, the last, if there is none.

    Parameters
    ----------
    network : Network or MixedNetwork
    activations, deltas, forms : memory of the block (see `products.operands.operands_of`)
    rows, panel_rows : int; rows of the block, and rows that each panel has room for
    """
    operands = operands_of(network, activations, deltas, forms)
    for l in range(len(network.layers) - 1):
        outputs = outputs_of(network.layers[l], operands.activations, panel_rows)
        for k in range(network.layers[l].n_out):
            for s in range(rows):
                if not math.isfinite(number_at(network, operands.activations, element(outputs, s, k))):
                    return l + 1
    return len(network.layers)


@inlined
def train_block(network, workspace, data, task, update, b, slot, thread, start, rows):
    """Train one block of a batch: forward pass, loss and backward pass, up to the error signals of all layers.

    The block's sums (of losses, weights, squared error signals) are written to workspace.sums. If inputs are sparse,
    its non-zeros are sorted for the gradient.

    Inputs are not checked here. One that is not finite mostly makes a loss or an error signal not finite, which stops
    the training (see `step.summarize`). Where an activation hides it, its weights are not finite after the update:
    callers check them (see `layout.network.nonfinite_layer`).

    Parameters
    ----------
    network, workspace, data : those of the Task
    task : address of a Task (see `calls.on_stack`)
    update : int; number of the update, by which dropout chooses units
    b : int; number of the block in the batch
    slot, thread : int; where the block is kept, and whose scratch memory is used
    start, rows : int; first sample of the batch, and number of samples in the batch
    """
    panel_rows, sums = panel_rows_of(network, workspace.block_rows), workspace.sums
    first_row, count = block_range(workspace.block_rows, b, rows, block_multiple_of(network))
    call_block_loss(task, update, b, slot, thread, start + first_row, first_row, count, False)
    activations, deltas, forms = block_memory(workspace.blocks, slot, thread)
    if not math.isfinite(sums.losses[b]):
        sums.overflows[b] = overflowing_layer(network, activations, deltas, forms, count, panel_rows)
    backward(network, deltas, count, panel_rows, workspace.scratch.partial_sums[thread], forms)
    sum_squares(sums.squares[b], network, deltas, count, panel_rows, forms)
    index_inputs(data.x, workspace.nonzeros, slot, data.order, start + first_row, count)
