"""Scratch memory for training and evaluation: what is kept of blocks, of threads, of pieces, and what is summed up.

Asking for it compiles nothing.
"""

from typing import NamedTuple

import numpy as np

from ..layout.network import sizes as sizes_of
from ..memory import aligned
from ..products.product import DEPTH
from ..products.sparse import Nonzeros
from ..tile.engines import engine_of
from . import plan
from .phases import RELEASED, SPACING


class Blocks(NamedTuple):
    """What is kept of blocks of samples from their forward pass to their gradient, of each in a slot.

    Attributes
    ----------
    activations, deltas : (slots, size) arrays; panels of layers 0 to L (of sparse inputs: 1 to L), and of 1 to L
    """

    activations: np.ndarray
    deltas: np.ndarray


class Scratch(NamedTuple):
    """What a thread needs while it works on a block, or on a piece.

    Attributes
    ----------
    targets : (threads, size) array; panels
    sample_weights : (threads, block_rows) array, padded
    partial_sums : (threads, size) array; panels of error signals whose sums are unfinished, where any have to wait
    gradient : (threads, size) array; a panel of a piece's gradient, where inputs are sparse
    """

    targets: np.ndarray
    sample_weights: np.ndarray
    partial_sums: np.ndarray
    gradient: np.ndarray


class Sums(NamedTuple):
    """What is summed up over blocks and pieces, in their order, when all are done.

    Attributes
    ----------
    losses, weights : (blocks,) float64 arrays; summed losses and sample weights of each block
    squares : (blocks, L) float64 array; summed squared error signals of each block
    overflows : (blocks,) int64 array; layer with the first activation that is not finite, of blocks whose loss is not
    norms, penalties : (pieces,) float64 arrays; squared norms of each piece of the gradient, and of the weights
    """

    losses: np.ndarray
    weights: np.ndarray
    squares: np.ndarray
    overflows: np.ndarray
    norms: np.ndarray
    penalties: np.ndarray


class Workspace(NamedTuple):
    """All scratch memory of training with batches of up to a given size (see `workspace`).

    Attributes
    ----------
    block_rows : int; rows of a block
    keep : bool; whether blocks are kept until all slots are full, or each thread has one slot and each group a gradient
    blocks : Blocks
    nonzeros : products.sparse.Nonzeros; of no elements where inputs are dense
    scratch : Scratch
    gradients : (groups, weights) array; partial gradients, of which the first becomes the gradient
    pieces : record array of layout.tasks.PIECE
    sums : Sums
    tickets : int64 array; counters of the items handed out to threads (see `phases`)
    """

    block_rows: int
    keep: bool
    blocks: Blocks
    nonzeros: Nonzeros
    scratch: Scratch
    gradients: np.ndarray
    pieces: np.ndarray
    sums: Sums
    tickets: np.ndarray


def workspace(network, batch_size, threads, samples=0, block_rows=None, nonzeros=0):
    """Scratch memory for training with batches of up to `batch_size` rows, and evaluating up to `samples` rows.

    Parameters
    ----------
    network : Network
    batch_size, samples : int
        A batch size of 0 is enough to evaluate only.
    threads : int
        That may share the work.
    block_rows : int, optional
        Rows of a block, if the choice is not to be made here.
    nonzeros : int
        Of a block of sparse inputs, at most (see `plan.most_nonzeros`); to train with those, not to evaluate.

    Returns
    -------
    Workspace
    """
    dtype, sizes = network.weights.dtype, tuple(sizes_of(network))
    width, batch_size = engine_of(dtype).width(dtype.itemsize), batch_size or min(samples, plan.EVALUATION_ROWS)
    sparse = network.layers["outputs"][0] == 0  # there are no panels of inputs before them
    block_rows = plan.whole_tiles(block_rows) if block_rows else plan.rows_of_a_block(sizes, batch_size)
    blocks, panels = -(-batch_size // block_rows), [-(-n // width) for n in sizes]
    groups = 1 if sparse else plan.groups(sizes, batch_size)
    keep = sparse or plan.keeps_blocks(sizes, batch_size, blocks, groups, network.weights.nbytes)
    outputs = sum(panels[1:])
    stored = outputs + (0 if sparse else panels[0])
    panel = width * block_rows
    slots = plan.slots(blocks, threads, (stored + outputs) * panel * dtype.itemsize) if keep else threads
    pieces, side = plan.pieces(sizes, width)
    waiting = max(panels[1:-1]) if max(sizes[2:], default=0) > DEPTH else 0
    summed, count = max(blocks, -(-samples // block_rows)), len(pieces)
    return Workspace(
        block_rows=block_rows,
        keep=keep,
        blocks=Blocks(aligned((slots, stored * panel), dtype), aligned((slots, outputs * panel), dtype)),
        nonzeros=Nonzeros(
            side.bit_length() - 1,
            np.zeros((slots, -(-sizes[0] // side) + 2 if nonzeros else 0), np.int64),
            np.empty((slots, nonzeros), np.int32),
            np.empty((slots, nonzeros), np.int32),
            np.empty((slots, nonzeros), dtype),
        ),
        scratch=Scratch(
            targets=aligned((threads, panels[-1] * panel), dtype),
            sample_weights=aligned((threads, -(-block_rows // width) * width), dtype),
            partial_sums=aligned((threads, waiting * panel), dtype),
            gradient=aligned((threads, (side + 1) * width if nonzeros else 0), dtype),
        ),
        gradients=aligned((1 if keep else min(groups, blocks), network.weights.size), dtype),
        pieces=pieces,
        sums=Sums(
            losses=np.zeros(summed),
            weights=np.zeros(blocks),
            squares=np.zeros((blocks, len(sizes) - 1)),
            overflows=np.zeros(blocks, np.int64),
            norms=np.zeros(count),
            penalties=np.zeros(count),
        ),
        tickets=np.zeros((RELEASED + 1) * SPACING, np.int64),
    )


def prediction_scratch(network, rows, shares):
    """Scratch memory for predicting `rows` rows in `shares` shares.

    Returns
    -------
    activations : (shares, size) array
    block_rows : int; rows of a block
    """
    dtype, last = network.weights.dtype, network.layers[-1]
    width, block_rows = engine_of(dtype).width(dtype.itemsize), plan.whole_tiles(min(plan.BLOCK, rows))
    panels = last["outputs"] + -(-last["n_out"] // width)
    return aligned((min(shares, -(-rows // block_rows)), panels * width * block_rows), dtype), block_rows
