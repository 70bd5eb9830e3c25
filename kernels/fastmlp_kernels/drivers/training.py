"""Training steps: one parallel region for many batches, in which threads go through phases (see `phases`).

A batch is trained in up to three phases. SAMPLES, over shares of its row blocks: a block goes forward through all
layers and its error signals come back, while they are in the cache. WEIGHTS, over pieces of the weights: each has one
owner, which completes the gradient and, unless that is to be clipped, applies the optimizer to it. CLIPPED, over the
pieces again: the update from the gradient, once its norm is known.

The gradient is made in one of two places. Where weights are few for the batch, each group adds its blocks' gradients to
a buffer of its own, and the owner of a piece adds up the buffers. Where weights are many, the activations and error
signals of many blocks are kept, as many as the cache that threads share may hold, and the owner accumulates its piece
over them, before the next blocks take their place. (The gradient of a layer with sparse inputs is not kept at all: see
`products.sparse`.) In all cases the blocks, the groups and the order of every sum follow from the shapes alone: results
have the same bits for any number of threads.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange
from numba.extending import overload

from ..calls import address_table, call_kernel, kernel_address, on_stack, taken_from_stack
from ..functions.updates import NO_UPDATE, NONE, State
from ..jit import INLINED, inlined, njit, parallel_njit, specialise
from ..layout.panels import block_range
from ..layout.samples import Data, SparseRows
from ..layout.tasks import panel_range
from ..panelwise.losses import Loss
from ..products import sparse
from ..products.first_layer import is_sparse, row_count, slot_gradient
from ..products.forward import NO_DROPOUT
from ..products.learning import update_panel
from ..tile.operations import load, multiply_add, panel_width, total, zero
from . import workspace as memory
from .block import block_loss, train_block
from .phases import TAKEN, finish, release, take, wait

SAMPLES, WEIGHTS, CLIPPED = range(3)  # phases


class Progress(NamedTuple):
    """What training adds up as it goes.

    Attributes
    ----------
    loss : (1,) float64; sum over samples, each times its weight, before each update
    squares : (L,) float64; squared error signals of each layer, summed over samples and units
    diverged : (1,) int64; the layer, from 1, where the first value that is not finite was seen; 0: none
    means : (2,) float64, or (0,) where it is not wanted; for each batch, times its samples, what its update went down:
        the loss as the optimizer scales it (a mean or a sum), and the penalty l2 / 2 |W|^2
    """

    loss: np.ndarray
    squares: np.ndarray
    diverged: np.ndarray
    means: np.ndarray


class Learning(NamedTuple):
    """What all batches of a training have in common: the arguments of `train` (see there)."""

    network: NamedTuple
    workspace: NamedTuple
    data: NamedTuple
    loss: NamedTuple
    optimizer: NamedTuple
    state: NamedTuple
    progress: NamedTuple
    batch_size: int


class Chunk(NamedTuple):
    """Blocks of a batch that are trained before their gradient is completed: all, where there is room for them.

    Attributes
    ----------
    start, rows : int; the batch: its first sample, and how many it has
    begin, end, blocks : int; the chunk's blocks, of those of the batch
    """

    start: int
    rows: int
    begin: int
    end: int
    blocks: int


class Rates(NamedTuple):
    """What an update multiplies by: the gradient by `scale`, the weights by `l2`."""

    scale: float
    l2: float


@inlined
def samples(data):
    """How many samples are taken."""
    return len(data.order) if data.order.size else row_count(data.x)


@inlined
def chunks_of(workspace, rows):
    """(blocks of `rows` samples, how many of them to train before their gradient is completed)."""
    blocks = (rows + workspace.block_rows - 1) // workspace.block_rows
    slots = len(workspace.blocks.activations) if workspace.keep else blocks
    chunks = (blocks + slots - 1) // slots
    return blocks, (blocks + chunks - 1) // chunks


@inlined
def shares_of(workspace, chunk):
    """Items of the phase SAMPLES: the blocks of a chunk if they are kept, else groups of blocks."""
    return chunk.end - chunk.begin if workspace.keep else min(chunk.blocks, len(workspace.gradients))


@inlined
def add_block(gradient, learning, chunk, piece, b, slot, fresh):
    """Write, if `fresh`, or add a piece of the gradient of block `b`, which is in a slot."""
    workspace = learning.workspace
    _, count = block_range(workspace.block_rows, b, chunk.rows)
    where = workspace.blocks, workspace.nonzeros, slot
    slot_gradient(learning.data.x, gradient, learning.network, *where, piece, count, workspace.block_rows, fresh)


@inlined
def train_share(learning, chunk, i, thread):
    """Share `i` of the phase SAMPLES."""
    network, workspace, data, loss, _, state, _, _ = learning
    shares, count = shares_of(workspace, chunk), chunk.end - chunk.begin
    first, last = chunk.begin + i * count // shares, chunk.begin + (i + 1) * count // shares
    slot, update = i if workspace.keep else thread, state.steps[0]
    for b in range(first, last):
        train_block(network, workspace, data, loss, update, b, slot, thread, chunk.start, chunk.rows)
        if not workspace.keep:
            for piece in workspace.pieces:
                add_block(workspace.gradients[i], learning, chunk, piece, b, slot, b == first)


@inlined
def complete_gradient(learning, chunk, piece):
    """Add what the blocks of a chunk contribute to a piece of the gradient, gradients[0]."""
    network, workspace = learning.network, learning.workspace
    gradient = workspace.gradients[0]
    if workspace.keep:
        for b in range(chunk.begin, chunk.end):
            add_block(gradient, learning, chunk, piece, b, b - chunk.begin, b == 0)
    else:
        for column in range(piece.left, piece.right, panel_width(network.weights)):
            first, _, last = panel_range(network, piece, column)
            sums = gradient[first:last]
            for g in range(1, min(chunk.end, len(workspace.gradients))):
                partial = workspace.gradients[g][first:last]
                for i in range(len(sums)):
                    sums[i] += partial[i]


@njit
def squared_norm(network, gradient, piece, biases):
    """Squared norm of a piece of a gradient, with its biases if the network has any and they are to count."""
    squares = 0.0
    for column in range(piece.left, piece.right, panel_width(gradient)):
        first, start, stop = panel_range(network, piece, column)
        for i in range(first if biases and network.layers[piece.layer].bias else start, stop):
            squares += gradient[i] * gradient[i]
    return squares


@inlined
def squared_weights(network, piece):
    """Squared norm of a piece of the weights, without biases."""
    weights, width, sum_ = network.weights, panel_width(network.weights), 0.0
    for column in range(piece.left, piece.right, width):
        _, start, stop = panel_range(network, piece, column)
        squares = zero(weights, 1)
        for i in range(start, stop, width):
            row = load(weights, i, 0, 1)
            squares = multiply_add(row, row, squares)
        sum_ += total(squares)
    return sum_


@inlined
def update_piece(learning, piece, rates):
    """Update a piece of the weights from its gradient in gradients[0]."""
    network, gradient = learning.network, learning.workspace.gradients[0]
    for column in range(piece.left, piece.right, panel_width(gradient)):
        update_panel(network, learning.state, learning.optimizer, piece, column, gradient, 0, rates.scale, rates.l2)


@inlined
def learn_at_once(learning, chunk, piece, rates, thread):
    """Update a piece of a sparse first layer, whose gradient is not kept."""
    network, workspace, _, _, optimizer, state, _, _ = learning
    learnt, gradient = (network, state, optimizer, workspace.nonzeros), workspace.scratch.gradient[thread]
    sizes = workspace.block_rows, chunk.blocks, chunk.rows
    sparse.learn_piece(*learnt, piece, workspace.blocks.deltas, gradient, *sizes, rates.scale, rates.l2)


@inlined
def train_piece(learning, chunk, i, rates, thread):
    """Piece `i` in the phase WEIGHTS: its gradient, and its update unless there is more to come."""
    workspace, optimizer, piece = learning.workspace, learning.optimizer, learning.workspace.pieces[i]
    clip, last = optimizer.clip_norm > 0, chunk.end == chunk.blocks
    learns = last and not clip and optimizer.kind != NONE
    if last and is_penalized(learning):
        workspace.sums.penalties[i] = squared_weights(learning.network, piece)
    if is_sparse(learning.data.x) and piece.layer == 0 and learns and chunk.begin == 0:
        learn_at_once(learning, chunk, piece, rates, thread)
        return
    complete_gradient(learning, chunk, piece)
    if clip:
        norm = squared_norm(learning.network, workspace.gradients[0], piece, optimizer.update_biases)
        workspace.sums.norms[i] = norm
    elif learns:
        update_piece(learning, piece, rates)


@inlined
def is_penalized(learning):
    """Whether the penalty on the weights is asked for, and there is one."""
    return learning.optimizer.l2 > 0 and learning.progress.means.size > 0


@inlined
def mean_scale(sums, blocks):
    """What takes sums over a batch to means: 1 / its summed weights, or 0 if all of them are 0."""
    weights = 0.0
    for b in range(blocks):
        weights += sums.weights[b]
    return 1 / weights if weights > 0 else 0.0


@njit
def clipping(limit, scale, norms):
    """The factor that brings a gradient whose squared norm is scale^2 * sum(norms) down to `limit`; at most 1."""
    squares = 0.0
    for norm in norms:
        squares += norm
    return min(1.0, limit / (scale * math.sqrt(squares))) if squares > 0 else 1.0


@inlined
def rates_of(learning, chunk, phase):
    """The `Rates` of a phase that updates weights; they are known when the phase before it is done."""
    optimizer, sums = learning.optimizer, learning.workspace.sums
    scale = mean_scale(sums, chunk.blocks) if optimizer.mean and chunk.end == chunk.blocks else 1.0
    l2 = optimizer.l2 * (scale if optimizer.average_l2 else 1.0)
    return Rates(scale * clipping(optimizer.clip_norm, scale, sums.norms) if phase == CLIPPED else scale, l2)


@inlined
def summarize(learning, chunk):
    """Add the losses and squares of a batch to the progress, in the order of the blocks; or note that one diverged."""
    network, workspace, _, _, optimizer, _, progress, _ = learning
    loss, layers, sums = 0.0, len(network.layers), workspace.sums
    for b in range(chunk.blocks):
        loss += sums.losses[b]
        if not math.isfinite(loss):
            progress.diverged[0] = layers if math.isfinite(sums.losses[b]) else sums.overflows[b]
            return
    for l in range(layers - 1, -1, -1):
        squares = 0.0
        for b in range(chunk.blocks):
            squares += sums.squares[b, l]
        if not math.isfinite(squares):
            progress.diverged[0] = l + 1
            return
        progress.squares[l] += squares
    progress.loss[0] += loss
    if progress.means.size:
        progress.means[0] += chunk.rows * loss * (mean_scale(sums, chunk.blocks) if optimizer.mean else 1.0)


@inlined
def note_penalty(learning, chunk, rates):
    """Add the penalty of a batch, times its samples, to the progress."""
    squares = 0.0
    for norm in learning.workspace.sums.penalties:
        squares += norm
    learning.progress.means[1] += chunk.rows * rates.l2 / 2 * squares


@inlined
def conclude(learning, chunk, phase, rates):
    """What one thread does when all items of a phase are done, and before any other goes on."""
    optimizer, last = learning.optimizer, chunk.end == chunk.blocks
    clip = optimizer.clip_norm > 0
    if last and phase == SAMPLES:
        summarize(learning, chunk)
    if last and phase == WEIGHTS and is_penalized(learning):
        note_penalty(learning, chunk, rates)
    if last and optimizer.kind != NONE and phase == (CLIPPED if clip else WEIGHTS):
        learning.state.steps[0] += 1


@njit
def train_thread(learning, first, last, thread):
    """One thread's part in the batches first..last: all phases of each, one after the other."""
    workspace, tickets, rates = learning.workspace, learning.workspace.tickets, Rates(1.0, 0.0)
    item, end = take(tickets, TAKEN), 0
    for batch in range(first, last):
        start = batch * learning.batch_size
        rows = min(learning.batch_size, samples(learning.data) - start)
        blocks, count = chunks_of(workspace, rows)
        for begin in range(0, blocks, count):
            chunk = Chunk(start, rows, begin, min(begin + count, blocks), blocks)
            clipped = learning.optimizer.clip_norm > 0 and chunk.end == blocks
            for phase in range(SAMPLES, CLIPPED + 1 if clipped else CLIPPED):
                if phase != SAMPLES:
                    rates = rates_of(learning, chunk, phase)
                base, end = end, end + (shares_of(workspace, chunk) if phase == SAMPLES else len(workspace.pieces))
                while item < end:
                    if phase == SAMPLES:
                        train_share(learning, chunk, item - base, thread)
                    elif phase == WEIGHTS:
                        train_piece(learning, chunk, item - base, rates, thread)
                    else:
                        update_piece(learning, workspace.pieces[item - base], rates)
                    if finish(tickets, end):
                        conclude(learning, chunk, phase, rates)
                        release(tickets, end)
                    item = take(tickets, TAKEN)
                wait(tickets, end)
                if learning.progress.diverged[0]:
                    return


