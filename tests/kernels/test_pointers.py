"""Activations and losses called by their address, at offsets into larger arrays; kernels by theirs."""

from typing import NamedTuple

import numba
import numpy as np
import pytest
from fastmlp_kernels import calls as pointers
from fastmlp_kernels.functions.activation_table import jets_address, slopes_address, values_address
from fastmlp_kernels.jit import njit
from fastmlp_kernels.panelwise.losses import LOSSES, loss_address
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import DTYPES, PLAIN, random, width


@numba.njit
def values_at(pointer, values, offset, count):
    pointers.call_values(pointer, values, offset, count)


@numba.njit
def slopes_at(pointer, values, offset, slopes, slopes_offset, count):
    pointers.call_slopes(pointer, values, offset, slopes, slopes_offset, count)


@numba.njit
def jets_at(pointer, jets, offset, count):
    pointers.call_jets(pointer, jets, offset, count)


@numba.njit
def loss_at(pointer, deltas, d, outputs, o, targets, t, weights, w, parameter, rows, n, block):
    buffers = deltas, d, outputs, o, targets, t, weights, w
    return pointers.call_loss(pointer, *buffers, parameter, rows, n, block)


@DTYPES
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_values_of_a_stretch(guarded, dtype, name):
    z = random(50, dtype)
    values = guarded(z)
    values_at(values_address(name, numba.from_dtype(np.dtype(dtype))), values, 3, 40)
    expected = z.astype(float)
    expected[3:43] = reference.ACTIVATIONS[name][0](expected[3:43])
    np.testing.assert_allclose(values, expected, rtol=0, atol=3 * np.finfo(dtype).eps)


@DTYPES
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_values_and_slopes_of_a_stretch(guarded, dtype, name):
    z = random(50, dtype)
    values, slopes = guarded((60,), dtype), guarded(z)
    slopes_at(slopes_address(name, numba.from_dtype(np.dtype(dtype))), values, 5, slopes, 3, 40)
    value, slope = (g(z[3:43].astype(float)) for g in reference.ACTIVATIONS[name])
    np.testing.assert_allclose(values[5:45], value, rtol=0, atol=3 * np.finfo(dtype).eps)
    np.testing.assert_allclose(slopes[3:43], slope, rtol=0, atol=3 * np.finfo(dtype).eps)
    assert np.isnan(values[:5]).all()
    assert np.isnan(values[45:]).all()
    np.testing.assert_array_equal(slopes[:3], z[:3])
    np.testing.assert_array_equal(slopes[43:], z[43:])


@DTYPES
@pytest.mark.parametrize("name", ["tanh", "elu"])
def test_values_and_three_derivatives_of_a_stretch(guarded, dtype, name):
    z, count = random(50, dtype), 41
    jets = guarded((5 * count,), dtype)
    jets[3 : 3 + count] = z[:count]
    jets_at(jets_address(name, numba.from_dtype(np.dtype(dtype))), jets, 3, count)
    found = jets[3 : 3 + 4 * count].reshape(4, count)
    for g, derivative in zip((*reference.ACTIVATIONS[name], *reference.CURVATURES[name]), found, strict=True):
        np.testing.assert_allclose(derivative, g(z[:count].astype(float)), rtol=0, atol=8 * np.finfo(dtype).eps)
    assert np.isnan(jets[:3]).all()
    assert np.isnan(jets[3 + 4 * count :]).all()


@DTYPES
@pytest.mark.parametrize("key", LOSSES, ids="-".join)
def test_losses_by_address_are_the_losses(guarded, dtype, key):
    rows, n, block, start = ROWS + 1, width(dtype) + 1, 2 * ROWS, (2, 5, 11, 7)
    y = np.eye(n, dtype=dtype)[np.arange(rows) % n]
    matrices = random((rows, n), dtype), random((rows, n), dtype, 1), y
    packed = [guarded(reference.to_panels(matrix, width(dtype), block)) for matrix in matrices]
    packed.append(guarded(abs(random(rows, dtype, 2))))
    shifted = [guarded(np.concatenate([np.full(s, 9, dtype), p])) for s, p in zip(start, packed, strict=True)]
    arguments = [part for pair in zip(shifted, start, strict=True) for part in pair]
    by_address = loss_at(loss_address(key, numba.from_dtype(np.dtype(dtype))), *arguments, 0.5, rows, n, block)
    assert by_address == LOSSES[key].function(*packed, 0.5, rows, n, block)
    for s, p, q in zip(start, packed, shifted, strict=True):
        np.testing.assert_array_equal(q[s:], p)
        np.testing.assert_array_equal(q[:s], 9)


def test_the_identity_has_no_values_to_compute():
    assert values_address("identity", numba.float32) == 0
    assert slopes_address("identity", numba.float32) != 0


def test_an_address_is_made_once():
    assert values_address("tanh", numba.float32) == values_address("tanh", numba.float32)
    assert values_address("tanh", numba.float32) != values_address("tanh", numba.float64)


class Pair(NamedTuple):
    array: np.ndarray
    number: float


@njit
def add_scaled(pair, other, places):
    for i in range(places):
        pair.array[i] += pair.number * other[i, i]


ADDED = pointers.ByAddress(add_scaled, 2)
call_add, is_add_compiled = ADDED.call, ADDED.is_compiled


@numba.njit
def add_if_compiled(pair, other, places):
    compiled = is_add_compiled(pair, other, places)
    if compiled:
        call_add(pair, other, places)
    return compiled


@pytest.mark.skipif(PLAIN, reason="plain Python has no addresses")
@DTYPES
def test_a_kernel_is_called_by_address_once_it_is_compiled(guarded, dtype):
    pair, other = Pair(guarded(random(9, dtype)), 0.5), random((9, 9), dtype, 1)
    before, expected = pair.array.copy(), pair.array.copy()
    expected[:7] += dtype(0.5) * np.diag(other)[:7]
    types_ = tuple(map(numba.typeof, (pair, other, 7)))
    ADDED.expect(int(dtype is np.float64), types_)
    assert not add_if_compiled(pair, other, 7)
    np.testing.assert_array_equal(pair.array, before)
    ADDED.compile(types_)
    assert add_if_compiled(pair, other, 7)
    np.testing.assert_allclose(pair.array, expected, rtol=4 * np.finfo(dtype).eps)


def test_arguments_of_other_types_are_computed_in_the_usual_way(guarded):
    pair, other = Pair(guarded(random(9, np.float32)), 0.5), random((9, 9), np.float32, 1)[:, ::-1]
    expected = pair.array.copy()
    expected[:7] += np.float32(0.5) * np.diag(other)[:7]
    assert add_if_compiled(pair, other, 7)
    np.testing.assert_allclose(pair.array, expected, rtol=1e-6)
