"""Scratch memory for training, evaluation and prediction: arrays for blocks, for threads, for gradients and for sums.

Making it compiles nothing. For the words block, slot, group and piece see the opening docstring of this folder
(`drivers/__init__.py`).
"""

from typing import NamedTuple

import numpy as np

from ..layout.network import MixedNetwork
from ..layout.network import sizes as sizes_of
from ..memory import aligned
from ..products.mixed import group_of
from ..products.operands import block_multiple_of, has_float_inputs, panel_rows_of
from ..products.product import DEPTH
from ..products.sparse import Nonzeros
from ..tile.engines import engine_of
from . import plan
from .kinds import is_for_sparse
from .phases import RELEASED, SPACING


class Blocks(NamedTuple):
    """Activations and error signals of blocks of samples, from their forward pass to their gradient: a slot for each.

    Of a MixedNetwork only what gradients read is kept in slots; the rest belongs to threads (see `block.block_memory`).

    Attributes
    ----------
    activations : (slots or threads, size) array; panels of layers 0 to L, or of layers 1 to L if inputs are sparse
    deltas : (slots or threads, size) array; panels of layers 1 to L: slopes or net inputs, then error signals
    left : (threads, size) uint16 array
    kept : (slots, size) uint16 array
    sums : (slots, size) array; this and the two before see `products.operands.Forms`; size 0 for a Network
    """

    activations: np.ndarray
    deltas: np.ndarray
    left: np.ndarray
    kept: np.ndarray
    sums: np.ndarray


class Scratch(NamedTuple):
    """Scratch memory of each thread, for the block or the piece that it works on: a row of each array.

    Attributes
    ----------
    targets : (threads, size) array; panels of the block's targets
    sample_weights : (threads, size) array; weights of the block's samples, and padding
    partial_sums : (threads, size) array; panels of unfinished error signals (see `products.deltas.backward`); size 0 if
        no hidden layer needs them
    gradient : (threads, size) array; one panel of a piece's gradient (see `products.sparse.learn_piece`); size 0 if
        inputs are dense
    """

    targets: np.ndarray
    sample_weights: np.ndarray
    partial_sums: np.ndarray
    gradient: np.ndarray


class Sums(NamedTuple):
    """Sums over each block and each piece, which one thread adds up in their order when all are done.

    Attributes
    ----------
    losses, weights : (blocks,) float64 arrays; sums of the weighted losses and of the weights of a block's samples
        (losses also of the blocks of an evaluation, which may be more)
    squares : (blocks, L) float64 array; sums of a block's squared error signals of each layer
    overflows : (blocks,) int64 array; for a block whose loss is not finite, the first layer, counted from 1, with an
        activation that is not finite
    norms, penalties : (pieces,) float64 arrays; squares of the norms of a piece's gradient and of its weights without
        biases, which add up to those of all pieces
    """

    losses: np.ndarray
    weights: np.ndarray
    squares: np.ndarray
    overflows: np.ndarray
    norms: np.ndarray
    penalties: np.ndarray


