"""Training and prediction from non-zeros alone, against the reference; and that results have the same bits."""

import numba
import numpy as np
import pytest
from fastmlp_kernels.drivers import plan, prediction, training
from fastmlp_kernels.drivers.prediction import prediction_scratch
from fastmlp_kernels.drivers.workspace import Blocks, workspace
from fastmlp_kernels.embed import make as construction
from fastmlp_kernels.layout import samples
from fastmlp_kernels.layout.samples import Data
from fastmlp_kernels.products import first_layer as inputs
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import (
    NO_LABELS,
    NO_ORDER,
    PLAIN,
    RUNS,
    assert_close,
    kernel_loss,
    kernel_network,
    random,
    width,
)
from tests.kernels.test_training import BATCH, SAMPLES, Case, call, check, check_gradient

INPUTS = 150  # more than a piece of the first layer's weights has
# Each is compiled, for a quarter of a minute; the parallel driver is the serial one, and one dtype shows that it works.
WAYS = pytest.mark.parametrize(
    ("dtype", "how"), [(np.float32, "serial"), (np.float64, "serial"), *[(np.float32, "parallel")] * (not PLAIN)]
)
CHUNKS = pytest.mark.parametrize("chunks", [False, True], ids=["all blocks", "some at a time"])


class SparseCase(Case):
    """A case whose inputs are mostly zero. Row 1 is empty, row 2 half full, column 3 empty, column 7 full.

    With `chunks` there are fewer slots than blocks.
    """

    def __init__(self, guarded, dtype=np.float32, chunks=False):
        self.guarded, self.dtype, self.name = guarded, dtype, "squared_error"
        self.sizes = [INPUTS, 3 if PLAIN else 5 * width(dtype) + 3, width(dtype) + 2]
        self.network = reference.random_network(self.sizes, ["tanh", "identity"], dtype)
        x, y = random((SAMPLES, INPUTS), dtype), random((SAMPLES, self.sizes[-1]), dtype, 1)
        x[random(x.shape, float, 2) < 1.5] = 0
        x[1], x[2, ::2], x[:, 3], x[:, 7] = 0, 1, 0, 1
        order = np.random.default_rng(3).permutation(SAMPLES)
        self.data = Data(rows_of(x), y, NO_LABELS, order, np.empty(0, dtype))
        self.x, self.y, self.weights = x[order].astype(float), y[order].astype(float), np.ones(SAMPLES)
        self.built = guarded(inputs.network_for(kernel_network(self.network, dtype), self.data.x))
        self.loss = kernel_loss(self.network, self.name, dtype)
        nonzeros = plan.most_nonzeros(self.data.x, BATCH)
        space = training.training_workspace(self.built, BATCH, numba.get_num_threads(), SAMPLES, ROWS, nonzeros)
        slots = max(numba.get_num_threads(), 4) if chunks else len(space.blocks.activations)
        for array in (*space.blocks[:2], *space.scratch, space.gradients, space.nonzeros.values):
            array[:] = np.nan
        self.workspace = guarded(space._replace(blocks=Blocks(*(array[:slots] for array in space.blocks))))
        self.progress = guarded(construction.progress(self.built)._replace(means=np.zeros(2)))


def rows_of(x):
    """A dense matrix as `Rows`."""
    rows, columns = np.nonzero(x)
    indptr = np.searchsorted(rows, np.arange(len(x) + 1))
    return samples.SparseRows(indptr, columns.astype(np.int32), x[rows, columns])


@WAYS
@CHUNKS
@pytest.mark.parametrize("limit", [0.0, 0.01], ids=["", "clipped"])
def test_epochs_of_training_are_those_of_the_reference(guarded, dtype, how, chunks, limit):
    check(
        SparseCase(guarded, dtype, chunks), reference.Optimizer("adam", 0.1, l2=0.01, epsilon=0.1, clip_norm=limit), how
    )


@WAYS
@CHUNKS
def test_gradient_of_a_batch(guarded, dtype, how, chunks):
    check_gradient(SparseCase(guarded, dtype, chunks), how)


@pytest.mark.shapes
def test_gradient_with_any_tile(guarded):
    check_gradient(SparseCase(guarded), "serial")


