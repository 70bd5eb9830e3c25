"""Losses: the errors of a block of samples and, in the same pass, their error signals at the output layer.

Each loss is a function loss(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows). It returns the
sum of the errors of all samples, each times the sample's weight, as float64. Its arguments are

    deltas          1-D array of panels (see `layout.panels`). On entry it has what the forward pass left: the slopes
                    g'(z) of the output activation or, if the loss applies the activation itself, the net inputs z. On
                    return it has the error signals dE/dz, times the sample's weight, and zeros in the padding, so that
                    padded samples and units have no effect.
    outputs         1-D array of panels: the activations a. If the loss applies the activation itself, they are not read
                    but written; other losses read them, and may write the same numbers back.
    targets         1-D array of panels: the targets y; as many columns as outputs (for "gaussian_nll", half as many)
    sample_weights  (rows,) array
    parameter       float64; its meaning depends on the loss (see `LossFunction.setting`)
    rows, n         int; number of samples and of outputs
    block_rows      int; rows that each panel has room for

Most losses are made from a formula, a scalar function of the output a, the slope g'(z), the target y and the parameter,
which returns (a, E, delta). If the loss applies the activation itself, its second argument is the net input z, and the
first has no meaning. A formula has no `if` statements, only conditional expressions, both sides of which are computed
and one selected, so that the loop over it becomes vector code (see `elementwise_losses`). Losses of softmax outputs
have their own loops (see `softmax_losses`). How loops read and write rows as tiles: see `elementwise_losses`.

A new loss is a formula or loop, and a row of LOSSES.
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
from ..layout.panels import Matrix, clear_rows, element, padded, row_of
from ..tile.operations import keep_columns, load, multiply_add, panel_width, spread, store, tile_memory
from .elementwise_losses import output_by_output, squared_error
from .softmax_losses import cross_entropy, focal_softmax, focal_term, squared_error_softmax


@inlined
def _absolute_error(a, slope, y, parameter):
    """E = |a - y|, with derivative 0 at a = y."""
    error, zero, one = a - y, like(0.0, a), like(1.0, a)
    sign = one if error > zero else (-one if error < zero else zero)
    return a, abs(error), sign * slope


@inlined
def _huber(a, slope, y, parameter):
    """E = e^2 / 2 up to |e| = d, beyond it d (|e| - d / 2), with e = a - y and the parameter d (P. J. Huber 1964)."""
    error, limit = a - y, like(parameter, a)
    gradient = clip(error, -limit, limit)
    return a, gradient * (error - like(0.5, a) * gradient), gradient * slope


@inlined
def _quantile(a, slope, y, parameter):
    """E = q (y - a) if a < y, else (1 - q) (a - y), with the parameter q (R. Koenker, G. Bassett 1978)."""
    error, zero, q = a - y, like(0.0, a), like(parameter, a)
    gradient = like(1.0, a) - q if error > zero else (-q if error < zero else zero)
    return a, gradient * error, gradient * slope


@inlined
def _log_cosh(a, slope, y, parameter):
    """E = log cosh(a - y), to 10 epsilon; its derivative is tanh(a - y).

    With e = |a - y|, E = -log(1 - tanh(e)^2) / 2 for e < 1/2, else e + log(1 + exp(-2 e)) - log 2: in these ranges
    neither loses digits by cancellation, nor overflows.
    """
    one, error = like(1.0, a), a - y
    size = abs(error)
    decay = expm1(like(-2.0, a) * size)  # exp(-2 e) - 1
    gradient = -decay / (like(2.0, a) + decay)
    near = like(-0.5, a) * log1p(-gradient * gradient)
    far = size + log1p(one + decay) - like(math.log(2.0), a)
    return a, near if size < like(0.5, a) else far, np.copysign(gradient, error) * slope


@inlined
def _binary_cross_entropy(a, z, y, parameter):
    """E = -y log a - (1 - y) log(1 - a) for sigmoid outputs.

    It is computed as max(z, 0) - z y + log(1 + exp(-|z|)), which is stable; delta = a - y.
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


LEAST_LOG_VARIANCE = -32.0  # a standard deviation of 1e-7, the resolution of targets of order one in float32


