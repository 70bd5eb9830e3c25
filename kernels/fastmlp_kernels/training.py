"""Training steps: two parallel regions a batch, many batches a call.

First region, over groups of row blocks: a block goes forward through all layers and its error signals come back, while
they are in the cache. Second region, over pieces of the weights: each has one owner, which completes the gradient and
applies the optimiser to it.

The gradient is made in one of two places. Where weights are few for the batch, each group adds its blocks' gradients to
a buffer of its own, and the owner of a piece adds up the buffers. Where weights are many, the activations and deltas
of many blocks are kept, as many as the cache that threads share may hold, and the owner accumulates its piece over
them, before the next blocks take their place. In both cases the blocks, the groups and the order of every sum follow
from the shapes alone: results have the same bits for any number of threads.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from .compile import inlined, njit, parallel_njit, specialise
from .deltas import backward, sum_squares
from .forward import forward_training
from .gradients import piece_gradient
from .packed import transpose
from .panels import all_finite, pack_labels, pack_rows
from .pointers import call_loss
from .tickets import take
from .tile import width
from .updates import update

# A piece of a layer's weights: rows first..last, a multiple of the panel width, of columns left..right, whole panels;
# and, where first is 0, the biases of these columns too.
PIECE = np.dtype([(name, np.int64) for name in ("layer", "first", "last", "left", "right")], align=True)


SHARES, GRADIENTS, UPDATES = range(3)  # the tickets: of groups or blocks, of pieces to complete, of pieces to update


class Data(NamedTuple):
    """Samples to learn from.

    Attributes
    ----------
    x : (N, n_in) array
    y : (N, n_out) array, or (0, n_out) where `labels` are given
    labels : (N,) or (0,) int64 array; class numbers
    order : (n,) int64 array; the samples to take, in this order; empty: all, as they come
    """

    x: np.ndarray
    y: np.ndarray
    labels: np.ndarray
    order: np.ndarray


class Workspace(NamedTuple):
    """All scratch memory of training with batches of up to a given size (see `plan.workspace`).

    Attributes
    ----------
    block : int; rows of a block
    keep : bool; whether blocks are kept until all slots are full, or each thread has one slot and each group a gradient
    activations, deltas : (slots, size) arrays; panels of one block each
    scratch : (threads, size) array; a block's targets, later the unfinished sums of its error signals
    gradients : (groups, weights) array; partial gradients, of which the first becomes the gradient
    pieces : record array of PIECE
    losses : (blocks,) float64; squares : (blocks, L) float64; summed loss and squared error signals of each block
    overflows : (blocks,) int64; layer with the first activation that is not finite, of blocks whose loss is not
    tickets : int64 array; counters of the items handed out to threads (see `tickets`)
    norms : (pieces,) float64; squared norm of each piece of the gradient
    """

    block: int
    keep: bool
    activations: np.ndarray
    deltas: np.ndarray
    scratch: np.ndarray
    gradients: np.ndarray
    pieces: np.ndarray
    losses: np.ndarray
    squares: np.ndarray
    overflows: np.ndarray
    norms: np.ndarray
    tickets: np.ndarray


class Progress(NamedTuple):
    """What training adds up as it goes.

    Attributes
    ----------
    loss : (1,) float64; sum over samples, before each update
    squares : (L,) float64; squared error signals of each layer, summed over samples and units
    diverged : (1,) int64; the layer, from 1, where the first value that is not finite was seen; 0: none
    """

    loss: np.ndarray
    squares: np.ndarray
    diverged: np.ndarray


@inlined
def samples(data):
    """How many samples are taken."""
    return len(data.order) if data.order.size else len(data.x)


@inlined
def load_block(workspace, data, slot, thread, first, rows):
    """Pack inputs of samples first..first + rows into a slot, their targets into a thread's scratch."""
    targets, n_out, block = workspace.scratch[thread], data.y.shape[1], workspace.block
    pack_rows(workspace.activations[slot], data.x, data.order, first, rows, block)
    if data.labels.size:
        pack_labels(targets, data.labels, data.order, first, rows, n_out, block)
    else:
        pack_rows(targets, data.y, data.order, first, rows, block)


@inlined
def block_loss(network, workspace, data, loss, slot, thread, first, rows):
    """The summed loss of a block, with the output layer's error signal left in the slot's deltas."""
    load_block(workspace, data, slot, thread, first, rows)
    block, size, last = workspace.block, width(workspace.deltas), network.layers[len(network.layers) - 1]
    activations, deltas, targets = workspace.activations[slot], workspace.deltas[slot], workspace.scratch[thread]
    forward_training(network, activations, deltas, loss.from_net_inputs, rows, block)
    d, a = last.deltas * size * block, last.outputs * size * block
    return call_loss(loss.address, deltas, d, activations, a, targets, 0, rows, last.n_out, block)


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
def train_block(network, workspace, data, loss, b, slot, thread, start, rows):
    """Forward and backward pass of block `b` of the `rows` samples from `start` on; returns how many samples it has."""
    block, first = workspace.block, start + b * workspace.block
    count = min(block, start + rows - first)
    workspace.losses[b] = block_loss(network, workspace, data, loss, slot, thread, first, count)
    if not math.isfinite(workspace.losses[b]):
        workspace.overflows[b] = overflowing_layer(network, workspace.activations[slot], count, block)
    backward(network, workspace.deltas[slot], count, block, workspace.scratch[thread])
    sum_squares(workspace.squares[b], network, workspace.deltas[slot], count, block)
    return count


