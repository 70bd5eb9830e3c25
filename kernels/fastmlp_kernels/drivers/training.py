"""Training of many batches in one parallel region.

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
results have the same bits for any number of threads. Slots, and so chunks, may depend on it, but the blocks of a batch
are added to a gradient one by one in the same order, however they are divided into chunks: by `step.add_block`, or all
at once by `learn_piece`.
"""

import numpy as np
from numba import prange, typeof, types

from ..background import compile_elsewhere, wait_for
from ..calls import ByAddress, OnStack, on_stack, taken_from_stack
from ..functions.updates import NO_UPDATE, State
from ..jit import njit, parallel_njit, specialize
from ..products.first_layer import sample_count
from ..subnormals import flush_subnormals, restore_mode
from . import workspace as scratch
from .block import Task, loss_by_address, types_of_block_loss
from .kinds import KINDS, kind_of
from .phases import TAKEN, finish, release, take, wait
from .step import (
    CLIPPED,
    SAMPLES,
    WEIGHTS,
    Chunk,
    Learning,
    Progress,
    Rates,
    chunks_of,
    conclude_weights,
    rates_of,
    share_count,
    summarize,
    train_piece,
    train_share,
    update_piece,
)


@njit
def samples_phase(kept, task, chunk, base, end, item, thread):
    """Do one thread's part of the phase SAMPLES of a chunk: items that no other thread has taken.

    Parameters
    ----------
    kept, task : addresses of a Learning and its Task (see `calls.on_stack`)
    chunk : Chunk
    base, end : int; numbers of the phase's first item and of the next phase's (see `phases`)
    item : int; number that this thread has taken
    thread : int

    Returns
    -------
    int
        Number that it has taken last, an item of a later phase.
    """
    learning = taken_from_stack(kept)
    tickets = learning.workspace.tickets
    while item < end:
        train_share(learning, task, chunk, item - base, thread)
        if finish(tickets, end):
            if chunk.end == chunk.block_count:
                summarize(learning, chunk)
            release(tickets, end)
        item = take(tickets, TAKEN)
    return item


@njit
def weights_phase(kept, chunk, phase, rates, base, end, item, thread):
    """Do one thread's part of the phase WEIGHTS or CLIPPED of a chunk; see `samples_phase`."""
    learning = taken_from_stack(kept)
    tickets = learning.workspace.tickets
    while item < end:
        if phase == WEIGHTS:
            train_piece(learning, chunk, item - base, rates, thread)
        else:
            update_piece(learning, learning.workspace.pieces[item - base], rates)
        if finish(tickets, end):
            if chunk.end == chunk.block_count:
                conclude_weights(learning, chunk, phase, rates)
            release(tickets, end)
        item = take(tickets, TAKEN)
    return item


samples_by_address = ByAddress(samples_phase, KINDS, types.intp)
weights_by_address = ByAddress(weights_phase, KINDS, types.intp)
call_samples, call_weights = samples_by_address.call, weights_by_address.call


@njit
def train_thread(kept, task, first, last, thread):
    """Do one thread's part of the training with batches first..last: the loop over batches, chunks and phases.

    All threads end early when progress.diverged is set. `kept` and `task` are addresses of a Learning and its Task.
    """
    mode = flush_subnormals()
    learning = taken_from_stack(kept)
    workspace, tickets = learning.workspace, learning.workspace.tickets
    item, end = take(tickets, TAKEN), 0
    for batch in range(first, last):
        start = batch * learning.batch_size
        rows = min(learning.batch_size, sample_count(learning.data) - start)
        block_count, count = chunks_of(workspace, rows)
        for begin in range(0, block_count, count):
            chunk = Chunk(start, rows, begin, min(begin + count, block_count), block_count)
            clipped = learning.optimizer.clip_norm > 0 and chunk.end == block_count
            for phase in range(SAMPLES, CLIPPED + 1 if clipped else CLIPPED):
                base, end = end, end + (share_count(workspace, chunk) if phase == SAMPLES else len(workspace.pieces))
                if phase == SAMPLES:
                    item = call_samples(kept, task, chunk, base, end, item, thread)
                else:
                    rates = rates_of(learning, chunk, phase)
                    item = call_weights(kept, chunk, phase, rates, base, end, item, thread)
                wait(tickets, end)
                if learning.progress.diverged[0]:
                    restore_mode(mode)
                    return

    restore_mode(mode)


