"""Networks called from outside Python: through ctypes, scipy's LowLevelCallable and compiled C."""

import copy
import ctypes
import gc
import itertools
import pickle
import shutil
import subprocess
import threading
import weakref

import fastmlp_kernels as fk
import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

from tests.kernels.cases import DTYPES, PLAIN, SEEDS, RandomNetwork

JIT = pytest.mark.skipif(PLAIN, reason="C functions are machine code: there are none in plain Python")


def pointer(array):
    return array.ctypes.data_as(ctypes.POINTER(np.ctypeslib.as_ctypes_type(array.dtype)))


def smooth_network(*sizes):
    """A float64 network of tanh layers."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in itertools.pairwise(sizes)]
    return fk.network(weights, [rng.normal(size=n) for n in sizes[1:]], ["tanh"] * len(weights))


@JIT
@SEEDS
@DTYPES
def test_results_have_the_bits_of_the_kernels(guarded, seed, dtype):
    case = RandomNetwork(seed, dtype)
    c, rows = fk.CNetwork(case.built, case.workspace_rows), len(case.x)
    space, x, signals = case.scratch(guarded, fk.workspace), case.x, case.random(rows, case.sizes[-1])
    found, expected = case.outputs(guarded), case.outputs(guarded)
    assert c.forward.ctypes(c.handle, rows, pointer(x), pointer(found)) == 0
    fk.forward_rows(expected, case.built, space, x)
    np.testing.assert_array_equal(found, expected)
    c.forward_one.ctypes(c.handle, pointer(x[-1]), pointer(found[-1]))
    fk.forward_one(expected[-1], case.built, space, x[-1])
    np.testing.assert_array_equal(found, expected)
    found, expected = guarded(x.shape, dtype), guarded(x.shape, dtype)
    c.vjp.ctypes(c.handle, rows, pointer(x), pointer(signals), pointer(found))
    fk.vjp_rows(expected, case.built, space, x, signals)
    np.testing.assert_array_equal(found, expected)


@JIT
def test_inputs_that_are_not_finite_are_noticed(guarded):
    case = RandomNetwork(2, np.float32)
    case.x[-1, -1] = np.inf
    c = fk.CNetwork(case.built, 30)
    assert c.forward.ctypes(c.handle, len(case.x), pointer(case.x), pointer(case.outputs(guarded))) == 1


@JIT
def test_updates_of_the_network_are_seen(guarded):
    case = RandomNetwork(2, np.float64)
    c, found, expected = fk.CNetwork(case.built, 30), case.outputs(guarded), case.outputs(guarded)
    fk.pack(case.built, case.random(fk.parameter_count(case.built)))
    fk.forward_rows(expected, case.built, guarded(fk.workspace(case.built, 30)), case.x)
    c.forward.ctypes(c.handle, len(case.x), pointer(case.x), pointer(found))
    np.testing.assert_array_equal(found, expected)


@JIT
@DTYPES
def test_nothing_is_allocated(guarded, dtype):
    case = RandomNetwork(2, dtype)
    c, rows, x, outputs = fk.CNetwork(case.built, 30), len(case.x), case.x, case.outputs(guarded)
    found = guarded(x)
    functions = c.forward.ctypes, c.forward_one.ctypes, c.vjp.ctypes
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        for _ in range(100):
            functions[0](c.handle, rows, pointer(x), pointer(outputs))
            functions[1](c.handle, pointer(x), pointer(outputs))
            functions[2](c.handle, rows, pointer(x), pointer(outputs), pointer(found))
        assert rtsys.get_allocation_stats() == before
    finally:
        _nrt_python.memsys_disable_stats()


def test_a_handle_keeps_alive_what_it_points_to():
    c = fk.CNetwork(smooth_network(1, 3, 1), 1)
    kept, handle = weakref.ref(c), c.handle
    del c
    gc.collect()
    assert kept() is not None
    assert kept().handle.value == handle.value
    del handle
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("inputs", [1, 2])
@JIT
def test_scipy_integrates_a_network(guarded, inputs):
    scipy, integrate = pytest.importorskip("scipy"), pytest.importorskip("scipy.integrate")
    network = smooth_network(inputs, 6, 1)
    c = fk.CNetwork(network, 1)
    function = scipy.LowLevelCallable(c.integrand.ctypes, c.handle)
    del c
    found, _ = integrate.nquad(function, [(-1, 1)] * inputs)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    x = np.stack(np.meshgrid(*[nodes] * inputs), axis=-1).reshape(-1, inputs)
    outputs = guarded((len(x), 1), float)
    fk.forward_rows(outputs, network, guarded(fk.workspace(network, len(x))), x)
    volumes = np.prod(np.meshgrid(*[weights] * inputs), axis=0).reshape(-1)
    assert found == pytest.approx(volumes @ outputs[:, 0], rel=1e-8)


@JIT
def test_another_number_of_variables_integrates_to_nan():
    c = fk.CNetwork(smooth_network(2, 3, 1), 1)
    assert np.isfinite(c.integrand.ctypes(2, pointer(np.ones(2)), c.handle))
    assert np.isnan(c.integrand.ctypes(1, pointer(np.ones(1)), c.handle))


PROGRAM = """
#include "fastmlp.h"