class Workspace(NamedTuple):
    """Scratch memory for training with batches of up to a given number of rows (see `workspace`).

    Attributes
    ----------
    block_rows : int; rows of a block (for the rows that a panel has room for see `products.operands.panel_rows_of`)
    keep : bool; True: blocks are kept until all slots are full, and owners of pieces compute the gradient from them;
        False: each thread has one slot, and each group of blocks a gradient, which owners of pieces add up
    blocks : Blocks
    nonzeros : products.sparse.Nonzeros; without elements if inputs are dense
    scratch : Scratch
    gradients : (groups, size) array, each row packed like the weights; gradients of groups, the first of which becomes
        the gradient of the batch; (0, size) if made to evaluate only
    pieces : record array of layout.tasks.PIECE
    sums : Sums
    tickets : int64 array; counters of the items that threads take (see `drivers.phases`)
    places : int64 array; where a batch is shared with other processes, the row of the batch for each row of this one's
        part of it, for dropout; empty otherwise
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
    places: np.ndarray


def workspace(network, batch_size, threads, samples=0, block_rows=None, nonzeros=0):
    """Make scratch memory for training with batches of up to `batch_size` rows, and for evaluating `samples` rows.

    Parameters
    ----------
    network : Network
        For sparse inputs, one made for them (see `products.first_layer.network_for`).
    batch_size, samples : int
        Rows of a batch and rows of an evaluation, at most; not both 0. With a batch size of 0 the memory is for
        evaluation only.
    threads : int
        Number of threads that share the work, at most.
    block_rows : int, optional
        Rows of a block, rounded up to whole tiles; by default they are chosen by `plan`.
    nonzeros : int
        Bound on the non-zeros of a block of sparse inputs (see `plan.most_nonzeros`, which needs `block_rows` too if it
        is given), needed for training only.

    Returns
    -------
    Workspace
    """
    dtype, sizes = network.weights.dtype, tuple(sizes_of(network))
    width, training = engine_of(dtype).width(dtype.itemsize), batch_size > 0
    batch_size = batch_size or min(samples, plan.EVALUATION_ROWS)
    sparse = is_for_sparse(network)
    mixed, tile_rows = isinstance(network, MixedNetwork), block_multiple_of(network)
    limits = plan.limits_of(mixed)
    given = plan.whole_tiles(block_rows, tile_rows) if block_rows else 0
    block_rows = given or plan.rows_of_a_block(sizes, batch_size, tile_rows, limits)
    blocks, panels = -(-batch_size // block_rows), [-(-n // width) for n in sizes]  # -(-a // b) is a / b rounded up
    # With sparse inputs the gradient of the first layer is stored only where it must be (see the opening docstring of
    # `training`); each group would have to store one.
    groups = 1 if sparse else plan.groups_of(sizes, batch_size, limits)
    keep = sparse or plan.keeps_blocks(sizes, batch_size, blocks, groups, network.weights.nbytes)
    delta_panels = sum(panels[1:])
    activation_panels = delta_panels + (0 if sparse else panels[0])
    panel = width * panel_rows_of(network, block_rows)  # elements of a panel
    forms = (activation_panels + delta_panels) * panel if mixed else 0
    keeps_floats = not mixed or sparse or has_float_inputs(network.layers[0])
    block_bytes = forms * 2 + (activation_panels + delta_panels) * panel * dtype.itemsize * keeps_floats
    slots = plan.slots(blocks, threads, block_bytes, network.weights.nbytes, limits) if keep else threads
    blocks_or_threads = slots if keeps_floats else threads
    pieces, side = plan.pieces(sizes, width, limits)
    # The sums of a hidden layer's error signals have a term for each unit of the layer after: at most DEPTH at a time.
    # Those of a MixedNetwork are added up apart from the slopes, a group of panels at a time.
    if mixed:
        unfinished_panels = max(map(group_of, sizes[1:]))
    else:
        unfinished_panels = max(panels[1:-1]) if max(sizes[2:], default=0) > DEPTH else 0
    evaluated_blocks = -(-samples // block_rows)
    buffers = 1 if keep else min(groups, blocks)
    return Workspace(
        block_rows=block_rows,
        keep=keep,
        blocks=Blocks(
            activations=aligned((blocks_or_threads, activation_panels * panel), dtype),
            deltas=aligned((blocks_or_threads, delta_panels * panel), dtype),
            left=aligned((threads, forms), np.uint16),
            kept=aligned((slots, forms), np.uint16),
            sums=aligned((slots, 2 * delta_panels * width if mixed else 0), dtype),
        ),
        nonzeros=Nonzeros(
            bits=side.bit_length() - 1,  # log2(side)
            # A start for each bin, and two more: the end of the last, and one that the counting sort needs.
            starts=np.zeros((slots, -(-sizes[0] // side) + 2 if nonzeros else 0), np.int64),
            columns=np.empty((slots, nonzeros), np.int32),
            samples=np.empty((slots, nonzeros), np.int32),
            values=np.empty((slots, nonzeros), dtype),
        ),
        scratch=Scratch(
            targets=aligned((threads, panels[-1] * panel), dtype),
            sample_weights=aligned((threads, -(-block_rows // width) * width), dtype),
            partial_sums=aligned((threads, unfinished_panels * panel), dtype),
            gradient=aligned((threads, (side + 1) * width if nonzeros else 0), dtype),  # + 1: the row of biases
        ),
        gradients=aligned((buffers if training else 0, network.weights.size), dtype),
        pieces=pieces,
        sums=Sums(
            losses=np.zeros(max(blocks, evaluated_blocks)),
            weights=np.zeros(max(blocks, evaluated_blocks)),
            squares=np.zeros((blocks, len(sizes) - 1)),
            overflows=np.zeros(blocks, np.int64),
            norms=np.zeros(len(pieces)),
            penalties=np.zeros(len(pieces)),
        ),
        tickets=np.zeros((RELEASED + 1) * SPACING, np.int64),
        places=np.empty(0, np.int64),
    )


def prediction_scratch(network, rows, shares):
    """Make scratch memory for predicting `rows` rows on up to `shares` threads.

    Parameters
    ----------
    network : Network
        For sparse inputs, one made for them (see `products.first_layer.network_for`).
    rows : int
    shares : int
        Number of threads among which the blocks are divided, at most.

    Returns
    -------
    memory : (shares, size) array; a row for each thread, for a block's activations, and for a MixedNetwork for their
        forms as operands (see `prediction.parts_of`); fewer rows if blocks are fewer
    block_rows : int; rows of a block
    """
    dtype, layer, mixed = network.weights.dtype, network.layers[-1], isinstance(network, MixedNetwork)
    width = engine_of(dtype).width(dtype.itemsize)
    block_rows = plan.whole_tiles(min(plan.limits_of(mixed).block, rows), block_multiple_of(network))
    panels = layer["outputs"] + -(-layer["n_out"] // width)
    size = panels * width * panel_rows_of(network, block_rows)
    return aligned((min(shares, -(-rows // block_rows)), size * 3 // 2 if mixed else size), dtype), block_rows
