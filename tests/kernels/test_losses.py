"""Losses and output error signals, against the reference and at the limits."""

import math

import fastmlp_kernels as fk
import mpmath
import numpy as np
import pytest
from fastmlp_kernels.panelwise.losses import LOSSES, loss
from fastmlp_kernels.panelwise.softmax import softmax
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import (
    DTYPES,
    PLAIN,
    ROW_COUNTS,
    SIZES,
    assert_close,
    kernel_network,
    padded,
    panels,
    parameters,
    random,
    sized,
    width,
)

KEYS = pytest.mark.parametrize("key", LOSSES, ids="-".join)
HUGE = 1e4  # net inputs at which exp overflows and log(0) lurks


def targets(rows, n, dtype, key):
    """Targets that the loss admits: any numbers, shares that add up to one, or probabilities."""
    y = abs(random((rows, n // LOSSES[key].outputs), float, 7))
    if key[1] == "softmax":
        y /= y.sum(axis=1, keepdims=True)
    return (y / (1 + y) if key[1] == "sigmoid" else y).astype(dtype)


class Run:
    """A call of a loss: its value, and the error signal and activations it left, on net inputs `z` and targets `y`.

    Where the output activation is applied element by element, it is tanh. All that pads the panels is NaN.
    """

    def __init__(self, guarded, key, z, y, weights=None, parameter=None):
        (self.rows, self.n), self.size, dtype = z.shape, width(z.dtype), z.dtype
        self.block = padded(self.rows, ROWS) + ROWS
        loss = LOSSES[key]
        a = np.full_like(z, np.nan) if loss.from_net_inputs else np.tanh(z)
        slopes = z if loss.from_net_inputs else reference.ACTIVATIONS["tanh"][1](z)
        self.deltas, self.outputs, packed_targets = (
            guarded(reference.to_panels(m.astype(dtype), self.size, self.block, np.nan)) for m in (slopes, a, y)
        )
        weights = guarded(np.ones(self.rows, dtype) if weights is None else weights)
        parameter = loss.parameter if parameter is None else parameter
        buffers = self.deltas, self.outputs, packed_targets, weights
        self.loss = loss.function(*buffers, parameter, self.rows, self.n, self.block)

    def delta(self):
        return reference.from_panels(self.deltas, self.size, self.block, self.rows, self.n)

    def activations(self):
        return reference.from_panels(self.outputs, self.size, self.block, self.rows, self.n)


def expected(key, z, y, weights, parameter):
    """(loss, error signal, activations) of the reference."""
    name, output = key[0], "tanh" if key[1] == "elementwise" else key[1]
    name = "binary_focal" if key == ("focal", "sigmoid") else name
    z, y = z.astype(float), y.astype(float)
    a = reference.softmax(z) if output == "softmax" else reference.ACTIVATIONS[output][0](z)
    delta = reference.output_delta(z, a, y, output, name, *parameter)
    return (reference.LOSSES[name][0](a, y, *parameter) * weights).sum(), delta * weights[:, None], a


PARAMETERS = {"huber": [0.3], "quantile": [0.8], "focal": [0.0, 0.5, 1.5]}


@KEYS
@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("n", SIZES)
def test_value_and_error_signal(guarded, key, dtype, rows, n):
    n = sized(n, dtype) * LOSSES[key].outputs
    z, y = random((rows, n), dtype), targets(rows, n, dtype, key)
    weights = abs(random(rows, dtype, 3))
    weights[rows // 2] = 0
    for parameter in PARAMETERS.get(key[0], [LOSSES[key].parameter]):
        run = Run(guarded, key, z, y, weights, parameter)
        loss, delta, a = expected(key, z, y, weights.astype(float), [parameter] if key[0] in PARAMETERS else [])
        # An exponential of z - max z is off by the rounding of that difference; some ten roundings follow it.
        error = np.finfo(dtype).eps * (10 + np.ptp(z)) * max(1, abs(y).max()) ** 2
        if key[0] == "gaussian_nll":  # errors are divided by variances
            error = error * np.exp(abs(z).max())
        assert_close(run.activations(), a, error)
        assert_close(run.delta(), delta, error * max(1, weights.max()))
        assert abs(run.loss - loss) <= z.size * error
        assert PLAIN or isinstance(run.loss, float)


@KEYS
@DTYPES
def test_padding_of_the_error_signal_is_zero(guarded, key, dtype):
    rows, n = ROWS + 1, (width(dtype) + 1) * LOSSES[key].outputs
    run = Run(guarded, key, random((rows, n), dtype), targets(rows, n, dtype, key))
    whole = run.deltas.reshape(panels(n, dtype), run.block, run.size)
    tiles = padded(rows, ROWS)
    np.testing.assert_array_equal(whole[:, rows:tiles], 0)
    np.testing.assert_array_equal(whole[-1, :tiles, n % run.size :], 0)
    assert np.isnan(whole[:, tiles:]).all(), "written beyond the last tile"


@DTYPES
@pytest.mark.parametrize("n", [2, 40])
def test_cross_entropy_of_huge_net_inputs(guarded, dtype, n):
    """Right and wrong beyond doubt: loss and error signal are exact."""
    z, y = np.zeros((2, n), dtype), np.zeros((2, n), dtype)
    z[:, 0], z[:, 1] = HUGE, -HUGE
    y[0, 0] = y[1, 1] = 1
    run = Run(guarded, ("cross_entropy", "softmax"), z, y)
    assert run.loss == 2 * HUGE
    certain = np.eye(n)[[0, 0]]
    np.testing.assert_array_equal(run.activations(), certain)
    np.testing.assert_array_equal(run.delta(), certain - y)


@DTYPES
def test_binary_cross_entropy_of_huge_net_inputs(guarded, dtype):
    z = np.array([[HUGE, HUGE, -HUGE, -HUGE]], dtype)
    y = np.array([[1, 0, 1, 0]], dtype)
    run = Run(guarded, ("binary_cross_entropy", "sigmoid"), z, y)
    assert run.loss == 2 * HUGE
    np.testing.assert_array_equal(run.activations(), [[1, 1, 0, 0]])
    np.testing.assert_array_equal(run.delta(), [[0, 1, -1, 0]])


@DTYPES
def test_squared_error_of_a_certain_softmax(guarded, dtype):
    z, y = np.array([[HUGE, -HUGE, 0]], dtype), np.array([[0, 1, 0]], dtype)
    run = Run(guarded, ("squared_error", "softmax"), z, y)
    assert run.loss == 1
    np.testing.assert_array_equal(run.delta(), np.zeros((1, 3)))


@DTYPES
def test_log_cosh_neither_overflows_nor_cancels(guarded, dtype):
    errors = np.concatenate([10.0 ** np.arange(-15, 4.5, 0.5), np.linspace(0.3, 1.5, 50), [1e18, 1e30]]).astype(dtype)
    z, limit = np.zeros((1, 1), dtype), 10 * np.finfo(dtype).eps
    for error in errors:
        with mpmath.workprec(200):
            exact = mpmath.log(mpmath.cosh(mpmath.mpf(float(error)))) if error < 1e5 else float(error) - math.log(2)
        for y in (error, -error):
            run = Run(guarded, ("log_cosh", "elementwise"), z, np.full((1, 1), y))
            assert abs(run.loss / float(exact) - 1) <= limit
            assert abs(run.delta()[0, 0] + np.tanh(float(y))) <= limit * abs(np.tanh(float(y)))


@DTYPES
def test_negative_log_likelihoods_have_two_outputs_for_each_target_in_compiled_code_too(dtype):
    network = reference.random_network([5, 9, 6], ["tanh", "identity"], dtype)
    built, x, y = kernel_network(network, dtype), random((50, 5), dtype), random((50, 3), dtype, 1)
    gradient, space = fk.packed_gradient(built), fk.workspace(built, 20)
    total = fk.loss_gradient_rows(gradient, built, space, x, y, loss("gaussian_nll", "identity", dtype), True)
    x, y = x.astype(float), y.astype(float)
    expected = reference.losses(network, x, y, "gaussian_nll").sum()
    assert total == pytest.approx(expected, rel=100 * float(np.finfo(dtype).eps))
    weights, biases = parameters(built, gradient)
    _, matrices, rows = reference.backpropagate(network, x, y, "gaussian_nll")
    for found, exact in zip(weights + biases, matrices + rows, strict=True):
        np.testing.assert_allclose(found, exact, rtol=0, atol=500 * np.finfo(dtype).eps * abs(exact).max())


@pytest.mark.parametrize("key", [key for key in LOSSES if LOSSES[key].from_net_inputs], ids="-".join)
def test_net_inputs_that_are_not_numbers_show_in_the_loss(guarded, key):
    z = np.zeros((3, 4), np.float32)
    z[1, 2] = np.nan
    assert np.isnan(Run(guarded, key, z, np.eye(4, dtype=np.float32)[:3]).loss)


@DTYPES
@pytest.mark.parametrize("shift", [0, HUGE, -HUGE])
def test_softmax_does_not_depend_on_a_common_shift(guarded, dtype, shift):
    rows, n, block = 3, width(dtype) + 1, 2 * ROWS
    z = np.round(random((rows, n), dtype) * 8) / 8  # exact when shifted
    outputs = guarded(reference.to_panels(z + dtype(shift), width(dtype), block, np.nan))
    softmax(outputs, rows, n, block)
    found = reference.from_panels(outputs, width(dtype), block, rows, n)
    value = reference.softmax(z.astype(float))
    # exp, its sum of n terms, its inverse, their product
    assert_close(found, value, (6 + n / 2) * np.finfo(dtype).eps * value)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=(n + 6) * np.finfo(dtype).eps)


@pytest.mark.parametrize(("name", "output"), [("binary_cross_entropy", "sigmoid"), ("cross_entropy", "softmax")])
def test_losses_by_name_know_whether_they_apply_the_activation(name, output):
    assert loss(name, output, np.float32).from_net_inputs
    assert loss("squared_error", output, np.float32).from_net_inputs == (output == "softmax")


def test_losses_that_do_not_fit_the_outputs_are_refused():
    with pytest.raises(ValueError, match="loss is 'cross_entropy' with output_activation 'tanh'; accepted: softmax"):
        loss("cross_entropy", "tanh", np.float32)
    with pytest.raises(
        ValueError,
        match="loss is 'hinge'; accepted: squared_error, absolute_error, huber, quant",
    ):
        loss("hinge", "tanh", np.float32)
