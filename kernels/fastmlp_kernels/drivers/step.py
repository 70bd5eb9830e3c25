"""Work of each phase of a training step, on one share, one piece of the weights, or the sums of a batch.

The phases are explained in `training`, which calls these functions; the words chunk, share and piece in the opening
docstring of this folder (`drivers/__init__.py`). Most functions are `spliced`: written into their few callers before
these are compiled. Functions made by `by_type` have two forms, chosen by whether the inputs are dense or sparse.
"""

import math
from typing import NamedTuple

import numpy as np

from ..functions.updates import NONE, Optimizer, State
from ..jit import by_class, njit, spliced
from ..layout.network import MixedNetwork, Network
from ..layout.panels import block_range
from ..layout.samples import Data
from ..layout.tasks import panel_range
from ..panelwise.losses import Loss
from ..products import sparse
from ..products.first_layer import by_type, slot_gradient
from ..products.gradients import mixed_gradient
from ..products.learning import update_panel
from ..products.mixed import give_tiles, take_tiles
from ..products.operands import block_multiple_of, has_float_gradient, panel_rows_of
from ..tile.operations import load, multiply_add, panel_width, total, zero
from .block import block_memory, train_block
from .workspace import Workspace

# The phases. SAMPLES: blocks are trained up to their error signals. WEIGHTS: gradients are completed, and weights
# updated unless gradients are clipped. CLIPPED, only if they are: weights are updated.
SAMPLES, WEIGHTS, CLIPPED = range(3)


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
    """Arguments that all batches of a training have in common (see `training._train`)."""

    network: Network
    workspace: Workspace
    data: Data
    loss: Loss
    optimizer: Optimizer
    state: State
    progress: Progress
    batch_size: int


class Chunk(NamedTuple):
    """Consecutive blocks of a batch that are trained before their gradient is computed: all, if there are enough slots.

    Attributes
    ----------
    start, rows : int; first sample of the batch, and number of its samples
    begin, end : int; range of the chunk's blocks
    block_count : int; blocks of the batch: the chunk is the batch's last if end == block_count
    """

    start: int
    rows: int
    begin: int
    end: int
    block_count: int


class Rates(NamedTuple):
    """Factors of an update: its gradient is `scale` times the gradient summed over samples + `l2` times the weights."""

    scale: float
    l2: float


@spliced
def chunks_of(workspace, rows):
    """Number of blocks of a batch of `rows` samples, and number of blocks of a chunk: a pair of int."""
    block_count = (rows + workspace.block_rows - 1) // workspace.block_rows
    slots = len(workspace.blocks.kept) if workspace.keep else block_count
    chunks = (block_count + slots - 1) // slots
    return block_count, (block_count + chunks - 1) // chunks


@spliced
def share_count(workspace, chunk):
    """Number of items of the phase SAMPLES: blocks of the chunk if they are kept, else groups of blocks."""
    return chunk.end - chunk.begin if workspace.keep else min(chunk.block_count, len(workspace.gradients))


@spliced
def add_block(gradient, learning, chunk, piece, b, slot, thread, fresh):
    """Compute the gradient of a piece of the weights over one block of a batch.

    Parameters
    ----------
    gradient : 1-D array packed like the weights; the elements of the piece are written or added to
    learning : Learning
    chunk : Chunk of the batch
    piece : a record of `layout.tasks.PIECE`
    b, slot, thread : int; number of the block in the batch, the slot that holds it, and the thread that trained it or,
        if blocks are kept, any
    fresh : bool; whether to overwrite the gradient rather than add to it
    """
    workspace = learning.workspace
    _, count = block_range(workspace.block_rows, b, chunk.rows, block_multiple_of(learning.network))
    where = block_memory(workspace.blocks, slot, thread), workspace.nonzeros, slot
    panel_rows = panel_rows_of(learning.network, workspace.block_rows)
    more = workspace.keep and b + 1 < chunk.end
    slot_gradient(learning.data.x, gradient, learning.network, *where, piece, count, panel_rows, fresh, more)


@spliced
def train_share(learning, task, chunk, i, thread):
    """Do item `i` of the phase SAMPLES: train a block that is kept, or a group of blocks and their gradient.

    `task` is the address of a Task (see `block`), the part of the Learning that the loss depends on.
    """
    network, workspace, data = learning.network, learning.workspace, learning.data
    shares, count = share_count(workspace, chunk), chunk.end - chunk.begin
    # If blocks are kept there are as many shares as blocks, so that this is one block; else the blocks of group i.
    first, last = chunk.begin + i * count // shares, chunk.begin + (i + 1) * count // shares
    slot, update = i if workspace.keep else thread, learning.state.steps[0]
    for b in range(first, last):
        train_block(network, workspace, data, task, update, b, slot, thread, chunk.start, chunk.rows)
        if not workspace.keep:
            take_tiles(network)
            for piece in workspace.pieces:
                add_block(workspace.gradients[i], learning, chunk, piece, b, slot, thread, b == first)
            give_tiles(network)


