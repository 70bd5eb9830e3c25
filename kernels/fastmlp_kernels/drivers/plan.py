"""How a batch is cut up: rows to a block, groups of blocks, pieces of the weights. All of it follows from shapes alone.

The number of threads decides only how many blocks there is room for at a time: results do not depend on it.
"""

import functools
import itertools

import numpy as np

from ..layout.samples import SparseRows, most_entries
from ..layout.tasks import PIECE
from ..tile.operations import ROWS

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


def shares_of(sizes, rows):
    """Shares that a batch has at least, unless it is too small."""
    if is_serial(sizes, rows):
        return 1
    return max(1, min(SHARES, rows // MIN_BLOCK, max(2, training_flops(sizes) * rows // SHARE_FLOPS)))


def groups(sizes, rows):
    """Groups of blocks that may each have a gradient: a power of two, so that threads have equal shares.

    Either the gradients of groups travel from core to core, or the activations and error signals of blocks do.
    """
    weights, units = sum(a * b for a, b in itertools.pairwise(sizes)), sizes[0] + 2 * sum(sizes[1:])
    count = 1
    while 2 * count <= min(GROUPS, rows * units / (GROUP_READS * weights)):
        count *= 2
    return count


def whole_tiles(rows):
    """`rows` rounded up to whole tiles."""
    return -(-rows // ROWS) * ROWS


def rows_of_a_block(sizes, rows):
    """Rows of a block of a batch of `rows`: whole tiles."""
    shares = shares_of(sizes, rows)
    blocks, multiple = max(-(-rows // BLOCK), shares), max(shares, groups(sizes, rows))
    blocks = -(-blocks // multiple) * multiple
    return whole_tiles(-(-rows // blocks))


def keeps_blocks(sizes, rows, blocks, groups, weight_bytes):
    """Whether blocks are kept until the owners of the weights make the gradient, rather than a gradient for each group.

    They are where there would be fewer groups than threads want shares, or where gradients are large.
    """
    return groups < min(shares_of(sizes, rows), blocks) or weight_bytes > GROUP_BYTES


def slots(blocks, threads, block_bytes):
    """Blocks of so many bytes that are kept at a time: one for each thread at least."""
    return max(min(blocks, KEPT_BYTES // block_bytes // threads * threads), threads)


def most_nonzeros(x, batch_size):
    """A bound for the non-zeros of a block of sparse inputs `x`, the same for most batches alike; 0 if `x` is dense."""
    if not isinstance(x, SparseRows):
        return 0
    return 1 << most_entries(x, min(batch_size, BLOCK + ROWS)).bit_length()


@functools.lru_cache
def pieces(sizes, width):
    """(pieces, rows that each has at most: a power of two)."""
    side = PIECE_SIDE
    while True:
        records = [
            (l, first, min(first + side, n_in), left, min(left + side, n_out))
            for l, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
            for left in range(0, n_out, side)
            for first in range(0, n_in, side)
        ]
        if len(records) >= PIECES or side <= width:
            return np.array(records, PIECE).view(np.recarray), side
        side //= 2
