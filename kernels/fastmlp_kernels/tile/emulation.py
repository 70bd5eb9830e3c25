"""The tile operations on NumPy arrays, for running the kernels as plain Python (NUMBA_DISABLE_JIT=1).

A tile is an array of shape (rows, width). Meaning and arguments are those of `tile`; sums are rounded twice where the
compiled ones are fused.
"""

import numpy as np

from .engines import engine_of


def _rows(array, offset, stride, rows, count):
    size = panel_width(array)
    starts = [offset + min(r, count - 1) * stride for r in range(rows)]
    assert all(0 <= start <= array.size - size for start in starts), "tile outside its array"
    return starts, size


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
    starts, size = _rows(array, offset, stride, rows, count)
    return np.stack([array[start : start + size] for start in starts])


def load_columns(array, offset, count):
    return keep_columns(np.resize(array.reshape(-1)[offset : offset + count], (1, panel_width(array))), count)


def keep_columns(tile, count):
    return np.where(np.arange(tile.shape[1]) < count, tile, tile.dtype.type(0))


def join_columns(left, right, count):
    return np.where(np.arange(left.shape[1]) < count, left, right)


def spread(number):
    return np.full((1, panel_width(number)), number)


def store(acc, array, offset, stride):
    store_rows(acc, array, offset, stride, len(acc))


def store_rows(acc, array, offset, stride, count):
    starts, size = _rows(array, offset, stride, len(acc), count)
    flat = array.reshape(-1)
    for start, row in zip(starts[:count], acc[:count], strict=True):
        flat[start : start + size] = row


def rank1(acc, a, a_offset, a_stride, b, b_offset):
    rows, size = acc.shape
    column = np.array([a[a_offset + r * a_stride] for r in range(rows)])
    return acc + column[:, None] * b[b_offset : b_offset + size]


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
