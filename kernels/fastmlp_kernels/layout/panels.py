"""Panels, the memory layout of all matrices in the kernels.

The columns of a matrix are divided into panels of `panel_width` columns (the width of a register tile). Panels follow
one another in memory, each stored row by row, the last one padded to full width. Each panel has room for `panel_rows`
rows, of which fewer may be in use. Element (r, c) of a matrix that begins at offset `start` of an array is at

    start + (c // width) * width * panel_rows + r * width + c % width

For example, with a width of 16, a matrix of 100 rows and 40 columns takes 3 panels of 1600 elements each, and element
(2, 35) is in panel 2, column 3: at offset 2 * 1600 + 2 * 16 + 3.

So a product reads all its operands with one constant stride whatever the size of the matrix, and matrices whose row
length is a power of two do not fall into the same few cache sets. Products work on whole tiles of ROWS rows, so that
rows of activations are padded to a multiple of ROWS as well.

Tiles are small matrices in registers (see `tile.emit`); products on this machine use tiles of ROWS rows and panel_width
columns. Here most have one row: load(array, offset, stride, rows) reads one, zero(array, rows) makes one. The stride
between rows then counts for nothing.
"""

from typing import NamedTuple

import numpy as np

from ..jit import inlined, njit
from ..tile.operations import ROWS, load, load_columns, multiply_add, panel_width, prefetch, store, total, zero

AHEAD = 16  # rows of samples in any order are read from memory so many rows before they are copied


