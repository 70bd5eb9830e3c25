"""Training of many batches, and evaluation, each in one parallel region.

A batch is trained in up to three phases, which all threads go through together (see `phases`):

- SAMPLES, whose items are shares of the batch's blocks: a thread takes a block forward through all layers and its error
  signals back, while they are in its cache.
- WEIGHTS, whose items are pieces of the weights: a thread completes the gradient of the piece and updates the weights.
- CLIPPED, over the pieces again, if the gradient's norm is limited: the updates wait until this phase, since the norm
  is known only when the gradients of all pieces are complete.

The gradient is computed in one of two ways, by `Workspace.keep`. If weights are few for the size of the batch, each
group of blocks adds their gradients to a buffer in the phase SAMPLES, and in the phase WEIGHTS the buffers are added
up, piece by piece. If weights are many, activations and error signals of blocks are kept in slots, as many as fit the
cache that threads share, and the phase WEIGHTS computes the gradient of each piece from them. A batch with more blocks
than slots is trained in several chunks, the first two phases for each, and the weights are updated with the last.

For example, 600 samples in 5 blocks of 120 rows, with 3 slots: chunks of blocks 0 to 2 and 3 to 4. SAMPLES 0, 1, 2;
WEIGHTS: gradients of all pieces over these blocks; SAMPLES 3, 4; WEIGHTS: their gradients are added, and the weights
are updated.

The gradient of a first layer with sparse inputs is not stored where it can be avoided: see
`products.sparse.learn_piece`. In all cases blocks, groups and the order of every sum follow from shapes alone, so that
results have the same bits for any number of threads.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange
from numba.extending import overload

from ..calls import address_table, call_kernel, kernel_address, on_stack, taken_from_stack
from ..functions.updates import NO_UPDATE, NONE, State
from ..jit import INLINED, inlined, njit, parallel_njit, specialize
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

SAMPLES, WEIGHTS, CLIPPED = range(3)  # the phases


class Progress(NamedTuple):
    """Sums over the batches trained so far, to which training adds.

    Attributes
    ----------
    loss : (1,) float64 array; losses of all samples, each times its weight, before the update of its batch
    squares : (L,) float64 array; squared error signals of each layer, over samples and units
    diverged : (1,) int64 array; layer, counted from 1, in which the first number that is not finite was found; 0: none
    means : (2,) float64 array, or (0,) if not wanted; the two terms of the function that an update minimizes, those of
        each batch times its number of samples: the loss as the optimizer scales it (mean or sum), and the penalty
        l2 / 2 |W|^2
    """

    loss: np.ndarray
    squares: np.ndarray
    diverged: np.ndarray
    means: np.ndarray


class Learning(NamedTuple):
    """Arguments that all batches of a training have in common (see `_train`)."""

    network: NamedTuple
    workspace: NamedTuple
    data: NamedTuple
    loss: NamedTuple
    optimizer: NamedTuple
    state: NamedTuple
    progress: NamedTuple
    batch_size: int


class Chunk(NamedTuple):
    """Consecutive blocks of a batch that are trained before their gradient is computed: all, if there are enough slots.

    Attributes
    ----------
    start, rows : int; first sample of the batch, and number of its samples
    begin, end : int; range of the chunk's blocks
    blocks : int; number of blocks of the batch: the chunk is the batch's last if end == blocks
    """

    start: int
    rows: int
    begin: int
    end: int
    blocks: int


class Rates(NamedTuple):
    """Factors of an update: its gradient is `scale` times the gradient summed over samples + `l2` times the weights."""

    scale: float
    l2: float


@inlined
def samples(data):
    """Number of samples that are taken from `data`."""
    return len(data.order) if data.order.size else row_count(data.x)


@inlined
def chunks_of(workspace, rows):
    """Number of blocks of a batch of `rows` samples, and number of blocks of a chunk: a pair of int."""
    blocks = (rows + workspace.block_rows - 1) // workspace.block_rows
    slots = len(workspace.blocks.activations) if workspace.keep else blocks
    chunks = (blocks + slots - 1) // slots
    return blocks, (blocks + chunks - 1) // chunks


@inlined
def share_count(workspace, chunk):
    """Number of items of the phase SAMPLES: blocks of the chunk if they are kept, else groups of blocks."""
    return chunk.end - chunk.begin if workspace.keep else min(chunk.blocks, len(workspace.gradients))


@inlined
def add_block(gradient, learning, chunk, piece, b, slot, fresh):
    """Compute the gradient of a piece of the weights over one block of a batch.

    Parameters
    ----------
    gradient : 1-D array packed like the weights; the elements of the piece are written or added to
    learning : Learning
    chunk : Chunk of the batch
    piece : a record of `layout.tasks.PIECE`
    b, slot : int; number of the block in the batch, and the slot that holds it
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    workspace = learning.workspace
    _, count = block_range(workspace.block_rows, b, chunk.rows)
    where = workspace.blocks, workspace.nonzeros, slot
    slot_gradient(learning.data.x, gradient, learning.network, *where, piece, count, workspace.block_rows, fresh)


