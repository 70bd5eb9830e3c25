"""Kernels for users' compiled programs, with a small network, 4-32-32-2 with tanh. The unit of work is one sample."""

import fastmlp_kernels as fk
import numpy as np
from fastmlp_kernels import vectormath
from fastmlp_kernels.scalar import fma, like

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


class _Small(Repeated):
    """Base: makes the network, and arrays for it between guard words."""

    def network(self, activation="tanh"):
        return self.buffers.copy(MLP([4, 32, 32, 2], activation).network)

    def arrays(self, rows):
        """Random inputs, arrays like the outputs, arrays like the Jacobians: (rows, 4), (rows, 2), (rows, 2, 4)."""
        rng = np.random.default_rng(0)
        shapes = (rows, 4), (rows, 2), (rows, 2, 4)
        return [self.buffers.copy(rng.standard_normal(shape, np.float32)) for shape in shapes]


class One(_Small):
    """One sample at a time: its outputs, or its Jacobian."""

    params, param_names = ["forward", "jacobian"], ["result"]

    def prepare(self, result):
        network, (x, outputs, jacobians) = self.network(), self.arrays(1)
        self.loop = loops.forward_samples if result == "forward" else loops.jacobians
        found = outputs[0] if result == "forward" else jacobians[0]
        self.arguments = found, network, self.buffers.copy(fk.workspace(network, 2)), x[0]

    def run(self, calls):
        self.loop(calls, *self.arguments)

    def time_one(self, result):
        self.run(self.calls)


class Rows(_Small):
    """A block of rows: outputs, products with the Jacobian, gradients, second derivatives and their gradients."""

    params = ["forward", "vjp", "jvp", "gradient", "loss_gradient", "taylor", "taylor_gradient"]
    param_names = ["result"]
    units = ROWS

    def prepare(self, result):
        network, (x, outputs, jacobians) = self.network(), self.arrays(ROWS)
        second = result.startswith("taylor")
        space = self.buffers.copy((fk.taylor_workspace if second else fk.workspace)(network, ROWS))
        gradient, copy = self.buffers.copy(fk.packed_gradient(network)), self.buffers.copy
        self.arguments = {
            "forward": (outputs, network, space, x),
            "vjp": (copy(x), network, space, x, outputs),
            "jvp": (copy(outputs), copy(outputs), network, space, x, x),
            "gradient": (gradient, network, space, x, outputs),
            "loss_gradient": (gradient, network, space, x, outputs, fk.loss("squared_error", "identity", np.float32)),
            "taylor": (outputs, jacobians, copy(jacobians), network, space, x),
            "taylor_gradient": (gradient, network, space, x, outputs, jacobians, jacobians),
        }[result]
        self.loop = getattr(loops, f"{result}_rows")

    def run(self, calls):
        self.loop(calls, *self.arguments)

    def time_rows(self, result):
        self.run(self.calls)


class Update(_Small):
    """An update of all weights from a gradient. The unit of work is one parameter."""

    params, param_names = ["sgd", "momentum", "nesterov", "adam", "adamw"], ["optimizer"]

    def prepare(self, optimizer):
        network, kind, copy = self.network(), getattr(fk, optimizer.upper()), self.buffers.copy
        self.units, settings = fk.parameter_count(network), fk.optimizer(kind, learning_rate=1e-6)
        self.arguments = network, copy(fk.optimizer_state(network, kind)), copy(fk.packed_gradient(network)), settings

    def run(self, calls):
        loops.network_updates(calls, *self.arguments)

    def time_update(self, optimizer):
        self.run(self.calls)


class Own(_Small):
    """Gradient of a loss for a block of rows, with built-in functions, a custom activation, or a custom loss."""

    params, param_names = ["built_in", "activation", "loss"], ["own"]
    units = ROWS

    def prepare(self, own):
        fk.register_activation("own_tanh", vectormath.tanh, own_slope)
        fk.register_loss("own_squared_error", own_loss, own_loss_slope)
        x, outputs, _ = self.arrays(ROWS)
        network = self.network("own_tanh" if own == "activation" else "tanh")
        name = "own_squared_error" if own == "loss" else "squared_error"
        loss, space = fk.loss(name, "identity", np.float32), self.buffers.copy(fk.workspace(network, ROWS))
        self.arguments = self.buffers.copy(fk.packed_gradient(network)), network, space, x, outputs, loss

    def run(self, calls):
        loops.loss_gradient_rows(calls, *self.arguments)

    def time_rows(self, own):
        self.run(self.calls)