# Addresses of `train_thread`, by dtype and whether inputs are sparse, and the types of arguments they are for. Linked
# into the drivers it would be compiled again for each of them, and three times more for a parallel region: almost half
# of all the compiling that a first training waits for.
_addresses, _address_at = address_table("fastmlp_kernels_training_addresses", 4)
_types = {}


def _index(itemsize, sparse):
    return itemsize // 8 * 2 + int(sparse)


def prepare(network, workspace):
    """Compile `train_thread` for networks of this dtype and inputs of their kind, if need be, for drivers to call."""
    dtype, sparse = network.weights.dtype, bool(network.layers["outputs"][0] == 0)
    index = _index(dtype.itemsize, sparse)
    if index not in _types:
        numbers, integers, matrix = np.empty(0, dtype), np.empty(0, np.int64), np.empty((0, 0), dtype)
        x = SparseRows(integers, np.empty(0, np.int32), numbers) if sparse else matrix
        data, loss = Data(x, matrix, integers, integers, numbers), Loss(0, False, 0.0, 0.0)
        state, progress = State(numbers, numbers, integers), Progress(np.empty(0), np.empty(0), integers, np.empty(0))
        learning = Learning(network, workspace, data, loss, NO_UPDATE, state, progress, 0)
        _types[index], _addresses[index] = kernel_address(train_thread, (learning, 0, 0, 0))


