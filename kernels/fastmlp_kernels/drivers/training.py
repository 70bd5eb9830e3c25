"""Training steps: one parallel region for many batches, in which threads go through phases (see `tickets`).

First phase, over groups of row blocks: a block goes forward through all layers and its error signals come back, while
they are in the cache. Second phase, over pieces of the weights: each has one owner, which completes the gradient and
applies the optimiser to it.

The gradient is made in one of two places. Where weights are few for the batch, each group adds its blocks' gradients to
a buffer of its own, and the owner of a piece adds up the buffers. Where weights are many, the activations and deltas
of many blocks are kept, as many as the cache that threads share may hold, and the owner accumulates its piece over
them, before the next blocks take their place. (The gradient of a layer with sparse inputs is not kept at all: see
`sparse`.) In all cases the blocks, the groups and the order of every sum follow from the shapes alone: results have the
same bits for any number of threads.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange
from numba.extending import overload

from ..calls import call_kernel, call_loss, kernel_address
from ..functions.updates import NO_UPDATE, NONE, State
from ..jit import INLINED, inlined, njit, parallel_njit, specialise
from ..layout.panels import block_range, pack_labels, pack_rows, pack_weights
from ..layout.samples import Data, SparseRows
from ..layout.tasks import panel_range, update_panel
from ..panelwise.losses import Loss, smooth
from ..products.deltas import backward, sum_squares
from ..products.first_layer import (
    assembled,
    index_inputs,
    is_sparse,
    learn_piece,
    load_inputs,
    parts,
    row_count,
    slot_gradient,
)
from ..products.forward import NO_DROPOUT, forward_training
from ..tile.operations import load, multiply_add, total, width, zero
from .phases import TAKEN, finish, release, take, wait


class Workspace(NamedTuple):
    """All scratch memory of training with batches of up to a given size (see `plan.workspace`).

    Attributes
    ----------
    train : int; address of `train_thread` (see `thread_address`); 0: only to evaluate
    block : int; rows of a block
    keep : bool; whether blocks are kept until all slots are full, or each thread has one slot and each group a gradient
    activations, deltas : (slots, size) arrays; panels of one block each
    scratch : (threads, size) array; a block's targets, later the unfinished sums of its error signals; a panel of a
        piece's gradient
    weights : (threads, block) array; of the samples of a block
    gradients : (groups, weights) array; partial gradients, of which the first becomes the gradient
    pieces : record array of pieces.PIECE
    shift : int; pieces of the first layer have 2**shift rows of weights
    starts : (slots, pieces + 2) int64 array; or (slots, 0), as the next three, where inputs are dense
        A slot's non-zeros are sorted by such rows: those of rows i * 2**shift on are starts[i] to starts[i + 1].
    columns, rows, values : (slots, n) int32 arrays, and array; where they are, rows counted from the block's first
    losses : (blocks,) float64; squares : (blocks, L) float64; summed loss and squared error signals of each block
    totals : (blocks,) float64; summed weights of the samples of each block
    overflows : (blocks,) int64; layer with the first activation that is not finite, of blocks whose loss is not
    tickets : int64 array; counters of the items handed out to threads (see `tickets`)
    norms, penalties : (pieces,) float64; squared norm of each piece of the gradient, and of the weights
    """

    train: int
    block: int
    keep: bool
    activations: np.ndarray
    deltas: np.ndarray
    scratch: np.ndarray
    weights: np.ndarray
    gradients: np.ndarray
    pieces: np.ndarray
    shift: int
    starts: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    losses: np.ndarray
    totals: np.ndarray
    squares: np.ndarray
    overflows: np.ndarray
    norms: np.ndarray
    penalties: np.ndarray
    tickets: np.ndarray


class Progress(NamedTuple):
    """What training adds up as it goes.

    Attributes
    ----------
    loss : (1,) float64; sum over samples, each times its weight, before each update
    squares : (L,) float64; squared error signals of each layer, summed over samples and units
    diverged : (1,) int64; the layer, from 1, where the first value that is not finite was seen; 0: none
    means : (2,) float64, or (0,) where it is not wanted; for each batch, times its samples, what its update went down:
        the loss as the optimiser scales it (a mean or a sum), and the penalty l2 / 2 |W|^2
    """

    loss: np.ndarray
    squares: np.ndarray
    diverged: np.ndarray
    means: np.ndarray


@inlined
def samples(data):
    """How many samples are taken."""
    return len(data.order) if data.order.size else row_count(data.x)


@inlined
def load_block(network, workspace, data, slot, thread, first, rows):
    """Load inputs of samples first..first + rows into a slot, their targets and weights into a thread's scratch.

    Returns (the sum of the weights, whether all inputs are finite).
    """
    targets, n_out, block = workspace.scratch[thread], data.y.shape[1], workspace.block
    activations, deltas = workspace.activations[slot], workspace.deltas[slot]
    finite = load_inputs(data.x, activations, deltas, network, data.order, first, rows, block)
    if data.labels.size:
        pack_labels(targets, data.labels, data.order, first, rows, n_out, block)
    else:
        pack_rows(targets, data.y, data.order, first, rows, block)
    return pack_weights(workspace.weights[thread], data.weights, data.order, first, rows), finite


@inlined
def block_loss(network, workspace, data, loss, update, slot, thread, start, first, rows):
    """Summed loss and weights of rows first..first + rows of the samples from `start` on; whether inputs are finite.

    The output layer's error signal is left in the slot's deltas. For `update` see `forward.forward_training`.
    """
    total_weight, finite = load_block(network, workspace, data, slot, thread, start + first, rows)
    block, size, last = workspace.block, width(workspace.deltas), network.layers[len(network.layers) - 1]
    activations, deltas, targets = workspace.activations[slot], workspace.deltas[slot], workspace.scratch[thread]
    started = is_sparse(data.x)
    forward_training(network, activations, deltas, loss.from_net_inputs, update, first, rows, block, started)
    d, a = last.deltas * size * block, last.outputs * size * block
    weights, sizes = workspace.weights[thread], (rows, last.n_out, block)
    if loss.smoothing > 0:
        smooth(targets, loss.smoothing, network.softmax, *sizes)
    buffers = deltas, d, activations, a, targets, 0, weights, 0
    return call_loss(loss.address, *buffers, loss.parameter, *sizes), total_weight, finite


@njit
def overflowing_layer(network, activations, rows, block):
    """The first layer, from 1, with an activation that is not finite in a block; the last layer if there is none."""
    size = width(activations)
    for l in range(len(network.layers) - 1):
        layer = network.layers[l]
        for n in range(layer.n_out):
            start = (layer.outputs + n // size) * size * block + n % size
            for s in range(start, start + rows * size, size):
                if not math.isfinite(activations[s]):
                    return l + 1
    return len(network.layers)


@inlined
def train_block(network, workspace, data, loss, update, b, slot, thread, start, rows):
    """Forward and backward pass, for an update, of block `b` of the `rows` samples from `start` on, in a slot."""
    block = workspace.block
    first, count = block_range(block, b, rows)
    total, total_weight, _ = block_loss(network, workspace, data, loss, update, slot, thread, start, first, count)
    workspace.losses[b], workspace.totals[b] = total, total_weight
    if not math.isfinite(workspace.losses[b]):
        workspace.overflows[b] = overflowing_layer(network, workspace.activations[slot], count, block)
    backward(network, workspace.deltas[slot], count, block, workspace.scratch[thread])
    sum_squares(workspace.squares[b], network, workspace.deltas[slot], count, block)
    index_inputs(data.x, workspace, slot, data.order, start + first, count)


@inlined
def block_gradient(gradient, network, workspace, data, piece, b, slot, rows, fresh):
    """A piece of the gradient of block `b`, which is in a slot: written if `fresh`, else added."""
    _, count = block_range(workspace.block, b, rows)
    slot_gradient(data.x, gradient, network, workspace, piece, slot, count, fresh)


@inlined
def train_share(network, workspace, data, loss, update, i, shares, thread, begin, end, start, rows):
    """Share `i` of training blocks begin..end of the `rows` samples from `start` on; a share is one block if kept."""
    first, last = begin + i * (end - begin) // shares, begin + (i + 1) * (end - begin) // shares
    slot = i if workspace.keep else thread
    for b in range(first, last):
        train_block(network, workspace, data, loss, update, b, slot, thread, start, rows)
        if not workspace.keep:
            for piece in workspace.pieces:
                block_gradient(workspace.gradients[i], network, workspace, data, piece, b, slot, rows, b == first)


@inlined
def complete_gradient(network, workspace, data, piece, begin, end, rows):
    """Add what blocks begin..end, the last that were trained, contribute to a piece of the gradient, gradients[0]."""
    gradient, size = workspace.gradients[0], width(network.weights)
    if workspace.keep:
        for b in range(begin, end):
            block_gradient(gradient, network, workspace, data, piece, b, b - begin, rows, b == 0)
    else:
        for column in range(piece.left, piece.right, size):
            first, _, last = panel_range(network, piece, column)
            total = gradient[first:last]
            for g in range(1, min(end, len(workspace.gradients))):
                partial = workspace.gradients[g][first:last]
                for i in range(len(total)):
                    total[i] += partial[i]


@njit
def squared_norm(network, workspace, piece, biases):
    """Squared norm of a piece of the gradient, with its biases if the network has any and they are to count."""
    gradient, total = workspace.gradients[0], 0.0
    for column in range(piece.left, piece.right, width(network.weights)):
        begin, start, stop = panel_range(network, piece, column)
        for i in range(begin if biases and network.layers[piece.layer].bias else start, stop):
            total += gradient[i] * gradient[i]
    return total


@inlined
def squared_weights(network, piece):
    """Squared norm of a piece of the weights, without biases."""
    weights, size, total_ = network.weights, width(network.weights), 0.0
    for column in range(piece.left, piece.right, size):
        _, start, stop = panel_range(network, piece, column)
        squares = zero(weights, 1)
        for i in range(start, stop, size):
            row = load(weights, i, 0, 1)
            squares = multiply_add(row, row, squares)
        total_ += total(squares)
    return total_


@njit
def clipping(limit, scale, norms):
    """The factor that brings a gradient whose squared norm is scale^2 * sum(norms) down to `limit`; at most 1."""
    total = 0.0
    for norm in norms:
        total += norm
    return min(1.0, limit / (scale * math.sqrt(total))) if total > 0 else 1.0


@inlined
def update_piece(network, workspace, state, optimizer, piece, scale, l2):
    """Update a piece of the weights from its gradient in gradients[0]."""
    for column in range(piece.left, piece.right, width(network.weights)):
        update_panel(network, state, optimizer, piece, column, workspace.gradients[0], 0, scale, l2)


@inlined
def mean_scale(workspace, blocks):
    """What takes sums over a batch to means: 1 / its summed weights, or 0 if all of them are 0."""
    weights = 0.0
    for b in range(blocks):
        weights += workspace.totals[b]
    return 1 / weights if weights > 0 else 0.0


@inlined
def summarise(network, workspace, progress, blocks, rows, mean):
    """Add the losses and squares of a batch to the progress, in the order of the blocks; or note that one diverged."""
    loss, last = 0.0, len(network.layers)
    for b in range(blocks):
        loss += workspace.losses[b]
        if not math.isfinite(loss):
            progress.diverged[0] = last if math.isfinite(workspace.losses[b]) else workspace.overflows[b]
            return
    for l in range(last - 1, -1, -1):
        squares = 0.0
        for b in range(blocks):
            squares += workspace.squares[b, l]
        if not math.isfinite(squares):
            progress.diverged[0] = l + 1
            return
        progress.squares[l] += squares
    progress.loss[0] += loss
    if progress.means.size:
        progress.means[0] += rows * loss * (mean_scale(workspace, blocks) if mean else 1.0)


@inlined
def note_penalty(workspace, progress, factor):
    """Add `factor` times the squared norm of the weights to the progress."""
    squares = 0.0
    for norm in workspace.penalties:
        squares += norm
    progress.means[1] += factor * squares


@inlined
def block_count(workspace, rows):
    """(blocks of `rows` samples, how many of them to train before their gradient is completed)."""
    blocks = (rows + workspace.block - 1) // workspace.block
    slots = len(workspace.activations) if workspace.keep else blocks
    chunks = (blocks + slots - 1) // slots
    return blocks, (blocks + chunks - 1) // chunks


@njit
def train_thread(network, workspace, data, loss, optimizer, state, progress, batch_size, first, last, thread):
    """One thread's part in `train`."""
    tickets, pieces = workspace.tickets, workspace.pieces
    clip, learn = optimizer.clip_norm > 0, optimizer.kind != NONE
    at_once = learn and not clip and workspace.keep
    penalised = optimizer.l2 > 0 and progress.means.size > 0
    item, end = take(tickets, TAKEN), 0
    for batch in range(first, last):
        start = batch * batch_size
        rows, scale = min(batch_size, samples(data) - start), 1.0
        blocks, chunk = block_count(workspace, rows)
        for begin in range(0, blocks, chunk):
            stop = min(begin + chunk, blocks)
            shares = stop - begin if workspace.keep else min(blocks, len(workspace.gradients))
            base, end = end, end + shares
            while item < end:
                learning, share = (network, workspace, data, loss, state.steps[0]), (item - base, shares, thread)
                train_share(*learning, *share, begin, stop, start, rows)
                if finish(tickets, end):
                    if stop == blocks:
                        summarise(network, workspace, progress, blocks, rows, optimizer.mean)
                    release(tickets, end)
                item = take(tickets, TAKEN)
            wait(tickets, end)
            if progress.diverged[0]:
                return
            if optimizer.mean and stop == blocks:
                scale = mean_scale(workspace, blocks)
            l2 = optimizer.l2 * (scale if optimizer.average_l2 else 1.0)
            base, end = end, end + len(pieces)
            while item < end:
                piece = pieces[item - base]
                whole, step = at_once and begin == 0 and stop == blocks, (rows, state, optimizer, scale, l2)
                if penalised and stop == blocks:
                    workspace.penalties[item - base] = squared_weights(network, piece)
                if not (whole and learn_piece(data.x, network, workspace, piece, thread, blocks, *step)):
                    complete_gradient(network, workspace, data, piece, begin, stop, rows)
                    if clip:
                        workspace.norms[item - base] = squared_norm(network, workspace, piece, optimizer.update_biases)
                    elif learn and stop == blocks:
                        update_piece(network, workspace, state, optimizer, piece, scale, l2)
                if finish(tickets, end):
                    state.steps[0] += learn and not clip and stop == blocks
                    if penalised and stop == blocks:
                        note_penalty(workspace, progress, rows * l2 / 2)
                    release(tickets, end)
                item = take(tickets, TAKEN)
            wait(tickets, end)
        if clip:
            scale *= clipping(optimizer.clip_norm, scale, workspace.norms)
            base, end = end, end + len(pieces)
            while item < end:
                update_piece(network, workspace, state, optimizer, pieces[item - base], scale, l2)
                if finish(tickets, end):
                    state.steps[0] += 1
                    release(tickets, end)
                item = take(tickets, TAKEN)
            wait(tickets, end)


