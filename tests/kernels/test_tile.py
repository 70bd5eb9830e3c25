"""The tile's operations, compiled and emulated, against NumPy: to the bit, with data whose sums are exact."""

import functools
import inspect

import numba
import numpy as np
import pytest
from fastmlp_kernels.jit import specialize
from fastmlp_kernels.tile import emulation as tile_numpy
from fastmlp_kernels.tile.engines import ENGINE, HAS_FMA
from fastmlp_kernels.tile.operations import (
    GRADIENT_ROWS,
    ROWS,
    add,
    join_columns,
    keep_columns,
    largest,
    load,
    load_columns,
    load_rows,
    multiply,
    multiply_add,
    rank1,
    spread,
    store,
    store_rows,
    subtract,
    sum_rows,
    tile_memory,
    total,
    width,
    zero,
)
from numba.core.errors import TypingError

from tests.kernels.cases import DTYPES, PLAIN

pytestmark = pytest.mark.shapes

EMULATED = {name: value for name, value in vars(tile_numpy).items() if inspect.isfunction(value)}


@functools.cache
def build(function, how):
    if how == "emulated":
        return specialize(function, function.__name__, **EMULATED)
    return numba.njit(function)


@pytest.fixture(params=["compiled", "emulated"])
def run(request):
    """Calls a function on tiles, compiled, or with the emulated operations."""
    return lambda function, *args: build(function, request.param)(*args)


# Each puts one operation's result into memory, as the operations of this file can not be called from Python.


def run_zero(out):
    store(zero(out, ROWS), out, 0, width(out))


def run_load(out, out_offset, out_stride, array, offset, stride):
    store(load(array, offset, stride, ROWS), out, out_offset, out_stride)


def run_load_rows(out, array, offset, stride, count):
    store(load_rows(array, offset, stride, ROWS, count), out, 0, width(out))


def run_store_rows(out, offset, stride, array, count):
    store_rows(load(array, 0, width(out), ROWS), out, offset, stride, count)


def run_gradient_rows(out, array, count):
    size = width(out)
    store_rows(load_rows(array, 0, size, GRADIENT_ROWS, count), out, 0, size, count)


def run_rank1(out, acc, a, a_offset, a_stride, b, b_offset):
    size = width(out)
    store(rank1(load(acc, 0, size, ROWS), a, a_offset, a_stride, b, b_offset), out, 0, size)


def run_load_columns(out, array, offset, count):
    store(load_columns(array, offset, count), out, 0, width(out))


def run_keep_columns(out, array, count):
    store(keep_columns(load(array, 0, width(array), ROWS), count), out, 0, width(out))


def run_join_columns(out, left, right, count):
    size = width(out)
    store(join_columns(load(left, 0, size, ROWS), load(right, 0, size, ROWS), count), out, 0, size)


def run_spread(out, number):
    store(spread(number), out, 0, width(out))


def run_largest(array, offset):
    return largest(load(array, offset, 0, 1))


def run_arithmetic(sums, differences, products, fused, left, right, acc):
    size = width(left)
    x, y, z = load(left, 0, size, ROWS), load(right, 0, size, ROWS), load(acc, 0, size, ROWS)
    store(add(x, y), sums, 0, size)
    store(subtract(x, y), differences, 0, size)
    store(multiply(x, y), products, 0, size)
    store(multiply_add(x, y, z), fused, 0, size)


def run_sums(columns, array):
    sums = sum_rows(load(array, 0, width(array), ROWS))
    store(sums, columns, 0, width(array))
    return total(sums)


def run_tile_memory(out, array):
    ones, doubled, size = tile_memory(array), tile_memory(array), width(array)
    for i in range(len(array)):
        ones[i], doubled[i] = 1, 2 * array[i]
    store(add(load(ones, 0, size, ROWS), load(doubled, 0, size, ROWS)), out, 0, size)
    return len(ones)


def run_loop(out, array, steps):
    acc = zero(out, ROWS)
    for _ in range(steps):
        acc = add(acc, load(array, 0, width(out), ROWS))
    store(acc, out, 0, width(out))


