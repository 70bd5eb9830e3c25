"""Networks whose products have bfloat16 operands: forms of operands, and each product from the numbers that it read."""

import numpy as np
import pytest
from fastmlp_kernels.drivers import evaluation, plan, prediction, training
from fastmlp_kernels.drivers.prediction import prediction_scratch
from fastmlp_kernels.functions import updates
from fastmlp_kernels.functions.activation_table import activation_code
from fastmlp_kernels.layout import network as packed
from fastmlp_kernels.layout.samples import Data, SparseRows
from fastmlp_kernels.panelwise import losses
from fastmlp_kernels.products.first_layer import network_for
from fastmlp_kernels.products.operands import FEW_INPUTS, has_float_inputs, panel_rows_of
from fastmlp_kernels.tile.engines import engine_of

from tests import reference
from tests.kernels.cases import NO_LABELS, NO_ORDER, PLAIN, assert_close, parameters
from tests.kernels.test_bfloat16 import rounded, widened_bits

pytestmark = [
    pytest.mark.shapes,
    pytest.mark.skipif(engine_of("uint16") is None, reason="no engine for bfloat16 on this CPU"),
]
EPS = np.finfo(np.float32).eps
WIDTH = 32
# Sizes of layers and rows of a batch: about the 32 rows and columns of operands, and wide enough for several pieces.
CASES = [([1, 1], 1), ([31, 33, 2], 33), ([8, 16, 3], 7), ([33, 65, 32, 5], 100)]
CASES += [([15, 20, 2], 40), ([16, 20, 10], 128)]
CASES += [] if PLAIN else [([40, 300, 129, 64, 1], 333), ([64, 64, 64], 1), ([200, 1, 10], 160)]
CASES += [] if PLAIN else [([20, 290, 2080, 290, 2], 40)]  # long sums, begun for several panels at a time
ALL = pytest.mark.parametrize(("sizes", "rows"), CASES, ids=["-".join(map(str, s)) + f"@{r}" for s, r in CASES])


def bf16(numbers):
    """The nearest bfloat16 as float64."""
    return widened_bits(rounded(np.asarray(numbers, np.float32))).astype(float)


def few(sizes, l):
    """Whether layer `l`, counted from 0, is the first one of so few inputs that it multiplies float32 numbers."""
    return l == 0 and sizes[0] <= FEW_INPUTS


