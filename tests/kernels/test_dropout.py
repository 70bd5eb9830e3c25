"""Dropout: its random numbers, its masks, and training through them."""

import numba
import numpy as np
import pytest
from fastmlp_kernels.embed import make as construction
from fastmlp_kernels.functions import updates
from fastmlp_kernels.layout.network import set_dropout
from fastmlp_kernels.panelwise import dropout
from fastmlp_kernels.tile.operations import store, width

from tests import reference
from tests.kernels.cases import DTYPES, PLAIN, RUNS, parameters
from tests.kernels.cases import width as columns
from tests.kernels.test_training import BATCH, MODES, Case, call

RATES, SEED = [0.5, 0.0, 0.3], 2**31 + 5
# Counter, key and random numbers, from kat_vectors of the authors' Random123 library.
KNOWN = [
    ((0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
]


def words(*numbers):
    return [np.atleast_1d(np.asarray(number)).astype(np.uint32) for number in numbers]


def threefry(key, counter):
    return dropout.threefry(
        words(*key), words(*counter), np.uint32, lambda x, bits: x << np.uint32(bits) | x >> np.uint32(32 - bits)
    )


def expected_mask(rate, seed, update, rows, units):
    """0 where a unit is dropped, else 1 / (1 - rate), for arrays of row and unit numbers."""
    rows, units = np.broadcast_arrays(np.reshape(rows, (-1, 1)), units)
    numbers = threefry((seed, update), (rows // 2, units))
    return (np.where(rows % 2, numbers[1], numbers[0]) >= rate * 2.0**32) / (1 - rate)


def run_mask(out, seed, update, pair, unit, threshold, scale):
    store(dropout.mask(seed, update, pair, unit, threshold, scale), out, 0, width(out))


def run_mask_row(out, seed, update, pair, unit, threshold, scale, row):
    store(dropout.mask_row(seed, update, pair, unit, threshold, scale, row), out, 0, width(out))


@pytest.mark.parametrize(("counter", "key", "numbers"), KNOWN)
def test_random_numbers_are_those_of_the_authors(counter, key, numbers):
    assert [int(number[0]) for number in threefry(key, counter)] == list(numbers)


@pytest.mark.shapes
@DTYPES
def test_a_mask_depends_on_seed_update_row_and_unit(guarded, dtype):
    run, run_row = (run_mask, run_mask_row) if PLAIN else map(numba.njit, (run_mask, run_mask_row))
    size = columns(dtype)
    for seed, update, pair, unit in ((3, 4, 5, 6), (SEED, 0, 10**6, 2**31)):
        out = guarded((2 * size,), dtype)
        run(out, seed, update, pair, unit, int(0.25 * 2.0**32), dtype(4 / 3))
        rows, units = [2 * pair, 2 * pair + 1], unit + np.arange(size)
        expected = expected_mask(0.25, seed, update, rows, units).astype(dtype)
        for row in range(2):
            one = guarded((size,), dtype)
            run_row(one, seed, update, pair, unit, int(0.25 * 2.0**32), dtype(4 / 3), row)
            np.testing.assert_array_equal(one, expected[row])
        np.testing.assert_array_equal(out.reshape(2, size), expected)


def test_masks_have_their_rate_and_do_not_depend_on_one_another():
    """Shares and correlations of a million units are within five standard deviations, 0.005, of rate and 0."""
    rows, units = np.arange(1000), np.arange(1000)
    for rate in (0.1, 0.5):
        deviation = (rate * (1 - rate)) ** 0.5

        def standard(*which, rate=rate, deviation=deviation):
            return (expected_mask(rate, *which) * (1 - rate) - (1 - rate)) / deviation

        one = standard(1, 7, rows, units)
        others = {
            "seed": standard(2, 7, rows, units),
            "update": standard(1, 8, rows, units),
            "next row": standard(1, 7, rows + 1, units),
            "next pair of rows": standard(1, 7, rows + 2, units),
            "next unit": standard(1, 7, rows, units + 1),
            "layer": standard(1, 7, rows, units + 1001 * 1000),
            "transposed": one.T,
        }
        assert abs(one.mean()) < 0.005
        assert abs(one.mean(axis=0)).max() < 5 / 1000**0.5, "a unit that is dropped too often"
        assert abs(one.mean(axis=1)).max() < 5 / 1000**0.5, "a row in which too many are"
        for name, other in others.items():
            assert abs((one * other).mean()) < 0.005, name


class Masked(Case):
    """A case with dropout, as in update number `update`."""

    def __init__(self, guarded, update=9, **options):
        super().__init__(guarded, **options)
        set_dropout(self.built, RATES, SEED)
        self.update = update

    def gradient(self, how="serial", batch=0):
        state = construction.optimizer_state(self.built, updates.NONE)
        state.steps[0], self.progress.loss[0] = self.update, 0
        arguments = self.built, self.workspace, self.data, self.loss, updates.NO_UPDATE, state, self.progress
        call("train", how, *arguments, BATCH, batch, batch + 1)
        return self.progress.loss[0], self.workspace.gradients[0]

    def masks(self, rows):
        """Of each layer."""
        units = [layer.params + np.arange(layer.n_out) for layer in self.built.layers]
        rates = [*RATES, 0.0]
        return [expected_mask(r, SEED, self.update, np.arange(rows), u) for r, u in zip(rates, units, strict=True)]

    def expected(self, x, y):
        """(summed loss, dE/dW, dE/db) of the reference, where the masks are part of the activations."""
        network, masks = self.network, self.masks(len(x))
        a, z = [x], []
        for w, b, name, mask in zip(network.weights, network.biases, network.activations, masks, strict=True):
            z.append(a[-1] @ w + b)
            a.append(mask * reference.ACTIVATIONS[name][0](z[-1]))
        deltas = [a[-1] - y]
        for l in range(len(z) - 2, -1, -1):
            slopes = masks[l] * reference.ACTIVATIONS[network.activations[l]][1](z[l])
            deltas.insert(0, (deltas[0] @ network.weights[l + 1].T) * slopes)
        gradients = [a[l].T @ deltas[l] for l in range(len(z))], [delta.sum(axis=0) for delta in deltas]
        return ((a[-1] - y) ** 2).sum() / 2, *gradients


@DTYPES
@RUNS
@MODES
def test_a_gradient_is_that_of_the_units_kept(guarded, dtype, how, groups):
    case = Masked(guarded, dtype=dtype, groups=groups)
    loss, gradient = case.gradient(how, 1)
    expected, matrices, rows = case.expected(case.x[BATCH:], case.y[BATCH:])
    assert loss == pytest.approx(expected, rel=1e-4 if dtype == np.float32 else 1e-12)
    found = parameters(case.built, gradient)
    limit = 1e-4 if dtype == np.float32 else 1e-11
    for f, e in zip(found[0] + found[1], matrices + rows, strict=True):
        np.testing.assert_allclose(f, e, rtol=limit, atol=limit)


@DTYPES
@RUNS
def test_masks_are_those_of_the_rows_of_the_batch(guarded, dtype, how):
    """Of a part of a batch: every row but the second and the third."""
    case = Masked(guarded, dtype=dtype)
    places = np.delete(np.arange(BATCH), [1, 2])
    whole = case.gradient(how)[1].copy()
    case.data = case.data._replace(order=case.data.order[places])
    case.workspace = case.workspace._replace(places=places)
    case.gradient(how)
    part = case.workspace.gradients[0].copy()
    x, y, masks = case.x[:BATCH], case.y[:BATCH], case.masks
    case.masks = lambda rows: [mask[places] for mask in masks(BATCH)]
    _, matrices, biases = case.expected(x[places], y[places])
    found, limit = parameters(case.built, part), 1e-4 if dtype == np.float32 else 1e-11
    for f, e in zip(found[0] + found[1], matrices + biases, strict=True):
        np.testing.assert_allclose(f, e, rtol=limit, atol=limit)
    assert not np.array_equal(part, whole)


def test_a_gradient_with_masks_held_fixed_is_a_central_difference(guarded):
    case = Masked(guarded, dtype=np.float64)
    _, gradient = case.gradient()
    gradient, step = gradient.copy(), 1e-5  # rounding of the losses, by the step, and its square are alike
    touched = np.flatnonzero(case.built.weights)[:: 7 if PLAIN else 1]
    differences = []
    for i in touched:
        kept, losses = case.built.weights[i], []
        for case.built.weights[i] in (kept - step, kept + step):
            losses.append(case.gradient()[0])
        case.built.weights[i] = kept
        differences.append((losses[1] - losses[0]) / (2 * step))
    np.testing.assert_allclose(gradient[touched], differences, rtol=0, atol=1e-7)


def test_evaluation_drops_nothing(guarded):
    case, plain = Masked(guarded), Case(guarded)
    assert case.gradient()[0] != plain.progress.loss[0]
    totals = [call("evaluate", "serial", c.built, c.workspace, c.data, c.loss) for c in (case, plain)]
    assert totals[0] == totals[1]


@pytest.mark.skipif(PLAIN, reason="there are no threads")
@MODES
def test_serial_and_parallel_give_the_same_bits(guarded, groups):
    digests = set()
    for how in ("serial", "parallel"):
        case = Masked(guarded, groups=groups)
        state = case.train(reference.Optimizer("adam"), how, epochs=3)
        digests.add(case.digest())
    assert state.steps[0] == 6
    plain = Case(guarded, groups=groups)
    plain.train(reference.Optimizer("adam"), epochs=3)
    assert len(digests) == 1
    assert plain.digest() not in digests
