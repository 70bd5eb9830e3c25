"""Sources of samples, read block by block. Those of Arrow and Parquet are in `arrow`.

A source has

- `blocks`: number of rows of each block, an int64 array, if blocks can be read in any order; else None,
- `rows`: number of all rows, or None if it is not known,
- `read(numbers)`: iterator over pieces of the blocks with these numbers, in this order; of all if `blocks` is None. A
  piece is a tuple of a text for messages, which says where its rows are, X, y, and weights or None.
"""

from __future__ import annotations

import numpy as np

from .. import checks

BLOCK_BYTES = 1 << 22  # as many are read at a time, at most: small enough for a cache, large enough for a disk
LEAST_BLOCKS = 64  # if chunks are small enough, so that there is something to shuffle and to hold out


class Slices:
    """Source of arrays that live elsewhere and can be sliced by rows; blocks are whole chunks of X, if it has chunks.

    Parameters
    ----------
    X, y, sample_weight : objects with `shape` and slices of rows that NumPy can convert, or array-like
        `sample_weight` may be None.
    block_rows : int, optional
        Rows of a block; by default as many chunks of X as BLOCK_BYTES and LEAST_BLOCKS allow, or a single one.
    """

    def __init__(self, X, y, sample_weight=None, block_rows=None):
        self._arrays = {"X": X, "y": y, "sample_weight": sample_weight}
        self._arrays = {name: _sliceable(array) for name, array in self._arrays.items() if array is not None}
        if "y" not in self._arrays:
            raise TypeError("y is None; accepted: targets that can be sliced by rows, as X can")
        for name, array in self._arrays.items():
            checks.dense(name, array)
            if not array.shape:
                raise ValueError(f"{name} has shape (); accepted: rows")
        self.rows = int(self._arrays["X"].shape[0])
        for name, array in self._arrays.items():
            if array.shape[0] != self.rows:
                raise ValueError(f"{name} has shape {array.shape}; accepted: {self.rows} rows, as many as X")
        self._step = block_rows or _block_rows(self._arrays["X"])
        starts = np.arange(0, self.rows, self._step)
        self.blocks = np.minimum(self._step, self.rows - starts)

    def read(self, numbers):
        """See the module's docstring."""
        for start in (int(number) * self._step for number in numbers):
            rows = slice(start, min(start + self._step, self.rows))
            block = {name: np.asanyarray(array[rows]) for name, array in self._arrays.items()}
            yield f"rows {rows.start} to {rows.stop - 1}", block["X"], block["y"], block.get("sample_weight")


def _sliceable(array):
    """An object whose rows can be sliced as they are; others as an array."""
    return array if hasattr(array, "shape") and not hasattr(array, "iloc") else np.asarray(array)


def _block_rows(X):
    chunks = getattr(X, "chunks", None)
    chunk = max(1, int(np.max(chunks[0]))) if chunks else 1  # dask has the sizes of all chunks along each axis
    row_bytes = int(np.prod(X.shape[1:], dtype=np.int64)) * np.dtype(getattr(X, "dtype", float)).itemsize
    return chunk * max(1, min(BLOCK_BYTES // max(1, chunk * row_bytes), X.shape[0] // (LEAST_BLOCKS * chunk)))


class Factory:
    """Source of blocks of an iterator that a function makes anew for each reading.

    Parameters
    ----------
    make : function without arguments that returns an iterable of blocks (X, y) or (X, y, sample_weight)
    rows : int, optional; number of all rows
    """

    blocks = None

    def __init__(self, make, rows=None):
        self._make, self.rows = make, rows

    def read(self, numbers=None):
        """See the module's docstring."""
        iterator = iter(self._make())
        try:
            for number, block in enumerate(iterator):
                if not isinstance(block, tuple | list) or len(block) not in (2, 3):
                    raise TypeError(
                        f"block {number} of X is {type(block).__name__}; accepted: (X, y) or (X, y, sample_weight)"
                    )
                x, y, weights = (*block, None)[:3]
                yield f"block {number}", x, y, weights
        finally:
            if hasattr(iterator, "close"):  # a generator's files, say
                iterator.close()