@pytest.mark.parametrize(("sizes", "expected"), [([40, 10, 20, 3], [False] * 3), ([15, 10, 3], [True, False])])
def test_with_sparse_inputs_the_second_layer_is_no_first_one(sizes, expected):
    codes = [activation_code("tanh", np.float32)] * len(expected)
    built = packed.build(sizes, np.float32, True, codes, mixed=True)
    inputs = SparseRows(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    for network in built, network_for(built, inputs):
        assert [has_float_inputs(layer) for layer in network.layers] == expected


def product(a, b, exact=False):
    """Product of operands, rounded unless `exact`, and bounds of the errors of sums in float32 in any order."""
    a, b = (a, b) if exact else (bf16(a), bf16(b))
    return a @ b, (a.shape[1] + 2) * EPS * (np.abs(a) @ np.abs(b))


class Mixed:
    """A network of tanh layers with its packed form, and a batch; buffers that drivers write are full of NaN."""

    def __init__(self, guarded, sizes, rows, bias=True, groups=None, block_rows=None):
        rng = np.random.default_rng(rows)
        self.sizes, self.rows = sizes, rows
        self.network = reference.random_network(sizes, ["tanh"] * (len(sizes) - 2) + ["identity"], np.float32, bias)
        codes = [activation_code(name, np.float32) for name in self.network.activations]
        self.built = guarded(packed.build(sizes, np.float32, bias, codes, mixed=True))
        packed.pack(self.built, reference.flatten(self.network.weights, self.network.biases).astype(np.float32))
        self.weights, self.biases = parameters(self.built)
        self.x, self.y = (rng.standard_normal((rows, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))
        self.data = Data(self.x, self.y, NO_LABELS, NO_ORDER, np.empty(0, np.float32))
        space = training.training_workspace(
            self.built, rows, 1, rows, block_rows
        )  # of one thread: guard words follow its memory
        for array in space.blocks:
            array[:] = 0x7FC0 if array.dtype == np.uint16 else np.nan
        space.scratch.partial_sums[:], space.gradients[:] = np.nan, np.nan
        self.workspace = guarded(space._replace(keep=True) if groups == 0 else space)
        self.loss = losses.loss("squared_error", "identity", np.float32)

    def gradient(self, threads=1):
        """The packed gradient of the summed loss."""
        numbers = np.empty(0, np.float32)
        state = updates.State(numbers, numbers, np.zeros(1, np.int64))
        sums = training.Progress(np.zeros(1), np.zeros(len(self.sizes) - 1), np.zeros(1, np.int64), np.zeros(2))
        arguments = self.built, self.workspace, self.data, self.loss, updates.NO_UPDATE, state, sums
        training.train_serial(*arguments, self.rows, 0, 1, threads)
        assert sums.diverged[0] == 0
        return self.workspace.gradients[0]

    def predictions(self, guarded):
        scratch, block_rows = prediction_scratch(self.built, self.rows, 1)
        scratch[:] = np.nan
        outputs, scratch = guarded(np.full((self.rows, self.sizes[-1]), np.nan, np.float32)), guarded(scratch)
        prediction.predict_serial(outputs, self.built, scratch, self.x, NO_ORDER, block_rows, np.zeros(2, np.int64))
        return outputs


def forward(case):
    """Activations of all layers as NumPy has them, and bounds of the errors that products of rounded numbers make.

    A sum that is off by little may be rounded to the other neighbor: then the next layer's operand is off by the
    distance of two bfloat16 numbers, 2^-7 of its size.
    """
    a, error = case.x.astype(float), np.zeros(case.x.shape)
    activations, errors = [a], [error]
    for l, w in enumerate(case.weights):
        operand_error = np.where(errors[-1] > 0, errors[-1] + 2.0**-7 * np.abs(activations[-1]), 0)
        z, bound = product(activations[-1], w, few(case.sizes, l))
        z = z + (case.biases[l] if case.biases else 0)
        bound = bound + operand_error @ np.abs(bf16(w)) + 4 * EPS * np.abs(z)
        last = l == len(case.weights) - 1
        activations.append(z if last else np.tanh(z))
        errors.append(bound if last else bound + 8 * EPS)
    return activations, errors


@ALL
def test_outputs_are_those_of_rounded_operands(guarded, sizes, rows):
    case = Mixed(guarded, sizes, rows)
    activations, errors = forward(case)
    assert_close(case.predictions(guarded), activations[-1], errors[-1])


def panels_of(case, array, first_panel, l):
    """Panels of layer `l` in memory of a block, the first of which is `first_panel`: (panels, room, WIDTH)."""
    room, count = panel_rows_of(case.built, case.workspace.block_rows), -(-case.sizes[l] // WIDTH)
    return array[first_panel * WIDTH * room : (first_panel + count) * WIDTH * room].reshape(count, room, WIDTH)


def matrix(case, array, first_panel, l):
    """Numbers of layer `l` in panels of a block, in float64."""
    rows = np.concatenate([*panels_of(case, array, first_panel, l)], axis=1)[: case.rows, : case.sizes[l]]
    return (widened_bits(rows) if rows.dtype == np.uint16 else rows).astype(float)


class Block:
    """What a batch of one block left in memory: operands as float64 matrices, and their forms as arrays of bits."""

    def __init__(self, case):
        memory, layers = case.workspace.blocks, case.built.layers
        assert len(memory.kept) == 1
        size, last = memory.activations[0].size, len(case.sizes) - 1
        left, kept = memory.left[0], memory.kept[0]
        self.units, self.pairs = kept[:size], kept[size:]
        self.panels = [0, *layers["outputs"]], [None, *layers["deltas"]]
        self.left_activations, self.left_deltas = left[:size], left[size:]
        self.activations = [case.x.astype(float)]
        self.activations += [matrix(case, left[:size], layers["outputs"][l - 1], l) for l in range(1, last)]
        self.activations += [matrix(case, memory.activations[0], layers["outputs"][-1], last)]
        self.signals = [None, *(matrix(case, left[size:], layers["deltas"][l - 1], l) for l in range(1, last))]
        self.signals += [matrix(case, memory.deltas[0], layers["deltas"][-1], last)]
        self.exact_signals = matrix(case, memory.deltas[0], layers["deltas"][0], 1)  # where the first layer needs them


HALF = 2.0**-8  # bound of the relative error of rounding to bfloat16


@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize(("sizes", "rows"), [([33, 65, 32, 5], 14), ([40, 70, 3], 10), ([3, 40, 2], 33), ([3, 2], 5)])
def test_every_product_is_that_of_the_operands_it_read(guarded, sizes, rows, bias):
    case = Mixed(guarded, sizes, rows, bias, block_rows=rows)  # one block: all it read and wrote is left
    weights, biases = parameters(case.built, case.gradient())
    left = Block(case)
    for l, w in enumerate(case.weights):
        a, last = left.activations[l], l == len(case.weights) - 1
        z, bound = product(a, w, few(sizes, l))
        z += case.biases[l] if bias else 0
        value, slope = (z, 0 * z) if last else (np.tanh(z), 1 - np.tanh(z) ** 2)
        bound += 8 * EPS * (1 + np.abs(z))
        assert_close(left.activations[l + 1], value, bound if last else bound + HALF * np.abs(value))
        signals = left.exact_signals if few(sizes, l) else left.signals[l + 1]
        expected, error = product(a.T, signals, few(sizes, l))
        assert_close(weights[l], expected, error)
        if bias:  # their gradient is summed up before signals are rounded
            assert_close(biases[l], signals.sum(0), (HALF + rows * EPS) * np.abs(signals).sum(0))
        if not last:
            sums, error = product(left.signals[l + 2], case.weights[l + 1].T)
            error += (2 * bound + 8 * EPS) * np.abs(sums)
            assert_close(left.signals[l + 1], sums * slope, error + HALF * np.abs(sums * slope))
    np.testing.assert_array_equal(left.signals[-1], (left.activations[-1].astype(np.float32) - case.y).astype(float))


@pytest.mark.parametrize(("sizes", "rows"), [([33, 65, 32, 5], 14), ([40, 70, 3], 100), ([16, 3], 33)])
def test_what_gradients_read_is_what_passes_read_in_another_order(guarded, sizes, rows):
    """Units are the transpose of the left operand, pairs have two of its rows side by side; padding is zero."""
    case = Mixed(guarded, sizes, rows, block_rows=rows)
    case.gradient()
    left, whole = Block(case), -(-rows // WIDTH) * WIDTH
    for l in range(len(sizes)):
        outputs, deltas = (panels[l] for panels in left.panels)
        if l < len(sizes) - 1:
            rows_of = panels_of(case, left.left_activations, outputs, l)[:, :whole]
            squares = panels_of(case, left.units, outputs, l)[:, :whole].reshape(len(rows_of), -1, WIDTH, WIDTH)
            np.testing.assert_array_equal(squares.swapaxes(2, 3).reshape(rows_of.shape), rows_of)
            assert not rows_of[:, rows:].any()
            assert not rows_of[-1][:, (sizes[l] - 1) % WIDTH + 1 :].any()
        if l:
            rows_of = panels_of(case, left.left_deltas, deltas, l)[:, :whole]
            pairs = panels_of(case, left.pairs, deltas, l)[:, :whole].reshape(len(rows_of), -1, WIDTH, 2)
            np.testing.assert_array_equal(pairs.swapaxes(2, 3).reshape(rows_of.shape), rows_of)
            assert not rows_of[:, rows:].any()
            assert not rows_of[-1][:, (sizes[l] - 1) % WIDTH + 1 :].any()


@ALL
def test_gradients_agree_with_those_of_rounded_operands(guarded, sizes, rows):
    """Blocks, groups, pieces and partial tiles: relative to the norm, since a few operands are rounded otherwise."""
    for groups in (None, 0):
        case = Mixed(guarded, sizes, rows, groups=groups)
        weights, biases = parameters(case.built, case.gradient())
        a, _ = forward(case)
        signals = a[-1] - case.y
        for l in reversed(range(len(case.weights))):
            expected, _ = product(a[l].T, signals, few(sizes, l))
            assert np.linalg.norm(weights[l] - expected) <= 3e-3 * np.linalg.norm(expected)
            assert np.linalg.norm(biases[l] - signals.sum(0)) <= 3e-3 * (np.linalg.norm(signals.sum(0)) + 1)
            if l:
                signals = (bf16(signals) @ bf16(case.weights[l]).T) * (1 - a[l] ** 2)


@pytest.mark.parametrize("sizes", [[33, 65, 32, 5], [8, 40, 3]], ids=["wide", "few inputs"])
def test_gradients_have_the_same_bits_however_many_blocks_are_kept(guarded, sizes, monkeypatch):
    gradients = []
    limits = plan.MIXED._replace(kept_bytes=0, kept_gradients=0)  # as many slots as threads
    monkeypatch.setattr(plan, "limits_of", lambda mixed: limits)
    for slots in (1, 2, 5):
        case = Mixed(guarded, sizes, 130, block_rows=32)
        space = training.training_workspace(case.built, 130, slots, 130, 32)
        assert len(space.blocks.kept) == slots
        case.workspace = guarded(space._replace(keep=True))
        gradients.append(case.gradient().copy())
    assert np.isfinite(gradients[0]).all()
    for other in gradients[1:]:
        np.testing.assert_array_equal(other, gradients[0])


@ALL
def test_evaluations_are_those_of_the_outputs(guarded, sizes, rows):
    case = Mixed(guarded, sizes, rows)
    outputs = case.predictions(guarded).astype(float)
    found = evaluation.evaluate_serial(case.built, case.workspace, case.data, case.loss, 1)
    expected = ((outputs - case.y) ** 2).sum() / 2
    assert abs(found - expected) <= 1e-5 * expected


def test_weights_that_change_change_all_their_forms(guarded):
    """Packing new parameters leaves the forms that a new network has."""
    first, second = (Mixed(guarded, [33, 65, 5], 4, bias) for bias in (True, True))
    flat = np.random.default_rng(1).standard_normal(packed.parameter_count(first.built)).astype(np.float32)
    for case in (first, second):
        packed.pack(case.built, flat if case is first else 2 * flat)
    packed.pack(second.built, flat)
    for ours, theirs in zip(first.built[1:], second.built[1:], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    operand = first.built.operand.reshape(-1, 2).astype(np.uint32)
    assert operand.any()


def test_forms_of_weights_are_the_weights_rounded(guarded):
    case = Mixed(guarded, [33, 65, 5], 4)
    for l, (w, layer) in enumerate(zip(case.weights, case.built.layers, strict=True)):
        for array, start, matrix in (
            (case.built.operand, layer["operand"], w),
            *([(case.built.transposed, layer["transposed"], w.T)] if l else []),
        ):
            rows, columns = (-(-n // WIDTH) * WIDTH for n in matrix.shape)
            panels = array[start : start + rows * columns].reshape(columns // WIDTH, rows // 2, WIDTH, 2)
            found = panels.transpose(1, 3, 0, 2).reshape(rows, columns)
            expected = np.zeros((rows, columns), np.uint16)
            expected[: len(matrix), : matrix.shape[1]] = rounded(matrix.astype(np.float32))
            np.testing.assert_array_equal(found, expected)
