"""Emulation of the tile operations on NumPy arrays, for running the kernels as plain Python (NUMBA_DISABLE_JIT=1).

A tile is an array of shape (rows, panel width); the panel width is the number of columns of a tile, and of a panel (see
`layout.panels`). The functions are described in `operations` and `bfloat16`, where those of the same name have the same
arguments. Three things differ from compiled code. Results are not the same to the last bit: a multiply-add is rounded
twice here, once where the CPU fuses it, and `total` adds in the order that NumPy chooses. `largest` is NaN if one
element is. And the loads and stores of whole rows (`load`, `load_rows`, `store`, `store_rows`) check their offsets.
"""

import functools

import numpy as np

from .engines import engine_of


def _rows(array, offset, stride, rows, count):
    """Offsets of `rows` rows in `array`, those from `count` on repeating the last before it; and the panel width."""
    width = panel_width(array)
    starts = [offset + min(r, count - 1) * stride for r in range(rows)]
    assert all(0 <= start <= array.size - width for start in starts), "tile outside its array"
    return starts, width


@functools.cache
def _panel_width(dtype):
    return engine_of(dtype).panel_width(dtype.itemsize)


def panel_width(array):
    return _panel_width(array.dtype)


def terms(array):
    return engine_of(array.dtype).terms


def tile_memory(array):
    return np.empty(engine_of(array.dtype).rows * panel_width(array), array.dtype)


def square_memory(array):
    return np.empty(32 * 32, array.dtype)


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


def prefetch(array, offset):
    """Nothing: there is no cache to load into."""


def rank1(acc, a, a_offset, a_stride, b, b_offset):
    rows, width = acc.shape
    column = a[a_offset + a_stride * np.arange(rows)]
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


def configure(b):
    """Nothing: there are no registers to take."""


release = configure


def tile_rows(b):
    return engine_of(b.dtype).rows


def zero_sums(c, b):
    return zero(c, tile_rows(b))


def load_sums(c, offset, stride, b):
    return load(c, offset, stride, tile_rows(b))


store_sums = store


def widened(numbers):
    """Numbers in bfloat16, one or an array, as float32."""
    return (np.asarray(numbers, np.uint32) << np.uint32(16)).view(np.float32)[()]


def _flushed(numbers):
    """Numbers in float32, subnormal ones replaced by zeros of the same sign."""
    return np.where(np.abs(numbers) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), numbers), numbers)


def _rounded(tile):
    """Tile of float32 rounded to the nearest bfloat16, ties to even."""
    bits = _flushed(tile).astype(np.float32).view(np.uint32)
    up = bits + (bits >> 16 & 1) + 0x7FFF
    return (np.where(np.isnan(tile), bits | 0x400000, up) >> 16).astype(np.uint16)


def add_terms(sums, a, a_offset, a_stride, b, b_offset):
    (rows, columns), count = sums.shape, terms(b)
    left = np.stack([widened(a[a_offset + r * a_stride :][:count]) for r in range(rows)])
    right = widened(b[b_offset : b_offset + count * columns]).reshape(count // 2, columns, 2)
    chains = np.zeros((2, rows, columns), np.float32)  # over even and odd terms
    for t in range(count // 2):
        for parity, chain in enumerate(chains):
            term = left[:, 2 * t + parity, None].astype(np.float64) * right[t, :, parity]
            chain[:] = _flushed((chain + term).astype(np.float32))
    return _flushed(_flushed(sums) + _flushed(chains[0] + chains[1]))


def store_left(row, operands, offset):
    operands[offset : offset + row.size] = _rounded(row)[0]


def store_both(row, next_row, left, left_offset, right, right_offset):
    store_left(row, left, left_offset)
    store_left(next_row, left, left_offset + row.size)
    right[right_offset : right_offset + 2 * row.size] = np.stack([_rounded(row)[0], _rounded(next_row)[0]], 1).ravel()


def transpose_words(source, offset, stride, target, target_offset, target_stride):
    side = 16
    rows = np.stack([source[offset + r * stride :][: 2 * side] for r in range(side)]).reshape(side, side, 2)
    for r in range(side):
        start = target_offset + r * target_stride
        target[start : start + 2 * side] = rows[:, r].reshape(-1)


width = panel_width
