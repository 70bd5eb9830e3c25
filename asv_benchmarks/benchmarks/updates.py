"""The update of weights by each optimiser, in the L1 cache and in memory; the unit of work is one weight."""

import numpy as np
from fastmlp_kernels.functions.updates import State
from fastmlp_kernels.memory import aligned

from fastmlp import optimizers

from . import loops
from .repeated import Repeated


class Update(Repeated):
    params = [list(optimizers.OPTIMIZERS), [1024, 4_000_000]]
    param_names = ["optimizer", "weights"]

    def prepare(self, optimizer, weights):
        optimizer, self.units = optimizers.resolve(optimizer), weights
        self.optimizer = optimizers.compiled(optimizer, 1e-4, 0.0, None, True, True, False)
        self.weights, self.gradient = aligned(weights, np.float32, 1), aligned(weights, np.float32, 1)
        first, second = aligned(weights, np.float32, 0), aligned(weights, np.float32, 0)
        self.state = State(first, second, np.zeros(1, np.int64))

    def run(self, calls):
        loops.updates(calls, self.weights, self.state, self.gradient, self.optimizer)

    def time_update(self, optimizer, weights):
        self.run(self.calls)
