"""One sample forward."""

import pytest
from fastmlp_kernels.embed.make import workspace
from fastmlp_kernels.embed.one_sample import forward_one
from numba import njit
from numba.core.runtime import _nrt_python, rtsys

from tests import reference
from tests.kernels.cases import DTYPES, NETWORKS, PLAIN, RandomNetwork


@NETWORKS
def test_outputs_are_those_of_the_reference(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    found = guarded((case.sizes[-1],), dtype)
    forward_one(found, case.built, case.scratch(guarded, workspace), case.x[-1])
    case.check(found, reference.forward(case.network, case.x[-1:])[1][-1][0])


@pytest.mark.skipif(PLAIN, reason="about compiled code")
@DTYPES
def test_a_million_calls_allocate_nothing(guarded, dtype):
    case = RandomNetwork(2, dtype)
    space, outputs = guarded(workspace(case.built, 1)), guarded((case.sizes[-1],), dtype)
    x = guarded(case.x[0])

    @njit
    def run(outputs, network, space, x, calls):
        for i in range(calls):
            x[0] = i
            forward_one(outputs, network, space, x)

    made = []
    _nrt_python.memsys_enable_stats()
    try:
        for calls in (1, 1, 1_000_000):  # the first compiles
            before = rtsys.get_allocation_stats()
            run(outputs, case.built, space, x, calls)
            made.append([now - then for now, then in zip(rtsys.get_allocation_stats(), before, strict=True)])
    finally:
        _nrt_python.memsys_disable_stats()
    assert made[1] == made[2], "more than what it takes to hand arrays over from Python"
