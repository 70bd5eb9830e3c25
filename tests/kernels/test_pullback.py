"""Reverse mode: against the reference, and against central differences in float64."""

import numpy as np
import pytest
from fastmlp_kernels.embed.make import workspace
from fastmlp_kernels.embed.reverse import gradient_rows, jacobian_one, loss_gradient_rows, vjp_rows
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.panelwise.losses import loss

from tests import reference
from tests.kernels.cases import DTYPES, NETWORKS, SEEDS, RandomNetwork, kernel_network

STEP = 1e-6  # of differences with respect to the inputs


@NETWORKS
def test_vector_jacobian_products(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    gradients, found = case.random(len(case.x), case.sizes[-1]), guarded(case.x.shape, dtype)
    vjp_rows(found, case.built, case.scratch(guarded, workspace), case.x, gradients)
    expected, _, _ = reference.pull_back(case.network, case.x.astype(float), gradients.astype(float))
    case.check(found, expected)


@SEEDS
def test_vector_jacobian_products_are_central_differences(guarded, seed):
    case = RandomNetwork(seed, np.float64)
    gradients, found = case.random(len(case.x), case.sizes[-1]), guarded(case.x.shape, np.float64)
    vjp_rows(found, case.built, case.scratch(guarded, workspace), case.x, gradients)
    for i in range(case.sizes[0]):
        step = STEP * np.eye(case.sizes[0])[i]
        above, below = (reference.forward(case.network, case.x + h)[1][-1] for h in (step, -step))
        expected = (gradients * (above - below)).sum(axis=1) / (2 * STEP)
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-6, atol=1e-7)


@NETWORKS
def test_jacobians(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    found = guarded((case.sizes[-1], case.sizes[0]), dtype)
    jacobian_one(found, case.built, case.scratch(guarded, workspace), case.x[-1])
    case.check(found, reference.taylor(case.network, case.x[-1:].astype(float))[1][0])


@DTYPES
def test_layers_that_are_not_told_their_activation_have_the_identity(guarded, dtype):
    built, jacobian = packed.build([3, 4, 2], dtype, bias=False, transposed_from=0), guarded((2, 3), dtype)
    params = np.arange(20, dtype=dtype)
    packed.pack(built, params)
    jacobian_one(jacobian, built, guarded(workspace(built, 2)), np.ones(3, dtype))
    np.testing.assert_array_equal(jacobian.T, params[:12].reshape(3, 4) @ params[12:].reshape(4, 2))


@DTYPES
def test_without_transposed_weights_of_the_first_layer_nothing_wrong_is_given(guarded, dtype):
    case = RandomNetwork(2, dtype)
    bare, space = kernel_network(case.network, dtype), guarded(workspace(case.built, len(case.x)))
    gradients, found = case.random(len(case.x), case.sizes[-1]), guarded(np.zeros_like(case.x))
    vjp_rows(found, bare, space, case.x, gradients)
    assert np.isnan(found).all()
    jacobian = guarded(np.zeros((case.sizes[-1], case.sizes[0]), dtype))
    jacobian_one(jacobian, bare, space, case.x[0])
    assert np.isnan(jacobian).all()


@NETWORKS
def test_parameter_gradients_for_given_output_gradients(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    gradients, found = case.random(len(case.x), case.sizes[-1]), guarded(case.built.weights.shape, dtype)
    space = case.scratch(guarded, workspace)
    gradient_rows(found, case.built, space, case.x, gradients, True)
    _, matrices, rows = reference.pull_back(case.network, case.x.astype(float), gradients.astype(float))
    case.check_gradient(found, matrices, rows)
    gradient_rows(found, case.built, space, case.x, gradients, False)
    case.check_gradient(found, [2 * m for m in matrices], [2 * r for r in rows])


@SEEDS
def test_parameter_gradients_are_central_differences(guarded, seed):
    case = RandomNetwork(seed, np.float64)
    gradients, found = case.random(len(case.x), case.sizes[-1]), guarded(case.built.weights.shape, np.float64)
    gradient_rows(found, case.built, case.scratch(guarded, workspace), case.x, gradients, True)

    def total(network):
        return (gradients * reference.forward(network, case.x)[1][-1]).sum()

    case.check_along(found, total, 1e-7, 1e-6)  # so small a step, because units cross their kinks along it


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("squared_error", "tanh"),
        ("squared_error", "softmax"),
        ("cross_entropy", "softmax"),
        ("binary_cross_entropy", "sigmoid"),
    ],
)
@pytest.mark.parametrize("labels", [False, True], ids=["targets", "labels"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@DTYPES
def test_losses_and_their_gradients(guarded, name, output, labels, weighted, dtype):
    case = RandomNetwork(4, dtype, output=output)
    classes = case.rng.integers(0, case.sizes[-1], len(case.x))
    y = np.eye(case.sizes[-1], dtype=dtype)[classes]
    found = guarded(case.built.weights.shape, dtype)
    arguments = case.built, case.scratch(guarded, workspace), case.x, classes if labels else y
    weights = case.rng.uniform(0, 2, len(case.x)).astype(dtype) if weighted else np.ones(len(case.x), dtype)
    given = (weights,) if weighted else ()
    total = loss_gradient_rows(found, *arguments, loss(name, output, dtype), True, *given)
    x, y = case.x.astype(float), y.astype(float)
    expected = (reference.losses(case.network, x, y, name) * weights).sum()
    assert total == pytest.approx(expected, rel=100 * float(np.finfo(dtype).eps))
    _, matrices, rows = reference.backpropagate(case.network, x, y, name, weights.astype(float))
    case.check_gradient(found, matrices, rows)
    loss_gradient_rows(found, *arguments, loss(name, output, dtype), False, *given)
    case.check_gradient(found, [2 * m for m in matrices], [2 * r for r in rows])