_threads = {}  # by dtype and whether inputs are sparse: (types of arguments, address) of `train_thread`


def thread_address(network, workspace, sparse):
    """The address of `train_thread` for networks of this dtype and for sparse or dense inputs.

    Linked into the drivers it would be compiled again for each of them, and three times more for a parallel region:
    almost half of all the compiling that a first training waits for.
    """
    dtype = network.weights.dtype
    if (dtype, sparse) not in _threads:
        numbers, integers, matrix = np.empty(0, dtype), np.empty(0, np.int64), np.empty((0, 0), dtype)
        x = SparseRows(integers, np.empty(0, np.int32), numbers) if sparse else matrix
        data, loss = Data(x, matrix, integers, integers, numbers), Loss(0, False, 0.0, 0.0)
        state, progress = State(numbers, numbers, integers), Progress(np.empty(0), np.empty(0), integers, np.empty(0))
        arguments = network, workspace, data, loss, NO_UPDATE, state, progress, 0, 0, 0, 0
        _threads[dtype, sparse] = kernel_address(train_thread, arguments)
    return _threads[dtype, sparse][1]


def run_thread(*arguments):
    """`train_thread`, by its address where the types of the arguments are those of `thread_address`."""
    train_thread(*arguments)


@overload(run_thread, jit_options=INLINED)
def _run_thread(*arguments):
    if arguments in [types for types, _ in _threads.values()]:
        return lambda *arguments: call_kernel(arguments[1].train, arguments)
    return lambda *arguments: train_thread(*arguments)


