"""What all tests share."""

import unittest.mock

import pytest
from benchmarks.buffers import Buffers
from fastmlp_kernels import custom
from fastmlp_kernels.functions.activations import ACTIVATIONS
from fastmlp_kernels.panelwise.losses import LOSSES


def pytest_collection_modifyitems(items):
    """Put the tests that run many others first: started last, one would keep a single core busy at the end."""
    items.sort(key=lambda item: item.get_closest_marker("outer") is None)


@pytest.fixture
def guarded():
    """A maker of buffers between guard words; after the test, the words must be as they were.

    guarded(values) gives a copy of an array, guarded((size,), dtype) a new array full of NaN. No kernel may rely on a
    buffer's alignment: none of these starts on a cache line.
    """
    buffers = Buffers(offset=16)
    yield lambda values, dtype=None: buffers.new(values, dtype) if dtype else buffers.copy(values)
    buffers.check()


@pytest.fixture(autouse=True)
def tables():
    """What a test registers is forgotten after it."""
    with (
        unittest.mock.patch.dict(ACTIVATIONS),
        unittest.mock.patch.dict(LOSSES),
        unittest.mock.patch.dict(custom.registered),
    ):
        yield
