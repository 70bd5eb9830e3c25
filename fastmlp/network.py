"""The multilayer perceptron `MLP`: its parameters, predictions, losses and gradients; `trainer` trains it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import checks, files, hints, losses, registered, scaling, weighting
from ._kernels import (
    ACTIVATIONS,
    AS_THEY_COME,
    Data,
    Forward,
    Learning,
    MixedNetwork,
    Network,
    described,
    packed_network,
    row_count,
    sample_count,
    training_flops,
    unpack,
)
from .export.assembly import assembled
from .export.methods import OtherPrograms
from .initializers import INITIALIZERS
from .interrupts import interruptible
from .precision import is_mixed
from .scaling import Scaling
from .signatures import keyword_only_soon
from .views import Views, as_array, check_assigned

REMADE = "_weights", "_biases", "functions", "_forwards"  # attributes that are not pickled, but made again


class Backpropagation(NamedTuple):
    """All intermediate results of one forward and backward pass over N samples.

    Attributes
    ----------
    loss : float
        Mean or sum over the samples (see `reduction` of `MLP.gradient`).
    net_inputs : list of (N, n) arrays
        z of layers 1 to L; n is the number of units of the layer.
    activations : list of (N, n) arrays
        a of layers 0 (the inputs) to L.
    deltas : list of (N, n) arrays
        Error signals dE/dz of layers 1 to L, where E is the error of one sample times the sample's weight.
    gradient : (n_params,) array
        Gradient of `loss`, laid out like `MLP.params`.
    """

    loss: float
    net_inputs: list
    activations: list
    deltas: list
    gradient: np.ndarray


class MLP(OtherPrograms):
    """A multilayer perceptron.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer, inputs first.
    activation : str or sequence of str
        Activation of the hidden layers: one name for all, or one for each. Custom activations have the name under which
        they were registered (see `fastmlp.register_activation`).
    output_activation : str
        Activation of the last layer: any of those of hidden layers, or "softmax".
    dtype : {"float32", "float64"}
        Type of the parameters, of all arithmetic and of the outputs.
    bias : bool
        Whether units have biases.
    init : str
        Name of a weight initializer (see `fastmlp.initializers`), or "auto": for each layer the one that suits its
        activation. Biases start at zero.
    seed : int
        Seed for the initial weights.
    scale : bool
        Whether the first training learns `scaling` from its samples.

    Attributes
    ----------
    params : (n_params,) array
        All parameters: layer after layer, the layer's biases first, then its weights row by row.
    weights, biases : tuples of (n_in, n_out) and of (n_out,) arrays
        Writable views of `params`, one for each layer; `biases` is empty if the units have none. What is assigned to
        them, or to an element, is copied into `params`.
    scaling : Scaling or None
        Means and scales of inputs and targets, if the network scales them.
    metadata : dict
        Values that JSON can represent, saved and loaded with the network.
    sizes : tuple of int
    activation, output_activation
        As they were given.
    activations : tuple of str
        Activation of each layer from 1 to L, the last of them the output activation.
    dtype : numpy.dtype
    bias, scale : bool
    """

    scale, _scaling = False, None  # of networks that were pickled before they had them

    @keyword_only_soon
    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Sequence[str] = "relu",
        output_activation: str = "identity",
        *,
        dtype: DTypeLike = "float32",
        bias: bool = True,
        init: str = "auto",
        seed: int = 0,
        scale: bool = False,
    ) -> None:
        self.sizes = tuple(checks.count("sizes", n) for n in checks.sequence("sizes", sizes))
        if len(self.sizes) < 2:
            raise ValueError(f"sizes is {self.sizes}; accepted: at least an input and an output layer")
        hidden = len(self.sizes) - 2
        single = isinstance(activation, str) or not isinstance(activation, Iterable)
        names = [activation] * hidden if single else list(activation)
        if len(names) != hidden:
            raise ValueError(
                f"activation has {len(names)} names; accepted: one, or one for each of {hidden} hidden layers"
            )
        if single:  # checked even if there is no hidden layer
            _known("activation", activation)
        names = [_known("activation", name) for name in names]
        names.append(_known("output_activation", output_activation, ["softmax"]))
        self.activations = tuple(names)
        self.activation, self.output_activation = activation, output_activation
        self.dtype = np.dtype(checks.choice("dtype", _dtype_name(dtype), ["float32", "float64"]))
        self.bias, self.scale = checks.flag("bias", bias), checks.flag("scale", scale)
        checks.choice("init", init, ["auto", *INITIALIZERS])
        self.metadata = {}
        self._look_up()
        self._allocate()
        if init == "zeros":  # as allocated; making a random generator would take longer than all the rest
            return
        rng = checks.generator("seed", seed)
        for weights, name in zip(self.weights, names, strict=True):
            suited = "glorot_uniform" if name == "softmax" else ACTIVATIONS[name].init
            weights[...] = INITIALIZERS[suited if init == "auto" else init](rng, *weights.shape)

    def _look_up(self):
        """Set `functions` to what the activations' names mean now; registering a name again will not change them."""
        self.functions = [
            name if name == "softmax" else ACTIVATIONS[_known("activation", name)] for name in self.activations
        ]

    def _allocate(self):
        shapes = list(zip(self.sizes, self.sizes[1:], strict=False))
        try:
            self._params = np.zeros(sum((n_in + self.bias) * n_out for n_in, n_out in shapes), self.dtype)
        except ValueError:
            sizes = ", ".join(map(checks.shown, self.sizes))
            raise ValueError(f"sizes is ({sizes}); accepted: no more parameters than an array can have") from None
        self._view()

    def _view(self):
        self._weights, self._biases = map(Views, self.views(self._params))
        # Kept by `predict`, by whether products are mixed: one for each Python thread that called it at the same time.
        self._forwards = {False: [], True: []}

    @property
    def params(self) -> np.ndarray:
        """All parameters: an (n_params,) array. Assigned values are copied into it; the array is never replaced.

        Raises
        ------
        TypeError
            If the assigned values are not numbers.
        ValueError
            If they have another shape.
        """
        return self._params

    @params.setter
    def params(self, params: ArrayLike) -> None:
        given = as_array("params", params)
        check_assigned("params", given, self._params)
        self._params[:] = given

    @property
    def weights(self) -> Views:
        """Weights of each layer: views of `params`."""
        return self._weights

    @weights.setter
    def weights(self, weights: Sequence[ArrayLike]) -> None:
        self._weights[:] = weights

    @property
    def biases(self) -> Views:
        """Biases of each layer: views of `params`."""
        return self._biases

    @biases.setter
    def biases(self, biases: Sequence[ArrayLike]) -> None:
        self._biases[:] = biases

    @property
    def scaling(self) -> Scaling | None:
        """Means and scales of inputs and targets, or None.

        A network that was made with ``scale=True`` learns them from the samples of its first training: of
        `Trainer.fit`, without those held out, of `Trainer.step`, or of an `Objective`. Each input gets mean 0 and
        standard deviation 1, whatever the weights of samples; a constant one is 0. Sparse inputs are only divided, and
        stay sparse. So are targets scaled, if they are quantities: for "identity" outputs, unless the loss is a
        registered one. Later trainings keep the scaling, and so do files and copies.

        `predict` takes and returns the units of the samples. Losses, of all methods and in a `History`, are those of
        scaled targets, which training minimizes.

        What is assigned is a `Scaling`, whose members may be single numbers, and is copied; or None, after which a
        network made with ``scale=True`` learns anew.

        Raises
        ------
        TypeError
            If the assigned object is neither.
        ValueError
            If it does not have one number for each input and output, or they are not finite, or scales are not above 0,
            or it scales targets of other outputs than "identity".
        """
        return self._scaling

    @scaling.setter
    def scaling(self, given: Scaling | None) -> None:
        sizes = self.sizes[0], self.sizes[-1]
        self._scaling = None if given is None else scaling.checked(given, *sizes, self.output_activation)

    def folded(self) -> MLP:
        """Network without a scaling that predicts the same, but for rounding: its first and last layers contain it.

        Its layers have biases, and are computed in float64 before they get the dtype. It is for code that knows no
        scaling, such as your own with `network`.

        Raises
        ------
        ValueError
            If float32 has too few digits, for an input whose mean is more than 1000 standard deviations, or weights do
            not fit in it.
        """
        weights, biases = self.weights, self.biases or [None] * len(self.weights)
        if self.scaling is not None:
            weights, biases = self.scaling.folded(weights, biases)
        net = assembled(MLP, weights, biases, self.activations)
        net.metadata = deepcopy(self.metadata)
        return net

    def views(self, params: np.ndarray) -> tuple[list, list]:
        """Views (weights, biases) of an array laid out like `params`, such as a gradient, as lists of arrays."""
        weights, biases, start = [], [], 0
        for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False):
            matrix = params[start : start + (n_in + self.bias) * n_out].reshape(n_in + self.bias, n_out)
            start += matrix.size
            weights.append(matrix[self.bias :])
            if self.bias:
                biases.append(matrix[0])
        return weights, biases

    def astype(self, dtype: DTypeLike) -> MLP:
        """Copy of the network with parameters of another dtype: always an `MLP`, even of a subclass."""
        net = MLP(**self.config() | {"dtype": dtype, "init": "zeros"})
        net.params[:], net.scaling, net.metadata = self.params, self.scaling, deepcopy(self.metadata)
        return net

    def __getstate__(self):
        """All attributes but views of `params`, whose copies would be separate arrays, and compiled functions.

        Of registered activations, it has where they can be imported from.
        """
        kept = {name: value for name, value in vars(self).items() if name not in REMADE}
        return kept | {"_registered": registered.parts("activation", dict.fromkeys(self.activations))}

    def __setstate__(self, state):
        vars(self).update({name: value for name, value in state.items() if name != "_registered"})
        self._look_up()
        self._view()

    if not TYPE_CHECKING:  # for type checkers, it would stand for attributes of any name
        __getattr__ = hints.getattr_of("MLP")

    def __repr__(self):
        layers = "-".join(map(str, self.sizes))
        scaled = ", scaled" if self.scaling else ", scale=True" if self.scale else ""
        return f"<MLP {layers}, {', '.join(self.activations)}, {self.dtype}, {self.n_params} parameters{scaled}>"

    def summary(self) -> str:
        """Table of the layers with their units, activations and parameters, total size, and operations per sample."""
        inputs = "(inputs, scaled)" if self.scaling else "(inputs)"
        lines = [("layer", "units", "activation", "parameters"), ("0", f"{self.sizes[0]:,}", inputs, "")]
        for l, (n_in, n_out) in enumerate(pairwise(self.sizes), 1):
            lines.append((str(l), f"{n_out:,}", self.activations[l - 1], f"{(n_in + self.bias) * n_out:,}"))
        lines.append(("total", "", "", f"{self.n_params:,}"))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        cells = ([f"{c:{side}{w}}" for c, side, w in zip(line, ">><>", widths, strict=True)] for line in lines)
        rows = ["  ".join(line).rstrip() for line in cells]
        predicting = 2 * sum(n_in * n_out for n_in, n_out in pairwise(self.sizes))
        flops = f"FLOPs per sample: {predicting:,} to predict, {self.training_flops:,} to train"
        return "\n".join([*rows, f"{self.dtype}, {self.params.nbytes:,} bytes", flops])

    def __call__(self, X: ArrayLike) -> np.ndarray:
        return self.predict(X)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self.params.size

    @property
    def training_flops(self) -> int:
        """Floating-point operations of a training step, per sample (see `fastmlp_kernels.drivers.plan`)."""
        return training_flops(self.sizes)

    def config(self) -> dict:
        """Arguments of the constructor that make a network of the same layers, as values that JSON can represent."""
        return {
            "sizes": list(self.sizes),
            "activation": list(self.activations[:-1]),
            "output_activation": self.output_activation,
            "dtype": self.dtype.name,
            "bias": self.bias,
            **({"scale": True} if self.scale else {}),
        }

    def save(self, path: str | PathLike) -> None:
        """Write the network to a safetensors file (see `fastmlp.files.save`)."""
        files.save(self, path)

    @classmethod
    def load(cls, path: str | PathLike) -> MLP:
        """Read a network from a file (see `fastmlp.files.load`)."""
        return files.load(path, cls)

    def predict(self, X: ArrayLike, *, precision: str = "float32") -> np.ndarray:
        """Outputs of the network.

        The parameters are packed for the kernels if they have changed since the last call. As they are writable views,
        the only way to know is to compare their bits with a copy, which every call does. Both are kept with the
        network; simultaneous calls from several Python threads each have their own.

        Parameters
        ----------
        X : (N, n_in) array-like, or sparse matrix of scipy
            Numbers of any dtype and memory order.
        precision : {"float32", "bf16-mixed"}
            Precision of the matrix products (see `fastmlp.precision`). That of the training makes no difference.

        Returns
        -------
        (N, n_out) array of the network's dtype

        Raises
        ------
        TypeError, ValueError
            If `X` has another number of columns, or does not convert to finite numbers, or `precision` is not accepted.
        RuntimeError
            If `precision` is "bf16-mixed", and this CPU has no matrix unit for it.
        """
        x, mixed = self.inputs("X", X), is_mixed(precision, self.dtype, self.sizes)
        try:
            forward = self._forwards[mixed].pop()
        except IndexError:
            with interruptible():
                forward = Forward(self, mixed=mixed)
        forward.refresh(self.params)
        outputs, finite = forward.predict(x)
        self._forwards[mixed].append(forward)
        if not finite:
            checks.finite("X", x)
        return outputs if self.scaling is None else self.scaling.predictions(outputs)

    @keyword_only_soon
    def evaluate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        *,
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
        precision: str = "float32",
    ) -> float:
        """Loss of the network's outputs for `X` with targets `y`: a float. Arguments as for `gradient`, `predict`.

        With a `scaling`, it is that of the scaled targets, as in training.
        """
        mixed = is_mixed(precision, self.dtype, self.sizes)
        data, loss = self.data(X, y, loss, sample_weight)
        data, scale, _ = self._reduced(reduction, data)
        with interruptible():
            total = Forward(self, mixed=mixed).evaluate(data, self.kernel_loss(loss))
        if not np.isfinite(total):
            checks.finite("X", data.x)
        return total * scale

    @keyword_only_soon
    def gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        *,
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> tuple[float, np.ndarray]:
        """Loss and its gradient with respect to all parameters; nothing is updated.

        Parameters
        ----------
        X : (N, n_in) array-like, or sparse matrix of scipy
        y : (N, n_out) array-like
            Targets: (N, n_out / 2) for `losses.GaussianNLL`. For a single target also (N,). For cross-entropy or focal
            loss of a softmax also integer class labels from 0 on, (N,) or (N, 1).
        loss : str or object of `fastmlp.losses`
            Name in `fastmlp.losses.LOSSES` or of a registered loss, or an object with settings. "auto" is
            "cross_entropy" for softmax outputs, "binary_cross_entropy" for sigmoid, "poisson" for exp, else
            "squared_error".
        reduction : {"mean", "sum"}
            Mean or sum over samples. Losses are always summed over outputs.
        sample_weight : (N,) array-like, optional
            Weight of each sample in the loss, from 0 on. The mean is then the weighted sum over the sum of the weights.

        Returns
        -------
        loss : float
        gradient : (n_params,) array, laid out like `params`
            NaN everywhere if a value on the way is not finite.
        """
        self.check_trainable()
        data, loss = self.data(X, y, loss, sample_weight)
        data, scale, _ = self._reduced(reduction, data)
        with interruptible():
            return self._differentiate(Learning(self, self.kernel_loss(loss)), data, scale)

    @keyword_only_soon
    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        *,
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> np.ndarray:
        """Gradient of the loss with respect to the inputs, delta[1] W[1]^T: (N, n_in). Arguments as for `gradient`.

        A sparse `X` is a TypeError, because the result would not be sparse.
        """
        signals = self.backpropagate(X, y, loss, reduction=reduction, sample_weight=sample_weight).deltas[0]
        total = len(signals) if sample_weight is None else np.sum(sample_weight, dtype=float)
        gradient = signals @ self.weights[0].T * (1 / total if reduction == "mean" else 1.0)
        return gradient if self.scaling is None else (gradient / self.scaling.input_scale).astype(self.dtype)

    @keyword_only_soon
    def backpropagate(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | losses.Loss = "auto",
        *,
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> Backpropagation:
        """All intermediate results of a forward and backward pass: a `Backpropagation`. Arguments as for `gradient`.

        A sparse `X` is a TypeError, because the inputs, scaled if the network does that, are among the results.
        """
        checks.dense("X", X)
        self.check_trainable()
        data, loss = self.data(X, y, loss, sample_weight)
        data, scale, unit = self._reduced(reduction, data)
        with interruptible():
            rows = row_count(data.x)
            learning = Learning(self, self.kernel_loss(loss), threads=1, block=rows)  # one block: see `intermediates`
            total, gradient = self._differentiate(learning, data, scale)
            activations, deltas = learning.intermediates(rows)
        biases = self.biases or [0] * len(self.weights)
        net_inputs = [a @ w + b for a, w, b in zip(activations, self.weights, biases, strict=False)]
        return Backpropagation(total, net_inputs, activations, [unit * delta for delta in deltas], gradient)

    @property
    def network(self) -> Network:
        """Network for `fastmlp_kernels`, with a copy of the current parameters.

        Assigning such a network, or a MixedNetwork, for example after training it in compiled code, copies its
        parameters to this one.

        Raises
        ------
        TypeError
            If the assigned object is neither of them.
        ValueError
            If it has other layer sizes, another dtype, or biases where this one has none (or the reverse); or if this
            network has a scaling, which the kernels do not know: `folded` has one without.
        """
        self._check_unscaled()
        return packed_network(self, transposed_from=0)  # all of them: also for derivatives by the inputs

    @network.setter
    @interruptible()
    def network(self, network: Network | MixedNetwork) -> None:
        self._check_unscaled()
        if not isinstance(network, Network | MixedNetwork):
            kind = type(network).__name__
            raise TypeError(f"network is {kind}; accepted: a Network or MixedNetwork of fastmlp_kernels")
        given, own = described(network), (self.sizes, self.dtype.name, self.bias)
        if given != own:
            said, accepted = (
                f"{'-'.join(map(str, sizes))}, {dtype}, {'with' if bias else 'without'} biases"
                for sizes, dtype, bias in (given, own)
            )
            raise ValueError(f"network is {said}; accepted: {accepted}")
        unpack(self.params, network, network.weights)

    def _check_unscaled(self):
        if self.scaling:
            raise ValueError("net.scaling is no part of a network of the kernels; accepted: that of net.folded()")

    def kernel_loss(self, loss):
        """Loss for the kernels, of an object of `fastmlp.losses` applied to this network's outputs."""
        return losses.for_kernels(loss, self.output_activation, self.dtype)

    def resolve_loss(self, loss):
        """Object of `fastmlp.losses` for a name or such an object; a ValueError if it does not fit the outputs."""
        return losses.resolve(loss, self.output_activation, self.sizes[-1])

    def check_trainable(self):
        """Raise a ValueError if an activation has no usable derivative."""
        for l, name in enumerate(self.activations, 1):
            if name != "softmax" and not ACTIVATIONS[name].differentiable:
                raise ValueError(
                    f"activation of layer {l} is {name!r}, which has no usable derivative to train through; "
                    f"accepted: {', '.join(name for name, entry in ACTIVATIONS.items() if entry.differentiable)}"
                )

    def inputs(self, argument, X):
        """Inputs, checked, converted and scaled: an array of the network's dtype or `SparseRows`."""
        if self.scaling is None:
            return checks.inputs(argument, X, self.sizes[0], self.dtype)
        return self.scaling.inputs(argument, checks.unscaled(argument, X, self.sizes[0]), self.dtype)

    def targets(self, argument, y, rows, loss):
        """Targets for a loss, checked, converted and scaled: (y, labels) (see `checks.targets`)."""
        if self.scaling is None or not self.scaling.has_targets:
            return self._unscaled_targets(argument, y, rows, loss, self.dtype)
        y, labels = self._unscaled_targets(argument, y, rows, loss, np.dtype(float))
        return self.scaling.targets(argument, y, loss.name, self.dtype), labels

    def _unscaled_targets(self, argument, y, rows, loss, dtype):
        kind = losses.target_kind(loss, self.output_activation)
        count = losses.target_count(loss, self.output_activation, self.sizes[-1])
        return checks.targets(argument, y, rows, count, dtype, loss.name, kind)

    def data(self, X, y, loss, sample_weight=None, held=None):
        """Arguments of the user, checked, converted and scaled: (Data of the kernels, object of `fastmlp.losses`).

        If `held` is given, they are to be trained on, and a network that has no `scaling`, but should, learns one from
        the samples whose numbers are not in `held`. On an error it learns none.
        """
        loss, X = self.resolve_loss(loss), checks.shaped("X", X, self.sizes[0], self.dtype)
        rows = X.shape[0]
        weights = weighting.sample_weights("sample_weight", sample_weight, rows, self.dtype)
        if held is not None and self.scale and self.scaling is None:
            self.scaling = self.learned(X, y, loss, held)
        return Data(self.inputs("X", X), *self.targets("y", y, rows, loss), AS_THEY_COME, weights), loss

    def learned(self, X, y, loss, held, **share):
        """Scaling of samples, but those whose numbers are in `held`; for `share` see `scaling.learn`."""
        has_rows, targets = X.shape[0] > 0, None
        x = checks.unscaled("X", X, self.sizes[0]) if has_rows else np.empty((0, self.sizes[0]))
        if self._scales_targets(loss):
            targets = np.empty((0, losses.target_count(loss, self.output_activation, self.sizes[-1])))
            if has_rows:
                targets, _ = self._unscaled_targets("y", y, row_count(x), loss, np.dtype(float))
        return scaling.learn(x, targets, self.sizes[0], self.sizes[-1], held, **share)

    def learned_from(self, blocks, loss):
        """Scaling of samples that come in blocks (X, y, their names for messages), for a loss."""
        count = losses.target_count(loss, self.output_activation, self.sizes[-1]) if self._scales_targets(loss) else 0

        def checked():
            for X, y, (x_name, y_name, *_) in blocks:
                x = checks.unscaled(x_name, X, self.sizes[0])
                checks.finite(x_name, x)
                yield x, self._unscaled_targets(y_name, y, len(x), loss, np.dtype(float))[0] if count else None

        return scaling.learn_from(checked(), self.sizes[0], count, self.sizes[-1])

    def _scales_targets(self, loss):
        """Whether a scaling that is learned scales the targets of a loss."""
        return self.output_activation == "identity" and not isinstance(loss, losses.Own)

    def _differentiate(self, learning, data, scale):
        """Sum of the losses of all samples times `scale`, and its gradient: (float, (n_params,) array)."""
        gradient = np.empty_like(self.params)
        loss, finite = learning.gradient(data, gradient)
        gradient *= scale
        if not finite:
            checks.finite("X", data.x)
        return loss * scale, gradient

    @staticmethod
    def _reduced(reduction, data):
        """Triple: data, the factor from the weighted sum of their losses to the result, and the unit of their weights.

        The unit is what weights are divided by (see `weighting.normalized`): 1 unless the result is a mean.
        """
        if checks.choice("reduction", reduction, ["mean", "sum"]) == "sum":
            return data, 1.0, 1.0
        data, unit = weighting.normalized(data)
        return data, 1 / weighting.total(data, 0, sample_count(data)), unit


def _known(argument, name, others=()):
    """Return the name of an activation, built in or registered, or one of `others`; a ValueError if it is none."""
    return checks.choice(argument, name, [*ACTIVATIONS, *others], registered.how_to("activation", name))


def _dtype_name(dtype):
    try:
        return np.dtype(dtype).name
    except TypeError:
        return dtype
