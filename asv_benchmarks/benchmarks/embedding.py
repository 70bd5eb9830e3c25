"""What compiled programs ask of a small network, 4-32-32-2 with tanh; the unit of work is one sample."""

import fastmlp_kernels as fk
import numpy as np

from fastmlp import MLP

from . import loops
from .repeated import Repeated

ROWS = 144


def arrays(rows):
    """(network, x, what is of each output, what is of each output and input)."""
    rng = np.random.default_rng(0)
    x, outputs = rng.standard_normal((rows, 4), np.float32), rng.standard_normal((rows, 2), np.float32)
    return MLP([4, 32, 32, 2], "tanh").network, x, outputs, rng.standard_normal((rows, 2, 4), np.float32)


class One(Repeated):
    """One sample at a time: its outputs, or all their derivatives with respect to its inputs."""

    params, param_names = ["forward", "jacobian"], ["result"]

    def prepare(self, result):
        network, x, outputs, jacobians = arrays(1)
        self.loop = loops.forward_samples if result == "forward" else loops.jacobians
        found = outputs[0] if result == "forward" else jacobians[0]
        self.arguments = found, network, fk.workspace(network, 2), x[0]

    def run(self, calls):
        self.loop(calls, *self.arguments)

    def time_one(self, result):
        self.run(self.calls)


class Rows(Repeated):
    """A block of rows: back to the inputs, forward with directions, to the parameters, and second derivatives."""

    params, param_names = ["vjp", "jvp", "gradient", "taylor", "taylor_gradient"], ["derivative"]
    units = ROWS

    def prepare(self, derivative):
        network, x, outputs, jacobians = arrays(ROWS)
        second = derivative.startswith("taylor")
        space = (fk.taylor_workspace if second else fk.workspace)(network, ROWS)
        gradient = fk.packed_gradient(network)
        self.arguments = {
            "vjp": (x.copy(), network, space, x, outputs),
            "jvp": (outputs.copy(), outputs.copy(), network, space, x, x),
            "gradient": (gradient, network, space, x, outputs),
            "taylor": (outputs, jacobians, jacobians.copy(), network, space, x),
            "taylor_gradient": (gradient, network, space, x, outputs, jacobians, jacobians),
        }[derivative]
        self.loop = getattr(loops, f"{derivative}_rows")

    def run(self, calls):
        self.loop(calls, *self.arguments)

    def time_rows(self, derivative):
        self.run(self.calls)