@inlined
def train_share(learning, chunk, i, thread):
    """Do item `i` of the phase SAMPLES: train a block that is kept, or a group of blocks and their gradient."""
    network, workspace, data, loss, _, state, _, _ = learning
    shares, count = share_count(workspace, chunk), chunk.end - chunk.begin
    first, last = chunk.begin + i * count // shares, chunk.begin + (i + 1) * count // shares
    slot, update = i if workspace.keep else thread, state.steps[0]
    for b in range(first, last):
        train_block(network, workspace, data, loss, update, b, slot, thread, chunk.start, chunk.rows)
        if not workspace.keep:
            for piece in workspace.pieces:
                add_block(workspace.gradients[i], learning, chunk, piece, b, slot, b == first)


@inlined
def complete_gradient(learning, chunk, piece):
    """Complete the gradient of a piece over the blocks of a chunk, in workspace.gradients[0].

    Blocks that are kept are added one by one (the first of a batch overwrites); otherwise gradients of groups are.
    """
    network, workspace = learning.network, learning.workspace
    gradient = workspace.gradients[0]
    if workspace.keep:
        for b in range(chunk.begin, chunk.end):
            add_block(gradient, learning, chunk, piece, b, b - chunk.begin, b == 0)
    else:
        for column in range(piece.left, piece.right, panel_width(network.weights)):
            begin, _, end = panel_range(network, piece, column)
            sums = gradient[begin:end]
            for g in range(1, min(chunk.end, len(workspace.gradients))):
                group = workspace.gradients[g][begin:end]
                for i in range(len(sums)):
                    sums[i] += group[i]


@njit
def squared_norm(network, gradient, piece, biases):
    """Sum of squares of a piece of a packed gradient: of weights, and of biases if `biases` and the network has any."""
    squares = 0.0
    for column in range(piece.left, piece.right, panel_width(gradient)):
        bias_start, start, stop = panel_range(network, piece, column)
        for i in range(bias_start if biases and network.layers[piece.layer].bias else start, stop):
            squares += gradient[i] * gradient[i]
    return squares


@inlined
def squared_weights(network, piece):
    """Sum of squares of a piece of the weights, without biases."""
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
    """Update a piece of the weights from its gradient in workspace.gradients[0]."""
    network, gradient = learning.network, learning.workspace.gradients[0]
    for column in range(piece.left, piece.right, panel_width(gradient)):
        update_panel(network, learning.state, learning.optimizer, piece, column, gradient, 0, rates.scale, rates.l2)


@inlined
def learn_at_once(learning, chunk, piece, rates, thread):
    """Update a piece of a first layer with sparse inputs without storing its gradient; the chunk is a whole batch."""
    network, workspace, _, _, optimizer, state, _, _ = learning
    learned, gradient = (network, state, optimizer, workspace.nonzeros), workspace.scratch.gradient[thread]
    sizes = workspace.block_rows, chunk.blocks, chunk.rows
    sparse.learn_piece(*learned, piece, workspace.blocks.deltas, gradient, *sizes, rates.scale, rates.l2)


