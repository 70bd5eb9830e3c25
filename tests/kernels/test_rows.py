"""Rows of row-major arrays forward, a block at a time."""

import numpy as np
import pytest
from fastmlp_kernels.embed.batch import forward_rows
from fastmlp_kernels.embed.make import workspace
from numba.core.errors import TypingError

from tests import reference
from tests.kernels.cases import NETWORKS, PLAIN, RandomNetwork


@NETWORKS
def test_outputs_are_those_of_the_reference(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    found = case.outputs(guarded)
    assert forward_rows(found, case.built, case.scratch(guarded, workspace), case.x)
    case.check(found, reference.forward(case.network, case.x)[1][-1])


def test_inputs_that_are_not_finite_are_noticed(guarded):
    case = RandomNetwork(2, np.float32)
    case.x[-1, -1] = np.nan
    assert not forward_rows(case.outputs(guarded), case.built, case.scratch(guarded, workspace), case.x)


@pytest.mark.skipif(PLAIN, reason="plain Python has no types")
def test_arrays_of_another_dtype_or_order_do_not_compile(guarded):
    case = RandomNetwork(2, np.float32)
    space = workspace(case.built, 1)
    with pytest.raises(TypingError, match="accepted: one dtype"):
        forward_rows(case.outputs(guarded), case.built, space, case.x.astype(np.float64))
    with pytest.raises(TypingError, match="accepted: a constant, a row-major array"):
        forward_rows(case.outputs(guarded), case.built, space, np.asfortranarray(np.ones((4, 2), np.float32)))