@inlined
def _gaussian_term(mean, log_variance, y):
    """The triple (E, dE/dmean, dE/ds) of E = (s + (y - mean)^2 exp(-s)) / 2 with the log variance s.

    E is the negative log-likelihood of a normal distribution without its constant log(2 pi) / 2 (D. A. Nix, A. S.
    Weigend, Estimating the mean and variance of the target probability distribution, 1994). Below LEAST_LOG_VARIANCE
    the tangent of the exponential replaces it: E stays convex in s and the derivatives are those of E, but nothing
    overflows for errors up to 1e6 and log variances up to 1e12 in size.
    """
    least, half, one = like(LEAST_LOG_VARIANCE, mean), like(0.5, mean), like(1.0, mean)
    near = least if log_variance < least else log_variance
    inverse, error = exp(-near), mean - y
    by_mean = error * (inverse * (one + (near - log_variance)))
    value = half * (log_variance + error * by_mean)
    return value, by_mean, half * (one - error * (error * inverse))


@njit
def _gaussian_nll(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """Negative log-likelihood of normal distributions, for n / 2 targets.

    The n identity outputs, an even number, are n / 2 means, then n / 2 log variances (see `_gaussian_term`). They are
    the net inputs, which `deltas` has on entry. Of `targets` the first n / 2 columns are read.

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see above).
    """
    width, half, error_sum = panel_width(deltas), n // 2, np.float64(0)
    # Buffers on the stack, of ROWS * width numbers each; why: see `elementwise_losses.each_output`.
    errors, by_mean, by_log_variance = tile_memory(deltas), tile_memory(deltas), tile_memory(deltas)
    for c in range(half):
        m, v = element(Matrix(deltas, 0, block_rows), 0, c), element(Matrix(deltas, 0, block_rows), 0, c + half)
        for first in range(0, rows, len(errors)):
            start, count = first * width, min(len(errors), rows - first)
            for i in range(count):
                j = start + i * width
                term = _gaussian_term(deltas[m + j], deltas[v + j], targets[m + j])
                errors[i], by_mean[i], by_log_variance[i] = term
            for i in range(count):
                j, weight = start + i * width, sample_weights[first + i]
                error_sum += weight * errors[i]
                outputs[m + j], outputs[v + j] = deltas[m + j], deltas[v + j]
                deltas[m + j], deltas[v + j] = weight * by_mean[i], weight * by_log_variance[i]
    for q in range(0, n, width):  # zeros in the padding columns
        for r in range(rows):
            i = row_of(deltas, q, r, block_rows)
            store(keep_columns(load(deltas, i, 0, 1), n - q), deltas, i, width)
    clear_rows(deltas, rows, n, block_rows)
    return error_sum


class LossFunction(NamedTuple):
    """Row of the table of losses: a loss for one output activation.

    Attributes
    ----------
    function : compiled function
    from_net_inputs : bool
        Whether it takes the net inputs of the output layer and applies the activation itself.
    targets : str
        Kind of its targets: "classes" (shares that add up to 1), "probabilities" (from 0 to 1), "counts" (from 0 on) or
        "numbers".
    canonical : bool
        Whether it is the default loss for these outputs: the one whose delta is a - y (times the slope for
        "elementwise").
    setting : str
        Name of its parameter, or "" if it has none.
    parameter : float
        Usual value of its parameter.
    outputs : int
        Number of outputs for each target.
    cached : bool
        Whether machine code that contains it may be cached on disk.
    """

    function: Callable
    from_net_inputs: bool
    targets: str = "numbers"
    canonical: bool = False
    setting: str = ""
    parameter: float = 0.0
    outputs: int = 1
    cached: bool = True


# By name and output activation; "elementwise" means every activation but softmax that has no row of its own.
LOSSES = {
    ("squared_error", "elementwise"): LossFunction(squared_error, from_net_inputs=False, canonical=True),
    ("squared_error", "softmax"): LossFunction(squared_error_softmax, from_net_inputs=True),
    ("absolute_error", "elementwise"): LossFunction(output_by_output(_absolute_error), from_net_inputs=False),
    ("huber", "elementwise"): LossFunction(
        output_by_output(_huber), from_net_inputs=False, setting="delta", parameter=1.0
    ),
    ("quantile", "elementwise"): LossFunction(
        output_by_output(_quantile), from_net_inputs=False, setting="q", parameter=0.5
    ),
    ("log_cosh", "elementwise"): LossFunction(output_by_output(_log_cosh), from_net_inputs=False),
    ("gaussian_nll", "identity"): LossFunction(_gaussian_nll, from_net_inputs=True, outputs=2),
    ("poisson", "exp"): LossFunction(
        output_by_output(_poisson), from_net_inputs=True, targets="counts", canonical=True
    ),
    ("cross_entropy", "softmax"): LossFunction(cross_entropy, from_net_inputs=True, targets="classes", canonical=True),
    ("binary_cross_entropy", "sigmoid"): LossFunction(
        output_by_output(_binary_cross_entropy), from_net_inputs=True, targets="probabilities", canonical=True
    ),
    ("focal", "softmax"): LossFunction(
        focal_softmax, from_net_inputs=True, targets="classes", setting="gamma", parameter=2.0
    ),
    ("focal", "sigmoid"): LossFunction(
        output_by_output(_focal_sigmoid), from_net_inputs=True, targets="probabilities", setting="gamma", parameter=2.0
    ),
}


def _entry(deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows):
    """Template of the C function of a loss, whose arrays are pointers; `function` is bound by `jit.specialize`.

    Parameters
    ----------
    deltas, outputs, targets, sample_weights, parameter, rows, n, block_rows
        Those of all losses (see above).
    """
    count = padded(n, panel_width(as_array(deltas, 1))) * block_rows
    # The targets of "gaussian_nll" may be shorter: it reads half of the columns.
    panels = as_array(deltas, count), as_array(outputs, count), as_array(targets, count)
    return function(*panels, as_array(sample_weights, rows), parameter, rows, n, block_rows)  # noqa: F821


def loss_address(key, dtype):
    """Address of the loss LOSSES[key], compiled for the Numba type `dtype` (see `calls`)."""
    return _address(key, LOSSES[key], dtype)


@cache
def _address(key, row, dtype):
    array, size = types.CPointer(dtype), types.int64
    entry = specialize(_entry, "_".join(key), function=row.function)
    signature = types.float64(array, array, array, array, types.float64, size, size, size)
    return address(entry, signature, row.cached)


class Loss(NamedTuple):
    """Loss with its settings, an argument of the drivers.

    The address differs from process to process: pass it to compiled functions as an argument, never as a global.

    Attributes
    ----------
    address : int
    from_net_inputs : bool
        Whether it takes the net inputs of the output layer and applies the activation itself.
    parameter : float
        Its parameter (see `LossFunction.setting`).
    smoothing : float
        Share of every target that is spread evenly: over all classes of a softmax, else over 0 and 1 (see `smooth`).
    """

    address: int
    from_net_inputs: bool
    parameter: float
    smoothing: float


@njit
def smooth(targets, smoothing, softmax, rows, n, block_rows):
    """Replace the targets y of a block by (1 - smoothing) y + smoothing / (n if softmax, else 2).

    C. Szegedy et al., Rethinking the Inception architecture for computer vision (2016), section 7. `targets`, `rows`,
    `n` and `block_rows` are those of the losses.
    """
    width, real = panel_width(targets), targets.dtype.type
    keep, share = spread(real(1 - smoothing)), spread(real(smoothing / (n if softmax else 2)))
    for q in range(0, n, width):
        for r in range(rows):
            i = row_of(targets, q, r, block_rows)
            store(multiply_add(keep, load(targets, i, 0, 1), share), targets, i, width)


def loss_key(loss, output_activation):
    """Key in LOSSES of the loss called `loss` for an output activation; a ValueError if there is none."""
    for output in (output_activation, *(["elementwise"] if output_activation != "softmax" else [])):
        if (loss, output) in LOSSES:
            return loss, output
    fitting = sorted(output for name, output in LOSSES if name == loss)
    if not fitting:
        known = ", ".join(dict.fromkeys(name for name, _ in LOSSES))
        raise ValueError(f"loss is {loss!r}; accepted: {known}, or one registered before, with register_loss")
    accepted = ", ".join("all but softmax" if output == "elementwise" else output for output in fitting)
    raise ValueError(f"loss is {loss!r} with output_activation {output_activation!r}; accepted: {accepted}")


def loss(loss, output_activation, dtype, parameter=None, smoothing=0.0):
    """Loss with its settings, for the drivers; compiled if it has not been.

    Parameters
    ----------
    loss : str
        Name of the loss.
    output_activation : str
    dtype : float32 or float64
        Type of the network.
    parameter : float, optional
        Setting of a loss that has one, such as delta of "huber"; by default its usual value (see `LOSSES`).
    smoothing : float
        Label smoothing (see `Loss`).

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If there is no such loss, or none for such outputs.
    """
    key = loss_key(loss, output_activation)
    row = LOSSES[key]
    number = float(row.parameter if parameter is None else parameter)
    return Loss(loss_address(key, from_dtype(np.dtype(dtype))), row.from_net_inputs, number, float(smoothing))
