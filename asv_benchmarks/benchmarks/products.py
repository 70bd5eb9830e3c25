"""The three matrix products of training, each alone, on a block of rows and one thread."""

import itertools

import fastmlp_kernels as fk
import numpy as np

from . import loops
from .kernels import build, training_block, whole_tiles
from .repeated import Repeated

ROWS = whole_tiles(168)


class _Product(Repeated):
    """Base: makes a layer of n_in x n_out weights, after layers of the sizes `before`, and memory for a block of rows.

    With weights of 1 / n_out and error signals of 1, all error signals of the layer before are 1: repeated products
    neither grow nor vanish.
    """

    params = [[16, 33, 64, 256, 1000, 1024], [10, 64, 256, 1000, 1024]]
    param_names = ["n_in", "n_out"]
    before, options = (), {}  # options of `build`

    def prepare(self, n_in, n_out):
        sizes = [*self.before, n_in, n_out]
        self.network = build(sizes, np.float32, **self.options)
        parameters = sum((n + 1) * m for n, m in itertools.pairwise(sizes))
        fk.pack(self.network, np.full(parameters, 1 / n_out, np.float32))
        *memory, self.pieces = training_block(self.network, ROWS)
        self.activations, self.deltas, self.forms, self.scratch, self.gradient = map(self.buffers.copy, memory)
        self.activations[:] = self.deltas[:] = 1

    def _gflops(self, n_in, n_out):
        return 2 * ROWS * n_in * n_out / self.best() / 1e9


class Forward(_Product):
    """Net inputs a W + b."""

    def run(self, calls):
        loops.forward_products(calls, self.network, self.activations, self.deltas, ROWS)

    def time_forward(self, n_in, n_out):
        self.run(self.calls)

    def track_gflops(self, n_in, n_out):
        return self._gflops(n_in, n_out)

    track_gflops.unit = "GFLOP/s"


class Backward(_Product):
    """Error signals (delta W^T) * g'(z)."""

    before = (1,)

    def run(self, calls):
        loops.backward_products(calls, self.network, self.deltas, self.scratch, ROWS)

    def time_backward(self, n_in, n_out):
        self.run(self.calls)

    def track_gflops(self, n_in, n_out):
        return self._gflops(n_in, n_out)

    track_gflops.unit = "GFLOP/s"


class Gradient(_Product):
    """Gradients a^T delta, and the sums of delta for the biases."""

    def run(self, calls):
        signals = self.activations, self.deltas
        loops.gradient_products(calls, self.gradient, self.network, self.pieces, *signals, ROWS)

    def time_gradient(self, n_in, n_out):
        self.run(self.calls)

    def track_gflops(self, n_in, n_out):
        return self._gflops(n_in, n_out)

    track_gflops.unit = "GFLOP/s"