@inlined
def train_group(network, workspace, data, loss, gradient, begin, end, thread, start, rows):
    """Forward and backward pass of blocks begin..end of the `rows` samples from `start` on, and their gradient."""
    block, activations, deltas = workspace.block, workspace.activations[thread], workspace.deltas[thread]
    for b in range(begin, end):
        count = train_block(network, workspace, data, loss, b, thread, thread, start, rows)
        for piece in workspace.pieces:
            piece_gradient(gradient, network, piece, activations, deltas, count, block, b == begin)


@inlined
def panel_range(network, piece, column):
    """(biases, start, stop): offsets in packed weights of a panel's biases (start, if not in the piece) and weights."""
    layer, size = network.layers[piece.layer], width(network.weights)
    panel = layer.weights + column // size * (layer.n_in + 1) * size
    start = panel + (piece.first + 1) * size
    return (panel if piece.first == 0 else start), start, panel + (piece.last + 1) * size


@inlined
def complete_gradient(network, workspace, piece, begin, end, rows):
    """Add what blocks begin..end, the last that were trained, contribute to a piece of the gradient, gradients[0]."""
    gradient, block, size = workspace.gradients[0], workspace.block, width(network.weights)
    if workspace.keep:
        for b in range(begin, end):
            activations, deltas = workspace.activations[b - begin], workspace.deltas[b - begin]
            piece_gradient(gradient, network, piece, activations, deltas, min(block, rows - b * block), block, b == 0)
    else:
        for column in range(piece.left, piece.right, size):
            start, _, stop = panel_range(network, piece, column)
            for g in range(1, min(end, len(workspace.gradients))):
                partial = workspace.gradients[g]
                for i in range(start, stop):
                    gradient[i] += partial[i]


@njit
def squared_norm(network, workspace, piece, biases):
    """Squared norm of a piece of the gradient, with its biases if the network has any and they are to count."""
    gradient, total = workspace.gradients[0], 0.0
    for column in range(piece.left, piece.right, width(network.weights)):
        begin, start, stop = panel_range(network, piece, column)
        for i in range(begin if biases and network.layers[piece.layer].bias else start, stop):
            total += gradient[i] * gradient[i]
    return total


@njit
def clipping(limit, scale, norms):
    """The factor that brings a gradient whose squared norm is scale^2 * sum(norms) down to `limit`; at most 1."""
    total = 0.0
    for norm in norms:
        total += norm
    return min(1.0, limit / (scale * math.sqrt(total))) if total > 0 else 1.0


@inlined
def update_piece(network, workspace, state, optimizer, piece, scale):
    """Update a piece of the weights, its biases, and the transposed copy."""
    weights, gradient, size = network.weights, workspace.gradients[0], width(network.weights)
    layer = network.layers[piece.layer]
    for column in range(piece.left, piece.right, size):
        begin, start, stop = panel_range(network, piece, column)
        if layer.bias and optimizer.update_biases:
            update(weights, state, gradient, begin, min(start, begin + size), optimizer, scale, False)
        update(weights, state, gradient, start, stop, optimizer, scale, True)
        if layer.transposed >= 0:
            transpose(network, piece.layer, column, piece.first, piece.last)


@inlined
def summarise(network, workspace, progress, blocks):
    """Add the losses and squares of a batch to the progress, in the order of the blocks; whether all are finite."""
    loss = 0.0
    for b in range(blocks):
        loss += workspace.losses[b]
        if not math.isfinite(loss):
            progress.diverged[0] = workspace.overflows[b]
            return False
    for l in range(len(network.layers) - 1, -1, -1):
        squares = 0.0
        for b in range(blocks):
            squares += workspace.squares[b, l]
        if not math.isfinite(squares):
            progress.diverged[0] = l + 1
            return False
        progress.squares[l] += squares
    progress.loss[0] += loss
    return True


@inlined
def block_count(workspace, rows):
    """(blocks of `rows` samples, how many of them to train before their gradient is completed)."""
    blocks = (rows + workspace.block - 1) // workspace.block
    return blocks, len(workspace.activations) if workspace.keep else blocks


@njit
def train_blocks(network, workspace, data, loss, thread, begin, end, start, rows):
    """One thread's part in training blocks begin..end of the `rows` samples from `start` on: a share at a time."""
    shares = end - begin if workspace.keep else min(end, len(workspace.gradients))
    i = take(workspace.tickets, SHARES)
    while i < shares:
        if workspace.keep:
            train_block(network, workspace, data, loss, begin + i, i, thread, start, rows)
        else:
            first, last = i * end // shares, (i + 1) * end // shares
            train_group(network, workspace, data, loss, workspace.gradients[i], first, last, thread, start, rows)
        i = take(workspace.tickets, SHARES)


