"""Forward mode against the reference's Jacobians, and central differences in float64."""

import numpy as np
from fastmlp_kernels.embed.forward_mode import jvp_rows
from fastmlp_kernels.embed.make import workspace

from tests import reference
from tests.kernels.cases import NETWORKS, SEEDS, RandomNetwork

STEP = 1e-6


@NETWORKS
def test_jacobian_vector_products(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    directions, values, found = case.random(*case.x.shape), case.outputs(guarded), case.outputs(guarded)
    jvp_rows(values, found, case.built, case.scratch(guarded, workspace), case.x, directions)
    expected, jacobians, _ = reference.taylor(case.network, case.x.astype(float))
    case.check(values, expected)
    case.check(found, np.einsum("ski,si->sk", jacobians, directions.astype(float)))


@SEEDS
def test_jacobian_vector_products_are_central_differences(guarded, seed):
    case = RandomNetwork(seed, np.float64)
    directions, values, found = case.random(*case.x.shape), case.outputs(guarded), case.outputs(guarded)
    jvp_rows(values, found, case.built, case.scratch(guarded, workspace), case.x, directions)
    above, below = (reference.forward(case.network, case.x + h * directions)[1][-1] for h in (STEP, -STEP))
    np.testing.assert_allclose(found, (above - below) / (2 * STEP), rtol=1e-6, atol=1e-6)
