"""Kernels inside other people's compiled code: threads, caches, plain numbers as globals."""

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import fastmlp_kernels as fk
import numba
import numpy as np
import pytest
from fastmlp_kernels.jit import cached_njit
from numba import njit, prange
from numba.core.runtime import _nrt_python, rtsys

from tests import reference
from tests.kernels.cases import PLAIN, RandomNetwork

SOURCES = Path(fk.__file__).parent
JIT = pytest.mark.skipif(PLAIN, reason="about compiled code")


@cached_njit(nogil=True)
def all_of_it(outputs, gradients, gradient, network, space, x):
    """Forward, back to the inputs and to the parameters, for rows that belong together."""
    for s in range(len(x)):
        fk.forward_one(outputs[s], network, space, x[s])
    fk.vjp_rows(gradients, network, space, x, outputs)
    fk.gradient_rows(gradient, network, space, x, outputs, True)


@cached_njit(parallel=True, nogil=True)
def shared(outputs, gradients, partial, network, spaces, x):
    for part in prange(len(outputs)):
        space = fk.workspace_of(spaces, part)
        all_of_it(outputs[part], gradients[part], partial[part], network, space, x[part])


class Parts:
    """Work in parts, and memory for its results."""

    def __init__(self, guarded, parts=8):
        self.case = RandomNetwork(2, np.float32)
        self.x = self.case.random(parts, 20, self.case.sizes[0])
        self.results = [
            guarded(np.full((parts, *shape), np.nan, np.float32))
            for shape in ((20, self.case.sizes[-1]), self.x.shape[1:], self.case.built.weights.shape)
        ]
        self.spaces = guarded(fk.workspaces(self.case.built, 20, parts))

    def run(self, part):
        all_of_it(
            *(array[part] for array in self.results), self.case.built, fk.workspace_of(self.spaces, part), self.x[part]
        )

    def share(self):
        shared(*self.results, self.case.built, self.spaces, self.x)

    def bits(self):
        return [array.tobytes() for array in self.results]