@spliced
def add_one_by_one(learning, chunk, piece):
    """Add the blocks of a chunk, which are kept, to the gradient of a piece; the first of a batch overwrites."""
    for b in range(chunk.begin, chunk.end):
        add_block(learning.workspace.gradients[0], learning, chunk, piece, b, b - chunk.begin, 0, b == 0)


def _add_blocks(network, learning, chunk, piece):
    """Add the blocks of a chunk to the gradient of a piece (see `add_one_by_one`); `network` is that of `learning`."""
    add_one_by_one(learning, chunk, piece)


def _add_mixed_blocks(network, learning, chunk, piece):
    """See `_add_blocks`; several blocks at a time, unless the gradient is that of float32 numbers."""
    workspace = learning.workspace
    if has_float_gradient(network.layers[piece.layer]):
        add_one_by_one(learning, chunk, piece)
    else:
        sizes = chunk.rows, workspace.block_rows, panel_rows_of(network, workspace.block_rows)
        where = network.layers[piece.layer], piece, workspace.blocks.kept, workspace.blocks.sums
        mixed_gradient(workspace.gradients[0], *where, sizes, chunk.begin, chunk.end, chunk.begin == 0)


add_blocks = by_class(MixedNetwork, _add_mixed_blocks, _add_blocks)


@spliced
def complete_gradient(learning, chunk, piece):
    """Complete the gradient of a piece over the blocks of a chunk, in workspace.gradients[0].

    Blocks are added if they are kept (see `add_blocks`); otherwise gradients of groups are.
    """
    network, workspace = learning.network, learning.workspace
    gradient = workspace.gradients[0]
    if workspace.keep:
        take_tiles(network)
        add_blocks(network, learning, chunk, piece)
        give_tiles(network)
    else:
        for column in range(piece.left, piece.right, panel_width(network.weights)):
            begin, _, end = panel_range(network, piece, column)  # start of the biases, start and end of the weights
            sums = gradient[begin:end]
            for g in range(1, min(chunk.end, len(workspace.gradients))):
                group = workspace.gradients[g][begin:end]
                for i in range(len(sums)):
                    sums[i] += group[i]


@njit
def squared_norm(network, gradient, piece, biases):
    """Sum of squares of a piece of a packed gradient: of weights, and of biases if `biases` and the network has any.

    Squares are added one by one in float64, as in `embed.update.gradient_norm`: clipping depends on the sum.
    """
    squares = 0.0
    for column in range(piece.left, piece.right, panel_width(gradient)):
        bias_start, start, stop = panel_range(network, piece, column)
        for i in range(bias_start if biases and network.layers[piece.layer].bias else start, stop):
            squares += gradient[i] * gradient[i]
    return squares


@spliced
def squared_weights(network, piece):
    """Sum of squares of a piece of the weights, without biases.

    Those of a panel are added row by row in the dtype of the weights, which is faster: the sum is only reported.
    """
    weights, width, sum_ = network.weights, panel_width(network.weights), 0.0
    for column in range(piece.left, piece.right, width):
        _, start, stop = panel_range(network, piece, column)
        squares = zero(weights, 1)
        for i in range(start, stop, width):
            row = load(weights, i, 0, 1)
            squares = multiply_add(row, row, squares)
        sum_ += total(squares)
    return sum_


@spliced
def update_piece(learning, piece, rates):
    """Update a piece of the weights from its gradient in workspace.gradients[0]."""
    network, gradient = learning.network, learning.workspace.gradients[0]
    for column in range(piece.left, piece.right, panel_width(gradient)):
        # The argument 0 is the origin: the gradient is packed like the weights.
        update_panel(network, learning.state, learning.optimizer, piece, column, gradient, 0, rates.scale, rates.l2)


def _learn_dense(x, learning, chunk, piece, rates, thread):
    """Update a piece without storing its gradient, if it is of the first layer and inputs are sparse; else do nothing.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows; only its type counts
    learning : Learning
    chunk : Chunk that is a whole batch
    piece : a record of `layout.tasks.PIECE`
    rates : Rates
    thread : int; the thread whose scratch memory is used

    Returns
    -------
    bool
        Whether the piece was updated.
    """
    return False


def _learn_sparse(x, learning, chunk, piece, rates, thread):
    """See `_learn_dense`."""
    workspace = learning.workspace
    if piece.layer == 0:
        common = learning.network, learning.state, learning.optimizer, workspace.nonzeros
        gradient, sizes = workspace.scratch.gradient[thread], (workspace.block_rows, chunk.block_count, chunk.rows)
        sparse.learn_piece(*common, piece, workspace.blocks.deltas, gradient, *sizes, rates.scale, rates.l2)
    return piece.layer == 0