@inlined
def train_piece(learning, chunk, i, rates, thread):
    """Do item `i` of the phase WEIGHTS: complete the gradient of a piece over a chunk, and update the piece.

    It is updated with the last chunk of a batch, unless the gradient is to be clipped first, or there is no optimizer.
    """
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
    """Whether there is a penalty on the weights, and `progress` asks for its value."""
    return learning.optimizer.l2 > 0 and learning.progress.means.size > 0


@inlined
def mean_scale(sums, blocks):
    """Factor from a sum over a batch to a mean: 1 / the sum of its samples' weights, or 0 if that is 0."""
    weights = 0.0
    for b in range(blocks):
        weights += sums.weights[b]
    return 1 / weights if weights > 0 else 0.0


@njit
def clipping(limit, scale, norms):
    """Factor, at most 1, that reduces a gradient of squared norm scale^2 * sum(norms) to the norm `limit`."""
    squares = 0.0
    for norm in norms:
        squares += norm
    return min(1.0, limit / (scale * math.sqrt(squares))) if squares > 0 else 1.0


@inlined
def rates_of(learning, chunk, phase):
    """Rates of the updates in a phase, WEIGHTS or CLIPPED, from sums that are complete after the phase before."""
    optimizer, sums = learning.optimizer, learning.workspace.sums
    scale = mean_scale(sums, chunk.blocks) if optimizer.mean and chunk.end == chunk.blocks else 1.0
    l2 = optimizer.l2 * (scale if optimizer.average_l2 else 1.0)
    return Rates(scale * clipping(optimizer.clip_norm, scale, sums.norms) if phase == CLIPPED else scale, l2)


@inlined
def summarize(learning, chunk):
    """Add losses and squared error signals of a batch to the progress, in the order of its blocks.

    Where a sum is not finite, progress.diverged is set to the number of a layer instead, counted from 1.
    """
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
    """Add the penalty of a batch, times its number of samples, to the progress."""
    squares = 0.0
    for norm in learning.workspace.sums.penalties:
        squares += norm
    learning.progress.means[1] += chunk.rows * rates.l2 / 2 * squares


@inlined
def conclude(learning, chunk, phase, rates):
    """Do the work at the end of a phase, which one thread does before any thread begins the next phase.

    Sums of a batch are added to the progress, and its update is counted. Chunks but a batch's last have no such work.
    """
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
    """Do one thread's part of the training with batches first..last: the loop over batches, chunks, phases and items.

    All threads end early when progress.diverged is set.
    """
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
                base, end = end, end + (share_count(workspace, chunk) if phase == SAMPLES else len(workspace.pieces))
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


# Addresses of `train_thread` by `_index`, and the types of the arguments that each is compiled for. If drivers called
# the function itself, Numba would compile it again into each of them, and three times more for a parallel region:
# almost half of all the compilation that a first training waits for.
_addresses, _address_at = address_table("fastmlp_kernels_training_addresses", 4)
_types = {}


def _index(itemsize, sparse):
    """Index in `_addresses`, by the bytes of an element and whether inputs are sparse: 0 to 3."""
    return itemsize // 8 * 2 + int(sparse)


def prepare(network, workspace):
    """Compile `train_thread` for this dtype and for the inputs (dense or sparse) of this network, unless it is already.

    Then drivers can call it by its address. Only types count; the arguments that training has besides `network` and
    `workspace` are made here without elements.
    """
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
    """Make scratch memory as `drivers.workspace.workspace` does, and compile training unless `batch_size` is 0."""
    made = memory.workspace(network, batch_size, threads, samples, block_rows, nonzeros)
    if batch_size:
        prepare(network, made)
    return made


