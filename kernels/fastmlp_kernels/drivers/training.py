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
from numba import prange
from numba.extending import overload

from ..calls import address_table, call_kernel, kernel_address, on_stack, taken_from_stack
from ..functions.updates import NO_UPDATE, State
from ..jit import INLINED, njit, parallel_njit, specialize
from ..layout.network import MixedNetwork
from ..layout.samples import Data, SparseRows
from ..panelwise.losses import Loss
from ..products.first_layer import sample_count
from ..subnormals import flush_subnormals, restore_mode
from . import workspace as scratch
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
    conclude,
    rates_of,
    share_count,
    train_piece,
    train_share,
    update_piece,
)


@njit
def train_thread(learning, first, last, thread):
    """Do one thread's part of the training with batches first..last: the loop over batches, chunks, phases and items.

    All threads end early when progress.diverged is set.
    """
    mode = flush_subnormals()
    workspace, tickets = learning.workspace, learning.workspace.tickets
    rates = Rates(1.0, 0.0)  # Numba needs their type before the loop; replaced before their first use
    item, end = take(tickets, TAKEN), 0
    for batch in range(first, last):
        start = batch * learning.batch_size
        rows = min(learning.batch_size, sample_count(learning.data) - start)
        block_count, count = chunks_of(workspace, rows)
        for begin in range(0, block_count, count):
            chunk = Chunk(start, rows, begin, min(begin + count, block_count), block_count)
            clipped = learning.optimizer.clip_norm > 0 and chunk.end == block_count
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
                    restore_mode(mode)
                    return

    restore_mode(mode)


# Addresses of `train_thread` by `_index`, and the types of the arguments that each is compiled for. If drivers called
# the function itself, Numba would compile it again into each of them, and three times more for a parallel region:
# almost half of all the compilation that a first training waits for.
_addresses, _address_at = address_table("fastmlp_kernels_training_addresses", 6)
_types = {}


def _index(network):
    """Index in `_addresses`, by the precision of a network and whether it is made for sparse inputs: 0 to 5."""
    precision = 2 if isinstance(network, MixedNetwork) else network.weights.itemsize // 8
    return precision * 2 + int(_is_for_sparse(network))


def _is_for_sparse(network):
    """Whether a network is made for sparse inputs (see `products.first_layer.network_for`)."""
    return network.layers["outputs"][0] == 0


def prepare(network, workspace):
    """Compile `train_thread` for the precision and the inputs (dense or sparse) of this network, unless it is already.

    Then drivers can call it by its address. Only types count; the arguments that training has besides `network` and
    `workspace` are made here without elements.
    """
    index, dtype = _index(network), network.weights.dtype
    if index not in _types:
        numbers, integers, matrix = np.empty(0, dtype), np.empty(0, np.int64), np.empty((0, 0), dtype)
        x = SparseRows(integers, np.empty(0, np.int32), numbers) if _is_for_sparse(network) else matrix
        data, loss = Data(x, matrix, integers, integers, numbers), Loss(0, False, 0.0, 0.0)
        state, progress = State(numbers, numbers, integers), Progress(np.empty(0), np.empty(0), integers, np.empty(0))
        learning = Learning(network, workspace, data, loss, NO_UPDATE, state, progress, 0)
        _types[index], _addresses[index] = kernel_address(train_thread, (learning, 0, 0, 0))


def training_workspace(network, batch_size, threads, samples=0, block_rows=None, nonzeros=0):
    """Make scratch memory as `drivers.workspace.workspace` does, and compile training unless `batch_size` is 0."""
    made = scratch.workspace(network, batch_size, threads, samples, block_rows, nonzeros)
    if batch_size:
        prepare(network, made)
    return made


def run_thread(learning, first, last, thread):
    """Call `train_thread` for a Learning on the stack (see `calls.on_stack`): by address if `prepare` compiled it."""
    train_thread(taken_from_stack(learning), first, last, thread)


@overload(run_thread, jit_options=INLINED)
def _run_thread(learning, first, last, thread):
    """Compiled form of `run_thread`, for Numba types: `learning.held` is that of the Learning on the stack.

    Types are not known if `prepare` has not run before the caller is compiled, or if an array is of another type than
    `prepare` assumes, such as a read-only one. Then `train_thread` is compiled into the caller.
    """
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
    """Compiled form of `is_prepared`; true, too, where `run_thread` calls `train_thread` itself, not by address."""
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
    kept, begin, end = on_stack(learning), np.intp(first), np.intp(last)
    if not is_prepared(kept) or not len(workspace.gradients):
        raise RuntimeError(
            "workspace is not made for training in this process; accepted: one made by `training_workspace`"
        )
    for thread in prange(threads):
        run_thread(kept, begin, end, np.intp(thread))


# The driver in two forms: its loop over threads as a parallel region, or on the caller's thread for small work.
train, train_serial = parallel_njit(specialize(_train, "train")), njit(specialize(_train, "train_serial"))
