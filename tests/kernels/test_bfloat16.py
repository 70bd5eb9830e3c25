"""Operations on bfloat16 operands against plain NumPy: to the bit, compiled and emulated."""

import inspect

import numba
import numpy as np
import pytest
from fastmlp_kernels.jit import specialize
from fastmlp_kernels.tile import emulation
from fastmlp_kernels.tile.bfloat16 import (
    add_terms,
    configure,
    load_sums,
    release,
    store_both,
    store_left,
    store_sums,
    tile_rows,
    transpose_words,
    widened,
    zero_sums,
)
from fastmlp_kernels.tile.engines import engine_of
from fastmlp_kernels.tile.operations import load, terms

ENGINE = engine_of("uint16")
WIDTH = 32
pytestmark = [pytest.mark.shapes, pytest.mark.skipif(ENGINE is None, reason="no engine for bfloat16 on this CPU")]
EMULATED = {name: value for name, value in vars(emulation).items() if inspect.isfunction(value)}
SPECIAL = np.array(
    [0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1.1754942e-38, 1.1754944e-38, 3.4e38, 3.38e38, -3.3961775e38, 1],
    np.float32,
)


@pytest.fixture(params=["compiled", "emulated"])
def run(request):
    """Calls a function on tiles, compiled, or with the emulated operations."""

    def call(function, *args):
        emulated = request.param == "emulated"
        built = specialize(function, function.__name__, **EMULATED) if emulated else numba.njit(function)
        return built(*args)

    return call


def rounded(numbers):
    """Bits of the nearest bfloat16: of the two neighbors the nearer one, of equally near ones the even one."""
    numbers = np.asarray(numbers, np.float32)
    numbers = np.where(np.abs(numbers) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), numbers), numbers)
    lower = numbers.view(np.uint32) >> 16
    with np.errstate(over="ignore", invalid="ignore"):
        below, above = ((bits << 16).view(np.float32).astype(np.float64) for bits in (lower, lower + 1))
        exact = numbers.astype(np.float64)
        above = np.where(np.isinf(above), np.copysign(2.0**128, exact), above)  # where the next number would be
        up = np.abs(above - exact) < np.abs(exact - below)
        up |= (np.abs(above - exact) == np.abs(exact - below)) & (lower % 2 == 1)
    up &= np.isfinite(numbers)
    return np.where(np.isnan(numbers), lower | 0x40, lower + up).astype(np.uint16)


def widened_bits(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def numbers(rng, shape):
    """Numbers of all sizes, special ones among them."""
    drawn = (rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 30, shape)).astype(np.float32)
    return np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), drawn)


def run_left(source, target):
    store_left(load(source, 0, 0, 1), target, 4)


def run_both(source, left, right):
    store_both(load(source, 0, 0, 1), load(source, 32, 0, 1), left, 4, right, 4)


def test_rows_are_rounded_to_nearest_even(run, guarded):
    rng = np.random.default_rng(0)
    ties = np.float32(1) + np.arange(16, dtype=np.float32) / 256  # every second one is half way
    for source in (numbers(rng, 64), np.resize(ties, 64), np.resize(SPECIAL, 64), numbers(rng, 64)):
        row, left, right = (guarded(np.full(size, 7, np.uint16)) for size in (40, 72, 72))
        run(run_left, source, row)
        run(run_both, source, left, right)
        np.testing.assert_array_equal(row[4:36], rounded(source[:32]))
        np.testing.assert_array_equal(left[4:68], rounded(source))
        np.testing.assert_array_equal(right[4:68].reshape(32, 2), rounded(source).reshape(2, 32).T)
        assert (np.delete(row, slice(4, 36)) == 7).all()
        assert (np.delete(left, slice(4, 68)) == 7).all()
        assert (np.delete(right, slice(4, 68)) == 7).all()


def run_widened(bits, out):
    for i in range(len(bits)):
        out[i] = widened(bits[i])


def test_numbers_are_widened(run):
    bits = np.arange(0, 1 << 16, 7).astype(np.uint16)
    out = np.empty(len(bits), np.float32)
    run(run_widened, bits, out)
    np.testing.assert_array_equal(out, widened_bits(bits))


