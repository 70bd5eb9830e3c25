"""Masks of dropout, made and applied to a panel in the L1 cache; the unit of work is one unit of one sample."""

import numpy as np
from fastmlp_kernels.layout.network import set_dropout
from fastmlp_kernels.memory import aligned
from fastmlp_kernels.tile.engines import SHAPE

from fastmlp import MLP

from . import loops
from .repeated import Repeated

ROWS = 96


class Dropout(Repeated):
    units = ROWS * SHAPE.width(4)

    def prepare(self):
        self.network = MLP([1, SHAPE.width(4), 1]).network
        set_dropout(self.network, (0.5,), 0)
        self.activations, self.slopes = aligned(self.units, np.float32, 0), aligned(self.units, np.float32, 0)

    def run(self, calls):
        loops.dropped(calls, self.activations, self.slopes, self.network, ROWS)

    def time_dropout(self):
        self.run(self.calls)
