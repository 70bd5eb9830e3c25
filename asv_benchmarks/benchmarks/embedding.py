"""What compiled programs ask of a small network, 4-32-32-2 with tanh; the unit of work is one sample."""

import fastmlp_kernels as fk
import numpy as np
from fastmlp_kernels.functions import vectormath
from fastmlp_kernels.functions.scalar import fma, like

from fastmlp import MLP

from . import loops
from .repeated import Repeated

ROWS = 144


def own_slope(z):
    a = vectormath.tanh(z)
    return fma(-a, a, like(1.0, z))


def own_loss(a, y):
    error = a - y
    return like(0.5, a) * error * error


def own_loss_slope(a, y):
    return a - y


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
    """A block of rows: outputs, back to the inputs, forward with directions, to the parameters, second derivatives."""

    params = ["forward", "vjp", "jvp", "gradient", "loss_gradient", "taylor", "taylor_gradient"]
    param_names = ["result"]
    units = ROWS

    def prepare(self, result):
        network, x, outputs, jacobians = arrays(ROWS)
        second = result.startswith("taylor")
        space = (fk.taylor_workspace if second else fk.workspace)(network, ROWS)
        gradient = fk.packed_gradient(network)
        self.arguments = {
            "forward": (outputs, network, space, x),
            "vjp": (x.copy(), network, space, x, outputs),
            "jvp": (outputs.copy(), outputs.copy(), network, space, x, x),
            "gradient": (gradient, network, space, x, outputs),
            "loss_gradient": (gradient, network, space, x, outputs, fk.loss("squared_error", "identity", np.float32)),
            "taylor": (outputs, jacobians, jacobians.copy(), network, space, x),
            "taylor_gradient": (gradient, network, space, x, outputs, jacobians, jacobians),
        }[result]
        self.loop = getattr(loops, f"{result}_rows")

    def run(self, calls):
        self.loop(calls, *self.arguments)

    def time_rows(self, result):
        self.run(self.calls)


class Update(Repeated):
    """An update of all weights from a gradient; the unit of work is one parameter."""

    params, param_names = ["sgd", "momentum", "nesterov", "adam", "adamw"], ["optimizer"]

    def prepare(self, optimizer):
        network, kind = arrays(1)[0], getattr(fk, optimizer.upper())
        self.units, settings = fk.parameter_count(network), fk.optimizer(kind, learning_rate=1e-6)
        self.arguments = network, fk.optimizer_state(network, kind), fk.packed_gradient(network), settings

    def run(self, calls):
        loops.network_updates(calls, *self.arguments)

    def time_update(self, optimizer):
        self.run(self.calls)


class Own(Repeated):
    """A block of rows to the parameters, with an activation and a loss as they are built in, or as users write them."""

    params, param_names = ["built_in", "activation", "loss"], ["own"]
    units = ROWS

    def prepare(self, own):
        fk.register_activation("own_tanh", vectormath.tanh, own_slope)
        fk.register_loss("own_squared_error", own_loss, own_loss_slope)
        _, x, outputs, _ = arrays(ROWS)
        network = MLP([4, 32, 32, 2], "own_tanh" if own == "activation" else "tanh").network
        name = "own_squared_error" if own == "loss" else "squared_error"
        loss, space = fk.loss(name, "identity", np.float32), fk.workspace(network, ROWS)
        self.arguments = fk.packed_gradient(network), network, space, x, outputs, loss

    def run(self, calls):
        loops.loss_gradient_rows(calls, *self.arguments)

    def time_rows(self, own):
        self.run(self.calls)
