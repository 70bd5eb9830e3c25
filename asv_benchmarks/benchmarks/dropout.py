"""Dropout of a panel in the L1 cache: masks are made and applied. The unit of work is one unit of one sample."""

import fastmlp_kernels as fk
import numpy as np

from . import loops
from .kernels import SHAPE, build, panels_size, whole_tiles
from .repeated import Repeated

ROWS = whole_tiles(96)


class Dropout(Repeated):
    units = panels_size(1, ROWS)

    def prepare(self):
        self.network = build([1, SHAPE.width(4), 1], np.float32)
        fk.set_dropout(self.network, (0.5,), 0)
        self.activations, self.slopes = (self.buffers.new(self.units, np.float32, 0) for _ in range(2))

    def run(self, calls):
        loops.dropped(calls, self.activations, self.slopes, self.network, ROWS)

    def time_dropout(self):
        self.run(self.calls)