/* Euler steps of dx/dt = f(x), one sample at a time. */
void euler(fastmlp_forward_one_double f, fastmlp_network *network, double *x, double *slope, double step, int64_t steps)
{
    for (int64_t t = 0; t < steps; t++) {
        f(network, x, slope);
        for (int64_t i = 0; i < network->n_in; i++)
            x[i] = x[i] + step * slope[i];
    }
}

/* The gradient of the sum of squared outputs, `block` rows at a time; the number of blocks that are not finite. */
int64_t energy(fastmlp_forward_float forward, fastmlp_vjp_float vjp, fastmlp_network *network, int64_t rows,
               int64_t block, const float *x, float *outputs, float *gradients)
{
    int64_t failed = 0, n_in = network->n_in, n_out = network->n_out;
    for (int64_t first = 0; first < rows; first += block) {
        int64_t count = rows - first < block ? rows - first : block;
        failed += forward(network, count, x + first * n_in, outputs);
        for (int64_t i = 0; i < count * n_out; i++)
            outputs[i] *= 2;
        vjp(network, count, x + first * n_in, outputs, gradients + first * n_in);
    }
    return failed;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """PROGRAM, compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.c").write_text(PROGRAM)
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    command = [compiler, *options, "-I", fk.INCLUDE, "program.c", "-o", "program.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "program.so"))
    library.energy.restype = ctypes.c_int64
    return library


def euler_in_c(guarded, program, c, start, step, steps):
    """Where `steps` Euler steps from `start` lead."""
    x, slope = guarded(start), guarded(start.shape, start.dtype)
    program.euler(
        ctypes.c_void_p(c.forward_one.address),
        c.handle,
        pointer(x),
        pointer(slope),
        ctypes.c_double(step),
        ctypes.c_int64(steps),
    )
    return x


@JIT
def test_an_ode_solver_in_c(guarded, program):
    network, x, slope, step = smooth_network(3, 8, 3), np.ones(3), guarded((3,), float), 0.01
    found = euler_in_c(guarded, program, fk.CNetwork(network, 1), x, step, 100)
    space = guarded(fk.workspace(network, 1))
    for _ in range(100):
        fk.forward_one(slope, network, space, x)
        x += step * slope
    np.testing.assert_array_equal(found, x)


@JIT
def test_a_gradient_in_c(guarded, program):
    case, block = RandomNetwork(2, np.float32), 7
    c, rows, x = fk.CNetwork(case.built, block), len(case.x), case.x
    outputs, found, expected = guarded(case.random(block, c.n_out)), *(guarded(x.shape, x.dtype) for _ in range(2))
    functions = ctypes.c_void_p(c.forward.address), ctypes.c_void_p(c.vjp.address)
    sizes = ctypes.c_int64(rows), ctypes.c_int64(block)
    assert program.energy(*functions, c.handle, *sizes, pointer(x), pointer(outputs), pointer(found)) == 0
    outputs, space = guarded(case.random(rows, c.n_out)), guarded(fk.workspace(case.built, block))
    fk.forward_rows(outputs, case.built, space, x)
    fk.vjp_rows(expected, case.built, space, x, 2 * outputs)
    np.testing.assert_array_equal(found, expected)


@JIT
def test_two_threads_at_once_share_a_network(guarded, program):
    network, starts, step, steps = smooth_network(3, 8, 3), np.eye(3)[:2], 1e-4, 200_000
    expected = [euler_in_c(guarded, program, fk.CNetwork(network, 1), start, step, steps) for start in starts]
    found, handles = [None, None], [fk.CNetwork(network, 1) for _ in starts]

    def run(i):
        found[i] = euler_in_c(guarded, program, handles[i], starts[i], step, steps)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


def test_what_is_no_network_is_refused():
    with pytest.raises(TypeError, match="network is list; accepted: a Network"):
        fk.CNetwork([], 1)
    with pytest.raises(ValueError, match="rows is 0; accepted: 1 or more"):
        fk.CNetwork(smooth_network(1, 1), 0)


def test_networks_that_a_function_is_not_for_are_refused():
    case = RandomNetwork(2, np.float32)
    with pytest.raises(ValueError, match=r"network is float32 with \d+ outputs; accepted as integrand: float64 with"):
        _ = fk.CNetwork(case.built, 1).integrand
    with pytest.raises(ValueError, match="network is float64 with 2 outputs; accepted as integrand"):
        _ = fk.CNetwork(smooth_network(1, 2), 1).integrand
    case.built.layers["transposed"][0] = -1
    with pytest.raises(ValueError, match="keeps no transpose of its first layer"):
        _ = fk.CNetwork(case.built, 1).vjp


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_addresses_are_not_copied(duplicate):
    with pytest.raises(ValueError, match="pointers cannot be pickled"):
        duplicate(fk.CNetwork(smooth_network(1, 1), 1))


@pytest.mark.skipif(not PLAIN, reason="about plain Python")
def test_plain_python_has_no_c_functions():
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT is set"):
        _ = fk.CNetwork(smooth_network(1, 1), 1).forward