def at_once(*functions):
    """Call functions without arguments, each in a Python thread of its own."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module")
def serial():
    parts = Parts(lambda arrays: arrays)
    for part in range(len(parts.x)):
        parts.run(part)
    assert not any(np.isnan(array).any() for array in parts.results)
    return parts.bits()


def test_parts_run_by_prange_have_the_same_bits(guarded, serial):
    parts = Parts(guarded)
    parts.share()
    assert parts.bits() == serial
    assert PLAIN or numba.config.THREADING_LAYER in ("default", numba.threading_layer())


def test_parts_run_by_threads_at_once_have_the_same_bits(guarded, serial):
    parts = Parts(guarded)

    def run(which):
        for _ in range(1 if PLAIN else 50):
            for part in which:
                parts.run(part)

    at_once(lambda: run([0, 2, 4, 6]), lambda: run([1, 3, 5, 7]))
    assert parts.bits() == serial


@JIT
def test_parallel_regions_entered_by_threads_at_once_have_the_same_bits(guarded, serial):
    first, second = Parts(guarded), Parts(guarded)
    first.share()
    if numba.threading_layer() == "workqueue":
        pytest.skip("Numba's own threads take one region at a time")
    at_once(*(lambda parts=parts: [parts.share() for _ in range(50)] for parts in (first, second)))
    assert first.bits() == second.bits() == serial


@njit
def trained(weights, biases, codes, x, y, loss, kind, steps):
    """A training, all of it compiled."""
    network = fk.network(weights, biases, codes)
    space, gradient = fk.workspace(network, len(x)), fk.packed_gradient(network)
    state, optimizer = fk.optimizer_state(network, kind), fk.optimizer(kind, learning_rate=0.01)
    total = 0.0
    for _ in range(steps):
        total = fk.loss_gradient_rows(gradient, network, space, x, y, loss, True)
        fk.update_network(network, state, gradient, optimizer, 1 / len(x))
    params = np.empty(fk.parameter_count(network), network.weights.dtype)
    fk.unpack(params, network, network.weights)
    return total, params


def test_networks_can_be_made_and_trained_inside():
    rng, names = np.random.default_rng(0), ("tanh", "sigmoid")
    x = rng.uniform(-1, 1, (40, 2))
    y = (x[:, :1] * x[:, 1:] > 0).astype(float)
    weights, biases = (rng.normal(size=(2, 5)), rng.normal(size=(5, 1))), (np.zeros(5), np.zeros(1))
    codes = tuple(fk.activation_code(name, float) for name in names)
    loss = fk.loss("binary_cross_entropy", "sigmoid", float)
    first, _ = trained(weights, biases, codes, x, y, loss, fk.ADAM, 1)
    last, params = trained(weights, biases, codes, x, y, loss, fk.ADAM, 20)
    assert last < first
    again = getattr(trained, "py_func", trained)(weights, biases, names, x, y, loss, fk.ADAM, 20)[1]
    np.testing.assert_array_equal(params, again)


def everything(guarded, case):
    """(function, arguments) of all that must not allocate."""
    built, x, rows = guarded(case.built), guarded(case.x), len(case.x)
    outputs = guarded(case.random(rows, case.sizes[-1]))
    seconds = guarded(case.random(rows, case.sizes[-1], case.sizes[0]))
    gradient, params = guarded(fk.packed_gradient(built)), np.zeros(fk.parameter_count(built), case.dtype)
    space, taylor = guarded(fk.workspace(built, 30)), guarded(fk.taylor_workspace(built, 30))
    state = guarded(fk.optimizer_state(built, fk.ADAM))
    loss = fk.loss("squared_error", case.network.activations[-1], case.dtype)
    optimizer = fk.optimizer(fk.ADAM, clip_norm=1)
    return {
        "forward_one": (outputs[0], built, space, x[0]),
        "forward_rows": (outputs, built, space, x),
        "vjp_rows": (guarded(x), built, space, x, outputs),
        "jvp_rows": (outputs, guarded(outputs), built, space, x, x),
        "jacobian_one": (seconds[0], built, space, x[0]),
        "gradient_rows": (gradient, built, space, x, outputs, True),
        "loss_gradient_rows": (gradient, built, space, x, outputs, loss, True),
        "taylor_rows": (outputs, seconds, guarded(seconds), built, taylor, x),
        "taylor_gradient_rows": (gradient, built, taylor, x, outputs, seconds, seconds, True),
        "update_network": (built, state, gradient, optimizer, 1.0),
        "pack": (built, params),
    }


@JIT
@pytest.mark.parametrize("name", everything(lambda arrays: arrays, RandomNetwork(2, np.float32)))
def test_nothing_is_allocated(guarded, name):
    function, arguments = getattr(fk, name), everything(guarded, RandomNetwork(2, np.float32))[name]

    @njit
    def run(calls, *arguments):
        for _ in range(calls):
            function(*arguments)

    made = []
    _nrt_python.memsys_enable_stats()
    try:
        for calls in (1, 1, 100):  # the first compiles; all hand arrays over from Python
            before = rtsys.get_allocation_stats()
            run(calls, *arguments)
            made.append([now - then for now, then in zip(rtsys.get_allocation_stats(), before, strict=True)])
    finally:
        _nrt_python.memsys_disable_stats()
    assert made[1] == made[2]


@JIT
def test_another_shape_compiles_nothing(guarded):
    counts = []
    for seed in (2, 5, 8):
        calls = everything(guarded, RandomNetwork(seed, np.float32))
        for name, arguments in calls.items():
            getattr(fk, name)(*arguments)
        counts.append([len(getattr(fk, name).signatures) for name in calls])
    assert counts[0] == counts[1] == counts[2]


def test_public_names_exist_and_are_documented():
    for name in fk.__all__:
        assert name.isupper() or getattr(fk, name).__doc__, name


SCRIPT = """
    import sys

    import numpy as np
    import fastmlp_kernels as fk
    from fastmlp_kernels.jit import cached_njit
    from numba import njit

    TANH = fk.activation_code("tanh", np.float64)  # a constant to the compiled code, kept on disk

    @njit(cache=True)
    def forward(outputs, network, space, x):
        fk.forward_one(outputs, network, space, x)

    @cached_njit()
    def made_inside(weights, x):
        network = fk.network(weights, None, (TANH,))
        outputs = np.empty(1)
        fk.forward_one(outputs, network, fk.workspace(network, 1), x)
        return outputs[0]

    weights, x, outputs = (np.full((1, 1), 0.5),), np.ones(1), np.empty(1)
    if sys.argv[1] == "inside":
        print(made_inside(weights, x), sum(made_inside.stats.cache_hits.values()))
    else:
        network = fk.network(weights, None, ["tanh"])
        forward(outputs, network, fk.workspace(network, 1), x)
        print(outputs[0], sum(forward.stats.cache_hits.values()))
