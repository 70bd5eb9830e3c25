"""Whole training steps against the reference, and the promises made about them: bits, memory, divergence."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from fastmlp_kernels.drivers import evaluation, training
from fastmlp_kernels.drivers.workspace import Blocks, Scratch
from fastmlp_kernels.functions import updates
from fastmlp_kernels.layout import samples as inputs
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import (
    DTYPES,
    NO_LABELS,
    NO_ORDER,
    PLAIN,
    RUNS,
    kernel_loss,
    kernel_network,
    parameters,
    random,
    width,
)
from tests.kernels.test_updates import KINDS, kernel_optimizer, kernel_state

# Where gradients are made: activations of all blocks (None) or of some at a time (0) are kept, or so many groups of
# blocks have a partial gradient each.
MODES = pytest.mark.parametrize("groups", [None, 0, 3] if PLAIN else [None, 0, 1, 3, 4])
HIDDEN = ["softsign"] * 3 if PLAIN else ["tanh", "sigmoid", "tanh"]  # an exponential takes long in plain Python
FINAL = {"squared_error": "identity", "cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}
LOSSES = pytest.mark.parametrize("loss", FINAL)
BATCH, SAMPLES = 5 * ROWS + 1, 8 * ROWS  # six blocks to a batch, the last of one row; the second batch is short


def call(name, how, *arguments):
    """Call a driver, on all threads or on the caller's alone."""
    arguments += (numba.get_num_threads(),)
    driver = getattr(evaluation if name == "evaluate" else training, name if how == "parallel" else f"{name}_serial")
    return driver(*arguments)


