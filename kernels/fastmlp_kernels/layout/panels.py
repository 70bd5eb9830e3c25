"""The one memory layout of all matrices in the kernels: panels.

A matrix of `rows` x `columns` is kept as a row of panels, each `width` columns wide (one tile) and stored row by row,
one behind the other: element (r, c) of a matrix that starts at `offset`, with room for `block` rows, is at

    offset + (c // width) * width * block + r * width + c % width

A product then reads all its operands in steps of one constant stride whatever the size of the matrix, and matrices
whose row length is a power of two do not fall into the same few cache sets. The last panel is padded to full width.
"""

import numpy as np

from ..jit import inlined, njit
from ..tile.operations import ROWS, load, load_columns, multiply_add, store, total, width, zero


@njit
def padded(count, multiple):
    """`count` rounded up to a multiple of `multiple`."""
    return (count + multiple - 1) // multiple * multiple


@inlined
def block_range(block, b, rows):
    """(first row, rows) of block `b` where `rows` are cut into blocks of at most `block`, as even as tiles are."""
    blocks, tiles = (rows + block - 1) // block, (rows + ROWS - 1) // ROWS
    first = b * tiles // blocks * ROWS
    return first, min((b + 1) * tiles // blocks * ROWS, rows) - first


@inlined
def clear_rows(panels, rows, columns, block):
    """Zero the rows from `rows` on, up to whole tiles."""
    size = width(panels)
    for q in range(0, columns, size):
        for i in range(q * block + rows * size, q * block + padded(rows, ROWS) * size, size):
            store(zero(panels, 1), panels, i, size)


@njit
def pack_rows(panels, source, order, first, rows, block):
    """Copy `rows` rows of the row-major matrix `source` into panels, with zeros as padding and to make up whole tiles.

    Parameters
    ----------
    panels : (>= padded(columns, width) * block,) array, written
    source : (n, columns) array, row-major
    order : (n,) or (0,) int64 array
        Row s of the panels is row order[first + s] of `source`; where `order` is empty, row first + s.

    Returns
    -------
    bool
        Whether all that was copied is finite.
    """
    size, columns = width(panels), source.shape[1]
    nothing = checked = zero(panels, 1)
    for s in range(rows):
        row = order[first + s] if order.size else first + s
        for q in range(0, columns, size):
            copied = load_columns(source, row * columns + q, columns - q)
            store(copied, panels, q * block + s * size, size)
            checked = multiply_add(copied, nothing, checked)  # 0 times what is not finite is NaN
    clear_rows(panels, rows, columns, block)
    return total(checked) == 0


@njit
def all_finite(panels, columns, rows, block):
    """Whether all elements of a packed matrix are finite; its padding must be."""
    size, finite = width(panels), True
    for q in range(0, columns, size):
        for i in range(q * block, q * block + rows * size):
            finite &= abs(panels[i]) < np.inf
    return finite


@njit
def pack_labels(panels, labels, order, first, rows, columns, block):
    """Like `pack_rows`, for a source whose row i is zero but for a one in column labels[i] (one-hot)."""
    size = width(panels)
    for q in range(0, columns, size):
        for i in range(q * block, q * block + padded(rows, ROWS) * size):
            panels[i] = 0
    for s in range(rows):
        label = labels[order[first + s]] if order.size else labels[first + s]
        panels[label // size * size * block + s * size + label % size] = 1


@njit
def pack_weights(packed, weights, order, first, rows):
    """The weights of `rows` samples one after the other, ones where `weights` is empty; returns their sum.

    `packed` is a (>= rows,) array, `order` as `pack_rows` has it.
    """
    if weights.size == 0:
        for s in range(rows):
            packed[s] = 1
        return np.float64(rows)
    sum_ = np.float64(0)
    for s in range(rows):
        packed[s] = weights[order[first + s] if order.size else first + s]
        sum_ += packed[s]
    return sum_


@njit
def unpack_rows(target, first, panels, rows, block):
    """Copy `rows` rows of panels to target[first : first + rows], a row-major matrix."""
    size, columns = width(panels), target.shape[1]
    for s in range(rows):
        start = (first + s) * columns
        for q in range(0, columns // size * size, size):
            store(load(panels, q * block + s * size, 0, 1), target, start + q, size)
        for c in range(columns // size * size, columns):
            target[first + s, c] = panels[c // size * size * block + s * size + c % size]