def integers(shape, dtype, seed=0):
    """Small whole numbers: sums of their products are exact."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def columns_of(dtype):
    return ENGINE.width(np.dtype(dtype).itemsize)


def tile_from(array, offset, stride, rows):
    return np.stack([array[offset + r * stride :][: columns_of(array.dtype)] for r in range(rows)])


@DTYPES
def test_zero(run, guarded, dtype):
    out = guarded((ROWS * columns_of(dtype),), dtype)
    run(run_zero, out)
    np.testing.assert_array_equal(out, 0)


@DTYPES
@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize("extra", [0, 5], ids=["contiguous", "strided"])
def test_load_and_store_any_offset_and_stride(run, guarded, dtype, offset, extra):
    size = columns_of(dtype)
    stride = size + extra
    values = integers((ROWS, size), dtype)
    array = guarded((offset + ROWS * stride,), dtype)
    expected = guarded((1 + ROWS * (stride + 1),), dtype)
    for r in range(ROWS):
        array[offset + r * stride :][:size] = values[r]
        expected[1 + r * (stride + 1) :][:size] = values[r]
    out = guarded(expected.shape, dtype)
    run(run_load, out, 1, stride + 1, array, offset, stride)
    np.testing.assert_array_equal(out, expected)


@DTYPES
def test_a_stride_of_zero_repeats_one_row(run, guarded, dtype):
    size = columns_of(dtype)
    array, out = guarded(integers(size + 2, dtype)), guarded((ROWS * size,), dtype)
    run(run_load, out, 0, size, array, 2, 0)
    np.testing.assert_array_equal(out, np.tile(array[2:], ROWS))


@DTYPES
@pytest.mark.parametrize("count", sorted({1, 2, ROWS // 2 + 1, ROWS - 1, ROWS}))
def test_load_rows_repeats_the_last_of_few_rows(run, guarded, dtype, count):
    size = columns_of(dtype)
    array, out = guarded(integers(1 + count * size, dtype)), guarded((ROWS * size,), dtype)
    run(run_load_rows, out, array, 1, size, count)
    expected = array[1:].reshape(count, size)[np.minimum(np.arange(ROWS), count - 1)]
    np.testing.assert_array_equal(out, expected.ravel())


@DTYPES
def test_load_takes_an_array_of_two_dimensions(run, guarded, dtype):
    size = columns_of(dtype)
    array, out = guarded(integers((ROWS, size), dtype)), guarded((ROWS * size,), dtype)
    run(run_load, out, 0, size, array, 0, size)
    np.testing.assert_array_equal(out, array.ravel())


@DTYPES
@pytest.mark.parametrize("count", sorted({1, 2, ROWS // 2 + 1, ROWS - 1, ROWS}))
def test_store_rows_writes_no_more_rows(run, guarded, dtype, count):
    size = columns_of(dtype)
    stride = size + 1
    array = guarded(integers(ROWS * size, dtype))
    out, expected = guarded((1 + count * stride,), dtype), guarded((1 + count * stride,), dtype)
    run(run_store_rows, out, 1, stride, array, count)
    for r in range(count):
        expected[1 + r * stride :][:size] = array[r * size :][:size]
    np.testing.assert_array_equal(out, expected)


@DTYPES
@pytest.mark.parametrize("count", range(1, GRADIENT_ROWS + 1))
def test_the_gradient_tile_takes_any_number_of_rows(run, guarded, dtype, count):
    array = guarded(integers(count * columns_of(dtype), dtype))
    out = guarded(array.shape, dtype)
    run(run_gradient_rows, out, array, count)
    np.testing.assert_array_equal(out, array)


@DTYPES
@pytest.mark.parametrize("shape", [(-1,), (1, -1)], ids=["one dimension", "two dimensions"])
def test_load_columns_reads_no_further(run, guarded, dtype, shape):
    size = columns_of(dtype)
    for count in range(size + 2):
        array, out = guarded(integers(3 + count, dtype).reshape(shape)), guarded((size,), dtype)
        run(run_load_columns, out, array, 3, count)
        np.testing.assert_array_equal(out[:count], array.ravel()[3:][:size])
        np.testing.assert_array_equal(out[count:], 0)


@DTYPES
def test_keep_columns_clears_the_others_whatever_they_hold(run, guarded, dtype):
    size = columns_of(dtype)
    for count in range(size + 2):
        array, out = guarded(integers(ROWS * size, dtype)), guarded((ROWS * size,), dtype)
        expected = array.reshape(ROWS, size).copy()
        array.reshape(ROWS, size)[:, count:], expected[:, count:] = np.nan, 0
        run(run_keep_columns, out, array, count)
        np.testing.assert_array_equal(out, expected.ravel())


@DTYPES
def test_join_columns_takes_the_first_from_one_and_the_rest_from_another(run, guarded, dtype):
    size = columns_of(dtype)
    left, right = (guarded(integers(ROWS * size, dtype, seed)) for seed in range(2))
    for count in range(-1, size + 2):
        out = guarded((ROWS * size,), dtype)
        run(run_join_columns, out, left, right, count)
        expected = np.where(np.arange(size) < count, left.reshape(ROWS, size), right.reshape(ROWS, size))
        np.testing.assert_array_equal(out, expected.ravel())


@DTYPES
def test_spread_fills_a_row(run, guarded, dtype):
    out = guarded((columns_of(dtype),), dtype)
    run(run_spread, out, dtype(3.5))
    np.testing.assert_array_equal(out, 3.5)


@DTYPES
def test_largest_of_a_row_wherever_it_is(run, dtype):
    size = columns_of(dtype)
    for place in range(size):
        array = np.arange(size + 3, dtype=dtype) - 100
        array[2 + place] = -1
        assert run(run_largest, array, 2) == -1


@DTYPES
@pytest.mark.parametrize("stride", [0, 1, 7])
def test_rank1_adds_an_outer_product(run, guarded, dtype, stride):
    size = columns_of(dtype)
    a, b = guarded(integers(2 + ROWS * 7, dtype)), guarded(integers(size + 3, dtype, 1))
    acc, out = guarded(integers(ROWS * size, dtype, 2)), guarded((ROWS * size,), dtype)
    run(run_rank1, out, acc, a, 2, stride, b, 3)
    expected = acc.reshape(ROWS, size) + np.outer(a[2 + stride * np.arange(ROWS)], b[3:])
    np.testing.assert_array_equal(out, expected.ravel())


@DTYPES
def test_elementwise_operations(run, guarded, dtype):
    count = ROWS * columns_of(dtype)
    left, right, acc = (guarded(integers(count, dtype, seed)) for seed in range(3))
    sums, differences, products, fused = (guarded((count,), dtype) for _ in range(4))
    run(run_arithmetic, sums, differences, products, fused, left, right, acc)
    np.testing.assert_array_equal(sums, left + right)
    np.testing.assert_array_equal(differences, left - right)
    np.testing.assert_array_equal(products, left * right)
    np.testing.assert_array_equal(fused, left * right + acc)


@DTYPES
def test_sums_of_columns_and_of_all(run, guarded, dtype):
    size = columns_of(dtype)
    array, columns = guarded(integers(ROWS * size, dtype)), guarded((size,), dtype)
    assert run(run_sums, columns, array) == array.sum()
    np.testing.assert_array_equal(columns, array.reshape(ROWS, size).sum(axis=0))


@DTYPES
def test_scalar_code_and_tiles_share_memory_on_the_stack(run, guarded, dtype):
    array = guarded(integers(ROWS * columns_of(dtype), dtype))
    out = guarded(array.shape, dtype)
    assert run(run_tile_memory, out, array) == len(array)
    np.testing.assert_array_equal(out, 2 * array + 1)


@DTYPES
def test_a_tile_is_carried_through_a_loop(run, guarded, dtype):
    array = guarded(integers(ROWS * columns_of(dtype), dtype))
    out = guarded(array.shape, dtype)
    run(run_loop, out, array, 5)
    np.testing.assert_array_equal(out, 5 * array)


@pytest.mark.skipif(PLAIN or not HAS_FMA, reason="multiplications and additions are rounded one by one")
@DTYPES
def test_multiply_add_is_rounded_once(guarded, dtype):
    size, eps = columns_of(dtype), np.finfo(dtype).eps
    left, right, acc = (guarded(np.full(ROWS * size, value, dtype)) for value in (1 + eps, 1 - eps, -1))
    sums, differences, products, fused = (guarded((ROWS * size,), dtype) for _ in range(4))
    build(run_arithmetic, "compiled")(sums, differences, products, fused, left, right, acc)
    np.testing.assert_array_equal(fused, -(eps**2))
    build(run_rank1, "compiled")(fused, acc, left, 0, 1, right, 0)
    np.testing.assert_array_equal(fused, -(eps**2))


@pytest.mark.skipif(PLAIN, reason="nothing is typed")
def test_rows_must_be_known_to_the_compiler():
    @numba.njit
    def unknown_rows(array, rows):
        return total(sum_rows(zero(array, rows)))

    with pytest.raises(TypingError, match="no tile"):
        unknown_rows(np.zeros(64), 2)


@pytest.mark.skipif(PLAIN, reason="nothing is typed")
def test_other_dtypes_are_no_tiles():
    with pytest.raises(TypingError, match="no tile"):
        build(run_zero, "compiled")(np.zeros(ROWS * 64, np.int64))
    with pytest.raises(TypingError, match="no tile of int64; accepted: a float32 or float64"):
        build(run_spread, "compiled")(np.zeros(ROWS * 64), 3)


def test_the_emulation_refuses_to_leave_its_array():
    array = np.zeros(ROWS * columns_of(np.float64))
    with pytest.raises(AssertionError, match="outside"):
        tile_numpy.load(array, 1, columns_of(np.float64), ROWS)
