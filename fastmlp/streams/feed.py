"""The blocks of a stream for a network: checked, converted, scaled, and read into pools."""

from __future__ import annotations

import math
from contextlib import closing

import numpy as np

from .. import checks, losses, weighting
from .._kernels import AS_THEY_COME, Data
from .pools import Pool
from .reader import Reader

POOL_BYTES, EVALUATION_BYTES = 1 << 28, 1 << 24  # of a pool: to train on, unless its rows are stated; to evaluate


class Block:
    """Rows of a source, with targets and weights as the kernels need them; inputs are still the source's.

    Parameters
    ----------
    net : MLP
    x : (rows, n_in) array of numbers
    y, labels, weights : arrays (see `Data` of the kernels)
    name : str; name of x for messages

    Attributes
    ----------
    arrays : dict of those of y, labels and weights that are there
    empty : Data; all arrays without rows
    """

    def __init__(self, net, x, y, labels, weights, name):
        self.net, self.x, self.name = net, x, name
        given = {"y": y, "labels": labels, "weights": weights}
        self.arrays = {name: array for name, array in given.items() if len(array)}
        self.empty = Data(x[:0], y[:0], labels[:0], AS_THEY_COME, weights[:0])

    def __len__(self):
        return len(self.x)

    def write_inputs(self, out, part):
        """Write the inputs of the rows in a slice `part`, converted and scaled, into the array `out`."""
        x, scaling = self.x[part], self.net.scaling
        with np.errstate(over="ignore", invalid="ignore"):
            if scaling is None:
                out[...] = x
            else:
                scaling.inputs(self.name, x, out.dtype, out)
            total = out.sum()
        if not np.isfinite(total):  # the quickest test; sums of large numbers may be infinite, too
            checks.finite(self.name, self.x)
            checks.finite(self.name, out)


class Feed:
    """Samples of a stream as a network trains on them, or is evaluated with them.

    Parameters
    ----------
    stream : Stream
    net : MLP
    loss : object of `fastmlp.losses`
    class_weight : dict, optional; see `Trainer.fit`
    numbers : int array
        Blocks to read; by default all, in their order.
    every : int, optional
        Of a source that only has its order, the last of so many blocks is one to evaluate, the others are to train on.
    evaluated : bool
        Whether the samples are to be evaluated, in pools of EVALUATION_BYTES, rather than to be trained on.
    argument : str; how names of X, y and sample_weight begin in messages

    Attributes
    ----------
    pool_rows : int
    failed : bool
        Whether reading the source has failed.
    keeps_results : bool
    results : pair of arrays; see `epoch.evaluate`
    """

    keeps_results, failed = False, False

    def __init__(self, stream, net, loss, *, class_weight=None, numbers=(), every=None, evaluated=False, argument=""):
        if isinstance(class_weight, str):
            raise ValueError(f"class_weight is {class_weight!r} with a stream; accepted: a dict of labels to weights")
        self.stream, self.net, self.loss, self._source = stream, net, loss, stream.source
        self._numbers, self._every, self._evaluated = numbers, every, evaluated
        self._class_weight, self._kind = class_weight, losses.target_kind(loss, net.output_activation)
        self._targets = losses.target_count(loss, net.output_activation, net.sizes[-1])
        self._names, self._pools, self._room = (f"{argument}X", f"{argument}y", f"{argument}sample_weight"), [], None
        row_bytes = (net.sizes[0] + self._targets + 1) * net.dtype.itemsize + 8
        default = max(1, (EVALUATION_BYTES if evaluated else POOL_BYTES) // row_bytes)
        self.pool_rows = default if evaluated else stream.pool_rows or default
        if self._source.blocks is not None:
            self.pool_rows = max(1, min(self.pool_rows, self._source.rows))

    @property
    def most_rows(self):
        """Number of samples; infinite if it is not known for sure."""
        return math.inf if self._source.blocks is None else self.rows

    @property
    def rows(self):
        """Number of samples, or None if it is not known."""
        if self._source.blocks is None:
            return self.stream.rows if self._every is None else None
        return int(self._source.blocks[self._order(())].sum())

    @property
    def example(self):
        """A sample of zeros: a Data of the kernels, of the types that all have."""
        x, y = (np.zeros((1, columns), self.net.dtype) for columns in (self.net.sizes[0], self._targets))
        return Data(x, y, np.empty(0, np.int64), AS_THEY_COME, np.empty(0, self.net.dtype))

    def reader(self, room=0, *, order=(), seed=None, pools_done=0):
        """Reader of all samples (see `Reader`).

        Parameters
        ----------
        room : int; see `Pool`
        order : int array; blocks in the order in which to read them, by default that of `numbers`
        seed : int or None; see `pools.fill`
        pools_done : int; number of pools whose rows are passed over
        """
        if room != self._room:
            self._pools, self._room = [], room
        blocks = self.blocks(order, pools_done * self.pool_rows)
        return Reader(blocks, self._pools, lambda block: Pool(room, self.pool_rows, block), seed, pools_done)

    def blocks(self, order=(), passed=0):
        """Blocks, without the first `passed` rows: a generator of `Block`."""
        for where, x, y, weights in self._pieces(order, passed):
            x_name, y_name, weight_name = (f"{name} of {where}" for name in self._names)
            x = checks.unscaled(x_name, x, self.net.sizes[0])
            weights = weighting.checked_weights(weight_name, weights, len(x), self.net.dtype)
            block = Data(x, *self.net.targets(y_name, y, len(x), self.loss), AS_THEY_COME, weights)
            if self._class_weight is not None:
                block = weighting.times_class_weights(block, self._class_weight, self._kind)
            yield Block(self.net, block.x, block.y, block.labels, block.weights, x_name)

    def learn_scaling(self):
        """Have the network learn its scaling from all samples, if it should and has none."""
        if self.net.scale and self.net.scaling is None:
            with closing(self._pieces((), 0)) as pieces:
                blocks = ((x, y, [f"{name} of {where}" for name in self._names]) for where, x, y, _ in pieces)
                self.net.scaling = self.net.learned_from(blocks, self.loss)

    def _order(self, order):
        """Numbers of the blocks to read: `order`, else `numbers`, else all; the first of them that is not empty."""
        return next(found for found in (order, self._numbers, np.arange(len(self._source.blocks))) if len(found))

    def _pieces(self, order, passed):
        """Pieces of the source (see `sources`) that have rows, without the first `passed` rows."""
        numbers = None
        if self._source.blocks is not None:
            numbers = self._order(order)
            ends = np.cumsum(self._source.blocks[numbers])
            whole = np.searchsorted(ends, passed, "right")  # blocks that need not be read
            passed -= int(ends[whole - 1]) if whole else 0
            numbers = numbers[whole:]
        with closing(self._source.read(numbers)) as pieces:
            for number, (where, x, y, weights) in enumerate(pieces):
                checks.dense(f"{self._names[0]} of {where}", x)
                rows = len(x)
                if self._every and (number % self._every == self._every - 1) != self._evaluated:
                    continue
                if passed < rows:
                    parts = (None if part is None else part[passed:] for part in (x, y, weights))
                    yield where, *(parts if passed else (x, y, weights))
                passed = max(0, passed - rows)
