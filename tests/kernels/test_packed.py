"""The packed form of a network."""

import numpy as np
import pytest
from fastmlp_kernels.layout import network as packed

from tests import reference
from tests.kernels.cases import DTYPES, kernel_network, panels, parameters, sized, width

SHAPES = pytest.mark.parametrize(
    "names", [("1", "1"), ("tile-1", "tile", "tile+1"), ("2tile+3", "1", "tile+1", "2tile+3")], ids="-".join
)
BIAS = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])


def case(names, dtype, bias=True):
    """(sizes, reference network, packed network)."""
    sizes = [sized(name, dtype) for name in names]
    network = reference.random_network(sizes, ["identity"] * (len(sizes) - 1), dtype, bias)
    return sizes, network, kernel_network(network, dtype)


@DTYPES
@SHAPES
@BIAS
def test_weights_are_augmented_matrices_in_panels(dtype, names, bias):
    sizes, network, built = case(names, dtype, bias)
    end = 0
    for l, layer in enumerate(built.layers):
        assert (layer.n_in, layer.n_out) == (sizes[l], sizes[l + 1])
        assert layer.weights == end
        biases = network.biases[l] if bias else np.zeros(layer.n_out)
        rows = np.vstack([biases, network.weights[l]]).astype(dtype)
        expected = reference.to_panels(rows, width(dtype), len(rows))
        end += expected.size
        np.testing.assert_array_equal(built.weights[layer.weights : end], expected)
    assert end == built.weights.size


@DTYPES
@SHAPES
def test_transposed_weights_of_all_but_the_first_layer_are_kept(dtype, names):
    _, network, built = case(names, dtype)
    end = 0
    for l, layer in enumerate(built.layers):
        if l == 0:
            assert layer.transposed == -1
            continue
        assert layer.transposed == end
        expected = reference.to_panels(network.weights[l].T.astype(dtype), width(dtype), layer.n_out)
        end += expected.size
        np.testing.assert_array_equal(built.transposed[layer.transposed : end], expected)
    assert end == built.transposed.size


@DTYPES
@SHAPES
def test_transposed_weights_of_the_first_layer_are_kept_for_derivatives_by_the_inputs(dtype, names):
    sizes, network, _ = case(names, dtype)
    built = kernel_network(network, dtype, transposed_from=0)
    first, expected = built.layers[0], reference.to_panels(network.weights[0].T.astype(dtype), width(dtype), sizes[1])
    assert first.transposed == 0
    assert all(layer.transposed >= expected.size for layer in built.layers[1:])
    np.testing.assert_array_equal(built.transposed[: expected.size], expected)


@DTYPES
@SHAPES
def test_no_transposed_weights_are_kept_to_predict_only(dtype, names):
    sizes, network, built = case(names, dtype)
    forward_only = kernel_network(network, dtype, transposed_from=len(sizes) - 1)
    assert forward_only.transposed.size == 0
    assert all(layer.transposed == -1 for layer in forward_only.layers)
    np.testing.assert_array_equal(forward_only.weights, built.weights)


@DTYPES
@SHAPES
def test_panels_of_activations_and_deltas_follow_one_another(dtype, names):
    sizes, _, built = case(names, dtype)
    count = [panels(n, dtype) for n in sizes]
    np.testing.assert_array_equal(built.layers.inputs, np.cumsum([0, *count])[: len(sizes) - 1])
    np.testing.assert_array_equal(built.layers.outputs, np.cumsum(count)[:-1])
    np.testing.assert_array_equal(built.layers.deltas, np.cumsum([0, *count[1:]])[:-1])


@DTYPES
@SHAPES
@BIAS
def test_unpack_gives_back_what_was_packed(dtype, names, bias):
    sizes, network, built = case(names, dtype, bias)
    for found, expected in zip(parameters(built), network[:2], strict=True):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            np.testing.assert_array_equal(f, e)
    assert packed.parameter_count(built) == reference.flatten(network.weights, network.biases).size
    assert packed.sizes(built) == sizes


def test_unpack_takes_other_arrays_of_the_same_layout(guarded):
    _, _, built = case(["tile+1", "tile-1"], np.float64)
    count = int(built.layers.n_out[0] * (built.layers.n_in[0] + 1))
    twice, flat = guarded((count,), float), guarded((count,), float)
    packed.unpack(flat, built, built.weights)
    packed.unpack(twice, built, 2 * built.weights)
    np.testing.assert_array_equal(twice, 2 * flat)


@DTYPES
def test_transpose_touches_only_its_stretch(guarded, dtype):
    sizes, network, built = case(["1", "2tile+3", "tile+1"], dtype)
    built = guarded(built)
    size = width(dtype)
    last = sizes[1] - 2  # in the middle of a panel
    built.transposed[:] = np.nan
    packed.transpose(built, 1, size, size, last)
    expected = np.full((sizes[2], sizes[1]), np.nan)
    expected[size:, size:last] = network.weights[1][size:last, size:].T
    found = reference.from_panels(built.transposed, size, sizes[2], sizes[2], sizes[1])
    np.testing.assert_array_equal(found, expected)


@DTYPES
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("l", [0, 1, 2])
def test_nonfinite_layer_names_the_first(dtype, value, l):
    _, _, built = case(["tile", "1", "tile+1", "2tile+3"], dtype)
    assert packed.nonfinite_layer(built) == 0
    built.weights[-1] = value
    assert packed.nonfinite_layer(built) == 3
    built.weights[built.layers.weights[l]] = value
    assert packed.nonfinite_layer(built) == l + 1


@pytest.mark.parametrize("shape", [1, 1000, (3, 7)])
def test_arrays_start_on_a_cache_line(shape):
    for dtype in (np.float32, np.float64):
        array = packed.aligned(shape, dtype, 3)
        assert array.ctypes.data % 64 == 0
        assert array.dtype == dtype
        assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert (array == 3).all()
