"""The forward pass: every layer against the reference, given the kernel's own activations of the layer before."""

import numpy as np
import pytest
from fastmlp_kernels.jit import njit
from fastmlp_kernels.products.forward import DEPTH, NO_DROPOUT, forward, forward_training
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import (
    DTYPES,
    ROW_COUNTS,
    SIZES,
    assert_close,
    kernel_network,
    padded,
    panels,
    product_error,
    random,
    sized,
    width,
)

forward_training = njit(forward_training)  # in a form that Python can call


def buffers(guarded, x, sizes, block):
    """(activations, deltas) of a block, full of NaN but for the inputs."""
    dtype, size = x.dtype, width(x.dtype)
    counts = [panels(n, dtype) for n in sizes]
    activations = guarded((sum(counts) * size * block,), dtype)
    deltas = guarded((sum(counts[1:]) * size * block,), dtype)
    inputs = reference.to_panels(x, size, block, padding=np.nan)  # what pads the inputs must not be used
    activations[: inputs.size] = inputs
    return activations, deltas


def layers(buffer, first_panels, sizes, rows, block):
    """The matrices of a buffer, one a layer."""
    size = width(buffer.dtype)
    return [
        reference.from_panels(buffer[first * size * block :], size, block, rows, n).astype(float)
        for first, n in zip(first_panels, sizes, strict=True)
    ]


def check(network, built, activations, sizes, rows, block):
    """Compare every layer's activations; returns (net inputs, their rounding errors) of the reference."""
    dtype = activations.dtype
    a = layers(activations, [0, *built.layers.outputs], sizes, rows, block)
    net_inputs, errors = [], []
    for l, name in enumerate(network.activations):
        ones = np.ones((rows, 1))
        augmented = np.vstack([network.biases[l], network.weights[l]])
        z = a[l] @ network.weights[l] + network.biases[l]
        error = product_error(np.hstack([ones, a[l]]), augmented, dtype)
        value = reference.softmax(z) if name == "softmax" else reference.ACTIVATIONS[name][0](z)
        if name == "softmax":  # the error of z and of z - max z go into the exponent
            rounding = 2 * error.max(axis=1, keepdims=True) + 4 * np.finfo(dtype).eps * (1 + np.ptp(z, axis=1)[:, None])
        else:  # no slope here exceeds 1.2, and an activation is right to 3 eps
            rounding = 1.2 * error + 3 * np.finfo(dtype).eps * np.maximum(abs(value), 1) * (name != "identity")
        assert_close(a[l + 1], value, rounding)
        net_inputs.append(z)
        errors.append(error)
    return net_inputs, errors


@pytest.mark.shapes
@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("n_in", SIZES)
@pytest.mark.parametrize("n_out", SIZES)
def test_one_layer_of_any_size(guarded, dtype, rows, n_in, n_out):
    sizes, block = [sized(n_in, dtype), sized(n_out, dtype)], padded(rows, ROWS) + ROWS
    network = reference.random_network(sizes, ["identity"], dtype)
    built = kernel_network(network, dtype)
    activations, _ = buffers(guarded, random((rows, sizes[0]), dtype), sizes, block)
    forward(built, activations, rows, block)
    check(network, built, activations, sizes, rows, block)


@pytest.mark.shapes
@DTYPES
@pytest.mark.parametrize("n_in", [DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 3])
def test_sums_too_long_for_one_pass(guarded, dtype, n_in):
    sizes, rows, block = [n_in, width(dtype) + 1], 2 * ROWS + 1, 4 * ROWS
    network = reference.random_network(sizes, ["identity"], dtype)
    built = kernel_network(network, dtype)
    activations, _ = buffers(guarded, random((rows, n_in), dtype), sizes, block)
    forward(built, activations, rows, block)
    check(network, built, activations, sizes, rows, block)


@DTYPES
@pytest.mark.parametrize("output", ["identity", "tanh", "softmax"])
def test_several_layers_for_prediction(guarded, dtype, output):
    sizes, rows, block = [5, width(dtype) + 1, 1, 2 * width(dtype) + 3], ROWS + 2, 2 * ROWS
    network = reference.random_network(sizes, ["sigmoid", "relu", output], dtype)
    built = kernel_network(network, dtype)
    activations, _ = buffers(guarded, random((rows, sizes[0]), dtype), sizes, block)
    forward(built, activations, rows, block)
    check(network, built, activations, sizes, rows, block)


@pytest.mark.shapes
@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_several_layers_for_training_leave_their_slopes(guarded, dtype, rows):
    sizes, block = [5, width(dtype) + 1, 1, 2 * width(dtype) + 3], padded(rows, ROWS) + ROWS
    network = reference.random_network(sizes, ["sigmoid", "tanh", "sigmoid"], dtype)
    built = kernel_network(network, dtype)
    activations, deltas = buffers(guarded, random((rows, sizes[0]), dtype), sizes, block)
    forward_training(built, activations, deltas, False, NO_DROPOUT, 0, rows, block)
    net_inputs, errors = check(network, built, activations, sizes, rows, block)
    slopes = layers(deltas, built.layers.deltas, sizes[1:], rows, block)
    for found, z, error, name in zip(slopes, net_inputs, errors, network.activations, strict=True):
        assert_close(found, reference.ACTIVATIONS[name][1](z), error + 3 * np.finfo(dtype).eps)  # |g''| < 1


@DTYPES
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_losses_that_apply_the_activation_find_the_net_inputs(guarded, dtype, output):
    sizes, rows, block = [width(dtype) + 1, 3, width(dtype) + 1], ROWS + 1, 2 * ROWS
    network = reference.random_network(sizes, ["tanh", output], dtype)
    built = kernel_network(network, dtype)
    activations, deltas = buffers(guarded, random((rows, sizes[0]), dtype), sizes, block)
    forward_training(built, activations, deltas, True, NO_DROPOUT, 0, rows, block)
    hidden = layers(activations, built.layers.outputs, sizes[1:], rows, block)[0]
    found = layers(deltas, built.layers.deltas, sizes[1:], rows, block)[1]
    z = hidden @ network.weights[1] + network.biases[1]
    inputs, matrix = np.hstack([np.ones((rows, 1)), hidden]), np.vstack([network.biases[1], network.weights[1]])
    assert_close(found, z, product_error(inputs, matrix, dtype))


def test_rows_do_not_depend_on_their_neighbours(guarded):
    """The bits of a row's outputs are the same wherever in a block it lies."""
    sizes, rows, dtype = [7, 5, 3], 2 * ROWS + 1, np.float32
    built = kernel_network(reference.random_network(sizes, ["tanh", "identity"], dtype), dtype)
    x, block = random((rows, sizes[0]), dtype), 3 * ROWS
    outputs = []
    for order in (np.arange(rows), np.random.default_rng(0).permutation(rows)):
        activations, _ = buffers(guarded, x[order], sizes, block)
        forward(built, activations, rows, block)
        found = layers(activations, built.layers.outputs, sizes[1:], rows, block)[-1]
        outputs.append(found[np.argsort(order)])
    np.testing.assert_array_equal(*outputs)
