"""Arrays that start on a cache line."""

import math

import numpy as np


def aligned(shape, dtype, fill=None):
    """A new array that starts on a cache line, so that no vector of a panel straddles two."""
    dtype, line = np.dtype(dtype), 64
    size = dtype.itemsize * (math.prod(shape) if isinstance(shape, tuple) else shape)
    buffer = np.empty(size + line, np.uint8)
    start = -buffer.ctypes.data % line
    array = buffer[start : start + size].view(dtype).reshape(shape)
    if fill is not None:
        array[...] = fill
    return array
