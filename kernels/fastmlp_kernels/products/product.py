"""Products without biases: what derivatives, unlike net inputs, are multiplied by."""

from ..jit import njit
from ..tile.operations import ROWS, store, width, zero
from .forward import accumulate


@njit
def product(c, c_offset, a, a_offset, b, b_offset, b_rows, columns, depth, rows, block):
    """C = A B, for `rows` rows rounded up to whole tiles.

    Parameters
    ----------
    c, a : 1-D arrays; C, written, and A from these offsets on, in panels of `block` rows
    b : 1-D array; `depth` rows of B from `b_offset` on, in panels of `b_rows` rows
    columns, depth : int; columns of C and of A
    """
    size = width(a)
    for q in range(0, columns, size):
        for s in range(0, rows * size, ROWS * size):
            acc = accumulate(zero(c, ROWS), a, a_offset + s, b, b_offset + q * b_rows, depth, block)
            store(acc, c, c_offset + q * block + s, size)
