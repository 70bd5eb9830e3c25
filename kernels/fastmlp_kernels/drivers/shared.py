"""Update from a gradient that several processes added up: the end of a batch whose samples are shared among them.

Each process trains on its own part of a batch with NO_UPDATE, which leaves the gradient in workspace.gradients[0] and
sums in a Progress. Callers add these up over the processes, and call the driver here in each with the same numbers.
"""

import numpy as np
from numba import prange

from ..calls import on_stack, taken_from_stack
from ..jit import njit, parallel_njit, specialize
from ..subnormals import flush_subnormals, restore_mode
from .step import (
    CLIPPED,
    WEIGHTS,
    Chunk,
    Learning,
    conclude_weights,
    is_penalized,
    rates_of,
    squared_norm,
    squared_weights,
    update_piece,
)


@njit
def measure_pieces(kept, thread, threads):
    """Do one thread's part of the sums of squares that an update depends on: those of every `threads`-th piece.

    `kept` is the address of a Learning.
    """
    mode = flush_subnormals()
    learning = taken_from_stack(kept)
    network, workspace, optimizer = learning.network, learning.workspace, learning.optimizer
    for i in range(thread, len(workspace.pieces), threads):
        piece = workspace.pieces[i]
        if is_penalized(learning):
            workspace.sums.penalties[i] = squared_weights(network, piece)
        if optimizer.clip_norm > 0:
            gradient = workspace.gradients[0]
            workspace.sums.norms[i] = squared_norm(network, gradient, piece, optimizer.update_biases)
    restore_mode(mode)


@njit
def update_pieces(kept, rates, thread, threads):
    """Do one thread's part of an update: that of every `threads`-th piece; see `measure_pieces`."""
    mode = flush_subnormals()
    learning = taken_from_stack(kept)
    for i in range(thread, len(learning.workspace.pieces), threads):
        update_piece(learning, learning.workspace.pieces[i], rates)
    restore_mode(mode)


def _update(network, workspace, data, loss, optimizer, state, progress, rows, weight, threads):
    """Make one update from the gradient in workspace.gradients[0], as `training` does at the end of a batch.

    Parameters
    ----------
    network, workspace, data, loss, optimizer, state, progress : see `training._train`; of `progress`, the penalty is
        added to; of `data` and `loss`, only the types count
    rows : int; samples of the batch, in all processes
    weight : float; sum of their weights
    threads : int; threads that share the work; 0: nothing is done
    """
    if threads > 0:
        workspace.sums.weights[0] = weight  # as if the batch were one block
        learning = Learning(network, workspace, data, loss, optimizer, state, progress, np.intp(rows))
        kept, chunk = on_stack(learning), Chunk(np.intp(0), np.intp(rows), np.intp(0), np.intp(1), np.intp(1))
        for thread in prange(threads):
            measure_pieces(kept, thread, threads)
        rates = rates_of(learning, chunk, CLIPPED if optimizer.clip_norm > 0 else WEIGHTS)
        for thread in prange(threads):
            update_pieces(kept, rates, thread, threads)
        for phase in range(WEIGHTS, CLIPPED + 1 if optimizer.clip_norm > 0 else CLIPPED):
            conclude_weights(learning, chunk, phase, rates)


# The driver in two forms: its loops over threads as parallel regions, or on the caller's thread for small work.
update, update_serial = parallel_njit(specialize(_update, "update")), njit(specialize(_update, "update_serial"))
