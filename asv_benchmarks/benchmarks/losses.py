"""Each loss with its error signal on a block of rows, in panels; the unit of work is one sample."""

import numpy as np
from fastmlp_kernels.memory import aligned
from fastmlp_kernels.panelwise.losses import LOSSES, loss_address
from fastmlp_kernels.tile.engines import SHAPE
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
        self.z = aligned(size, np.float32, np.random.default_rng(0).uniform(0, 1, size))
        self.weights = aligned(ROWS, np.float32, 1)
        self.targets = aligned(size, np.float32, 1 / outputs)
        self.deltas, self.outputs, self.n = aligned(size, np.float32), aligned(size, np.float32), outputs

    def run(self, calls):
        panels = self.z, self.deltas, self.outputs, self.targets
        loops.losses(calls, self.address, *panels, self.weights, ROWS, self.n, ROWS)

    def time_loss(self, loss, outputs):
        self.run(self.calls)
