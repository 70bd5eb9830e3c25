"""Arrays that start on a cache line.

Matrices are stored in *panels*, the columns of a matrix, `panel_width` at a time, row by row (see `layout.panels`).
"""

import math

import numpy as np


def aligned(shape, dtype, fill=None):
    """New array whose first element lies at the start of a cache line, so that no vector of a panel straddles two.

    Parameters
    ----------
    shape : int or tuple of int
    dtype : dtype
    fill : number, optional
        Value of all elements; by default they are not initialized.

    Returns
    -------
    array, row-major
    """
    dtype, line = np.dtype(dtype), 64  # bytes of a cache line
    size = dtype.itemsize * (math.prod(shape) if isinstance(shape, tuple) else shape)
    buffer = np.empty(size + line, np.uint8)
    start = -buffer.ctypes.data % line
    array = buffer[start : start + size].view(dtype).reshape(shape)
    if fill is not None:
        array[...] = fill
    return array
