"""Each loss with its error signal on a block of rows, in panels; the unit of work is one sample."""

import numpy as np
from fastmlp_kernels.cpu import SHAPE
from fastmlp_kernels.losses import LOSSES, loss_address
from numba import float32

from . import loops
from .repeated import Repeated

ROWS = 168  # whole tiles of every CPU


class Loss(Repeated):
    params = [[" ".join(key) for key in LOSSES], [1, 10, 1000]]
    param_names = ["loss", "outputs"]
    units = ROWS

    def prepare(self, loss, outputs):
        self.address = loss_address(tuple(loss.split()), float32)
        width = SHAPE.width(4)
        size = -(-outputs // width) * width * ROWS
        self.z = np.random.default_rng(0).uniform(0, 1, size).astype(np.float32)
        self.targets = np.full(size, 1 / outputs, np.float32)
        self.deltas, self.outputs, self.n = np.empty_like(self.z), np.empty_like(self.z), outputs

    def run(self, calls):
        panels = self.z, self.deltas, self.outputs, self.targets
        loops.losses(calls, self.address, *panels, ROWS, self.n, ROWS)

    def time_loss(self, loss, outputs):
        self.run(self.calls)
