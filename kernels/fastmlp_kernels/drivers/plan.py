"""How a batch is cut up: rows to a block, groups of blocks, pieces of the weights. All of it follows from shapes alone.

The number of threads decides only how many blocks there is room for at a time: results do not depend on it.
"""

import functools
import itertools

import numpy as np

from ..layout.network import sizes as sizes_of
from ..layout.samples import SparseRows, most_entries
from ..layout.tasks import PIECE
from ..memory import aligned
from ..tile.engines import SHAPE
from .phases import RELEASED, SPACING
from .training import Workspace, thread_address

BLOCK = 144  # rows: gradients are 2 to 3 % faster than with 96 on AVX2, slower with 288, and the other products alike
MIN_BLOCK = 24  # rows, where a small batch is shared between threads
SHARES = 4  # blocks at least, where it is; more come in multiples, so that threads have equal shares
SHARE_FLOPS = 1_000_000  # of such a share, at least: some 10 us
GROUPS = 64  # of blocks, at most; each has its own gradient
GROUP_READS = 5  # numbers that a group makes for its gradient, at least, for each number that this adds to the sum
GROUP_BYTES = 4 * 1024 * 1024  # of a group's gradient, at most: groups won by 10 % at 1.6 MB, lost by 2 to 5 % at 12 MB
# Of activations and deltas that wait for their gradient, if each thread has a block: 8 % faster at 1024 wide than twice
# as many, with an L3 cache of 32 MB.
KEPT_BYTES = 24 * 1024 * 1024
PIECE_SIDE = 128  # rows and columns of a piece of weights, at most: 64 KB of gradient
PIECES = 16  # wanted at least, so that threads have equal shares
EVALUATION_ROWS = 8192  # for which an evaluation takes scratch memory, at most
SERIAL_FLOPS = 400_000  # estimated work below which one thread is faster than waking others
PARALLEL_FLOPS = 50_000_000  # estimated work above which it is not, even if waking them takes 0.25 ms


def training_flops(sizes):
    """Floating-point operations of one training step, per sample.

    Two for each weight in the forward product and in the gradient, and two more in the error signal of all but the
    first layer's inputs.
    """
    products = [n_in * n_out for n_in, n_out in itertools.pairwise(sizes)]
    return 4 * products[0] + 6 * sum(products[1:])


def is_serial(sizes, rows):
    """Whether a step over `rows` samples is too small to share between threads."""
    return training_flops(sizes) * rows < SERIAL_FLOPS


