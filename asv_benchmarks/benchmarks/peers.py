"""The same training step in other libraries: ReLU, identity outputs, mean squared error, momentum, no shuffling.

A library that is not installed is skipped. Each does its work through its ordinary interface, a pass over all batches
a call; the unit of work is one step.
"""

import importlib
import itertools
import warnings

import numba
import numpy as np

from . import cases
from .cases import LEARNING_RATE, MOMENTUM
from .repeated import Repeated


class _Peer(Repeated):
    """Base: data, and `library`, imported."""

    params, param_names = cases.STEPS, ["case"]

    def prepare(self, case):
        try:
            self.module = importlib.import_module(self.library)
        except ImportError as error:
            raise NotImplementedError(f"{self.library} is not installed") from error
        self.sizes, self.batch = cases.parse(case)
        self.x, self.y, self.units = cases.data(case)
        self.build()

    def run(self, calls):
        for _ in range(calls):
            self.epoch()

    def batches(self):
        """Slices of the data, a batch each."""
        return (slice(start, start + self.batch) for start in range(0, len(self.x), self.batch))

    def weights(self):
        """Random weights of all layers."""
        rng = np.random.default_rng(1)
        shapes = itertools.pairwise(self.sizes)
        return [rng.standard_normal(shape, dtype=np.float32) / np.float32(shape[0] ** 0.5) for shape in shapes]


class NumPy(_Peer):
    library = "numpy"

    def build(self):
        self.parameters = [(w, np.zeros(w.shape[1], np.float32)) for w in self.weights()]
        self.velocities = [tuple(map(np.zeros_like, pair)) for pair in self.parameters]

    def epoch(self):
        rate, keep = np.float32(LEARNING_RATE), np.float32(MOMENTUM)
        for rows in self.batches():
            outputs = [self.x[rows]]
            for l, (w, b) in enumerate(self.parameters, 1):
                z = outputs[-1] @ w
                z += b
                outputs.append(np.maximum(z, 0, out=z) if l < len(self.parameters) else z)
            delta = outputs[-1] - self.y[rows]
            delta *= np.float32(2 / delta.size)
            for l in range(len(self.parameters) - 1, -1, -1):
                gradients = outputs[l].T @ delta, delta.sum(0)
                if l:
                    delta = delta @ self.parameters[l][0].T
                    delta *= outputs[l] > 0
                for p, v, g in zip(self.parameters[l], self.velocities[l], gradients, strict=True):
                    v *= keep
                    v += g
                    p -= rate * v

    def time_step(self, case):
        self.run(self.calls)


class PyTorch(_Peer):
    library = "torch"

    def build(self):
        torch = self.module
        torch.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        self.x, self.y = torch.from_numpy(self.x), torch.from_numpy(self.y)
        layers = []
        for n_in, n_out in itertools.pairwise(self.sizes):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        self.net, self.loss = torch.nn.Sequential(*layers[:-1]), torch.nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def epoch(self):
        for rows in self.batches():
            self.optimizer.zero_grad(set_to_none=False)
            self.loss(self.net(self.x[rows]), self.y[rows]).backward()
            self.optimizer.step()

    def time_step(self, case):
        self.run(self.calls)


class JAX(_Peer):
    """Takes as many threads as it likes, unless XLA_FLAGS says otherwise."""

    library = "jax"

    def build(self):
        jax, jnp = self.module, importlib.import_module("jax.numpy")

        def loss(parameters, x, y):
            for w, b in parameters[:-1]:
                x = jax.nn.relu(x @ w + b)
            return jnp.mean((x @ parameters[-1][0] + parameters[-1][1] - y) ** 2)

        def step(parameters, velocities, x, y):
            gradient = jax.grad(loss)(parameters, x, y)
            velocities = jax.tree_util.tree_map(lambda v, g: MOMENTUM * v + g, velocities, gradient)
            moved = jax.tree_util.tree_map(lambda p, v: p - LEARNING_RATE * v, parameters, velocities)
            return moved, velocities

        self.step = jax.jit(step, donate_argnums=(0, 1))
        parameters = [(jnp.array(w), jnp.zeros(w.shape[1])) for w in self.weights()]
        self.state = parameters, jax.tree_util.tree_map(jnp.zeros_like, parameters)
        self.data = [(jnp.array(self.x[rows]), jnp.array(self.y[rows])) for rows in self.batches()]

    def epoch(self):
        for x, y in self.data:
            self.state = self.step(*self.state, x, y)
        self.module.block_until_ready(self.state)

    def time_step(self, case):
        self.run(self.calls)


class ScikitLearn(_Peer):
    library = "sklearn.neural_network"

    def build(self):
        warnings.filterwarnings("ignore", module="sklearn")
        momentum = {"solver": "sgd", "momentum": MOMENTUM, "nesterovs_momentum": False, "alpha": 0.0}
        fixed = {"shuffle": False, "tol": 0.0, "n_iter_no_change": 10**9, "warm_start": True}
        layers, rate = self.sizes[1:-1], LEARNING_RATE
        settings = momentum | fixed | {"hidden_layer_sizes": layers, "learning_rate_init": rate, "max_iter": 1}
        self.net = self.module.MLPRegressor(batch_size=self.batch, **settings)

    def epoch(self):
        self.net.fit(self.x, self.y if self.y.shape[1] > 1 else self.y[:, 0])

    def time_step(self, case):
        self.run(self.calls)
