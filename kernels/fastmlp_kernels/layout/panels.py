"""The one memory layout of all matrices in the kernels: panels.

A matrix is kept as a row of panels, each `panel_width` columns wide (one tile) and stored row by row, one behind the
other. Each panel has room for `panel_rows` rows, of which those that count may be fewer. Element (r, c) of a matrix
that begins at offset `start` is at

    start + (c // width) * width * panel_rows + r * width + c % width

A product then reads all its operands in steps of one constant stride whatever the size of the matrix, and matrices
whose row length is a power of two do not fall into the same few cache sets. The last panel is padded to full width.
"""

from typing import NamedTuple

import numpy as np

from ..jit import inlined, njit
from ..tile.operations import ROWS, load, load_columns, multiply_add, panel_width, store, total, zero


class Matrix(NamedTuple):
    """A matrix in panels, which is part of a longer array.

    Attributes
    ----------
    numbers : 1-D array
    start : int; offset of element (0, 0)
    panel_rows : int; rows that each panel has room for
    """

    numbers: np.ndarray
    start: int
    panel_rows: int


@njit
def padded(count, multiple):
    """`count` rounded up to a multiple of `multiple`."""
    return (count + multiple - 1) // multiple * multiple


@inlined
def panels_of(columns, numbers):
    """How many panels hold so many columns, in the dtype of `numbers`."""
    return (columns + panel_width(numbers) - 1) // panel_width(numbers)


@inlined
def panel_at(matrix, p):
    """Panel `p` of a matrix, as a matrix of one panel."""
    numbers, start, panel_rows = matrix
    return Matrix(numbers, start + p * panel_rows * panel_width(numbers), panel_rows)


@inlined
def row_at(matrix, r):
    """Offset of row `r` of a matrix of one panel."""
    return matrix.start + r * panel_width(matrix.numbers)


@inlined
def element(matrix, r, c):
    """Offset of element (r, c) of a matrix."""
    width = panel_width(matrix.numbers)
    return matrix.start + c // width * width * matrix.panel_rows + r * width + c % width


@inlined
def block_range(block_rows, b, rows):
    """(first row, rows) of block `b` where `rows` are cut into blocks of at most `block_rows`, as even as tiles are."""
    blocks, tiles = (rows + block_rows - 1) // block_rows, (rows + ROWS - 1) // ROWS
    first = b * tiles // blocks * ROWS
    return first, min((b + 1) * tiles // blocks * ROWS, rows) - first


@inlined
def clear_rows(panels, rows, columns, panel_rows):
    """Zero the rows from `rows` on, up to whole tiles."""
    width = panel_width(panels)
    for p in range(panels_of(columns, panels)):
        panel = panel_at(Matrix(panels, 0, panel_rows), p)
        for i in range(row_at(panel, rows), row_at(panel, padded(rows, ROWS)), width):
            store(zero(panels, 1), panels, i, width)


@njit
def pack_rows(panels, source, order, first, rows, panel_rows):
    """Copy `rows` rows of the row-major matrix `source` into panels, with zeros as padding and to make up whole tiles.

    Parameters
    ----------
    panels : (>= padded(columns, panel_width) * panel_rows,) array, written
    source : (n, columns) array, row-major
    order : (n,) or (0,) int64 array
        Row s of the panels is row order[first + s] of `source`; where `order` is empty, row first + s.
    first, rows : int
    panel_rows : int; rows that each panel has room for

    Returns
    -------
    bool
        Whether all that was copied is finite.
    """
    width, columns, packed = panel_width(panels), source.shape[1], Matrix(panels, 0, panel_rows)
    nothing = checked = zero(panels, 1)
    for s in range(rows):
        row = order[first + s] if order.size else first + s
        for p in range(panels_of(columns, panels)):
            copied = load_columns(source, row * columns + p * width, columns - p * width)
            store(copied, panels, row_at(panel_at(packed, p), s), width)
            checked = multiply_add(copied, nothing, checked)  # 0 times what is not finite is NaN
    clear_rows(panels, rows, columns, panel_rows)
    return total(checked) == 0


@njit
def all_finite(panels, columns, rows, panel_rows):
    """Whether all elements of a packed matrix are finite; its padding must be."""
    finite = True
    for p in range(panels_of(columns, panels)):
        panel = panel_at(Matrix(panels, 0, panel_rows), p)
        for i in range(row_at(panel, 0), row_at(panel, rows)):
            finite &= abs(panels[i]) < np.inf
    return finite


@njit
def pack_labels(panels, labels, order, first, rows, columns, panel_rows):
    """Like `pack_rows`, for a source whose row i is zero but for a one in column labels[i] (one-hot)."""
    packed = Matrix(panels, 0, panel_rows)
    for p in range(panels_of(columns, panels)):
        panel = panel_at(packed, p)
        for i in range(row_at(panel, 0), row_at(panel, padded(rows, ROWS))):
            panels[i] = 0
    for s in range(rows):
        panels[element(packed, s, labels[order[first + s]] if order.size else labels[first + s])] = 1


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
def unpack_rows(target, first, panels, rows, panel_rows):
    """Copy `rows` rows of panels to target[first : first + rows], a row-major matrix."""
    width, columns, packed = panel_width(panels), target.shape[1], Matrix(panels, 0, panel_rows)
    whole = columns // width
    for s in range(rows):
        for p in range(whole):
            row = load(panels, row_at(panel_at(packed, p), s), 0, 1)
            store(row, target, (first + s) * columns + p * width, width)
        for c in range(whole * width, columns):
            target[first + s, c] = panels[element(packed, s, c)]