def _shares(sizes, rows):
    """Shares that a batch has at least, unless it is too small."""
    if is_serial(sizes, rows):
        return 1
    return max(1, min(SHARES, rows // MIN_BLOCK, max(2, training_flops(sizes) * rows // SHARE_FLOPS)))


def _groups(sizes, rows):
    """Groups of blocks that may each have a gradient: a power of two, so that threads have equal shares.

    Either the gradients of groups travel from core to core, or the activations and error signals of blocks do.
    """
    weights, units = sum(a * b for a, b in itertools.pairwise(sizes)), sizes[0] + 2 * sum(sizes[1:])
    groups = 1
    while 2 * groups <= min(GROUPS, rows * units / (GROUP_READS * weights)):
        groups *= 2
    return groups


def _block(sizes, rows):
    """Rows of a block: whole tiles."""
    shares = _shares(sizes, rows)
    blocks, multiple = max(-(-rows // BLOCK), shares), max(shares, _groups(sizes, rows))
    blocks = -(-blocks // multiple) * multiple
    return -(-rows // (blocks * SHAPE.rows)) * SHAPE.rows


def most_nonzeros(x, batch_size):
    """A bound for the non-zeros of a block of sparse inputs `x`, the same for most batches alike; 0 if `x` is dense."""
    if not isinstance(x, SparseRows):
        return 0
    return 1 << most_entries(x, min(batch_size, BLOCK + SHAPE.rows)).bit_length()


@functools.lru_cache
def _pieces(sizes, width):
    """(pieces, rows that each has at most: a power of two)."""
    side = PIECE_SIDE
    while True:
        pieces = [
            (l, first, min(first + side, n_in), left, min(left + side, n_out))
            for l, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
            for left in range(0, n_out, side)
            for first in range(0, n_in, side)
        ]
        if len(pieces) >= PIECES or side <= width:
            return np.array(pieces, PIECE).view(np.recarray), side
        side //= 2


def workspace(network, batch_size, threads, samples=0, block=None, nonzeros=0):
    """Scratch memory for training with batches of up to `batch_size` rows, and evaluating up to `samples` rows.

    Parameters
    ----------
    network : Network
    batch_size, samples : int
        A batch size of 0 is enough to evaluate only.
    threads : int
        That may share the work.
    block : int, optional
        Rows of a block, if the choice is not to be made here.
    nonzeros : int
        Of a block of sparse inputs, at most (see `most_nonzeros`); to train with those, not to evaluate.

    Returns
    -------
    Workspace
    """
    dtype = network.weights.dtype
    size, sizes = SHAPE.width(dtype.itemsize), sizes_of(network)
    training, batch_size = batch_size > 0, batch_size or min(samples, EVALUATION_ROWS)
    block = -(-block // SHAPE.rows) * SHAPE.rows if block else _block(sizes, batch_size)
    blocks = -(-batch_size // block)
    sparse = network.layers["outputs"][0] == 0  # there are no panels of inputs before them
    groups = 1 if sparse else _groups(sizes, batch_size)
    keep = sparse or groups < min(_shares(sizes, batch_size), blocks) or network.weights.nbytes > GROUP_BYTES
    panels = [-(-n // size) for n in sizes]
    stored = sum(panels[1:] if sparse else panels)
    block_bytes = (stored + sum(panels[1:])) * size * block * dtype.itemsize
    slots = min(blocks, KEPT_BYTES // block_bytes // threads * threads) if keep else 0
    slots = max(slots, threads)
    pieces, side = _pieces(tuple(sizes), size)
    rows = max(blocks, -(-samples // block))
    made = Workspace(
        train=0,
        block=block,
        keep=keep,
        activations=aligned((slots, stored * size * block), dtype),
        deltas=aligned((slots, sum(panels[1:]) * size * block), dtype),
        scratch=aligned((threads, max(max(panels[1:]) * block, side + 1 if nonzeros else 0) * size), dtype),
        weights=aligned((threads, -(-block // size) * size), dtype),
        gradients=aligned((1 if keep else min(groups, blocks), network.weights.size), dtype),
        pieces=pieces,
        shift=side.bit_length() - 1,
        starts=np.zeros((slots, -(-sizes[0] // side) + 2 if nonzeros else 0), np.int64),
        columns=np.empty((slots, nonzeros), np.int32),
        rows=np.empty((slots, nonzeros), np.int32),
        values=np.empty((slots, nonzeros), dtype),
        losses=np.zeros(rows),
        totals=np.zeros(blocks),
        squares=np.zeros((blocks, len(sizes) - 1)),
        overflows=np.zeros(blocks, np.int64),
        norms=np.zeros(len(pieces)),
        penalties=np.zeros(len(pieces)),
        tickets=np.zeros((RELEASED + 1) * SPACING, np.int64),
    )
    return made._replace(train=thread_address(network, made, bool(sparse))) if training else made


def scratch(network, rows, shares):
    """Scratch memory for predicting `rows` rows in `shares` shares.

    Returns
    -------
    activations : (shares, size) array
    block : int; rows of a block
    """
    dtype = network.weights.dtype
    size = SHAPE.width(dtype.itemsize)
    block = -(-min(BLOCK, rows) // SHAPE.rows) * SHAPE.rows
    panels = network.layers["outputs"][-1] + -(-network.layers["n_out"][-1] // size)
    return aligned((min(shares, -(-rows // block)), panels * size * block), dtype), block
