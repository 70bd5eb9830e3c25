"""Evaluation: the loss of many samples, whose blocks threads take one after the other."""

import numpy as np
from numba import prange

from ..calls import on_stack, taken_from_stack
from ..jit import njit, parallel_njit, specialize
from ..products.first_layer import sample_count
from ..products.forward import NO_DROPOUT
from ..subnormals import flush_subnormals, restore_mode
from . import workspace as scratch
from .block import Task, call_block_loss, is_block_loss_compiled, loss_by_address, types_of_block_loss
from .kinds import kind_of
from .phases import TAKEN, take


@njit
def evaluate_blocks(task, thread):
    """Do one thread's part of an evaluation: the losses of blocks that no other thread has taken.

    `task` is the address of a Task.
    """
    mode = flush_subnormals()
    _, workspace, data, _ = taken_from_stack(task)
    block_rows, rows = workspace.block_rows, sample_count(data)
    b = take(workspace.tickets, TAKEN)
    while b * block_rows < rows:
        # All blocks but the last are full: they need not be of nearly equal size, as those of a batch (`block_range`).
        first = b * block_rows
        # A workspace has a slot for each thread, at least.
        call_block_loss(task, NO_DROPOUT, b, thread, thread, first, first, min(block_rows, rows - first), True)
        b = take(workspace.tickets, TAKEN)
    restore_mode(mode)


def evaluation_workspace(network, samples, threads):
    """Make scratch memory to evaluate up to `samples` rows on up to `threads` threads, and compile what that takes."""
    kind = kind_of(network)
    if not loss_by_address.addresses[kind]:
        loss_by_address.prepare("evaluation", kind, types_of_block_loss(network))
    return scratch.workspace(network, 0, threads, samples)


def _evaluate(network, workspace, data, loss, threads):
    """Sum of the losses of all samples, each times its weight; NaN if an input is not finite.

    Parameters
    ----------
    network : Network
    workspace : Workspace; made by `evaluation_workspace` for at least as many samples
    data : Data
    loss : panelwise.losses.Loss
    threads : int; threads that share the work, not more than the workspace was made for

    Returns
    -------
    float
    """
    workspace.tickets[:] = 0
    # Parallel regions accept no tuple that holds tuples, as a Workspace does: its address is passed (see `on_stack`).
    task, index = on_stack(Task(network, workspace, data, loss)), np.intp(0)
    if not is_block_loss_compiled(task, index, index, index, index, index, index, index, True):
        raise RuntimeError(
            "workspace is not made for evaluation in this process; accepted: one made by `evaluation_workspace`"
        )
    for thread in prange(threads):
        evaluate_blocks(task, np.intp(thread))
    loss_sum = 0.0
    for b in range((sample_count(data) + workspace.block_rows - 1) // workspace.block_rows):
        loss_sum += workspace.sums.losses[b]
    return loss_sum


# The driver in two forms: its loop over threads as a parallel region, or on the caller's thread for small work.
evaluate = parallel_njit(specialize(_evaluate, "evaluate"))
evaluate_serial = njit(specialize(_evaluate, "evaluate_serial"))
