"""Panels: packing and unpacking against slices of NumPy."""

import numpy as np
import pytest
from fastmlp_kernels.layout.panels import pack_labels, pack_rows, unpack_rows
from fastmlp_kernels.layout.panels import padded as kernel_padded
from fastmlp_kernels.tile.operations import ROWS

from tests import reference
from tests.kernels.cases import DTYPES, NO_ORDER, ROW_COUNTS, SIZES, padded, panels, random, sized, width

FIRST = 2  # the first row taken


def orders(samples):
    """Without an order, and with one."""
    return [NO_ORDER, np.random.default_rng(0).permutation(samples)]


def taken(order, rows):
    return order[FIRST : FIRST + rows] if order.size else np.arange(FIRST, FIRST + rows)


def assert_packed(panels_, matrix, block):
    """`panels_` hold the matrix, zeros that make up whole tiles, and nothing in the rows after them."""
    (rows, columns), size = matrix.shape, width(panels_.dtype)
    tiles = padded(rows, ROWS)
    found = reference.from_panels(panels_, size, block, tiles, columns)
    np.testing.assert_array_equal(found[:rows], matrix)
    np.testing.assert_array_equal(found[rows:], 0)
    assert np.isnan(panels_.reshape(-1, block, size)[:, tiles:]).all()


@pytest.mark.parametrize(("count", "multiple", "expected"), [(0, 4, 0), (1, 4, 4), (4, 4, 4), (5, 4, 8), (7, 1, 7)])
def test_padded_rounds_up(count, multiple, expected):
    assert kernel_padded(count, multiple) == expected


@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("columns", SIZES)
def test_rows_are_packed_in_order_and_zeros_make_up_whole_tiles(guarded, dtype, rows, columns):
    columns = sized(columns, dtype)
    source, block = random((FIRST + rows + 1, columns), dtype), padded(rows, ROWS) + ROWS
    for order in orders(len(source)):
        packed = guarded((panels(columns, dtype) * width(dtype) * block,), dtype)
        pack_rows(packed, source, order, FIRST, rows, block)
        assert_packed(packed, source[taken(order, rows)], block)


@DTYPES
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_packing_tells_whether_all_it_copies_is_finite(guarded, dtype, wrong):
    rows, columns, block = 5, 2 * width(dtype) + 3, 2 * ROWS
    source, packed = random((FIRST + rows + 1, columns), dtype), guarded((3 * width(dtype) * block,), dtype)
    source[FIRST - 1], source[FIRST + rows] = wrong, wrong  # not taken
    assert pack_rows(packed, source, NO_ORDER, FIRST, rows, block)
    for row, column in [(FIRST, 0), (FIRST + rows - 1, columns - 1), (FIRST + 2, width(dtype))]:
        spoilt = source.copy()
        spoilt[row, column] = wrong
        assert not pack_rows(packed, spoilt, NO_ORDER, FIRST, rows, block)


@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("columns", SIZES)
def test_labels_are_packed_one_hot(guarded, dtype, rows, columns):
    columns, block = sized(columns, dtype), padded(rows, ROWS) + ROWS
    labels = np.random.default_rng(0).integers(0, columns, FIRST + rows + 1)
    for order in orders(len(labels)):
        packed = guarded((panels(columns, dtype) * width(dtype) * block,), dtype)
        pack_labels(packed, labels, order, FIRST, rows, columns, block)
        assert_packed(packed, np.eye(columns)[labels[taken(order, rows)]], block)


@DTYPES
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("columns", SIZES)
def test_unpacking_takes_only_what_is_asked_for(guarded, dtype, rows, columns):
    columns, block = sized(columns, dtype), padded(rows, ROWS) + ROWS
    matrix = random((rows, columns), dtype)
    packed = guarded(reference.to_panels(matrix, width(dtype), block, padding=np.nan))
    target = guarded((FIRST + rows + 1, columns), dtype)
    unpack_rows(target, FIRST, packed, rows, block)
    np.testing.assert_array_equal(target[FIRST:-1], matrix)
    assert np.isnan(target[:FIRST]).all()
    assert np.isnan(target[-1]).all()


@DTYPES
def test_the_layout_is_the_documented_one(guarded, dtype):
    """Element (r, c) is at c // width * width * block + r * width + c % width: checked for the reference, too."""
    rows, columns, block, size = 5, 2 * width(dtype) + 3, 2 * ROWS, width(dtype)
    matrix = random((rows, columns), dtype)
    packed = guarded(np.zeros(panels(columns, dtype) * size * block, dtype))
    pack_rows(packed, matrix, NO_ORDER, 0, rows, block)
    for r, c in np.ndindex(matrix.shape):
        assert packed[c // size * size * block + r * size + c % size] == matrix[r, c]
    np.testing.assert_array_equal(packed, reference.to_panels(matrix, size, block))
    np.testing.assert_array_equal(reference.from_panels(packed, size, block, rows, columns), matrix)
