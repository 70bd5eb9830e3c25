"""The same training in fastmlp and in other libraries, its peers.

The work is an MLP with ReLU hidden layers and identity outputs, half the squared error summed over outputs and averaged
over the batch, gradient descent with momentum, data in memory, batches in order. Each class uses the ordinary interface
of its library, as a user of that library would. It is made from a `Task`, `train(epochs)` trains for a number of
epochs, and `weights()` returns a list of (n_in, n_out) arrays. Each library is imported by its class.

With bf16-mixed precision, the peers are each library's ways to multiply bfloat16 numbers.
"""

import warnings
from importlib.util import find_spec
from itertools import pairwise
from typing import NamedTuple

import numpy as np

MOMENTUM = 0.9
MOST_BATCHES = 64  # enough that small batches do not all stay in the cache
MOST_VALUES = 1 << 24  # of inputs and targets together, 64 MiB of float32: of large batches there are fewer, at least 2


class Task(NamedTuple):
    """Data and initial weights of a training.

    Attributes
    ----------
    x, y : (N, n_in) and (N, n_out) arrays of one dtype; inputs and targets
    batch_size : int
    weights : list of (n_in, n_out) arrays; initial weights; biases start at zero
    learning_rate : float
    precision : {"float32", "bf16-mixed"}; precision of fastmlp's products (see `fastmlp.precision`)
    """

    x: np.ndarray
    y: np.ndarray
    batch_size: int
    weights: list
    learning_rate: float = 1e-4
    precision: str = "float32"

    @classmethod
    def random(cls, sizes, batch_size, dtype, learning_rate=1e-4, precision="float32"):
        """Task with random data and weights, the same in every call, for a network of these sizes."""
        rng = np.random.default_rng(0)
        batches = int(np.clip(MOST_VALUES // (batch_size * (sizes[0] + sizes[-1])), 2, MOST_BATCHES))
        x, y = (rng.standard_normal((batches * batch_size, n), dtype) for n in (sizes[0], sizes[-1]))
        weights = [rng.standard_normal((n, m), dtype) / np.sqrt(n).astype(dtype) for n, m in pairwise(sizes)]
        return cls(x, y, batch_size, weights, learning_rate, precision)

    @property
    def sizes(self):
        """Units of each layer, inputs first."""
        return [self.x.shape[1], *(weights.shape[1] for weights in self.weights)]

    def batches(self):
        """Iterate over the batches (x, y), in order."""
        for start in range(0, len(self.x), self.batch_size):
            yield self.x[start : start + self.batch_size], self.y[start : start + self.batch_size]


class FastMLP:
    """fastmlp: Trainer."""

    def __init__(self, task):
        from fastmlp import MLP, Momentum, Trainer

        self.task, self.net = task, MLP(task.sizes, dtype=task.x.dtype)
        for mine, weights in zip(self.net.weights, task.weights, strict=True):
            mine[...] = weights
        settings = {"learning_rate": task.learning_rate, "batch_size": task.batch_size, "precision": task.precision}
        self.trainer = Trainer(self.net, "squared_error", Momentum(MOMENTUM), shuffle=False, **settings)

    def train(self, epochs):
        self.trainer.fit(self.task.x, self.task.y, epochs, progress=False)

    def weights(self):
        return self.net.weights


class FastMLPFloat32(FastMLP):
    """fastmlp with float32 products, whatever the task's precision."""

    def __init__(self, task):
        super().__init__(task._replace(precision="float32"))


class NumPy:
    """NumPy: matrix products and whole-array operations, in place where possible."""

    def __init__(self, task):
        self.task, self.matrices = task, [weights.copy() for weights in task.weights]
        self.biases = [np.zeros_like(matrix[0]) for matrix in self.matrices]
        self.parameters = self.matrices + self.biases
        self.velocities = [np.zeros_like(parameter) for parameter in self.parameters]

    def train(self, epochs):
        for _ in range(epochs):
            for x, y in self.task.batches():
                for parameter, velocity, gradient in zip(
                    self.parameters, self.velocities, self._gradients(x, y), strict=True
                ):
                    velocity *= MOMENTUM
                    velocity += gradient
                    parameter -= self.task.learning_rate * velocity

    def _gradients(self, x, y):
        """Gradients of the mean loss of a batch: those of all matrices, then those of all biases, as a list."""
        last, activations = len(self.matrices) - 1, [x]
        for layer, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            z = activations[-1] @ matrix
            z += bias
            if layer < last:
                np.maximum(z, 0, out=z)
            activations.append(z)
        delta = activations.pop()
        delta -= y
        delta /= len(x)
        of_matrices, of_biases = [], []
        for layer in range(last, -1, -1):
            of_matrices.insert(0, activations[layer].T @ delta)
            of_biases.insert(0, delta.sum(0))
            if layer:
                delta = delta @ self.matrices[layer].T
                delta *= activations[layer] > 0
        return of_matrices + of_biases

    def weights(self):
        return self.matrices


class Torch:
    """PyTorch: Linear and ReLU modules, MSELoss and the SGD optimizer."""

    def __init__(self, task):
        import torch

        self.x, self.y, self.batch_size = torch.from_numpy(task.x), torch.from_numpy(task.y), task.batch_size
        self.linear = [torch.nn.Linear(n, m, dtype=self.x.dtype) for n, m in pairwise(task.sizes)]
        for layer, weights in zip(self.linear, task.weights, strict=True):
            layer.weight.data = torch.from_numpy(weights.T.copy())
            torch.nn.init.zeros_(layer.bias)
        modules = [module for layer in self.linear for module in (layer, torch.nn.ReLU())]
        self.net, self.loss = torch.nn.Sequential(*modules[:-1]), torch.nn.MSELoss()
        rate = task.learning_rate * task.sizes[-1] / 2  # MSELoss lacks the factor 1/2 and averages over outputs too
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=rate, momentum=MOMENTUM)

    def train(self, epochs):
        for _ in range(epochs):
            for start in range(0, len(self.x), self.batch_size):
                batch = slice(start, start + self.batch_size)
                self.optimizer.zero_grad()
                self.loss(self.outputs(self.x[batch]), self.y[batch]).backward()
                self.optimizer.step()

    def outputs(self, x):
        return self.net(x)

    def weights(self):
        return [layer.weight.detach().float().numpy().T for layer in self.linear]


class TorchAutocast(Torch):
    """PyTorch with `torch.autocast`: products of bfloat16 operands; weights in float32."""

    def outputs(self, x):
        import torch

        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.net(x).float()


class TorchBfloat16(Torch):
    """PyTorch with everything in bfloat16, weights and velocities too, in which small updates are lost."""

    def __init__(self, task):
        super().__init__(task)
        self.net, self.x, self.y = self.net.bfloat16(), self.x.bfloat16(), self.y.bfloat16()


class TorchMedium(Torch):
    """PyTorch in float32, with `set_float32_matmul_precision("medium")`: inside products, operands are bfloat16."""

    def __init__(self, task):
        import torch

        torch.set_float32_matmul_precision("medium")
        super().__init__(task)


class JAX:
    """JAX: a step compiled as a whole by XLA, which may overwrite the parameters passed to it."""

    products = None  # JAX's word for the precision of products; None: that of the operands

    def __init__(self, task):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", task.x.dtype == np.float64)

        def loss(parameters, x, y):
            for weights, biases in parameters[:-1]:
                x = jax.nn.relu(x @ weights + biases)
            weights, biases = parameters[-1]
            return ((x @ weights + biases - y) ** 2).sum() / (2 * len(x))

        def step(parameters, velocities, x, y):
            gradient = jax.grad(loss)(parameters, x, y)
            velocities = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocities, gradient)
            return jax.tree.map(lambda p, v: p - task.learning_rate * v, parameters, velocities), velocities

        jax.config.update("jax_default_matmul_precision", self.products)
        self.step, self.wait = jax.jit(step, donate_argnums=(0, 1)), jax.block_until_ready
        self.parameters = [(jnp.array(weights), jnp.zeros_like(weights[0])) for weights in task.weights]
        self.velocities = jax.tree.map(jnp.zeros_like, self.parameters)
        self.batches = [(jnp.array(x), jnp.array(y)) for x, y in task.batches()]

    def train(self, epochs):
        for _ in range(epochs):
            for x, y in self.batches:
                self.parameters, self.velocities = self.step(self.parameters, self.velocities, x, y)
        self.wait(self.parameters)

    def weights(self):
        return [np.asarray(weights) for weights, _ in self.parameters]


