"""Pools: the rows of a stream that are in memory, and shuffled, at a time."""

from __future__ import annotations

import numpy as np

from .._kernels import Data


class Pool:
    """Memory for rows, with room before them for rows that are left of the pool before.

    Parameters
    ----------
    room : int; rows that may be left, at most
    rows : int; rows of its own, at most
    block : feed.Block; a first one, which tells what kind of targets there are, and whether there are weights

    Attributes
    ----------
    data : Data of the kernels
        All of the memory. Its order has the numbers of the pool's own rows from position `room` on.
    rows : int
        Own rows that are there.
    """

    def __init__(self, room, rows, block):
        size = room + rows
        used = {name: np.zeros((size, *array.shape[1:]), array.dtype) for name, array in block.arrays.items()}
        x = np.zeros((size, block.x.shape[1]), block.net.dtype)
        self.data = block.empty._replace(x=x, order=np.arange(size), **used)
        self.most, self.rows, self._room, self._kinds = rows, 0, room, used.keys()

    def add(self, block, start):
        """Add rows of a block from `start` on, as many as there is space for; return the number of those added."""
        if block.arrays.keys() != self._kinds:
            raise ValueError(
                f"{block.name} has other kinds of targets or weights than blocks before; accepted: labels or "
                "arrays, and weights, in all blocks or in none"
            )
        rows, at = min(len(block) - start, self.most - self.rows), self._room + self.rows
        part, place = slice(start, start + rows), slice(at, at + rows)
        block.write_inputs(self.data.x[place], part)
        for name, array in block.arrays.items():
            getattr(self.data, name)[place] = array[part]
        self.rows += rows
        return rows

    def put_in_order(self, seed):
        """Put the pool's own rows in an order that a seed decides; None: as they came."""
        own = self.data.order[self._room : self._room + self.rows]
        own[:] = np.arange(self._room, self._room + self.rows)
        if seed is not None:
            np.random.default_rng(seed).shuffle(own)

    def after(self, left, skipped=0):
        """Data of the kernels: the rows `left` (see `remaining`), None at first, then the own, but the first ones."""
        first = self._room + skipped
        if left is not None:
            first = self._room - len(left.x)
            for name in ("x", *self._kinds):
                getattr(self.data, name)[first : self._room] = getattr(left, name)
        return self.data._replace(order=self.data.order[first : self._room + self.rows])


def remaining(data, first):
    """Copy of the samples of `data` from number `first` on, in their order: a Data of the kernels."""
    taken = data.order[first:]
    arrays = [array[taken] if len(array) else array for array in (data.x, data.y, data.labels, data.weights)]
    return Data(*arrays[:3], np.arange(len(taken)), arrays[3])


def fill(blocks, free, seed, number):
    """Fill pools with the rows of blocks: a generator of pools, all full but the last.

    Parameters
    ----------
    blocks : iterator of feed.Block
    free : function that is called with a block and returns a `Pool` to fill
    seed : int or None; with the number of a pool it decides the order of its rows (see `Pool.put_in_order`)
    number : int; number of the first pool in its epoch
    """
    pool = None
    for block in blocks:
        start = 0
        while start < len(block):
            if pool is None:
                pool = free(block)
                pool.rows = 0
            start += pool.add(block, start)
            if pool.rows == pool.most:
                yield _ordered(pool, seed, number)
                pool, number = None, number + 1
    if pool is not None:
        yield _ordered(pool, seed, number)


def _ordered(pool, seed, number):
    pool.put_in_order(None if seed is None else [seed, number])
    return pool