learn_at_once = by_type(_learn_dense, _learn_sparse)


@spliced
def train_piece(learning, chunk, i, rates, thread):
    """Do item `i` of the phase WEIGHTS: complete the gradient of a piece over a chunk, and update the piece.

    It is updated with the last chunk of a batch, unless the gradient is to be clipped first, or there is no optimizer.
    """
    workspace, optimizer, piece = learning.workspace, learning.optimizer, learning.workspace.pieces[i]
    clip, last = optimizer.clip_norm > 0, chunk.end == chunk.block_count
    learns = last and not clip and optimizer.kind != NONE
    if last and is_penalized(learning):
        workspace.sums.penalties[i] = squared_weights(learning.network, piece)
    whole = learns and chunk.begin == 0
    if whole and learn_at_once(learning.data.x, learning, chunk, piece, rates, thread):
        return
    complete_gradient(learning, chunk, piece)
    if clip:
        square = squared_norm(learning.network, workspace.gradients[0], piece, optimizer.update_biases)
        workspace.sums.norms[i] = square  # of the chunks so far; complete with the last
    elif learns:
        update_piece(learning, piece, rates)


@spliced
def is_penalized(learning):
    """Whether there is a penalty on the weights, and `progress` asks for its value."""
    return learning.optimizer.l2 > 0 and learning.progress.means.size > 0


@spliced
def mean_scale(sums, block_count):
    """Factor from a sum over a batch to a mean: 1 / the sum of its samples' weights, or 0 if that is 0."""
    weights = 0.0
    for b in range(block_count):
        weights += sums.weights[b]
    return 1 / weights if weights > 0 else 0.0


@njit
def clipping(limit, scale, norms):
    """Factor, at most 1, that reduces a gradient to the norm `limit`.

    The gradient is `scale` times one whose squared norm is the sum of `norms`, the squared norms of its pieces. The
    factor is 1 for a gradient of zeros, as it is for a scale of 0: then the weights of all samples are 0.
    """
    squares = 0.0
    for square in norms:
        squares += square
    return min(1.0, limit / (scale * math.sqrt(squares))) if squares > 0 else 1.0


@spliced
def rates_of(learning, chunk, phase):
    """Rates of the updates in a phase, WEIGHTS or CLIPPED, from sums that are complete after the phase before."""
    optimizer, sums = learning.optimizer, learning.workspace.sums
    scale = mean_scale(sums, chunk.block_count) if optimizer.mean and chunk.end == chunk.block_count else 1.0
    l2 = optimizer.l2 * (scale if optimizer.average_l2 else 1.0)
    return Rates(scale * clipping(optimizer.clip_norm, scale, sums.norms) if phase == CLIPPED else scale, l2)


@spliced
def summarize(learning, chunk):
    """Add losses and squared error signals of a batch to the progress, in the order of its blocks.

    If a sum is not finite, progress.diverged is set instead to the number of a layer, counted from 1. For the losses it
    is that in `Sums.overflows` for the first block whose loss is not finite, or the last layer if all losses are and
    only their sum is not; for squared error signals, the last layer whose sum is not finite.
    """
    progress, sums, layers = learning.progress, learning.workspace.sums, len(learning.network.layers)
    loss = 0.0
    for b in range(chunk.block_count):
        loss += sums.losses[b]
        if not math.isfinite(loss):
            progress.diverged[0] = layers if math.isfinite(sums.losses[b]) else sums.overflows[b]
            return
    for l in range(layers - 1, -1, -1):
        squares = 0.0
        for b in range(chunk.block_count):
            squares += sums.squares[b, l]
        if not math.isfinite(squares):
            progress.diverged[0] = l + 1
            return
        progress.squares[l] += squares
    progress.loss[0] += loss
    if progress.means.size:
        scale = mean_scale(sums, chunk.block_count) if learning.optimizer.mean else 1.0
        progress.means[0] += chunk.rows * loss * scale


@spliced
def note_penalty(learning, chunk, rates):
    """Add the penalty of a batch, times its number of samples, to the progress."""
    squares = 0.0
    for square in learning.workspace.sums.penalties:
        squares += square
    learning.progress.means[1] += chunk.rows * rates.l2 / 2 * squares


@spliced
def conclude_weights(learning, chunk, phase, rates):
    """Do the work at the end of the phase WEIGHTS or CLIPPED of a batch's last chunk, which one thread does.

    The penalty is added to the progress, and the update is counted.
    """
    optimizer = learning.optimizer
    if phase == WEIGHTS and is_penalized(learning):
        note_penalty(learning, chunk, rates)
    if optimizer.kind != NONE and phase == (CLIPPED if optimizer.clip_norm > 0 else WEIGHTS):
        learning.state.steps[0] += 1