class Case:
    """A network, samples in an order, and scratch memory full of NaN for blocks of one tile.

    `network` is the reference's, `built` the packed one; `x` and `y` are the samples in the order they are taken.
    All that the drivers write is between guard words.
    """

    def __init__(
        self,
        guarded,
        dtype=np.float32,
        loss="squared_error",
        groups=None,
        bias=True,
        order=True,
        labels=False,
        samples=SAMPLES,
        weighted=False,
    ):
        self.guarded, self.dtype, self.name = guarded, dtype, loss
        self.sizes = [width(dtype) + 1, 3 if PLAIN else 2 * width(dtype) + 3, 1, 5, width(dtype) + 2]
        self.network = reference.random_network(self.sizes, [*HIDDEN, FINAL[loss]], dtype, bias)
        self.built = guarded(kernel_network(self.network, dtype))
        self.loss = kernel_loss(self.network, loss, dtype)
        x, n_out = random((samples, self.sizes[0]), dtype), self.sizes[-1]
        classes = np.random.default_rng(2).integers(0, n_out, samples)
        y = random((samples, n_out), dtype, 1) if loss == "squared_error" else np.eye(n_out, dtype=dtype)[classes]
        taken = np.random.default_rng(3).permutation(samples) if order else np.arange(samples)
        given = (y[:0], classes) if labels else (y, NO_LABELS)
        weights = abs(random(samples, dtype, 4)) if weighted else np.ones(samples, dtype)
        self.data = inputs.Data(x, *given, taken if order else NO_ORDER, weights if weighted else weights[:0])
        self.x, self.y, self.weights = (array[taken].astype(float) for array in (x, y, weights))
        self.workspace = self.scratch(groups)
        self.progress = guarded(
            training.Progress(np.zeros(1), np.zeros(len(self.sizes) - 1), np.zeros(1, np.int64), np.zeros(2))
        )

    def scratch(self, groups):
        threads = numba.get_num_threads()
        space = training.training_workspace(self.built, BATCH, threads, len(self.x), block_rows=ROWS)
        blocks, size = len(space.sums.losses), self.built.weights.size
        slots = max(threads, {None: blocks, 0: 4}.get(groups, 0))
        numbers = (np.full((slots, array.shape[1]), np.nan, self.dtype) for array in space.blocks[:2])
        nan = Blocks(*numbers, *(np.empty((slots, 0), array.dtype) for array in space.blocks[2:]))
        scratch = Scratch(*(np.full(array.shape, np.nan, self.dtype) for array in space.scratch))
        gradients = np.full((groups or 1, size), np.nan, self.dtype)
        return self.guarded(space._replace(keep=not groups, gradients=gradients, blocks=nan, scratch=scratch))

    def batches(self, count):
        starts = [i * BATCH % padded_samples(len(self.x)) for i in range(count)]
        return [tuple(array[s : s + BATCH] for array in (self.x, self.y, self.weights)) for s in starts]

    def train(self, optimizer, how="serial", epochs=1, state=None):
        """Train for whole epochs; returns the state."""
        state = state or self.guarded(kernel_state(optimizer.kind, self.built.weights.shape, self.dtype))
        arguments = self.built, self.workspace, self.data, self.loss, kernel_optimizer(optimizer), state, self.progress
        for _ in range(epochs):
            call("train", how, *arguments, BATCH, 0, -(-len(self.x) // BATCH))
        return state

    def gradient(self, how="serial", batch=0):
        """(whether it is finite, the packed gradient of the summed loss of a batch)."""
        state = kernel_state("none", (0,), self.dtype)
        arguments = self.built, self.workspace, self.data, self.loss, updates.NO_UPDATE, state, self.progress
        call("train", how, *arguments, BATCH, batch, batch + 1)
        return self.progress.diverged[0] == 0, self.workspace.gradients[0]

    def digest(self):
        """A fingerprint of the weights' bits."""
        return hashlib.sha256(self.built.weights.tobytes()).hexdigest()


def padded_samples(samples):
    return -(-samples // BATCH) * BATCH


def tolerance(case, steps):
    """The rounding error that `steps` steps may make, for numbers of order one.

    A step sums over the batch and over the widest layer, in the first layer's gradient after every other layer; the
    errors of the terms add up like a random walk at worst proportionally to depth, so one epsilon for each term of the
    longest chain of sums bounds them.
    """
    return steps * (BATCH + 2 * sum(case.sizes)) * np.finfo(case.dtype).eps


def check(case, optimizer, how="serial", epochs=2):
    """Train both, and compare parameters and losses."""
    case.train(optimizer, how, epochs)
    steps = epochs * -(-len(case.x) // BATCH)
    means = []
    losses = reference.train(case.network, case.batches(steps), case.name, optimizer, means)
    limit = tolerance(case, steps)
    weights, biases = parameters(case.built)
    for found, expected in zip(weights + biases, case.network.weights + case.network.biases, strict=True):
        np.testing.assert_allclose(found, expected, rtol=limit, atol=limit)
    np.testing.assert_allclose(case.progress.loss[0], sum(losses), rtol=limit)
    np.testing.assert_allclose(case.progress.means, np.sum(means, axis=0), rtol=limit)
    assert case.progress.diverged[0] == 0


@DTYPES
@RUNS
@MODES
@LOSSES
def test_epochs_of_training_are_those_of_the_reference(guarded, dtype, how, groups, loss):
    check(Case(guarded, dtype, loss, groups), reference.Optimizer("momentum", learning_rate=0.3, momentum=0.5), how)


@DTYPES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mean", "bias"),
    [(True, "learnt"), (True, "frozen"), (False, "absent")],
    ids=["mean", "mean-frozen", "sum-no bias"],
)
def test_every_optimizer(guarded, dtype, kind, mean, bias):
    rate = 0.1 if mean or kind.startswith("adam") else 0.1 / BATCH
    optimizer = reference.Optimizer(
        kind, rate, l2=0.01, weight_decay=0.01, epsilon=0.1, mean=mean, update_biases=bias == "learnt"
    )
    check(Case(guarded, dtype, bias=bias != "absent"), optimizer)


@pytest.mark.parametrize("bias", [True, False], ids=["frozen", "absent"])
def test_biases_that_do_not_learn_keep_their_bits(guarded, bias):
    case, rows = Case(guarded, bias=bias), []
    for epochs in (0, 3):
        case.train(reference.Optimizer("adamw", 0.5, l2=0.1, weight_decay=0.1, update_biases=not bias), epochs=epochs)
        rows.append([case.built.weights[layer.weights :][: width(case.dtype)].copy() for layer in case.built.layers])
    np.testing.assert_array_equal(*rows)
    assert np.any(rows) == bias


@DTYPES
@RUNS
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("groups", [None, 0, 3], ids=["keep", "keep some", "groups"])
@pytest.mark.parametrize("limit", [0.01, 1e6], ids=["clipped", "not clipped"])
def test_gradients_are_clipped_by_their_norm(guarded, dtype, how, bias, groups, limit):
    check(
        Case(guarded, dtype, groups=groups, bias=bias), reference.Optimizer("sgd", 0.5, l2=0.01, clip_norm=limit), how
    )


def check_gradient(case, how):
    """Compare the gradient, error signals and loss of the second batch, which is short."""
    finite, gradient = case.gradient(how, 1)
    assert finite
    batch, weights = (case.x[BATCH:], case.y[BATCH:]), case.weights[BATCH:]
    deltas, matrices, biases = reference.backpropagate(case.network, *batch, case.name, weights)
    limit = tolerance(case, 1) * max(abs(m).max() for m in matrices + biases)
    found = parameters(case.built, gradient)
    for f, expected in zip(found[0] + found[1], matrices + biases, strict=True):
        np.testing.assert_allclose(f, expected, rtol=0, atol=limit)
    squares = [(delta**2).sum() for delta in deltas]
    np.testing.assert_allclose(case.progress.squares, squares, rtol=2 * tolerance(case, 1))
    loss = (reference.losses(case.network, *batch, case.name) * weights).sum()
    np.testing.assert_allclose(case.progress.loss[0], loss, rtol=tolerance(case, 1))


@DTYPES
@RUNS
@MODES
@LOSSES
def test_gradient_of_a_batch(guarded, dtype, how, groups, loss):
    check_gradient(Case(guarded, dtype, loss, groups), how)


@pytest.mark.shapes
@MODES
def test_gradient_with_any_tile(guarded, groups):
    check_gradient(Case(guarded, np.float32, "cross_entropy", groups), "serial")


@DTYPES
@RUNS
@MODES
def test_weighted_samples_count_as_often_as_they_weigh(guarded, dtype, how, groups):
    check_gradient(Case(guarded, dtype, groups=groups, weighted=True), how)


@RUNS
@MODES
@pytest.mark.parametrize("limit", [0.0, 0.01], ids=["not clipped", "clipped"])
def test_means_and_an_averaged_penalty_are_over_the_weights_of_each_batch(guarded, how, groups, limit):
    optimizer = reference.Optimizer("sgd", 0.3, l2=3.0, clip_norm=limit, average_l2=True)
    check(Case(guarded, groups=groups, weighted=True), optimizer, how)


def test_a_batch_without_weight_makes_no_step(guarded):
    case = Case(guarded, weighted=True, order=False)
    before = case.built.weights.copy()
    case.data.weights[:] = 0
    case.train(reference.Optimizer("sgd", l2=0.1, average_l2=True))
    assert case.progress.diverged[0] == 0
    np.testing.assert_array_equal(case.built.weights, before)


@DTYPES
@RUNS
@LOSSES
@pytest.mark.parametrize("samples", [1, ROWS, SAMPLES])
def test_evaluation_sums_the_losses_of_all_samples(guarded, dtype, how, loss, samples):
    case = Case(guarded, dtype, loss, samples=samples, weighted=samples == SAMPLES)
    total = call("evaluate", how, case.built, case.workspace, case.data, case.loss)
    expected = (reference.losses(case.network, case.x, case.y, loss) * case.weights).sum()
    np.testing.assert_allclose(total, expected, rtol=tolerance(case, 1))


@RUNS
@MODES
def test_labels_train_like_one_hot_targets(guarded, how, groups):
    digests = set()
    for labels in (True, False):
        case = Case(guarded, loss="cross_entropy", groups=groups, labels=labels)
        case.train(reference.Optimizer("adam"), how)
        digests.add(case.digest())
    assert len(digests) == 1


def test_an_order_is_the_same_as_samples_in_that_order(guarded):
    ordered, sorted_ = Case(guarded), Case(guarded)
    sorted_.data = inputs.Data(
        ordered.x.astype(np.float32), ordered.y.astype(np.float32), NO_LABELS, NO_ORDER, ordered.data.weights
    )
    for case in (ordered, sorted_):
        case.train(reference.Optimizer("sgd"))
    assert ordered.digest() == sorted_.digest()


def test_training_can_be_interrupted_between_batches(guarded):
    whole, parts = Case(guarded, samples=3 * BATCH), Case(guarded, samples=3 * BATCH)
    optimizer = reference.Optimizer("adam")
    whole.train(optimizer)
    state = kernel_state("adam", parts.built.weights.shape, parts.dtype)
    arguments = parts.built, parts.workspace, parts.data, parts.loss, kernel_optimizer(optimizer), state, parts.progress
    call("train", "serial", *arguments, BATCH, 0, 1)
    call("train", "serial", *arguments, BATCH, 1, 3)
    assert parts.digest() == whole.digest()
    assert parts.progress.loss[0] == pytest.approx(whole.progress.loss[0], rel=1e-15)


@MODES
def test_the_transposed_weights_follow_the_weights(guarded, groups):
    case = Case(guarded, groups=groups)
    case.train(reference.Optimizer("nesterov"))
    weights, _ = parameters(case.built)
    for layer, matrix in list(zip(case.built.layers, weights, strict=True))[1:]:
        packed = case.built.transposed[layer.transposed :]
        found = reference.from_panels(packed, width(case.dtype), layer.n_out, layer.n_out, layer.n_in)
        np.testing.assert_array_equal(found, matrix.T)


@MODES
def test_padded_weights_stay_zero(guarded, groups):
    case = Case(guarded, groups=groups)
    case.train(reference.Optimizer("adamw", l2=0.1, weight_decay=0.1), epochs=2)
    size = width(case.dtype)
    for layer, matrix in zip(case.built.layers, parameters(case.built)[0], strict=True):
        count = -(-layer.n_out // size) * (layer.n_in + 1) * size
        packed = case.built.weights[layer.weights :][:count].reshape(-1, layer.n_in + 1, size)
        np.testing.assert_array_equal(packed[-1, :, (layer.n_out - 1) % size + 1 :], 0)
        assert np.count_nonzero(packed) <= matrix.size + layer.n_out


# Divergence


@RUNS
@MODES
def test_training_stops_where_values_are_not_finite(guarded, how, groups):
    case = Case(guarded, groups=groups)
    case.data.x[case.data.order[BATCH + 1], 0] = np.nan  # in the second batch
    state = kernel_state("sgd", case.built.weights.shape, case.dtype)
    case.train(reference.Optimizer("sgd"), how, state=state)
    once = Case(guarded, groups=groups, samples=SAMPLES)
    once.data = once.data._replace(order=once.data.order[:BATCH].copy())
    once.x = once.x[:BATCH]
    once.train(reference.Optimizer("sgd"), how)
    assert case.progress.diverged[0] == 1, "the first layer is the first that is not finite"
    assert state.steps[0] == 1
    assert case.digest() == once.digest(), "the weights are those before the batch that diverged"


@RUNS
@MODES
@pytest.mark.parametrize("l", [1, 2, 3, 4])
def test_the_first_layer_that_is_not_finite_is_named(guarded, how, groups, l):
    case = Case(guarded, groups=groups)
    layer = case.built.layers[l - 1]
    case.built.weights[layer.weights] = np.nan  # the bias of its first unit
    finite, _ = case.gradient(how)
    assert not finite
    assert case.progress.diverged[0] == l
    assert case.progress.loss[0] == 0
    np.testing.assert_array_equal(case.progress.squares, 0)


@RUNS
def test_an_overflow_on_the_way_back_is_named_too(guarded, how):
    """A finite loss with an infinite error signal: its squares tell."""
    case = Case(guarded, np.float32)
    third = case.built.layers[2]
    start, stop = third.transposed, case.built.layers[3].transposed
    case.built.transposed[start:stop] = np.finfo(np.float32).max
    finite, _ = case.gradient(how)
    assert not finite
    assert case.progress.diverged[0] == 2


# Bits


@pytest.mark.skipif(PLAIN, reason="there are no threads")
@LOSSES
@MODES
@DTYPES
def test_serial_and_parallel_give_the_same_bits(guarded, loss, groups, dtype):
    digests, progress = set(), set()
    for how in ("serial", "parallel"):
        case = Case(guarded, dtype, loss, groups, weighted=True)
        case.train(reference.Optimizer("adam", clip_norm=0.1), how, epochs=3)
        digests.add(case.digest())
        progress.add((case.progress.loss[0], *case.progress.squares))
    assert len(digests) == 1
    assert len(progress) == 1


BITS = """
import numba
from tests import reference
from tests.kernels.test_training import Case, call
for threads in (1, 2, 3, 4):
    numba.set_num_threads(threads)
    for groups in (None, 0, 3):
        case = Case(lambda arrays: arrays, groups=groups, weighted=True)
        case.train(reference.Optimizer("adam", clip_norm=0.1), "parallel", epochs=2)
        total = call("evaluate", "parallel", case.built, case.workspace, case.data, case.loss)
        print(threads, groups, case.digest(), total.hex(), case.progress.loss[0].hex())
"""


@pytest.mark.skipif(PLAIN, reason="there are no threads")
def test_any_number_of_threads_gives_the_same_bits():
    root, environment = Path(__file__).parents[2], {**os.environ, "NUMBA_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", BITS], env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 12
    for groups in ("None", "0", "3"):
        assert len({tuple(line[2:]) for line in lines if line[1] == groups}) == 1


# Memory


@pytest.mark.skipif(PLAIN, reason="NumPy allocates")
@RUNS
@MODES
def test_steps_allocate_nothing(guarded, how, groups):
    """Neither a call without a step, nor one step, nor twenty."""
    from numba.core.runtime import _nrt_python, rtsys

    case = Case(guarded, groups=groups, samples=20 * BATCH)
    optimizer = kernel_optimizer(reference.Optimizer("adam", clip_norm=1.0))
    state = kernel_state("adam", case.built.weights.shape, case.dtype)
    arguments = case.built, case.workspace, case.data, case.loss, optimizer, state, case.progress, BATCH, 0
    call("train", how, *arguments, 1)
    _nrt_python.memsys_enable_stats()
    try:
        allocations = []
        for batches in (0, 1, 20):
            before = rtsys.get_allocation_stats().alloc
            call("train", how, *arguments, batches)
            allocations.append(rtsys.get_allocation_stats().alloc - before)
    finally:
        _nrt_python.memsys_disable_stats()
    assert state.steps[0] == 22
    assert allocations == [0, 0, 0]


@pytest.mark.skipif(PLAIN, reason="nothing is compiled")
def test_only_prange_makes_regions_in_every_dtype(guarded):
    """Numba makes and fuses others unless told not to, and forgets that it was told from the second dtype on."""
    for dtype in (np.float32, np.float64):
        Case(guarded, dtype).gradient("parallel")
    assert len(training.train.signatures) >= 2
    assert not training.train.targetoptions["parallel"].fusion
