"""Reverse mode over Taylor mode: against central differences of the reference, and by what is known without."""

import numpy as np
from fastmlp_kernels.embed.make import taylor_workspace, workspace
from fastmlp_kernels.embed.reverse import gradient_rows
from fastmlp_kernels.embed.taylor_gradient import taylor_gradient_rows

from tests import reference
from tests.kernels.cases import DTYPES, NETWORKS, SMOOTH, RandomNetwork, kernel_network


def output_gradients(case):
    """dE/d of outputs, first and second derivatives."""
    rows, n_in, n_out = len(case.x), case.sizes[0], case.sizes[-1]
    return case.random(rows, n_out), case.random(rows, n_out, n_in), case.random(rows, n_out, n_in)


def run(case, guarded, gradients):
    found = guarded(case.built.weights.shape, case.dtype)
    space = case.scratch(guarded, taylor_workspace)
    taylor_gradient_rows(found, case.built, space, case.x, *gradients, True)
    once = found.copy()
    taylor_gradient_rows(found, case.built, space, case.x, *gradients, False)
    np.testing.assert_allclose(found, 2 * once, rtol=1e-3, atol=1e-3 * abs(once).max())
    return once


@NETWORKS
def test_gradients_are_central_differences(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype, SMOOTH)
    gradients = output_gradients(case)

    def total(network):
        return sum((g * v).sum() for g, v in zip(gradients, reference.taylor(network, case.x), strict=True))

    case.check_along(run(case, guarded, gradients), total, 1e-5, 1e-7 if dtype == np.float64 else 1e-4)


@NETWORKS
def test_without_derivatives_it_is_the_gradient_of_the_outputs(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    values, firsts, _ = output_gradients(case)
    expected = guarded(case.built.weights.shape, dtype)
    gradient_rows(expected, case.built, case.scratch(guarded, workspace), case.x, values, True)
    case.check(run(case, guarded, (values, 0 * firsts, 0 * firsts)), expected.astype(float))


@DTYPES
def test_the_transposed_weights_of_the_first_layer_are_not_needed(guarded, dtype):
    case = RandomNetwork(2, dtype, SMOOTH)
    gradients = output_gradients(case)
    expected = run(case, guarded, gradients)
    case.built = kernel_network(case.network, dtype)
    np.testing.assert_array_equal(run(case, guarded, gradients), expected)