def workspace(network, batch_size, threads, samples=0, block_rows=None, nonzeros=0):
    """Scratch memory for training and evaluation (see `workspace.workspace`), and training compiled, if need be."""
    made = memory.workspace(network, batch_size, threads, samples, block_rows, nonzeros)
    if batch_size:
        prepare(network, made)
    return made


def run_thread(learning, first, last, thread):
    """`train_thread`, of what is kept on the stack; by its address where `prepare` knows one for its types."""
    train_thread(taken_from_stack(learning), first, last, thread)


@overload(run_thread, jit_options=INLINED)
def _run_thread(learning, first, last, thread):
    known = [index for index, types_ in _types.items() if types_ == (learning.held, first, last, thread)]
    if not known:
        return lambda learning, first, last, thread: train_thread(taken_from_stack(learning), first, last, thread)
    index = known[0]
    return lambda learning, first, last, thread: call_kernel(
        _address_at(index), (taken_from_stack(learning), first, last, thread)
    )


def is_prepared(learning):
    """Whether `run_thread` can be called with what is kept on the stack."""
    return True


@overload(is_prepared, jit_options=INLINED)
def _is_prepared(learning):
    known = [index for index, types_ in _types.items() if types_[0] == learning.held]
    if not known:
        return lambda learning: True
    index = known[0]
    return lambda learning: _address_at(index) != 0