def test_gradient_is_that_of_differences(guarded):
    case, step = SparseCase(guarded, np.float64), 1e-6
    batch = case.x[:BATCH], case.y[:BATCH]
    weights = case.network.weights[0]
    _, packed = case.gradient()
    size, total = width(float), [0.0, 0.0]
    direction = random(weights.shape, float, 9)
    for i, h in enumerate((step, -step)):
        moved = case.network._replace(weights=[weights + h * direction, *case.network.weights[1:]])
        total[i] = reference.losses(moved, *batch, case.name).sum()
    found = reference.from_panels(packed, size, INPUTS + 1, INPUTS + 1, weights.shape[1])[1:]
    np.testing.assert_allclose((found * direction).sum(), (total[0] - total[1]) / (2 * step), rtol=1e-6)


@pytest.mark.skipif(PLAIN, reason="there are no threads")
def test_updates_have_the_same_bits_however_they_are_made(guarded):
    """On one thread or all; of blocks all at once or not; from a gradient that is kept, to be clipped, or is not."""
    digests = set()
    for how in ("serial", "parallel"):
        for chunks in (False, True):
            for limit in (0.0, 1e6):
                case = SparseCase(guarded, chunks=chunks)
                case.train(reference.Optimizer("adam", clip_norm=limit), how, epochs=2)
                digests.add(case.digest())
    assert len(digests) == 1


@RUNS
def test_evaluation_sums_the_losses_of_all_samples(guarded, how):
    case = SparseCase(guarded)
    total = call("evaluate", how, case.built, case.workspace, case.data, case.loss)
    np.testing.assert_allclose(total, reference.losses(case.network, case.x, case.y, case.name).sum(), rtol=1e-5)


@WAYS
@pytest.mark.parametrize("value", [None, np.nan, -np.inf])
def test_predictions_are_those_of_the_reference_and_report_what_is_not_finite(guarded, dtype, how, value):
    case = SparseCase(guarded, dtype)
    if value is not None:
        case.data.x.values[-1] = value
    outputs, tickets = guarded((SAMPLES, case.sizes[-1]), dtype), guarded(np.zeros(2, np.int64))
    activations, block = prediction_scratch(case.built, SAMPLES, 3)
    activations = guarded(activations)
    run = prediction.predict if how == "parallel" else prediction.predict_serial
    run(outputs, case.built, activations, case.data.x, case.data.order, block, tickets)
    assert tickets[-1] == (value is not None)
    if value is None:
        limit = 4 * sum(case.sizes) * np.finfo(dtype).eps
        assert_close(outputs, reference.forward(case.network, case.x)[1][-1], limit)


def test_no_memory_is_taken_for_zeros():
    x, taken = rows_of(np.eye(3, 10, dtype=np.float32)), []
    for n in (10, 99):
        network = kernel_network(reference.random_network([n, 5, 1], ["tanh", "identity"]), np.float32)
        network = inputs.network_for(network, x)
        taken.append((prediction_scratch(network, 3, 1)[0].nbytes, workspace(network, 3, 1).blocks.activations.nbytes))
    assert taken[0] == taken[1]


def test_the_bound_for_the_non_zeros_of_a_block_holds_for_the_longest_rows():
    x = rows_of(np.tri(5, 9, dtype=np.float32))  # of 1 to 5 non-zeros
    assert [samples.most_nonzeros_in(x, rows) for rows in (1, 2, 5, 8)] == [5, 9, 15, 15]
    assert samples.most_nonzeros_in(x, 2) <= plan.most_nonzeros(x, 2) <= 2 * 15


def test_the_bound_for_the_non_zeros_of_a_block_holds_for_blocks_of_a_given_size():
    x = rows_of(np.ones((1000, 1), np.float32))
    assert plan.most_nonzeros(x, 1000) < 900 <= plan.most_nonzeros(x, 1000, block_rows=900)


def test_samples_come_in_order_without_one(guarded):
    ordered, sorted_ = SparseCase(guarded), SparseCase(guarded)
    sorted_.data = sorted_.data._replace(
        x=rows_of(ordered.x.astype(np.float32)), y=ordered.y.astype(np.float32), order=NO_ORDER
    )
    for case in (ordered, sorted_):
        case.train(reference.Optimizer("sgd"))
    assert ordered.digest() == sorted_.digest()
