"""Scaling of inputs and targets as a part of a network: how it is learned, checked, applied and put into layers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import checks
from ._kernels import SparseRows, row_count
from .moments import Moments, merged
from .views import as_array, check_assigned

BLOCK_NUMBERS = 2**16  # numbers that are scaled at a time: as float64, they stay in a core's cache
# Standard deviations that the mean of a float32 number may be away from 0; rounding is up to 6e-5 of one there.
FAR = 1000.0


def is_far(mean, scale):
    """Whether float32 numbers of this mean and standard deviation lack digits: an array for arrays."""
    return np.abs(mean) > FAR * np.abs(scale)


class Scaling(NamedTuple):
    """Means and scales by which a network scales its inputs and targets (see `MLP.scaling`).

    Its layers get (x - input_mean) / input_scale. Its predictions are output_mean + output_scale * a, where a is an
    output of the layers.

    Attributes
    ----------
    input_mean, input_scale : (n_in,) float64 arrays
    output_mean, output_scale : (n_out,) float64 arrays
        0 and 1 if targets are not scaled. For the logarithms of variances that `losses.GaussianNLL` has among the
        outputs, the mean is twice the logarithm of the target's scale, and the scale is 1.
    """

    input_mean: ArrayLike
    input_scale: ArrayLike
    output_mean: ArrayLike = 0.0
    output_scale: ArrayLike = 1.0

    @property
    def has_targets(self) -> bool:
        """Whether targets are scaled, and not only inputs."""
        return bool(np.any(self.output_mean) or np.any(np.not_equal(self.output_scale, 1)))

    def inputs(self, argument, x, dtype, out=None):
        """Inputs for the layers: an array or `SparseRows` of `dtype`, of those in the user's units.

        A ValueError if means would have to be subtracted from sparse rows. `argument` is the name for messages. If an
        array `out` is given, those of an array `x` are written into it.
        """
        with np.errstate(over="ignore"):  # too large numbers become infinite: see `checks.finite`
            if isinstance(x, SparseRows):
                if np.any(self.input_mean):
                    raise ValueError(
                        f"{argument} is a sparse matrix, and net.scaling has means to subtract; accepted: an array, or "
                        "a scaling whose input_mean is 0"
                    )
                return x._replace(values=(x.values / self.input_scale[x.indices]).astype(dtype))
            scaled = np.empty(x.shape, dtype) if out is None else out
            for part in _parts(x):
                scaled[part] = (x[part] - self.input_mean) / self.input_scale
        return scaled

    def targets(self, argument, y, loss, dtype):
        """Targets for the layers: an array of `dtype`, of the float64 array of those in the user's units.

        A ValueError if there are fewer targets than outputs, and the others are not scaled as logarithms of variances.
        """
        mean, scale = (values[: y.shape[1]] for values in self[2:])
        if not np.allclose(_of_outputs(mean, scale, len(self.output_mean)), self[2:]):
            raise ValueError(
                f"loss is {loss}, and net.scaling is not one for it; accepted: for the logarithms of variances, an "
                "output_mean of twice the logarithm of the target's output_scale, and an output_scale of 1"
            )
        with np.errstate(over="ignore"):
            scaled = ((y - mean) / scale).astype(dtype)
        checks.finite(argument, scaled)
        return scaled

    def predictions(self, outputs):
        """Predictions in the user's units, of the outputs of the layers: arrays of the same dtype."""
        if not self.has_targets:
            return outputs
        with np.errstate(over="ignore"):
            return (self.output_mean + self.output_scale * outputs).astype(outputs.dtype)

    def truth(self, y):
        """Targets in the user's units, of those for the layers: an array of the same dtype."""
        n = y.shape[-1]  # targets of `losses.GaussianNLL` are fewer than outputs
        return (self.output_mean[:n] + self.output_scale[:n] * y).astype(y.dtype) if self.has_targets else y

    def folded(self, weights, biases):
        """Weights and biases of layers that take and give the user's units, of those of the layers: lists of arrays.

        They are computed in float64. Biases may be None. A ValueError if the dtype has too few digits for them.
        """
        dtype = weights[0].dtype
        far = np.abs(self.input_mean / self.input_scale)
        if dtype == np.float32 and far.max() > FAR:
            raise ValueError(
                f"input {far.argmax()} has a mean of {far.max():.3g} standard deviations, too many for the digits of "
                f'float32 layers; accepted: up to {FAR:g}, or net.astype("float64")'
            )
        biases = [np.zeros(w.shape[1]) if b is None else b.astype(float) for w, b in zip(weights, biases, strict=True)]
        weights = [array.astype(float) for array in weights]
        with np.errstate(over="ignore"):
            weights[0] /= self.input_scale[:, None]
            biases[0] -= self.input_mean @ weights[0]
            weights[-1] *= self.output_scale
            biases[-1] = self.output_mean + self.output_scale * biases[-1]
            folded = [[array.astype(dtype) for array in arrays] for arrays in (weights, biases)]
        if not all(np.isfinite(array).all() for arrays in folded for array in arrays):
            raise ValueError(f'net.scaling makes weights beyond {dtype}; accepted: net.astype("float64")')
        return folded