thread_by_address = ByAddress(train_thread, KINDS)
call_thread, is_compiled = thread_by_address.call, thread_by_address.is_compiled


_expected = {}  # by kind of network: what training calls by address, each with the types of its arguments


def begin(network):
    """Start compiling what training calls by address, for networks of this kind, in other processes.

    Returns
    -------
    list of (ByAddress, tuple of Numba types)
    """
    kind = kind_of(network)
    if kind not in _expected:
        numbers, integers = np.empty(0, network.weights.dtype), np.empty(0, np.int64)
        progress = Progress(np.empty(0), np.empty(0), integers, np.empty(0))
        loss_types = task, *_ = types_of_block_loss(network)
        own = NO_UPDATE, State(numbers, numbers, integers), progress, 0
        learning = OnStack(types.NamedTuple([*task.held, *map(typeof, own)], Learning))
        index = types.intp
        chunk, rates = typeof(Chunk(0, 0, 0, 0, 0)), typeof(Rates(1.0, 0.0))
        expected = [
            (loss_by_address, loss_types),
            (samples_by_address, (learning, task, chunk, index, index, index, index)),
            (weights_by_address, (learning, chunk, index, rates, index, index, index, index)),
            (thread_by_address, (learning, task, index, index, index)),
        ]
        for called, types_ in expected:
            called.expect(kind, types_)
        compile_elsewhere("training", [(called.kernel, types_) for called, types_ in expected[:-1]])
        _expected[kind] = expected
    return _expected[kind]


def prepare(network):
    """Compile what training calls by address, for networks of this kind, or load it from the cache."""
    for called, types_ in reversed(begin(network)):
        wait_for(called.kernel, types_)
        called.compile(types_)


def training_workspace(network, batch_size, threads, samples=0, block_rows=None, nonzeros=0):
    """Make scratch memory as `drivers.workspace.workspace` does, and compile training unless `batch_size` is 0."""
    made = scratch.workspace(network, batch_size, threads, samples, block_rows, nonzeros)
    if batch_size:
        prepare(network)
    return made


def _train(network, workspace, data, loss, optimizer, state, progress, batch_size, first, last, threads):
    """Make one update for each of the batches first..last, in order.

    Training stops before the update of a batch whose losses or error signals are not finite, with the number of a layer
    in progress.diverged.

    Parameters
    ----------
    network : Network; its weights are updated
    workspace : Workspace for batches of `batch_size` rows (see `training_workspace`)
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
    # All types must equal those that `prepare` compiles for, whatever integers come: so they are converted to intp.
    learning = Learning(network, workspace, data, loss, optimizer, state, progress, np.intp(batch_size))
    # Parallel regions accept no tuples within tuples, such as a Learning, but its address on the stack.
    kept, task = on_stack(learning), on_stack(Task(network, workspace, data, loss))
    begin, end = np.intp(first), np.intp(last)
    if not is_compiled(kept, task, begin, end, np.intp(0)) or not len(workspace.gradients):
        raise RuntimeError(
            "workspace is not made for training in this process; accepted: one made by `training_workspace`"
        )
    for thread in prange(threads):
        call_thread(kept, task, begin, end, np.intp(thread))


# The driver in two forms: its loop over threads as a parallel region, or on the caller's thread for small work.
train, train_serial = parallel_njit(specialize(_train, "train")), njit(specialize(_train, "train_serial"))
