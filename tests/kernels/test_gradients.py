"""Gradients of pieces of a layer's weights against the reference."""

import numpy as np
import pytest
from fastmlp_kernels.jit import njit
from fastmlp_kernels.layout.tasks import PIECE
from fastmlp_kernels.products.gradients import piece_gradient
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import (
    DTYPES,
    ROW_COUNTS,
    SIZES,
    assert_close,
    kernel_network,
    padded,
    product_error,
    random,
    sized,
    width,
)

piece_gradient = njit(piece_gradient)  # in a form that Python can call


class Case:
    """A layer with inputs `a` and error signals `delta`, both in panels.

    Padded samples are zero in the error signal, and any number in the inputs; padding beyond whole tiles is NaN.
    """

    def __init__(self, guarded, n_in, n_out, rows, dtype):
        self.dtype, self.rows, self.block = dtype, rows, padded(rows, ROWS) + ROWS
        self.a, self.delta = random((rows, n_in), dtype, 1), random((rows, n_out), dtype, 2)
        self.built = kernel_network(reference.random_network([n_in, n_out], ["identity"], dtype), dtype)
        self.n_in, self.n_out, self.size = n_in, n_out, width(dtype)
        self.activations, self.deltas = (guarded(self.packed(m, p)) for m, p in ((self.a, 0.5), (self.delta, 0)))
        self.gradient = guarded(self.built.weights.shape, dtype)

    def packed(self, matrix, padding):
        panels = reference.to_panels(matrix, self.size, self.block, padding)
        panels.reshape(-1, self.block, self.size)[:, padded(self.rows, ROWS) :] = np.nan
        return panels

    def accumulate(self, first, last, left, right, fresh=True):
        """Make, or add to, the gradient of weight rows first..last and columns left..right."""
        piece = np.array([(0, first, last, left, right)], PIECE).view(np.recarray)[0]
        buffers = self.activations, self.deltas, self.rows, self.block
        piece_gradient(self.gradient, self.built, piece, *buffers, fresh)

    def accumulate_all(self, fresh=True):
        self.accumulate(0, self.n_in, 0, self.n_out, fresh)

    def found(self):
        """The augmented gradient: row 0 the biases."""
        rows = self.n_in + 1
        return reference.from_panels(self.gradient, self.size, rows, rows, self.n_out)

    def expected(self):
        """(the augmented gradient, its rounding errors)."""
        a = np.hstack([np.ones((self.rows, 1)), self.a.astype(float)]).T
        return a @ self.delta, product_error(a, self.delta, self.dtype)


@pytest.mark.shapes
@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("n_in", SIZES)
@pytest.mark.parametrize("n_out", SIZES)
def test_a_layer_of_any_size(guarded, dtype, rows, n_in, n_out):
    case = Case(guarded, sized(n_in, dtype), sized(n_out, dtype), rows, dtype)
    case.accumulate_all()
    assert_close(case.found(), *case.expected())


@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_gradients_add_up(guarded, dtype, rows):
    case = Case(guarded, width(dtype) + 1, width(dtype) + 1, rows, dtype)
    case.accumulate_all()
    case.accumulate_all(fresh=False)
    expected, error = case.expected()
    assert_close(case.found(), 2 * expected, 4 * error)  # twice as many terms, of twice the sum


@DTYPES
@pytest.mark.parametrize("n_in", SIZES)
def test_pieces_make_the_same_bits(guarded, dtype, n_in):
    bits = []
    for side in (1, 2, 100):
        case = Case(guarded, sized(n_in, dtype), 2 * width(dtype) + 1, ROWS + 1, dtype)
        side *= case.size
        for first in range(0, case.n_in, side):
            for left in range(0, case.n_out, side):
                case.accumulate(first, min(first + side, case.n_in), left, min(left + side, case.n_out))
        bits.append(case.found().tobytes())
    assert len(set(bits)) == 1


@DTYPES
def test_a_piece_touches_nothing_else(guarded, dtype):
    size = width(dtype)
    case = Case(guarded, 3 * size, 2 * size + 1, ROWS, dtype)
    case.accumulate(size, 2 * size - 1, size, 2 * size)
    written = np.zeros(case.found().shape, bool)
    written[1 + size : 2 * size, size : 2 * size] = True
    np.testing.assert_array_equal(np.isfinite(case.found()), written)


@DTYPES
def test_padded_outputs_get_no_gradient(guarded, dtype):
    """Padded columns stay zero, so that an optimiser never moves the padding of the weights."""
    case = Case(guarded, 3, width(dtype) + 1, ROWS - 1, dtype)
    case.accumulate_all()
    panels = case.gradient.reshape(-1, 4, case.size)
    np.testing.assert_array_equal(panels[1, :, 1:], 0)
