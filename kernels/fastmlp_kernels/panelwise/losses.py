"""Losses: the error of a block of samples and, in the same pass, its error signal at the output layer.

Each loss is a function loss(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows) over panels (see
`layout.panels`) that returns the sum of the errors of `rows` samples with `n` outputs, each times its weight, in
float64. On entry `deltas` holds what the forward pass left there: the slopes g'(z) of the output activation where that
is applied element by element, or else the net inputs z. On return it holds dE/dz of each sample, times its weight, and
`outputs` the activations. `sample_weights` are (rows,) numbers, `parameter` is a float64 that means what the loss says.
The padding of `deltas` is set to zero, so that padded samples and units count for nothing.

Most losses are made of a formula: a scalar function of the output a, the slope g'(z) of its activation, the target y
and the parameter, that gives (a, E, delta); or, where a loss applies the activation itself, of the net input z in place
of the slope. It has no branches, so that the loop over it becomes vector code (see `elementwise_losses`). Those of
softmax outputs have loops of their own (see `softmax_losses`).
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from ..calls import address, as_array
from ..functions.scalar import like
from ..functions.vectormath import clip, exp, expm1, log, log1p
from ..jit import inlined, njit, specialize
from ..layout.panels import clear_rows, padded
from ..tile.operations import keep_columns, load, multiply_add, panel_width, spread, store, tile_memory
from .elementwise_losses import output_by_output, squared_error
from .softmax_losses import cross_entropy, focal_softmax, focal_term, squared_error_softmax


@inlined
def _absolute_error(a, slope, y, parameter):
    """E = |a - y|, with slope 0 at 0."""
    error, zero, one = a - y, like(0.0, a), like(1.0, a)
    sign = one if error > zero else (-one if error < zero else zero)
    return a, abs(error), sign * slope


@inlined
def _huber(a, slope, y, parameter):
    """With e = a - y and the parameter d: e^2 / 2 up to |e| = d, beyond it d (|e| - d / 2) (P. J. Huber 1964)."""
    error, limit = a - y, like(parameter, a)
    gradient = clip(error, -limit, limit)
    return a, gradient * (error - like(0.5, a) * gradient), gradient * slope


@inlined
def _quantile(a, slope, y, parameter):
    """E = q (y - a) where a is below y, (1 - q) (a - y) above (R. Koenker, G. Bassett 1978): the parameter is q."""
    error, zero, q = a - y, like(0.0, a), like(parameter, a)
    gradient = like(1.0, a) - q if error > zero else (-q if error < zero else zero)
    return a, gradient * error, gradient * slope


@inlined
def _log_cosh(a, slope, y, parameter):
    """E = log cosh(a - y), to 10 epsilon, whose derivative is tanh(a - y).

    With e = |a - y| it is -log(1 - tanh(e)^2) / 2 up to 1/2, and from there on e + log(1 + exp(-2 e)) - log 2: neither
    cancels there, nor overflows.
    """
    one, error = like(1.0, a), a - y
    size = abs(error)
    decay = expm1(like(-2.0, a) * size)  # less 1
    gradient = -decay / (like(2.0, a) + decay)
    near = like(-0.5, a) * log1p(-gradient * gradient)
    far = size + log1p(one + decay) - like(math.log(2.0), a)
    return a, near if size < like(0.5, a) else far, np.copysign(gradient, error) * slope


@inlined
def _binary_cross_entropy(a, z, y, parameter):
    """E = -y log a - (1 - y) log(1 - a) for sigmoid outputs.

    In the stable form max(z, 0) - z y + log(1 + exp(-|z|)); the derivatives collapse to delta = a - y.
    """
    zero, one = like(0.0, z), like(1.0, z)
    decay = exp(-abs(z))
    right = one / (one + decay)
    a = decay * right if z < zero else right
    return a, (z if z > zero else zero) - z * y + log1p(decay), a - y


@inlined
def _poisson(a, z, y, parameter):
    """E = y log(y / a) - y + a for outputs a = exp(z), half the deviance of a Poisson distribution; delta = a - y."""
    a, zero = exp(z), like(0.0, z)
    return a, y * (log(y if y > zero else like(1.0, z)) - z) - y + a, a - y


@inlined
def _focal_sigmoid(a, z, y, parameter):
    """E = -y (1 - a)^gamma log a - (1 - y) a^gamma log(1 - a) for sigmoid outputs (see `focal_term`)."""
    zero, one = like(0.0, z), like(1.0, z)
    decay = exp(-abs(z))
    right = one / (one + decay)
    a, b = (decay * right, right) if z < zero else (right, decay * right)
    log_a = (z if z < zero else zero) - log1p(decay)
    on, on_slope = focal_term(log_a, y, parameter)
    off, off_slope = focal_term(log_a - z, one - y, parameter)
    return a, on + off, b * on_slope - a * off_slope


LEAST_LOG_VARIANCE = -32.0  # a standard deviation of 1e-7: no less is resolved by float32 of targets of order one


@inlined
def _gaussian_term(mean, log_variance, y):
    """(E, its derivatives by mean and by log variance) of E = (s + (y - mean)^2 exp(-s)) / 2 with the log variance s.

    Half the negative log-likelihood of a normal distribution, less log(2 pi) / 2 (D. A. Nix, A. S. Weigend, Estimating
    the mean and variance of the target probability distribution, 1994). Below LEAST_LOG_VARIANCE the exponential goes
    on as its tangent: E stays convex in s and the derivatives are those of E, but up to errors of 1e6 and log variances
    of 1e12 in size nothing overflows.
    """
    least, half, one = like(LEAST_LOG_VARIANCE, mean), like(0.5, mean), like(1.0, mean)
    near = least if log_variance < least else log_variance
    inverse, error = exp(-near), mean - y
    by_mean = error * (inverse * (one + (near - log_variance)))
    value = half * (log_variance + error * by_mean)
    return value, by_mean, half * (one - error * (error * inverse))


@njit
def _gaussian_nll(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """The negative log-likelihood of normal distributions, from n / 2 means and then as many log variances.

    For identity outputs and n / 2 targets (see `_gaussian_term`); n must be even.
    """
    width, half, loss = panel_width(deltas), n // 2, np.float64(0)
    errors, by_mean, by_log_variance = tile_memory(deltas), tile_memory(deltas), tile_memory(deltas)
    for c in range(half):
        m = c // width * width * block_rows + c % width
        v = (c + half) // width * width * block_rows + (c + half) % width
        for first in range(0, rows, len(errors)):
            start, count = first * width, min(len(errors), rows - first)
            for i in range(count):
                j = start + i * width
                term = _gaussian_term(deltas[m + j], deltas[v + j], targets[m + j])
                errors[i], by_mean[i], by_log_variance[i] = term
            for i in range(count):
                j, weight = start + i * width, sample_weights[first + i]
                loss += weight * errors[i]
                outputs[m + j], outputs[v + j] = deltas[m + j], deltas[v + j]
                deltas[m + j], deltas[v + j] = weight * by_mean[i], weight * by_log_variance[i]
    for q in range(0, n, width):
        for i in range(q * block_rows, q * block_rows + rows * width, width):
            store(keep_columns(load(deltas, i, 0, 1), n - q), deltas, i, width)
    clear_rows(deltas, rows, n, block_rows)
    return loss


class LossFunction(NamedTuple):
    """A loss for one kind of output activation.

    Attributes
    ----------
    function : the compiled function
    from_net_inputs : bool
        Whether it takes the output layer's net inputs and applies the activation itself.
    targets : str
        What its targets are: "classes" (shares that add up to 1), "probabilities", "counts" (from 0 on) or "numbers".
    canonical : bool
        Whether it is the loss that goes with these outputs by default: that of which the delta collapses to a - y.
    setting : str
        What its parameter is called, if it has one.
    parameter : float
        The usual value of its parameter.
    outputs : int
        Outputs for each target.
    cached : bool
        Whether machine code that holds it may be kept on disk.
    """

    function: Callable
    from_net_inputs: bool
    targets: str = "numbers"
    canonical: bool = False
    setting: str = ""
    parameter: float = 0.0
    outputs: int = 1
    cached: bool = True


# By loss and output activation; "elementwise" stands for every activation that is applied element by element.
LOSSES = {
    ("squared_error", "elementwise"): LossFunction(squared_error, False, canonical=True),
    ("squared_error", "softmax"): LossFunction(squared_error_softmax, True),
    ("absolute_error", "elementwise"): LossFunction(output_by_output(_absolute_error), False),
    ("huber", "elementwise"): LossFunction(output_by_output(_huber), False, setting="delta", parameter=1.0),
    ("quantile", "elementwise"): LossFunction(output_by_output(_quantile), False, setting="q", parameter=0.5),
    ("log_cosh", "elementwise"): LossFunction(output_by_output(_log_cosh), False),
    ("gaussian_nll", "identity"): LossFunction(_gaussian_nll, True, outputs=2),
    ("poisson", "exp"): LossFunction(output_by_output(_poisson), True, targets="counts", canonical=True),
    ("cross_entropy", "softmax"): LossFunction(cross_entropy, True, targets="classes", canonical=True),
    ("binary_cross_entropy", "sigmoid"): LossFunction(
        output_by_output(_binary_cross_entropy), True, targets="probabilities", canonical=True
    ),
    ("focal", "softmax"): LossFunction(focal_softmax, True, targets="classes", setting="gamma", parameter=2.0),
    ("focal", "sigmoid"): LossFunction(
        output_by_output(_focal_sigmoid), True, targets="probabilities", setting="gamma", parameter=2.0
    ),
}


def _entry(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    count = padded(n, panel_width(as_array(deltas, 1))) * block_rows
    panels = as_array(deltas, count), as_array(outputs, count), as_array(targets, count)
    return function(*panels, as_array(sample_weights, rows), parameter, rows, n, block_rows)  # noqa: F821


def loss_address(key, dtype):
    """Address of the loss LOSSES[key] in the Numba type `dtype`."""
    return _address(key, LOSSES[key], dtype)


@cache
def _address(key, loss, dtype):
    array, size = types.CPointer(dtype), types.int64
    entry = specialize(_entry, "_".join(key), function=loss.function)
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
        Its parameter (see `LossFunction.setting`).
    smoothing : float
        Share of every target that is spread evenly, over all classes of a softmax or over yes and no (see `smooth`).
    """

    address: int
    from_net_inputs: bool
    parameter: float
    smoothing: float


@njit
def smooth(targets, smoothing, softmax, rows, n, block_rows):
    """Turn the targets y of a block into (1 - smoothing) y + smoothing / (n if softmax, else 2).

    C. Szegedy et al., Rethinking the Inception architecture for computer vision (2016), section 7.
    """
    width, real = panel_width(targets), targets.dtype.type
    keep, share = spread(real(1 - smoothing)), spread(real(smoothing / (n if softmax else 2)))
    for q in range(0, n, width):
        for i in range(q * block_rows, q * block_rows + rows * width, width):
            store(multiply_add(keep, load(targets, i, 0, 1), share), targets, i, width)


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
        The setting of a loss that has one, such as delta of "huber"; by default its usual value (see `LOSSES`).
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
