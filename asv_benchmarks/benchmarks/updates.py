"""Update of weights by each optimizer, in the L1 cache and in memory. The unit of work is one weight."""

import fastmlp_kernels as fk
import numpy as np

from fastmlp import optimizers

from . import loops
from .repeated import Repeated


class Update(Repeated):
    params = [list(optimizers.OPTIMIZERS), [1024, 4_000_000]]
    param_names = ["optimizer", "weights"]

    def prepare(self, optimizer, weights):
        self.units = weights
        self.optimizer = fk.optimizer(getattr(fk, optimizer.upper()), learning_rate=1e-4)
        self.weights, self.gradient = (self.buffers.new(weights, np.float32, 1) for _ in range(2))
        first, second = (self.buffers.new(weights, np.float32, 0) for _ in range(2))
        self.state = fk.State(first, second, np.zeros(1, np.int64))

    def run(self, calls):
        loops.updates(calls, self.weights, self.state, self.gradient, self.optimizer)

    def time_update(self, optimizer, weights):
        self.run(self.calls)
