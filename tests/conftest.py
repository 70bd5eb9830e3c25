"""What all tests share."""

import unittest.mock

import numpy as np
import pytest
from fastmlp_kernels import custom
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.panelwise.losses import LOSSES

from tests.builds import counted_lines, finish_build  # noqa: F401 (fixtures)

GUARD = 64  # elements on either side of a buffer


@pytest.fixture
def guarded():
    """A maker of buffers between guard words; after the test, the words must be as they were.

    guarded(values) gives a copy of an array, guarded((size,), dtype) a new array full of NaN.
    """
    made = []

    def make(shape_or_values, dtype=None):
        values = np.full(shape_or_values, np.nan, dtype) if dtype else np.asarray(shape_or_values)
        memory = np.full(values.size + 2 * GUARD, 12345.0, values.dtype)
        buffer = memory[GUARD:-GUARD].reshape(values.shape)
        buffer[...] = values
        made.append(memory)
        return buffer

    yield make
    for memory in made:
        assert (memory[:GUARD] == 12345.0).all(), "written before the start of a buffer"
        assert (memory[-GUARD:] == 12345.0).all(), "written past the end of a buffer"


@pytest.fixture(autouse=True)
def tables():
    """What a test registers is forgotten after it."""
    with (
        unittest.mock.patch.dict(ACTIVATIONS),
        unittest.mock.patch.dict(LOSSES),
        unittest.mock.patch.dict(custom._owners),
    ):
        yield
