"""Arrays between guard words, so that a kernel which writes past either end of one is found."""

import math

import numpy as np

LINE = 64  # bytes of a cache line
GUARD = 1024  # bytes on either side of an array: more than a row of any panel
WORD = 0x42  # in every byte of them: neither zero nor NaN as a number of any type, so that sums and products change it


class Buffers:
    """A maker of arrays that start `offset` bytes after the start of a cache line."""

    def __init__(self, offset=0):
        self.offset, self.made = offset, []

    def new(self, shape, dtype, fill=np.nan):
        """An array of a shape and dtype, full of `fill`."""
        dtype = np.dtype(dtype)
        size = dtype.itemsize * math.prod(np.atleast_1d(shape))
        memory = np.full(LINE + self.offset + size + 2 * GUARD, WORD, np.uint8)
        start = -memory.ctypes.data % LINE + self.offset + GUARD
        self.made.append((memory, start, start + size))
        array = memory[start : start + size].view(dtype).reshape(shape)
        array[...] = fill
        return array

    def copy(self, values):
        """A copy of an array of numbers; of a NamedTuple, too, with copies of the arrays of numbers that are in it."""
        if isinstance(values, tuple):
            return type(values)(*map(self.copy, values))
        is_array = isinstance(values, np.ndarray) and not values.dtype.names
        return self.new(values.shape, values.dtype, values) if is_array else values

    def check(self):
        """Raise an AssertionError if something was written next to an array."""
        for memory, start, stop in self.made:
            assert (memory[:start] == WORD).all(), "written before the start of a buffer"
            assert (memory[stop:] == WORD).all(), "written past the end of a buffer"
