"""Each activation of numbers in the L1 cache, which are copied before every call. The unit of work is one number."""

import numpy as np
from numba import float32

from . import loops
from .kernels import ACTIVATIONS, slopes_address, values_address
from .repeated import Repeated

COUNT = 2048


class Values(Repeated):
    """Values alone, as prediction needs them."""

    params, param_names = [name for name in ACTIVATIONS if name != "identity"], ["activation"]
    units = COUNT

    def prepare(self, activation):
        self.address = values_address(activation, float32)
        self.z = self.buffers.new(COUNT, np.float32, np.linspace(-5, 5, COUNT))
        self.values = self.buffers.new(COUNT, np.float32)

    def run(self, calls):
        loops.activation_values(calls, self.address, self.z, self.values)

    def time_values(self, activation):
        self.run(self.calls)


class Slopes(Repeated):
    """Values and slopes, as training needs them."""

    params, param_names = [name for name, entry in ACTIVATIONS.items() if entry.differentiable], ["activation"]
    units = COUNT

    def prepare(self, activation):
        self.address = slopes_address(activation, float32)
        self.z = self.buffers.new(COUNT, np.float32, np.linspace(-5, 5, COUNT))
        self.values, self.slopes = (self.buffers.new(COUNT, np.float32) for _ in range(2))

    def run(self, calls):
        loops.activation_slopes(calls, self.address, self.z, self.values, self.slopes)

    def time_slopes(self, activation):
        self.run(self.calls)
