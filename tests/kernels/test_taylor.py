"""Taylor mode against the reference, and against central differences in float64."""

import numpy as np
from fastmlp_kernels.embed.make import taylor_workspace
from fastmlp_kernels.embed.taylor import taylor_rows

from tests import reference
from tests.kernels.cases import NETWORKS, SEEDS, SMOOTH, RandomNetwork

STEP = 1e-4  # of second differences, whose rounding errors are epsilon over its square


def run(case, guarded):
    """(outputs, first derivatives, second derivatives)."""
    found = case.outputs(guarded), *(case.outputs(guarded, case.sizes[0]) for _ in range(2))
    taylor_rows(*found, case.built, case.scratch(guarded, taylor_workspace), case.x)
    return found


@NETWORKS
def test_values_and_derivatives(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    for found, expected in zip(run(case, guarded), reference.taylor(case.network, case.x.astype(float)), strict=True):
        case.check(found, expected)


@SEEDS
def test_derivatives_are_central_differences(guarded, seed):
    case = RandomNetwork(seed, np.float64, SMOOTH)
    outputs, firsts, seconds = run(case, guarded)
    for i in range(case.sizes[0]):
        step = STEP * np.eye(case.sizes[0])[i]
        above, below = (reference.forward(case.network, case.x + h)[1][-1] for h in (step, -step))
        np.testing.assert_allclose(firsts[:, :, i], (above - below) / (2 * STEP), rtol=1e-6, atol=1e-6)
        bent = (above - 2 * outputs + below) / STEP**2
        np.testing.assert_allclose(seconds[:, :, i], bent, rtol=1e-5, atol=1e-5)