def _train(network, workspace, data, loss, optimizer, state, progress, batch_size, first, last, threads):
    """Make one update for each of the batches first..last, in order; stop early where something is not finite.

    Parameters
    ----------
    network : Network; its weights are updated
    workspace : Workspace for batches of `batch_size` (see `workspace`)
    data : Data; batch i holds the samples from i * batch_size on, the last batch what is left
    loss : losses.Loss
    optimizer, state : Optimizer, State; the state is updated. To get a gradient instead, call with the kind NONE
        (`updates.NO_UPDATE`) and one batch: nothing is updated, and workspace.gradients[0] holds the gradient, packed
        like the weights and summed over the samples of the last batch. Units are dropped (see `network.set_dropout`)
        as in update number state.steps[0].
    progress : Progress; added to
    batch_size, first, last : int
    threads : int; threads that share the work, no more than the workspace is made for
    """
    workspace.tickets[:] = 0
    learning = Learning(network, workspace, data, loss, optimizer, state, progress, np.intp(batch_size))
    kept, begin, end = on_stack(learning), np.intp(first), np.intp(last)  # a region takes in no tuple within a tuple
    if not is_prepared(kept):
        raise RuntimeError("workspace is not made for training in this process; accepted: one of `training_workspace`")
    for thread in prange(threads):
        run_thread(kept, begin, end, np.intp(thread))


@njit
def evaluate_blocks(network, workspace, data, loss, thread):
    """One thread's part in an evaluation: the losses of blocks, as long as there are any."""
    block_rows, rows = workspace.block_rows, samples(data)
    b = take(workspace.tickets, TAKEN)
    while b * block_rows < rows:
        first = b * block_rows
        count = min(block_rows, rows - first)
        loss_sum, _, finite = block_loss(network, workspace, data, loss, NO_DROPOUT, thread, thread, 0, first, count)
        workspace.sums.losses[b] = loss_sum if finite else np.nan
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
    kept = on_stack((network, workspace, data, loss))
    for thread in prange(threads):
        network_, workspace_, data_, loss_ = taken_from_stack(kept)
        evaluate_blocks(network_, workspace_, data_, loss_, np.intp(thread))
    loss_sum = 0.0
    for b in range((samples(data) + workspace.block_rows - 1) // workspace.block_rows):
        loss_sum += workspace.sums.losses[b]
    return loss_sum


# Each driver twice: with its region on all threads, and on the caller's thread alone, for work too small to share.
train, train_serial = parallel_njit(specialise(_train, "train")), njit(specialise(_train, "train_serial"))
evaluate = parallel_njit(specialise(_evaluate, "evaluate"))
evaluate_serial = njit(specialise(_evaluate, "evaluate_serial"))