class Matrix(NamedTuple):
    """Matrix in panels, stored in part of a 1-D array.

    Attributes
    ----------
    numbers : 1-D array
    start : int; offset of element (0, 0)
    panel_rows : int; rows that each panel has room for: a panel takes panel_rows * panel_width elements
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
    """Number of panels of a matrix with `columns` columns, in the dtype of the array `numbers`."""
    return (columns + panel_width(numbers) - 1) // panel_width(numbers)


@inlined
def panel_at(matrix, p):
    """Panel `p` of a matrix, counted from 0, as a matrix of one panel."""
    numbers, start, panel_rows = matrix
    return Matrix(numbers, start + p * panel_rows * panel_width(numbers), panel_rows)


@inlined
def row_at(matrix, r):
    """Offset of row `r` of a matrix of one panel."""
    return matrix.start + r * panel_width(matrix.numbers)


@inlined
def row_of(panels, column, r, panel_rows):
    """Offset of row `r` in the panel whose first column is `column`, of a matrix that begins at panels[0].

    Mind the order, column before row, unlike in `element`.
    """
    return column * panel_rows + r * panel_width(panels)


@inlined
def element(matrix, r, c):
    """Offset of element (r, c) of a matrix."""
    width = panel_width(matrix.numbers)
    return matrix.start + c // width * width * matrix.panel_rows + r * width + c % width


@inlined
def block_range(block_rows, b, rows, tile_rows):
    """Range of rows that is block `b` of `rows` rows, as the pair (first row, number of rows).

    There are as many blocks as are needed for none to have more than `block_rows` rows, a multiple of `tile_rows`. All
    but the last are whole tiles of so many rows, and they differ by one tile at most.
    """
    blocks, tiles = (rows + block_rows - 1) // block_rows, (rows + tile_rows - 1) // tile_rows
    first = b * tiles // blocks * tile_rows
    return first, min((b + 1) * tiles // blocks * tile_rows, rows) - first


@inlined
def clear_rows(panels, rows, columns, panel_rows):
    """Set the padding rows to zero: those from `rows` on, up to a multiple of ROWS, of the matrix at panels[0].

    Sizes are in the order (rows, columns) here and in `pack_labels`, (columns, rows) in `all_finite`.
    """
    width = panel_width(panels)
    for p in range(panels_of(columns, panels)):
        panel = panel_at(Matrix(panels, 0, panel_rows), p)
        for i in range(row_at(panel, rows), row_at(panel, padded(rows, ROWS)), width):
            store(zero(panels, 1), panels, i, width)


@njit
def pack_rows(panels, source, order, first, rows, panel_rows):
    """Copy `rows` rows of a row-major matrix into panels; padding columns, and rows up to a multiple of ROWS, are zero.

    Parameters
    ----------
    panels : (>= padded(columns, panel_width) * panel_rows,) array, written
    source : (n, columns) array, row-major
    order : 1-D int64 array, or empty
        Row s of the panels is row order[first + s] of `source`; if `order` is empty, row first + s.
    first, rows : int
        Position in `order` (or row of `source`) of the first row to copy, and number of rows.
    panel_rows : int
        Rows that each panel has room for.

    Returns
    -------
    bool
        Whether all copied elements are finite.
    """
    width, columns, packed = panel_width(panels), source.shape[1], Matrix(panels, 0, panel_rows)
    zeros = checked = zero(panels, 1)
    for s in range(rows):
        row = order[first + s] if order.size else first + s
        later = order[first + min(s + AHEAD, rows - 1)] if order.size else row
        for p in range(panels_of(columns, panels)):
            # Offsets in `source`, which has two dimensions, count its elements row after row.
            if order.size:
                prefetch(source, later * columns + p * width)
                prefetch(source, later * columns + min(p * width + width, columns) - 1)
            copied = load_columns(source, row * columns + p * width, columns - p * width)
            store(copied, panels, row_at(panel_at(packed, p), s), width)
            checked = multiply_add(copied, zeros, checked)  # stays 0 as long as all are finite: 0 * inf is NaN
    clear_rows(panels, rows, columns, panel_rows)
    return total(checked) == 0


@njit
def all_finite(panels, columns, rows, panel_rows):
    """Whether all elements of the (rows, columns) matrix at panels[0] are finite; padding columns are looked at too."""
    finite = True
    for p in range(panels_of(columns, panels)):
        panel = panel_at(Matrix(panels, 0, panel_rows), p)
        numbers = panels[row_at(panel, 0) : row_at(panel, rows)]  # whose indices cannot be negative: vector code
        for i in range(len(numbers)):
            finite &= abs(numbers[i]) < np.inf
    return finite


@njit
def pack_labels(panels, labels, order, first, rows, columns, panel_rows):
    """Write the one-hot rows of class numbers into panels: 1 in column labels[i] of a row, else 0.

    Parameters
    ----------
    panels : 1-D array, written, padding included (see `pack_rows`)
    labels : (n,) int64 array; class numbers from 0 to columns - 1
    order, first, rows : see `pack_rows`; labels take the place of its rows of `source`
    columns : int; number of classes
    panel_rows : int; rows that each panel has room for
    """
    packed = Matrix(panels, 0, panel_rows)
    for p in range(panels_of(columns, panels)):
        panel = panel_at(packed, p)
        for i in range(row_at(panel, 0), row_at(panel, padded(rows, ROWS))):
            panels[i] = 0
    for s in range(rows):
        panels[element(packed, s, labels[order[first + s]] if order.size else labels[first + s])] = 1


@njit
def pack_sample_weights(packed, weights, order, first, rows):
    """Copy the weights of `rows` samples one after the other, not in panels; return their sum, a float64.

    Parameters
    ----------
    packed : (>= rows,) array; packed[:rows] is written
    weights : (n,) array, one weight a sample; if empty, all weights are 1
    order, first, rows : see `pack_rows`
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
    """Copy `rows` rows of the matrix at panels[0] to rows first..first + rows of a row-major matrix.

    Parameters
    ----------
    target : (n, columns) array, row-major; target[first : first + rows] is written
    first : int
    panels : 1-D array
    rows, panel_rows : int; rows to copy, and rows that each panel has room for
    """
    width, columns, packed = panel_width(panels), target.shape[1], Matrix(panels, 0, panel_rows)
    whole = columns // width  # panels without padding columns
    for s in range(rows):
        for p in range(whole):
            row = load(panels, row_at(panel_at(packed, p), s), 0, 1)
            # The offset in `target`, which has two dimensions, counts its elements row after row.
            store(row, target, (first + s) * columns + p * width, width)
        for c in range(whole * width, columns):
            target[first + s, c] = panels[element(packed, s, c)]
