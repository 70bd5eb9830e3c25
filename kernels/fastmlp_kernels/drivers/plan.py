"""Plan of a training step: rows of a block, groups of blocks, pieces of the weights. It follows from shapes alone.

The machine and the number of threads decide only how many blocks are kept at a time, on which results do not depend.
`sizes` are the units of each layer, inputs first: a tuple of int. For the words block, group, share and piece see the
opening docstring of this folder (`drivers/__init__.py`).
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

from ..layout.samples import SparseRows, most_nonzeros_in
from ..layout.tasks import PIECE
from ..tile.bfloat16 import SQUARE
from ..tile.operations import ROWS
from .tuning import by_cache, kept_bytes

BLOCK = 144  # rows of a block of a Network, at most (see `Limits`)
MIN_BLOCK = 24  # rows of a share, at least, where a small batch is divided among threads
# Shares of a batch, at least, if it is large enough; more blocks are rounded up to a multiple, for equal shares.
SHARES = 4
# Floating-point operations that each share must have (some 10 us of work) for a batch to have more than two shares.
SHARE_FLOPS = 1_000_000
GROUP_READS = 5  # activations and error signals that a group has, at least, for each element of its gradient
# Bytes of a group's gradient, at most: groups were 10 % faster than kept blocks at 1.6 MB, 2 to 5 % slower at 12 MB.
GROUP_BYTES = 4 * 1024 * 1024
PIECES = 16  # pieces of a network, at least, unless they would be narrower than a panel: threads get equal numbers
EVALUATION_ROWS = 8192  # rows that the batch of a workspace only for evaluation has, at most
SERIAL_FLOPS = 400_000  # estimated operations of a step below which one thread is faster than waking others
# Estimated operations of a step above which one thread is slower than several, even if waking them takes 0.25 ms: for
# `fastmlp`, which chooses the driver.
PARALLEL_FLOPS = 50_000_000


class Limits(NamedTuple):
    """Sizes that depend on how fast products are.

    Attributes
    ----------
    block : int
        Rows of a block, at most, before they are rounded up to whole tiles.
    groups : int
        Groups of blocks, at most, each of which has its own gradient.
    kept_bytes : int
        Bytes that slots hold, at most, unless that is less than one block a thread.
    kept_gradients : int
        They may hold so many times the size of the weights, too: each time that slots are full, the gradient is read
        and written.
    side : int
        Rows and columns of a piece of the weights, at most.
    """

    block: int
    groups: int
    kept_bytes: int
    kept_gradients: int
    side: int


# Blocks: on AVX2, gradients are 2 to 3 % faster than with 96 rows, slower with 288, and other products equally fast.
FLOAT = Limits(BLOCK, 64, by_cache(24 * 1024 * 1024), 0, 128)
# Of a MixedNetwork: larger blocks and pieces, so that products read operands from the L3 cache less often. With AMX,
# steps with layers of 1024 units were 5 to 10 % slower with blocks of 128 rows and with pieces of 128 x 128 weights;
# slots of 24 and 40 MB were equally fast, of 96 MB 15 % slower, but 6 % faster with weights of 50 MB. With layers of 64
# units, 64 groups were 7 % slower.
MIXED = Limits(256, 32, by_cache(32 * 1024 * 1024), 2, 256)


def limits_of(mixed):
    """Limits for a Network, or a MixedNetwork if `mixed`; what is kept may have been tuned (see `tuning`)."""
    limits, kind = (MIXED, "mixed") if mixed else (FLOAT, "float")
    return limits._replace(kept_bytes=kept_bytes(kind, limits.kept_bytes))


def training_flops(sizes):
    """Floating-point operations of one training step, per sample: an int.

    Each weight counts two in the forward product, two in the gradient and, but for the first layer, two in the backward
    product.
    """
    products = [n_in * n_out for n_in, n_out in itertools.pairwise(sizes)]
    return 4 * products[0] + 6 * sum(products[1:])


@functools.lru_cache(1024)  # asked for at every call of a driver
def is_serial(sizes, rows):
    """Whether a step over `rows` samples is too small to be divided among threads."""
    return training_flops(sizes) * rows < SERIAL_FLOPS


def shares_of(sizes, rows):
    """Number of shares that a batch of `rows` samples is divided into at least; 1 if it is too small to divide."""
    if is_serial(sizes, rows):
        return 1
    return max(1, min(SHARES, rows // MIN_BLOCK, max(2, training_flops(sizes) * rows // SHARE_FLOPS)))


def groups_of(sizes, rows, limits=FLOAT):
    """Number of groups of blocks, each with its own gradient: a power of two, to divide evenly among threads.

    A group's gradient, one number per weight, is read by the threads that own the pieces of the weights. Without groups
    they would read its activations and error signals. Groups pay if these are GROUP_READS times as many numbers.
    """
    weights, units = sum(a * b for a, b in itertools.pairwise(sizes)), sizes[0] + 2 * sum(sizes[1:])
    count = 1
    while 2 * count <= min(limits.groups, rows * units / (GROUP_READS * weights)):
        count *= 2
    return count


def whole_tiles(rows, tile_rows=ROWS):
    """`rows` rounded up to a multiple of the rows of a tile."""
    return -(-rows // tile_rows) * tile_rows


def rows_of_a_block(sizes, rows, tile_rows=ROWS, limits=FLOAT):
    """Number of rows of a block for batches of `rows` samples: a multiple of `tile_rows`.

    Blocks have fewer than MIN_BLOCK rows if the batch is smaller, or if it has more than rows / MIN_BLOCK groups: there
    is at least one block for each group.
    """
    shares = shares_of(sizes, rows)
    blocks, multiple = max(-(-rows // limits.block), shares), max(shares, groups_of(sizes, rows, limits))
    blocks = -(-blocks // multiple) * multiple
    return whole_tiles(-(-rows // blocks), tile_rows)


def keeps_blocks(sizes, rows, blocks, groups, weight_bytes):
    """Whether blocks are kept in slots until the owners of pieces compute the gradient, rather than summed by groups.

    They are kept if there would be fewer groups than shares, or if gradients are large.

    Parameters
    ----------
    sizes, rows : tuple of int, int; units of each layer, and samples of a batch
    blocks, groups : int; blocks of a batch, and what `groups_of` returns
    weight_bytes : int; size of the packed weights
    """
    return groups < min(shares_of(sizes, rows), blocks) or weight_bytes > GROUP_BYTES


def slots(blocks, threads, block_bytes, weight_bytes, limits=FLOAT):
    """Number of slots: one for each of the blocks, or as many as `limits` allow if these are fewer.

    The latter is rounded down to a multiple of `threads`. There are at least `threads` slots, even for fewer blocks.

    Parameters
    ----------
    blocks, threads : int
    block_bytes : int; size of what is kept of one block
    weight_bytes : int; size of the packed weights
    limits : Limits
    """
    kept_bytes = max(limits.kept_bytes, limits.kept_gradients * weight_bytes)
    return max(min(blocks, kept_bytes // block_bytes // threads * threads), threads)


def most_nonzeros(x, batch_size, block_rows=None):
    """Bound on the non-zeros of any block of the sparse inputs `x`; 0 if `x` is dense.

    It is a power of two, so that similar data have the same bound. A block must not have a row of `x` twice.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows
    batch_size : int; samples of a batch
    block_rows : int, optional; that of the workspace if it is given one (see `drivers.workspace.workspace`), else
        blocks have as many rows as `Limits` allow, rounded up to whole tiles
    """
    if not isinstance(x, SparseRows):
        return 0
    # Rows of a block, at most: they are rounded up to whole tiles.
    rows = (block_rows or max(FLOAT.block, MIXED.block)) + max(ROWS, SQUARE)
    return 1 << most_nonzeros_in(x, min(batch_size, rows)).bit_length()


@functools.lru_cache
def pieces(sizes, width, limits=FLOAT):
    """Divide the weights of all layers into pieces.

    Parameters
    ----------
    sizes : tuple of int; units of each layer, inputs first
    width : int; panel width, a power of two
    limits : Limits

    Returns
    -------
    pieces : record array of layout.tasks.PIECE
    side : int; rows and columns that a piece has at most, a power of two
    """
    side = limits.side
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