class JAXBfloat16(JAX):
    """JAX in float32, told to multiply in bfloat16."""

    products = "bfloat16"


class ScikitLearn:
    """scikit-learn: MLPRegressor; each call of `fit` continues from its weights, with velocities of zero."""

    def __init__(self, task):
        from sklearn.neural_network import MLPRegressor

        warnings.filterwarnings("ignore", module="sklearn")  # warnings that it has not converged
        self.x, self.y = task.x, task.y if task.y.shape[1] > 1 else task.y[:, 0]
        self.net = MLPRegressor(
            hidden_layer_sizes=task.sizes[1:-1],
            solver="sgd",
            momentum=MOMENTUM,
            nesterovs_momentum=False,
            alpha=0.0,
            learning_rate_init=task.learning_rate,
            batch_size=task.batch_size,
            shuffle=False,
            warm_start=True,
            tol=0.0,
            n_iter_no_change=10**9,
        )
        self.net.partial_fit(self.x[: task.batch_size], self.y[: task.batch_size])  # makes what is replaced here
        self.net.coefs_ = [weights.copy() for weights in task.weights]
        self.net.intercepts_ = [np.zeros_like(weights[0]) for weights in task.weights]

    def train(self, epochs):
        self.net.max_iter = epochs
        self.net.fit(self.x, self.y)

    def weights(self):
        return self.net.coefs_


LIBRARIES = {
    "fastmlp": FastMLP,
    "numpy": NumPy,
    "torch": Torch,
    "jax": JAX,
    "scikit-learn": ScikitLearn,
    "fastmlp float32": FastMLPFloat32,
    "torch autocast": TorchAutocast,
    "torch bfloat16": TorchBfloat16,
    "torch medium": TorchMedium,
    "jax bfloat16": JAXBfloat16,
}
# Names of those to compare, by precision; the first word is the package.
COMPARED = {
    "float32": ["fastmlp", "numpy", "torch", "jax", "scikit-learn"],
    "bf16-mixed": ["fastmlp", "fastmlp float32", "torch autocast", "torch bfloat16", "torch medium", "jax bfloat16"],
}
PEERS = {"numpy": "numpy", "torch": "torch", "jax": "jax", "scikit-learn": "sklearn"}  # name: the module to import


def installed(precision="float32"):
    """Return the names of the peers that are installed and have products of a precision."""
    packages = {library.split()[0] for library in COMPARED[precision]}
    return [peer for peer, module in PEERS.items() if peer in packages and find_spec(module)]


def compared(precision, names):
    """Return the names in `LIBRARIES` of fastmlp and of the peers in `names`, in their order, for a precision."""
    packages = ["fastmlp", *names]
    return [library for package in packages for library in COMPARED[precision] if library.split()[0] == package]
