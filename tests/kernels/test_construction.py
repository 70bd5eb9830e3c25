"""Networks and scratch memory from one's own arrays, in Python and in compiled code."""

import fastmlp_kernels as fk
import numba
import numpy as np
import pytest
from fastmlp_kernels.functions.activation_table import activation_code
from fastmlp_kernels.tile.engines import ENGINE, engine_of

from tests.kernels.cases import DTYPES, RandomNetwork
from tests.kernels.test_updates import MOMENTS

ALIGNMENT = 64


def own_arrays(case):
    """(weights, biases) as tuples of the network's dtype."""
    return tuple(tuple(array.astype(case.dtype) for array in group) for group in case.network[:2])


@numba.njit
def compiled(weights, biases, codes, rows):
    network = fk.network(weights, biases, codes)
    made = fk.workspace(network, rows), fk.taylor_workspace(network, rows), fk.optimizer_state(network, fk.ADAM)
    return network, made, fk.packed_gradient(network)


@numba.njit
def share(spaces, thread):
    return fk.workspace_of(spaces, thread)


def equal(one, other):
    """Whether all arrays of two (nested) tuples have the same values, dtypes and sizes."""
    if isinstance(one, tuple):
        return all(equal(a, b) for a, b in zip(one, other, strict=True))
    return np.array_equal(one, other) and np.asarray(one).dtype == np.asarray(other).dtype


@DTYPES
@pytest.mark.parametrize("seed", [1, 3, 4])  # 4: without biases, 3: softmax
def test_networks_are_those_of_the_packed_form(seed, dtype):
    case = RandomNetwork(seed, dtype)
    weights, biases = own_arrays(case)
    made = fk.network(weights, biases or None, case.network.activations)
    assert equal(made[1:], case.built[1:])
    for name in made.layers.dtype.names[:-1]:
        np.testing.assert_array_equal(made.layers[name], case.built.layers[name])


# Tuples of other lengths are other types, to be compiled again.
@pytest.mark.parametrize(("seed", "dtype"), [(1, np.float32), (1, np.float64), (4, np.float32)])
def test_compiled_code_makes_the_same(seed, dtype):
    case = RandomNetwork(seed, dtype)
    weights, biases = own_arrays(case)
    codes = tuple(activation_code(name, dtype) for name in case.network.activations)
    network, made, gradient = compiled(weights, biases or None, codes, 30)
    assert equal(network, fk.network(weights, biases, codes))
    assert numba.typeof(network) == numba.typeof(case.built), "another type would compile everything again"
    spaces = fk.workspace(network, 30), fk.taylor_workspace(network, 30)
    for space, expected in zip(made, spaces, strict=False):
        assert [np.shape(part) for part in space] == [np.shape(part) for part in expected]
        assert numba.typeof(space) == numba.typeof(expected)
        assert space.block == expected.block
    assert equal(made[2], fk.optimizer_state(network, fk.ADAM))
    assert equal(gradient, np.zeros(network.weights.size, dtype))
    arrays = [*network[1:3], *(part for space in made[:2] for part in space[1:]), gradient]
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in arrays if array.size)


def test_weights_may_be_lists_in_compiled_code():
    case = RandomNetwork(3, np.float64)
    weights, biases = own_arrays(case)
    codes = np.array([activation_code(name, np.float64) for name in case.network.activations])
    made = compiled(numba.typed.List(weights), numba.typed.List(biases), codes, 1)[0]
    assert equal(made, fk.network(weights, biases, codes))


@pytest.mark.parametrize(
    ("weights", "biases", "activations", "said"),
    [
        ([np.ones((2, 3)), np.ones((4, 1))], None, ["tanh", "tanh"], "weights do not follow one another"),
        ([np.ones((2, 3))], [np.ones(2)], ["tanh"], "biases do not fit the weights"),
        ([np.ones((2, 3))], None, ["tanh", "tanh"], "differ in number"),
        ([np.ones((2, 3))], [np.ones(3)] * 2, ["tanh"], "differ in number"),
        ([np.ones((2, 3))], None, ["swish"], "activation is 'swish'"),
        ([np.ones((2, 3)), np.ones((3, 1))], None, ["softmax", "tanh"], "activations do not fit"),
        ([np.ones((2, 3))], None, [fk.activation_code("tanh", float) + 500], "activations do not fit"),
        ([np.ones((2, 3), int)], None, ["tanh"], "weights are int64; accepted: float32 or float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(weights, biases, activations, said):
    with pytest.raises(ValueError, match=said):
        fk.network(weights, biases, activations)


def test_each_thread_has_a_share_of_its_own():
    built = RandomNetwork(1, np.float32).built
    for many, one in ((fk.workspaces, fk.workspace), (fk.taylor_workspaces, fk.taylor_workspace)):
        spaces, alone = many(built, 30, 3), one(built, 30)
        for space in (fk.workspace_of(spaces, 2), share(spaces, 2)):
            assert type(space) is type(alone)
            assert [np.shape(part) for part in space] == [np.shape(part) for part in alone]
            space[1][:] = 2
        assert (spaces[1][2] == 2).all()


@numba.njit
def compiled_state(network, kind):
    return fk.optimizer_state(network, kind)


@pytest.mark.parametrize("kind", MOMENTS)
def test_states_hold_what_the_optimizer_needs(kind):
    built, code = RandomNetwork(1, np.float32).built, getattr(fk, kind.upper())
    for state in (fk.optimizer_state(built, code), compiled_state(built, code)):
        assert (state.first.size, state.second.size) == tuple(kept * built.weights.size for kept in MOMENTS[kind])
        assert not state.first.any()
        assert not state.second.any()
        assert state.steps[0] == 0


def test_many_inputs_make_blocks_for_second_derivatives_small():
    network = fk.network([np.ones((1000, 3))], None, ["tanh"])
    assert fk.taylor_workspace(network, 500).block == ENGINE.rows
    assert fk.workspace(network, 500).block > ENGINE.rows


@numba.njit
def samples(network, x, y):
    return fk.data(network, x, y), fk.progress(network)


@pytest.mark.parametrize("labels", [False, True], ids=["targets", "labels"])
def test_samples_are_targets_or_class_numbers(labels):
    case = RandomNetwork(1, np.float32)
    outputs = case.sizes[-1]
    y = np.arange(len(case.x)) % outputs if labels else case.random(len(case.x), outputs)
    made, inside = (fk.data(case.built, case.x, y), fk.progress(case.built)), samples(case.built, case.x, y)
    assert equal(inside, made)
    assert numba.typeof(inside) == numba.typeof(made)
    data, progress = made
    assert data.y.shape == (0 if labels else len(case.x), outputs)
    assert data.labels.size == labels * len(case.x)
    assert data.order.size == 0
    assert [part.size for part in progress] == [1, len(case.sizes) - 1, 1, 0]
    assert not any(part.any() for part in progress)


@pytest.mark.skipif(engine_of("uint16") is not None, reason="this CPU has an engine for bfloat16")
def test_without_an_engine_no_mixed_network_is_made():
    network = fk.network([np.ones((3, 2), np.float32)], None, ["identity"])
    with pytest.raises(RuntimeError, match="bfloat16 operands cannot be multiplied: there is no engine"):
        fk.mixed_network(network)
