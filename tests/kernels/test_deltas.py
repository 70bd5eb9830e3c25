"""Error signals: every layer against the reference, given the kernel's own of the layer behind."""

import numpy as np
import pytest
from fastmlp_kernels.jit import njit
from fastmlp_kernels.products.deltas import backward, sum_squares
from fastmlp_kernels.products.forward import DEPTH
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import (
    DTYPES,
    ROW_COUNTS,
    SIZES,
    assert_close,
    kernel_network,
    padded,
    panels,
    product_error,
    random,
    sized,
    width,
)

backward, sum_squares = njit(backward), njit(sum_squares)  # in a form that Python can call


def case(guarded, sizes, rows, block, dtype):
    """(reference network, packed network, slopes of the hidden layers, deltas) of a block before its way back.

    As the forward pass and the loss leave them: the error signal of padded samples and units is zero, and the slopes of
    padded units are numbers.
    """
    network = reference.random_network(sizes, ["tanh"] * (len(sizes) - 1), dtype)
    matrices = [random((rows, n), dtype, seed) for seed, n in enumerate(sizes[1:])]
    deltas = guarded((sum(panels(n, dtype) for n in sizes[1:]) * width(dtype) * block,), dtype)
    start = 0
    for l, matrix in enumerate(matrices):
        last = l == len(matrices) - 1
        packed = reference.to_panels(matrix, width(dtype), block, padding=0 if last else 0.5)
        packed.reshape(-1, block, width(dtype))[:, padded(rows, ROWS) :] = np.nan  # beyond the last tile: not used
        deltas[start : start + packed.size] = packed
        start += packed.size
    return network, kernel_network(network, dtype), matrices[:-1], deltas


def propagate(guarded, built, deltas, rows, block):
    """`backward`, with scratch memory full of NaN."""
    widest = max([panels(n, deltas.dtype) for n in built.layers.n_out])
    backward(built, deltas, rows, block, guarded((widest * width(deltas.dtype) * block,), deltas.dtype))


def unpacked(deltas, built, rows, block):
    size = width(deltas.dtype)
    return [
        reference.from_panels(deltas[layer.deltas * size * block :], size, block, rows, layer.n_out)
        for layer in built.layers
    ]


def check(network, slopes, deltas, dtype):
    for l, slope in enumerate(slopes):
        behind = deltas[l + 1].astype(float)
        expected = (behind @ network.weights[l + 1].T) * slope
        assert_close(deltas[l], expected, product_error(behind, network.weights[l + 1].T, dtype) * abs(slope))


@pytest.mark.shapes
@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("n_in", SIZES)
@pytest.mark.parametrize("n_out", SIZES)
def test_a_layer_of_any_size(guarded, dtype, rows, n_in, n_out):
    sizes, block = [1, sized(n_in, dtype), sized(n_out, dtype)], padded(rows, ROWS) + ROWS
    network, built, slopes, deltas = case(guarded, sizes, rows, block, dtype)
    propagate(guarded, built, deltas, rows, block)
    check(network, slopes, unpacked(deltas, built, rows, block), dtype)


@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_several_layers_and_their_padding(guarded, dtype, rows):
    sizes, block = [3, width(dtype) + 1, 1, 2 * width(dtype) + 3, 2], padded(rows, ROWS) + ROWS
    network, built, slopes, deltas = case(guarded, sizes, rows, block, dtype)
    propagate(guarded, built, deltas, rows, block)
    check(network, slopes, unpacked(deltas, built, rows, block), dtype)
    tiles = padded(rows, ROWS)
    for layer, matrix in zip(built.layers, unpacked(deltas, built, rows, block), strict=True):
        start, size = layer.deltas * width(dtype) * block, width(dtype)
        whole = reference.from_panels(deltas[start:], size, block, tiles, padded(layer.n_out, size))
        assert np.count_nonzero(whole) == np.count_nonzero(matrix), "padding counts"


@pytest.mark.shapes
@DTYPES
@pytest.mark.parametrize("n_out", [DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 3])
def test_sums_too_long_for_one_pass(guarded, dtype, n_out):
    rows, block = 2 * ROWS + 1, 4 * ROWS
    network, built, slopes, deltas = case(guarded, [1, width(dtype) + 1, n_out], rows, block, dtype)
    propagate(guarded, built, deltas, rows, block)
    check(network, slopes, unpacked(deltas, built, rows, block), dtype)


@DTYPES
def test_one_layer_has_nothing_to_propagate(guarded, dtype):
    _, built, _, deltas = case(guarded, [4, 3], ROWS, ROWS, dtype)
    before = deltas.copy()
    propagate(guarded, built, deltas, ROWS, ROWS)
    np.testing.assert_array_equal(deltas, before)


@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_squares_are_summed_layer_by_layer(guarded, dtype, rows):
    sizes, block = [3, width(dtype) + 1, 1, 2 * width(dtype) + 3], padded(rows, ROWS) + ROWS
    _, built, _, deltas = case(guarded, sizes, rows, block, dtype)
    propagate(guarded, built, deltas, rows, block)
    squares = guarded((len(sizes) - 1,), np.float64)
    sum_squares(squares, built, deltas, rows, block)
    matrices = unpacked(deltas, built, rows, block)
    expected = np.array([(matrix.astype(float) ** 2).sum() for matrix in matrices])
    assert_close(squares, expected, expected * np.finfo(dtype).eps * (max(map(np.size, matrices)) + 1))
