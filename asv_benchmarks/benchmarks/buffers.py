"""Arrays between guard words, which show whether a kernel has written past either end of an array."""

import math

import numpy as np

LINE = 64  # bytes of a cache line
GUARD = 1024  # bytes on either side of an array: more than a row of any panel
WORD = 0x42  # every byte of the guard words: not zero or NaN as a number of any type, so that sums and products change


class Buffers:
    """Maker of arrays that start `offset` bytes after the start of a cache line."""

    def __init__(self, offset=0):
        self.offset, self.made = offset, []

    def new(self, shape, dtype, fill=np.nan):
        """New array of a shape and dtype, filled with `fill`."""
        dtype = np.dtype(dtype)
        size = dtype.itemsize * math.prod(np.atleast_1d(shape))
        memory = np.full(LINE + self.offset + size + 2 * GUARD, WORD, np.uint8)
        start = -memory.ctypes.data % LINE + self.offset + GUARD
        self.made.append((memory, start, start + size))
        array = memory[start : start + size].view(dtype).reshape(shape)
        array[...] = fill
        return array

    def copy(self, values):
        """Copy of an array of numbers, or of a NamedTuple with copies of the arrays of numbers in it."""
        if isinstance(values, tuple):
            return type(values)(*map(self.copy, values))
        is_array = isinstance(values, np.ndarray) and not values.dtype.names
        return self.new(values.shape, values.dtype, values) if is_array else values

    def check(self):
        """Raise an AssertionError if guard words have changed."""
        for memory, start, stop in self.made:
            assert (memory[:start] == WORD).all(), "written before the start of a buffer"
            assert (memory[stop:] == WORD).all(), "written past the end of a buffer"
