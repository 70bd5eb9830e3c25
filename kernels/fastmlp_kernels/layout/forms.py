"""Forms of bfloat16 operands in panels, made from panels of float32 numbers, a square of 32 rows at a time.

A matrix is multiplied in the left or in the right form (see `tile.bfloat16`), in panels that have room for a multiple
of 32 rows. Rows and columns beyond those in use are zeros, so that they add nothing to a sum: products run over whole
steps of terms, up to 32.
"""

from ..jit import inlined
from ..tile.bfloat16 import SIDE, SQUARE, store_both, store_left, transpose_words
from ..tile.operations import keep_columns, load
from .panels import row_at


@inlined
def _row(numbers, r, count, columns):
    """Row `r` of a panel of float32 numbers as a tile, its first `columns` columns; zeros if count <= 0.

    `count` is the number of rows in use from row `r` on: none beyond them is read.
    """
    return keep_columns(
        load(numbers.numbers, row_at(numbers, r + min(count - 1, 0)), 0, 1), columns if count > 0 else 0
    )


@inlined
def store_left_square(numbers, r, count, columns, left, start):
    """Round rows r..r + 32 of a panel to the left form; those from r + `count` on become zeros.

    Parameters
    ----------
    numbers : Matrix of one panel, of float32
    r, count, columns : int; first row, and rows (at least 1) and columns in use
    left, start : 1-D uint16 array, written from offset `start` on
    """
    for i in range(SQUARE):
        store_left(_row(numbers, r + i, count - i, columns), left, start + i * SQUARE)


@inlined
def store_square(numbers, r, count, columns, left, left_start, right, right_start):
    """Round rows r..r + 32 of a panel to both forms; those from r + `count` on become zeros.

    Parameters
    ----------
    numbers, r, count, columns : see `store_left_square`
    left, left_start : 1-D uint16 array, written from offset `left_start` on: the left form
    right, right_start : 1-D uint16 array, written from offset `right_start` on: the right form
    """
    source = numbers.numbers
    if count >= SQUARE and columns >= SQUARE:
        for i in range(0, SQUARE, 2):
            row, next_row = load(source, row_at(numbers, r + i), 0, 1), load(source, row_at(numbers, r + i + 1), 0, 1)
            store_both(row, next_row, left, left_start + i * SQUARE, right, right_start + i * SQUARE)
    else:
        for i in range(0, SQUARE, 2):
            row = _row(numbers, r + i, count - i, columns)
            next_row = _row(numbers, r + i + 1, count - i - 1, columns)
            store_both(row, next_row, left, left_start + i * SQUARE, right, right_start + i * SQUARE)


@inlined
def transpose_square(square, rows, columns, target, start):
    """Transpose a square of 32 x 32 numbers as words: `rows` rows of `columns` words become columns.

    Parameters
    ----------
    square : 1-D uint16 array; the words row by row
    rows, columns : int; 16 and 32, or 32 and 16
    target, start : 1-D uint16 array, written from offset `start` on: the transpose row by row
    """
    for i in range(0, rows, SIDE):
        for j in range(0, columns, SIDE):
            place = start + 2 * (j * rows + i)
            transpose_words(square, 2 * (i * columns + j), 2 * columns, target, place, 2 * rows)