def run_thread(learning, first, last, thread):
    """Call `train_thread` for a Learning on the stack (see `calls.on_stack`): by address if `prepare` compiled it."""
    train_thread(taken_from_stack(learning), first, last, thread)


@overload(run_thread, jit_options=INLINED)
def _run_thread(learning, first, last, thread):
    """Compiled form of `run_thread`."""
    known = [index for index, types_ in _types.items() if types_ == (learning.held, first, last, thread)]
    if not known:
        return lambda learning, first, last, thread: train_thread(taken_from_stack(learning), first, last, thread)
    index = known[0]
    return lambda learning, first, last, thread: call_kernel(
        _address_at(index), (taken_from_stack(learning), first, last, thread)
    )


def is_prepared(learning):
    """Whether `run_thread` can be called for a Learning on the stack: `prepare` set its address in this process."""
    return True


@overload(is_prepared, jit_options=INLINED)
def _is_prepared(learning):
    """Compiled form of `is_prepared`."""
    known = [index for index, types_ in _types.items() if types_[0] == learning.held]
    if not known:
        return lambda learning: True
    index = known[0]
    return lambda learning: _address_at(index) != 0


def _train(network, workspace, data, loss, optimizer, state, progress, batch_size, first, last, threads):
    """Make one update for each of the batches first..last, in order.

    Training stops before the update of a batch whose losses or error signals are not finite, with the number of a layer
    in progress.diverged.

    Parameters
    ----------
    network : Network; its weights are updated
    workspace : Workspace for batches of `batch_size` rows (see `workspace`)
    data : Data; batch i has the samples from i * batch_size on, the last batch those that are left
    loss : panelwise.losses.Loss
    optimizer : Optimizer; with NO_UPDATE (of `functions.updates`) nothing is updated: after a call for one batch,
        workspace.gradients[0] holds its gradient, packed like the weights and summed over samples
    state : State; updated. Dropout (see `layout.network.set_dropout`) chooses units by the number state.steps[0].
    progress : Progress; added to
    batch_size, first, last : int
    threads : int; threads that share the work, not more than the workspace was made for

    Raises
    ------
    RuntimeError
        If training is not compiled in this process for such a workspace (see `prepare`).
    """
    workspace.tickets[:] = 0
    learning = Learning(network, workspace, data, loss, optimizer, state, progress, np.intp(batch_size))
    kept, begin, end = on_stack(learning), np.intp(first), np.intp(last)  # Learning has tuples within: see `on_stack`
    if not is_prepared(kept):
        raise RuntimeError(
            "workspace is not made for training in this process; accepted: one made by `training_workspace`"
        )
    for thread in prange(threads):
        run_thread(kept, begin, end, np.intp(thread))


@njit
def evaluate_blocks(network, workspace, data, loss, thread):
    """Do one thread's part of an evaluation: sum the losses of blocks that no other thread has taken."""
    block_rows, rows = workspace.block_rows, samples(data)
    b = take(workspace.tickets, TAKEN)
    while b * block_rows < rows:
        first = b * block_rows
        count = min(block_rows, rows - first)
        loss_sum, _, finite = block_loss(network, workspace, data, loss, NO_DROPOUT, thread, thread, 0, first, count)
        workspace.sums.losses[b] = loss_sum if finite else np.nan
        b = take(workspace.tickets, TAKEN)


def _evaluate(network, workspace, data, loss, threads):
    """Sum of the losses of all samples, each times its weight; NaN if an input is not finite.

    Parameters
    ----------
    network : Network
    workspace : Workspace; made for at least as many samples
    data : Data
    loss : panelwise.losses.Loss
    threads : int; threads that share the work, not more than the workspace was made for

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


# Each driver in two forms: its loop over threads as a parallel region, or on the caller's thread for small work.
train, train_serial = parallel_njit(specialize(_train, "train")), njit(specialize(_train, "train_serial"))
evaluate = parallel_njit(specialize(_evaluate, "evaluate"))
evaluate_serial = njit(specialize(_evaluate, "evaluate_serial"))
