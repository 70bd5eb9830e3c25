"""The multilayer perceptron: its parameters, and everything that can be asked of it short of training."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
from fastmlp_kernels.drivers import plan, prediction, training
from fastmlp_kernels.embed import make as construction
from fastmlp_kernels.functions import updates
from fastmlp_kernels.functions.activation_table import SOFTMAX, activation_code
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.layout.panels import unpack_rows
from fastmlp_kernels.products import first_layer as inputs
from fastmlp_kernels.products.first_layer import network_for, row_count
from numpy.typing import ArrayLike, DTypeLike

from . import checks, files, losses, weighting
from .initializers import INITIALIZERS
from .threads import sharing

AS_THEY_COME = np.empty(0, np.int64)
REMADE = "weights", "biases", "_functions"  # attributes that are not pickled
YOUR_OWN = "; one of your own must be registered first, with fastmlp.register_activation"


class Backpropagation(NamedTuple):
    """Every intermediate of one forward and backward pass.

    Attributes
    ----------
    loss : float
    net_inputs : list of (N, n) arrays; z of layers 1 to L
    activations : list of (N, n) arrays; a of layers 0 (the inputs) to L
    deltas : list of (N, n) arrays; error signals dE/dz of layers 1 to L, of each sample's own error times its weight
    gradient : (n_params,) array; of the loss
    """

    loss: float
    net_inputs: list
    activations: list
    deltas: list
    gradient: np.ndarray


class MLP:
    """A multilayer perceptron.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, inputs first.
    activation : str or sequence of str
        Of the hidden layers: one name for all, or one for each. Your own too (see `fastmlp.register_activation`).
    output_activation : str
        Of the last layer; besides those of hidden layers, "softmax".
    dtype : {"float32", "float64"}
    bias : bool
        Whether units have biases.
    init : str
        Weight initialiser (see `fastmlp.initializers`); "auto" takes for each layer the one that suits its activation.
        Biases start at zero.
    seed : int
        Of the initial weights.

    Attributes
    ----------
    params : (n_params,) array
        All parameters: layer after layer, its biases first, then its weights row by row.
    weights, biases : list of (n_in, n_out) and of (n_out,) arrays
        Writable views of `params`; `biases` is empty without biases.
    metadata : dict
        Anything JSON can hold; saved and loaded with the network.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Sequence[str] = "relu",
        output_activation: str = "identity",
        dtype: DTypeLike = "float32",
        bias: bool = True,
        init: str = "auto",
        seed: int = 0,
    ) -> None:
        self.sizes = tuple(checks.count("sizes", n) for n in checks.sequence("sizes", sizes))
        if len(self.sizes) < 2:
            raise ValueError(f"sizes is {self.sizes}; accepted: at least an input and an output layer")
        hidden = len(self.sizes) - 2
        single = isinstance(activation, str)
        names = [activation] * hidden if single else list(checks.sequence("activation", activation))
        if len(names) != hidden:
            raise ValueError(
                f"activation has {len(names)} names; accepted: one, or one for each of {hidden} hidden layers"
            )
        if single:
            checks.choice("activation", activation, ACTIVATIONS, YOUR_OWN)
        names = [checks.choice("activation", name, ACTIVATIONS, YOUR_OWN) for name in names]
        names.append(checks.choice("output_activation", output_activation, [*ACTIVATIONS, "softmax"], YOUR_OWN))
        self.activations = tuple(names)
        self.activation, self.output_activation = activation, output_activation
        self.dtype = np.dtype(checks.choice("dtype", _dtype_name(dtype), ["float32", "float64"]))
        self.bias = bool(bias)
        checks.choice("init", init, ["auto", *INITIALIZERS])
        self.metadata = {}
        self._look_up()
        self._allocate()
        if init == "zeros":  # as they are; without a random generator, which takes longer than the rest
            return
        rng = np.random.default_rng(seed)
        for weights, name in zip(self.weights, names, strict=True):
            suited = "glorot_uniform" if name == "softmax" else ACTIVATIONS[name].init
            weights[...] = INITIALIZERS[suited if init == "auto" else init](rng, *weights.shape)

    def _look_up(self):
        """Keep the functions that the names of the activations now mean: one may be registered anew."""
        names = [name for name in self.activations if name != "softmax"]
        self._functions = [ACTIVATIONS[checks.choice("activation", name, ACTIVATIONS, YOUR_OWN)] for name in names]

    def _allocate(self):
        shapes = list(zip(self.sizes, self.sizes[1:], strict=False))
        self.params = np.zeros(sum((n_in + self.bias) * n_out for n_in, n_out in shapes), self.dtype)
        self._view()

    def _view(self):
        self.weights, self.biases = self.views(self.params)

    def views(self, params: np.ndarray) -> tuple[list, list]:
        """Views (weights, biases) of an array laid out like `params`: of a gradient, for one."""
        weights, biases, start = [], [], 0
        for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False):
            matrix = params[start : start + (n_in + self.bias) * n_out].reshape(n_in + self.bias, n_out)
            start += matrix.size
            weights.append(matrix[self.bias :])
            if self.bias:
                biases.append(matrix[0])
        return weights, biases

    def astype(self, dtype: DTypeLike) -> MLP:
        """A copy of the network with parameters of another dtype."""
        net = MLP(**self.config() | {"dtype": dtype, "init": "zeros"})
        net.params[:], net.metadata = self.params, self.metadata
        return net

    def __getstate__(self):
        """All but the views of `params`, of which copies would be arrays of their own, and what is compiled."""
        return {name: value for name, value in vars(self).items() if name not in REMADE}

    def __setstate__(self, state):
        vars(self).update(state)
        self._look_up()
        self._view()

    def __repr__(self):
        layers = "-".join(map(str, self.sizes))
        return f"<MLP {layers}, {', '.join(self.activations)}, {self.dtype}, {self.n_params} parameters>"

    def __call__(self, X: ArrayLike) -> np.ndarray:
        return self.predict(X)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self.params.size

    @property
    def training_flops(self) -> int:
        """Floating-point operations of a training step, per sample (see `plan.training_flops` of the kernels)."""
        return plan.training_flops(self.sizes)

    def config(self) -> dict:
        """The arguments that make a network like this one, as JSON can hold them."""
        return {
            "sizes": list(self.sizes),
            "activation": list(self.activations[:-1]),
            "output_activation": self.output_activation,
            "dtype": self.dtype.name,
            "bias": self.bias,
        }

    def save(self, path: str | PathLike) -> None:
        """Write the network to a safetensors file (see `fastmlp.files.save`)."""
        files.save(self, path)

    @classmethod
    def load(cls, path: str | PathLike) -> MLP:
        """Read a network from a file (see `fastmlp.files.load`)."""
        return files.load(path)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The network's outputs.

        Parameters
        ----------
        X : (N, n_in) array-like, or sparse matrix of scipy
            Numbers of any dtype and memory order.

        Returns
        -------
        (N, n_out) array of the network's dtype

        Raises
        ------
        TypeError, ValueError
            If `X` has another shape, or does not convert to finite numbers.
        """
        x = checks.inputs("X", X, self.sizes[0], self.dtype)
        network, rows = network_for(self.kernel_network(), x), row_count(x)
        outputs = np.empty((rows, self.sizes[-1]), self.dtype)
        activations, block = plan.scratch(network, rows, sharing(self.sizes, rows))
        run = prediction.predict if len(activations) > 1 else prediction.predict_serial
        tickets = np.zeros(2, np.int64)
        run(outputs, network, activations, x, AS_THEY_COME, block, tickets)
        if tickets[-1]:
            checks.finite("X", x)
        return outputs

    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """The loss of the network's outputs for `X` against `y` (see `gradient`)."""
        data, loss = self.data(X, y, loss, sample_weight)
        network, rows = network_for(self.kernel_network(), data.x), row_count(data.x)
        threads = sharing(self.sizes, rows)
        workspace = plan.workspace(network, 0, threads, rows)
        run = training.evaluate if threads > 1 else training.evaluate_serial
        total = run(network, workspace, data, self.kernel_loss(loss), threads)
        if not np.isfinite(total):
            checks.finite("X", data.x)
        return total * self._scale(reduction, data)

    def gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, np.ndarray]:
        """The loss and its gradient; nothing is updated.

        Parameters
        ----------
        X : (N, n_in) array-like, or sparse matrix of scipy
        y : (N, n_out) array-like
            Targets. Also (N,) with one output, and (N,) integer labels with cross-entropy or focal loss of a softmax.
        loss : str or object of `fastmlp.losses`
            A name of `fastmlp.losses.LOSSES`, or one that you registered. "auto" is the cross-entropy that goes with a
            softmax or sigmoid output, "poisson" with "exp", squared error with others.
        reduction : {"mean", "sum"}
            Over samples; over outputs, losses are always summed.
        sample_weight : (N,) array-like, optional
            How much each sample counts; the mean is that of weighted samples, over the sum of their weights.

        Returns
        -------
        loss : float
        gradient : (n_params,) array, laid out like `params`
        """
        return self._differentiate(X, y, loss, reduction, sample_weight)[:2]

    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> np.ndarray:
        """The gradient of the loss with respect to the inputs, delta[1] W[1]^T: (N, n_in). Arguments as `gradient`.

        `X` is not to be sparse: the result would not be.
        """
        signals = self.backpropagate(X, y, loss, reduction, sample_weight).deltas[0]
        total = len(signals) if sample_weight is None else np.sum(sample_weight, dtype=float)
        return signals @ self.weights[0].T * (1 / total if reduction == "mean" else 1.0)

    def backpropagate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> Backpropagation:
        """One forward and backward pass, with every intermediate: a `Backpropagation`. Arguments as `gradient`.

        `X` is not to be sparse: it is among the intermediates.
        """
        X = checks.matrix("X", X, self.sizes[0], self.dtype)
        passes = self._differentiate(X, y, loss, reduction, sample_weight, one_block=True)
        total, gradient, workspace, network, rows = passes
        activations, deltas = [], []
        for n, start in zip(self.sizes, [0, *network.layers.outputs], strict=True):
            activations.append(self._rows(workspace.activations[0], start, n, rows, workspace.block))
        for n, start in zip(self.sizes[1:], network.layers.deltas, strict=True):
            deltas.append(self._rows(workspace.deltas[0], start, n, rows, workspace.block))
        biases = self.biases or [0] * len(self.weights)
        net_inputs = [a @ w + b for a, w, b in zip(activations, self.weights, biases, strict=False)]
        return Backpropagation(total, net_inputs, activations, deltas, gradient)

    @property
    def network(self) -> packed.Network:
        """The network as the kernels take it: new arrays, with the present parameters.

        Assigning a network of the same layers, such as one trained in compiled code, takes its weights over.

        Raises
        ------
        TypeError, ValueError
            If what is assigned is no network of the kernels, or one of other layers.
        """
        return self.kernel_network(inputs=True)

    @network.setter
    def network(self, network: packed.Network) -> None:
        if not isinstance(network, packed.Network):
            raise TypeError(f"network is {type(network).__name__}; accepted: a Network of fastmlp_kernels")
        given = tuple(packed.sizes(network)), network.weights.dtype.name, bool(network.layers["bias"][0])
        own = self.sizes, self.dtype.name, self.bias
        if given != own:
            said, accepted = (
                f"{'-'.join(map(str, sizes))}, {dtype}, {'with' if bias else 'without'} biases"
                for sizes, dtype, bias in (given, own)
            )
            raise ValueError(f"network is {said}; accepted: {accepted}")
        packed.unpack(self.params, network, network.weights)

    def kernel_network(self, inputs=False):
        """A new packed network; with `inputs`, one made for derivatives with respect to them."""
        codes = [activation_code(entry, self.dtype) for entry in self._functions]
        codes += [SOFTMAX] * (self.output_activation == "softmax")
        network = packed.build(self.sizes, self.dtype, self.bias, codes, inputs)
        packed.pack(network, self.params)
        return network

    def kernel_loss(self, loss):
        """A loss for the outputs of this network, as the kernels take it."""
        return losses.compiled(loss, self.output_activation, self.dtype)

    def resolve_loss(self, loss):
        """The loss as an object of `fastmlp.losses`; an error where the network can not be trained with it."""
        return losses.resolve(loss, self.output_activation, self.sizes[-1])

    def check_trainable(self):
        """Raise a ValueError if an activation has no usable derivative."""
        for l, name in enumerate(self.activations, 1):
            if name != "softmax" and not ACTIVATIONS[name].differentiable:
                raise ValueError(
                    f"activation of layer {l} is {name!r}, which has no usable derivative to train through; "
                    f"accepted: {', '.join(name for name, entry in ACTIVATIONS.items() if entry.differentiable)}"
                )

    def targets(self, argument, y, rows, loss):
        """(y, labels) for a loss (see `checks.targets`)."""
        kind = losses.targets(loss, self.output_activation)
        columns = losses.columns(loss, self.output_activation, self.sizes[-1])
        return checks.targets(argument, y, rows, columns, self.dtype, loss.name, kind)

    def data(self, X, y, loss, sample_weight=None):
        """(Data, loss) from what users pass in."""
        loss = self.resolve_loss(loss)
        x = checks.inputs("X", X, self.sizes[0], self.dtype)
        rows = row_count(x)
        weights = weighting.sample_weights("sample_weight", sample_weight, rows, self.dtype)
        return inputs.Data(x, *self.targets("y", y, rows, loss), AS_THEY_COME, weights), loss

    def _differentiate(self, X, y, loss, reduction, sample_weight, one_block=False):
        """The loss and its gradient over a batch, and where they come from: (..., workspace, network, rows)."""
        self.check_trainable()
        data, loss = self.data(X, y, loss, sample_weight)
        network, rows = network_for(self.kernel_network(), data.x), row_count(data.x)
        scale = self._scale(reduction, data)
        threads = 1 if one_block else sharing(self.sizes, rows)
        nonzeros = plan.most_nonzeros(data.x, rows)
        workspace = plan.workspace(network, rows, threads, block=rows if one_block else None, nonzeros=nonzeros)
        progress, nothing = construction.progress(network), construction.optimizer_state(network, updates.NONE)
        run = training.train if threads > 1 else training.train_serial
        learning = self.kernel_loss(loss), updates.NO_UPDATE, nothing, progress
        run(network, workspace, data, *learning, rows, 0, 1, threads)
        finite = progress.diverged[0] == 0
        gradient = np.empty_like(self.params)
        packed.unpack(gradient, network, workspace.gradients[0])
        gradient *= scale
        if not (finite and np.isfinite(gradient).all()):
            checks.finite("X", data.x)
        return (progress.loss[0] if finite else workspace.losses.sum()) * scale, gradient, workspace, network, rows

    @staticmethod
    def _scale(reduction, data):
        mean = checks.choice("reduction", reduction, ["mean", "sum"]) == "mean"
        return 1 / weighting.total(data, 0, row_count(data.x)) if mean else 1.0

    def _rows(self, buffer, panel, n, rows, block):
        matrix = np.empty((rows, n), self.dtype)
        size = plan.SHAPE.width(self.dtype.itemsize)
        unpack_rows(matrix, 0, buffer[panel * size * block :], rows, block)
        return matrix


def _dtype_name(dtype):
    try:
        return np.dtype(dtype).name
    except TypeError:
        return dtype