@njit
def complete_gradients(network, workspace, begin, end, rows, biases):
    """One thread's part in completing the gradient, and the squared norm of each piece, with or without biases."""
    p = take(workspace.tickets, GRADIENTS)
    while p < len(workspace.pieces):
        complete_gradient(network, workspace, workspace.pieces[p], begin, end, rows)
        workspace.norms[p] = squared_norm(network, workspace, workspace.pieces[p], biases)
        p = take(workspace.tickets, GRADIENTS)


@njit
def update_pieces(network, workspace, state, optimizer, scale, begin, end, rows):
    """One thread's part in the updates, after completing the gradient where blocks begin..end are still missing."""
    p = take(workspace.tickets, UPDATES)
    while p < len(workspace.pieces):
        piece = workspace.pieces[p]
        if begin < end:
            complete_gradient(network, workspace, piece, begin, end, rows)
        update_piece(network, workspace, state, optimizer, piece, scale)
        p = take(workspace.tickets, UPDATES)


def _gradient(network, workspace, data, loss, progress, start, rows, threads):
    """The gradient of the loss, summed over the `rows` samples from `start` on, left in workspace.gradients[0].

    Parameters
    ----------
    network : Network
    workspace : Workspace for batches of `rows`
    data : Data
    loss : losses.Loss
    progress : Progress; the loss and the squared error signals are added
    start, rows : int
    threads : int; threads that share the work, no more than the workspace is made for

    Returns
    -------
    bool
        Whether loss and error signals are finite.
    """
    blocks, chunk = block_count(workspace, rows)
    for begin in range(0, blocks, chunk):
        end = min(begin + chunk, blocks)
        workspace.tickets[:] = 0
        for thread in prange(threads):
            train_blocks(network, workspace, data, loss, np.intp(thread), begin, end, start, rows)
        for _ in prange(threads):
            complete_gradients(network, workspace, begin, end, rows, True)
    return summarise(network, workspace, progress, blocks)


def _train(network, workspace, data, loss, optimizer, state, progress, batch_size, first, last, threads):
    """Make one update for each of the batches first..last, in order; stop early where something is not finite.

    Parameters
    ----------
    network : Network; its weights are updated
    workspace : Workspace for batches of `batch_size`
    data : Data; batch i holds the samples from i * batch_size on, the last batch what is left
    loss : losses.Loss
    optimizer, state : Optimizer, State; the state is updated
    progress : Progress; added to
    threads : int; threads that share the work, no more than the workspace is made for
    """
    for batch in range(first, last):
        start = batch * batch_size
        rows = min(batch_size, samples(data) - start)
        blocks, chunk = block_count(workspace, rows)
        complete = 0  # blocks whose gradient is
        for begin in range(0, blocks, chunk):
            end = min(begin + chunk, blocks)
            workspace.tickets[:] = 0
            for thread in prange(threads):
                train_blocks(network, workspace, data, loss, np.intp(thread), begin, end, start, rows)
            if end < blocks or optimizer.clip_norm > 0:
                for _ in prange(threads):
                    complete_gradients(network, workspace, begin, end, rows, optimizer.update_biases)
                complete = end
        if not summarise(network, workspace, progress, blocks):
            break
        scale = 1 / rows if optimizer.mean else 1.0
        if optimizer.clip_norm > 0:
            scale *= clipping(optimizer.clip_norm, scale, workspace.norms)
        for _ in prange(threads):
            update_pieces(network, workspace, state, optimizer, scale, complete, blocks, rows)
        state.steps[0] += 1


@njit
def evaluate_blocks(network, workspace, data, loss, thread):
    """One thread's part in an evaluation: the losses of blocks, as long as there are any."""
    block, rows = workspace.block, samples(data)
    b = take(workspace.tickets, SHARES)
    while b * block < rows:
        count = min(block, rows - b * block)
        total = block_loss(network, workspace, data, loss, thread, thread, b * block, count)
        finite = all_finite(workspace.activations[thread], data.x.shape[1], count, block)
        workspace.losses[b] = total if finite else np.nan
        b = take(workspace.tickets, SHARES)


def _evaluate(network, workspace, data, loss, threads):
    """The loss summed over all samples, or NaN if an input is not finite.

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
    for thread in prange(threads):
        evaluate_blocks(network, workspace, data, loss, np.intp(thread))
    total = 0.0
    for b in range((samples(data) + workspace.block - 1) // workspace.block):
        total += workspace.losses[b]
    return total


# Each driver twice: with its regions on all threads, and on the caller's thread alone, for work too small to share.
train, train_serial = parallel_njit(specialise(_train, "train")), njit(specialise(_train, "train_serial"))
gradient = parallel_njit(specialise(_gradient, "gradient"))
gradient_serial = njit(specialise(_gradient, "gradient_serial"))
evaluate = parallel_njit(specialise(_evaluate, "evaluate"))
evaluate_serial = njit(specialise(_evaluate, "evaluate_serial"))