def run_transpose(source, target):
    transpose_words(source, 6, 40, target, 2, 36)


def test_squares_of_words_are_transposed(run, guarded):
    source = np.arange(6 + 16 * 40, dtype=np.uint16)
    target = guarded(np.full(2 + 16 * 36, 9, np.uint16))
    run(run_transpose, source, target)
    words = source[6:].reshape(16, 40)[:, :32].reshape(16, 16, 2)
    np.testing.assert_array_equal(target[2:].reshape(16, 36)[:, :32].reshape(16, 16, 2), words.transpose(1, 0, 2))
    assert (target[2:].reshape(16, 36)[:, 32:] == 9).all()


def run_product(c, a, b, depth):
    configure(b)
    acc = zero_sums(c, b)
    for k in range(0, depth, terms(b)):
        acc = add_terms(acc, a, 3 + k, depth, b, k * 32)
    store_sums(acc, c, 0, 32)
    release(b)


def run_further_product(c, a, b, depth):
    configure(b)
    acc = load_sums(c, 0, 32, b)
    for k in range(0, depth, terms(b)):
        acc = add_terms(acc, a, 3 + k, depth, b, k * 32)
    store_sums(acc, c, 0, 32)
    release(b)


def flushed(x):
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x).astype(np.float32)


def in_chains(c, a, b):
    """Sums C + A B in the order of AMX: of 32 terms those with even and with odd numbers by themselves."""
    for k in range(0, a.shape[1], 32):
        chains = []
        for parity in (0, 1):
            chain = np.zeros(c.shape, np.float32)
            for t in range(k + parity, k + 32, 2):
                exact = chain.astype(np.float64) + np.outer(a[:, t].astype(np.float64), b[t])
                chain = flushed(exact.astype(np.float32))
            chains.append(chain)
        c = flushed(flushed(c) + flushed(chains[0] + chains[1]))
    return c


def operands(rng, depth, scale):
    """Operands of bfloat16 as float32, and in the left and right form."""
    rows = ENGINE.rows
    a, b = (widened_bits(rounded(rng.standard_normal(shape) * scale)) for shape in ((rows, depth), (depth, WIDTH)))
    left = np.concatenate([np.zeros(3, np.uint16), rounded(a).reshape(-1)])
    return a, b, left, rounded(b).reshape(depth // 2, 2, WIDTH).transpose(0, 2, 1).reshape(-1).copy()


@pytest.mark.parametrize("depth", [32, 64, 320])
@pytest.mark.parametrize("scale", [1.0, 1e-19, 1e19], ids=["usual", "tiny", "huge"])
def test_products_have_the_bits_of_two_chains(run, guarded, depth, scale):
    if ENGINE.terms != 32:
        pytest.skip("an engine with another order of additions")
    rng = np.random.default_rng(depth)
    a, b, left, right = operands(rng, depth, scale)
    out = guarded((ENGINE.rows * WIDTH,), np.float32)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        run(run_product, out, left, right, depth)
        expected = in_chains(np.zeros((ENGINE.rows, WIDTH), np.float32), a, b)
        np.testing.assert_array_equal(out.reshape(-1, WIDTH), expected)
        run(run_further_product, out, left, right, depth)
        np.testing.assert_array_equal(out.reshape(-1, WIDTH), in_chains(expected, a, b))


@pytest.mark.parametrize("depth", [32, 96])
def test_products_are_near_those_in_float64(run, guarded, depth):
    a, b, left, right = operands(np.random.default_rng(1), depth, 1.0)
    out = guarded((ENGINE.rows * WIDTH,), np.float32)
    run(run_product, out, left, right, depth)
    exact, sizes = a.astype(np.float64) @ b.astype(np.float64), np.abs(a).astype(np.float64) @ np.abs(b)
    # Each of at most `depth` additions is off by half a unit in the last place of a sum that is at most `sizes`.
    assert (np.abs(out.reshape(-1, WIDTH) - exact) <= depth * np.finfo(np.float32).eps / 2 * sizes).all()


def run_rows(b):
    return tile_rows(b)


def test_tiles_have_the_rows_of_the_engine(run):
    assert run(run_rows, np.empty(0, np.uint16)) == ENGINE.rows
