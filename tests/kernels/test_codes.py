"""Activations by number."""

import numba
import numpy as np
import pytest
from fastmlp_kernels.functions.activation_table import (
    JETS,
    SLOPES,
    SOFTMAX,
    VALUES,
    activation_address,
    activation_code,
    jets_address,
    slopes_address,
    values_address,
)
from fastmlp_kernels.functions.activations import ACTIVATIONS

from tests.kernels.cases import DTYPES


def test_codes_are_those_of_every_process():
    codes = {name: activation_code(name, np.float32) for name in ("softmax", *ACTIVATIONS)}
    assert list(codes.values()) == list(range(len(codes)))
    assert codes["softmax"] == SOFTMAX == 0


@DTYPES
def test_compiled_code_finds_the_addresses(dtype):
    @numba.njit
    def address(code, itemsize, kind):
        return activation_address(code, itemsize, kind)

    code, itemsize, number = activation_code("tanh", dtype), np.dtype(dtype).itemsize, numba.from_dtype(np.dtype(dtype))
    for kind, of in ((VALUES, values_address), (SLOPES, slopes_address), (JETS, jets_address)):
        assert address(code, itemsize, kind) == activation_address(code, itemsize, kind) == of("tanh", number) != 0
        assert address(SOFTMAX, itemsize, kind) == 0


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation is 'swish'; accepted: softmax, identity, "):
        activation_code("swish", np.float32)