"""


def in_a_process(root, where):
    """What SCRIPT prints: (result of a network made outside or inside compiled code, cache hits)."""
    variables = {**os.environ, "PYTHONPATH": str(root), "FASTMLP_CACHE_DIR": str(root / "kernels")}
    script = root / "script.py"
    if not script.exists():
        script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run([sys.executable, script, where], env=variables, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result, hits = done.stdout.split()
    return float(result), int(hits)


@JIT
def test_users_caches_last_from_process_to_process_and_notice_edited_kernels(tmp_path):
    shutil.copytree(SOURCES, tmp_path / SOURCES.name, ignore=shutil.ignore_patterns("__pycache__"))
    value = pytest.approx(np.tanh(0.5))
    for hits in (0, 1):
        assert in_a_process(tmp_path, "inside") == (value, hits), "an address of another process was kept"
        assert in_a_process(tmp_path, "outside") == (value, hits)
    source = tmp_path / SOURCES.name / "embed/one_sample.py"
    edited = source.read_text().replace("outputs[k] = activations[start + k]", "outputs[k] = 7")
    assert edited != source.read_text()
    source.write_text(edited)
    assert in_a_process(tmp_path, "outside") == (7, 0), "stale machine code"
    assert in_a_process(tmp_path, "outside") == (7, 1)


@JIT
def test_drivers_may_be_called_from_compiled_code(guarded):
    case = RandomNetwork(2, np.float32)
    rows = len(case.x)
    outputs, found = (guarded((rows, case.sizes[-1]), np.float32) for _ in range(2))
    fk.forward_rows(outputs, case.built, guarded(fk.workspace(case.built, rows)), case.x)
    threads = numba.get_num_threads()
    activations, block = fk.prediction_scratch(case.built, rows, threads)
    activations = guarded(activations)

    @njit
    def run(found, network, activations, x, order, block, tickets):
        fk.predict(found, network, activations, x, order, block, tickets)

    run(found, case.built, activations, case.x, np.empty(0, np.int64), block, guarded(np.zeros(2, np.int64)))
    np.testing.assert_array_equal(found, outputs)


@cached_njit()
def two_epochs(network, space, x, y, loss, threads):
    """(training losses by all threads, by the caller's alone, loss after it by all threads, by the caller's alone)."""
    data, progress, optimizer = fk.data(network, x, y), fk.progress(network), fk.optimizer(fk.SGD, learning_rate=0.1)
    state, losses = fk.optimizer_state(network, fk.SGD), np.empty(4)
    fk.train(network, space, data, loss, optimizer, state, progress, len(x), 0, 1, threads)
    losses[0] = progress.loss[0]
    fk.train_serial(network, space, data, loss, optimizer, state, progress, len(x), 0, 1, threads)
    losses[1] = progress.loss[0] - losses[0]
    losses[2] = fk.evaluate(network, space, data, loss, threads)
    losses[3] = fk.evaluate_serial(network, space, data, loss, threads)
    return losses


def test_drivers_train_and_evaluate_inside_compiled_code(guarded):
    case, threads = RandomNetwork(3, np.float32, ["tanh"], "softmax"), numba.get_num_threads()
    y = np.eye(case.sizes[-1], dtype=np.float32)[case.rng.integers(0, case.sizes[-1], len(case.x))]
    loss = fk.loss("cross_entropy", "softmax", np.float32)
    expected = reference.losses(case.network, case.x.astype(float), y.astype(float), "cross_entropy").sum()
    space = guarded(fk.training_workspace(case.built, len(case.x), threads))
    trained, at_second, after, again = two_epochs(case.built, space, case.x, y, loss, threads)
    assert trained == pytest.approx(expected, rel=1e-5)
    assert trained > at_second > after == again