def _parts(x):
    """Slices of the rows of an array, with about BLOCK_NUMBERS numbers each."""
    step = max(1, BLOCK_NUMBERS // x.shape[1])
    return [slice(start, start + step) for start in range(0, len(x), step)]


def _moments(argument, x, columns, held, share):
    """Means and standard deviations of the rows of an array or `SparseRows`, but those whose numbers are in `held`.

    For `share` see `learn`.
    """
    moments, taken = Moments(columns), np.ones(row_count(x), bool)
    taken[np.asarray(held, np.int64)] = False
    if isinstance(x, SparseRows):
        counts = np.diff(x.indptr)
        kept = np.repeat(taken, counts)
        if taken.any():
            moments.add(SparseRows(np.append(0, np.cumsum(counts[taken])), x.indices[kept], x.values[kept]))
    else:
        for part in _parts(x):
            if taken[part].any():
                moments.add(x[part][taken[part]])
    mean, scale = merged(share(moments)).learned()
    if not np.isfinite([mean, scale]).all():
        checks.finite(argument, x)
    return mean, scale


def learn(x, y, n_in, n_out, held=(), share=lambda value: [value]):
    """Scaling to mean 0 and standard deviation 1 of samples, whatever their weights in the loss.

    Sparse inputs are only divided by their standard deviations, so that they stay sparse.

    Parameters
    ----------
    x : (N, n_in) array, or SparseRows
    y : (N, n) float64 array, or None
        Targets; None leaves them as they are. Outputs after the first n are logarithms of variances.
    n_in, n_out : int
        Numbers of inputs and outputs of the network.
    held : int array
        Numbers of the samples to leave out.
    share : function
        Gives the values that all processes have in place of one, a list, where each has some of the samples.
    """
    input_mean, input_scale = _moments("X", x, n_in, held, share)
    if any(share(isinstance(x, SparseRows))):
        input_mean = np.zeros(n_in)
    of_targets = None if y is None else _moments("y", y, y.shape[1], held, share)
    return _of_moments(input_mean, input_scale, of_targets, n_out)


def learn_from(blocks, n_in, n_targets, n_out):
    """Scaling as of `learn`, from blocks (x, y) one after another, arrays of finite numbers.

    Parameters
    ----------
    blocks : iterable of ((rows, n_in) array, (rows, n_targets) float64 array)
    n_in, n_targets, n_out : int
        Numbers of inputs, of targets to scale (0: none are), and of outputs of the network.
    """
    inputs, targets, rows = Moments(n_in), Moments(n_targets), 0
    for x, y in blocks:
        rows += len(x)
        for part in _parts(x):
            inputs.add(x[part])
            if n_targets:
                targets.add(y[part])
    if not rows:
        raise ValueError("X has no rows; accepted: at least one")
    return _of_moments(*inputs.learned(), targets.learned() if n_targets else None, n_out)


def _of_moments(input_mean, input_scale, of_targets, n_out):
    """Scaling of means and standard deviations, those of targets a pair or None."""
    return Scaling(input_mean, input_scale, *(() if of_targets is None else _of_outputs(*of_targets, n_out)))


def _of_outputs(mean, scale, n_out):
    """Means and scales of the outputs, of those of the targets: further outputs are logarithms of their variances."""
    further = n_out - len(mean)
    return np.append(mean, 2 * np.log(scale[:further])), np.append(scale, np.ones(further))


def checked(scaling, n_in, n_out, output_activation):
    """Copy of a `Scaling` that a user gives, whose members may be single numbers, as arrays for a network.

    Raises
    ------
    TypeError
        If it is no Scaling, or a member does not have numbers.
    ValueError
        If a member has another length, or numbers that are not finite, or scales that are not above 0; or targets are
        scaled, but the output activation is not "identity".
    """
    if not isinstance(scaling, Scaling):
        raise TypeError(f"scaling is {type(scaling).__name__}; accepted: a fastmlp.Scaling, or None")
    arrays = []
    for name, values in zip(Scaling._fields, scaling, strict=True):
        array, given = np.empty(n_in if name.startswith("input") else n_out), as_array(f"scaling.{name}", values)
        given = given if given.ndim else np.broadcast_to(given, array.shape)
        check_assigned(f"scaling.{name}", given, array)
        array[:] = given
        least, accepted = (0, "finite numbers above 0") if name.endswith("scale") else (-np.inf, "finite numbers")
        wrong = np.flatnonzero(~(np.isfinite(array) & (array > least)))
        if wrong.size:
            raise ValueError(f"scaling.{name} is {array[wrong[0]]} at position {wrong[0]}; accepted: {accepted}")
        arrays.append(array)
    made = Scaling(*arrays)
    if made.has_targets and output_activation != "identity":
        raise ValueError(
            f"scaling has output_mean and output_scale for {output_activation} outputs; accepted: 0 and 1, unless the "
            "output activation is identity"
        )
    return made
