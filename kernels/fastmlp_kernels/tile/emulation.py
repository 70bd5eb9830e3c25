"""Emulation of the tile operations on NumPy arrays, for running the kernels as plain Python (NUMBA_DISABLE_JIT=1).

A tile is an array of shape (rows, panel width); the panel width is the number of columns of a tile, and of a panel (see
`layout.panels`). The functions are described in `operations`, where those of the same name have the same arguments.
Three things differ from compiled code. Results are not the same to the last bit: a multiply-add is rounded twice here,
once where the CPU fuses it, and `total` adds in the order that NumPy chooses. `largest` is NaN if one element is. And
the loads and stores of whole rows (`load`, `load_rows`, `store`, `store_rows`) check their offsets.
"""

import numpy as np

from .engines import engine_of


def _rows(array, offset, stride, rows, count):
    """Offsets of `rows` rows in `array`, those from `count` on repeating the last before it; and the panel width."""
    width = panel_width(array)
    starts = [offset + min(r, count - 1) * stride for r in range(rows)]
    assert all(0 <= start <= array.size - width for start in starts), "tile outside its array"
    return starts, width


def panel_width(array):
    return engine_of(array.dtype).width(array.itemsize)


def terms(array):
    return engine_of(array.dtype).terms


def tile_memory(array):
    return np.empty(engine_of(array.dtype).rows * panel_width(array), array.dtype)


def zero(array, rows):
    return np.zeros((rows, panel_width(array)), array.dtype)


def load(array, offset, stride, rows):
    return load_rows(array, offset, stride, rows, rows)


def load_rows(array, offset, stride, rows, count):
    starts, width = _rows(array, offset, stride, rows, count)
    flat = array.reshape(-1)
    return np.stack([flat[start : start + width] for start in starts])


def load_columns(array, offset, count):
    row = np.resize(array.reshape(-1)[offset : offset + count], (1, panel_width(array)))  # cut, or repeated to fill it
    return keep_columns(row, count)


def keep_columns(tile, count):
    return np.where(np.arange(tile.shape[1]) < count, tile, tile.dtype.type(0))


def join_columns(left, right, count):
    return np.where(np.arange(left.shape[1]) < count, left, right)


def spread(number):
    return np.full((1, panel_width(number)), number)


def store(acc, array, offset, stride):
    store_rows(acc, array, offset, stride, len(acc))


def store_rows(acc, array, offset, stride, count):
    starts, width = _rows(array, offset, stride, len(acc), count)
    flat = array.reshape(-1)
    for start, row in zip(starts[:count], acc[:count], strict=True):
        flat[start : start + width] = row


def rank1(acc, a, a_offset, a_stride, b, b_offset):
    rows, width = acc.shape
    column = np.array([a[a_offset + r * a_stride] for r in range(rows)])
    return acc + column[:, None] * b[b_offset : b_offset + width]


def add(left, right):
    return left + right


def subtract(left, right):
    return left - right


def multiply(left, right):
    return left * right


def multiply_add(left, right, acc):
    return left * right + acc


def sum_rows(tile):
    return tile.sum(axis=0, keepdims=True)


def total(tile):
    return tile.sum()


def largest(tile):
    return tile.max()


width = panel_width