def _train(network, workspace, data, loss, optimizer, state, progress, batch_size, first, last, threads):
    """Make one update for each of the batches first..last, in order; stop early where something is not finite.

    Parameters
    ----------
    network : Network; its weights are updated
    workspace : Workspace for batches of `batch_size`
    data : Data; batch i holds the samples from i * batch_size on, the last batch what is left
    loss : losses.Loss
    optimizer, state : Optimizer, State; the state is updated. To get a gradient instead, call with the kind NONE
        (`updates.NO_UPDATE`) and one batch: nothing is updated, and workspace.gradients[0] holds the gradient, packed
        like the weights and summed over the samples of the last batch. Units are dropped (see `packed.set_dropout`)
        as in update number state.steps[0].
    progress : Progress; added to
    threads : int; threads that share the work, no more than the workspace is made for
    """
    workspace.tickets[:] = 0
    arrays = parts(data)
    for thread in prange(threads):
        taken, batches = assembled(arrays), (np.intp(batch_size), np.intp(first), np.intp(last))
        run_thread(network, workspace, taken, loss, optimizer, state, progress, *batches, np.intp(thread))


@njit
def evaluate_blocks(network, workspace, data, loss, thread):
    """One thread's part in an evaluation: the losses of blocks, as long as there are any."""
    block, rows = workspace.block, samples(data)
    b = take(workspace.tickets, TAKEN)
    while b * block < rows:
        count = min(block, rows - b * block)
        total, _, finite = block_loss(network, workspace, data, loss, NO_DROPOUT, thread, thread, 0, b * block, count)
        workspace.losses[b] = total if finite else np.nan
        b = take(workspace.tickets, TAKEN)


def _evaluate(network, workspace, data, loss, threads):
    """The loss summed over all samples, each times its weight, or NaN if an input is not finite.

    Parameters
    ----------
    network : Network
    workspace : Workspace, made for as many samples
    data : Data
    loss : losses.Loss
    threads : int; threads that share the work, no more than the workspace is made for

    Returns
    -------
    float
    """
    workspace.tickets[:] = 0
    arrays = parts(data)
    for thread in prange(threads):
        evaluate_blocks(network, workspace, assembled(arrays), loss, np.intp(thread))
    total = 0.0
    for b in range((samples(data) + workspace.block - 1) // workspace.block):
        total += workspace.losses[b]
    return total


# Each driver twice: with its region on all threads, and on the caller's thread alone, for work too small to share.
train, train_serial = parallel_njit(specialise(_train, "train")), njit(specialise(_train, "train_serial"))
evaluate = parallel_njit(specialise(_evaluate, "evaluate"))
evaluate_serial = njit(specialise(_evaluate, "evaluate_serial"))
