"""Evaluation: the loss of many samples, whose blocks threads take one after the other."""

import numpy as np
from numba import prange

from ..calls import on_stack, taken_from_stack
from ..jit import njit, parallel_njit, specialize
from ..products.first_layer import sample_count
from ..products.forward import NO_DROPOUT
from ..subnormals import flush_subnormals, restore_mode
from .block import block_loss
from .phases import TAKEN, take


@njit
def evaluate_blocks(network, workspace, data, loss, thread):
    """Do one thread's part of an evaluation: sum the losses of blocks that no other thread has taken."""
    mode = flush_subnormals()
    block_rows, rows = workspace.block_rows, sample_count(data)
    b = take(workspace.tickets, TAKEN)
    while b * block_rows < rows:
        # All blocks but the last are full: they need not be of nearly equal size, as those of a batch (`block_range`).
        first_row = b * block_rows
        count = min(block_rows, rows - first_row)
        loss_sum, _, finite = block_loss(
            network,
            workspace,
            data,
            loss,
            update=NO_DROPOUT,
            slot=thread,  # a workspace has a slot for each thread, at least
            thread=thread,
            start=0,  # all samples are one batch
            first_row=first_row,
            rows=count,
        )
        workspace.sums.losses[b] = loss_sum if finite else np.nan
        b = take(workspace.tickets, TAKEN)
    restore_mode(mode)


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
    # Parallel regions accept no tuple that holds tuples, as a Workspace does: its address is passed (see `on_stack`).
    kept = on_stack((network, workspace, data, loss))
    for thread in prange(threads):
        network_, workspace_, data_, loss_ = taken_from_stack(kept)
        evaluate_blocks(network_, workspace_, data_, loss_, np.intp(thread))
    loss_sum = 0.0
    for b in range((sample_count(data) + workspace.block_rows - 1) // workspace.block_rows):
        loss_sum += workspace.sums.losses[b]
    return loss_sum


# The driver in two forms: its loop over threads as a parallel region, or on the caller's thread for small work.
evaluate = parallel_njit(specialize(_evaluate, "evaluate"))
evaluate_serial = njit(specialize(_evaluate, "evaluate_serial"))
