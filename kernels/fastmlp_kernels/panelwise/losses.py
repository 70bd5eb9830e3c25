"""Losses: the error of a block of samples and, in the same pass, its error signal at the output layer.

Each loss is a function loss(deltas, outputs, targets, weights, parameter, rows, n, block) over panels (see `panels`)
that returns the sum of the errors of `rows` samples with `n` outputs, each times its weight, in float64. On entry
`deltas` holds what the forward pass left there: the slopes g'(z) of the output activation where that is applied element
by element, or else the net inputs z. On return it holds dE/dz of each sample, times its weight, and `outputs` the
activations. `weights` are (rows,) numbers, `parameter` is a float64 that means what the loss says. The padding of
`deltas` is set to zero, so that padded samples and units count for nothing.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from ..calls import address, as_array
from ..jit import njit, specialise
from ..layout.panels import padded
from ..tile.operations import load, multiply_add, spread, store, width
from . import elementwise_losses, softmax_losses


class LossFunction(NamedTuple):
    """A loss for one kind of output activation.

    Attributes
    ----------
    function : the compiled function
    from_net_inputs : bool
        Whether it takes the output layer's net inputs and applies the activation itself.
    parameter : float
        The usual value of its parameter.
    cached : bool
        Whether machine code that holds it may be kept on disk.
    """

    function: Callable
    from_net_inputs: bool
    parameter: float = 0.0
    cached: bool = True


# By loss and output activation; "elementwise" stands for every activation that is applied element by element.
LOSSES = {
    ("squared_error", "elementwise"): LossFunction(elementwise_losses.squared_error, False),
    ("squared_error", "softmax"): LossFunction(softmax_losses.squared_error_softmax, True),
    ("absolute_error", "elementwise"): LossFunction(elementwise_losses.absolute_error, False),
    ("huber", "elementwise"): LossFunction(elementwise_losses.huber, False, 1.0),
    ("quantile", "elementwise"): LossFunction(elementwise_losses.quantile, False, 0.5),
    ("poisson", "exp"): LossFunction(elementwise_losses.poisson, True),
    ("cross_entropy", "softmax"): LossFunction(softmax_losses.cross_entropy, True),
    ("binary_cross_entropy", "sigmoid"): LossFunction(elementwise_losses.binary_cross_entropy, True),
    ("focal", "softmax"): LossFunction(softmax_losses.focal_softmax, True, 2.0),
    ("focal", "sigmoid"): LossFunction(elementwise_losses.focal_sigmoid, True, 2.0),
}


def _entry(deltas, outputs, targets, weights, parameter, rows, n, block):
    count = padded(n, width(as_array(deltas, 1))) * block
    panels = as_array(deltas, count), as_array(outputs, count), as_array(targets, count)
    return function(*panels, as_array(weights, rows), parameter, rows, n, block)  # noqa: F821


def loss_address(key, dtype):
    """Address of the loss LOSSES[key] in the Numba type `dtype`."""
    return _address(key, LOSSES[key], dtype)


@cache
def _address(key, loss, dtype):
    array, size = types.CPointer(dtype), types.int64
    entry = specialise(_entry, "_".join(key), function=loss.function)
    signature = types.float64(array, array, array, array, types.float64, size, size, size)
    return address(entry, signature, loss.cached)


class Loss(NamedTuple):
    """A loss as the drivers take it.

    The address is another one in each process: hand it to compiled functions, which must not know it as a global.

    Attributes
    ----------
    address : int
    from_net_inputs : bool
        Whether it takes the output layer's net inputs and applies the activation itself.
    parameter : float
        Its parameter: where a Huber loss becomes linear, the quantile, gamma of a focal loss.
    smoothing : float
        Share of every target that is spread evenly, over all classes of a softmax or over yes and no (see `smooth`).
    """

    address: int
    from_net_inputs: bool
    parameter: float
    smoothing: float


@njit
def smooth(targets, smoothing, softmax, rows, n, block):
    """Turn the targets y of a block into (1 - smoothing) y + smoothing / (n if softmax, else 2).

    C. Szegedy et al., Rethinking the Inception architecture for computer vision (2016), section 7.
    """
    size, real = width(targets), targets.dtype.type
    keep, share = spread(real(1 - smoothing)), spread(real(smoothing / (n if softmax else 2)))
    for q in range(0, n, size):
        for i in range(q * block, q * block + rows * size, size):
            store(multiply_add(keep, load(targets, i, 0, 1), share), targets, i, size)


def loss_key(loss, output_activation):
    """The entry of LOSSES for the loss `loss` of outputs with an activation; a ValueError if there is none."""
    fitting = sorted(output for name, output in LOSSES if name == loss)
    for output in (output_activation, *(["elementwise"] if output_activation != "softmax" else [])):
        if output in fitting:
            return loss, output
    if not fitting:
        known = ", ".join(dict.fromkeys(name for name, _ in LOSSES))
        raise ValueError(f"loss is {loss!r}; accepted: {known}, or what was registered first, with register_loss")
    raise ValueError(f"loss is {loss!r} with output_activation {output_activation!r}; accepted: {', '.join(fitting)}")


def loss(loss, output_activation, dtype, parameter=None, smoothing=0.0):
    """A loss as the drivers take it, for outputs with an activation.

    Parameters
    ----------
    loss, output_activation : str
    dtype : float32 or float64, of the network
    parameter : float, optional
        Delta of "huber" (default 1), the quantile of "quantile" (0.5), gamma of "focal" (2).
    smoothing : float
        Of the targets (see `Loss`).

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If there is no such loss, or none for such outputs.
    """
    key = loss_key(loss, output_activation)
    entry = LOSSES[key]
    number = float(entry.parameter if parameter is None else parameter)
    return Loss(loss_address(key, from_dtype(np.dtype(dtype))), entry.from_net_inputs, number, float(smoothing))
