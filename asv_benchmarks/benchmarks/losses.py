"""Each loss with its error signals, on a block of rows in panels. The unit of work is one sample."""

import numpy as np
from numba import float32

from . import loops
from .kernels import LOSSES, loss_address, panels_size, whole_tiles
from .repeated import Repeated

ROWS = whole_tiles(168)


class Loss(Repeated):
    params = [[" ".join(key) for key in LOSSES], [1, 10, 1000]]
    param_names = ["loss", "outputs"]
    units = ROWS

    def prepare(self, loss, outputs):
        self.address = loss_address(tuple(loss.split()), float32)
        size = panels_size(outputs, ROWS)
        self.z = self.buffers.new(size, np.float32, np.random.default_rng(0).uniform(0, 1, size))
        self.weights = self.buffers.new(ROWS, np.float32, 1)
        self.targets = self.buffers.new(size, np.float32, 1 / outputs)
        self.deltas, self.outputs = (self.buffers.new(size, np.float32) for _ in range(2))
        self.n = outputs

    def run(self, calls):
        panels = self.z, self.deltas, self.outputs, self.targets
        loops.losses(calls, self.address, *panels, self.weights, ROWS, self.n)

    def time_loss(self, loss, outputs):
        self.run(self.calls)
